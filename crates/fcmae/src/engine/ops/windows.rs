//! Convolutions whose stride equals their kernel, as linear layers on windows: the windows, each one
//! row, and the weight in their order.

use fcmae_cuda::operations::{
    layer_norm as norm_on_card, linear as linear_on_card, windows as card,
};
use fcmae_cuda::work::Values;
use fcmae_kernels::space_to_depth::{self as kernel, Plane};
use fcmae_kernels::{Gradients, KernelError, layer_norm, linear};

use super::{Operation, linear as layer};
use crate::engine::parameters::{Arena, Parameter};
use crate::engine::prepared::Matrix;
use crate::engine::shape::Shape;
use crate::engine::tape::{Back, Backward, Fill, Pass, Recorder};
use crate::engine::tensor::{Node, Tensor};

/// Cuts `[P, H, W, C]` into windows of `k × k`: `[P, H/k, W/k, k·k·C]`, the values of a window in (row,
/// column, channel) order, channel fastest.
pub fn space_to_depth(pass: &mut Pass<'_>, x: Tensor, k: usize) -> Tensor {
    let [count, height, width, channels] = x.dims();
    let plane = Plane { height, width, channels };
    let windows = [count, height / k, width / k, k * k * channels];
    let out = cut(pass, &x, plane, k, windows.into());
    pass.record(out, &[&x], &[], || {
        let back: Rearranging = |back, x, plane, k, shape| join(back, x, plane, k, shape);
        Box::new(Rearrange { x: x.node(), shape: x.shape(), plane, k, back })
    })
}

/// The inverse of [`space_to_depth`].
pub fn depth_to_space(pass: &mut Pass<'_>, x: Tensor, k: usize) -> Tensor {
    let [count, rows, columns, values] = x.dims();
    let plane = Plane { height: rows * k, width: columns * k, channels: values / (k * k) };
    let shape = [count, plane.height, plane.width, plane.channels];
    let out = join(pass, &x, plane, k, shape.into());
    pass.record(out, &[&x], &[], || {
        let back: Rearranging = |back, x, plane, k, shape| cut(back, x, plane, k, shape);
        Box::new(Rearrange { x: x.node(), shape: x.shape(), plane, k, back })
    })
}

/// Either, as the other's gradient.
type Rearranging = fn(&mut Back<'_>, &Tensor, Plane, usize, Shape) -> Tensor;

/// `x` cut into windows.
fn cut(pass: &mut impl Fill, x: &Tensor, plane: Plane, k: usize, shape: Shape) -> Tensor {
    pass.fill(
        Operation::SpaceToDepth,
        x.form(shape),
        |_, out| kernel::space_to_depth(x.values(), plane, k, out),
        |record, out| {
            let x = record.of(x);
            card::space_to_depth(record, &x, on_card(plane), k, out);
        },
    )
}

/// Windows `x` put together.
fn join(pass: &mut impl Fill, x: &Tensor, plane: Plane, k: usize, shape: Shape) -> Tensor {
    pass.fill(
        Operation::DepthToSpace,
        x.form(shape),
        |_, out| kernel::depth_to_space(x.values(), plane, k, out),
        |record, out| {
            let x = record.of(x);
            card::depth_to_space(record, &x, on_card(plane), k, out);
        },
    )
}

fn on_card(plane: Plane) -> card::Plane {
    card::Plane { width: plane.width, channels: plane.channels }
}

/// Each of the two is the other's gradient.
#[derive(Debug)]
struct Rearrange {
    x: Option<Node>,
    shape: Shape,
    plane: Plane,
    k: usize,
    back: Rearranging,
}

impl Backward for Rearrange {
    fn backward(self: Box<Self>, gradient: Tensor, back: &mut Back<'_>) {
        let Self { x, shape, plane, k, back: kernel } = *self;
        back.operand(x, |back| kernel(back, &gradient, plane, k, shape));
    }
}

/// Layer norm before a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    /// `[C]`
    pub gamma: Parameter,
    /// `[C]`
    pub beta: Parameter,
    /// Added to the variance.
    pub eps: f32,
}

/// A convolution of kernel and stride `k` without padding, of layer norm of `x` where there is a `norm`:
/// `x [P, H, W, I]`, `weight [O, I, k, k]`, `bias [O]`, to `[P, H/k, W/k, O]`.
///
/// The two are one operation as nothing but `x` is kept for their gradients: norm and windows are
/// computed again, which takes less than a hundredth of a step.
pub fn window_convolution(
    pass: &mut Pass<'_>,
    x: Tensor,
    norm: Option<Norm>,
    weight: Parameter,
    bias: Parameter,
) -> Tensor {
    let ([_, height, width, channels], shape) = (x.dims(), weight.shape());
    let (outputs, k) = (shape[0], shape[3]);
    let window = Window { norm, weight, outputs, k, plane: Plane { height, width, channels } };
    let windows = window.cut(pass, &x);
    let shape = windows.shape().with_last(outputs);
    if let Some(kept) = pass.prepared(shape.count() / outputs) {
        let cpu = |weights: &Arena, out: &mut [f32]| {
            let prepare = || layer::prepare(&window.laid_out(weights), window.row());
            let matrix = Matrix { weight, windows: true, scale: None };
            layer::forward_kept(
                kept,
                weights,
                matrix,
                prepare,
                windows.values(),
                weights.get(bias),
                out,
            )
        };
        return pass.fill(Operation::Linear, shape, cpu, layer::not_on_card);
    }
    let matrix = window.matrix(pass);
    let out = pass.fill(
        Operation::Linear,
        shape,
        |weights, out| {
            let (matrix, bias) = (matrix.values(), Some(weights.get(bias)));
            linear::forward(windows.values(), matrix, bias, window.row(), out)
        },
        |record, out| {
            let (windows, matrix) = (record.features(&windows), record.of(&matrix));
            let bias = record.weight(bias);
            linear_on_card::forward(record, &windows, &matrix, &bias, window.row(), out);
        },
    );
    let trained =
        norm.map_or([weight, bias, weight, bias], |norm| [weight, bias, norm.gamma, norm.beta]);
    pass.record(out, &[&x], &trained, || Box::new(WindowConvolution { x: x.clone(), window, bias }))
}

impl Norm {
    fn forward(&self, weights: &Arena, x: &Tensor, out: &mut [f32]) -> Result<(), KernelError> {
        let (gamma, beta) = (weights.get(self.gamma), weights.get(self.beta));
        layer_norm::forward(x.values(), gamma, beta, self.eps, out)
    }

    fn forward_on_card(&self, record: &mut Recorder<'_>, x: &Tensor, out: &Values) {
        let [gamma, beta] = [self.gamma, self.beta].map(|of| record.weight(of));
        let x = record.features(x);
        norm_on_card::forward(record, &x, [&gamma, &beta], self.eps, out);
    }
}

/// A convolution as a product with windows.
#[derive(Clone, Copy, Debug)]
struct Window {
    norm: Option<Norm>,
    weight: Parameter,
    outputs: usize,
    k: usize,
    /// Of the input.
    plane: Plane,
}

impl Window {
    /// Values of a window.
    fn row(&self) -> usize {
        self.k * self.k * self.plane.channels
    }

    /// The windows of `count` inputs.
    fn rows(&self, count: usize) -> Shape {
        [count, self.plane.height / self.k, self.plane.width / self.k, self.row()].into()
    }

    fn matrix_shape(&self) -> Shape {
        [self.outputs, self.row()].into()
    }

    /// Writes the weight as a matrix, `[O, k·k·I]`.
    fn write_matrix(&self, weights: &Arena, out: &mut [f32]) -> Result<(), KernelError> {
        let taps = self.k * self.k;
        kernel::window_weight(weights.get(self.weight), self.plane.channels, taps, out)
    }

    /// The matrix for a layout that is kept.
    fn laid_out(&self, weights: &Arena) -> Vec<f32> {
        let mut matrix = vec![0.0; self.matrix_shape().count()];
        self.write_matrix(weights, &mut matrix).expect("a weight as long as its matrix");
        matrix
    }

    /// The matrix as a tensor.
    fn matrix(&self, pass: &mut impl Fill) -> Tensor {
        pass.fill(
            Operation::WindowWeight,
            self.matrix_shape(),
            |weights, out| self.write_matrix(weights, out),
            |record, out| {
                let weight = record.weight(self.weight);
                card::weight(record, &weight, self.plane.channels, self.k * self.k, out);
            },
        )
    }

    /// The windows of `x`, after its norm where there is one.
    fn cut(&self, pass: &mut impl Fill, x: &Tensor) -> Tensor {
        let normed = self.norm.map(|norm| {
            pass.fill(
                Operation::LayerNorm,
                x.shape(),
                |weights, out| norm.forward(weights, x, out),
                |record, out| norm.forward_on_card(record, x, out),
            )
        });
        let x = normed.as_ref().unwrap_or(x);
        cut(pass, x, self.plane, self.k, self.rows(x.shape()[0]))
    }
}

#[derive(Debug)]
struct WindowConvolution {
    x: Tensor,
    window: Window,
    bias: Parameter,
}

impl Backward for WindowConvolution {
    fn backward(self: Box<Self>, gradient: Tensor, back: &mut Back<'_>) {
        let Self { x, window, bias } = *self;
        let windows = window.cut(back, &x);
        let [by_matrix] = back.fill_and_parameters(
            Operation::LinearBackward,
            [window.matrix_shape().floats()],
            [bias],
            |_, [by_matrix], [by_bias]| {
                let (windows, gradient) = (windows.values(), gradient.values());
                linear::backward_weight(windows, gradient, window.outputs, by_matrix, Some(by_bias))
            },
            |record, [by_matrix], [by_bias], adds| {
                let (windows, gradient) = (record.features(&windows), record.features(&gradient));
                let operands = [&windows, &gradient];
                linear_on_card::backward_matrix(record, operands, by_matrix, window.outputs, false);
                linear_on_card::backward_bias(record, &gradient, by_bias, adds);
            },
        );
        let shape = windows.shape();
        drop(windows);
        let (channels, taps) = (window.plane.channels, window.k * window.k);
        back.parameters(
            Operation::WindowWeight,
            [window.weight],
            |_, [by_weight]| {
                kernel::window_weight_backward(by_matrix.values(), channels, taps, by_weight)
            },
            |record, [by_weight], adds| {
                let by_matrix = record.of(&by_matrix);
                card::weight_backward(record, &by_matrix, channels, taps, by_weight, adds);
            },
        );
        drop(by_matrix);
        if x.node().is_none() && window.norm.is_none() {
            return;
        }
        let matrix = window.matrix(back);
        let by_windows = back.fill(
            Operation::LinearBackward,
            shape,
            |_, out| linear::backward_input(gradient.values(), matrix.values(), window.row(), out),
            |record, out| {
                let (gradient, matrix) = (record.features(&gradient), record.of(&matrix));
                linear_on_card::backward_input(record, &gradient, &matrix, window.outputs, out);
            },
        );
        drop((matrix, gradient));
        let gradient = join(back, &by_windows, window.plane, window.k, x.shape());
        drop(by_windows);
        let Some(Norm { gamma, beta, eps }) = window.norm else {
            back.add(x.node(), gradient);
            return;
        };
        let [by_x] = back.fill_and_parameters(
            Operation::LayerNormBackward,
            [x.shape().into()],
            [gamma, beta],
            |weights, [by_x], [by_gamma, by_beta]| {
                let gradients = Gradients { x: by_x, gamma: by_gamma, beta: by_beta };
                let (x, gradient) = (x.values(), gradient.values());
                layer_norm::backward(x, weights.get(gamma), gradient, eps, gradients)
            },
            |record, [by_x], by, adds| {
                let (x, gradient) = (record.features(&x), record.features(&gradient));
                let gamma = record.weight(gamma);
                norm_on_card::backward(record, [&x, &gamma, &gradient], eps, by_x, by, adds);
            },
        );
        back.add(x.node(), by_x);
    }
}
