//! Layer norm over the last dimension: `gamma · (x − mean) / √(variance + eps) + beta`, the variance
//! that of the values themselves (not the unbiased one).

use fcmae_cuda::operations::layer_norm as card;
use fcmae_kernels::{Gradients, layer_norm as kernel};

use super::Operation;
use crate::engine::parameters::Parameter;
use crate::engine::tape::{Back, Backward, Fill, Pass};
use crate::engine::tensor::Tensor;

/// `x [.., C]`, `gamma [C]`, `beta [C]`, to `[.., C]`.
pub fn layer_norm(
    pass: &mut Pass<'_>,
    x: Tensor,
    gamma: Parameter,
    beta: Parameter,
    eps: f32,
) -> Tensor {
    let out = pass.fill(
        Operation::LayerNorm,
        x.shape(),
        |weights, out| kernel::forward(x.values(), weights.get(gamma), weights.get(beta), eps, out),
        |record, out| {
            let x = record.features(&x);
            let [gamma, beta] = [gamma, beta].map(|of| record.weight(of));
            card::forward(record, &x, [&gamma, &beta], eps, out);
        },
    );
    pass.record(out, &[&x], &[gamma, beta], || {
        Box::new(LayerNorm { x: x.clone(), gamma, beta, eps })
    })
}

#[derive(Debug)]
struct LayerNorm {
    x: Tensor,
    gamma: Parameter,
    beta: Parameter,
    eps: f32,
}

impl Backward for LayerNorm {
    fn backward(self: Box<Self>, gradient: Tensor, back: &mut Back<'_>) {
        let Self { x, gamma, beta, eps } = *self;
        let (operation, forms) = (Operation::LayerNormBackward, [x.shape().into()]);
        let [by_x] = back.fill_and_parameters(
            operation,
            forms,
            [gamma, beta],
            |weights, [by_x], [by_gamma, by_beta]| {
                let gradients = Gradients { x: by_x, gamma: by_gamma, beta: by_beta };
                kernel::backward(x.values(), weights.get(gamma), gradient.values(), eps, gradients)
            },
            |record, [by_x], by, adds| {
                let (x, gradient) = (record.features(&x), record.features(&gradient));
                let gamma = record.weight(gamma);
                card::backward(record, [&x, &gamma, &gradient], eps, by_x, by, adds);
            },
        );
        back.add(x.node(), by_x);
    }
}
