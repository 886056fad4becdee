//! The end of a block: `shortcut + scale[n]·branch`.

use std::sync::Arc;

use fcmae_cuda::operations::residual as card;
use fcmae_kernels::residual as kernel;

use super::Operation;
use crate::engine::tape::{Back, Backward, Fill, Pass};
use crate::engine::tensor::{Node, Tensor};

/// `shortcut` and `branch` `[N, S, C]` to the same. The scale of an image is 0 where drop path drops
/// its branch, and 1 for all images where `scale` is `None`.
///
/// # Panics
/// Where the shapes differ, or there is not one scale an image.
pub fn residual(
    pass: &mut Pass<'_>,
    shortcut: Tensor,
    branch: Tensor,
    scale: Option<Arc<[f32]>>,
) -> Tensor {
    assert_eq!(branch.shape(), shortcut.shape(), "shortcut and branch have one shape");
    if let Some(scale) = &scale {
        let (scales, images) = (scale.len(), shortcut.shape()[0]);
        assert_eq!(scales, images, "{scales} scales for {images} images: there is one for each");
    }
    let factors = scale.clone().unwrap_or_else(|| [1.0].into());
    let images = shortcut.shape()[0];
    let out = pass.fill(
        Operation::Residual,
        shortcut.shape(),
        |_, out| kernel::forward(shortcut.values(), branch.values(), &factors, out),
        |record, out| {
            let (shortcut, branch) = (record.features(&shortcut), record.features(&branch));
            let scale = scale.as_ref().map(|scale| record.floats(scale));
            card::forward(record, [&shortcut, &branch], scale.as_ref(), images, out);
        },
    );
    // The tape needs to know whose gradients are wanted, not the values.
    pass.record(out, &[&shortcut, &branch], &[], || {
        let [shortcut, branch] = [&shortcut, &branch].map(Tensor::node);
        Box::new(Residual { shortcut, branch, scale })
    })
}

#[derive(Debug)]
struct Residual {
    shortcut: Option<Node>,
    branch: Option<Node>,
    scale: Option<Arc<[f32]>>,
}

impl Backward for Residual {
    fn backward(self: Box<Self>, gradient: Tensor, back: &mut Back<'_>) {
        let Self { shortcut, branch, scale } = *self;
        if let Some(branch) = branch {
            let by_branch = match &scale {
                None => gradient.clone(),
                Some(scale) => back.fill(
                    Operation::ResidualBackward,
                    gradient.shape(),
                    |_, out| kernel::backward(gradient.values(), scale, out),
                    |record, out| {
                        let (gradient, scale) = (record.features(&gradient), record.floats(scale));
                        card::backward(record, &gradient, &scale, out);
                    },
                ),
            };
            back.add(Some(branch), by_branch);
        }
        back.add(shortcut, gradient);
    }
}
