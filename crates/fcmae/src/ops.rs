//! The operations the network is made of, behind one backend-extension trait.
//!
//! Features are `[N, S, C]`: images, sites, channels; [`Sites`] says where the sites lie. Only
//! [`depthwise`] asks. Each operation has a plain-Burn default ([`plain`]), which keeps every
//! backend working and is the reference in tests, a CPU implementation over `fcmae-kernels`, and
//! one hand-written backward for all backends.

mod autodiff;
pub mod block;
mod flex;
pub mod plain;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;
use fcmae_kernels::Sites;
pub use fcmae_kernels::adamw::AdamW as AdamWStep;

use block::{BlockGradients, BlockPass, BlockSetting, BlockWeights};

/// The network's operations on a backend's own tensors.
///
/// A backend with kernels of its own overrides the bodies; [`Autodiff`](burn::backend::Autodiff)
/// overrides the differentiable ones with the hand-written backward passes.
#[backend_extension(Flex, Autodiff)]
pub trait ConvNextOps: Backend {
    /// Depthwise 7×7 convolution with zero padding 3. `x [N, S, C]`, `weight [C, 1, 7, 7]`,
    /// `bias [C]`. On patches it is submanifold: masked neighbours contribute zero and output
    /// exists at visible sites only.
    fn depthwise(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        sites: Sites,
    ) -> FloatTensor<Self> {
        plain::depthwise::<Self>(x, weight, bias, &sites)
    }

    /// Gradients of [`depthwise`](Self::depthwise) by input, weight and bias.
    fn depthwise_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        sites: Sites,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        plain::depthwise_backward::<Self>(x, weight, grad, &sites)
    }

    /// Layer norm over the last dimension. `x [.., C]`, `gamma [C]`, `beta [C]`.
    fn layer_norm_sites(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f64,
    ) -> FloatTensor<Self> {
        plain::layer_norm::<Self>(x, gamma, beta, eps)
    }

    /// Gradients of [`layer_norm`](Self::layer_norm_sites) by input, gamma and beta.
    fn layer_norm_sites_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        eps: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        plain::layer_norm_backward::<Self>(x, gamma, grad, eps)
    }

    /// The exact (erf) GELU.
    fn gelu_sites(x: FloatTensor<Self>) -> FloatTensor<Self> {
        plain::gelu::<Self>(x)
    }

    /// Gradient of [`gelu`](Self::gelu_sites) by its input.
    fn gelu_sites_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        plain::gelu_backward::<Self>(x, grad)
    }

    /// GELU, then Global Response Normalization over each image's sites. `x [N, S, C]`,
    /// `gamma [C]`, `beta [C]`: with `h = gelu(x)`, `G_c = ‖h_c‖₂`, `N_c = G_c / (mean G + eps)`,
    /// the result is `gamma·(h·N) + beta + h` (ConvNeXt V2, section 3.2).
    fn gelu_grn(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f64,
    ) -> FloatTensor<Self> {
        plain::gelu_grn::<Self>(x, gamma, beta, eps)
    }

    /// Gradients of [`gelu_grn`](Self::gelu_grn) by input, gamma and beta.
    fn gelu_grn_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        eps: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        plain::gelu_grn_backward::<Self>(x, gamma, grad, eps)
    }

    /// `x·Wᵀ + b`. `x [.., I]`, `weight [O, I]`, `bias [O]`.
    fn linear_sites(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        plain::linear::<Self>(x, weight, bias)
    }

    /// Gradients of [`linear`](Self::linear_sites) by input, weight and bias.
    fn linear_sites_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        plain::linear_backward::<Self>(x, weight, grad)
    }

    /// `shortcut + scale[n]·branch`, both `[N, S, C]`; the scale of an image is 0 where drop path
    /// drops it, and 1 for all images where `scale` is `None`.
    fn residual(
        shortcut: FloatTensor<Self>,
        branch: FloatTensor<Self>,
        scale: Option<Vec<f32>>,
    ) -> FloatTensor<Self> {
        plain::residual::<Self>(shortcut, branch, &scale)
    }

    /// A whole V2 block: the depthwise convolution, layer norm, linear to 4C, GELU and GRN, linear
    /// to C, and the residual. `x [N, S, C]`.
    fn block(
        x: FloatTensor<Self>,
        #[extension_type] weights: BlockWeights<Self>,
        setting: BlockSetting,
    ) -> FloatTensor<Self> {
        block::forward::<Self>(x, weights, setting)
    }

    /// [`block`](Self::block), with what [`block_backward`](Self::block_backward) needs.
    fn block_keeping(
        x: FloatTensor<Self>,
        #[extension_type] weights: BlockWeights<Self>,
        setting: BlockSetting,
    ) -> BlockPass<Self> {
        block::forward_keeping::<Self>(x, weights, setting)
    }

    /// Gradients of [`block`](Self::block) by input and weights; `pass` comes from
    /// [`block_keeping`](Self::block_keeping).
    fn block_backward(
        x: FloatTensor<Self>,
        #[extension_type] pass: BlockPass<Self>,
        #[extension_type] weights: BlockWeights<Self>,
        grad: FloatTensor<Self>,
        setting: BlockSetting,
    ) -> BlockGradients<Self> {
        block::backward::<Self>(x, pass, weights, grad, setting)
    }

    /// Cuts `[P, H, W, C]` into windows of `k × k`: `[P, H/k, W/k, k·k·C]`, the values of a window
    /// in (row, column, channel) order, channel fastest.
    fn space_to_depth(x: FloatTensor<Self>, k: usize) -> FloatTensor<Self> {
        plain::space_to_depth::<Self>(x, k)
    }

    /// The inverse of [`space_to_depth`](Self::space_to_depth).
    fn depth_to_space(x: FloatTensor<Self>, k: usize) -> FloatTensor<Self> {
        plain::depth_to_space::<Self>(x, k)
    }

    /// A convolution's `weight [O, I, k, k]` as a matrix for windows in the order of
    /// [`space_to_depth`](Self::space_to_depth): `[O, k·k·I]`.
    fn window_weight(weight: FloatTensor<Self>) -> FloatTensor<Self> {
        plain::window_weight::<Self>(weight)
    }

    /// Gradient of [`window_weight`](Self::window_weight), for windows of `k × k`.
    fn window_weight_backward(grad: FloatTensor<Self>, k: usize) -> FloatTensor<Self> {
        plain::window_weight_backward::<Self>(grad, k)
    }

    /// The given rows of `x [R, D]`, in that order: `[K, D]`. A row may be chosen more than once.
    fn select_rows(x: FloatTensor<Self>, rows: Vec<u32>) -> FloatTensor<Self> {
        plain::select_rows::<Self>(x, &rows)
    }

    /// Gradient of [`select_rows`](Self::select_rows) by `x`, of `count` rows.
    fn select_rows_backward(
        grad: FloatTensor<Self>,
        rows: Vec<u32>,
        count: usize,
    ) -> FloatTensor<Self> {
        plain::select_rows_backward::<Self>(grad, &rows, count)
    }

    /// Each row of `x [R, D]` minus its mean, over `√(unbiased variance + eps)`.
    fn standardize_rows(x: FloatTensor<Self>, eps: f64) -> FloatTensor<Self> {
        plain::standardize_rows::<Self>(x, eps)
    }

    /// The mean of `(a − b)²`, `[1]`; no gradient by `b`.
    fn mean_squared_difference(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        plain::mean_squared_difference::<Self>(a, b)
    }

    /// Gradient of [`mean_squared_difference`](Self::mean_squared_difference) by `a`, from the one
    /// by the mean, `grad [1]`.
    fn mean_squared_difference_backward(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        plain::mean_squared_difference_backward::<Self>(a, b, grad)
    }

    /// One AdamW update: the new parameter, first and second moment. Not differentiable.
    fn adamw(
        param: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        plain::adamw::<Self>(param, grad, [first, second], step)
    }

    /// [`adamw`](Self::adamw) that also renews the parameter's moving average, the last of the
    /// results.
    fn adamw_averaging(
        param: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        average: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (param, first, second) = plain::adamw::<Self>(param, grad, [first, second], step);
        let average = plain::ema::<Self>(average, param.clone(), step.average_decay);
        (param, first, second, average)
    }

    /// Σ x² of a flat tensor, `[1]`. Not differentiable.
    fn sum_of_squares(x: FloatTensor<Self>) -> FloatTensor<Self> {
        plain::sum_of_squares::<Self>(x)
    }
}

/// [`ConvNextOps::depthwise`] on tensors.
pub fn depthwise(x: Tensor<3>, weight: Tensor<4>, bias: Tensor<1>, sites: &Sites) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::depthwise(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        sites.clone(),
    ))
}

/// [`ConvNextOps::layer_norm_sites`] on tensors.
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    eps: f64,
) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::layer_norm_sites(
        x.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        eps,
    ))
}

/// [`ConvNextOps::gelu_sites`] on tensors.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::gelu_sites(x.into_dispatch()))
}

/// [`ConvNextOps::gelu_grn`] on tensors.
pub fn gelu_grn(x: Tensor<3>, gamma: Tensor<1>, beta: Tensor<1>, eps: f64) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::gelu_grn(
        x.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        eps,
    ))
}

/// [`ConvNextOps::linear_sites`] on tensors.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::linear_sites(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
    ))
}

/// [`ConvNextOps::residual`] on tensors.
pub fn residual(shortcut: Tensor<3>, branch: Tensor<3>, scale: Option<Vec<f32>>) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::residual(
        shortcut.into_dispatch(),
        branch.into_dispatch(),
        scale,
    ))
}

/// [`ConvNextOps::block`] on tensors, with the weights in the order of [`BlockWeights`]' fields.
pub fn block(
    x: Tensor<3>,
    depthwise: Tensor<4>,
    matrices: [Tensor<2>; 2],
    vectors: [Tensor<1>; 7],
    setting: BlockSetting,
) -> Tensor<3> {
    let [expand, contract] = matrices.map(Tensor::into_dispatch);
    let [depthwise_bias, norm_gamma, norm_beta, expand_bias, grn_gamma, grn_beta, contract_bias] =
        vectors.map(Tensor::into_dispatch);
    let weights = BlockWeights {
        depthwise: depthwise.into_dispatch(),
        depthwise_bias,
        norm_gamma,
        norm_beta,
        expand,
        expand_bias,
        grn_gamma,
        grn_beta,
        contract,
        contract_bias,
    };
    Tensor::from_dispatch(Dispatch::block(x.into_dispatch(), weights, setting))
}

/// [`ConvNextOps::space_to_depth`] on tensors.
pub fn space_to_depth(x: Tensor<4>, k: usize) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::space_to_depth(x.into_dispatch(), k))
}

/// [`ConvNextOps::depth_to_space`] on tensors.
pub fn depth_to_space(x: Tensor<4>, k: usize) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::depth_to_space(x.into_dispatch(), k))
}

/// [`ConvNextOps::window_weight`] on tensors.
pub fn window_weight(weight: Tensor<4>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::window_weight(weight.into_dispatch()))
}

/// [`ConvNextOps::select_rows`] on tensors.
pub fn select_rows(x: Tensor<2>, rows: Vec<u32>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::select_rows(x.into_dispatch(), rows))
}

/// [`ConvNextOps::standardize_rows`] on tensors.
pub fn standardize_rows(x: Tensor<2>, eps: f64) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::standardize_rows(x.into_dispatch(), eps))
}

/// [`ConvNextOps::mean_squared_difference`] on tensors.
pub fn mean_squared_difference(a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
    let (a, b) = (a.into_dispatch(), b.into_dispatch());
    Tensor::from_dispatch(Dispatch::mean_squared_difference(a, b))
}

/// [`ConvNextOps::adamw`] on tensors without gradients, or
/// [`adamw_averaging`](ConvNextOps::adamw_averaging) where there is an average.
pub fn adamw<const D: usize>(
    param: Tensor<D>,
    grad: Tensor<D>,
    moments: [Tensor<D>; 2],
    average: Option<Tensor<D>>,
    step: AdamWStep,
) -> (Tensor<D>, [Tensor<D>; 2], Option<Tensor<D>>) {
    let [first, second] = moments.map(Tensor::into_dispatch);
    let (param, grad) = (param.into_dispatch(), grad.into_dispatch());
    let tensor = Tensor::from_dispatch;
    match average {
        None => {
            let (param, first, second) = Dispatch::adamw(param, grad, first, second, step);
            (tensor(param), [tensor(first), tensor(second)], None)
        }
        Some(average) => {
            let average = average.into_dispatch();
            let (param, first, second, average) =
                Dispatch::adamw_averaging(param, grad, first, second, average, step);
            (tensor(param), [tensor(first), tensor(second)], Some(tensor(average)))
        }
    }
}

/// [`ConvNextOps::sum_of_squares`] on tensors without gradients.
pub fn sum_of_squares(x: Tensor<1>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::sum_of_squares(x.into_dispatch()))
}
