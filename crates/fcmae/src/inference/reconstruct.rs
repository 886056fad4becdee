//! What a pre-trained network makes of hidden patches, as a picture.

use std::path::Path;
use std::sync::Arc;

use fcmae_data::{Input, PictureSet};
use image::RgbImage;

use crate::config::MaskConfig;
use crate::engine::backend::Backend;
use crate::engine::module::Network;
use crate::engine::ops;
use crate::engine::tensor::Tensor;
use crate::error::Result;
use crate::inference::Inference;
use crate::inference::picture::{self, Sheet};
use crate::network::autoencoder::Autoencoder;
use crate::network::loss;
use crate::network::mask::Mask;
use crate::weights::{Description, Weights};

/// The three columns for one picture.
#[derive(Clone, Debug)]
pub struct Reconstruction {
    /// The picture as the network sees it.
    pub original: RgbImage,
    /// With the hidden patches grey.
    pub masked: RgbImage,
    /// The prediction, with the visible patches pasted in.
    pub reconstruction: RgbImage,
    /// Mean squared error at the hidden patches, on the scale of the training loss.
    pub loss: f32,
}

/// A masked autoencoder, and how pictures become its input.
///
/// Where the network was trained on normalized patches (`norm_pix_loss`), it predicts each patch up
/// to its mean and contrast; those are taken from the original, as the authors do.
pub struct Reconstructor {
    autoencoder: Inference<Autoencoder>,
    masking: MaskConfig,
    grid: [usize; 2],
}

impl Reconstructor {
    /// Of weights that have a decoder.
    ///
    /// # Errors
    /// Weights without one; a device that cannot be used.
    pub fn open(weights: &Path, backend: &Backend) -> Result<Self> {
        Self::with_weights(&Weights::open(weights)?, backend)
    }

    /// Of weights that were read.
    ///
    /// # Errors
    /// Weights without a decoder; a device that cannot be used.
    pub fn with_weights(weights: &Weights, backend: &Backend) -> Result<Self> {
        let decoder = weights.description.decoder.as_ref().map(|(decoder, _)| decoder);
        weights.description.model.check_on(backend, decoder)?;
        let autoencoder = Inference::open(weights, backend)?;
        // Weights that make an autoencoder say how it was masked.
        let masking = weights
            .description
            .decoder
            .as_ref()
            .map(|(_, masking)| masking.clone())
            .unwrap_or_default();
        Self::of(autoencoder, masking)
    }

    /// Of a network.
    ///
    /// # Errors
    /// An image size that cannot be cut into patches.
    pub fn new(
        network: Network<Autoencoder>,
        masking: MaskConfig,
        description: Description,
    ) -> Result<Self> {
        Self::of(Inference::new(network, description), masking)
    }

    fn of(autoencoder: Inference<Autoencoder>, masking: MaskConfig) -> Result<Self> {
        let Description { image_size: [height, width], model, .. } = autoencoder.description();
        let grid = model.patch_grid(*height, *width)?;
        Ok(Self { autoencoder, masking, grid })
    }

    /// The network.
    pub(crate) fn autoencoder(&self) -> &Inference<Autoencoder> {
        &self.autoencoder
    }

    /// Hides patches of a picture, chosen by `seed` and `number`, and fills them in.
    ///
    /// # Errors
    /// What is no picture.
    pub fn reconstruct(
        &self,
        picture: impl Into<Input>,
        number: usize,
        seed: u64,
    ) -> Result<Reconstruction> {
        self.image(&self.autoencoder.preparation().input(picture)?, number, seed)
    }

    /// The same for one picture of a set, from wherever it lies.
    ///
    /// # Errors
    /// A sample that is no picture.
    pub fn sample(&self, set: &Arc<PictureSet>, index: usize, seed: u64) -> Result<Reconstruction> {
        self.image(&self.autoencoder.preparation().sample(set, index)?, index, seed)
    }

    /// Of an input `[1, H, W, channels]`.
    fn image(&self, input: &Tensor, number: usize, seed: u64) -> Result<Reconstruction> {
        let Self { autoencoder, masking, grid } = self;
        let model = &autoencoder.description().model;
        let (patch, channels) = (model.patch(), model.channels);
        let mask = Mask::random(*grid, masking.ratio.mean(), seed, 0, &[number as u32])?;
        let [patches, hidden, predicted, error] =
            autoencoder.network().infer_all(|module, pass| {
                let patches = loss::patchify(pass, input.clone(), patch);
                let hidden = loss::targets(pass, patches.clone(), &mask, false);
                let targets = loss::targets(pass, patches.clone(), &mask, masking.norm_pix_loss);
                let predicted = module.predict(pass, patches.clone(), &mask);
                let error = ops::mean_squared_difference(pass, predicted.clone(), targets);
                [patches, hidden, predicted, error]
            })?;

        let values = patch * patch * channels;
        let mut predicted = predicted.to_vec();
        if masking.norm_pix_loss {
            let statistics = loss::patch_statistics(hidden.values(), values);
            for (patch, [mean, std]) in predicted.chunks_mut(values).zip(statistics) {
                patch.iter_mut().for_each(|value| *value = *value * std + mean);
            }
        }
        let mut filled = patches.to_vec();
        for (row, prediction) in mask.masked_rows().into_iter().zip(predicted.chunks(values)) {
            filled[row as usize * values..][..values].copy_from_slice(prediction);
        }
        let original = self.picture(patches)?;
        Ok(Reconstruction {
            masked: picture::hide(&original, patch, mask.masked()),
            original,
            reconstruction: self.picture(Tensor::new(filled, [mask.patches(), values]))?,
            loss: error.values()[0],
        })
    }

    /// Patches, row after row, as a picture.
    fn picture(&self, patches: Tensor) -> Result<RgbImage> {
        let description = self.autoencoder.description();
        let Description { model, image_size, depth, .. } = description;
        let (patch, [rows, cols]) = (model.patch(), self.grid);
        let windows = patches.reshape([1, rows, cols, patch * patch * model.channels]);
        let network = self.autoencoder.network();
        let pixels = network.infer(|_, pass| ops::depth_to_space(pass, windows.clone(), patch))?;
        let tones = picture::tones(description.normalization(), *depth);
        picture::denormalize(pixels.values(), *image_size, &tones)
    }
}

/// Hides patches of each picture and lets the network fill them in. The masks follow from `seed`
/// and the picture's place in the list.
///
/// # Errors
/// Weights without a decoder, or files that are no pictures.
pub fn reconstruct(
    weights: &Path,
    images: &[Input],
    seed: u64,
    backend: &Backend,
) -> Result<Vec<Reconstruction>> {
    reconstruct_with(&Weights::open(weights)?, images, seed, backend)
}

/// The same with weights that were read.
///
/// # Errors
/// As [`reconstruct`].
pub fn reconstruct_with(
    weights: &Weights,
    images: &[Input],
    seed: u64,
    backend: &Backend,
) -> Result<Vec<Reconstruction>> {
    let reconstructor = Reconstructor::with_weights(weights, backend)?;
    let rows = images.iter().enumerate();
    rows.map(|(number, input)| reconstructor.reconstruct(input.clone(), number, seed)).collect()
}

/// A row for each picture: original, masked, reconstruction.
///
/// # Errors
/// Pictures of several sizes, or so many that no viewer shows them.
pub fn sheet(rows: &[Reconstruction]) -> Result<RgbImage> {
    // Every picture has the net's size; where there is none there is nothing to draw.
    let (width, height) = rows.first().map_or((1, 1), |row| row.original.dimensions());
    let titles = ["original", "masked", "reconstruction"];
    let mut sheet = Sheet::new(&titles, height, width)?.enlarged();
    for Reconstruction { original, masked, reconstruction, .. } in rows {
        sheet.row(&[original.clone(), masked.clone(), reconstruction.clone()])?;
    }
    sheet.draw()
}
