//! Layers as structs of [`Parameter`]s: where the weights lie, under timm's names and in PyTorch's
//! shapes, so that nothing is converted on load and save.

use fcmae_kernels::Sites;

use super::NORM_EPS;
use crate::engine::ops::{self, Affine};
use crate::engine::parameters::{Names, Parameter};
use crate::engine::tape::Pass;
use crate::engine::tensor::Tensor;

/// `x·Wᵀ + b` over the last dimension.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[outputs, inputs]`.
    pub weight: Parameter,
    /// `[outputs]`.
    pub bias: Parameter,
}

impl Linear {
    /// Its parameters are called `weight` and `bias`.
    pub fn new(names: &mut Names, inputs: usize, outputs: usize) -> Self {
        Self {
            weight: names.parameter("weight", [outputs, inputs]),
            bias: names.parameter("bias", [outputs]),
        }
    }

    /// `[.., inputs]` to `[.., outputs]`.
    pub fn forward(&self, pass: &mut Pass<'_>, x: Tensor) -> Tensor {
        self.forward_scaled(pass, x, None)
    }

    /// The same times a layer scale `[outputs]`, where there is one.
    pub fn forward_scaled(
        &self,
        pass: &mut Pass<'_>,
        x: Tensor,
        scale: Option<Parameter>,
    ) -> Tensor {
        ops::linear(pass, x, Affine { weight: self.weight, bias: self.bias, scale })
    }
}

/// Layer norm over channels at each site.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// `[channels]`.
    pub weight: Parameter,
    /// `[channels]`.
    pub bias: Parameter,
}

impl LayerNorm {
    /// Weight 1, bias 0.
    pub fn new(names: &mut Names, channels: usize) -> Self {
        Self {
            weight: names.starting_at("weight", [channels], 1.0),
            bias: names.parameter("bias", [channels]),
        }
    }

    /// `[.., channels]` to the same.
    pub fn forward(&self, pass: &mut Pass<'_>, x: Tensor) -> Tensor {
        ops::layer_norm(pass, x, self.weight, self.bias, NORM_EPS)
    }
}

/// Depthwise 7×7 convolution, zero padding 3.
#[derive(Clone, Debug)]
pub struct Depthwise {
    /// `[channels, 1, 7, 7]`.
    pub weight: Parameter,
    /// `[channels]`.
    pub bias: Parameter,
}

impl Depthwise {
    /// Its parameters are called `weight` and `bias`.
    pub fn new(names: &mut Names, channels: usize) -> Self {
        Self {
            weight: names.parameter("weight", [channels, 1, 7, 7]),
            bias: names.parameter("bias", [channels]),
        }
    }

    /// `[N, S, channels]` at `sites` to the same.
    pub fn forward(&self, pass: &mut Pass<'_>, x: Tensor, sites: &Sites) -> Tensor {
        ops::depthwise(pass, x, self.weight, self.bias, sites)
    }
}

/// A convolution whose stride equals its kernel: a linear layer on windows of `k × k` sites.
#[derive(Clone, Debug)]
pub struct WindowConv {
    /// `[outputs, inputs, k, k]`.
    pub weight: Parameter,
    /// `[outputs]`.
    pub bias: Parameter,
}

impl WindowConv {
    /// Its parameters are called `weight` and `bias`.
    pub fn new(names: &mut Names, inputs: usize, outputs: usize, k: usize) -> Self {
        Self {
            weight: names.parameter("weight", [outputs, inputs, k, k]),
            bias: names.parameter("bias", [outputs]),
        }
    }

    /// `[P, H, W, inputs]` to `[P, H/k, W/k, outputs]`.
    pub fn forward(&self, pass: &mut Pass<'_>, x: Tensor) -> Tensor {
        ops::window_convolution(pass, x, None, self.weight, self.bias)
    }

    /// The same of the layer norm of `x`.
    pub fn forward_normed(&self, pass: &mut Pass<'_>, x: Tensor, norm: &LayerNorm) -> Tensor {
        let norm = ops::Norm { gamma: norm.weight, beta: norm.bias, eps: NORM_EPS };
        ops::window_convolution(pass, x, Some(norm), self.weight, self.bias)
    }

    /// Channels of what it is computed on.
    pub fn inputs(&self) -> usize {
        self.weight.shape()[1]
    }

    /// k
    pub fn stride(&self) -> usize {
        self.weight.shape().last()
    }
}
