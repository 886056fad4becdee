use fcmae_kernels::layer_norm;

use crate::compare::*;
use crate::reference;

#[test]
fn equals_the_reference() {
    let rng = &mut generator(21);
    for (rows, channels) in [(1, 1), (7, 8), (5, 13), (3000, 40), (9, 320)] {
        let mut x = random(rng, rows * channels, 2.0);
        x.iter_mut().for_each(|x| *x += 5.0);
        let (gamma, beta) = (random(rng, channels, 1.0), random(rng, channels, 1.0));
        let expected = reference::layer_norm(&double(&x), &double(&gamma), &double(&beta), 1e-6);
        assert_levels(&expected, 1e-6, &format!("[{rows}, {channels}]"), |out| {
            layer_norm::forward(&x, &gamma, &beta, 1e-6, out).unwrap();
        });
    }
}

#[test]
fn gradients_equal_finite_differences() {
    let rng = &mut generator(22);
    for (rows, channels) in [(1, 3), (7, 8), (5, 13), (2, 20)] {
        let (x, grad) = (random(rng, rows * channels, 2.0), random(rng, rows * channels, 1.0));
        let (gamma, beta) = (random(rng, channels, 1.0), random(rng, channels, 1.0));
        let (x64, gamma64, beta64) = (double(&x), double(&gamma), double(&beta));
        let loss = |x: &[f64], gamma: &[f64], beta: &[f64]| {
            dot(&reference::layer_norm(x, gamma, beta, 1e-6), &double(&grad))
        };
        let mut expected = finite_differences(&x64, |x| loss(x, &gamma64, &beta64));
        expected.extend(finite_differences(&gamma64, |gamma| loss(&x64, gamma, &beta64)));
        expected.extend(finite_differences(&beta64, |beta| loss(&x64, &gamma64, beta)));
        assert_levels(&expected, 1e-6, &format!("[{rows}, {channels}]"), |out| {
            let (x_out, rest) = out.split_at_mut(x.len());
            let (gamma_out, beta_out) = rest.split_at_mut(channels);
            let gradients = fcmae_kernels::Gradients { x: x_out, gamma: gamma_out, beta: beta_out };
            layer_norm::backward(&x, &gamma, &grad, 1e-6, gradients).unwrap();
        });
    }
}

/// Fault 21: rows without variance.
#[test]
fn a_constant_row_gives_beta_and_finite_gradients() {
    let (gamma, beta) = ([2.0; 5], [1.0, 2.0, 3.0, 4.0, 5.0]);
    let mut out = [f32::NAN; 5];
    layer_norm::forward(&[0.0; 5], &gamma, &beta, 1e-6, &mut out).unwrap();
    assert_eq!(out, beta);
    let (mut dx, mut dgamma, mut dbeta) = ([f32::NAN; 5], [f32::NAN; 5], [f32::NAN; 5]);
    let gradients = fcmae_kernels::Gradients { x: &mut dx, gamma: &mut dgamma, beta: &mut dbeta };
    layer_norm::backward(&[0.0; 5], &gamma, &beta, 1e-6, gradients).unwrap();
    assert!(dx.iter().all(|value| value.is_finite()));
    assert_eq!((dgamma, dbeta), ([0.0; 5], beta));
}

#[test]
fn refuses_wrong_lengths() {
    let mut out = [0.0; 12];
    assert!(layer_norm::forward(&[0.0; 12], &[0.0; 5], &[0.0; 5], 1e-6, &mut out).is_err());
    assert!(layer_norm::forward(&[0.0; 12], &[0.0; 3], &[0.0; 4], 1e-6, &mut out).is_err());
    assert!(layer_norm::forward(&[0.0; 9], &[0.0; 3], &[0.0; 3], 1e-6, &mut out).is_err());
    assert!(layer_norm::forward(&[0.0; 12], &[], &[], 1e-6, &mut out).is_err());
}
