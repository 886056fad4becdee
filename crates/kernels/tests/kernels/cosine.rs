use fcmae_kernels::cosine::{distance, distance_backward};
use fcmae_kernels::simd::{levels, with_level};

use crate::compare::*;

/// The mean of 1 − cos over rows, in double precision.
fn exact(a: &[f64], b: &[f64], width: usize) -> f64 {
    let rows = a.chunks(width).zip(b.chunks(width));
    let each = rows.map(|(a, b)| {
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    });
    each.sum::<f64>() / (a.len() / width) as f64
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

#[test]
fn distances_of_directions_and_their_gradient() {
    let rng = &mut generator(74);
    for (rows, width) in [(1, 1), (3, 7), (40, 64), (2, 3001)] {
        let (a, b) = (random(rng, rows * width, 2.0), random(rng, rows * width, 1.0));
        let (exact_a, exact_b) = (wide(&a), wide(&b));
        let expected = exact(&exact_a, &exact_b, width);
        for &level in levels() {
            let found = with_level(level, || distance(&a, &b, width)).unwrap();
            assert!((f64::from(found) - expected).abs() < 1e-6, "{found}, not {expected}");
        }
        // Central differences of the formula in double precision.
        let step = 1e-5;
        let slope = |at: usize| {
            let moved = |by: f64| {
                let mut a = exact_a.clone();
                a[at] += by;
                exact(&a, &exact_b, width)
            };
            0.75 * (moved(step) - moved(-step)) / (2.0 * step)
        };
        let places: Vec<usize> = (0..a.len()).step_by(a.len().div_ceil(50)).collect();
        for &level in levels() {
            let mut gradient = a.clone();
            with_level(level, || distance_backward(&mut gradient, &b, width, 0.75)).unwrap();
            for &at in &places {
                let (found, expected) = (f64::from(gradient[at]), slope(at));
                assert!(
                    (found - expected).abs() < 2e-6,
                    "[{rows}, {width}] {at}: {found}, not {expected}"
                );
            }
        }
    }
}

/// Fault 21: features that are zero throughout.
#[test]
fn a_row_of_zeros_has_no_direction() {
    let (silent, b) = ([0.0, 0.0, 3.0, 4.0], [1.0, 1.0, 3.0, 4.0]);
    assert_eq!(distance(&silent, &b, 2).unwrap(), 0.5);
    assert_eq!(distance(&b, &silent, 2).unwrap(), 0.5);
    let mut gradient = silent;
    distance_backward(&mut gradient, &b, 2, 1.0).unwrap();
    assert!(gradient.iter().all(|value| value.abs() < 1e-7), "{gradient:?}");
    let mut gradient = b;
    distance_backward(&mut gradient, &silent, 2, 1.0).unwrap();
    assert_eq!(gradient[..2], [0.0, 0.0]);
    assert!(distance(&[f32::NAN, 1.0], &[1.0, 1.0], 2).unwrap().is_nan());
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    assert!(distance(&[], &[], 1).is_err());
    assert!(distance(&[1.0; 3], &[1.0; 3], 2).is_err());
    assert!(distance(&[1.0; 2], &[1.0; 3], 1).is_err());
    assert!(distance(&[1.0; 2], &[1.0; 2], 0).is_err());
    assert!(distance_backward(&mut [1.0; 2], &[1.0; 3], 1, 1.0).is_err());
}
