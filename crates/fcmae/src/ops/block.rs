//! The whole published V2 block: `x + scale·contract(grn(gelu(expand(norm(depthwise(x))))))`, so that a
//! device can take a few images through all of it while they are in its caches.

use std::sync::Arc;

use fcmae_kernels::Sites;
use fcmae_kernels::block::{self as kernel, Kept, PerWeight, Prepared};

use super::Operation;
use crate::parameters::{Arena, Parameter};
use crate::tape::{Back, Backward, Fill, Pass};
use crate::tensor::Tensor;

/// A block's weights.
pub type BlockWeights = PerWeight<Parameter>;

/// What a block is computed on.
#[derive(Clone, Debug)]
pub struct BlockSetting {
    /// Where the sites of each image lie.
    pub sites: Sites,
    /// The factor of each image's branch (drop path); 1 where there is none.
    pub scale: Option<Arc<[f32]>>,
    /// Added to the variance in layer norm.
    pub norm_eps: f32,
    /// Added to the mean norm in GRN.
    pub grn_eps: f32,
}

impl BlockSetting {
    fn kernel(&self, images: usize) -> kernel::Setting<'_> {
        kernel::Setting {
            sites: &self.sites,
            images,
            scale: self.scale.as_deref(),
            norm_eps: self.norm_eps,
            grn_eps: self.grn_eps,
        }
    }
}

fn views<'a>(weights: &'a Arena, of: &BlockWeights) -> kernel::Weights<'a> {
    of.map(|parameter| weights.get(parameter))
}

fn prepare(weights: &Arena, of: &BlockWeights) -> Prepared {
    Prepared::new(&views(weights, of)).expect("the weights of one block")
}

/// `x [N, S, C]` at the setting's sites to the same.
pub fn block(
    pass: &mut Pass<'_>,
    x: Tensor,
    weights: BlockWeights,
    setting: BlockSetting,
) -> Tensor {
    let [images, sites, channels] = x.dims();
    if !pass.is_recorded() {
        let kept = pass.prepared(images * sites);
        return pass.fill(Operation::Block, x.shape(), |values, out| {
            let first = values.layout().number(weights.depthwise);
            let kept =
                kept.and_then(|kept| kept.block(first, &weights, || prepare(values, &weights)));
            let made;
            let prepared = match kept {
                Some(kept) => kept,
                None => {
                    made = prepare(values, &weights);
                    &made
                }
            };
            kernel::forward(x.values(), prepared, &setting.kernel(images), out)
        });
    }
    let width = kernel::hidden_width(channels);
    let shapes = [x.shape(), x.shape(), [images, sites, width].into(), [images, width].into()];
    let forward = |values: &Arena, [out, convolved, expanded, squares]: [&mut [f32]; 4]| {
        let kept = Kept { convolved, expanded, squares };
        let prepared = prepare(values, &weights);
        kernel::forward_keeping(x.values(), &prepared, &setting.kernel(images), out, kept)
    };
    let [out, convolved, expanded, squares] = pass.fill_all(Operation::Block, shapes, forward);
    let kept = Kept { convolved, expanded, squares };
    let parameters = weights.into_array();
    pass.record(out, &[&x], &parameters, || {
        Box::new(Block { x: x.clone(), weights, setting: setting.clone(), kept })
    })
}

#[derive(Debug)]
struct Block {
    x: Tensor,
    weights: BlockWeights,
    setting: BlockSetting,
    kept: Kept<Tensor>,
}

impl Backward for Block {
    fn backward(self: Box<Self>, gradient: Tensor, back: &mut Back<'_>) {
        let Self { x, weights, setting, kept: Kept { convolved, expanded, squares } } = *self;
        let [images, _, channels] = x.dims();
        let scratch = kernel::backward_scratch(&setting.kernel(images), channels);
        let [by_x, _] = back.fill_and_parameters(
            Operation::BlockBackward,
            [x.shape(), [scratch].into()],
            weights.into_array(),
            |values, [by_x, scratch], by_weights| {
                let kept = Kept {
                    convolved: convolved.values(),
                    expanded: expanded.values(),
                    squares: squares.values(),
                };
                let gradients =
                    kernel::Gradients { x: by_x, weights: PerWeight::from_array(by_weights) };
                let (weights, setting) = (views(values, &weights), setting.kernel(images));
                let (x, gradient) = (x.values(), gradient.values());
                kernel::backward(x, kept, &weights, &setting, gradient, gradients, scratch)
            },
        );
        back.add(x.node(), by_x);
    }
}
