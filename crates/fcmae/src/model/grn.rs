//! Global Response Normalization (ConvNeXt V2, section 3.2) and its ablations.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::GRN_EPS;
use crate::config::{GrnAggregation, GrnConfig, GrnNormalization};
use crate::ops;

/// GRN over the sites of each image.
#[derive(Module, Debug)]
pub struct Grn {
    /// Gamma, `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// Beta, `[channels]`.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    config: GrnConfig,
}

impl Grn {
    /// Gamma and beta 0, so that it starts as the identity (with the skip).
    pub fn new(channels: usize, config: GrnConfig, device: &Device) -> Self {
        let zero = || Param::from_tensor(Tensor::zeros([channels], device));
        Self { weight: zero(), bias: zero(), config }
    }

    /// Whether it is the variant of the published networks.
    pub fn is_published(&self) -> bool {
        self.config == GrnConfig::default()
    }

    /// GELU, then GRN: `[N, S, channels]` to the same.
    pub fn gelu_forward(&self, x: Tensor<3>) -> Tensor<3> {
        if self.is_published() {
            ops::gelu_grn(x, self.weight.val(), self.bias.val(), GRN_EPS)
        } else {
            grn(ops::gelu(x), self.weight.val(), self.bias.val(), &self.config)
        }
    }
}

/// Any variant of GRN in plain tensor operations: slower than the fused default, for ablations.
pub fn grn(x: Tensor<3>, gamma: Tensor<1>, beta: Tensor<1>, config: &GrnConfig) -> Tensor<3> {
    let gathered = match config.aggregation {
        GrnAggregation::L2 => root((x.clone() * x.clone()).sum_dim(1)),
        GrnAggregation::L1 => x.clone().abs().sum_dim(1),
        GrnAggregation::Average => x.clone().mean_dim(1),
    };
    let response = match config.normalization {
        GrnNormalization::Mean => gathered.clone() / (gathered.mean_dim(2) + GRN_EPS),
        GrnNormalization::Inverse => (gathered.sum_dim(2) + GRN_EPS).recip(),
        GrnNormalization::Sum => gathered.clone() / (gathered.sum_dim(2) + GRN_EPS),
        GrnNormalization::Standardize => {
            let centred = gathered.clone() - gathered.mean_dim(2);
            let std = root((centred.clone() * centred.clone()).mean_dim(2));
            centred / (std + GRN_EPS)
        }
    };
    let scaled = x.clone() * (response * gamma.unsqueeze()) + beta.unsqueeze();
    if config.skip { scaled + x } else { scaled }
}

/// The square root of a sum of squares. Where that is zero, it has a gradient of zero, not the
/// infinite one that would make the whole batch's gradients NaN.
fn root(squares: Tensor<3>) -> Tensor<3> {
    squares.clamp_min(f32::MIN_POSITIVE).sqrt()
}
