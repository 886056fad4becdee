//! The loss of classification: `−Σ target·log softmax(logits)` over classes, the mean over images.

use fcmae_cuda::operations::cross_entropy as card;
use fcmae_kernels::cross_entropy as kernel;

use super::Operation;
use crate::engine::shape::Shape;
use crate::engine::tape::{Fill, Pass};
use crate::engine::tensor::Tensor;

/// `logits [N, K]` and as many target probabilities to `[1]`. On a tape it starts the backward pass at
/// the logits. The targets of an image may have another sum than 1, which is then its weight.
pub fn cross_entropy(pass: &mut Pass<'_>, logits: Tensor, targets: &[f32]) -> Tensor {
    let [_, classes] = logits.dims();
    let loss = pass.fill(
        Operation::CrossEntropy,
        Shape::from([1]).floats(),
        |_, out| {
            out[0] = kernel::cross_entropy(logits.values(), targets, classes, 1.0, None)?;
            Ok(())
        },
        |record, out| {
            let (logits, targets) = (record.features(&logits), record.floats(targets));
            card::cross_entropy(record, [&logits, &targets], classes, Some(out), None);
        },
    );
    pass.start_backward(logits, |pass, logits, share| {
        pass.fill(
            Operation::CrossEntropy,
            logits.shape(),
            |_, out| {
                let by = Some(out);
                kernel::cross_entropy(logits.values(), targets, classes, share, by).map(|_| ())
            },
            |record, out| {
                let (logits, targets) = (record.features(&logits), record.floats(targets));
                card::cross_entropy(record, [&logits, &targets], classes, None, Some((out, share)));
            },
        )
    });
    loss
}
