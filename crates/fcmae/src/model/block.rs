//! The residual block.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use fcmae_data::random;
use fcmae_kernels::Sites;

use super::grn::Grn;
use super::layers::{Depthwise, LayerNorm, Linear};
use super::{GRN_EPS, NORM_EPS};
use crate::config::{BlockKind, GrnConfig};
use crate::ops;
use crate::ops::block::{BlockSetting, PreparedWeights};

/// The pointwise part of a block: C to 4C, GELU, GRN (V2), 4C to C.
#[derive(Module, Debug)]
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
    pub gelu: Tensor<3>,
    /// After GRN; in V1 the same as after GELU.
    pub grn: Tensor<3>,
}

impl Mlp {
    fn activate(&self, x: Tensor<3>) -> Tensor<3> {
        match &self.grn {
            Some(grn) => grn.gelu_forward(x),
            None => ops::gelu(x),
        }
    }
}

/// `x + drop_path(fc2(grn(gelu(fc1(norm(depthwise(x)))))))`; V1 has no GRN, and a layer scale
/// `gamma` after `fc2`.
#[derive(Module, Debug)]
pub struct Block {
    /// Depthwise 7×7.
    pub conv_dw: Depthwise,
    /// Over channels.
    pub norm: LayerNorm,
    /// The pointwise part.
    pub mlp: Mlp,
    /// V1's layer scale, `[C]`.
    pub gamma: Option<Param<Tensor<1>>>,
    #[module(skip)]
    prepared: PreparedWeights,
}

/// V1's layer scale at the start.
const LAYER_SCALE: f64 = 1e-6;

impl Block {
    /// A block of width `channels`, with zero weights until
    /// [`init::initialize`](super::init::initialize).
    pub fn new(channels: usize, kind: BlockKind, grn: GrnConfig, device: &Device) -> Self {
        let v2 = kind == BlockKind::V2;
        Self {
            conv_dw: Depthwise::new(channels, device),
            norm: LayerNorm::new(channels, device),
            mlp: Mlp {
                fc1: Linear::new(channels, 4 * channels, device),
                grn: v2.then(|| Grn::new(4 * channels, grn, device)),
                fc2: Linear::new(4 * channels, channels, device),
            },
            gamma: (!v2).then(|| Param::from_tensor(Tensor::full([channels], LAYER_SCALE, device))),
            prepared: PreparedWeights::default(),
        }
    }

    /// `[N, S, C]` at `sites` to the same; `scale[n]` multiplies the branch of image n (drop path).
    pub fn forward(&self, x: Tensor<3>, sites: &Sites, scale: Option<Vec<f32>>) -> Tensor<3> {
        match &self.mlp.grn {
            Some(grn) if grn.is_published() => self.fused(x, grn, sites, scale),
            _ => {
                let hidden = self.mlp.activate(self.expand(x.clone(), sites));
                self.contract(x, hidden, scale)
            }
        }
    }

    /// The published V2 block as one operation.
    fn fused(&self, x: Tensor<3>, grn: &Grn, sites: &Sites, scale: Option<Vec<f32>>) -> Tensor<3> {
        let Mlp { fc1, fc2, .. } = &self.mlp;
        let vectors = [
            &self.conv_dw.bias,
            &self.norm.weight,
            &self.norm.bias,
            &fc1.bias,
            &grn.weight,
            &grn.bias,
            &fc2.bias,
        ];
        ops::block(
            x,
            self.conv_dw.weight.val(),
            [fc1.weight.val(), fc2.weight.val()],
            vectors.map(|vector| vector.val()),
            BlockSetting {
                sites: sites.clone(),
                scale,
                norm_eps: NORM_EPS,
                grn_eps: GRN_EPS,
                prepared: self.prepared.clone(),
            },
        )
    }

    /// The output together with the 4C features inside.
    pub fn forward_with_hidden(&self, x: Tensor<3>, sites: &Sites) -> (Tensor<3>, Hidden) {
        let expanded = self.expand(x.clone(), sites);
        let grn = self.mlp.activate(expanded.clone());
        let y = self.contract(x, grn.clone(), None);
        (y, Hidden { gelu: ops::gelu(expanded), grn })
    }

    fn expand(&self, x: Tensor<3>, sites: &Sites) -> Tensor<3> {
        self.mlp.fc1.forward(self.norm.forward(self.conv_dw.forward(x, sites)))
    }

    fn contract(&self, x: Tensor<3>, hidden: Tensor<3>, scale: Option<Vec<f32>>) -> Tensor<3> {
        let fc2 = &self.mlp.fc2;
        let branch = match &self.gamma {
            None => fc2.forward(hidden),
            // gamma · (W h + b) = (gamma W) h + gamma b: one pass less over the features.
            Some(gamma) => {
                let gamma = gamma.val();
                let weight = fc2.weight.val() * gamma.clone().unsqueeze_dim(1);
                ops::linear(hidden, weight, fc2.bias.val() * gamma)
            }
        };
        ops::residual(x, branch, scale)
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
    pub fn scale(&self, block: usize) -> Vec<f32> {
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
