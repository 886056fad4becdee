//! Depthwise 7×7 convolution with zero padding 3. On patches it is submanifold: masked neighbours
//! contribute zero, and there is a result at visible sites only.

use fcmae_cuda::operations::depthwise as card;
use fcmae_kernels::{Sites, depthwise as kernel};

use super::Operation;
use crate::engine::parameters::Parameter;
use crate::engine::tape::{Back, Backward, Fill, Pass, Recorder};
use crate::engine::tensor::Tensor;

/// `x [N, S, C]` at `sites`, `weight [C, 1, 7, 7]`, `bias [C]`, to `[N, S, C]`.
pub fn depthwise(
    pass: &mut Pass<'_>,
    x: Tensor,
    weight: Parameter,
    bias: Parameter,
    sites: &Sites,
) -> Tensor {
    let [images, _, channels] = x.dims();
    let out = pass.fill(
        Operation::Depthwise,
        x.shape(),
        |weights, out| {
            let (weight, bias) = (weights.get(weight), Some(weights.get(bias)));
            kernel::forward(x.values(), weight, bias, sites, images, channels, out)
        },
        |record, out| {
            let (x, sites) = (record.features(&x), sites_on_card(record, sites));
            let [weight, bias] = [weight, bias].map(|of| record.weight(of));
            let setting = card::Setting { sites: &sites, images, channels };
            setting.forward(record, &x, [&weight, &bias], out);
        },
    );
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
        back.parameters(
            operation,
            [weight, bias],
            |_, [weight, bias]| {
                let (x, gradient) = (x.values(), gradient.values());
                kernel::backward_weight(x, gradient, &sites, images, channels, weight, Some(bias))
            },
            |record, by, adds| {
                let (x, gradient) = (record.features(&x), record.features(&gradient));
                let sites = &sites_on_card(record, &sites);
                let setting = card::Setting { sites, images, channels };
                setting.backward_weight(record, [&x, &gradient], by, adds);
            },
        );
        back.operand(x.node(), |back| {
            back.fill(
                operation,
                x.shape(),
                |weights, out| {
                    let weight = weights.get(weight);
                    kernel::backward_input(gradient.values(), weight, &sites, images, channels, out)
                },
                |record, out| {
                    let (gradient, weight) = (record.features(&gradient), record.weight(weight));
                    let sites = &sites_on_card(record, &sites);
                    let setting = card::Setting { sites, images, channels };
                    setting.backward_input(record, [&gradient, &weight], None, out);
                },
            )
        });
    }
}

/// Sites as a card is told them.
pub(super) fn sites_on_card(record: &mut Recorder<'_>, sites: &Sites) -> card::Sites {
    match sites {
        Sites::Grid { height, width } => card::Sites::Grid { height: *height, width: *width },
        Sites::Patches(patches) => {
            let list = &patches.visible;
            let cells = patches.rows * patches.cols;
            let slots = record.list(list, "slots", || {
                let mut slots = vec![-1; patches.images() * cells];
                for (image, visible) in list.chunks_exact(patches.per_image).enumerate() {
                    for (slot, &patch) in (0..).zip(visible) {
                        slots[image * cells + patch as usize] = slot;
                    }
                }
                slots
            });
            card::Sites::Patches {
                rows: patches.rows,
                columns: patches.cols,
                side: patches.side,
                slots,
                visible: record.list(list, "visible", || signed(list)),
            }
        }
    }
}

/// Places as a card counts them. No list of pictures has more than 2³¹.
pub(super) fn signed(list: &[u32]) -> Vec<i32> {
    list.iter().map(|&place| place as i32).collect()
}
