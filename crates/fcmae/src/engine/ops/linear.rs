//! A linear layer, `x·Wᵀ + b`; with V1's layer scale, `scale · (x·Wᵀ + b)`, computed as
//! `x·(scale·W)ᵀ + scale·b`, which spares a pass over the features.

use std::borrow::Cow;

use fcmae_cuda::operations::{layer_scale, linear as card};
use fcmae_cuda::work::Values;
use fcmae_kernels::{KernelError, adamw, linear as kernel, rows};

use super::Operation;
use crate::engine::parameters::{Arena, Parameter};
use crate::engine::prepared::{Matrix, Prepared};
use crate::engine::shape::{Form, Shape};
use crate::engine::tape::{Back, Backward, Fill, Pass, Recorder};
use crate::engine::tensor::Tensor;

/// The parameters of a linear layer.
#[derive(Clone, Copy, Debug)]
pub struct Affine {
    /// `[O, I]`, or any shape of so many values, such as a convolution's whose windows are rows.
    pub weight: Parameter,
    /// `[O]`
    pub bias: Parameter,
    /// V1's layer scale, `[O]`.
    pub scale: Option<Parameter>,
}

/// `x [.., I]` to `[.., O]`.
pub fn linear(pass: &mut Pass<'_>, x: Tensor, affine: Affine) -> Tensor {
    let (inputs, outputs) = (x.shape().last(), affine.bias.shape().last());
    let operation = Operation::Linear;
    if let Some(kept) = pass.prepared(x.shape().count() / inputs) {
        let cpu = |weights: &Arena, out: &mut [f32]| {
            let bias = affine.scaled(weights, affine.bias);
            let prepare = || prepare(&affine.scaled(weights, affine.weight), inputs);
            let Affine { weight, scale, .. } = affine;
            let matrix = Matrix { weight, windows: false, scale };
            forward_kept(kept, weights, matrix, prepare, x.values(), &bias, out)
        };
        return pass.fill(operation, x.shape().with_last(outputs), cpu, not_on_card);
    }
    let scaled = affine.scale.map(|scale| {
        let weight = scaled(pass, operation, affine.weight, scale, Form::from);
        [weight, scaled(pass, operation, affine.bias, scale, Shape::floats)]
    });
    let out = pass.fill(
        operation,
        x.shape().with_last(outputs),
        |weights, out| {
            let (weight, bias) = match &scaled {
                Some([weight, bias]) => (weight.values(), bias.values()),
                None => (weights.get(affine.weight), weights.get(affine.bias)),
            };
            kernel::forward(x.values(), weight, Some(bias), inputs, out)
        },
        |record, out| {
            let x = record.features(&x);
            let [weight, bias] = match &scaled {
                Some(scaled) => scaled.each_ref().map(|scaled| record.of(scaled)),
                None => [record.factor(affine.weight), record.weight(affine.bias)],
            };
            card::forward(record, &x, &weight, &bias, inputs, out);
        },
    );
    let parameters = [affine.weight, affine.bias, affine.scale.unwrap_or(affine.bias)];
    pass.record(out, &[&x], &parameters, || Box::new(Linear { x: x.clone(), affine }))
}

impl Affine {
    /// One of its parameters, times its layer scale where it has one.
    fn scaled<'a>(&self, weights: &'a Arena, of: Parameter) -> Cow<'a, [f32]> {
        let Some(scale) = self.scale else { return weights.get(of).into() };
        let mut scaled = vec![0.0; of.shape().count()];
        scale_rows(weights, of, scale, &mut scaled).expect("a factor for each row");
        scaled.into()
    }
}

/// Where layouts are kept the processor computes.
pub(super) fn not_on_card(_: &mut Recorder<'_>, _: &Values) {
    panic!("layouts of weights are the processor's");
}

/// The layout of a layer's weight `[O, I]`.
pub(super) fn prepare(weight: &[f32], inputs: usize) -> kernel::Prepared {
    kernel::Prepared::new(weight, inputs).expect("the weight of a layer")
}

/// `x·Wᵀ + bias` with a layout that is kept, if there is a place for it.
pub(super) fn forward_kept(
    kept: &Prepared,
    weights: &Arena,
    matrix: Matrix,
    prepare: impl Fn() -> kernel::Prepared,
    x: &[f32],
    bias: &[f32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    match kept.matrix(weights.layout().number(matrix.weight), &matrix, &prepare) {
        Some(layout) => kernel::forward_prepared(x, layout, Some(bias), out),
        None => kernel::forward_prepared(x, &prepare(), Some(bias), out),
    }
}

/// A row of `parameter [O, ..]` for each value of `scale [O]`, times it.
fn scale_rows(
    weights: &Arena,
    parameter: Parameter,
    scale: Parameter,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let width = parameter.shape().count() / scale.shape().count();
    rows::scale(weights.get(parameter), width, weights.get(scale), out)
}

/// The same as a tensor.
fn scaled(
    pass: &mut impl Fill,
    operation: Operation,
    parameter: Parameter,
    scale: Parameter,
    form: impl FnOnce(Shape) -> Form,
) -> Tensor {
    pass.fill(
        operation,
        form(parameter.shape()),
        |weights, out| scale_rows(weights, parameter, scale, out),
        |record, out| {
            let [x, scale] = [parameter, scale].map(|of| record.weight(of));
            layer_scale::scale(record, &x, &scale, out, false);
        },
    )
}

#[derive(Debug)]
struct Linear {
    x: Tensor,
    affine: Affine,
}

impl Backward for Linear {
    fn backward(self: Box<Self>, gradient: Tensor, back: &mut Back<'_>) {
        let Self { x, affine: Affine { weight, bias, scale } } = *self;
        let (inputs, outputs) = (x.shape().last(), bias.shape().last());
        let operation = Operation::LinearBackward;
        let Some(scale) = scale else {
            back.parameters(
                operation,
                [weight, bias],
                |_, [weight, bias]| {
                    let (x, gradient) = (x.values(), gradient.values());
                    kernel::backward_weight(x, gradient, outputs, weight, Some(bias))
                },
                |record, by, adds| {
                    let (x, gradient) = (record.features(&x), record.features(&gradient));
                    card::backward_weight(record, [&x, &gradient], by, adds);
                },
            );
            back.operand(x.node(), |back| {
                back.fill(
                    operation,
                    x.shape(),
                    |weights, out| {
                        kernel::backward_input(gradient.values(), weights.get(weight), inputs, out)
                    },
                    |record, out| {
                        let (gradient, weight) =
                            (record.features(&gradient), record.factor(weight));
                        card::backward_input(record, &gradient, &weight, outputs, out);
                    },
                )
            });
            return;
        };
        let [by_weight, by_bias] = back.fill_all(
            operation,
            [weight.shape().floats(), bias.shape().floats()],
            |_, [by_weight, by_bias]| {
                let (x, gradient) = (x.values(), gradient.values());
                kernel::backward_weight(x, gradient, outputs, by_weight, Some(by_bias))
            },
            |record, by| {
                let (x, gradient) = (record.features(&x), record.features(&gradient));
                card::backward_weight(record, [&x, &gradient], by, false);
            },
        );
        back.parameters(
            operation,
            [weight, bias, scale],
            |weights, [to_weight, to_bias, to_scale]| {
                let [weight, bias, scale] = [weight, bias, scale].map(|of| weights.get(of));
                let (by_weight, by_bias) = (by_weight.values(), by_bias.values());
                let width = weight.len() / outputs;
                rows::scale_backward(weight, width, scale, by_weight, to_weight, to_scale)?;
                let mut through_bias = vec![0.0; outputs];
                rows::scale_backward(bias, 1, scale, by_bias, to_bias, &mut through_bias)?;
                adamw::accumulate(to_scale, &through_bias)
            },
            |record, [to_weight, to_bias, to_scale], adds| {
                let [weight, bias, scale] = [weight, bias, scale].map(|of| record.weight(of));
                let [by_weight, by_bias] = [&by_weight, &by_bias].map(|by| record.of(by));
                layer_scale::scale(record, &by_weight, &scale, to_weight, adds);
                layer_scale::scale(record, &by_bias, &scale, to_bias, adds);
                let (weights, biases) = ([&weight, &by_weight], [&bias, &by_bias]);
                layer_scale::backward(record, weights, biases, to_scale, adds);
            },
        );
        drop((by_weight, by_bias));
        back.operand(x.node(), |back| {
            let scaled = scaled(back, operation, weight, scale, Form::from);
            back.fill(
                operation,
                x.shape(),
                |_, out| kernel::backward_input(gradient.values(), scaled.values(), inputs, out),
                |record, out| {
                    let (gradient, weight) = (record.features(&gradient), record.of(&scaled));
                    card::backward_input(record, &gradient, &weight, outputs, out);
                },
            )
        });
    }
}
