//! Depthwise 7×7 convolution with zero padding 3. On patches it is submanifold: masked neighbours
//! contribute zero, and there is a result at visible sites only.

use fcmae_kernels::{Sites, depthwise as kernel};

use super::Operation;
use crate::parameters::Parameter;
use crate::tape::{Back, Backward, Fill, Pass};
use crate::tensor::Tensor;

/// `x [N, S, C]` at `sites`, `weight [C, 1, 7, 7]`, `bias [C]`, to `[N, S, C]`.
pub fn depthwise(
    pass: &mut Pass<'_>,
    x: Tensor,
    weight: Parameter,
    bias: Parameter,
    sites: &Sites,
) -> Tensor {
    let [images, _, channels] = x.dims();
    let out = pass.fill(Operation::Depthwise, x.shape(), |weights, out| {
        let (weight, bias) = (weights.get(weight), Some(weights.get(bias)));
        kernel::forward(x.values(), weight, bias, sites, images, channels, out)
    });
    pass.record(out, &[&x], &[weight, bias], || {
        Box::new(Depthwise { x: x.clone(), weight, bias, sites: sites.clone() })
    })
}

#[derive(Debug)]
struct Depthwise {
    x: Tensor,
    weight: Parameter,
    bias: Parameter,
    sites: Sites,
}

impl Backward for Depthwise {
    fn backward(self: Box<Self>, gradient: Tensor, back: &mut Back<'_>) {
        let Self { x, weight, bias, sites } = *self;
        let [images, _, channels] = x.dims();
        let operation = Operation::DepthwiseBackward;
        back.parameters(operation, [weight, bias], |_, [weight, bias]| {
            let (x, gradient) = (x.values(), gradient.values());
            kernel::backward_weight(x, gradient, &sites, images, channels, weight, Some(bias))
        });
        back.operand(x.node(), |back| {
            back.fill(operation, x.shape(), |weights, out| {
                let weight = weights.get(weight);
                kernel::backward_input(gradient.values(), weight, &sites, images, channels, out)
            })
        });
    }
}
