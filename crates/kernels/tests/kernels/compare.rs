use fcmae_kernels::simd::{levels, with_level};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(crate) fn generator(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Uniform values in ±`size`.
pub(crate) fn random(rng: &mut ChaCha8Rng, len: usize, size: f32) -> Vec<f32> {
    (0..len).map(|_| rng.random_range(-size..size)).collect()
}

pub(crate) fn double(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// The norm of the difference over the norm of `expected`.
pub(crate) fn relative_error(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let difference: f64 =
        found.iter().zip(expected).map(|(f, e)| (f64::from(*f) - e).powi(2)).sum();
    let norm: f64 = expected.iter().map(|e| e.powi(2)).sum();
    (difference / norm.max(f64::MIN_POSITIVE)).sqrt()
}

#[track_caller]
pub(crate) fn assert_close(found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    let error = relative_error(found, expected);
    assert!(error <= tolerance, "{what}: relative error {error:e} above {tolerance:e}");
}

/// Fills an output of not-a-numbers, which `kernel` must overwrite, at each level: equal to
/// `expected` within `tolerance`, and the levels to each other within 1e-6.
#[track_caller]
pub(crate) fn assert_levels(
    expected: &[f64],
    tolerance: f64,
    what: &str,
    mut kernel: impl FnMut(&mut [f32]),
) {
    let mut portable = None;
    for &level in levels() {
        let mut out = vec![f32::NAN; expected.len()];
        with_level(level, || kernel(&mut out));
        assert_close(&out, expected, tolerance, &format!("{what} ({level:?})"));
        let portable = portable.get_or_insert_with(|| double(&out));
        assert_close(&out, portable, 1e-6, &format!("{what} ({level:?}, to portable code)"));
    }
}

/// The gradient of `loss` at `at` by central differences.
pub(crate) fn finite_differences(at: &[f64], loss: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut at = at.to_vec();
    (0..at.len())
        .map(|i| {
            let value = at[i];
            at[i] = value + STEP;
            let above = loss(&at);
            at[i] = value - STEP;
            let below = loss(&at);
            at[i] = value;
            (above - below) / (2.0 * STEP)
        })
        .collect()
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
