//! The table of operations to compare.

use burn::backend::tensor::FloatTensor;
use burn::backend::{TensorData, TensorMetadata};
use fcmae::mask::Mask;
use fcmae::ops::block::{BlockSetting, BlockWeights, PreparedWeights};
use fcmae::ops::{ConvNextOps, plain};
use fcmae_kernels::Sites;

use super::Operand;

type Apply<B> = Box<dyn Fn(Vec<FloatTensor<B>>) -> FloatTensor<B>>;

/// An operation on some operands, on the backend's own and in plain operations.
pub(super) struct Operation<B: ConvNextOps> {
    pub(super) name: String,
    pub(super) operands: Vec<Operand>,
    pub(super) own: Apply<B>,
    pub(super) plain: Apply<B>,
}

/// `operands` as that many variables.
macro_rules! apply {
    (|$($operand:ident),+| $result:expr) => {
        Box::new(move |operands| {
            let mut operands = operands.into_iter();
            $(let $operand = operands.next().unwrap();)+
            $result
        })
    };
}

/// Every differentiable operation, in shapes with whole and broken vectors of eight channels.
pub(super) fn all<B: ConvNextOps>() -> Vec<Operation<B>> {
    let mut all = depthwise();
    all.extend(pointwise());
    all.extend(rearranging());
    all.extend(block());
    all.extend(rows());
    all
}

fn depthwise<B: ConvNextOps>() -> Vec<Operation<B>> {
    let grid = |height, width| Sites::Grid { height, width };
    let patches = |grid, ratio, side| Mask::random(grid, ratio, 5, 0, &[0, 1]).unwrap().sites(side);
    let cases = [
        (grid(1, 1), 5),
        (grid(5, 9), 20),
        (grid(9, 3), 8),
        (patches([3, 4], 0.6, 1), 12),
        (patches([2, 3], 0.5, 2), 8),
        (patches([3, 2], 0.4, 4), 5),
        (patches([1, 2], 0.5, 8), 4),
    ];
    let case = |(sites, channels): (Sites, usize)| {
        let count = sites.sites_per_image();
        let own = sites.clone();
        Operation {
            name: format!("depthwise at {sites:?}"),
            operands: vec![
                Operand::filled("x", &[2, count, channels], 2.0),
                Operand::filled("weight", &[channels, 1, 7, 7], 0.3),
                Operand::filled("bias", &[channels], 0.5),
            ],
            own: apply!(|x, weight, bias| B::depthwise(x, weight, bias, own.clone())),
            plain: apply!(|x, weight, bias| plain::depthwise::<B>(x, weight, bias, &sites)),
        }
    };
    cases.map(case).into()
}

fn pointwise<B: ConvNextOps>() -> Vec<Operation<B>> {
    const EPS: f64 = 1e-6;
    let x = |shape: &[usize], scale| Operand::filled("x", shape, scale);
    let vector = |name, channels| Operand::filled(name, &[channels], 0.5);
    let mut all = Vec::new();
    for shape in [&[2, 7, 20][..], &[3, 5, 2, 8], &[4, 3]] {
        let channels = *shape.last().unwrap();
        all.push(Operation {
            name: format!("layer norm of {shape:?}"),
            operands: vec![x(shape, 3.0), vector("gamma", channels), vector("beta", channels)],
            own: apply!(|x, gamma, beta| B::layer_norm_sites(x, gamma, beta, EPS)),
            plain: apply!(|x, gamma, beta| plain::layer_norm::<B>(x, gamma, beta, EPS)),
        });
        all.push(Operation {
            name: format!("gelu of {shape:?}"),
            operands: vec![x(shape, 5.0)],
            own: apply!(|x| B::gelu_sites(x)),
            plain: apply!(|x| plain::gelu::<B>(x)),
        });
    }
    for shape in [[2, 12, 20], [3, 5, 8], [1, 1, 3]] {
        all.push(Operation {
            name: format!("gelu and grn of {shape:?}"),
            operands: vec![x(&shape, 3.0), vector("gamma", shape[2]), vector("beta", shape[2])],
            own: apply!(|x, gamma, beta| B::gelu_grn(x, gamma, beta, EPS)),
            plain: apply!(|x, gamma, beta| plain::gelu_grn::<B>(x, gamma, beta, EPS)),
        });
    }
    for (shape, outputs) in [(&[2, 9, 20][..], 13), (&[1, 40, 8], 32), (&[3, 5], 1)] {
        let inputs = *shape.last().unwrap();
        all.push(Operation {
            name: format!("linear from {shape:?} to {outputs}"),
            operands: vec![
                x(shape, 2.0),
                Operand::filled("weight", &[outputs, inputs], 0.5),
                vector("bias", outputs),
            ],
            own: apply!(|x, weight, bias| B::linear_sites(x, weight, bias)),
            plain: apply!(|x, weight, bias| plain::linear::<B>(x, weight, bias)),
        });
    }
    for scale in [None, Some(vec![1.25, 0.5, 1.0])] {
        let own = scale.clone();
        all.push(Operation {
            name: format!("residual with {scale:?}"),
            operands: vec![x(&[3, 4, 5], 1.0), Operand::filled("branch", &[3, 4, 5], 1.0)],
            own: apply!(|x, branch| B::residual(x, branch, own.clone())),
            plain: apply!(|x, branch| plain::residual::<B>(x, branch, &scale)),
        });
    }
    all
}

fn rearranging<B: ConvNextOps>() -> Vec<Operation<B>> {
    let mut all = Vec::new();
    for shape in [[5, 3, 4, 4], [2, 8, 2, 2], [1, 1, 1, 1]] {
        all.push(Operation {
            name: format!("weight {shape:?} for windows"),
            operands: vec![Operand::filled("weight", &shape, 1.0)],
            own: apply!(|weight| B::window_weight(weight)),
            plain: apply!(|weight| plain::window_weight::<B>(weight)),
        });
    }
    for (shape, k) in [([2, 4, 6, 5], 2), ([1, 8, 4, 3], 4), ([3, 2, 2, 8], 1)] {
        all.push(Operation {
            name: format!("space to depth of {shape:?} by {k}"),
            operands: vec![Operand::filled("x", &shape, 1.0)],
            own: apply!(|x| B::space_to_depth(x, k)),
            plain: apply!(|x| plain::space_to_depth::<B>(x, k)),
        });
        let [count, height, width, channels] = shape;
        let cut = [count, height / k, width / k, k * k * channels];
        all.push(Operation {
            name: format!("depth to space of {cut:?} by {k}"),
            operands: vec![Operand::filled("x", &cut, 1.0)],
            own: apply!(|x| B::depth_to_space(x, k)),
            plain: apply!(|x| plain::depth_to_space::<B>(x, k)),
        });
    }
    all
}

fn rows<B: ConvNextOps>() -> Vec<Operation<B>> {
    let mut all = Vec::new();
    for (shape, rows) in [([5, 3], vec![4, 0, 4, 2]), ([2, 20], vec![1])] {
        let own = rows.clone();
        all.push(Operation {
            name: format!("rows {rows:?} of {shape:?}"),
            operands: vec![Operand::filled("x", &shape, 1.0)],
            own: apply!(|x| B::select_rows(x, own.clone())),
            plain: apply!(|x| plain::select_rows::<B>(x, &rows)),
        });
    }
    for shape in [[3, 7], [2, 48]] {
        let targets = Operand::filled("targets", &shape, 1.0);
        let constant = move || {
            let data = TensorData::new(targets.values.clone(), targets.shape.clone());
            data.convert::<f32>()
        };
        let plain_constant = constant.clone();
        all.push(Operation {
            name: format!("mean squared difference of {shape:?}"),
            operands: vec![Operand::filled("x", &shape, 2.0)],
            own: apply!(|x| {
                let x: FloatTensor<B> = x;
                let b = B::float_from_data(constant().convert_dtype(x.dtype()), &x.device());
                B::mean_squared_difference(x, b)
            }),
            plain: apply!(|x| {
                let x: FloatTensor<B> = x;
                let data = plain_constant().convert_dtype(x.dtype());
                let b = B::float_from_data(data, &x.device());
                plain::mean_squared_difference::<B>(x, b)
            }),
        });
        all.push(Operation {
            name: format!("standardized rows of {shape:?}"),
            operands: vec![Operand::filled("x", &shape, 2.0)],
            own: apply!(|x| B::standardize_rows(x, 1e-6)),
            plain: apply!(|x| plain::standardize_rows::<B>(x, 1e-6)),
        });
    }
    all
}

/// The whole block; in plain operations, one after the other.
fn block<B: ConvNextOps>() -> Vec<Operation<B>> {
    const EPS: f64 = 1e-6;
    let patches = Mask::random([3, 4], 0.6, 5, 0, &[0, 1, 2]).unwrap().sites(2);
    let cases = [
        (Sites::Grid { height: 3, width: 5 }, 1, 6, None),
        (Sites::Grid { height: 2, width: 2 }, 3, 8, Some(vec![1.25, 0.0, 0.5])),
        (patches, 3, 5, Some(vec![1.0, 2.0, 0.25])),
    ];
    let case = |(sites, images, c, scale): (Sites, usize, usize, Option<Vec<f32>>)| {
        let vector = |name: &str, count: usize| Operand::filled(name, &[count], 0.5);
        let prepared = PreparedWeights::default();
        let setting =
            BlockSetting { sites: sites.clone(), scale, norm_eps: EPS, grn_eps: EPS, prepared };
        let own = setting.clone();
        Operation {
            name: format!("block of {c} channels at {sites:?}"),
            operands: vec![
                Operand::filled("x", &[images, sites.sites_per_image(), c], 2.0),
                Operand::filled("depthwise", &[c, 1, 7, 7], 0.3),
                vector("depthwise_bias", c),
                vector("norm_gamma", c),
                vector("norm_beta", c),
                Operand::filled("expand", &[4 * c, c], 0.5),
                vector("expand_bias", 4 * c),
                vector("grn_gamma", 4 * c),
                vector("grn_beta", 4 * c),
                Operand::filled("contract", &[c, 4 * c], 0.5),
                vector("contract_bias", c),
            ],
            own: apply!(|x, dw, dw_bias, gamma, beta, w1, b1, grn_gamma, grn_beta, w2, b2| {
                let weights = BlockWeights {
                    depthwise: dw,
                    depthwise_bias: dw_bias,
                    norm_gamma: gamma,
                    norm_beta: beta,
                    expand: w1,
                    expand_bias: b1,
                    grn_gamma,
                    grn_beta,
                    contract: w2,
                    contract_bias: b2,
                };
                B::block(x, weights, own.clone())
            }),
            plain: apply!(|x, dw, dw_bias, gamma, beta, w1, b1, grn_gamma, grn_beta, w2, b2| {
                let x: FloatTensor<B> = x;
                let y = plain::depthwise::<B>(x.clone(), dw, dw_bias, &setting.sites);
                let y = plain::layer_norm::<B>(y, gamma, beta, EPS);
                let y = plain::linear::<B>(y, w1, b1);
                let y = plain::gelu_grn::<B>(y, grn_gamma, grn_beta, EPS);
                plain::residual::<B>(x, plain::linear::<B>(y, w2, b2), &setting.scale)
            }),
        }
    };
    cases.map(case).into()
}
