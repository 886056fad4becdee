//! How well a classifier does on labelled pictures.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fcmae_data::source::printable;
use fcmae_data::{Labels, Opening, PictureSet, Skipped};

use crate::engine::backend::Backend;
use crate::engine::module::Network;
use crate::error::{Error, Result};
use crate::inference::{Inference, Pictures, Preparation, Prepared};
use crate::network::loss::log_softmax;
use crate::network::model::Classifier;
use crate::weights::{Description, Weights};

mod evaluation;

pub use evaluation::{Evaluation, Mistake, telling_top5};
pub use fcmae_store::run::confusion::Confusion;

const MOST_MISTAKES: usize = 24;

/// Evaluates the weights on labelled pictures: folders with one sub-folder for each class, archives or
/// lists.
///
/// # Errors
/// Weights without a head, classes the weights don't know, pictures that cannot be used.
pub fn evaluate(
    weights: &Path,
    data: &[PathBuf],
    batch: usize,
    backend: &Backend,
) -> Result<Evaluation> {
    let evaluator = Evaluator::open(weights, backend)?;
    evaluator.evaluate(&Arc::new(evaluator.labelled(data)?), batch)
}

/// A classifier ready to be evaluated.
pub struct Evaluator {
    classifier: Inference<Classifier>,
}

impl Evaluator {
    /// # Errors
    /// Weights that cannot be used, or have no head; a device that cannot be used.
    pub fn open(weights: &Path, backend: &Backend) -> Result<Self> {
        Self::of(&Weights::open(weights)?, backend)
    }

    /// Of weights that were opened.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of(weights: &Weights, backend: &Backend) -> Result<Self> {
        Ok(Self { classifier: Inference::open(weights, backend)? })
    }

    /// What the weights are of.
    pub fn description(&self) -> &Description {
        self.classifier.description()
    }

    /// Pictures with the classifier's classes as labels, from folders, archives or lists; of files of several
    /// pages as many as it was trained on.
    ///
    /// # Errors
    /// Pictures that cannot be used, classes that the classifier doesn't know.
    pub fn labelled(&self, data: &[PathBuf]) -> Result<PictureSet> {
        let pages = self.description().pages;
        self.labelled_by(data, Opening { pages, ..Opening::default() })
    }

    /// As [`labelled`](Self::labelled), of the columns that `how` names. Its labels don't matter.
    ///
    /// # Errors
    /// The same.
    pub fn labelled_by(&self, data: &[PathBuf], how: Opening<'_>) -> Result<PictureSet> {
        let Description { classes, nameless, .. } = self.description();
        let labels = match nameless {
            true => Labels::Nameless(classes),
            false => Labels::Classes(classes),
        };
        let Opening { label_column, image_column, pages, listing, .. } = how;
        let listing = listing.map(|told| told as &mut dyn FnMut(usize) -> bool);
        let how =
            Opening { labels, label_column, image_column, group_column: None, pages, listing };
        let mut set = PictureSet::open_all(data, how)?;
        set.notes.extend(twice(classes));
        Ok(set)
    }

    /// Evaluates it on a set from [`labelled`](Self::labelled), or a part of one.
    ///
    /// # Errors
    /// Pictures that cannot be used.
    pub fn evaluate(&self, set: &Arc<PictureSet>, batch: usize) -> Result<Evaluation> {
        self.evaluate_telling(set, batch, |_, _| {})
    }

    /// As [`evaluate`](Self::evaluate); after each batch, `told` learns how many are done and how many
    /// there are.
    ///
    /// # Errors
    /// The same.
    pub fn evaluate_telling(
        &self,
        set: &Arc<PictureSet>,
        batch: usize,
        mut told: impl FnMut(u64, u64),
    ) -> Result<Evaluation> {
        let network = self.classifier.network();
        let (set, backend) = (Arc::clone(set), network.backend());
        let mut evaluation = EvaluationSet::new(set, self.description(), batch, backend)?;
        let found = evaluation.evaluate(network, |done, all| {
            told(done, all);
            true
        })?;
        let mut found = found.expect("nothing stops it");
        found.skipped.splice(0..0, evaluation.pictures().skipped.iter().cloned());
        Ok(found)
    }
}

/// Labelled pictures on which classifiers are evaluated, as often as one likes. The threads that load
/// them stay from one evaluation to the next.
#[derive(Debug)]
pub struct EvaluationSet {
    set: Arc<PictureSet>,
    classes: Vec<String>,
    pictures: Pictures,
}

impl EvaluationSet {
    /// The pictures of `set`, whose labels are positions in the description's classes, as the network
    /// it describes takes them where it is computed by `backend`.
    ///
    /// # Errors
    /// Pictures that do not fit the network, or none with a label.
    pub fn new(
        set: Arc<PictureSet>,
        description: &Description,
        batch: usize,
        backend: &Backend,
    ) -> Result<Self> {
        if set.samples.iter().all(|sample| sample.label.is_none()) {
            let text = "no picture has a label to compare with; open the folder with its classes";
            return Err(Error::Unusable(text.to_owned()));
        }
        Ok(Self {
            pictures: Preparation::new(description)
                .on(backend)
                .pictures(Arc::clone(&set), batch)?,
            set,
            classes: description.classes.clone(),
        })
    }

    /// The pictures.
    pub fn pictures(&self) -> &Arc<PictureSet> {
        &self.set
    }

    /// Evaluates a classifier. After each batch, `go_on` is told how many are done and how many there
    /// are; `None` where it did not want to go on.
    ///
    /// # Errors
    /// Where none of the pictures can be read; [`Error::NoNumbers`].
    pub fn evaluate(
        &mut self,
        network: &Network<Classifier>,
        mut go_on: impl FnMut(u64, u64) -> bool,
    ) -> Result<Option<Evaluation>> {
        let classes = self.classes.len();
        let alike = alike(&self.classes);
        let mut confusion = Confusion::new(classes);
        let mut answers = vec![None; self.set.len()];
        let mut mistakes = Vec::new();
        let (mut right, mut among_five, mut loss, mut count) = (0usize, 0usize, 0.0f64, 0usize);
        // Pictures of which no class is likelier than another.
        let mut all_tie = 0;
        let all = self.pictures.batches();
        self.pictures.rewind();
        for (batch, done) in self.pictures.by_ref().zip(1..) {
            let Prepared { images, indices, .. } = batch?;
            if !indices.is_empty() {
                let mut likelihoods = log_softmax(&network.logits(&images)?);
                likelihoods.chunks_exact_mut(classes).for_each(|scores| unite(scores, &alike));
                for (scores, &index) in likelihoods.chunks_exact(classes).zip(&indices) {
                    let Some(label) = self.set.samples[index as usize].label else { continue };
                    if scores.iter().any(|score| score.is_nan()) {
                        let picture = printable(&self.set.path(index as usize));
                        return Err(Error::NoNumbers { picture });
                    }
                    let (predicted, before) = (most_likely(scores), before(scores, label));
                    right += usize::from(predicted == label);
                    among_five += usize::from(before < 5);
                    all_tie += usize::from(scores.iter().all(|score| *score == scores[0]));
                    loss -= f64::from(scores[label]);
                    count += 1;
                    confusion.add(label, predicted);
                    answers[index as usize] = Some(predicted as u32);
                    if predicted != label {
                        mistakes.push((scores[predicted], index as usize, label, predicted));
                    }
                }
                mistakes.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                mistakes.truncate(MOST_MISTAKES);
            }
            if !go_on(done, all) {
                return Ok(None);
            }
        }
        if count == 0 {
            let first = self.pictures.skipped().into_iter().next();
            let why = first.map_or(String::new(), |Skipped { path, reason }| {
                format!("; the first one, {}: {reason}", printable(&path))
            });
            return Err(Error::Unusable(format!("none of the pictures can be read{why}")));
        }
        let name = |class: usize| self.classes[class].clone();
        let mistake = |(likelihood, index, truth, predicted): (f32, usize, usize, usize)| Mistake {
            index,
            path: printable(&self.set.path(index)),
            truth: name(truth),
            predicted: name(predicted),
            probability: likelihood.exp(),
        };
        let share = |hits: usize| hits as f64 / count as f64;
        Ok(Some(Evaluation {
            classes: self.classes.clone(),
            images: count,
            top1: share(right),
            top5: share(among_five),
            loss: loss / count as f64,
            confusion,
            answers,
            mistakes: mistakes.into_iter().map(mistake).collect(),
            skipped: self.pictures.skipped(),
            says_nothing: classes > 1 && all_tie == count,
        }))
    }
}

/// For each class that has the name of one before it: its position, and that of the first.
fn alike(classes: &[String]) -> Vec<(usize, usize)> {
    let mut first = HashMap::new();
    let places = classes.iter().enumerate();
    places
        .filter_map(|(position, name)| {
            let before = *first.entry(name.as_str()).or_insert(position);
            (before != position).then_some((position, before))
        })
        .collect()
}

/// A note on classes of one name.
fn twice(classes: &[String]) -> Option<String> {
    let alike = alike(classes);
    let &(position, first) = alike.first()?;
    Some(format!(
        "several of the weights' classes are called {:?} (numbers {first} and {position}{}): either counts as \
         right",
        classes[first],
        if alike.len() > 1 { ", and others" } else { "" }
    ))
}

/// Gives the first of several classes of one name the best of their scores, and the others none.
fn unite(scores: &mut [f32], alike: &[(usize, usize)]) {
    for &(position, first) in alike {
        scores[first] = scores[first].max(scores[position]);
        scores[position] = f32::NEG_INFINITY;
    }
}

/// The class with the largest score, of several the first, as `torch.argmax` and a prediction have it.
fn most_likely(scores: &[f32]) -> usize {
    (1..scores.len()).fold(0, |best, i| if scores[i] > scores[best] { i } else { best })
}

/// How many classes a prediction names before this one: those with larger scores, and of the same score those of a
/// smaller position.
fn before(scores: &[f32], label: usize) -> usize {
    let ahead = |(class, &score): (usize, &f32)| {
        score > scores[label] || score == scores[label] && class < label
    };
    scores.iter().enumerate().filter(|&each| ahead(each)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_one_name_share_their_best_score() {
        let names = ["a", "crane", "b", "crane"].map(str::to_owned);
        assert_eq!(alike(&names), [(3, 1)]);
        let mut scores = [-3.0, -2.0, -1.0, -0.5];
        unite(&mut scores, &alike(&names));
        assert_eq!(scores, [-3.0, -0.5, -1.0, f32::NEG_INFINITY]);
        assert_eq!(most_likely(&scores), 1);
        assert!(
            twice(&names).is_some_and(|note| note.contains("\"crane\" (numbers 1 and 3): either"))
        );
        assert_eq!(twice(&names[..3]), None);
    }

    #[test]
    fn of_classes_that_tie_the_first_counts() {
        assert_eq!(most_likely(&[0.1, 0.9, 0.3]), 1);
        assert_eq!(most_likely(&[0.3, 0.9, 0.9]), 1);
        let scores = [0.3, 0.9, 0.9, 0.1];
        assert_eq!([0, 1, 2, 3].map(|label| before(&scores, label)), [2, 0, 1, 3]);
        assert_eq!([0, 5, 6].map(|label| before(&[0.0; 7], label)), [0, 5, 6]);
    }
}
