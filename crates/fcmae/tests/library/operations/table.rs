//! What is checked of each operation.

use fcmae::config::{GrnAggregation, GrnConfig, GrnNormalization};
use fcmae::engine::ops::{self, Affine, BlockSetting, BlockWeights, Filler, Operation};
use fcmae::engine::tape::Pass;
use fcmae::engine::tensor::{Shape, Tensor};
use fcmae::network::loss::{smoothed, weigh};
use fcmae::network::mask::Mask;
use fcmae::network::model::layers::{Depthwise, LayerNorm, Linear};
use fcmae::network::model::{Block, Mlp};
use fcmae_kernels::Sites;
use fcmae_oracle::{Var, network as oracle};

use super::case::{Case, EPS, VARIANTS, grn};
use super::optimizer;
use crate::differentiate::Operand;

/// What is checked of an operation.
pub(super) enum Check {
    /// These cases' results.
    Results(Vec<Case>),
    /// These cases' gradients.
    Gradients(Vec<Case>),
    /// Results of the first, gradients of the second.
    Both(Vec<Case>, Vec<Case>),
    /// What is no formula of the oracle's.
    ByHand(fn()),
}

/// What is checked of `operation`: a new one finds no way past this.
pub(super) fn check(operation: Operation) -> Check {
    let both = |cases: fn() -> Vec<Case>| Check::Both(cases(), cases());
    match operation {
        Operation::Depthwise => Check::Results(depthwise()),
        Operation::DepthwiseBackward => Check::Gradients(depthwise()),
        Operation::LayerNorm => Check::Results(layer_norm()),
        Operation::LayerNormBackward => Check::Gradients(layer_norm()),
        Operation::Activation => Check::Results(activation()),
        Operation::ActivationBackward => Check::Gradients(activation()),
        Operation::Linear => Check::Results(linear()),
        Operation::LinearBackward => Check::Gradients(linear()),
        Operation::Residual => Check::Results(residual()),
        Operation::ResidualBackward => Check::Gradients(residual()),
        Operation::Block => Check::Results(block()),
        Operation::BlockBackward => Check::Gradients(block()),
        Operation::SpaceToDepth => both(space_to_depth),
        Operation::DepthToSpace => both(depth_to_space),
        Operation::WindowWeight => both(window_convolution),
        Operation::SelectRows => Check::Results(select_rows()),
        Operation::SelectRowsBackward => Check::Gradients(select_rows()),
        Operation::StandardizeRows => both(standardize_rows),
        Operation::Pool => Check::Results(pool()),
        Operation::PoolBackward => Check::Gradients(pool()),
        Operation::SquaredDifference => both(squared_difference),
        Operation::CosineDistance => both(cosine_distance),
        Operation::CrossEntropy => both(cross_entropy),
        Operation::Accumulate => Check::ByHand(optimizer::parts_add_up_to_the_oracles_sum),
        Operation::SumOfSquares => Check::ByHand(optimizer::the_norm_is_that_of_all_gradients),
        Operation::Update => Check::ByHand(optimizer::updates_follow_adamws_formula),
    }
}

/// All cases.
pub(super) fn all() -> Vec<Case> {
    let cases = Operation::ALL.into_iter().flat_map(|operation| match check(operation) {
        Check::Results(cases) | Check::Both(cases, _) => cases,
        // The same as those of the results.
        Check::Gradients(_) | Check::ByHand(_) => Vec::new(),
    });
    cases.collect()
}

fn x(shape: impl Into<Shape>, scale: f64) -> Operand {
    Operand::filled("x", shape, scale)
}

fn vector(name: &str, channels: usize) -> Operand {
    Operand::filled(name, [channels], 0.5)
}

fn grid(height: usize, width: usize) -> Sites {
    Sites::Grid { height, width }
}

/// The visible patches of some images, each `side × side` sites.
fn patches(grid: [usize; 2], ratio: f64, side: usize, images: &[u32]) -> Sites {
    Mask::random(grid, ratio, 5, 0, images).unwrap().sites(side)
}

fn oracle_sites(sites: &Sites, images: usize) -> oracle::Sites {
    match sites {
        Sites::Grid { height, width } => oracle::Sites::grid(images, [*height, *width]),
        Sites::Patches(patches) => {
            let visible: Vec<usize> = patches.visible.iter().map(|&patch| patch as usize).collect();
            let grid = [patches.rows, patches.cols];
            oracle::Sites::patches(grid, patches.side, patches.per_image, &visible)
        }
    }
}

// Shapes have whole and broken vectors of eight channels.

fn depthwise() -> Vec<Case> {
    let patches = |grid, ratio, side| patches(grid, ratio, side, &[0, 1]);
    let cases = [
        (grid(1, 1), 5),
        (grid(5, 9), 20),
        (grid(9, 3), 8),
        (patches([3, 4], 0.6, 1), 12),
        (patches([2, 3], 0.5, 2), 8),
        (patches([3, 2], 0.4, 4), 5),
        (patches([1, 2], 0.5, 8), 4),
        (patches([3, 4], 0.6, 1), 40),
        (patches([3, 2], 0.4, 4), 8),
        (patches([2, 2], 0.5, 8), 16),
    ];
    let case = |(sites, channels): (Sites, usize)| {
        let weight = Operand::filled("weight", [channels, 1, 7, 7], 0.3);
        let at = oracle_sites(&sites, 2);
        Case::new(
            format!("depthwise at {sites:?}"),
            ([x([2, sites.sites_per_image(), channels], 2.0)], [weight, vector("bias", channels)]),
            move |pass, [x], [weight, bias]| ops::depthwise(pass, x, weight, bias, &sites),
            move |[x], [weight, bias]| oracle::depthwise(x, weight, bias, &at),
        )
    };
    cases.map(case).into()
}

fn layer_norm() -> Vec<Case> {
    let case = |shape: Shape| {
        let channels = shape.last();
        Case::new(
            format!("layer norm of {shape:?}"),
            ([x(shape, 3.0)], [vector("gamma", channels), vector("beta", channels)]),
            |pass, [x], [gamma, beta]| ops::layer_norm(pass, x, gamma, beta, EPS as f32),
            |[x], [gamma, beta]| oracle::layer_norm(x, gamma, beta, EPS),
        )
    };
    [[2, 7, 20].into(), [3, 5, 2, 8].into(), [4, 3].into()].map(case).into()
}

/// The 24 variants of GRN, and their oracles; the published one is the first.
fn variants() -> Vec<(GrnConfig, oracle::Grn)> {
    let mut variants = Vec::new();
    for skip in [true, false] {
        for (ours, aggregation) in [
            (GrnAggregation::L2, oracle::Aggregation::L2),
            (GrnAggregation::L1, oracle::Aggregation::L1),
            (GrnAggregation::Average, oracle::Aggregation::Average),
        ] {
            for (normalizing, normalization) in [
                (GrnNormalization::Mean, oracle::Normalization::Mean),
                (GrnNormalization::Standardize, oracle::Normalization::Standardize),
                (GrnNormalization::Inverse, oracle::Normalization::Inverse),
                (GrnNormalization::Sum, oracle::Normalization::Sum),
            ] {
                let config = GrnConfig { aggregation: ours, normalization: normalizing, skip };
                variants.push((config, oracle::Grn { aggregation, normalization, skip }));
            }
        }
    }
    assert_eq!(variants[0], (GrnConfig::default(), oracle::Grn::PUBLISHED));
    assert_eq!(variants.len(), 24);
    variants
}

fn activation() -> Vec<Case> {
    let gelu = |shape: Shape| {
        Case::new(
            format!("gelu of {shape:?}"),
            ([x(shape, 5.0)], []),
            |pass, [x], []| ops::activation(pass, x, None),
            |[x], []| oracle::gelu(x),
        )
    };
    let gelu_grn = |shape: [usize; 3], (config, variant): (GrnConfig, oracle::Grn)| {
        let operands = ([x(shape, 3.0)], ["gamma", "beta"].map(|name| vector(name, shape[2])));
        Case::new(
            format!("gelu and grn of {shape:?}, {config:?}"),
            operands,
            move |pass, [x], parameters| ops::activation(pass, x, Some(grn(parameters, config))),
            move |[x], [gamma, beta]| oracle::grn(&oracle::gelu(x), gamma, beta, variant, EPS),
        )
    };
    let mut all: Vec<Case> =
        [[2, 7, 20].into(), [3, 5, 2, 8].into(), [4, 3].into()].map(gelu).into();
    let variants = variants();
    all.extend([[2, 12, 20], [3, 5, 8], [1, 1, 3]].map(|shape| gelu_grn(shape, variants[0])));
    for shape in [[2, 12, 20], [3, 5, 8]] {
        let others = variants[1..].iter().copied();
        all.extend(others.map(|variant| gelu_grn(shape, variant).within(VARIANTS)));
    }
    all
}

fn linear() -> Vec<Case> {
    let mut all = Vec::new();
    for (shape, outputs) in
        [(Shape::from([2, 9, 20]), 13), ([1, 40, 8].into(), 32), ([3, 5].into(), 1)]
    {
        let inputs = shape.last();
        let weight = || Operand::filled("weight", [outputs, inputs], 0.5);
        all.push(
            Case::new(
                format!("linear from {shape:?} to {outputs}"),
                ([x(shape, 2.0)], [weight(), vector("bias", outputs)]),
                |pass, [x], [weight, bias]| {
                    ops::linear(pass, x, Affine { weight, bias, scale: None })
                },
                |[x], [weight, bias]| oracle::linear(x, weight, bias),
            )
            .of_any_width(),
        );
        all.push(
            Case::new(
                format!("linear from {shape:?} to {outputs} with layer scale"),
                ([x(shape, 2.0)], [weight(), vector("bias", outputs), vector("scale", outputs)]),
                |pass, [x], [weight, bias, scale]| {
                    ops::linear(pass, x, Affine { weight, bias, scale: Some(scale) })
                },
                |[x], [weight, bias, scale]| oracle::linear(x, weight, bias) * scale,
            )
            .of_any_width(),
        );
    }
    all
}

fn wide(scale: Option<&[f32]>) -> Option<Vec<f64>> {
    scale.map(|scale| scale.iter().copied().map(f64::from).collect())
}

fn residual() -> Vec<Case> {
    let case = |(channels, scale): (usize, Option<[f32; 3]>)| {
        let of_oracle = wide(scale.as_ref().map(|scale| &scale[..]));
        let shape = [3, 4, channels];
        Case::new(
            format!("residual of {shape:?} with {scale:?}"),
            ([x(shape, 1.0), Operand::filled("branch", shape, 1.0)], []),
            move |pass, [x, branch], []| ops::residual(pass, x, branch, scale.map(Into::into)),
            move |[x, branch], []| oracle::residual(x, branch, of_oracle.as_deref()),
        )
    };
    [(5, None), (5, Some([1.25, 0.5, 1.0])), (8, None), (8, Some([1.25, 0.0, 1.0]))]
        .map(case)
        .into()
}

/// Where a block is computed, for how many images of how many channels, and what its residual is scaled by.
type BlockCase = (Sites, usize, usize, Option<[f32; 3]>);

/// V2's block in one, and V1's.
fn block() -> Vec<Case> {
    let cases: [BlockCase; 4] = [
        (grid(3, 5), 1, 6, None),
        (grid(2, 2), 3, 8, Some([1.25, 0.0, 0.5])),
        (patches([3, 4], 0.6, 2, &[0, 1, 2]), 3, 5, Some([1.0, 2.0, 0.25])),
        (patches([3, 4], 0.6, 4, &[0, 1, 2]), 3, 8, Some([1.0, 2.0, 0.25])),
    ];
    cases.into_iter().flat_map(|case| [v2_block(case.clone()), v1_block(case)]).collect()
}

fn matrix(name: &str, rows: usize, columns: usize) -> Operand {
    Operand::filled(name, [rows, columns], 0.5)
}

fn filter(c: usize) -> Operand {
    Operand::filled("depthwise", [c, 1, 7, 7], 0.3)
}

fn v2_block((sites, images, c, scale): BlockCase) -> Case {
    let at = oracle_sites(&sites, images);
    let of_oracle = wide(scale.as_ref().map(|scale| &scale[..]));
    let setting = BlockSetting {
        sites: sites.clone(),
        scale: scale.map(Into::into),
        norm_eps: EPS as f32,
        grn_eps: EPS as f32,
    };
    Case::new(
        format!("block of {c} channels at {sites:?} with {scale:?}"),
        (
            [x([images, sites.sites_per_image(), c], 2.0)],
            [
                filter(c),
                vector("depthwise_bias", c),
                vector("norm_gamma", c),
                vector("norm_beta", c),
                matrix("expand", 4 * c, c),
                vector("expand_bias", 4 * c),
                vector("grn_gamma", 4 * c),
                vector("grn_beta", 4 * c),
                matrix("contract", c, 4 * c),
                vector("contract_bias", c),
            ],
        ),
        move |pass, [x], weights| {
            ops::block(pass, x, BlockWeights::from_array(weights), setting.clone())
        },
        move |[x], weights: [&Var; 10]| {
            let pair = |i: usize| [weights[i].clone(), weights[i + 1].clone()];
            let block = oracle::Block {
                depthwise: pair(0),
                norm: pair(2),
                expand: pair(4),
                grn: Some((oracle::Grn::PUBLISHED, pair(6))),
                contract: pair(8),
                layer_scale: None,
            };
            block.forward(x, &at, of_oracle.as_deref(), [EPS, EPS])
        },
    )
}

fn v1_block((sites, images, c, scale): BlockCase) -> Case {
    let at = oracle_sites(&sites, images);
    let of_oracle = wide(scale.as_ref().map(|scale| &scale[..]));
    Case::new(
        format!("V1's block of {c} channels at {sites:?} with {scale:?}"),
        (
            [x([images, sites.sites_per_image(), c], 2.0)],
            [
                filter(c),
                vector("depthwise_bias", c),
                vector("norm_gamma", c),
                vector("norm_beta", c),
                matrix("expand", 4 * c, c),
                vector("expand_bias", 4 * c),
                matrix("contract", c, 4 * c),
                vector("contract_bias", c),
                vector("layer_scale", c),
            ],
        ),
        move |pass, [x], [filter, filter_bias, gamma, beta, w1, b1, w2, b2, layer_scale]| {
            let block = Block {
                conv_dw: Depthwise { weight: filter, bias: filter_bias },
                norm: LayerNorm { weight: gamma, bias: beta },
                mlp: Mlp {
                    fc1: Linear { weight: w1, bias: b1 },
                    grn: None,
                    fc2: Linear { weight: w2, bias: b2 },
                },
                gamma: Some(layer_scale),
            };
            block.forward(pass, x, &sites, scale.map(Into::into))
        },
        move |[x], weights: [&Var; 9]| {
            let pair = |i: usize| [weights[i].clone(), weights[i + 1].clone()];
            let block = oracle::Block {
                depthwise: pair(0),
                norm: pair(2),
                expand: pair(4),
                grn: None,
                contract: pair(6),
                layer_scale: Some(weights[8].clone()),
            };
            block.forward(x, &at, of_oracle.as_deref(), [EPS, EPS])
        },
    )
}

/// Sides of `[P, H, W, C]`, and of windows.
const WINDOWS: [([usize; 4], usize); 3] = [([2, 4, 6, 5], 2), ([1, 8, 4, 3], 4), ([3, 2, 2, 8], 1)];

fn space_to_depth() -> Vec<Case> {
    let case = |(shape, k)| {
        rearrangement("space to depth", shape, k, ops::space_to_depth, oracle::space_to_depth)
    };
    WINDOWS.map(case).into()
}

fn depth_to_space() -> Vec<Case> {
    let case = |([count, height, width, channels], k): ([usize; 4], usize)| {
        let shape = [count, height / k, width / k, k * k * channels];
        rearrangement("depth to space", shape, k, ops::depth_to_space, oracle::depth_to_space)
    };
    WINDOWS.map(case).into()
}

fn rearrangement(
    about: &str,
    shape: [usize; 4],
    k: usize,
    ours: fn(&mut Pass<'_>, Tensor, usize) -> Tensor,
    theirs: fn(&Var, usize) -> Var,
) -> Case {
    Case::new(
        format!("{about} of {shape:?} by {k}"),
        ([x(shape, 1.0)], []),
        move |pass, [x], []| ours(pass, x, k),
        move |[x], []| theirs(x, k),
    )
}

fn window_convolution() -> Vec<Case> {
    let cases = [
        ([5, 3, 4, 4], [2, 8, 4, 3]),
        ([2, 8, 2, 2], [3, 4, 6, 8]),
        ([1, 1, 1, 1], [1, 1, 1, 1]),
        ([13, 20, 2, 2], [2, 2, 8, 20]),
    ];
    let case = |(weight, shape): ([usize; 4], [usize; 4])| {
        let about = format!("convolution of {shape:?} by {weight:?}");
        let bias = vector("bias", weight[0]);
        Case::new(
            about,
            ([x(shape, 2.0)], [Operand::filled("weight", weight, 1.0), bias]),
            |pass, [x], [weight, bias]| ops::window_convolution(pass, x, None, weight, bias),
            |[x], [weight, bias]| oracle::window_convolution(x, weight, bias),
        )
    };
    let normed = |(weight, shape): ([usize; 4], [usize; 4])| {
        let about = format!("convolution of layer norm of {shape:?} by {weight:?}");
        let channels = shape[3];
        let parameters = [
            Operand::filled("weight", weight, 1.0),
            vector("bias", weight[0]),
            vector("gamma", channels),
            vector("beta", channels),
        ];
        Case::new(
            about,
            ([x(shape, 2.0)], parameters),
            |pass, [x], [weight, bias, gamma, beta]| {
                let norm = ops::Norm { gamma, beta, eps: EPS as f32 };
                ops::window_convolution(pass, x, Some(norm), weight, bias)
            },
            |[x], [weight, bias, gamma, beta]| {
                let x = oracle::layer_norm(x, gamma, beta, EPS);
                oracle::window_convolution(&x, weight, bias)
            },
        )
    };
    let mut all: Vec<Case> = cases.map(case).into();
    // Of one channel or window there is nothing to norm.
    all.extend([cases[0], cases[1], cases[3]].map(normed));
    all
}

fn select_rows() -> Vec<Case> {
    let mut all = Vec::new();
    for (shape, rows) in
        [([5, 3], vec![4u32, 0, 4, 2]), ([2, 20], vec![1]), ([5, 24], vec![4, 0, 4, 2])]
    {
        let chosen: Vec<usize> = rows.iter().map(|&row| row as usize).collect();
        all.push(Case::new(
            format!("rows {rows:?} of {shape:?}"),
            ([x(shape, 1.0)], []),
            move |pass, [x], []| ops::select_rows(pass, x, rows.clone(), Filler::None),
            move |[x], []| x.rows(&chosen),
        ));
    }
    for (shape, rows) in [
        ([5, 3], vec![5u32, 0, 4, 5, 4, 5]),
        ([2, 20], vec![2, 1]),
        ([5, 24], vec![5, 0, 4, 5, 4, 5]),
    ] {
        let chosen = || rows.iter().map(|&row| row as usize).collect::<Vec<_>>();
        let (for_zeros, with_zeros) = (rows.clone(), chosen());
        all.push(Case::new(
            format!("rows {rows:?} of {shape:?}, filled with zeros"),
            ([x(shape, 1.0)], []),
            move |pass, [x], []| ops::select_rows(pass, x, for_zeros.clone(), Filler::Zeros),
            move |[x], []| {
                x.concat(&Var::new(&[1, shape[1]], vec![0.0; shape[1]])).rows(&with_zeros)
            },
        ));
        let (for_parameter, with_parameter) = (rows.clone(), chosen());
        all.push(Case::new(
            format!("rows {rows:?} of {shape:?}, filled with a parameter"),
            ([x(shape, 1.0)], [vector("filler", shape[1])]),
            move |pass, [x], [filler]| {
                ops::select_rows(pass, x, for_parameter.clone(), Filler::Parameter(filler))
            },
            move |[x], [filler]| x.concat(&filler.reshape(&[1, shape[1]])).rows(&with_parameter),
        ));
    }
    all
}

fn standardize_rows() -> Vec<Case> {
    let case = |shape: [usize; 2]| {
        let case = Case::new(
            format!("standardized rows of {shape:?}"),
            ([x(shape, 2.0)], []),
            |pass, [x], []| ops::standardize_rows(pass, x, EPS as f32),
            |[x], []| oracle::standardize_rows(x, EPS),
        );
        case.without_gradient()
    };
    [[3, 7], [2, 48]].map(case).into()
}

fn pool() -> Vec<Case> {
    let case = |shape: [usize; 3]| {
        Case::new(
            format!("mean over sites of {shape:?}"),
            ([x(shape, 2.0)], []),
            |pass, [x], []| ops::pool(pass, x),
            |[x], []| oracle::pool(x),
        )
    };
    [[2, 7, 20], [3, 5, 8], [4, 1, 3]].map(case).into()
}

fn squared_difference() -> Vec<Case> {
    let case = |shape: [usize; 2]| {
        let targets = Operand::filled("targets", shape, 1.0);
        let of_oracle = targets.clone();
        let case = Case::new(
            format!("mean squared difference of {shape:?}"),
            ([x(shape, 2.0)], []),
            move |pass, [x], []| ops::mean_squared_difference(pass, x, targets.tensor()),
            move |[x], []| oracle::mean_squared_difference(x, &of_oracle.var()),
        );
        case.loss()
    };
    [[3, 7], [2, 48]].map(case).into()
}

fn cosine_distance() -> Vec<Case> {
    let case = |shape: [usize; 2]| {
        let targets = Operand::filled("targets", shape, 1.0);
        let of_oracle = targets.clone();
        let case = Case::new(
            format!("cosine distance of {shape:?}"),
            ([x(shape, 2.0)], []),
            move |pass, [x], []| ops::cosine_distance(pass, x, targets.tensor(), 1.0),
            move |[x], []| oracle::cosine_distance(x, &of_oracle.var()),
        );
        case.loss().of_any_width()
    };
    [[3, 7], [2, 48]].map(case).into()
}

fn cross_entropy() -> Vec<Case> {
    let (soft, one_hot) = (smoothed(&[0, 6, 3], 7, 0.3), smoothed(&[12, 4], 20, 0.0));
    let mut weighted = soft.clone();
    weigh(&mut weighted, &[0.5, 1.0, 1.5, 3.0, 1.0, 1.0, 0.25]);
    let any: Vec<f32> =
        Operand::filled("targets", [2, 20], 0.5).values.iter().map(|value| value + 0.5).collect();
    let case = |(about, classes, targets): (&str, usize, Vec<f32>)| {
        let shape = [targets.len() / classes, classes];
        let of_oracle = targets.clone();
        let case = Case::new(
            format!("cross entropy against {about} targets"),
            ([x(shape, 4.0)], []),
            move |pass, [x], []| ops::cross_entropy(pass, x, &targets),
            move |[x], []| {
                oracle::soft_cross_entropy(x, &Var::new(&shape, of_oracle.iter().copied()))
            },
        );
        case.loss().of_any_width()
    };
    let cases =
        [("soft", 7, soft), ("weighted", 7, weighted), ("hard", 20, one_hot), ("any", 20, any)];
    cases.map(case).into()
}
