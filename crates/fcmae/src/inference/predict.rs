//! Classes for pictures.

use std::path::Path;

use fcmae_data::{Input, Inputs};
use serde::Serialize;

use crate::engine::backend::Backend;
use crate::error::Result;
use crate::inference::Inference;
use crate::network::model::Classifier;
use crate::weights::{Description, Weights};

/// A class and its probability.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Guess {
    /// The class's name.
    pub class: String,
    /// From the softmax of the logits.
    pub probability: f32,
}

/// A classifier ready to look at pictures. Any number of threads may use one.
pub struct Predictor {
    classifier: Inference<Classifier>,
}

impl Predictor {
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

    /// The `top` most likely classes of a picture, the likeliest first; of classes that tie, those that the weights
    /// have first.
    ///
    /// # Errors
    /// What is no picture.
    pub fn predict(&self, picture: impl Into<Input>, top: usize) -> Result<Vec<Guess>> {
        self.predict_all(picture.into(), top)?.next().expect("a result for each input")
    }

    /// The same for many pictures, in batches and decoded ahead: one result for each, in their order, as
    /// they come. The result of a picture that cannot be used is an error that names it; the others go on.
    ///
    /// # Errors
    /// A description whose settings of transform or normalization are not valid.
    pub fn predict_all(
        &self,
        pictures: impl Into<Inputs>,
        top: usize,
    ) -> Result<impl Iterator<Item = Result<Vec<Guess>>>> {
        let likelihoods = self.classifier.likelihoods(pictures)?;
        Ok(likelihoods.map(move |all| Ok(self.likeliest(&all?, top))))
    }

    /// Of classes that tie, the first ones of the weights come first, as an evaluation counts them.
    fn likeliest(&self, likelihoods: &[f32], top: usize) -> Vec<Guess> {
        let mut order: Vec<usize> = (0..likelihoods.len()).collect();
        order.sort_by(|&a, &b| likelihoods[b].total_cmp(&likelihoods[a]));
        let guess = |&class: &usize| Guess {
            class: self.description().classes[class].clone(),
            probability: likelihoods[class].exp(),
        };
        order.iter().take(top).map(guess).collect()
    }
}
