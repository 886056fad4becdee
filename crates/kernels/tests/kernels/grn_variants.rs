//! The variants of GRN of the paper's ablations.

use fcmae_kernels::Gradients;
use fcmae_kernels::grn::{Aggregation, Normalization, Variant, variant, variant_backward};

use crate::compare::*;
use crate::reference;

/// All 24.
pub(crate) fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for aggregation in [Aggregation::L2, Aggregation::L1, Aggregation::Average] {
        for normalization in [
            Normalization::Mean,
            Normalization::Inverse,
            Normalization::Sum,
            Normalization::Standardize,
        ] {
            all.extend([false, true].map(|skip| Variant { aggregation, normalization, skip }));
        }
    }
    all
}

/// Features whose means are not near zero.
fn features(seed: u64, len: usize) -> Vec<f32> {
    random(&mut generator(seed), len, 1.0).into_iter().map(|h| h + 0.3).collect()
}

/// The output's gradients with respect to h, gamma and beta, one after the other.
fn gradients(
    kind: &Variant,
    h: &[f32],
    gamma: &[f32],
    grad: &[f32],
    images: usize,
    eps: f32,
) -> Vec<f32> {
    let mut out = vec![f32::NAN; h.len() + 2 * gamma.len()];
    let (x, rest) = out.split_at_mut(h.len());
    let (dgamma, beta) = rest.split_at_mut(gamma.len());
    let written = Gradients { x, gamma: dgamma, beta };
    variant_backward(h, gamma, grad, images, kind, eps, written).unwrap();
    out
}

#[test]
fn outputs_equal_the_reference() {
    let rng = &mut generator(121);
    for (images, sites, channels) in [(1, 1, 1), (3, 5, 8), (2, 7, 13), (1, 300, 160)] {
        let h = features(122, images * sites * channels);
        let (gamma, beta) = (random(rng, channels, 1.0), random(rng, channels, 1.0));
        for kind in variants() {
            let expected = reference::grn_variant(
                &double(&h),
                &double(&gamma),
                &double(&beta),
                images,
                &kind,
                f64::from(1e-6f32),
            );
            let mut out = vec![f32::NAN; h.len()];
            variant(&h, &gamma, &beta, images, &kind, 1e-6, &mut out).unwrap();
            let what = format!("{kind:?}, [{images}, {sites}, {channels}]");
            assert_close(&out, &expected, 2e-7, &what);
        }
    }
}

#[test]
fn gradients_equal_finite_differences() {
    let rng = &mut generator(123);
    for (images, sites, channels) in [(1, 1, 1), (3, 5, 8), (2, 6, 11)] {
        let values = images * sites * channels;
        let (h, grad) = (features(124, values), random(rng, values, 1.0));
        let (gamma, beta) = (random(rng, channels, 1.0), random(rng, channels, 1.0));
        for kind in variants() {
            let expected = differences(&kind, &h, &gamma, &beta, &grad, images, 0.1);
            let found = gradients(&kind, &h, &gamma, &grad, images, 0.1);
            let what = format!("{kind:?}, [{images}, {sites}, {channels}]");
            assert_close(&found, &expected, 1e-6, &what);
        }
    }
}

/// What [`gradients`] are to be.
fn differences(
    kind: &Variant,
    h: &[f32],
    gamma: &[f32],
    beta: &[f32],
    grad: &[f32],
    images: usize,
    eps: f32,
) -> Vec<f64> {
    let [h, gamma, beta, grad] = [h, gamma, beta, grad].map(double);
    let loss = |h: &[f64], gamma: &[f64], beta: &[f64]| {
        dot(&reference::grn_variant(h, gamma, beta, images, kind, f64::from(eps)), &grad)
    };
    let mut expected = finite_differences(&h, |h| loss(h, &gamma, &beta));
    expected.extend(finite_differences(&gamma, |gamma| loss(&h, gamma, &beta)));
    expected.extend(finite_differences(&beta, |beta| loss(&h, &gamma, beta)));
    expected
}

/// Fault 21: the variants of GRN of zeros.
#[test]
fn silent_features_have_their_subgradients() {
    const EPS: f32 = 0.01;
    let (images, sites, channels, silent) = (3, 4, 6, 2);
    let image = sites * channels;
    let rng = &mut generator(125);
    // All silent in the first image, one channel in the second; in the third all channels alike.
    let mut h = features(126, images * image);
    for (i, h) in h.iter_mut().enumerate() {
        match i / image {
            0 => *h = 0.0,
            1 if i % channels == silent => *h = 0.0,
            1 => {}
            _ => *h = 0.5,
        }
    }
    let (gamma, beta) = (random(rng, channels, 1.0), random(rng, channels, 1.0));
    let grad = random(rng, h.len(), 1.0);
    for kind in variants() {
        let mut expected = differences(&kind, &h, &gamma, &beta, &grad, images, EPS);
        // Central differences are wrong at the kinks, so the derivatives there are spelled out.
        let skip = f64::from(u8::from(kind.skip));
        let response = reference::grn_response(&double(&h), channels, &kind, images, EPS.into());
        let through_g = |i: usize| {
            let (n, c) = (i / image, i % channels);
            match n {
                // G doesn't matter where h is zero, and |h| has the subgradient 0.
                0 => Some(0.0),
                1 if c == silent && kind.aggregation != Aggregation::Average => Some(0.0),
                // N = (G − mean of G) / eps, as the standard deviation has the subgradient 0.
                2 if kind.normalization == Normalization::Standardize => {
                    let dn = |c: usize| -> f64 {
                        let grad = grad[2 * image + c..].iter().step_by(channels);
                        f64::from(gamma[c]) * grad.map(|&grad| 0.5 * f64::from(grad)).sum::<f64>()
                    };
                    let mean = (0..channels).map(dn).sum::<f64>() / channels as f64;
                    let by_h = match kind.aggregation {
                        Aggregation::L2 => 0.5,
                        Aggregation::L1 => 1.0,
                        Aggregation::Average => 0.25,
                    };
                    Some(by_h * (dn(c) - mean) / f64::from(EPS))
                }
                _ => None,
            }
        };
        for i in 0..h.len() {
            if let Some(along) = through_g(i) {
                let (n, c) = (i / image, i % channels);
                let scale = f64::from(gamma[c]) * response[n * channels + c] + skip;
                expected[i] = f64::from(grad[i]) * scale + along;
            }
        }
        let found = gradients(&kind, &h, &gamma, &grad, images, EPS);
        for part in [0..image, image..2 * image, 2 * image..h.len(), h.len()..found.len()] {
            let what = format!("{kind:?}, {part:?}");
            assert_close(&found[part.clone()], &expected[part], 1e-6, &what);
        }
        let found = gradients(&kind, &h, &gamma, &grad, images, 1e-6);
        assert!(found.iter().all(|value| value.is_finite()), "{kind:?}: {found:?}");
    }
}

/// Below the smallest normal number a root's argument counts as zero, though its root is none.
#[test]
fn roots_of_almost_zero_have_the_subgradient_of_zero() {
    const TINY: f32 = 1e-20;
    let (sites, channels) = (4, 3);
    let rng = &mut generator(128);
    let (gamma, grad) = (random(rng, channels, 1.0), random(rng, sites * channels, 1.0));
    for kind in variants() {
        let scale = |h: &[f32], eps: f32| -> Vec<f64> {
            let response = reference::grn_response(&double(h), channels, &kind, 1, eps.into());
            let skip = f64::from(u8::from(kind.skip));
            response.iter().zip(&gamma).map(|(n, gamma)| f64::from(*gamma) * n + skip).collect()
        };
        if kind.aggregation == Aggregation::L2 {
            // The last channel's squares add up to 4e-40.
            let mut h = features(129, sites * channels);
            h.iter_mut().skip(2).step_by(channels).for_each(|h| *h = TINY);
            let found = gradients(&kind, &h, &gamma, &grad, 1, 0.1);
            let scale = scale(&h, 0.1)[2];
            for i in (2..h.len()).step_by(channels) {
                assert_close(&found[i..=i], &[f64::from(grad[i]) * scale], 1e-6, "last channel");
            }
        } else if kind.normalization == Normalization::Standardize {
            // The channels' variance is below 1e-38; eps is about as large as its root.
            let h: Vec<f32> = (0..sites * channels).map(|i| TINY * (1 + i % 3) as f32).collect();
            let eps = 1e-19f32;
            let by_h = if kind.aggregation == Aggregation::L1 { 1.0 } else { 0.25 };
            let divisor = f64::from(f32::MIN_POSITIVE).sqrt() + f64::from(eps);
            let dn: Vec<f64> = (0..channels)
                .map(|c| {
                    let channel = (c..h.len()).step_by(channels);
                    channel.map(|i| f64::from(gamma[c]) * f64::from(grad[i] * h[i])).sum()
                })
                .collect();
            let mean = dn.iter().sum::<f64>() / channels as f64;
            let scale = scale(&h, eps);
            let expected: Vec<f64> = (0..h.len())
                .map(|i| {
                    let c = i % channels;
                    f64::from(grad[i]) * scale[c] + by_h * (dn[c] - mean) / divisor
                })
                .collect();
            let found = gradients(&kind, &h, &gamma, &grad, 1, eps);
            assert_close(&found[..h.len()], &expected, 1e-6, &format!("{kind:?}"));
        }
    }
}

/// The roots of zero are above zero, so that even without eps nothing is divided by zero.
#[test]
fn silent_images_need_no_eps_where_the_norm_is_a_root() {
    let (h, grad, gamma, beta) = ([0.0; 12], [1.0; 12], [0.5; 3], [0.25; 3]);
    for kind in variants().iter().filter(|kind| kind.aggregation == Aggregation::L2) {
        let mut out = [f32::NAN; 12];
        variant(&h, &gamma, &beta, 2, kind, 0.0, &mut out).unwrap();
        assert_eq!(out, [0.25; 12], "{kind:?}");
        let found = gradients(kind, &h, &gamma, &grad, 2, 0.0);
        assert!(found.iter().all(|value| value.is_finite()), "{kind:?}: {found:?}");
    }
}

#[test]
fn what_is_no_number_stays_in_its_image() {
    let mut h = features(127, 2 * 3 * 4);
    h[5] = f32::NAN;
    let (gamma, grad) = ([0.5; 4], vec![1.0; h.len()]);
    for kind in variants() {
        let mut out = vec![0.0; h.len()];
        variant(&h, &gamma, &[0.1; 4], 2, &kind, 1e-6, &mut out).unwrap();
        let found = gradients(&kind, &h, &gamma, &grad, 2, 1e-6);
        for values in [&out, &found] {
            assert!(values[5].is_nan() && values[1].is_nan(), "{kind:?}: {values:?}");
            assert!(values[12..24].iter().all(|value| value.is_finite()), "{kind:?}: {values:?}");
        }
        assert!(found[24 + 1].is_nan(), "gamma's gradient tells: {kind:?}: {found:?}");
    }
}

#[test]
fn refuses_wrong_lengths() {
    let kind = variants()[0];
    let mut out = [7.0; 12];
    for (h, beta, images, argument) in
        [(11, 3, 2, "h"), (0, 3, 2, "h"), (12, 3, 0, "h"), (12, 2, 2, "beta"), (6, 3, 2, "out")]
    {
        let error =
            variant(&vec![0.0; h], &[0.0; 3], &vec![0.0; beta], images, &kind, 1e-6, &mut out);
        let error = error.unwrap_err().to_string();
        assert!(error.contains(&format!("grn::variant: `{argument}`")), "{error}");
    }
    let [mut gamma, mut beta] = [[7.0; 3]; 2];
    for (grad, x, gammas, betas, argument) in [
        (11, 12, 3, 3, "grad"),
        (12, 11, 3, 3, "gradients.x"),
        (12, 12, 2, 3, "gradients.gamma"),
        (12, 12, 3, 2, "gradients.beta"),
    ] {
        let gradients =
            Gradients { x: &mut out[..x], gamma: &mut gamma[..gammas], beta: &mut beta[..betas] };
        let grad = vec![0.0; grad];
        let error = variant_backward(&[0.0; 12], &[0.0; 3], &grad, 2, &kind, 1e-6, gradients);
        let error = error.unwrap_err().to_string();
        assert!(error.contains(&format!("grn::variant_backward: `{argument}`")), "{error}");
    }
    assert_eq!((out, gamma, beta), ([7.0; 12], [7.0; 3], [7.0; 3]));
}
