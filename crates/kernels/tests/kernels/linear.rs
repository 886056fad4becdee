use fcmae_kernels::{linear, residual};

use crate::compare::*;
use crate::reference::product;

/// Rows, inputs, outputs: panels of one, two and three vectors, several tiles, parts and pieces of a
/// part, a depth that is cut.
const SHAPES: [(usize, usize, usize); 8] = [
    (1, 1, 1),
    (5, 3, 7),
    (100, 40, 160),
    (700, 20, 9),
    (64, 50, 12),
    (2100, 17, 11),
    (17_000, 3, 2),
    (9, 1300, 40),
];

#[test]
fn forward_equals_the_reference() {
    let rng = &mut generator(31);
    for (rows, inputs, outputs) in SHAPES {
        let x = random(rng, rows * inputs, 1.0);
        let (weight, bias) = (random(rng, inputs * outputs, 1.0), random(rng, outputs, 1.0));
        let at = |values: &[f32], index: usize| f64::from(values[index]);
        let plain = product(
            (rows, inputs, outputs),
            |i, k| at(&x, i * inputs + k),
            |k, j| at(&weight, j * inputs + k),
        );
        let with_bias: Vec<f64> =
            plain.iter().enumerate().map(|(i, v)| v + at(&bias, i % outputs)).collect();
        let what = format!("[{rows}, {inputs}] to {outputs}");
        assert_levels(&plain, 1e-6, &what, |out| {
            linear::forward(&x, &weight, None, inputs, out).unwrap();
        });
        assert_levels(&with_bias, 1e-6, &what, |out| {
            linear::forward(&x, &weight, Some(&bias), inputs, out).unwrap();
        });
    }
}

#[test]
fn a_layout_made_before_gives_the_same_bits() {
    let rng = &mut generator(34);
    for (rows, inputs, outputs) in SHAPES {
        let x = random(rng, rows * inputs, 1.0);
        let (weight, bias) = (random(rng, inputs * outputs, 1.0), random(rng, outputs, 1.0));
        let (mut expected, mut found) = (vec![0.0; rows * outputs], vec![0.0; rows * outputs]);
        linear::forward(&x, &weight, Some(&bias), inputs, &mut expected).unwrap();
        let layout = linear::Prepared::new(&weight, inputs).unwrap().kept();
        for _ in 0..2 {
            found.fill(f32::NAN);
            linear::forward_prepared(&x, &layout, Some(&bias), &mut found).unwrap();
            assert_eq!(found, expected, "[{rows}, {inputs}] to {outputs}");
        }
    }
}

#[test]
fn backward_equals_the_reference() {
    let rng = &mut generator(32);
    for (rows, inputs, outputs) in SHAPES {
        let (x, grad) = (random(rng, rows * inputs, 1.0), random(rng, rows * outputs, 1.0));
        let weight = random(rng, inputs * outputs, 1.0);
        let at = |values: &[f32], index: usize| f64::from(values[index]);
        let what = format!("[{rows}, {inputs}] to {outputs}");
        let dx = product(
            (rows, outputs, inputs),
            |i, k| at(&grad, i * outputs + k),
            |k, j| at(&weight, k * inputs + j),
        );
        assert_levels(&dx, 1e-6, &what, |out| {
            linear::backward_input(&grad, &weight, inputs, out).unwrap();
        });
        let mut expected = product(
            (outputs, rows, inputs),
            |i, k| at(&grad, k * outputs + i),
            |k, j| at(&x, k * inputs + j),
        );
        expected.extend(
            (0..outputs).map(|j| (0..rows).map(|i| at(&grad, i * outputs + j)).sum::<f64>()),
        );
        assert_levels(&expected, 1e-6, &what, |out| {
            let (dweight, dbias) = out.split_at_mut(outputs * inputs);
            linear::backward_weight(&x, &grad, outputs, dweight, Some(dbias)).unwrap();
        });
    }
}

#[test]
fn a_dropped_path_is_the_shortcut_even_where_the_branch_is_not_finite() {
    let values = [1.0, 2.0, 3.0, 4.0];
    let mut out = [f32::NAN; 4];
    residual::forward(&values, &[f32::NAN; 4], &[0.0], &mut out).unwrap();
    assert_eq!(out, values);
}

#[test]
fn residual_scales_each_image() {
    let (shortcut, branch) = ([1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]);
    let mut out = [f32::NAN; 4];
    residual::forward(&shortcut, &branch, &[0.5, 2.0], &mut out).unwrap();
    assert_eq!(out, [6.0, 12.0, 63.0, 84.0]);
    residual::backward(&branch, &[0.0, 2.0], &mut out).unwrap();
    assert_eq!(out, [0.0, 0.0, 60.0, 80.0]);
    assert!(residual::forward(&shortcut, &branch, &[1.0; 3], &mut out).is_err());
    assert!(residual::forward(&shortcut, &branch[1..], &[1.0], &mut out).is_err());
    assert!(residual::backward(&branch, &[], &mut out).is_err());
}

#[test]
fn refuses_wrong_lengths() {
    let mut out = [0.0; 4];
    assert!(linear::forward(&[0.0; 6], &[0.0; 6], None, 3, &mut out).is_ok());
    assert!(linear::forward(&[0.0; 6], &[0.0; 6], None, 4, &mut out).is_err());
    assert!(linear::forward(&[0.0; 6], &[0.0; 6], None, 0, &mut out).is_err());
    assert!(linear::forward(&[0.0; 6], &[0.0; 6], Some(&[0.0; 3]), 3, &mut out).is_err());
    assert!(linear::forward(&[0.0; 9], &[0.0; 6], None, 3, &mut out).is_err());
    assert!(linear::Prepared::new(&[0.0; 6], 4).is_err());
    assert!(linear::Prepared::new(&[0.0; 6], 0).is_err());
    assert!(linear::Prepared::new(&[], 3).is_err());
    let layout = linear::Prepared::new(&[0.0; 6], 3).unwrap();
    assert!(linear::forward_prepared(&[0.0; 6], &layout, None, &mut out).is_ok());
    assert!(linear::forward_prepared(&[0.0; 5], &layout, None, &mut out).is_err());
    assert!(linear::forward_prepared(&[0.0; 9], &layout, None, &mut out).is_err());
    assert!(linear::forward_prepared(&[0.0; 6], &layout, Some(&[0.0; 3]), &mut out).is_err());
    assert!(linear::backward_input(&[0.0; 4], &[0.0; 6], 3, &mut out).is_err());
    assert!(linear::backward_weight(&[0.0; 5], &[0.0; 4], 2, &mut out, None).is_err());
}
