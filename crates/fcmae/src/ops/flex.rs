//! The CPU: Flex tensors in, `fcmae-kernels` in between, Flex tensors out.
//!
//! The kernels work in float32; another precision (float64 in gradient checks) takes the plain
//! operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorData, TensorMetadata};
use burn::tensor::{DType, Shape};
use burn_flex::FlexTensor;
use fcmae_kernels::block::{self as kernels, Kept, Prepared};
use fcmae_kernels::space_to_depth::Plane;
use fcmae_kernels::{Gradients, KernelError, Sites, buffer};
use fcmae_kernels::{
    adamw, depthwise, gelu, grn, layer_norm, linear, residual, rows, space_to_depth,
};

use super::block::{self, BlockGradients, BlockPass, BlockSetting, BlockWeights};
use super::{AdamWStep, ConvNextOps, plain};

/// A tensor whose values lie in order, one after the other.
#[derive(Clone)]
struct Dense(FlexTensor);

impl Dense {
    fn new(tensor: FlexTensor) -> Self {
        Self(if tensor.as_slice::<f32>().is_some() { tensor } else { tensor.to_contiguous() })
    }

    fn values(&self) -> &[f32] {
        self.0.as_slice().expect("a contiguous float32 tensor")
    }

    fn shape(&self) -> Shape {
        self.0.shape()
    }

    fn last(&self) -> usize {
        let shape = self.shape();
        shape[shape.num_dims() - 1]
    }

    fn images(&self) -> usize {
        self.shape()[0]
    }
}

/// Shapes are fixed by the network's structure and image sizes are checked where pictures enter,
/// so a kernel that refuses its arguments means a defect of this crate.
fn sound(result: Result<(), KernelError>) {
    result.expect("operands of the shapes that the operation's documentation names");
}

fn tensor(values: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

fn is_float32(tensor: &FlexTensor) -> bool {
    tensor.dtype() == DType::F32
}

/// A tensor whose storage holds its values and nothing else: written in place where nobody else
/// holds it, as in training, and a copy otherwise.
fn whole(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() && tensor.storage::<f32>().len() == tensor.shape().num_elements() {
        return tensor;
    }
    let dense = Dense::new(tensor);
    self::tensor(dense.values().to_vec(), dense.shape())
}

/// A new tensor of `shape`, written by `kernel`.
fn filled(shape: Shape, kernel: impl FnOnce(&mut [f32]) -> Result<(), KernelError>) -> FlexTensor {
    let mut out = buffer(shape.num_elements());
    sound(kernel(&mut out));
    tensor(out, shape)
}

/// Rows, columns and channels of `[P, H, W, C]`.
fn plane(shape: &Shape) -> Plane {
    Plane { height: shape[1], width: shape[2], channels: shape[3] }
}

/// The most rows, N · S, of a block for which the layout of its weights is kept for the next call.
const KEEP_PREPARED_BELOW: usize = 8192;

/// A block's weights in [`BlockWeights`]' order.
#[derive(Clone)]
struct DenseWeights([Dense; 10]);

impl DenseWeights {
    fn new(weights: BlockWeights<Flex>) -> Self {
        Self(weights.into_array().map(Dense::new))
    }

    fn views(&self) -> kernels::Weights<'_> {
        kernels::Weights::from_array(self.0.each_ref().map(Dense::values))
    }

    fn prepare(&self) -> Prepared {
        Prepared::new(&self.views()).expect("weights of one block")
    }

    /// Whether these are the same tensors. While they are held here, their memory is neither freed
    /// nor written to.
    fn are(&self, others: &Self) -> bool {
        let same = |(a, b): (&Dense, &Dense)| std::ptr::eq(a.values(), b.values());
        self.0.iter().zip(&others.0).all(same)
    }
}

/// A block's weights laid out, and what they were laid out from.
struct PreparedBlock {
    weights: DenseWeights,
    layout: Prepared,
}

fn kernel_setting(setting: &BlockSetting, images: usize) -> kernels::Setting<'_> {
    kernels::Setting {
        sites: &setting.sites,
        images,
        scale: setting.scale.as_deref(),
        norm_eps: setting.norm_eps as f32,
        grn_eps: setting.grn_eps as f32,
    }
}

impl ConvNextOps for Flex {
    fn depthwise(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        sites: Sites,
    ) -> FloatTensor<Self> {
        if !is_float32(&x) {
            return plain::depthwise::<Self>(x, weight, bias, &sites);
        }
        let [x, weight, bias] = [x, weight, bias].map(Dense::new);
        let (images, channels) = (x.images(), x.last());
        filled(x.shape(), |out| {
            let bias = Some(bias.values());
            depthwise::forward(x.values(), weight.values(), bias, &sites, images, channels, out)
        })
    }

    fn depthwise_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        sites: Sites,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        if !is_float32(&x) {
            return plain::depthwise_backward::<Self>(x, weight, grad, &sites);
        }
        let [x, weight, grad] = [x, weight, grad].map(Dense::new);
        let (images, channels) = (x.images(), x.last());
        let x_grad = filled(x.shape(), |out| {
            depthwise::backward_input(grad.values(), weight.values(), &sites, images, channels, out)
        });
        let mut bias_grad = buffer(channels);
        let weight_grad = filled(weight.shape(), |out| {
            let bias_grad = Some(bias_grad.as_mut_slice());
            depthwise::backward_weight(
                x.values(),
                grad.values(),
                &sites,
                images,
                channels,
                out,
                bias_grad,
            )
        });
        (x_grad, weight_grad, tensor(bias_grad, Shape::from([channels])))
    }

    fn layer_norm_sites(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f64,
    ) -> FloatTensor<Self> {
        if !is_float32(&x) {
            return plain::layer_norm::<Self>(x, gamma, beta, eps);
        }
        let [x, gamma, beta] = [x, gamma, beta].map(Dense::new);
        filled(x.shape(), |out| {
            layer_norm::forward(x.values(), gamma.values(), beta.values(), eps as f32, out)
        })
    }

    fn layer_norm_sites_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        eps: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        if !is_float32(&x) {
            return plain::layer_norm_backward::<Self>(x, gamma, grad, eps);
        }
        let [x, gamma, grad] = [x, gamma, grad].map(Dense::new);
        with_gamma_beta(x.shape(), gamma.shape(), |gradients| {
            layer_norm::backward(x.values(), gamma.values(), grad.values(), eps as f32, gradients)
        })
    }

    fn gelu_sites(x: FloatTensor<Self>) -> FloatTensor<Self> {
        if !is_float32(&x) {
            return plain::gelu::<Self>(x);
        }
        let x = Dense::new(x);
        filled(x.shape(), |out| gelu::forward(x.values(), out))
    }

    fn gelu_sites_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        if !is_float32(&x) {
            return plain::gelu_backward::<Self>(x, grad);
        }
        let [x, grad] = [x, grad].map(Dense::new);
        filled(x.shape(), |out| gelu::backward(x.values(), grad.values(), out))
    }

    fn gelu_grn(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f64,
    ) -> FloatTensor<Self> {
        if !is_float32(&x) {
            return plain::gelu_grn::<Self>(x, gamma, beta, eps);
        }
        let [x, gamma, beta] = [x, gamma, beta].map(Dense::new);
        filled(x.shape(), |out| {
            grn::gelu_grn(x.values(), gamma.values(), beta.values(), x.images(), eps as f32, out)
        })
    }

    fn gelu_grn_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        eps: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        if !is_float32(&x) {
            return plain::gelu_grn_backward::<Self>(x, gamma, grad, eps);
        }
        let [x, gamma, grad] = [x, gamma, grad].map(Dense::new);
        with_gamma_beta(x.shape(), gamma.shape(), |gradients| {
            let (images, eps) = (x.images(), eps as f32);
            grn::gelu_grn_backward(
                x.values(),
                gamma.values(),
                grad.values(),
                images,
                eps,
                gradients,
            )
        })
    }

    fn linear_sites(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        if !is_float32(&x) {
            return plain::linear::<Self>(x, weight, bias);
        }
        let [x, weight, bias] = [x, weight, bias].map(Dense::new);
        let inputs = x.last();
        let mut shape = x.shape();
        let dim = shape.num_dims() - 1;
        shape[dim] = weight.shape()[0];
        filled(shape, |out| {
            linear::forward(x.values(), weight.values(), Some(bias.values()), inputs, out)
        })
    }

    fn linear_sites_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        if !is_float32(&x) {
            return plain::linear_backward::<Self>(x, weight, grad);
        }
        let [x, weight, grad] = [x, weight, grad].map(Dense::new);
        let (inputs, outputs) = (x.last(), grad.last());
        let x_grad = filled(x.shape(), |out| {
            linear::backward_input(grad.values(), weight.values(), inputs, out)
        });
        let mut bias_grad = buffer(outputs);
        let weight_grad = filled(weight.shape(), |out| {
            let bias_grad = Some(bias_grad.as_mut_slice());
            linear::backward_weight(x.values(), grad.values(), outputs, out, bias_grad)
        });
        (x_grad, weight_grad, tensor(bias_grad, Shape::from([outputs])))
    }

    fn residual(
        shortcut: FloatTensor<Self>,
        branch: FloatTensor<Self>,
        scale: Option<Vec<f32>>,
    ) -> FloatTensor<Self> {
        if !is_float32(&shortcut) {
            return plain::residual::<Self>(shortcut, branch, &scale);
        }
        let [shortcut, branch] = [shortcut, branch].map(Dense::new);
        let scale = scale.unwrap_or_else(|| vec![1.0; shortcut.images()]);
        filled(shortcut.shape(), |out| {
            residual::forward(shortcut.values(), branch.values(), &scale, out)
        })
    }

    fn block(
        x: FloatTensor<Self>,
        weights: BlockWeights<Self>,
        setting: BlockSetting,
    ) -> FloatTensor<Self> {
        if !is_float32(&x) {
            return block::forward::<Self>(x, weights, setting);
        }
        let x = Dense::new(x);
        let weights = DenseWeights::new(weights);
        // Laying the weights out costs as much as some hundred rows.
        let rows = x.values().len() / x.last();
        let prepared = if rows <= KEEP_PREPARED_BELOW {
            let fits = |kept: &PreparedBlock| kept.weights.are(&weights);
            let prepare = || PreparedBlock { weights: weights.clone(), layout: weights.prepare() };
            Ok(setting.prepared.get_or(fits, prepare))
        } else {
            Err(weights.prepare())
        };
        let layout = match &prepared {
            Ok(kept) => &kept.layout,
            Err(layout) => layout,
        };
        filled(x.shape(), |out| {
            kernels::forward(x.values(), layout, &kernel_setting(&setting, x.images()), out)
        })
    }

    fn block_keeping(
        x: FloatTensor<Self>,
        weights: BlockWeights<Self>,
        setting: BlockSetting,
    ) -> BlockPass<Self> {
        if !is_float32(&x) {
            return block::forward_keeping::<Self>(x, weights, setting);
        }
        let x = Dense::new(x);
        let layout = DenseWeights::new(weights).prepare();
        let (images, values) = (x.images(), x.values().len());
        let width = kernels::hidden_width(x.last());
        let (mut convolved, mut expanded) = (buffer(values), buffer(values / x.last() * width));
        let mut squares = buffer(images * width);
        let kept = Kept {
            convolved: convolved.as_mut_slice(),
            expanded: &mut expanded,
            squares: &mut squares,
        };
        let out = filled(x.shape(), |out| {
            let setting = kernel_setting(&setting, images);
            kernels::forward_keeping(x.values(), &layout, &setting, out, kept)
        });
        let flat = |values: Vec<f32>| {
            let shape = Shape::from([values.len()]);
            tensor(values, shape)
        };
        BlockPass {
            out,
            convolved: tensor(convolved, x.shape()),
            expanded: flat(expanded),
            squares: flat(squares),
        }
    }

    fn block_backward(
        x: FloatTensor<Self>,
        pass: BlockPass<Self>,
        weights: BlockWeights<Self>,
        grad: FloatTensor<Self>,
        setting: BlockSetting,
    ) -> BlockGradients<Self> {
        if !is_float32(&x) {
            return block::backward::<Self>(x, pass, weights, grad, setting);
        }
        let BlockPass { convolved, expanded, squares, .. } = pass;
        let [x, grad, convolved, expanded, squares] =
            [x, grad, convolved, expanded, squares].map(Dense::new);
        let weights = DenseWeights::new(weights);
        let kept = Kept {
            convolved: convolved.values(),
            expanded: expanded.values(),
            squares: squares.values(),
        };
        let mut written = weights.0.each_ref().map(|weight| buffer(weight.values().len()));
        let slices = written.each_mut().map(Vec::as_mut_slice);
        let x_grad = filled(x.shape(), |x_grad| {
            let gradients =
                kernels::Gradients { x: x_grad, weights: kernels::PerWeight::from_array(slices) };
            let setting = kernel_setting(&setting, x.images());
            let weights = weights.views();
            kernels::backward(x.values(), kept, &weights, &setting, grad.values(), gradients)
        });
        let mut shapes = weights.0.iter().map(Dense::shape);
        let gradients = written.map(|values| {
            let shape = shapes.next().expect("as many shapes as weights");
            tensor(values, shape)
        });
        BlockGradients { x: x_grad, weights: BlockWeights::from_array(gradients) }
    }

    fn space_to_depth(x: FloatTensor<Self>, k: usize) -> FloatTensor<Self> {
        if !is_float32(&x) {
            return plain::space_to_depth::<Self>(x, k);
        }
        let x = Dense::new(x);
        let shape = x.shape();
        let cut = Shape::from([shape[0], shape[1] / k, shape[2] / k, k * k * shape[3]]);
        filled(cut, |out| space_to_depth::space_to_depth(x.values(), plane(&shape), k, out))
    }

    fn depth_to_space(x: FloatTensor<Self>, k: usize) -> FloatTensor<Self> {
        if !is_float32(&x) {
            return plain::depth_to_space::<Self>(x, k);
        }
        let x = Dense::new(x);
        let cut = x.shape();
        let shape = Shape::from([cut[0], cut[1] * k, cut[2] * k, cut[3] / (k * k)]);
        let plane = plane(&shape);
        filled(shape, |out| space_to_depth::depth_to_space(x.values(), plane, k, out))
    }

    fn window_weight(weight: FloatTensor<Self>) -> FloatTensor<Self> {
        if !is_float32(&weight) {
            return plain::window_weight::<Self>(weight);
        }
        let weight = Dense::new(weight);
        let shape = weight.shape();
        let (inputs, taps) = (shape[1], shape[2] * shape[3]);
        filled(Shape::from([shape[0], taps * inputs]), |out| {
            space_to_depth::window_weight(weight.values(), inputs, taps, out)
        })
    }

    fn window_weight_backward(grad: FloatTensor<Self>, k: usize) -> FloatTensor<Self> {
        if !is_float32(&grad) {
            return plain::window_weight_backward::<Self>(grad, k);
        }
        let grad = Dense::new(grad);
        let inputs = grad.last() / (k * k);
        filled(Shape::from([grad.images(), inputs, k, k]), |out| {
            space_to_depth::window_weight_backward(grad.values(), inputs, k * k, out)
        })
    }

    fn select_rows(x: FloatTensor<Self>, rows: Vec<u32>) -> FloatTensor<Self> {
        if !is_float32(&x) {
            return plain::select_rows::<Self>(x, &rows);
        }
        let x = Dense::new(x);
        let width = x.last();
        filled(Shape::from([rows.len(), width]), |out| {
            rows::select(x.values(), width, &rows, None, out)
        })
    }

    fn select_rows_backward(
        grad: FloatTensor<Self>,
        rows: Vec<u32>,
        count: usize,
    ) -> FloatTensor<Self> {
        if !is_float32(&grad) {
            return plain::select_rows_backward::<Self>(grad, &rows, count);
        }
        let grad = Dense::new(grad);
        let width = grad.last();
        filled(Shape::from([count, width]), |out| {
            rows::select_backward(grad.values(), width, &rows, out, None)
        })
    }

    fn standardize_rows(x: FloatTensor<Self>, eps: f64) -> FloatTensor<Self> {
        if !is_float32(&x) {
            return plain::standardize_rows::<Self>(x, eps);
        }
        let x = Dense::new(x);
        filled(x.shape(), |out| rows::standardize(x.values(), x.last(), eps as f32, out))
    }

    fn mean_squared_difference(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        if !is_float32(&a) {
            return plain::mean_squared_difference::<Self>(a, b);
        }
        let [a, b] = [a, b].map(Dense::new);
        filled(Shape::from([1]), |out| {
            out[0] = rows::mean_squared_difference(a.values(), b.values())?;
            Ok(())
        })
    }

    fn mean_squared_difference_backward(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        if !is_float32(&a) {
            return plain::mean_squared_difference_backward::<Self>(a, b, grad);
        }
        let [a, b, grad] = [a, b, grad].map(Dense::new);
        let factor = grad.values()[0];
        filled(a.shape(), |out| {
            rows::mean_squared_difference_backward(a.values(), b.values(), factor, out)
        })
    }

    fn adamw(
        param: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        if !is_float32(&param) {
            return plain::adamw::<Self>(param, grad, [first, second], step);
        }
        let grad = Dense::new(grad);
        let mut state = [param, first, second].map(whole);
        let [param, first, second] = state.each_mut().map(|tensor| tensor.storage_mut::<f32>());
        let slices = adamw::State { param, first, second, average: None };
        sound(adamw::adamw(slices, grad.values(), &step));
        state.into()
    }

    fn adamw_averaging(
        param: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        average: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        if !is_float32(&param) {
            let (param, first, second) = plain::adamw::<Self>(param, grad, [first, second], step);
            let average = plain::ema::<Self>(average, param.clone(), step.average_decay);
            return (param, first, second, average);
        }
        let grad = Dense::new(grad);
        let mut state = [param, first, second, average].map(whole);
        let [param, first, second, average] =
            state.each_mut().map(|tensor| tensor.storage_mut::<f32>());
        let slices = adamw::State { param, first, second, average: Some(average) };
        sound(adamw::adamw(slices, grad.values(), &step));
        state.into()
    }

    fn sum_of_squares(x: FloatTensor<Self>) -> FloatTensor<Self> {
        if !is_float32(&x) {
            return plain::sum_of_squares::<Self>(x);
        }
        let sum = adamw::sum_of_squares(Dense::new(x).values());
        tensor(vec![sum as f32], Shape::from([1]))
    }
}

/// Gradients by `x [.., C]` and by two vectors `[C]`, written by `kernel` in one go.
fn with_gamma_beta(
    x: Shape,
    channels: Shape,
    kernel: impl FnOnce(Gradients<'_>) -> Result<(), KernelError>,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let mut gamma = buffer(channels.num_elements());
    let mut beta = buffer(channels.num_elements());
    let x = filled(x, |x| kernel(Gradients { x, gamma: &mut gamma, beta: &mut beta }));
    (x, tensor(gamma, channels.clone()), tensor(beta, channels))
}
