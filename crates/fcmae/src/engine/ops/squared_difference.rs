//! The loss of pre-training: the mean of `(a − b)²` over all values.

use fcmae_cuda::operations::rows as card;
use fcmae_kernels::rows as kernel;

use super::Operation;
use crate::engine::shape::Shape;
use crate::engine::tape::{Fill, Pass};
use crate::engine::tensor::Tensor;

/// `a` and `b` of one shape to `[1]`. On a tape it starts the backward pass at `a`; there is no
/// gradient by `b`.
///
/// # Panics
/// Where the shapes differ.
pub fn mean_squared_difference(pass: &mut Pass<'_>, a: Tensor, b: Tensor) -> Tensor {
    assert_eq!(a.shape(), b.shape(), "what is compared has one shape");
    let loss = pass.fill(
        Operation::SquaredDifference,
        Shape::from([1]).floats(),
        |_, out| {
            out[0] = kernel::mean_squared_difference(a.values(), b.values())?;
            Ok(())
        },
        |record, out| {
            let (a, b) = (record.features(&a), record.wide(&b));
            card::squared_difference(record, [&a, &b], Some(out), None);
        },
    );
    // Here a step of pre-training takes the most memory: predictions, as many as hidden pixels, give
    // their place to the gradient.
    pass.start_backward(a, |pass, a, share| {
        pass.overwrite(
            Operation::SquaredDifference,
            a,
            |_, a| kernel::mean_squared_difference_backward(a, b.values(), share),
            |record, [a, by_a]| {
                let b = record.wide(&b);
                card::squared_difference(record, [a, &b], None, Some((by_a, share)));
            },
        )
    });
    loss
}
