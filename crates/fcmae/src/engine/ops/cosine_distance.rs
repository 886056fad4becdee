//! How far the directions of rows are apart: the mean of 1 − cos.

use fcmae_cuda::operations::rows as card;
use fcmae_kernels::cosine as kernel;

use super::Operation;
use crate::engine::shape::Shape;
use crate::engine::tape::{Fill, Pass};
use crate::engine::tensor::Tensor;

/// The mean over rows of `1 − cos(a, b)`, `a` and `b` of one shape, to `[1]`. On a tape it starts a backward pass at
/// `a`, in which the mean counts `weight` times; there is no gradient by `b`.
///
/// # Panics
/// Where the shapes differ.
pub fn cosine_distance(pass: &mut Pass<'_>, a: Tensor, b: Tensor, weight: f32) -> Tensor {
    assert_eq!(a.shape(), b.shape(), "what is compared has one shape");
    let width = a.shape().last();
    let distance = pass.fill(
        Operation::CosineDistance,
        Shape::from([1]).floats(),
        |_, out| {
            out[0] = kernel::distance(a.values(), b.values(), width)?;
            Ok(())
        },
        |record, out| {
            let (a, b) = (record.features(&a), record.wide(&b));
            card::cosine_distance(record, [&a, &b], width, Some(out), None);
        },
    );
    pass.start_backward(a, |pass, a, share| {
        pass.overwrite(
            Operation::CosineDistance,
            a,
            |_, a| kernel::distance_backward(a, b.values(), width, share * weight),
            |record, [a, by_a]| {
                let b = record.wide(&b);
                let by_a = Some((by_a, share * weight));
                card::cosine_distance(record, [a, &b], width, None, by_a);
            },
        )
    });
    distance
}
