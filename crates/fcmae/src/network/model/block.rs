//! The residual block.

use std::sync::Arc;

use fcmae_data::random;
use fcmae_kernels::Sites;

use super::layers::{Depthwise, LayerNorm, Linear};
use super::{GRN_EPS, NORM_EPS};
use crate::config::{BlockKind, GrnConfig};
use crate::engine::ops::{self, BlockSetting, BlockWeights};
use crate::engine::parameters::{Names, Parameter};
use crate::engine::tape::Pass;
use crate::engine::tensor::Tensor;

/// Global Response Normalization over the sites of each image (ConvNeXt V2, section 3.2), or one of the
/// paper's ablations of it.
#[derive(Clone, Debug)]
pub struct Grn {
    /// Gamma, `[channels]`.
    pub weight: Parameter,
    /// Beta, `[channels]`.
    pub bias: Parameter,
    config: GrnConfig,
}

impl Grn {
    /// Gamma and beta 0, so that it starts as the identity (with the skip).
    pub fn new(names: &mut Names, channels: usize, config: GrnConfig) -> Self {
        Self {
            weight: names.parameter("weight", [channels]),
            bias: names.parameter("bias", [channels]),
            config,
        }
    }

    fn is_published(&self) -> bool {
        self.config.variant().is_none()
    }

    fn operands(&self) -> ops::Grn {
        ops::Grn {
            gamma: self.weight,
            beta: self.bias,
            variant: self.config.variant(),
            eps: GRN_EPS,
        }
    }
}

/// The pointwise part of a block: C to 4C, GELU, GRN (V2), 4C to C.
#[derive(Clone, Debug)]
pub struct Mlp {
    /// C to 4C.
    pub fc1: Linear,
    /// V2 only.
    pub grn: Option<Grn>,
    /// 4C to C.
    pub fc2: Linear,
}

/// A block's 4C features, for the study of feature collapse.
#[derive(Debug)]
pub struct Hidden {
    /// After GELU, before GRN: `[N, S, 4C]`.
    pub gelu: Tensor,
    /// After GRN; in V1 the same as after GELU.
    pub grn: Tensor,
}

/// `x + drop_path(fc2(grn(gelu(fc1(norm(depthwise(x)))))))`; V1 has no GRN, and a layer scale
/// `gamma` after `fc2`.
#[derive(Clone, Debug)]
pub struct Block {
    /// Depthwise 7×7.
    pub conv_dw: Depthwise,
    /// Over channels.
    pub norm: LayerNorm,
    /// The pointwise part.
    pub mlp: Mlp,
    /// V1's layer scale, `[C]`.
    pub gamma: Option<Parameter>,
}

/// V1's layer scale at the start.
const LAYER_SCALE: f32 = 1e-6;

impl Block {
    /// A block of width `channels`.
    pub fn new(names: &mut Names, channels: usize, kind: BlockKind, grn: GrnConfig) -> Self {
        let (v2, hidden) = (kind == BlockKind::V2, 4 * channels);
        Self {
            conv_dw: names.within("conv_dw", |names| Depthwise::new(names, channels)),
            norm: names.within("norm", |names| LayerNorm::new(names, channels)),
            mlp: names.within("mlp", |names| Mlp {
                fc1: names.within("fc1", |names| Linear::new(names, channels, hidden)),
                grn: v2.then(|| names.within("grn", |names| Grn::new(names, hidden, grn))),
                fc2: names.within("fc2", |names| Linear::new(names, hidden, channels)),
            }),
            gamma: (!v2).then(|| names.starting_at("gamma", [channels], LAYER_SCALE)),
        }
    }

    /// `[N, S, C]` at `sites` to the same; `scale[n]` multiplies the branch of image n (drop path).
    pub fn forward(
        &self,
        pass: &mut Pass<'_>,
        x: Tensor,
        sites: &Sites,
        scale: Option<Arc<[f32]>>,
    ) -> Tensor {
        match &self.mlp.grn {
            Some(grn) if grn.is_published() => {
                let setting = BlockSetting {
                    sites: sites.clone(),
                    scale,
                    norm_eps: NORM_EPS,
                    grn_eps: GRN_EPS,
                };
                ops::block(pass, x, self.weights(grn), setting)
            }
            _ => {
                let expanded = self.expand(pass, x.clone(), sites);
                let hidden = self.activate(pass, expanded);
                self.contract(pass, x, hidden, scale)
            }
        }
    }

    /// The published V2 block's weights, for the block as one operation.
    fn weights(&self, grn: &Grn) -> BlockWeights {
        let Mlp { fc1, fc2, .. } = &self.mlp;
        BlockWeights {
            depthwise: self.conv_dw.weight,
            depthwise_bias: self.conv_dw.bias,
            norm_gamma: self.norm.weight,
            norm_beta: self.norm.bias,
            expand: fc1.weight,
            expand_bias: fc1.bias,
            grn_gamma: grn.weight,
            grn_beta: grn.bias,
            contract: fc2.weight,
            contract_bias: fc2.bias,
        }
    }

    /// The output together with the 4C features inside.
    pub fn forward_with_hidden(
        &self,
        pass: &mut Pass<'_>,
        x: Tensor,
        sites: &Sites,
    ) -> (Tensor, Hidden) {
        let expanded = self.expand(pass, x.clone(), sites);
        let grn = self.activate(pass, expanded.clone());
        let y = self.contract(pass, x, grn.clone(), None);
        (y, Hidden { gelu: ops::activation(pass, expanded, None), grn })
    }

    fn expand(&self, pass: &mut Pass<'_>, x: Tensor, sites: &Sites) -> Tensor {
        let x = self.conv_dw.forward(pass, x, sites);
        let x = self.norm.forward(pass, x);
        self.mlp.fc1.forward(pass, x)
    }

    fn activate(&self, pass: &mut Pass<'_>, x: Tensor) -> Tensor {
        ops::activation(pass, x, self.mlp.grn.as_ref().map(Grn::operands))
    }

    fn contract(
        &self,
        pass: &mut Pass<'_>,
        x: Tensor,
        hidden: Tensor,
        scale: Option<Arc<[f32]>>,
    ) -> Tensor {
        let branch = self.mlp.fc2.forward_scaled(pass, hidden, self.gamma);
        ops::residual(pass, x, branch, scale)
    }
}

/// Stochastic depth for one batch: each block's branch is dropped for an image with a rate that
/// grows linearly over the blocks, and otherwise scaled up so that its mean stays.
///
/// What is dropped is a function of seed, epoch, sample and block alone.
#[derive(Clone, Debug)]
pub struct DropPath {
    rate: f64,
    blocks: usize,
    /// Blocks before this one are never dropped.
    first: usize,
    /// One uniform number for each image and block.
    draws: Vec<Vec<f64>>,
}

impl DropPath {
    /// For the samples `indices` in `epoch`, with `rate` at the last of `blocks` blocks. `None`
    /// where the rate is 0.
    pub fn new(rate: f64, blocks: usize, seed: u64, epoch: u64, indices: &[u32]) -> Option<Self> {
        let draw = |&sample: &u32| {
            let mut rng = random::keyed(seed, "drop path", epoch, u64::from(sample));
            (0..blocks).map(|_| random::unit(&mut rng)).collect()
        };
        (rate > 0.0).then(|| Self {
            rate,
            blocks,
            first: 0,
            draws: indices.iter().map(draw).collect(),
        })
    }

    /// The same, sparing the first `blocks` blocks.
    pub fn sparing(self, blocks: usize) -> Self {
        Self { first: blocks, ..self }
    }

    /// The scale of block `block`'s branch for each image: 0, or 1 over the share kept.
    pub fn scale(&self, block: usize) -> Arc<[f32]> {
        let rate = self.rate * block as f64 / self.blocks.saturating_sub(1).max(1) as f64;
        let keep = if block < self.first { 1.0 } else { 1.0 - rate };
        let scale = |draws: &Vec<f64>| if draws[block] < keep { (1.0 / keep) as f32 } else { 0.0 };
        self.draws.iter().map(scale).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn drop_path_keeps_the_mean_and_grows_with_depth() {
        let indices: Vec<u32> = (0..20_000).collect();
        let drop = DropPath::new(0.4, 5, 7, 1, &indices).unwrap();
        assert!(drop.scale(0).iter().all(|&s| s == 1.0), "the first block is never dropped");
        for block in 1..5 {
            let scale = drop.scale(block);
            let dropped = scale.iter().filter(|&&s| s == 0.0).count() as f64 / 20_000.0;
            let rate = 0.1 * block as f64;
            assert!((dropped - rate).abs() < 0.01, "block {block} dropped {dropped}");
            let mean = scale.iter().sum::<f32>() / 20_000.0;
            assert!((mean - 1.0).abs() < 0.02, "block {block} has mean {mean}");
        }
        assert!(DropPath::new(0.0, 5, 7, 1, &indices).is_none());
    }
}
