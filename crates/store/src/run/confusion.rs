//! Which classes are taken for which.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

/// Pictures of each true class (rows) by the class that they were taken for (columns).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Confusion {
    rows: Vec<Vec<u64>>,
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
        Self { rows: vec![vec![0; classes]; classes] }
    }

    /// Counts a picture.
    ///
    /// # Panics
    /// On a class that is none.
    pub fn add(&mut self, truth: usize, predicted: usize) {
        self.rows[truth][predicted] += 1;
    }

    /// A row for each true class.
    pub fn rows(&self) -> &[Vec<u64>] {
        &self.rows
    }

    /// Whether it is a table of so many classes. The other methods take it for granted that there are as
    /// many columns as rows.
    pub fn is_of(&self, classes: usize) -> bool {
        self.rows.len() == classes && self.rows.iter().all(|row| row.len() == classes)
    }

    /// All pictures.
    pub fn pictures(&self) -> u128 {
        self.rows.iter().flatten().map(|&count| u128::from(count)).sum()
    }

    /// Pictures that were recognized.
    pub fn right(&self) -> u64 {
        self.rows.iter().enumerate().map(|(class, row)| row[class]).sum()
    }

    /// How each class fares.
    pub fn classes(&self) -> Vec<Fate> {
        let mut predicted = vec![0; self.rows.len()];
        for row in &self.rows {
            for (sum, count) in predicted.iter_mut().zip(row) {
                *sum += count;
            }
        }
        let rows = self.rows.iter().zip(predicted).enumerate();
        rows.map(|(class, (row, predicted))| {
            let others =
                row.iter().enumerate().filter(|&(other, &count)| other != class && count > 0);
            let most = others.rev().max_by_key(|&(_, count)| count);
            Fate {
                pictures: row.iter().sum(),
                right: row[class],
                predicted,
                confused_with: most.map(|(other, &count)| (other, count)),
            }
        })
        .collect()
    }

    /// The mistakes, the most frequent first, at most `most` of them.
    pub fn most_frequent(&self, most: usize) -> Vec<Confused> {
        let mut all = Vec::new();
        for (truth, row) in self.rows.iter().enumerate() {
            let of = row.iter().sum();
            let others = row.iter().copied().enumerate();
            let wrong = others.filter(|&(predicted, count)| predicted != truth && count > 0);
            all.extend(wrong.map(|(predicted, count)| Confused { truth, predicted, count, of }));
        }
        all.sort_by_key(|confused| Reverse(confused.count));
        all.truncate(most);
        all
    }
}

impl From<Vec<Vec<u64>>> for Confusion {
    fn from(rows: Vec<Vec<u64>>) -> Self {
        Self { rows }
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(confusion.rows(), [[1, 2], [0, 1]]);
        assert!(confusion.is_of(2) && !confusion.is_of(3));
        assert!(!Confusion::from(vec![vec![1], vec![2, 3]]).is_of(2));
    }
}
