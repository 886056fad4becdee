//! The mean over sites.

use fcmae_cuda::operations::pool as card;
use fcmae_kernels::pool as kernel;

use super::Operation;
use crate::engine::shape::Shape;
use crate::engine::tape::{Back, Backward, Fill, Pass};
use crate::engine::tensor::{Node, Tensor};

/// `x [N, S, C]` to `[N, C]`.
pub fn pool(pass: &mut Pass<'_>, x: Tensor) -> Tensor {
    let [images, _, channels] = x.dims();
    let out = pass.fill(
        Operation::Pool,
        [images, channels],
        |_, out| kernel::forward(x.values(), images, channels, out),
        |record, out| {
            let x = record.features(&x);
            card::forward(record, &x, images, out);
        },
    );
    pass.record(out, &[&x], &[], || Box::new(Pool { x: x.node(), shape: x.shape() }))
}

#[derive(Debug)]
struct Pool {
    x: Option<Node>,
    shape: Shape,
}

impl Backward for Pool {
    fn backward(self: Box<Self>, gradient: Tensor, back: &mut Back<'_>) {
        let (images, channels) = (self.shape[0], self.shape.last());
        back.operand(self.x, |back| {
            back.fill(
                Operation::PoolBackward,
                self.shape,
                |_, out| kernel::backward(gradient.values(), images, channels, out),
                |record, out| {
                    let gradient = record.features(&gradient);
                    card::backward(record, &gradient, images, out);
                },
            )
        });
    }
}
