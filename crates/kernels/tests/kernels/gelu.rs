use fcmae_kernels::simd::{levels, with_level};
use fcmae_kernels::{gelu, grn};

use crate::compare::*;
use crate::reference;

#[test]
fn the_reference_error_function_is_right() {
    // Published values of erf.
    for (x, value) in [
        (0.5, 0.520_499_877_813_046_5),
        (1.0, 0.842_700_792_949_714_9),
        (2.0, 0.995_322_265_018_952_7),
        (3.0, 0.999_977_909_503_001_4),
    ] {
        assert!((reference::erf(x) - value).abs() < 1e-14, "erf({x})");
        assert!((reference::erf(-x) + value).abs() < 1e-14, "erf({})", -x);
    }
}

#[test]
fn gelu_and_its_derivative_are_accurate_everywhere() {
    let x: Vec<f32> = (-160_003..=160_000).map(|i| i as f32 * 1e-4).collect();
    for &level in levels() {
        let mut value = vec![f32::NAN; x.len()];
        let mut derivative = vec![f32::NAN; x.len()];
        with_level(level, || {
            gelu::forward(&x, &mut value).unwrap();
            gelu::backward(&x, &vec![1.0; x.len()], &mut derivative).unwrap();
        });
        for ((&x, value), derivative) in x.iter().zip(value).zip(derivative) {
            let error = (f64::from(value) - reference::gelu(f64::from(x))).abs();
            // |x| times the error of the distribution function, the rounding of the result included.
            assert!(error < 3e-7 * f64::from(x.abs()).max(1.0), "gelu({x}) off by {error:e}");
            let error = (f64::from(derivative) - reference::gelu_derivative(f64::from(x))).abs();
            assert!(error < 1e-6, "gelu'({x}) off by {error:e}");
        }
    }
}

#[test]
fn gelu_of_extremes() {
    let x = [0.0, -0.0, f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e-30];
    for &level in levels() {
        let mut value = [f32::NAN; 8];
        let mut derivative = [f32::NAN; 8];
        with_level(level, || {
            gelu::forward(&x, &mut value).unwrap();
            gelu::backward(&x, &[1.0; 8], &mut derivative).unwrap();
        });
        assert_eq!(value[0], 0.0);
        assert!(value[2] > 0.99 * f32::MAX && value[4] == f32::INFINITY, "{value:?}");
        assert!(value[3].abs() < 1e-6 && value[5].abs() < 1e-6, "{value:?}");
        assert!(value[6].is_nan() && derivative[6].is_nan());
        assert!((derivative[0] - 0.5).abs() < 1e-7 && (derivative[7] - 0.5).abs() < 1e-7);
        assert!((derivative[4] - 1.0).abs() < 1e-6 && derivative[5].abs() < 1e-6);
    }
}

#[test]
fn gelu_grn_equals_the_reference() {
    let rng = &mut generator(11);
    for (images, sites, channels) in [(1, 1, 1), (3, 5, 8), (2, 7, 13), (1, 300, 160), (5, 21, 36)]
    {
        let x = random(rng, images * sites * channels, 3.0);
        let (gamma, beta) = (random(rng, channels, 1.0), random(rng, channels, 1.0));
        let expected =
            reference::gelu_grn(&double(&x), &double(&gamma), &double(&beta), images, 1e-6);
        let what = format!("[{images}, {sites}, {channels}]");
        assert_levels(&expected, 1e-6, &what, |out| {
            grn::gelu_grn(&x, &gamma, &beta, images, 1e-6, out).unwrap();
        });
    }
}

#[test]
fn gelu_grn_gradients_equal_finite_differences() {
    let rng = &mut generator(12);
    for (images, sites, channels) in [(1, 1, 2), (3, 5, 8), (2, 6, 11)] {
        let values = images * sites * channels;
        let (x, grad) = (random(rng, values, 2.0), random(rng, values, 1.0));
        let (gamma, beta) = (random(rng, channels, 1.0), random(rng, channels, 1.0));
        let (x64, gamma64, beta64) = (double(&x), double(&gamma), double(&beta));
        let loss = |x: &[f64], gamma: &[f64], beta: &[f64]| {
            dot(&reference::gelu_grn(x, gamma, beta, images, 1e-6), &double(&grad))
        };
        let mut expected = finite_differences(&x64, |x| loss(x, &gamma64, &beta64));
        expected.extend(finite_differences(&gamma64, |gamma| loss(&x64, gamma, &beta64)));
        expected.extend(finite_differences(&beta64, |beta| loss(&x64, &gamma64, beta)));
        assert_levels(&expected, 1e-6, &format!("[{images}, {sites}, {channels}]"), |out| {
            let (x_out, rest) = out.split_at_mut(values);
            let (gamma_out, beta_out) = rest.split_at_mut(channels);
            let gradients = fcmae_kernels::Gradients { x: x_out, gamma: gamma_out, beta: beta_out };
            grn::gelu_grn_backward(&x, &gamma, &grad, images, 1e-6, gradients).unwrap();
        });
    }
}

/// Fault 21: GRN of zeros.
#[test]
fn zeros_give_finite_gradients() {
    // One image all zero, and one with a single dead channel.
    let channels = 9;
    let mut x = vec![0.0; 2 * 4 * channels];
    for (i, x) in x.iter_mut().enumerate().skip(4 * channels) {
        *x = if i % channels == 3 { 0.0 } else { i as f32 * 0.01 };
    }
    let (gamma, grad) = (vec![0.7; channels], vec![1.0; x.len()]);
    let mut dx = vec![f32::NAN; x.len()];
    let (mut dgamma, mut dbeta) = (vec![f32::NAN; channels], vec![f32::NAN; channels]);
    let gradients = fcmae_kernels::Gradients { x: &mut dx, gamma: &mut dgamma, beta: &mut dbeta };
    grn::gelu_grn_backward(&x, &gamma, &grad, 2, 1e-6, gradients).unwrap();
    assert!(dx.iter().chain(&dgamma).chain(&dbeta).all(|value| value.is_finite()));
    // With G = 0 the output is beta + h, so the gradient is that of GELU at 0.
    assert!(dx[..4 * channels].iter().all(|&value| value == 0.5));
    assert_eq!(dbeta, vec![8.0; channels]);
    let mut out = vec![f32::NAN; x.len()];
    grn::gelu_grn(&x, &gamma, &dbeta, 2, 1e-6, &mut out).unwrap();
    assert!(out[..4 * channels].iter().all(|&value| value == 8.0));
}

#[test]
fn refuses_wrong_lengths() {
    let mut out = [0.0; 12];
    assert!(gelu::forward(&[0.0; 11], &mut out).is_err());
    assert!(gelu::backward(&[0.0; 12], &[0.0; 11], &mut out).is_err());
    assert!(grn::gelu_grn(&[0.0; 12], &[0.0; 5], &[0.0; 5], 1, 1e-6, &mut out).is_err());
    assert!(grn::gelu_grn(&[0.0; 12], &[0.0; 3], &[0.0; 3], 0, 1e-6, &mut out).is_err());
    assert!(grn::gelu_grn(&[0.0; 12], &[0.0; 3], &[0.0; 2], 2, 1e-6, &mut out).is_err());
}
