//! Targets of pre-training, and of classification.

use fcmae_kernels::cross_entropy as kernel;

use crate::engine::ops::{self, Filler};
use crate::engine::tape::Pass;
use crate::engine::tensor::Tensor;
use crate::network::mask::Mask;

/// Added to a patch's variance before its root.
pub const PATCH_EPS: f32 = 1e-6;

/// An image batch cut into patches: `[N, H, W, channels]` to `[N·L, patch²·channels]`, values in
/// (row, column, channel) order, channel fastest.
pub fn patchify(pass: &mut Pass<'_>, images: Tensor, patch: usize) -> Tensor {
    let windows = ops::space_to_depth(pass, images, patch);
    let [images, rows, cols, values] = windows.dims();
    windows.reshape([images * rows * cols, values])
}

/// What the decoder is to predict: the masked rows of `patches [N·L, D]`, each minus its mean over
/// √(variance + 1e-6) (unbiased) where `normalize`.
pub fn targets(pass: &mut Pass<'_>, patches: Tensor, mask: &Mask, normalize: bool) -> Tensor {
    let masked = ops::select_rows(pass, patches, mask.masked_rows(), Filler::None);
    if normalize { ops::standardize_rows(pass, masked, PATCH_EPS) } else { masked }
}

/// Mean and √(unbiased variance + 1e-6) of every row of `patches`, of `values` values each.
pub fn patch_statistics(patches: &[f32], values: usize) -> Vec<[f32; 2]> {
    let statistics = |row: &[f32]| {
        let wide = || row.iter().map(|&value| f64::from(value));
        let mean = wide().sum::<f64>() / row.len() as f64;
        let squares = wide().map(|value| (value - mean).powi(2)).sum::<f64>();
        // A patch of one value has no unbiased variance; it counts as constant.
        let freedom = row.len().saturating_sub(1).max(1) as f64;
        [mean as f32, (squares / freedom + f64::from(PATCH_EPS)).sqrt() as f32]
    };
    patches.chunks_exact(values).map(statistics).collect()
}

/// The logarithms of the softmax of logits `[N, K]`, of each row.
pub fn log_softmax(logits: &Tensor) -> Vec<f32> {
    let mut likelihoods = logits.to_vec();
    if likelihoods.is_empty() {
        return likelihoods;
    }
    let result = kernel::log_softmax(logits.values(), logits.shape().last(), &mut likelihoods);
    result.expect("rows of as many values");
    likelihoods
}

/// The probabilities that classes are to have, `[N, K]`, with label smoothing: `1 − smoothing` on the
/// label and `smoothing / K` on all.
pub fn smoothed(labels: &[u32], classes: usize, smoothing: f64) -> Vec<f32> {
    let mut target = vec![(smoothing / classes as f64) as f32; labels.len() * classes];
    for (row, &label) in target.chunks_mut(classes).zip(labels) {
        row[label as usize] += (1.0 - smoothing) as f32;
    }
    target
}

/// Lets each class count by its weight: the targets `[N, K]` of class k times `weights[k]`, as
/// PyTorch's cross entropy weighs probabilities.
pub fn weigh(targets: &mut [f32], weights: &[f64]) {
    for row in targets.chunks_exact_mut(weights.len()) {
        for (target, weight) in row.iter_mut().zip(weights) {
            *target *= *weight as f32;
        }
    }
}
