use fcmae_oracle::network::{
    Aggregation, Block, Grn, Normalization, Sites, depth_to_space, depthwise, gelu, grn,
    layer_norm, linear, log_softmax, mean_squared_difference, pool, residual, soft_cross_entropy,
    space_to_depth, standardize_rows, window_convolution, window_weight,
};
use fcmae_oracle::{Array, Var};

use crate::{assert_close, assert_differentiates, random, var};

const EPS: f64 = 1e-6;

/// Two images of 2 × 3 patches, three visible in each.
fn patches(side: usize) -> Sites {
    Sites::patches([2, 3], side, 3, &[0, 2, 4, 1, 2, 5])
}

#[test]
fn a_depthwise_convolution_of_patches_sees_visible_sites_alone() {
    let (side, channels) = (2, 3);
    let sites = patches(side);
    assert_eq!(sites.per_image(), 12);
    let operands = [
        random(1, &[2, 12, channels], 1.0),
        random(2, &[channels, 1, 7, 7], 1.0),
        random(3, &[channels], 1.0),
    ];
    let [x, weight, bias] = &operands;
    // Image, row and column of each site.
    let visible = [0, 2, 4, 1, 2, 5];
    let places: Vec<[i32; 3]> = (0..24)
        .map(|i| {
            let (patch, y, x) = (visible[i / 4], i as i32 % 4 / 2, i as i32 % 2);
            [i as i32 / 12, patch / 3 * 2 + y, patch % 3 * 2 + x]
        })
        .collect();
    let mut expected = Vec::new();
    for [image, y, column] in &places {
        for c in 0..channels {
            let mut sum = bias.values[c];
            for (site, [other_image, other_y, other_column]) in places.iter().enumerate() {
                let (dy, dx) = (other_y - y + 3, other_column - column + 3);
                if image == other_image && (0..7).contains(&dy) && (0..7).contains(&dx) {
                    let tap = (c as i32 * 49 + dy * 7 + dx) as usize;
                    sum += weight.values[tap] * x.values[site * channels + c];
                }
            }
            expected.push(sum);
        }
    }
    let found = depthwise(&var(x), &var(weight), &var(bias), &sites);
    assert_close("depthwise", 1e-14, found.values(), &expected);
    assert_differentiates("depthwise", &operands, |v| depthwise(&v[0], &v[1], &v[2], &sites));
}

#[test]
fn all_patches_are_the_grid() {
    // Patches of one site lie as the grid does.
    let (grid, all) = (
        Sites::grid(1, [3, 4]),
        Sites::patches([3, 4], 1, 12, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    );
    let [x, weight, bias] =
        [random(1, &[1, 12, 2], 1.0), random(2, &[2, 1, 7, 7], 1.0), random(3, &[2], 1.0)];
    let at = |sites| depthwise(&var(&x), &var(&weight), &var(&bias), sites);
    assert_eq!(at(&grid).values(), at(&all).values());
}

#[test]
fn windows() {
    let operands =
        [random(4, &[2, 4, 6, 3], 1.0), random(5, &[5, 3, 2, 2], 1.0), random(6, &[5], 1.0)];
    let [x, weight, bias] = operands.each_ref().map(var);
    let convolved = window_convolution(&x, &weight, &bias);
    let cut = space_to_depth(&x, 2);
    assert_eq!((convolved.shape(), cut.shape()), (&[2, 2, 3, 5][..], &[2, 2, 3, 12][..]));
    let product = linear(&cut, &window_weight(&weight), &bias);
    assert_close("windows", 1e-14, convolved.values(), product.values());
    assert_eq!(depth_to_space(&cut, 2).values(), x.values());
    // The second window's second row: row 1, columns 2 and 3.
    assert_eq!(cut.values()[18..24], x.values()[24..30]);
    assert_differentiates("window convolution", &operands, |v| {
        window_convolution(&v[0], &v[1], &v[2])
    });
}

#[test]
fn layer_norms() {
    let x = Var::new(&[2, 2], [1.0, 3.0, -4.0, 0.0]);
    let (gamma, beta) = (Var::new(&[2], [1.0, 10.0]), Var::new(&[2], [0.0, 0.5]));
    // Deviations 1 and 2; epsilon counts inside the root.
    let found = layer_norm(&x, &gamma, &beta, 3.0);
    let second = 2.0 / 7.0f64.sqrt();
    assert_close("layer norm", 1e-15, found.values(), &[-0.5, 5.5, -second, 10.0 * second + 0.5]);
    let operands = [random(7, &[2, 3, 5], 2.0), random(8, &[5], 1.0), random(9, &[5], 1.0)];
    assert_differentiates("layer norm", &operands, |v| layer_norm(&v[0], &v[1], &v[2], EPS));
}

#[test]
fn gelus() {
    // By mpmath.
    let x = Var::new(&[3], [1.0, -1.0, -10.0]);
    let expected = [0.8413447460685429, -0.15865525393145705, -7.619853024160526e-23];
    for (found, expected) in gelu(&x).values().iter().zip(expected) {
        assert!((found / expected - 1.0).abs() < 1e-13, "{found}, not {expected}");
    }
    assert_differentiates("gelu", &[random(10, &[4, 5], 4.0)], |v| gelu(&v[0]));
}

fn variants() -> impl Iterator<Item = Grn> {
    use Normalization::{Inverse, Mean, Standardize, Sum};
    [Aggregation::L2, Aggregation::L1, Aggregation::Average].into_iter().flat_map(|aggregation| {
        [Mean, Inverse, Sum, Standardize].into_iter().flat_map(move |normalization| {
            [true, false].map(|skip| Grn { aggregation, normalization, skip })
        })
    })
}

#[test]
fn variants_of_grn() {
    // One image of two sites and two channels: per channel L2 5 and 13, L1 7 and 17, mean 3.5 and 8.5.
    let x = Var::new(&[1, 2, 2], [3.0, 5.0, 4.0, 12.0]);
    let (gamma, beta) = (Var::new(&[2], [2.0, -1.0]), Var::new(&[2], [0.25, 0.5]));
    let eps = 0.5;
    for variant in variants() {
        let [a, b]: [f64; 2] = match variant.aggregation {
            Aggregation::L2 => [5.0, 13.0],
            Aggregation::L1 => [7.0, 17.0],
            Aggregation::Average => [3.5, 8.5],
        };
        let response = match variant.normalization {
            Normalization::Mean => [a, b].map(|g| g / ((a + b) / 2.0 + eps)),
            Normalization::Inverse => [1.0 / (a + b + eps); 2],
            Normalization::Sum => [a, b].map(|g| g / (a + b + eps)),
            Normalization::Standardize => {
                [a, b].map(|g| (g - (a + b) / 2.0) / ((b - a) / 2.0 + eps))
            }
        };
        let skip = f64::from(u8::from(variant.skip));
        let first = |x: f64| 2.0 * x * response[0] + 0.25 + skip * x;
        let second = |x: f64| -x * response[1] + 0.5 + skip * x;
        let expected = [first(3.0), second(5.0), first(4.0), second(12.0)];
        let found = grn(&x, &gamma, &beta, variant, eps);
        assert_close(&format!("{variant:?}"), 1e-15, found.values(), &expected);

        let mut operands =
            [random(11, &[2, 3, 4], 1.0), random(12, &[4], 1.0), random(13, &[4], 1.0)];
        // Means of one sign, far from the poles of their quotients.
        operands[0].values.iter_mut().for_each(|value| *value += 0.6);
        assert_differentiates(&format!("{variant:?}"), &operands, |v| {
            grn(&v[0], &v[1], &v[2], variant, EPS)
        });
    }
}

#[test]
fn silent_features_have_finite_gradients_through_grn() {
    let silent = Array::zeros(&[1, 3, 2]);
    for variant in variants() {
        let [x, gamma, beta] = [var(&silent), Var::new(&[2], [0.5; 2]), Var::new(&[2], [0.1; 2])];
        let y = grn(&x, &gamma, &beta, variant, EPS);
        assert_eq!(y.values(), [0.1; 6], "{variant:?}");
        let gradients = y.total().backward();
        for values in [gradients.of(&x).values, gradients.of(&gamma).values] {
            assert!(values.iter().all(|value| value.is_finite()), "{variant:?}: {values:?}");
        }
    }
}

#[test]
fn residuals() {
    let (x, branch) = (Var::new(&[2, 1, 2], [1.0; 4]), Var::new(&[2, 1, 2], [1.0, 2.0, 3.0, 4.0]));
    assert_eq!(residual(&x, &branch, None).values(), [2.0, 3.0, 4.0, 5.0]);
    let y = residual(&x, &branch, Some(&[0.0, 2.0]));
    assert_eq!(y.values(), [1.0, 1.0, 7.0, 9.0]);
    assert_eq!(y.total().backward().of(&branch).values, [0.0, 0.0, 2.0, 2.0]);
}

#[test]
fn blocks() {
    let channels = 3;
    let operands: Vec<Array> = [
        &[2, 12, channels][..],
        &[channels, 1, 7, 7],
        &[channels],
        &[channels],
        &[channels],
        &[4 * channels, channels],
        &[4 * channels],
        &[4 * channels],
        &[4 * channels],
        &[channels, 4 * channels],
        &[channels],
        &[channels],
    ]
    .iter()
    .zip(20..)
    .map(|(shape, seed)| random(seed, shape, 0.5))
    .collect();
    let block = |v: &[Var], second: bool| {
        let layer = |i: usize| [v[i].clone(), v[i + 1].clone()];
        let grn = second.then(|| (Grn::PUBLISHED, layer(7)));
        let layer_scale = (!second).then(|| v[11].clone());
        let [depthwise, norm, expand, contract] = [1, 3, 5, 9].map(layer);
        Block { depthwise, norm, expand, grn, contract, layer_scale }
    };
    let (sites, scale) = (patches(2), [0.5, 1.25]);
    for second in [true, false] {
        let forward = |v: &[Var]| block(v, second).forward(&v[0], &sites, Some(&scale), [EPS, 0.1]);
        let v: Vec<Var> = operands.iter().map(var).collect();
        let y = layer_norm(&depthwise(&v[0], &v[1], &v[2], &sites), &v[3], &v[4], EPS);
        let mut y = gelu(&linear(&y, &v[5], &v[6]));
        if second {
            y = grn(&y, &v[7], &v[8], Grn::PUBLISHED, 0.1);
        }
        let mut y = linear(&y, &v[9], &v[10]);
        if !second {
            y = y * &v[11];
        }
        let expected = residual(&v[0], &y, Some(&scale));
        let found = forward(&v);
        assert_eq!(found.shape(), [2, 12, channels]);
        assert_close("block", 1e-15, found.values(), expected.values());
        // The weights of this version alone have gradients.
        let gradients = found.total().backward();
        for (i, operand) in v.iter().enumerate() {
            let absent = if second { i == 11 } else { [7, 8].contains(&i) };
            let zero = gradients.of(operand).values.iter().all(|&value| value == 0.0);
            assert_eq!(zero, absent, "gradient by operand {i}, version 2: {second}");
        }
    }
    assert_differentiates("V2 block", &operands[..11], |v| {
        block(v, true).forward(&v[0], &sites, Some(&scale), [EPS; 2])
    });
}

#[test]
fn losses_and_pooling() {
    let x = Var::new(&[1, 2, 2], [1.0, 2.0, 5.0, 4.0]);
    assert_eq!((pool(&x).shape(), pool(&x).values()), (&[1, 2][..], &[3.0, 3.0][..]));

    // Mean 3, sum of squares 14 over three degrees of freedom; a single value is constant.
    let row = standardize_rows(&Var::new(&[1, 4], [1.0, 2.0, 3.0, 6.0]), EPS);
    let deviation = (14.0f64 / 3.0 + EPS).sqrt();
    let expected = [-2.0, -1.0, 0.0, 3.0].map(|value| value / deviation);
    assert_close("standardized rows", 1e-15, row.values(), &expected);
    assert_eq!(standardize_rows(&Var::new(&[2, 1], [5.0, 7.0]), EPS).values(), [0.0, 0.0]);

    let (a, b) = (Var::new(&[2, 2], [1.0, 2.0, 0.0, 0.0]), Var::new(&[2, 2], [0.0, 0.0, 3.0, 0.0]));
    let difference = mean_squared_difference(&a, &b);
    assert_eq!(difference.values(), [3.5]);
    assert_eq!(difference.backward().of(&a).values, [0.5, 1.0, -1.5, 0.0]);

    let matrix = [random(14, &[3, 5], 1.0)];
    assert_differentiates("standardized rows", &matrix, |v| standardize_rows(&v[0], EPS));
    assert_differentiates("log softmax", &matrix, |v| log_softmax(&v[0]));
}

#[test]
fn cross_entropy_of_large_logits() {
    let logits = Var::new(&[2, 3], [1.0, 2.0, 0.5, 999.5, 1000.0, 1003.0]);
    let targets = Var::new(&[2, 3], [0.1, 0.8, 0.1, 0.5, 0.0, 0.5]);
    let loss = soft_cross_entropy(&logits, &targets);
    let (mut expected, mut slopes) = (0.0, Vec::new());
    for (row, targets) in
        [[1.0f64, 2.0, 0.5], [-0.5, 0.0, 3.0]].iter().zip(targets.values().chunks(3))
    {
        let sum: f64 = row.iter().map(|logit| logit.exp()).sum();
        for (logit, target) in row.iter().zip(targets) {
            expected -= target * (logit - sum.ln()) / 2.0;
            slopes.push((logit.exp() / sum - target) / 2.0);
        }
    }
    assert_close("cross entropy", 1e-13, loss.values(), &[expected]);
    assert_close("its gradient", 1e-13, &loss.backward().of(&logits).values, &slopes);
}
