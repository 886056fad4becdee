//! What an evaluation found.

use std::sync::Arc;

use fcmae_data::source::printable;
use fcmae_data::{PictureSet, Skipped};
use fcmae_store::run::confusion::Confusion;
use fcmae_words::plural;
use serde::Serialize;

use crate::error::{Error, Result};

/// What an evaluation found.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// Class names.
    pub classes: Vec<String>,
    /// Pictures evaluated.
    pub images: usize,
    /// Share of pictures whose class was the most likely one. Of classes that tie, the first is, as a prediction
    /// names them and `torch.argmax` does.
    pub top1: f64,
    /// Share of pictures whose class was among the five most likely ones, likewise.
    pub top5: f64,
    /// Mean cross entropy.
    pub loss: f64,
    /// Which classes are taken for which.
    pub confusion: Confusion,
    /// The class that each picture of the set was taken for, a position in `classes`; `None` where it could
    /// not be read.
    #[serde(skip)]
    pub answers: Vec<Option<u32>>,
    /// Wrong answers, the surest first, 24 at most.
    pub mistakes: Vec<Mistake>,
    /// Pictures that could not be read.
    pub skipped: Vec<Skipped>,
    /// Whether all classes tie for every picture.
    #[serde(skip)]
    pub says_nothing: bool,
}

/// Of so many classes or fewer, nearly any answer has the right one among its five.
const FEW_CLASSES: usize = 5;

/// Top-5, where it says anything: of more than five classes.
pub fn telling_top5(top5: f64, classes: usize) -> Option<f64> {
    (classes > FEW_CLASSES).then_some(top5)
}

impl Evaluation {
    /// Pictures that could not be used.
    pub fn missing(&self) -> usize {
        self.answers.iter().filter(|answer| answer.is_none()).count()
    }

    /// Refuses an evaluation of which more than a share of the pictures could not be used, with those that were `lost`
    /// when they were listed: what is left may be the easy ones.
    ///
    /// # Errors
    /// [`Error::Unusable`].
    pub fn check_missing(&self, max_bad_fraction: f64, lost: usize) -> Result<()> {
        let (missing, all) = (self.missing() + lost, self.answers.len() + lost);
        if missing as f64 <= max_bad_fraction * all as f64 {
            return Ok(());
        }
        let first = self.skipped.first().map_or(String::new(), |Skipped { path, reason }| {
            format!("; the first, {}: {reason}", printable(path))
        });
        Err(Error::Unusable(format!(
            "{missing} of {} could not be used, more than the allowed share of {max_bad_fraction} \
             (data.max_bad_fraction; of evaluate: --max-bad-fraction){first}",
            plural(all, "picture"),
        )))
    }

    /// A note on weights that tell no class from another.
    pub fn caveat(&self) -> Option<String> {
        self.says_nothing.then(|| {
            "all answers are the same: for every picture all classes tie, so the first class counts; the \
             head's weights may be zero, or too large or too small"
                .to_owned()
        })
    }

    /// Whether each picture of `set`, the evaluated one, was named right; one that could not be read was not.
    pub fn right(&self, set: &Arc<PictureSet>) -> Vec<bool> {
        let right = |(answer, label): (&Option<u32>, Option<usize>)| {
            answer.is_some_and(|class| label == Some(class as usize))
        };
        let labels = set.samples.iter().map(|sample| sample.label);
        self.answers.iter().zip(labels).map(right).collect()
    }
}

/// A wrong answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mistake {
    /// Position in the set.
    #[serde(skip)]
    pub index: usize,
    /// The picture.
    pub path: String,
    /// Its class.
    pub truth: String,
    /// The class that was taken for the most likely one.
    pub predicted: String,
    /// The probability that was given to that class.
    pub probability: f32,
}
