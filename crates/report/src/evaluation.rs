//! `evaluation.json`: what the network makes of the pictures kept aside.

use serde::Deserialize;

use crate::pictures::Picture;

/// The last evaluation of a run.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Evaluation {
    pub(crate) epoch: f64,
    /// Pictures evaluated.
    pub(crate) images: u64,
    /// Share of them whose most probable class is theirs.
    pub(crate) top1: f64,
    pub(crate) classes: Vec<String>,
    /// Pictures of each true class (rows) by what they were taken for (columns).
    pub(crate) confusion: Vec<Vec<u64>>,
    /// Mistakes made with most confidence, surest first.
    #[serde(default)]
    pub(crate) mistakes: Vec<Mistake>,
}

/// A picture taken for something else.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Mistake {
    pub(crate) path: String,
    pub(crate) truth: String,
    pub(crate) predicted: String,
    /// Of the class it was taken for.
    pub(crate) probability: f64,
    /// Of a small copy, from the run's folder.
    #[serde(rename = "picture")]
    pub(crate) file: Option<String>,
    #[serde(skip)]
    pub(crate) picture: Option<Picture>,
}

/// How one class fares.
#[derive(Clone, Debug)]
pub(crate) struct ClassResult<'a> {
    pub(crate) name: &'a str,
    /// Pictures of this class.
    pub(crate) pictures: u64,
    /// Those of them that were recognized.
    pub(crate) right: u64,
    /// Pictures of any class that were taken for this one.
    pub(crate) predicted: u64,
    /// What its pictures were most often taken for, and how many.
    pub(crate) confused_with: Option<(&'a str, u64)>,
}

/// A kind of mistake.
#[derive(Clone, Debug)]
pub(crate) struct Confusion<'a> {
    pub(crate) truth: &'a str,
    pub(crate) predicted: &'a str,
    pub(crate) count: u64,
    /// All pictures of the true class.
    pub(crate) of: u64,
}

impl Evaluation {
    /// What is wrong with it, to follow the file's name.
    pub(crate) fn flaw(&self) -> Option<String> {
        let classes = self.classes.len();
        let counts = self.confusion.iter().flatten();
        if self.confusion.len() != classes || self.confusion.iter().any(|row| row.len() != classes)
        {
            Some(format!("names {classes} classes, but its table is not {classes} × {classes}"))
        } else if counts.map(|&count| u128::from(count)).sum::<u128>() != u128::from(self.images) {
            Some(format!("speaks of {} pictures, but its table of others", self.images))
        } else if !(0.0..=1.0).contains(&self.top1) {
            Some(format!("has a top-1 of {}, which is no share", self.top1))
        } else {
            None
        }
    }

    /// Pictures that were recognized.
    pub(crate) fn right(&self) -> u64 {
        self.confusion.iter().enumerate().map(|(class, row)| row[class]).sum()
    }

    /// Each class in the order of [`classes`](Self::classes).
    pub(crate) fn by_class(&self) -> Vec<ClassResult<'_>> {
        let mut predicted = vec![0; self.classes.len()];
        for row in &self.confusion {
            for (sum, count) in predicted.iter_mut().zip(row) {
                *sum += count;
            }
        }
        let rows = self.classes.iter().zip(&self.confusion).zip(predicted).enumerate();
        rows.map(|(class, ((name, row), predicted))| {
            let others =
                row.iter().enumerate().filter(|&(other, &count)| other != class && count > 0);
            // Of equals the first.
            let most = others.rev().max_by_key(|&(_, count)| count);
            ClassResult {
                name,
                pictures: row.iter().sum(),
                right: row[class],
                predicted,
                confused_with: most.map(|(other, &count)| (self.classes[other].as_str(), count)),
            }
        })
        .collect()
    }

    /// The most frequent confusions, at most `most` of them.
    pub(crate) fn confusions(&self, most: usize) -> Vec<Confusion<'_>> {
        let mut all = Vec::new();
        for (class, row) in self.confusion.iter().enumerate() {
            let of = row.iter().sum();
            for (other, &count) in row.iter().enumerate() {
                if other != class && count > 0 {
                    let truth = self.classes[class].as_str();
                    all.push(Confusion { truth, predicted: &self.classes[other], count, of });
                }
            }
        }
        all.sort_by_key(|confusion| std::cmp::Reverse(confusion.count));
        all.truncate(most);
        all
    }
}

/// Wilson's 95 % interval of a share, `right` of `all`; sensible for few and for all right too.
pub fn interval(right: u64, all: u64) -> [f64; 2] {
    if all == 0 {
        return [0.0, 1.0];
    }
    const Z: f64 = 1.959_963_984_540_054;
    let (n, share) = (all as f64, right as f64 / all as f64);
    let centre = share + Z * Z / (2.0 * n);
    let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let whole = 1.0 + Z * Z / n;
    [((centre - half) / whole).max(0.0), ((centre + half) / whole).min(1.0)]
}

/// A share's standard error, √(p·(1−p)/n).
pub(crate) fn standard_error(share: f64, all: u64) -> f64 {
    (share * (1.0 - share) / all.max(1) as f64).max(0.0).sqrt()
}

#[cfg(test)]
mod tests;
