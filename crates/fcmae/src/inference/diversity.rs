//! Feature diversity: whether a network's channels collapse onto each other (ConvNeXt V2, section
//! 3.2 and figures 3 and 4).
//!
//! For one image's features X, sites × C, the distance is the mean over all pairs of channels of
//! `(1 − cos(Xᵢ, Xⱼ)) / 2`, channel maps flattened over sites, the diagonal included. It is taken of
//! the 4C features inside every block, after GELU and after GRN, and averaged over images.
//!
//! Beside it, of the features after GRN over all images: their effective rank, and the channels that
//! are dead or saturated ([`fcmae_vectors::rank`]).

use std::path::Path;
use std::sync::Arc;

use fcmae_data::source::printable;
use fcmae_data::{Amount, Inputs, Opening, PictureSet, Samples as _, Skipped};
pub use fcmae_store::run::schema::BlockFeatures;
use fcmae_vectors::rank::{ChannelSums, effective_rank};
use fcmae_vectors::{VectorError, Vectors};
use rayon::prelude::*;

use crate::engine::backend::Backend;
use crate::engine::tensor::Tensor;
use crate::error::{Error, Result};
use crate::inference::{Inference, Prepared};
use crate::network::model::Encoder;
use crate::network::model::block::Hidden;
use crate::weights::Weights;

/// Pictures at a time: all features of a batch are there at once.
const BATCH: usize = 8;

/// Sites that a block's rank is taken of, spread over the pictures. It is no larger than their number.
pub const RANK_SITES: usize = 1024;

/// What [`diversity`] found.
#[derive(Clone, Debug)]
pub struct Diversity {
    /// Every block, from the first to the last.
    pub blocks: Vec<BlockFeatures>,
    /// Pictures that were averaged over.
    pub images: usize,
    /// Files in the folder that are no pictures, and the others of those chosen, which could not be read.
    pub skipped: Vec<Skipped>,
}

/// The features of every block, over `count` pictures below `data`, always the same ones.
///
/// # Errors
/// Weights, pictures or a device that cannot be used.
pub fn diversity(
    weights: &Path,
    data: &Path,
    count: usize,
    backend: &Backend,
) -> Result<Diversity> {
    of_weights(&Weights::open(weights)?, data, count, backend)
}

/// The same of weights that were read.
///
/// # Errors
/// As [`diversity`].
pub fn of_weights(
    weights: &Weights,
    data: &Path,
    count: usize,
    backend: &Backend,
) -> Result<Diversity> {
    let encoder = Inference::<Encoder>::open(weights, backend)?;
    let pages = encoder.description().pages;
    let set = PictureSet::open(data, Opening { pages, ..Opening::default() })?;
    let count = count.clamp(1, set.len());
    let set = Arc::new(set.take_labels(Amount::Count(count), 0)?);
    let left_out = set.skipped.clone();
    let mut found = of_encoder(&encoder, |encoder| encoder, set)?.ok_or_else(|| {
        Error::Unusable(format!("{}: none of the pictures can be read", data.display()))
    })?;
    found.skipped.splice(..0, left_out);
    Ok(found)
}

/// The same of a network's `encoder`, over all of these pictures; `None` where none can be read.
///
/// # Errors
/// [`Error::NoNumbers`] for features that are none; what a card says, where one computes.
pub(crate) fn of_encoder<M>(
    network: &Inference<M>,
    encoder: impl Fn(&M) -> &Encoder,
    pictures: impl Into<Inputs>,
) -> Result<Option<Diversity>> {
    let model = &network.description().model;
    let pictures = pictures.into();
    let each = RANK_SITES.div_ceil(pictures.count().max(1));
    let mut gathered = vec![Gathered::default(); model.total_depth()];
    let inputs = pictures.clone();
    let mut images = 0;
    let mut pictures = network.preparation().pictures(pictures, BATCH)?;
    for batch in pictures.by_ref() {
        let Prepared { images: pixels, indices, .. } = batch?;
        if indices.is_empty() {
            continue;
        }
        images += indices.len();
        let mut diverged = None;
        network.network().observe(|module, pass| {
            let encoder = encoder(module);
            let sites = encoder.grid(&pixels);
            encoder.forward_hidden(pass, pixels, sites, |block, hidden| {
                let found = gathered[block].add(&hidden, each);
                diverged = diverged.or(found);
            });
        })?;
        if let Some(image) = diverged {
            let picture = inputs.name(indices[image] as usize);
            return Err(Error::NoNumbers { picture: printable(&picture) });
        }
    }
    if images == 0 {
        return Ok(None);
    }
    let skipped = pictures.skipped();
    let names = model.depths.iter().enumerate();
    let names: Vec<_> =
        names.flat_map(|(stage, &depth)| (0..depth).map(move |block| (stage, block))).collect();
    let last = (names.len() - 1).max(1) as f64;
    let blocks = gathered
        .into_par_iter()
        .zip(names)
        .enumerate()
        .map(|(place, (gathered, (stage, block)))| {
            let name = format!("stages.{stage}.blocks.{block}");
            gathered.features(name, place as f64 / last, images)
        })
        .collect::<std::result::Result<_, VectorError>>()?;
    Ok(Some(Diversity { blocks, images, skipped }))
}

/// What is kept of a block's features while pictures go through it.
#[derive(Clone, Default)]
struct Gathered {
    /// Sums of the distances, after GELU and after GRN.
    distances: [f64; 2],
    /// Absent before the first picture.
    sums: Option<ChannelSums>,
    /// Pictures so far.
    seen: usize,
    /// Some of the sites, `[sites, 4C]`, after GRN.
    sites: Vec<f32>,
}

impl Gathered {
    /// Adds the features of some images, and `each` sites of every image for the rank. Of features that are no numbers
    /// it says which image's they are first.
    fn add(&mut self, Hidden { gelu, grn }: &Hidden, each: usize) -> Option<usize> {
        let [after_gelu, after_grn] = [gelu, grn].map(distances);
        self.distances[0] += after_gelu.iter().sum::<f64>();
        self.distances[1] += after_grn.iter().sum::<f64>();
        let [_, sites, channels] = grn.dims();
        self.sums.get_or_insert_with(|| ChannelSums::new(channels)).add(grn.values());
        for image in grn.values().chunks_exact(sites * channels) {
            let each = each.min(sites);
            for number in 0..each {
                // Evenly over the picture, and elsewhere in the next one.
                let site = (number * sites / each + self.seen * 7919) % sites;
                if self.sites.len() < RANK_SITES * channels {
                    self.sites.extend_from_slice(&image[site * channels..][..channels]);
                }
            }
            self.seen += 1;
        }
        let all = after_gelu.iter().zip(&after_grn);
        all.into_iter().position(|(gelu, grn)| !(gelu + grn).is_finite())
    }

    fn features(
        self,
        name: String,
        depth: f64,
        images: usize,
    ) -> std::result::Result<BlockFeatures, VectorError> {
        let [after_gelu, after_grn] = self.distances.map(|sum| sum / images as f64);
        let channels = self.sums.as_ref().map_or(0, ChannelSums::width);
        let sums = self.sums.unwrap_or_else(|| ChannelSums::new(channels));
        let found = or_none(sums.channels())?;
        let rank = or_none(effective_rank(&Vectors::new(self.sites, channels)?, true))?;
        Ok(BlockFeatures {
            name,
            depth,
            channels,
            after_gelu,
            after_grn,
            effective_rank: rank.unwrap_or(0.0),
            dead: found.as_ref().map_or(0, |found| found.dead.len()),
            saturated: found.as_ref().map_or(0, |found| found.saturated.len()),
        })
    }
}

/// Of one site, or of sites that are all the same, there is nothing to measure.
fn or_none<T>(
    found: std::result::Result<T, VectorError>,
) -> std::result::Result<Option<T>, VectorError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(VectorError::Few { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The feature distance of each image of `[N, S, C]`.
///
/// `Σᵢⱼ cos(Xᵢ, Xⱼ) = ‖Σᵢ Xᵢ/‖Xᵢ‖‖²`, so no pair is ever formed. A channel that is zero at every
/// site has no direction: its cosine with any channel, itself included, counts as 0.
pub fn distances(features: &Tensor) -> Vec<f64> {
    let [images, sites, channels] = features.dims();
    let values = features.values();
    (0..images)
        .map(|image| {
            let x = &values[image * sites * channels..][..sites * channels];
            let mut norms = vec![0.0f64; channels];
            for row in x.chunks_exact(channels) {
                for (norm, &value) in norms.iter_mut().zip(row) {
                    *norm += f64::from(value).powi(2);
                }
            }
            let inverse: Vec<f64> =
                norms.iter().map(|&n| if n > 0.0 { 1.0 / n.sqrt() } else { 0.0 }).collect();
            let square = |row: &[f32]| {
                let sum: f64 = row.iter().zip(&inverse).map(|(&v, i)| f64::from(v) * i).sum();
                sum * sum
            };
            let cosines: f64 = x.chunks_exact(channels).map(square).sum();
            (1.0 - cosines / (channels * channels) as f64) / 2.0
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn distance(rows: &[[f32; 2]]) -> f64 {
        let flat: Vec<f32> = rows.iter().flatten().copied().collect();
        distances(&Tensor::new(flat, [1, rows.len(), 2]))[0]
    }

    #[test]
    fn known_pairs() {
        // Two equal channels: every cosine is 1. Opposite: 1, −1, −1, 1. Orthogonal: 1, 0, 0, 1.
        assert!(distance(&[[1.0, 2.0], [2.0, 4.0]]).abs() < 1e-12);
        assert!((distance(&[[1.0, -1.0], [2.0, -2.0]]) - 0.5).abs() < 1e-12);
        assert!((distance(&[[1.0, 0.0], [0.0, 3.0]]) - 0.25).abs() < 1e-12);
        // A silent channel: cosines 1, 0, 0, 0.
        assert!((distance(&[[1.0, 0.0], [2.0, 0.0]]) - 0.375).abs() < 1e-12);
    }
}
