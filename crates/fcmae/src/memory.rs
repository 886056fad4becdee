//! How much memory a step takes, to tell beforehand what cannot fit: a system that runs out of it
//! ends the process without a word.

use burn::tensor::Device;

use crate::autoencoder::Autoencoder;
use crate::config::{DataConfig, FinetuneConfig, ModelConfig, OptimConfig, PretrainConfig};
use crate::error::{ConfigError, Error, Result};
use crate::machine;
use crate::model::Classifier;
use crate::operations;
use crate::parameters;

/// What the program takes before it has a network.
const PROCESS: u64 = 64 << 20;

/// Memory in bytes: a fixed part, and one for each image of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Program, weights and, in training, gradients and moments.
    pub fixed: u64,
    /// Features of one image.
    pub per_image: u64,
}

impl Memory {
    /// With `batch` images at a time.
    pub fn with(&self, batch: usize) -> u64 {
        self.fixed.saturating_add(self.per_image.saturating_mul(batch as u64))
    }

    /// The batch and accumulation that make the same update of `update` images, where `free` bytes of
    /// memory are free: the largest batch that leaves three tenths of them for the pictures that are
    /// loaded ahead or kept, and for everybody else. A batch of one where not even that fits.
    pub fn fitting_batch(&self, update: usize, free: u64) -> (usize, usize) {
        self.largest_batch(update, free / 10 * 7)
    }

    fn largest_batch(&self, update: usize, bytes: u64) -> (usize, usize) {
        let most = bytes.saturating_sub(self.fixed) / self.per_image.max(1);
        let most = update.min(usize::try_from(most).unwrap_or(usize::MAX));
        let batch = (1..=most).rev().find(|&batch| update.is_multiple_of(batch)).unwrap_or(1);
        (batch, update / batch)
    }
}

/// Of a step of training, in which the encoder computes `patches` patches an image.
pub(crate) fn training(model: &ModelConfig, patches: usize, parameters: usize) -> Memory {
    // Measured: about 14 values for each block's sites and channels wait for the backward pass.
    let kept = operations::stages(model, patches)
        .map(|(sites, width, depth)| 14 * depth as u64 * sites as u64 * width as u64);
    // Weights, gradients and two moments.
    Memory { fixed: PROCESS + 4 * 4 * parameters as u64, per_image: 4 * kept.sum::<u64>() }
}

/// Of a forward pass without gradients.
pub(crate) fn prediction(model: &ModelConfig, patches: usize, parameters: usize) -> Memory {
    // Measured: about 20 values for each site and channel of the first stage, the largest.
    let passing = 20 * patches as u64 * operations::PATCH_SITES as u64 * model.widths[0] as u64;
    Memory { fixed: PROCESS + 4 * parameters as u64, per_image: 4 * passing }
}

/// Settings whose memory can be told beforehand.
pub trait Footprint {
    /// What training with these settings takes, without the loader's kept pictures.
    ///
    /// # Errors
    /// An image that cannot be cut into patches, or a mask that leaves none.
    fn memory(&self) -> Result<Memory, ConfigError>;

    /// How pictures are loaded.
    fn data(&self) -> &DataConfig;

    /// The optimizer's settings.
    fn optim(&self) -> &OptimConfig;

    /// The same, to change them.
    fn optim_mut(&mut self) -> &mut OptimConfig;
}

impl Footprint for PretrainConfig {
    fn memory(&self) -> Result<Memory, ConfigError> {
        let [height, width] = self.data.image_size;
        let [rows, cols] = self.model.patch_grid(height, width)?;
        let patches = self.mask.encoded_patches(rows * cols)?;
        // Parameters that nobody asks for are never made.
        let network = Autoencoder::new(&self.model, &self.decoder, &Device::flex());
        Ok(training(&self.model, patches, parameters::count(&network)))
    }

    fn data(&self) -> &DataConfig {
        &self.data
    }

    fn optim(&self) -> &OptimConfig {
        &self.optim
    }

    fn optim_mut(&mut self) -> &mut OptimConfig {
        &mut self.optim
    }
}

impl Footprint for FinetuneConfig {
    fn memory(&self) -> Result<Memory, ConfigError> {
        let [height, width] = self.data.image_size;
        let [rows, cols] = self.model.patch_grid(height, width)?;
        let network = parameters::count(&Classifier::new(&self.model, 1, &Device::flex()));
        let Memory { fixed, per_image } = training(&self.model, rows * cols, network);
        let average = if self.finetune.ema > 0.0 { 4 * network as u64 } else { 0 };
        Ok(Memory { fixed: fixed + average, per_image })
    }

    fn data(&self) -> &DataConfig {
        &self.data
    }

    fn optim(&self) -> &OptimConfig {
        &self.optim
    }

    fn optim_mut(&mut self) -> &mut OptimConfig {
        &mut self.optim
    }
}

/// Refuses settings that would take more memory than is free.
///
/// # Errors
/// [`Error::Memory`] with the batch that would fit and the accumulation that keeps the updates the
/// same.
pub(crate) fn check(config: &impl Footprint) -> Result<()> {
    let (memory, optim) = (config.memory()?, config.optim());
    let needed = memory.with(optim.batch);
    match machine::available_memory() {
        Some(free) if needed > free => {
            let update = optim.batch * optim.accumulation;
            let (batch, accumulation) = memory.fitting_batch(update, free);
            Err(Error::Memory { needed, free, batch, accumulation })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::MaskedEncoder;

    #[test]
    fn the_largest_batch_keeps_the_update() {
        let memory = Memory { fixed: 100, per_image: 10 };
        assert_eq!(memory.largest_batch(64, 100 + 640), (64, 1));
        assert_eq!(memory.largest_batch(64, 100 + 639), (32, 2));
        assert_eq!(memory.largest_batch(60, 100 + 170), (15, 4));
        assert_eq!(memory.largest_batch(64, 50), (1, 64));
    }

    #[test]
    fn a_network_of_half_the_patches_takes_half_the_features() {
        let config = PretrainConfig::default();
        let all = training(&config.model, 48, 0);
        assert_eq!(training(&config.model, 24, 0).per_image * 2, all.per_image);
    }

    #[test]
    fn the_dense_encoder_takes_memory_for_hidden_patches_too() {
        let mut config = PretrainConfig::default();
        config.model = config.model.resolve().unwrap();
        let per_image = |config: &PretrainConfig| config.memory().unwrap().per_image;
        assert_eq!(per_image(&config), training(&config.model, 19, 0).per_image);
        config.mask.encoder = MaskedEncoder::Dense;
        assert_eq!(per_image(&config), training(&config.model, 49, 0).per_image);
    }
}
