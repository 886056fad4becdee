//! The layers, with weights in PyTorch's shapes so that nothing is converted on load and save.

use burn::module::{Module, Param, ParamId, Parameter};
use burn::tensor::{Device, Tensor};
use fcmae_kernels::Sites;

use super::NORM_EPS;
use crate::ops;

/// Zeros that take memory only once their values are asked for: a network whose weights are read
/// from a file, or counted, never holds them beside the others.
fn zeros<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    let init = move |device: &Device, wants_grad: bool| {
        Parameter::set_require_grad(Tensor::zeros(shape, device), wants_grad)
    };
    Param::uninitialized(ParamId::new(), init, device.clone(), true, shape.into())
}

/// `x·Wᵀ + b` over the last dimension.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[outputs, inputs]`.
    pub weight: Param<Tensor<2>>,
    /// `[outputs]`.
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// All zero; [`init::initialize`](super::init::initialize) fills it.
    pub fn new(inputs: usize, outputs: usize, device: &Device) -> Self {
        Self { weight: zeros([outputs, inputs], device), bias: zeros([outputs], device) }
    }

    /// `[.., inputs]` to `[.., outputs]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        ops::linear(x, self.weight.val(), self.bias.val())
    }
}

/// Layer norm over channels at each site.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// `[channels]`.
    pub bias: Param<Tensor<1>>,
}

impl LayerNorm {
    /// Weight 1, bias 0.
    pub fn new(channels: usize, device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::ones([channels], device)),
            bias: zeros([channels], device),
        }
    }

    /// `[.., channels]` to the same.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        ops::layer_norm(x, self.weight.val(), self.bias.val(), NORM_EPS)
    }
}

/// Depthwise 7×7 convolution, zero padding 3.
#[derive(Module, Debug)]
pub struct Depthwise {
    /// `[channels, 1, 7, 7]`.
    pub weight: Param<Tensor<4>>,
    /// `[channels]`.
    pub bias: Param<Tensor<1>>,
}

impl Depthwise {
    /// All zero; [`init::initialize`](super::init::initialize) fills it.
    pub fn new(channels: usize, device: &Device) -> Self {
        Self { weight: zeros([channels, 1, 7, 7], device), bias: zeros([channels], device) }
    }

    /// `[N, S, channels]` at `sites` to the same.
    pub fn forward(&self, x: Tensor<3>, sites: &Sites) -> Tensor<3> {
        ops::depthwise(x, self.weight.val(), self.bias.val(), sites)
    }
}

/// A convolution whose stride equals its kernel: a linear layer on windows of `k × k` sites.
#[derive(Module, Debug)]
pub struct WindowConv {
    /// `[outputs, inputs, k, k]`.
    pub weight: Param<Tensor<4>>,
    /// `[outputs]`.
    pub bias: Param<Tensor<1>>,
}

impl WindowConv {
    /// All zero; [`init::initialize`](super::init::initialize) fills it.
    pub fn new(inputs: usize, outputs: usize, k: usize, device: &Device) -> Self {
        Self { weight: zeros([outputs, inputs, k, k], device), bias: zeros([outputs], device) }
    }

    /// `[P, H, W, inputs]` to `[P, H/k, W/k, outputs]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let weight = self.weight.val();
        let [_, _, k, _] = weight.dims();
        let weight = ops::window_weight(weight);
        ops::linear(ops::space_to_depth(x, k), weight, self.bias.val())
    }
}
