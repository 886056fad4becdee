//! Feature diversity: whether a network's channels collapse onto each other (ConvNeXt V2, section
//! 3.2 and figure 4).
//!
//! For one image's features X, sites × C, the distance is the mean over all pairs of channels of
//! `(1 − cos(Xᵢ, Xⱼ)) / 2`, channel maps flattened over sites, the diagonal included. It is taken of
//! the 4C features inside every block, after GELU and after GRN, and averaged over images.

use std::path::Path;
use std::sync::Arc;

use fcmae_data::{Amount, Opening, PictureSet, Skipped};
use serde::Serialize;

use crate::engine::backend::Backend;
use crate::engine::tensor::Tensor;
use crate::error::{Error, Result};
use crate::inference::{Inference, Prepared};
use crate::network::model::Encoder;
use crate::weights::Weights;

/// Pictures at a time: all features of a batch are there at once.
const BATCH: usize = 8;

/// The feature distance of one block.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerDistance {
    /// Such as `stages.2.blocks.5`.
    pub name: String,
    /// Place in the network, from 0 (first block) to 1 (last).
    pub depth: f64,
    /// After GELU, before GRN.
    pub after_gelu: f64,
    /// After GRN; in V1 the same as after GELU.
    pub after_grn: f64,
}

/// What [`diversity`] found.
#[derive(Clone, Debug)]
pub struct Diversity {
    /// Every block, from the first to the last.
    pub layers: Vec<LayerDistance>,
    /// Pictures that were averaged over.
    pub images: usize,
    /// The others of those chosen, which could not be read, and files in the folder that are no pictures.
    pub skipped: Vec<Skipped>,
}

/// The feature distance of every block, averaged over `count` pictures below
/// `data`, always the same ones.
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
    let description = encoder.description();
    let pages = description.pages;
    let set = PictureSet::open(data, Opening { pages, ..Opening::default() })?;
    let count = count.clamp(1, set.len());
    let set = Arc::new(set.take_labels(Amount::Count(count), 0)?);

    let blocks = description.model.total_depth();
    let mut sums = vec![[0.0f64; 2]; blocks];
    let mut seen = 0;
    let mut skipped = set.skipped.clone();
    let mut pictures = encoder.preparation().pictures(set, BATCH)?;
    for batch in pictures.by_ref() {
        let Prepared { images, indices, .. } = batch?;
        if indices.is_empty() {
            continue;
        }
        seen += indices.len();
        encoder.network().observe(|encoder, pass| {
            let sites = encoder.grid(&images);
            encoder.forward_hidden(pass, images, sites, |block, hidden| {
                sums[block][0] += distances(&hidden.gelu).iter().sum::<f64>();
                sums[block][1] += distances(&hidden.grn).iter().sum::<f64>();
            });
        })?;
    }
    if seen == 0 {
        return Err(Error::Unusable(format!(
            "{}: none of the pictures can be read",
            data.display()
        )));
    }
    let names = description.model.depths.iter().enumerate();
    let names = names.flat_map(|(stage, &depth)| (0..depth).map(move |b| (stage, b)));
    skipped.extend(pictures.skipped());
    let layers = names
        .zip(sums)
        .enumerate()
        .map(|(position, ((stage, block), [gelu, grn]))| LayerDistance {
            name: format!("stages.{stage}.blocks.{block}"),
            depth: position as f64 / (blocks - 1).max(1) as f64,
            after_gelu: gelu / seen as f64,
            after_grn: grn / seen as f64,
        })
        .collect();
    Ok(Diversity { layers, images: seen, skipped })
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
