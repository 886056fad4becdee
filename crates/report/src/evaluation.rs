//! What the network makes of the pictures kept aside.

use fcmae_store::run::confusion::Fate;
use fcmae_store::run::schema::{self, Answers, Evaluation};

use crate::embedded::Picture;

/// A picture taken for something else.
#[derive(Clone, Debug)]
pub(crate) struct Mistake {
    pub(crate) record: schema::Mistake,
    pub(crate) picture: Option<Picture>,
}

/// What is wrong with an evaluation, to follow the file's name.
pub(crate) fn flaw(evaluation: &Evaluation) -> Option<String> {
    let Evaluation { images, top1, confusion, answers, .. } = evaluation;
    let classes = evaluation.classes.len();
    if !confusion.is_of(classes) {
        Some(format!("names {classes} classes, but its table is not {classes} × {classes}"))
    } else if confusion.pictures() != u128::from(*images) {
        Some(format!("speaks of {images} pictures, but its table of others"))
    } else if !(0.0..=1.0).contains(top1) {
        Some(format!("has a top-1 of {top1}, which is no share"))
    } else if let Some(Answers { right, .. }) = answers
        && [right.len() as u64, right.iter().filter(|&&right| right).count() as u64]
            != [*images, confusion.right()]
    {
        Some("has answers that are not those of its table".to_owned())
    } else {
        None
    }
}

/// Each class and how it fares.
pub(crate) fn by_class(evaluation: &Evaluation) -> Vec<(&str, Fate)> {
    let names = evaluation.classes.iter().map(String::as_str);
    names.zip(evaluation.confusion.classes()).collect()
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
