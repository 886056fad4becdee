use fcmae_kernels::rows::{
    mean_squared_difference, mean_squared_difference_backward, select, select_backward, standardize,
};
use fcmae_kernels::simd::{levels, with_level};

use crate::compare::*;

#[test]
fn rows_are_chosen_and_their_gradients_given_back() {
    let rng = &mut generator(71);
    for (count, width, rows) in
        [(3, 5, vec![2, 0, 2, 2]), (1, 1, vec![]), (40, 3000, (0..40).rev().collect::<Vec<u32>>())]
    {
        let x = random(rng, count * width, 1.0);
        let mut found = vec![f32::NAN; rows.len() * width];
        select(&x, width, &rows, &mut found).unwrap();
        for (found, &row) in found.chunks(width).zip(&rows) {
            assert_eq!(found, &x[row as usize * width..][..width]);
        }
        let grad = random(rng, found.len(), 1.0);
        let mut back = vec![f32::NAN; x.len()];
        select_backward(&grad, width, &rows, &mut back).unwrap();
        // ⟨select(x), grad⟩ = ⟨x, select_backward(grad)⟩, and nothing else is changed.
        let mut expected = vec![0.0f64; x.len()];
        for (grad, &row) in grad.chunks(width).zip(&rows) {
            for (sum, grad) in expected[row as usize * width..].iter_mut().zip(grad) {
                *sum += f64::from(*grad);
            }
        }
        if !rows.is_empty() {
            assert_close(&back, &expected, 1e-6, "gradients of chosen rows");
        }
    }
    let error = select(&[0.0; 6], 3, &[0, 2], &mut [0.0; 6]).unwrap_err().to_string();
    assert!(error.contains("row 2"), "{error}");
    assert!(select(&[0.0; 6], 3, &[0], &mut [0.0; 6]).is_err());
    assert!(select_backward(&[0.0; 3], 0, &[0], &mut [0.0; 6]).is_err());
}

#[test]
fn rows_are_standardized() {
    let rng = &mut generator(72);
    for (rows, width) in [(1, 1), (4, 3), (3, 16), (5, 3072)] {
        let x: Vec<f32> = random(rng, rows * width, 1.0).iter().map(|v| 4.0 + v).collect();
        let expected: Vec<f64> = double(&x)
            .chunks(width)
            .flat_map(|row| {
                let mean = row.iter().sum::<f64>() / width as f64;
                let square: f64 = row.iter().map(|v| (v - mean).powi(2)).sum();
                let scale = (square / (width.max(2) - 1) as f64 + 1e-6).sqrt();
                row.iter().map(|v| (v - mean) / scale).collect::<Vec<f64>>()
            })
            .collect();
        assert_levels(&expected, 2e-6, &format!("[{rows}, {width}]"), |out| {
            standardize(&x, width, 1e-6, out).unwrap();
        });
    }
}

#[test]
fn squared_differences_and_their_gradient() {
    let rng = &mut generator(73);
    for count in [1, 7, 4096, 100_003] {
        let (a, b) = (random(rng, count, 2.0), random(rng, count, 1.0));
        let difference: Vec<f64> =
            a.iter().zip(&b).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect();
        let expected = difference.iter().map(|d| d * d).sum::<f64>() / count as f64;
        for &level in levels() {
            let found = with_level(level, || mean_squared_difference(&a, &b)).unwrap();
            assert!((f64::from(found) / expected - 1.0).abs() < 1e-6, "{found}, not {expected}");
        }
        let expected: Vec<f64> = difference.iter().map(|d| 1.5 * d / count as f64).collect();
        let mut out = vec![f32::NAN; count];
        mean_squared_difference_backward(&a, &b, 0.75, &mut out).unwrap();
        assert_close(&out, &expected, 1e-6, "gradient");
    }
    assert!(mean_squared_difference(&[], &[]).is_err());
    assert!(mean_squared_difference(&[1.0], &[]).is_err());
}
