//! Every operation written with plain Burn primitives, generic over the backend.
//!
//! These are the default bodies of [`ConvNextOps`](super::ConvNextOps), so that a backend without
//! kernels of its own still works, and the reference that the tests hold the kernels to. They
//! favour clarity: several passes over memory where a kernel needs one.

use burn::backend::ops::ConvOptions;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorData, TensorMetadata};
use burn::tensor::{IndexingUpdateOp, Shape};
use fcmae_kernels::{Patches, Sites};

type F<B> = FloatTensor<B>;

fn reshape<B: Backend>(x: F<B>, shape: impl Into<Shape>) -> F<B> {
    B::float_reshape(x, shape.into())
}

/// Sum over every dimension but the last: `[.., C]` to `[C]`.
fn sum_rows<B: Backend>(x: F<B>) -> F<B> {
    let channels = last(&x);
    let rows = x.shape().num_elements() / channels;
    let sum = B::float_sum_dim(reshape::<B>(x, [rows, channels]), 0);
    reshape::<B>(sum, [channels])
}

fn last<T: TensorMetadata>(x: &T) -> usize {
    let shape = x.shape();
    shape[shape.num_dims() - 1]
}

fn dims3<T: TensorMetadata>(x: &T) -> [usize; 3] {
    let shape = x.shape();
    [shape[0], shape[1], shape[2]]
}

/// Row `n·L + patch` of the dense grid for every visible patch.
fn patch_rows<B: Backend>(patches: &Patches, device: &B::Device) -> IntTensor<B> {
    let cells = patches.rows * patches.cols;
    let rows: Vec<i64> = patches
        .visible
        .iter()
        .enumerate()
        .map(|(i, &patch)| (i / patches.per_image * cells + patch as usize) as i64)
        .collect();
    let count = rows.len();
    B::int_from_data(TensorData::new(rows, [count]), device)
}

/// `[N, S, C]` at `sites` to the dense `[N, C, H, W]`, zero where nothing is visible.
fn to_dense<B: Backend>(x: F<B>, sites: &Sites) -> F<B> {
    let [n, _, c] = dims3(&x);
    match sites {
        Sites::Grid { height, width } => {
            B::float_permute(reshape::<B>(x, [n, *height, *width, c]), &[0, 3, 1, 2])
        }
        Sites::Patches(p) => {
            let (device, dtype) = (x.device(), x.dtype());
            let width = p.side * p.side * c;
            let empty =
                B::float_zeros(Shape::from([n * p.rows * p.cols, width]), &device, dtype.into());
            let rows = reshape::<B>(x, [n * p.per_image, width]);
            let index = patch_rows::<B>(p, &device);
            let dense = B::float_select_assign(empty, 0, index, rows, IndexingUpdateOp::Add);
            let dense = reshape::<B>(dense, [n, p.rows, p.cols, p.side, p.side, c]);
            let dense = B::float_permute(dense, &[0, 5, 1, 3, 2, 4]);
            reshape::<B>(dense, [n, c, p.rows * p.side, p.cols * p.side])
        }
    }
}

/// The adjoint of [`to_dense`]: reads the sites back out of `[N, C, H, W]`.
fn to_sites<B: Backend>(x: F<B>, sites: &Sites) -> F<B> {
    let shape = x.shape();
    let (n, c) = (shape[0], shape[1]);
    match sites {
        Sites::Grid { height, width } => {
            reshape::<B>(B::float_permute(x, &[0, 2, 3, 1]), [n, height * width, c])
        }
        Sites::Patches(p) => {
            let index = patch_rows::<B>(p, &x.device());
            let x = reshape::<B>(x, [n, c, p.rows, p.side, p.cols, p.side]);
            let x = B::float_permute(x, &[0, 2, 4, 3, 5, 1]);
            let x = reshape::<B>(x, [n * p.rows * p.cols, p.side * p.side * c]);
            let x = B::float_select(x, 0, index);
            reshape::<B>(x, [n, p.per_image * p.side * p.side, c])
        }
    }
}

fn depthwise_options(channels: usize) -> ConvOptions<2> {
    ConvOptions::new([1, 1], [3, 3], [1, 1], channels)
}

/// See [`ConvNextOps::depthwise`](super::ConvNextOps::depthwise).
pub fn depthwise<B: Backend>(x: F<B>, weight: F<B>, bias: F<B>, sites: &Sites) -> F<B> {
    let options = depthwise_options(last(&x));
    to_sites::<B>(B::conv2d(to_dense::<B>(x, sites), weight, Some(bias), options), sites)
}

/// Gradients of [`depthwise`] by input, weight and bias.
pub fn depthwise_backward<B: Backend>(
    x: F<B>,
    weight: F<B>,
    grad: F<B>,
    sites: &Sites,
) -> (F<B>, F<B>, F<B>) {
    let options = depthwise_options(last(&x));
    let bias_grad = sum_rows::<B>(grad.clone());
    let x = to_dense::<B>(x, sites);
    let grad = to_dense::<B>(grad, sites);
    let x_grad = B::conv2d_x_backward(x.clone(), weight.clone(), grad.clone(), options.clone());
    let weight_grad = B::conv2d_weight_backward(x, weight, grad, options);
    (to_sites::<B>(x_grad, sites), weight_grad, bias_grad)
}

/// The normalized input and the reciprocal standard deviation of every row.
fn normalize<B: Backend>(x: F<B>, eps: f64) -> (F<B>, F<B>) {
    let dim = x.shape().num_dims() - 1;
    let centred = B::float_sub(x.clone(), B::float_mean_dim(x, dim));
    let variance = B::float_mean_dim(B::float_mul(centred.clone(), centred.clone()), dim);
    let rstd = B::float_recip(B::float_sqrt(B::float_add_scalar(variance, eps.into())));
    (B::float_mul(centred, rstd.clone()), rstd)
}

/// A per-channel vector as something that broadcasts against `like`.
fn per_channel<B: Backend>(vector: F<B>, like: &F<B>) -> F<B> {
    let mut shape = vec![1; like.shape().num_dims()];
    *shape.last_mut().expect("features have at least one dimension") = last(&vector);
    reshape::<B>(vector, shape)
}

/// See [`ConvNextOps::layer_norm_sites`](super::ConvNextOps::layer_norm_sites).
pub fn layer_norm<B: Backend>(x: F<B>, gamma: F<B>, beta: F<B>, eps: f64) -> F<B> {
    let (normalized, _) = normalize::<B>(x, eps);
    let gamma = per_channel::<B>(gamma, &normalized);
    let beta = per_channel::<B>(beta, &normalized);
    B::float_add(B::float_mul(normalized, gamma), beta)
}

/// Gradients of [`layer_norm`] by input, gamma and beta.
pub fn layer_norm_backward<B: Backend>(
    x: F<B>,
    gamma: F<B>,
    grad: F<B>,
    eps: f64,
) -> (F<B>, F<B>, F<B>) {
    let dim = x.shape().num_dims() - 1;
    let (normalized, rstd) = normalize::<B>(x, eps);
    let beta_grad = sum_rows::<B>(grad.clone());
    let gamma_grad = sum_rows::<B>(B::float_mul(grad.clone(), normalized.clone()));
    let gamma = per_channel::<B>(gamma, &grad);
    let grad = B::float_mul(grad, gamma);
    // dx = rstd · (g − mean(g) − x̂ · mean(g · x̂)), g = grad · gamma
    let mean = B::float_mean_dim(grad.clone(), dim);
    let projection = B::float_mean_dim(B::float_mul(grad.clone(), normalized.clone()), dim);
    let x_grad = B::float_sub(B::float_sub(grad, mean), B::float_mul(normalized, projection));
    (B::float_mul(x_grad, rstd), gamma_grad, beta_grad)
}

/// See [`ConvNextOps::gelu_sites`](super::ConvNextOps::gelu_sites).
pub fn gelu<B: Backend>(x: F<B>) -> F<B> {
    B::float_mul(x.clone(), normal_cdf::<B>(x))
}

/// Φ(x), the distribution function of the standard normal.
fn normal_cdf<B: Backend>(x: F<B>) -> F<B> {
    let erf = B::float_erf(B::float_mul_scalar(x, std::f64::consts::FRAC_1_SQRT_2.into()));
    B::float_mul_scalar(B::float_add_scalar(erf, 1.0.into()), 0.5.into())
}

/// Gradient of [`gelu`] by its input: `Φ(x) + x·φ(x)`.
pub fn gelu_backward<B: Backend>(x: F<B>, grad: F<B>) -> F<B> {
    let square = B::float_mul(x.clone(), x.clone());
    let density = B::float_exp(B::float_mul_scalar(square, (-0.5).into()));
    let density = B::float_mul_scalar(density, (1.0 / (2.0 * std::f64::consts::PI).sqrt()).into());
    let slope = B::float_add(normal_cdf::<B>(x.clone()), B::float_mul(x, density));
    B::float_mul(grad, slope)
}

/// What GRN's forward and backward share: `G [N, 1, C]` and `N = G / (mean(G) + eps)`.
fn response<B: Backend>(h: &F<B>, eps: f64) -> (F<B>, F<B>, F<B>) {
    let energy = B::float_sum_dim(B::float_mul(h.clone(), h.clone()), 1);
    let norm = B::float_sqrt(energy);
    let mean = B::float_add_scalar(B::float_mean_dim(norm.clone(), 2), eps.into());
    let response = B::float_div(norm.clone(), mean.clone());
    (norm, mean, response)
}

/// See [`ConvNextOps::gelu_grn`](super::ConvNextOps::gelu_grn).
pub fn gelu_grn<B: Backend>(x: F<B>, gamma: F<B>, beta: F<B>, eps: f64) -> F<B> {
    let h = gelu::<B>(x);
    let (_, _, response) = response::<B>(&h, eps);
    let gamma = per_channel::<B>(gamma, &h);
    let beta = per_channel::<B>(beta, &h);
    // gamma · (h · N) + beta + h
    let scaled = B::float_mul(h.clone(), B::float_mul(response, gamma));
    B::float_add(B::float_add(scaled, beta), h)
}

/// Gradients of [`gelu_grn`] by input, gamma and beta.
pub fn gelu_grn_backward<B: Backend>(
    x: F<B>,
    gamma: F<B>,
    grad: F<B>,
    eps: f64,
) -> (F<B>, F<B>, F<B>) {
    let h = gelu::<B>(x.clone());
    let (norm, mean, response) = response::<B>(&h, eps);
    let channels = last(&h) as f64;
    let beta_grad = sum_rows::<B>(grad.clone());
    // d/dN_c, summed over the image's sites, before and after gamma.
    let by_site = B::float_sum_dim(B::float_mul(grad.clone(), h.clone()), 1);
    let gamma_grad = sum_rows::<B>(B::float_mul(by_site.clone(), response.clone()));
    let gamma = per_channel::<B>(gamma, &h);
    let response_grad = B::float_mul(by_site, gamma.clone());
    // N_c = G_c / m, m = mean(G) + eps: dG_c = dN_c/m − Σ_k(dN_k·G_k) / (m²·C)
    let total = B::float_sum_dim(B::float_mul(response_grad.clone(), response.clone()), 2);
    let shared = B::float_mul_scalar(total, (1.0 / channels).into());
    let norm_grad = B::float_div(B::float_sub(response_grad, shared), mean);
    // dh through G: h · dG/G, and nothing where the channel is silent in the whole image.
    let floor = B::float_clamp_min(norm, f64::from(f32::MIN_POSITIVE).into());
    let through_norm = B::float_mul(h, B::float_div(norm_grad, floor));
    let direct = B::float_add_scalar(B::float_mul(gamma, response), 1.0.into());
    let h_grad = B::float_add(B::float_mul(grad, direct), through_norm);
    (gelu_backward::<B>(x, h_grad), gamma_grad, beta_grad)
}

/// See [`ConvNextOps::linear_sites`](super::ConvNextOps::linear_sites).
pub fn linear<B: Backend>(x: F<B>, weight: F<B>, bias: F<B>) -> F<B> {
    let mut shape = x.shape();
    let inputs = last(&x);
    let rows = shape.num_elements() / inputs;
    let outputs = weight.shape()[0];
    let product =
        B::float_matmul(reshape::<B>(x, [rows, inputs]), B::float_swap_dims(weight, 0, 1));
    let product = B::float_add(product, reshape::<B>(bias, [1, outputs]));
    let dim = shape.num_dims() - 1;
    shape[dim] = outputs;
    reshape::<B>(product, shape)
}

/// Gradients of [`linear`] by input, weight and bias.
pub fn linear_backward<B: Backend>(x: F<B>, weight: F<B>, grad: F<B>) -> (F<B>, F<B>, F<B>) {
    let shape = x.shape();
    let (inputs, outputs) = (last(&x), last(&grad));
    let rows = shape.num_elements() / inputs;
    let bias_grad = sum_rows::<B>(grad.clone());
    let x = reshape::<B>(x, [rows, inputs]);
    let grad = reshape::<B>(grad, [rows, outputs]);
    let weight_grad = B::float_matmul(B::float_swap_dims(grad.clone(), 0, 1), x);
    let x_grad = reshape::<B>(B::float_matmul(grad, weight), shape);
    (x_grad, weight_grad, bias_grad)
}

/// See [`ConvNextOps::residual`](super::ConvNextOps::residual).
pub fn residual<B: Backend>(shortcut: F<B>, branch: F<B>, scale: &Option<Vec<f32>>) -> F<B> {
    B::float_add(shortcut, scale_images::<B>(branch, scale))
}

/// Multiplies image n of `[N, S, C]` by `scale[n]`.
pub fn scale_images<B: Backend>(x: F<B>, scale: &Option<Vec<f32>>) -> F<B> {
    let Some(scale) = scale else { return x };
    let device = x.device();
    let scale = B::float_from_data(TensorData::new(scale.clone(), [scale.len(), 1, 1]), &device);
    let scale = B::float_cast(scale, x.dtype().into());
    B::float_mul(x, scale)
}

/// See [`ConvNextOps::space_to_depth`](super::ConvNextOps::space_to_depth).
pub fn space_to_depth<B: Backend>(x: F<B>, k: usize) -> F<B> {
    let shape = x.shape();
    let (p, h, w, c) = (shape[0], shape[1], shape[2], shape[3]);
    let x = reshape::<B>(x, [p, h / k, k, w / k, k, c]);
    reshape::<B>(B::float_permute(x, &[0, 1, 3, 2, 4, 5]), [p, h / k, w / k, k * k * c])
}

/// See [`ConvNextOps::depth_to_space`](super::ConvNextOps::depth_to_space).
pub fn depth_to_space<B: Backend>(x: F<B>, k: usize) -> F<B> {
    let shape = x.shape();
    let (p, h, w, c) = (shape[0], shape[1], shape[2], shape[3] / (k * k));
    let x = reshape::<B>(x, [p, h, w, k, k, c]);
    reshape::<B>(B::float_permute(x, &[0, 1, 3, 2, 4, 5]), [p, h * k, w * k, c])
}

/// See [`ConvNextOps::window_weight`](super::ConvNextOps::window_weight).
pub fn window_weight<B: Backend>(weight: F<B>) -> F<B> {
    let shape = weight.shape();
    let (outputs, values) = (shape[0], shape[1] * shape[2] * shape[3]);
    reshape::<B>(B::float_permute(weight, &[0, 2, 3, 1]), [outputs, values])
}

/// See [`ConvNextOps::window_weight_backward`](super::ConvNextOps::window_weight_backward).
pub fn window_weight_backward<B: Backend>(grad: F<B>, k: usize) -> F<B> {
    let shape = grad.shape();
    let grad = reshape::<B>(grad, [shape[0], k, k, shape[1] / (k * k)]);
    B::float_permute(grad, &[0, 3, 1, 2])
}

fn row_indices<B: Backend>(rows: &[u32], device: &B::Device) -> IntTensor<B> {
    let rows: Vec<i64> = rows.iter().map(|&row| i64::from(row)).collect();
    let count = rows.len();
    B::int_from_data(TensorData::new(rows, [count]), device)
}

/// See [`ConvNextOps::select_rows`](super::ConvNextOps::select_rows).
pub fn select_rows<B: Backend>(x: F<B>, rows: &[u32]) -> F<B> {
    let rows = row_indices::<B>(rows, &x.device());
    B::float_select(x, 0, rows)
}

/// See [`ConvNextOps::select_rows_backward`](super::ConvNextOps::select_rows_backward).
pub fn select_rows_backward<B: Backend>(grad: F<B>, rows: &[u32], count: usize) -> F<B> {
    let (device, dtype) = (grad.device(), grad.dtype());
    let zeros = B::float_zeros(Shape::from([count, last(&grad)]), &device, dtype.into());
    let rows = row_indices::<B>(rows, &device);
    B::float_select_assign(zeros, 0, rows, grad, IndexingUpdateOp::Add)
}

/// See [`ConvNextOps::standardize_rows`](super::ConvNextOps::standardize_rows).
pub fn standardize_rows<B: Backend>(x: F<B>, eps: f64) -> F<B> {
    let width = last(&x);
    let centred = B::float_sub(x.clone(), B::float_mean_dim(x, 1));
    let square = B::float_sum_dim(B::float_mul(centred.clone(), centred.clone()), 1);
    // A row of one value has no unbiased variance; it counts as constant.
    let freedom = width.saturating_sub(1).max(1) as f64;
    let variance = B::float_div_scalar(square, freedom.into());
    B::float_div(centred, B::float_sqrt(B::float_add_scalar(variance, eps.into())))
}

/// See [`ConvNextOps::mean_squared_difference`](super::ConvNextOps::mean_squared_difference).
pub fn mean_squared_difference<B: Backend>(a: F<B>, b: F<B>) -> F<B> {
    let difference = B::float_sub(a, b);
    B::float_mean(B::float_mul(difference.clone(), difference))
}

/// See [`ConvNextOps::mean_squared_difference_backward`].
///
/// [`ConvNextOps::mean_squared_difference_backward`]:
///     super::ConvNextOps::mean_squared_difference_backward
pub fn mean_squared_difference_backward<B: Backend>(a: F<B>, b: F<B>, grad: F<B>) -> F<B> {
    let shape = a.shape();
    let count = shape.num_elements() as f64;
    let factor = B::float_div_scalar(B::float_mul_scalar(grad, 2.0.into()), count.into());
    let factor = B::float_expand(reshape::<B>(factor, [1, 1]), shape);
    B::float_mul(B::float_sub(a, b), factor)
}

/// See [`ConvNextOps::adamw`](super::ConvNextOps::adamw).
pub fn adamw<B: Backend>(
    param: F<B>,
    grad: F<B>,
    [first, second]: [F<B>; 2],
    step: super::AdamWStep,
) -> (F<B>, F<B>, F<B>) {
    let scaled = |x: F<B>, by: f64| B::float_mul_scalar(x, by.into());
    let correction = |beta: f64| 1.0 - beta.powf(step.step as f64);
    let grad = scaled(grad, step.grad_scale);
    let square = B::float_mul(grad.clone(), grad.clone());
    let first = B::float_add(scaled(first, step.beta1), scaled(grad, 1.0 - step.beta1));
    let second = B::float_add(scaled(second, step.beta2), scaled(square, 1.0 - step.beta2));
    let denominator = B::float_add_scalar(
        scaled(B::float_sqrt(second.clone()), 1.0 / correction(step.beta2).sqrt()),
        step.eps.into(),
    );
    let update = B::float_div(scaled(first.clone(), step.lr / correction(step.beta1)), denominator);
    let decayed = scaled(param, 1.0 - step.lr * step.weight_decay);
    (B::float_sub(decayed, update), first, second)
}

/// decay · average + (1 − decay) · param
pub fn ema<B: Backend>(average: F<B>, param: F<B>, decay: f64) -> F<B> {
    let kept = B::float_mul_scalar(average, decay.into());
    B::float_add(kept, B::float_mul_scalar(param, (1.0 - decay).into()))
}

/// See [`ConvNextOps::sum_of_squares`](super::ConvNextOps::sum_of_squares).
pub fn sum_of_squares<B: Backend>(x: F<B>) -> F<B> {
    B::float_sum(B::float_mul(x.clone(), x))
}
