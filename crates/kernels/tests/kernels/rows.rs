use fcmae_kernels::rows::{
    mean_squared_difference, mean_squared_difference_backward, scale, scale_backward, select,
    select_backward, standardize,
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
        select(&x, width, &rows, None, &mut found).unwrap();
        for (found, &row) in found.chunks(width).zip(&rows) {
            assert_eq!(found, &x[row as usize * width..][..width]);
        }
        let grad = random(rng, found.len(), 1.0);
        let mut back = vec![f32::NAN; x.len()];
        select_backward(&grad, width, &rows, &mut back, None).unwrap();
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
}

#[test]
fn the_row_after_the_last_is_the_filler() {
    let rng = &mut generator(74);
    for (count, width, rows) in [
        (3, 5, vec![3, 2, 3, 0, 3, 2]),
        (1, 1, vec![]),
        (2, 3, vec![1, 0]),
        (50, 700, (0..4000).map(|i| (i * 37 % 83).min(50)).collect::<Vec<u32>>()),
    ] {
        let (x, filler) = (random(rng, count * width, 1.0), random(rng, width, 1.0));
        let mut found = vec![f32::NAN; rows.len() * width];
        select(&x, width, &rows, Some(&filler), &mut found).unwrap();
        let mut expected = vec![f32::NAN; found.len()];
        let whole = [&x[..], &filler].concat();
        select(&whole, width, &rows, None, &mut expected).unwrap();
        assert_eq!(found, expected);

        // To the last bit the sums that plain code adds up in order.
        let grad = random(rng, found.len(), 1.0);
        let mut expected = vec![0.0f32; whole.len()];
        for (grad, &row) in grad.chunks(width).zip(&rows) {
            for (sum, grad) in expected[row as usize * width..].iter_mut().zip(grad) {
                *sum += grad;
            }
        }
        let mut back = vec![f32::NAN; whole.len()];
        let (out, last) = back.split_at_mut(x.len());
        select_backward(&grad, width, &rows, out, Some(last)).unwrap();
        assert_eq!(back, expected);
        let mut back = vec![f32::NAN; whole.len()];
        select_backward(&grad, width, &rows, &mut back, None).unwrap();
        assert_eq!(back, expected);
    }
}

#[test]
fn rows_and_fillers_that_are_not_there_are_refused() {
    let (x, filler, mut out) = ([0.0; 6], [0.0; 3], [7.0; 6]);
    for (width, rows, filler, word) in [
        (3, [0, 2], None, "row 2"),
        (3, [0, 3], Some(&filler[..]), "row 3"),
        (3, [0, 2], Some(&filler[..2]), "`filler`"),
        (2, [0, 1], None, "`out`"),
        (0, [0, 1], None, "`width`"),
        (4, [0, 1], None, "`x`"),
    ] {
        let error = select(&x, width, &rows, filler, &mut out).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    assert!(select(&x, 3, &[0], None, &mut out).is_err());
    let mut last = [7.0; 3];
    for (width, rows, filler, word) in [
        (3, [0, 2], None, "row 2"),
        (3, [0, 3], Some(&mut last[..]), "row 3"),
        (3, [0, 2], Some(&mut [7.0; 2][..]), "`filler`"),
        (2, [0, 1], None, "`grad`"),
        (0, [0, 1], None, "`width`"),
        (4, [0, 1], None, "`out`"),
    ] {
        let error = select_backward(&x, width, &rows, &mut out, filler).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    assert_eq!((out, last), ([7.0; 6], [7.0; 3]));
}

#[test]
fn rows_are_scaled_and_their_gradients_given_back() {
    let rng = &mut generator(75);
    for (rows, width) in [(1, 1), (4, 3), (40_000, 1), (3, 4096), (17, 3001)] {
        let what = format!("[{rows}, {width}]");
        let (x, grad) = (random(rng, rows * width, 1.0), random(rng, rows * width, 1.0));
        let factors = random(rng, rows, 2.0);
        let scaled = |x: &[f32]| -> Vec<f64> {
            let value = |(i, x): (usize, &f32)| f64::from(*x) * f64::from(factors[i / width]);
            x.iter().enumerate().map(value).collect()
        };
        let mut out = vec![f32::NAN; x.len()];
        scale(&x, width, &factors, &mut out).unwrap();
        assert_close(&out, &scaled(&x), 1e-7, &what);

        let products: Vec<f64> = double(&x)
            .chunks(width)
            .zip(double(&grad).chunks(width))
            .map(|(x, grad)| dot(x, grad))
            .collect();
        let mut dx = vec![f32::NAN; x.len()];
        assert_levels(&products, 1e-6, &what, |dscale| {
            scale_backward(&x, width, &factors, &grad, &mut dx, dscale).unwrap();
        });
        assert_close(&dx, &scaled(&grad), 1e-7, &what);
    }
    let mut out = [7.0; 6];
    for (values, width, factors, word) in
        [(6, 0, 2, "`width`"), (5, 3, 2, "`x`"), (6, 3, 3, "`scale`"), (3, 3, 1, "`out`")]
    {
        let error = scale(&vec![0.0; values], width, &vec![0.0; factors], &mut out).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
    let mut sums = [7.0; 2];
    for (width, factors, grads, dx, dscale, word) in [
        (0, 2, 6, 6, 2, "`width`"),
        (4, 2, 6, 6, 2, "`x`"),
        (3, 3, 6, 6, 2, "`scale`"),
        (3, 2, 5, 6, 2, "`grad`"),
        (3, 2, 6, 5, 2, "`dx`"),
        (3, 2, 6, 6, 1, "`dscale`"),
    ] {
        let (factors, grad) = (vec![0.0; factors], vec![0.0; grads]);
        let (dx, dscale) = (&mut out[..dx], &mut sums[..dscale]);
        let error = scale_backward(&[0.0; 6], width, &factors, &grad, dx, dscale).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
    assert_eq!((out, sums), ([7.0; 6], [7.0; 2]));
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
        let mut gradient = a.clone();
        mean_squared_difference_backward(&mut gradient, &b, 0.75).unwrap();
        assert_close(&gradient, &expected, 1e-6, "gradient");
    }
    assert!(mean_squared_difference(&[], &[]).is_err());
    assert!(mean_squared_difference(&[1.0], &[]).is_err());
}
