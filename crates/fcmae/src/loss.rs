//! Reconstruction loss at masked patches, and cross entropy for classification.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;

use crate::mask::Mask;
use crate::ops;

/// Added to a patch's variance before its root.
pub const PATCH_EPS: f64 = 1e-6;

/// An image batch cut into patches: `[N, H, W, channels]` to `[N·L, patch²·channels]`, values in
/// (row, column, channel) order, channel fastest.
pub fn patchify(images: Tensor<4>, patch: usize) -> Tensor<2> {
    let windows = ops::space_to_depth(images, patch);
    let [images, rows, cols, values] = windows.dims();
    windows.reshape([images * rows * cols, values])
}

/// What the decoder is to predict: the masked rows of `patches [N·L, D]`, each minus its mean over
/// √(variance + 1e-6) (unbiased) where `normalize`.
pub fn targets(patches: Tensor<2>, mask: &Mask, normalize: bool) -> Tensor<2> {
    let masked = ops::select_rows(patches, mask.masked_rows());
    if normalize { ops::standardize_rows(masked, PATCH_EPS) } else { masked }
}

/// Mean and √(unbiased variance + 1e-6) of every row of `[R, D]`, each `[R, 1]`.
pub fn patch_statistics(patches: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let values = patches.dims()[1];
    let mean = patches.clone().mean_dim(1);
    let centred = patches - mean.clone();
    // A patch of one value has no unbiased variance; it counts as constant.
    let freedom = values.saturating_sub(1).max(1) as f64;
    let variance = (centred.clone() * centred).sum_dim(1) / freedom;
    (mean, (variance + PATCH_EPS).sqrt())
}

/// Squared error, mean over a patch's values and over all masked patches of the batch: `[1]`. There
/// is no gradient by the targets.
pub fn reconstruction(predictions: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    ops::mean_squared_difference(predictions, targets)
}

/// Cross entropy of logits `[N, K]` against classes, with label smoothing: the target is
/// `1 − smoothing` on the class and `smoothing / K` on all. Mean over images: `[1]`.
pub fn cross_entropy(logits: Tensor<2>, labels: &[u32], smoothing: f64) -> Tensor<1> {
    let [images, classes] = logits.dims();
    let mut target = vec![(smoothing / classes as f64) as f32; images * classes];
    for (row, &label) in target.chunks_mut(classes).zip(labels) {
        row[label as usize] += (1.0 - smoothing) as f32;
    }
    soft_cross_entropy(logits, target)
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

/// Cross entropy of logits `[N, K]` against as many target probabilities, mean over images: `[1]`.
///
/// # Panics
/// With another number of targets than of logits.
pub fn soft_cross_entropy(logits: Tensor<2>, targets: Vec<f32>) -> Tensor<1> {
    let [images, classes] = logits.dims();
    let targets = burn::tensor::TensorData::new(targets, [images, classes]);
    let targets = Tensor::<2>::from_data(targets, &logits.device().inner());
    -(log_softmax(logits, 1) * targets.autodiff()).sum() / images as f64
}
