//! The whole published V2 block: `x + scale·contract(grn(gelu(expand(norm(depthwise(x))))))`, so that a
//! device can take a few images through all of it while they are in its caches.

use std::sync::Arc;

use fcmae_cuda::operations::{block as card, depthwise};
use fcmae_cuda::work::Values;
use fcmae_kernels::Sites;
use fcmae_kernels::block::{self as kernel, Kept, PerWeight, Prepared};

use super::Operation;
use super::depthwise::sites_on_card;
use crate::engine::parameters::{Arena, Parameter};
use crate::engine::shape::Shape;
use crate::engine::tape::{Back, Backward, Fill, Pass, Recorder};
use crate::engine::tensor::Tensor;

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

    /// What `act` does with the block as a card is told of it.
    fn on_card(
        &self,
        record: &mut Recorder<'_>,
        [images, channels]: [usize; 2],
        of: &BlockWeights,
        act: impl FnOnce(&mut Recorder<'_>, &card::Setting<'_>),
    ) {
        let sites = sites_on_card(record, &self.sites);
        let scale = self.scale.as_ref().map(|scale| record.floats(scale));
        let [expand, contract] = [of.expand, of.contract].map(|of| record.factor(of));
        let weights = PerWeight { expand, contract, ..of.map(|of| record.weight(of)) };
        let setting = card::Setting {
            convolution: depthwise::Setting { sites: &sites, images, channels },
            weights: &weights,
            scale: scale.as_ref(),
            norm_eps: self.norm_eps,
            grn_eps: self.grn_eps,
        };
        act(record, &setting);
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
        let cpu = |values: &Arena, out: &mut [f32]| {
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
        };
        return pass.fill(Operation::Block, x.shape(), cpu, |record, out| {
            let x = record.features(&x);
            setting.on_card(record, [images, channels], &weights, |record, block| {
                let kept = block.unkept(record, &x);
                block.forward(record, &x, &kept, out);
            });
        });
    }
    let width = kernel::hidden_width(channels);
    let forms = [
        x.shape().into(),
        x.shape().into(),
        [images, sites, width].into(),
        Shape::from([images, width]).floats(),
    ];
    let forward = |values: &Arena, [out, convolved, expanded, squares]: [&mut [f32]; 4]| {
        let kept = Kept { convolved, expanded, squares };
        let prepared = prepare(values, &weights);
        kernel::forward_keeping(x.values(), &prepared, &setting.kernel(images), out, kept)
    };
    let on_card = |record: &mut Recorder<'_>, [out, convolved, expanded, squares]: [&Values; 4]| {
        let x = record.features(&x);
        let [convolved, expanded, squares] = [convolved, expanded, squares].map(Values::clone);
        let kept = Kept { convolved, expanded, squares };
        setting.on_card(record, [images, channels], &weights, |record, block| {
            block.forward(record, &x, &kept, out);
        });
    };
    let [out, convolved, expanded, squares] =
        pass.fill_all(Operation::Block, forms, forward, on_card);
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
        let scratch = back.scratch(|| kernel::backward_scratch(&setting.kernel(images), channels));
        let [by_x, _] = back.fill_and_parameters(
            Operation::BlockBackward,
            [x.shape().into(), scratch],
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
            |record, [by_x, _], by, adds| {
                let (x, gradient) = (record.features(&x), record.features(&gradient));
                let [convolved, expanded, squares] =
                    [&convolved, &expanded, &squares].map(|kept| record.of(kept));
                let kept = Kept { convolved, expanded, squares };
                let by = PerWeight::from_array(by.map(Values::clone));
                setting.on_card(record, [images, channels], &weights, |record, block| {
                    block.backward(record, [&x, &gradient], &kept, by_x, &by, adds);
                });
            },
        );
        back.add(x.node(), by_x);
    }
}
