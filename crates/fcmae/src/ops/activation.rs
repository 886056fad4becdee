//! GELU (the exact one, with erf), then Global Response Normalization over each image's sites
//! (ConvNeXt V2, section 3.2) where a block has it: with `h = gelu(x)`, `G_c = ‖h_c‖₂`,
//! `N_c = G_c / (mean G + eps)`, the result is `gamma·(h·N) + beta + h`. Its variants are those of the
//! paper's tables 2a to 2c.

use fcmae_kernels::grn::{self, Aggregation, Normalization, Variant};
use fcmae_kernels::{Gradients, gelu};

use super::Operation;
use crate::config::{GrnAggregation, GrnConfig, GrnNormalization};
use crate::parameters::Parameter;
use crate::tape::{Back, Backward, Fill, Pass};
use crate::tensor::Tensor;

/// GRN's parameters and form.
#[derive(Clone, Copy, Debug)]
pub struct Grn {
    /// `[C]`
    pub gamma: Parameter,
    /// `[C]`
    pub beta: Parameter,
    /// Which variant.
    pub config: GrnConfig,
    /// Added to what is divided by.
    pub eps: f32,
}

impl Grn {
    /// `None` for the published form, for which there is a kernel in one with GELU.
    fn variant(&self) -> Option<Variant> {
        let GrnConfig { aggregation, normalization, skip } = self.config;
        let aggregation = match aggregation {
            GrnAggregation::L2 => Aggregation::L2,
            GrnAggregation::L1 => Aggregation::L1,
            GrnAggregation::Average => Aggregation::Average,
        };
        let normalization = match normalization {
            GrnNormalization::Mean => Normalization::Mean,
            GrnNormalization::Standardize => Normalization::Standardize,
            GrnNormalization::Inverse => Normalization::Inverse,
            GrnNormalization::Sum => Normalization::Sum,
        };
        let published = self.config == GrnConfig::default();
        (!published).then_some(Variant { aggregation, normalization, skip })
    }
}

/// `x [N, S, C]` to the same; GELU alone where there is no `grn`.
pub fn activation(pass: &mut Pass<'_>, x: Tensor, grn: Option<Grn>) -> Tensor {
    let (operation, shape) = (Operation::Activation, x.shape());
    let Some(grn) = grn else {
        let out = pass.fill(operation, shape, |_, out| gelu::forward(x.values(), out));
        return pass.record(out, &[&x], &[], || Box::new(Gelu { x: x.clone() }));
    };
    let (images, eps) = (shape[0], grn.eps);
    let out = if let Some(variant) = grn.variant() {
        let h = pass.fill(operation, shape, |_, out| gelu::forward(x.values(), out));
        pass.fill(operation, shape, |weights, out| {
            let (gamma, beta) = (weights.get(grn.gamma), weights.get(grn.beta));
            grn::variant(h.values(), gamma, beta, images, &variant, eps, out)
        })
    } else {
        pass.fill(operation, shape, |weights, out| {
            let (gamma, beta) = (weights.get(grn.gamma), weights.get(grn.beta));
            grn::gelu_grn(x.values(), gamma, beta, images, eps, out)
        })
    };
    pass.record(out, &[&x], &[grn.gamma, grn.beta], || Box::new(GeluGrn { x: x.clone(), grn }))
}

#[derive(Debug)]
struct Gelu {
    x: Tensor,
}

impl Backward for Gelu {
    fn backward(self: Box<Self>, gradient: Tensor, back: &mut Back<'_>) {
        let x = self.x;
        let by_x = back.fill(Operation::ActivationBackward, x.shape(), |_, out| {
            gelu::backward(x.values(), gradient.values(), out)
        });
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
        let by_x = if let Some(variant) = grn.variant() {
            let h = back.fill(operation, shape, |_, out| gelu::forward(x.values(), out));
            let [by_h] = back.fill_and_parameters(
                operation,
                [shape],
                parameters,
                |weights, [by_h], [gamma, beta]| {
                    let gradients = Gradients { x: by_h, gamma, beta };
                    let gamma = weights.get(grn.gamma);
                    let (h, gradient) = (h.values(), gradient.values());
                    grn::variant_backward(h, gamma, gradient, images, &variant, eps, gradients)
                },
            );
            drop((h, gradient));
            back.fill(operation, shape, |_, out| gelu::backward(x.values(), by_h.values(), out))
        } else {
            let [by_x] = back.fill_and_parameters(
                operation,
                [shape],
                parameters,
                |weights, [by_x], [gamma, beta]| {
                    let gradients = Gradients { x: by_x, gamma, beta };
                    let (x, gradient) = (x.values(), gradient.values());
                    let gamma = weights.get(grn.gamma);
                    grn::gelu_grn_backward(x, gamma, gradient, images, eps, gradients)
                },
            );
            by_x
        };
        back.add(x.node(), by_x);
    }
}
