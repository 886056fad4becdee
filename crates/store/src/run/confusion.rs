//! Which classes are taken for which.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Of up to so many classes all pairs are written, as a table; of more, those that occur.
const MOST_WRITTEN_WHOLE: usize = 256;

/// Pictures of each true class by the class that they were taken for. It takes as much memory as there are
/// pairs that occur, however many classes there are.
///
/// Of 256 classes or fewer it is written as a table, a row for each true class and a column for each predicted one; of
/// more as `{"classes": C, "pairs": [[truth, predicted, pictures], …]}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confusion {
    rows: usize,
    /// `None` where a table that was read has rows of several lengths.
    columns: Option<usize>,
    /// By true and predicted class; no pair has 0 pictures.
    counts: BTreeMap<(usize, usize), u64>,
}

/// How it is written.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Table(Vec<Vec<u64>>),
    Pairs { classes: usize, pairs: Vec<(usize, usize, u64)> },
}

impl Serialize for Confusion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = if self.rows <= MOST_WRITTEN_WHOLE {
            Written::Table(self.table())
        } else {
            let pairs = self.counts.iter().map(|(&(truth, predicted), &n)| (truth, predicted, n));
            Written::Pairs { classes: self.rows, pairs: pairs.collect() }
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Confusion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Table(rows) => rows.into(),
            Written::Pairs { classes, pairs } => {
                let mut confusion = Self::new(classes);
                for (truth, predicted, count) in pairs {
                    if truth.max(predicted) >= classes {
                        let pair = format!("the pair {truth}, {predicted} of {classes} classes");
                        return Err(serde::de::Error::custom(pair));
                    }
                    confusion.count(truth, predicted, count);
                }
                confusion
            }
        })
    }
}

/// How one class fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// Pictures of the class.
    pub pictures: u64,
    /// Those of them that were recognized.
    pub right: u64,
    /// Pictures of any class that were taken for this one.
    pub predicted: u64,
    /// The other class that its pictures were most often taken for, and how many; of equals the first.
    pub confused_with: Option<(usize, u64)>,
}

/// A kind of mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confused {
    /// The true class.
    pub truth: usize,
    /// The class that it was taken for.
    pub predicted: usize,
    /// Pictures of which that is so.
    pub count: u64,
    /// All pictures of the true class.
    pub of: u64,
}

impl Confusion {
    /// Of no picture yet.
    pub fn new(classes: usize) -> Self {
        Self { rows: classes, columns: Some(classes), counts: BTreeMap::new() }
    }

    /// Counts a picture.
    ///
    /// # Panics
    /// On a class that is none.
    pub fn add(&mut self, truth: usize, predicted: usize) {
        let classes = self.rows;
        assert!(truth.max(predicted) < classes, "{truth}, {predicted} of {classes} classes");
        self.count(truth, predicted, 1);
    }

    fn count(&mut self, truth: usize, predicted: usize, count: u64) {
        if count > 0 {
            let pictures = self.counts.entry((truth, predicted)).or_default();
            *pictures = pictures.saturating_add(count);
        }
    }

    /// All pairs: a row for each true class, with a count for each predicted one. For few classes.
    pub fn table(&self) -> Vec<Vec<u64>> {
        let mut table = vec![vec![0; self.columns.unwrap_or(0)]; self.rows];
        for (&(truth, predicted), &count) in &self.counts {
            if let Some(pictures) = table[truth].get_mut(predicted) {
                *pictures = count;
            }
        }
        table
    }

    /// Whether it is of so many classes. The other methods take it for granted that there are as
    /// many columns as rows.
    pub fn is_of(&self, classes: usize) -> bool {
        self.rows == classes && (classes == 0 || self.columns == Some(classes))
    }

    /// All pictures.
    pub fn pictures(&self) -> u128 {
        self.counts.values().map(|&count| u128::from(count)).sum()
    }

    /// Pictures that were recognized.
    pub fn right(&self) -> u64 {
        let right = self.counts.iter().filter(|((truth, predicted), _)| truth == predicted);
        right.fold(0, |sum: u64, (_, &count)| sum.saturating_add(count))
    }

    /// How each class fares.
    pub fn classes(&self) -> Vec<Fate> {
        let none = Fate { pictures: 0, right: 0, predicted: 0, confused_with: None };
        let mut classes = vec![none; self.rows];
        for (&(truth, predicted), &count) in &self.counts {
            if let Some(predicted) = classes.get_mut(predicted) {
                predicted.predicted = predicted.predicted.saturating_add(count);
            }
            let class = &mut classes[truth];
            class.pictures = class.pictures.saturating_add(count);
            if truth == predicted {
                class.right = count;
            } else if class.confused_with.is_none_or(|(_, most)| count > most) {
                class.confused_with = Some((predicted, count));
            }
        }
        classes
    }

    /// The mistakes, the most frequent first, at most `most` of them.
    pub fn most_frequent(&self, most: usize) -> Vec<Confused> {
        let of = self.classes();
        let wrong = self.counts.iter().filter(|((truth, predicted), _)| truth != predicted);
        let mut all: Vec<_> = wrong
            .map(|(&(truth, predicted), &count)| Confused {
                truth,
                predicted,
                count,
                of: of[truth].pictures,
            })
            .collect();
        all.sort_by_key(|confused| Reverse(confused.count));
        all.truncate(most);
        all
    }
}

impl From<Vec<Vec<u64>>> for Confusion {
    fn from(table: Vec<Vec<u64>>) -> Self {
        let columns = table.first().map_or(Some(0), |row| Some(row.len()));
        let alike = table.iter().all(|row| Some(row.len()) == columns);
        let mut confusion =
            Self { rows: table.len(), columns: columns.filter(|_| alike), counts: BTreeMap::new() };
        for (truth, row) in table.into_iter().enumerate() {
            for (predicted, count) in row.into_iter().enumerate() {
                confusion.count(truth, predicted, count);
            }
        }
        confusion
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn confusion() -> Confusion {
        vec![vec![8, 1, 1], vec![0, 3, 0], vec![2, 5, 0]].into()
    }

    #[test]
    fn classes_are_counted_by_rows_and_columns() {
        let classes = confusion().classes();
        let numbers: Vec<_> = classes.iter().map(|c| (c.pictures, c.right, c.predicted)).collect();
        assert_eq!(numbers, [(10, 8, 10), (3, 3, 9), (7, 0, 1)]);
        let confused: Vec<_> = classes.iter().map(|class| class.confused_with).collect();
        assert_eq!(confused, [Some((1, 1)), None, Some((1, 5))]);
        assert_eq!((confusion().right(), confusion().pictures()), (11, 20));
    }

    #[test]
    fn the_most_frequent_mistakes_come_first() {
        let all = confusion().most_frequent(3);
        let all: Vec<_> = all.iter().map(|c| (c.truth, c.predicted, c.count, c.of)).collect();
        assert_eq!(all, [(2, 1, 5, 7), (2, 0, 2, 7), (0, 1, 1, 10)]);
    }

    #[test]
    fn a_table_grows_picture_by_picture() {
        let mut confusion = Confusion::new(2);
        for (truth, predicted) in [(0, 0), (0, 1), (1, 1), (0, 1)] {
            confusion.add(truth, predicted);
        }
        assert_eq!(confusion.table(), [[1, 2], [0, 1]]);
        assert!(confusion.is_of(2) && !confusion.is_of(3));
        assert!(!Confusion::from(vec![vec![1], vec![2, 3]]).is_of(2));
    }

    #[test]
    fn few_classes_are_written_as_a_table_and_many_as_pairs() {
        let text = r#"[[8,1,1],[0,3,0],[2,5,0]]"#;
        assert_eq!(serde_json::to_string(&confusion()).unwrap(), text);
        assert_eq!(serde_json::from_str::<Confusion>(text).unwrap(), confusion());
        let mut many = Confusion::new(20_000);
        for (truth, predicted) in [(7, 19_999), (0, 0), (7, 19_999)] {
            many.add(truth, predicted);
        }
        let text = r#"{"classes":20000,"pairs":[[0,0,1],[7,19999,2]]}"#;
        assert_eq!(serde_json::to_string(&many).unwrap(), text);
        assert_eq!(serde_json::from_str::<Confusion>(text).unwrap(), many);
        let outside = r#"{"classes":3,"pairs":[[0,3,1]]}"#;
        assert!(serde_json::from_str::<Confusion>(outside).is_err());
    }
}
