//! GELU (the exact one, with erf), then Global Response Normalization over each image's sites
//! (ConvNeXt V2, section 3.2) where a block has it: with `h = gelu(x)`, `G_c = ‖h_c‖₂`,
//! `N_c = G_c / (mean G + eps)`, the result is `gamma·(h·N) + beta + h`. Its variants are those of the
//! paper's tables 2a to 2c.

use fcmae_cuda::operations::activation as card;
use fcmae_cuda::work::{Element, Record};
use fcmae_kernels::grn::{self, Variant};
use fcmae_kernels::{Gradients, gelu};

use super::Operation;
use crate::engine::parameters::Parameter;
use crate::engine::tape::{Back, Backward, Fill, Pass, Recorder};
use crate::engine::tensor::Tensor;

/// GRN's parameters and form.
#[derive(Clone, Copy, Debug)]
pub struct Grn {
    /// `[C]`
    pub gamma: Parameter,
    /// `[C]`
    pub beta: Parameter,
    /// Which variant; `None` is the published form, for which there is a kernel in one with GELU.
    pub variant: Option<Variant>,
    /// Added to what is divided by.
    pub eps: f32,
}

impl Grn {
    fn on_card(&self, record: &Recorder<'_>, images: usize) -> card::Grn {
        let [gamma, beta] = [self.gamma, self.beta].map(|of| record.weight(of));
        card::Grn { gamma, beta, images, eps: self.eps }
    }
}

/// `x [N, S, C]` to the same; GELU alone where there is no `grn`.
pub fn activation(pass: &mut Pass<'_>, x: Tensor, grn: Option<Grn>) -> Tensor {
    let (operation, shape) = (Operation::Activation, x.shape());
    let Some(grn) = grn else {
        let out = forward(pass, &x);
        return pass.record(out, &[&x], &[], || Box::new(Gelu { x: x.clone() }));
    };
    let (images, eps) = (shape[0], grn.eps);
    let out = if let Some(variant) = grn.variant {
        let h = forward(pass, &x);
        pass.fill(
            operation,
            shape,
            |weights, out| {
                let (gamma, beta) = (weights.get(grn.gamma), weights.get(grn.beta));
                grn::variant(h.values(), gamma, beta, images, &variant, eps, out)
            },
            |_, _| unpublished(),
        )
    } else {
        pass.fill(
            operation,
            shape,
            |weights, out| {
                let (gamma, beta) = (weights.get(grn.gamma), weights.get(grn.beta));
                grn::gelu_grn(x.values(), gamma, beta, images, eps, out)
            },
            |record, out| {
                let x = record.features(&x);
                let squares = record.scratch(images * shape.last(), Element::F32);
                grn.on_card(record, images).forward(record, &x, &squares, out);
            },
        )
    };
    pass.record(out, &[&x], &[grn.gamma, grn.beta], || Box::new(GeluGrn { x: x.clone(), grn }))
}

/// GELU of `x`.
fn forward(pass: &mut Pass<'_>, x: &Tensor) -> Tensor {
    pass.fill(
        Operation::Activation,
        x.shape(),
        |_, out| gelu::forward(x.values(), out),
        |record, out| {
            let x = record.features(x);
            card::gelu(record, &x, out);
        },
    )
}

/// The gradient by `x`, from that by GELU of it.
fn backward(back: &mut Back<'_>, x: &Tensor, gradient: &Tensor) -> Tensor {
    back.fill(
        Operation::ActivationBackward,
        x.shape(),
        |_, out| gelu::backward(x.values(), gradient.values(), out),
        |record, out| {
            let (x, gradient) = (record.features(x), record.features(gradient));
            card::gelu_backward(record, &x, &gradient, out);
        },
    )
}

/// Networks with variants of GRN are refused where a card is chosen.
fn unpublished() {
    panic!("variants of GRN are computed on the processor alone");
}

#[derive(Debug)]
struct Gelu {
    x: Tensor,
}

impl Backward for Gelu {
    fn backward(self: Box<Self>, gradient: Tensor, back: &mut Back<'_>) {
        let x = self.x;
        let by_x = backward(back, &x, &gradient);
        back.add(x.node(), by_x);
    }
}

#[derive(Debug)]
struct GeluGrn {
    x: Tensor,
    grn: Grn,
}

impl Backward for GeluGrn {
    fn backward(self: Box<Self>, gradient: Tensor, back: &mut Back<'_>) {
        let Self { x, grn } = *self;
        let (operation, shape) = (Operation::ActivationBackward, x.shape());
        let (images, eps, parameters) = (shape[0], grn.eps, [grn.gamma, grn.beta]);
        let by_x = if let Some(variant) = grn.variant {
            let h = back.fill(
                operation,
                shape,
                |_, out| gelu::forward(x.values(), out),
                |_, _| unpublished(),
            );
            let [by_h] = back.fill_and_parameters(
                operation,
                [shape.into()],
                parameters,
                |weights, [by_h], [gamma, beta]| {
                    let gradients = Gradients { x: by_h, gamma, beta };
                    let gamma = weights.get(grn.gamma);
                    let (h, gradient) = (h.values(), gradient.values());
                    grn::variant_backward(h, gamma, gradient, images, &variant, eps, gradients)
                },
                |_, _, _, _| unpublished(),
            );
            drop((h, gradient));
            backward(back, &x, &by_h)
        } else {
            let [by_x] = back.fill_and_parameters(
                operation,
                [shape.into()],
                parameters,
                |weights, [by_x], [gamma, beta]| {
                    let gradients = Gradients { x: by_x, gamma, beta };
                    let (x, gradient) = (x.values(), gradient.values());
                    let gamma = weights.get(grn.gamma);
                    grn::gelu_grn_backward(x, gamma, gradient, images, eps, gradients)
                },
                |record, [by_x], by, adds| {
                    let (x, gradient) = (record.features(&x), record.features(&gradient));
                    let [squares, out] =
                        [(images * shape.last(), Element::F32), (x.len(), x.element())]
                            .map(|(len, element)| record.scratch(len, element));
                    let grn = grn.on_card(record, images);
                    // What was computed is not kept: neither are its sums of squares.
                    grn.forward(record, &x, &squares, &out);
                    grn.backward(record, [&x, &squares, &gradient], by_x, by, adds);
                },
            );
            by_x
        };
        back.add(x.node(), by_x);
    }
}
