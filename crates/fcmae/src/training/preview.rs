//! What a network is about to be fed, to be looked at before a long run.

use std::path::PathBuf;
use std::sync::Arc;

use fcmae_data::{Batch, Labels, Loader, LoaderOptions, PictureSet, Transform};
use image::RgbImage;

use super::events::{Event, Flow};
use super::split::{self, PretrainData};
use super::watch::{self, Watch};
use crate::config::{DataConfig, FinetuneConfig, PretrainConfig};
use crate::error::{Error, Result};
use crate::inference::picture::{self, Sheet};
use crate::network::mask::Mask;

/// Pictures shown, at most.
const SHOWN: usize = 24;
/// Pictures in a row, at most.
const COLUMNS: usize = 6;

/// The first pictures of a pre-training as the network gets them, each with its hidden patches grey.
///
/// The observer learns how far listing is, and may end it.
///
/// # Errors
/// Pictures or settings that cannot be used.
pub fn preview_pretraining(
    config: &PretrainConfig,
    data: PretrainData<'_>,
    observer: &mut dyn FnMut(Event<'_>) -> Flow,
) -> Result<RgbImage> {
    let [height, width] = config.data.image_size;
    let grid = config.model.patch_grid(height, width)?;
    let set = split::listed(data.training, &config.data, Labels::Ignored, observer)?;
    if !data.watched.is_empty() {
        Watch::of(data.watched, config, Vec::new(), observer).map_err(watch::of_option)?;
    }
    let batch = first(set, config.data.train_transform(), &config.data, config.seed)?;
    let patch = config.model.patch();
    let mask = Mask::random(
        grid,
        config.mask.ratio.at(config.seed, 0),
        config.seed,
        batch.epoch,
        &batch.indices,
    )?;
    let per_image = mask.masked().len() / batch.len().max(1);
    let masked = mask.masked().chunks(per_image.max(1));
    let tiles = pictures(&batch, &config.data)?.into_iter().zip(masked);
    let pairs = tiles.flat_map(|(shown, masked)| {
        let hidden = picture::hide(&shown, patch, masked);
        [shown, hidden]
    });
    sheet(pairs.collect())
}

/// The first pictures of a fine-tuning as the network gets them, before they are mixed in pairs. The settings
/// are [`settled`](super::settled) ones. The observer learns how far listing is, and may end it.
///
/// # Errors
/// Pictures or settings that cannot be used.
pub fn preview_finetuning(
    config: &FinetuneConfig,
    data: &[PathBuf],
    observer: &mut dyn FnMut(Event<'_>) -> Flow,
) -> Result<RgbImage> {
    let set = split::listed(data, &config.data, Labels::Required, observer)?;
    let batch = first(set, config.train_transform()?, &config.data, config.seed)?;
    sheet(pictures(&batch, &config.data)?)
}

fn first(set: PictureSet, transform: Transform, data: &DataConfig, seed: u64) -> Result<Batch> {
    let options = LoaderOptions {
        workers: 0,
        cache_bytes: 0,
        ..data.train_options(SHOWN.min(set.len()), seed)
    };
    let mut batches = Loader::new(Arc::new(set), transform, data.normalization(), &options)?;
    match batches.next().transpose()? {
        Some(batch) if !batch.is_empty() => Ok(batch),
        _ => Err(Error::Unusable("there is no picture to show".to_owned())),
    }
}

fn pictures(batch: &Batch, data: &DataConfig) -> Result<Vec<RgbImage>> {
    let tones = picture::tones(data.normalization(), data.depth);
    let size = [batch.height, batch.width];
    let values = batch.images.chunks_exact(batch.height * batch.width * batch.channels);
    values.map(|values| picture::denormalize(values, size, &tones)).collect()
}

fn sheet(tiles: Vec<RgbImage>) -> Result<RgbImage> {
    let (width, height) = tiles.first().map_or((1, 1), RgbImage::dimensions);
    // Seven are rows of 4 and 3, not of 6 and 1.
    let columns = tiles.len().div_ceil(tiles.len().div_ceil(COLUMNS).max(1)).max(1);
    let mut sheet = Sheet::new(&vec![""; columns], height, width)?.enlarged();
    for row in tiles.chunks(columns) {
        sheet.row(row)?;
    }
    sheet.draw()
}
