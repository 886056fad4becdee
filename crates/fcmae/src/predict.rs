//! Classes for single pictures.

use std::path::Path;

use fcmae_data::{
    DataError, EvalTransform, ImageFolder, Limits, Normalization, Picture, PixelFormat, decode,
};
use image::RgbImage;
use serde::Serialize;

use crate::error::Result;
use crate::loss::log_softmax;
use crate::model::Classifier;
use crate::network::Network;
use crate::picture;
use crate::tensor::Tensor;
use crate::weights::{Description, Weights};

/// A class and its probability.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Guess {
    /// The class's name.
    pub class: String,
    /// From the softmax of the logits.
    pub probability: f32,
}

/// A classifier ready to look at pictures.
pub struct Predictor {
    network: Network<Classifier>,
    preparation: Preparation,
    /// What the weights are of.
    pub description: Description,
}

impl Predictor {
    /// # Errors
    /// Weights that cannot be used, or have no head.
    pub fn open(weights: &Path) -> Result<Self> {
        let weights = Weights::open(weights)?;
        let network = weights.classifier()?;
        let preparation = Preparation::new(&weights.description);
        Ok(Self { network, preparation, description: weights.description })
    }

    /// The `top` most likely classes of a picture, the likeliest first.
    ///
    /// # Errors
    /// A file that is no picture.
    pub fn predict(&self, path: &Path, top: usize) -> Result<Vec<Guess>> {
        let image = self.preparation.input(path)?;
        let mut probabilities = log_softmax(&self.network.logits(&image));
        probabilities.iter_mut().for_each(|likelihood| *likelihood = likelihood.exp());
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
        let guess = |&class: &usize| Guess {
            class: self.description.classes[class].clone(),
            probability: probabilities[class],
        };
        Ok(order.iter().take(top).map(guess).collect())
    }
}

/// From a file to the network's input, as in evaluation.
#[derive(Clone, Debug)]
pub struct Preparation {
    transform: EvalTransform,
    normalization: Normalization,
    format: PixelFormat,
}

impl Preparation {
    /// As the weights were evaluated.
    pub fn new(description: &Description) -> Self {
        Self {
            transform: description.transform(),
            normalization: description.normalization(),
            format: description.format(),
        }
    }

    /// The picture that the network sees.
    ///
    /// # Errors
    /// A file that is no picture.
    pub fn picture(&self, path: &Path) -> Result<Picture> {
        let picture = decode::open(path, self.format, &Limits::default())?;
        Ok(self.transform.apply(&picture)?)
    }

    /// The picture that the network sees of one of a set.
    ///
    /// # Errors
    /// A sample that is no picture.
    pub fn sample(&self, set: &ImageFolder, index: usize) -> Result<Picture> {
        let limits = Limits::default();
        let named = |source| DataError::Picture { path: set.path(index), source };
        let bytes = set.read(index, &limits).map_err(named)?;
        let picture = decode::decode(&bytes, self.format, &limits).map_err(named)?;
        Ok(self.transform.apply(&picture)?)
    }

    /// The network's input of one of a set, `[1, H, W, channels]`.
    ///
    /// # Errors
    /// A sample that is no picture.
    pub fn sample_input(&self, set: &ImageFolder, index: usize) -> Result<Tensor> {
        self.normalized(&self.sample(set, index)?)
    }

    /// The same for people to look at.
    ///
    /// # Errors
    /// A sample that is no picture.
    pub fn shown(&self, set: &ImageFolder, index: usize) -> Result<RgbImage> {
        let input = self.sample_input(set, index)?;
        let [_, height, width, _] = input.dims();
        let tones = picture::tones(self.normalization.clone(), self.format.depth);
        picture::denormalize(input.values(), [height, width], &tones)
    }

    /// The network's input, `[1, H, W, channels]`.
    ///
    /// # Errors
    /// A file that is no picture.
    pub fn input(&self, path: &Path) -> Result<Tensor> {
        self.normalized(&self.picture(path)?)
    }

    /// A picture of the network's size as its input, `[1, H, W, channels]`.
    ///
    /// # Errors
    /// Another number of channels.
    pub fn normalized(&self, picture: &Picture) -> Result<Tensor> {
        let mut values = Vec::new();
        self.normalization.append(picture, &mut values)?;
        let sides = [picture.height(), picture.width(), picture.channels()];
        let [height, width, channels] = sides.map(|side| side as usize);
        Ok(Tensor::new(values, [1, height, width, channels]))
    }
}
