//! A network that gives vectors.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use fcmae::inference::Inference;
use fcmae::inference::embed::Backbone;
use fcmae::weights::Description;
use fcmae_data::{Input, PictureSet};
use fcmae_vectors::file::Origin;

use super::args::EmbedderArgs;
use super::pictures::WithLabels;
use crate::failure::joined;
use crate::output;

/// A network that gives vectors.
pub(crate) struct Embedder<'a> {
    backbone: Inference<Backbone>,
    /// A hash of the weights' values.
    hash: String,
    args: &'a EmbedderArgs,
}

impl<'a> Embedder<'a> {
    /// Of these weights.
    ///
    /// # Errors
    /// Weights or a device that cannot be used.
    pub(crate) fn open(weights: &Path, args: &'a EmbedderArgs) -> Result<Self> {
        let backend = args.device.told()?;
        let weights = args.taken.of(weights)?;
        let hash = weights.tensors.hash();
        Ok(Self { backbone: Inference::open(&weights, &backend)?, hash, args })
    }

    /// What the network takes.
    pub(super) fn description(&self) -> &Description {
        self.backbone.description()
    }

    /// All pictures, and the labels of those that have any.
    ///
    /// # Errors
    /// Pictures that cannot be used.
    pub(crate) fn pictures(&self, command: &'static str, paths: &[PathBuf]) -> Result<WithLabels> {
        let columns = self.args.columns.columns(self.description().pages);
        WithLabels::open(command, paths, columns, self.description())
    }

    /// Values of a vector.
    pub(crate) fn width(&self) -> usize {
        self.args.features().width(&self.backbone.description().model)
    }

    /// Each of these pictures, by its place and in their order: its row, or none where it cannot be used, which is noted.
    /// An error of what reads or computes them is the last that comes.
    ///
    /// # Errors
    /// A description whose settings of transform or normalization are not valid.
    pub(crate) fn rows(
        &self,
        pictures: &WithLabels,
        which: Range<usize>,
    ) -> Result<impl Iterator<Item = Result<(usize, Option<Row>)>>> {
        let input = |index| Input::Sample { set: Arc::clone(&pictures.set), index };
        let inputs: Vec<Input> = which.clone().map(input).collect();
        let vectors = self.backbone.vectors(inputs, self.args.features())?;
        let row = |(index, vector): (usize, fcmae::Result<Vec<f32>>)| match vector {
            Ok(vector) => {
                let (name, label) = (pictures.name(index), pictures.labels[index].clone());
                Ok((index, Some(Row { name, label, vector })))
            }
            Err(error) if error.is_of_picture() => {
                let why = joined(&error.into());
                output::note(&format!("no vector: {why}"));
                Ok((index, None))
            }
            Err(error) => Err(error.into()),
        };
        Ok(which.zip(vectors).map(row))
    }

    /// What is recorded beside vectors of these pictures.
    pub(crate) fn origin(&self, set: &PictureSet) -> Origin {
        let [height, width] = self.backbone.description().image_size;
        Origin {
            program: concat!("fcmae ", env!("CARGO_PKG_VERSION")).to_owned(),
            weights: self.hash.clone(),
            features: self.args.features().to_string(),
            image_size: [height, width],
            width: self.width(),
            pictures: set.names_fingerprint(),
        }
    }
}

/// A picture with its vector.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) label: Option<String>,
    pub(crate) vector: Vec<f32>,
}
