//! What a pre-trained network makes of hidden patches, as a picture.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use image::RgbImage;

use crate::error::Result;
use crate::loss;
use crate::mask::Mask;
use crate::ops;
use crate::parameters::host;
use crate::picture;
use crate::predict::Preparation;
use crate::weights::Weights;

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

/// Hides patches of each picture and lets the network fill them in. The masks follow from `seed`
/// and the picture's place in the list.
///
/// Where the network was trained on normalized patches (`norm_pix_loss`), it predicts each patch up
/// to its mean and contrast; those are taken from the original, as the authors do.
///
/// # Errors
/// Weights without a decoder, or files that are no pictures.
pub fn reconstruct(weights: &Path, images: &[PathBuf], seed: u64) -> Result<Vec<Reconstruction>> {
    let weights = Weights::open(weights)?;
    let (model, masking) = weights.autoencoder(&Device::flex())?;
    let description = &weights.description;
    let [height, width] = description.image_size;
    let (patch, channels) = (description.model.patch(), description.model.channels);
    let grid = description.model.patch_grid(height, width)?;
    let preparation = Preparation::new(description);

    let mut reconstructions = Vec::new();
    for (number, path) in images.iter().enumerate() {
        let mask = Mask::random(grid, masking.ratio, seed, 0, &[number as u32])?;
        let patches = loss::patchify(preparation.input(path)?, patch);
        let predicted = model.predict(patches.clone(), &mask);
        let targets = loss::targets(patches.clone(), &mask, masking.norm_pix_loss);
        let error = loss::reconstruction(predicted.clone(), targets);

        let predicted = if masking.norm_pix_loss {
            let hidden = loss::targets(patches.clone(), &mask, false);
            let (mean, std) = loss::patch_statistics(hidden);
            predicted * std + mean
        } else {
            predicted
        };
        let original = host(patches.clone());
        let mut filled = original.clone();
        let values = patch * patch * channels;
        for (row, prediction) in mask.masked_rows().into_iter().zip(host(predicted).chunks(values))
        {
            filled[row as usize * values..][..values].copy_from_slice(prediction);
        }
        let to_picture = |values: Vec<f32>| -> Result<RgbImage> {
            let flat = Tensor::<1>::from_floats(values.as_slice(), &Device::flex());
            let windows = flat.reshape([1, grid[0], grid[1], patch * patch * channels]);
            let pixels = host(ops::depth_to_space(windows, patch));
            picture::denormalize(&pixels, [height, width], &description.mean, &description.std)
        };
        let original = to_picture(original)?;
        reconstructions.push(Reconstruction {
            masked: picture::hide(&original, patch, mask.masked()),
            original,
            reconstruction: to_picture(filled)?,
            loss: host(error)[0],
        });
    }
    Ok(reconstructions)
}
