//! The oracle against finite differences, known values and computations by hand.
#![allow(clippy::unwrap_used)]

mod error_function;
mod network;
mod primitives;

use fcmae_oracle::{Array, Var};

/// Numbers in ±`size`, a function of shape and seed alone.
fn random(seed: u64, shape: &[usize], size: f64) -> Array {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        2.0 * ((z >> 11) as f64 / (1u64 << 53) as f64) - 1.0
    };
    Array::new(shape, (0..shape.iter().product()).map(|_| size * next()))
}

fn var(array: &Array) -> Var {
    Var::new(&array.shape, array.values.iter().copied())
}

/// `‖found − expected‖ / ‖expected‖` is at most `limit`.
#[track_caller]
fn assert_close(about: &str, limit: f64, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{about}: values");
    let error: f64 = found.iter().zip(expected).map(|(f, e)| (f - e).powi(2)).sum();
    let norm: f64 = expected.iter().map(|e| e.powi(2)).sum();
    assert!(norm > 0.0, "{about}: nothing to compare with, all values are zero");
    let error = (error / norm).sqrt();
    assert!(error <= limit, "{about} is off by {error:.1e}, limit {limit:.0e}");
}

/// The gradients of `apply` by every operand are those of finite differences, within 1e-6.
#[track_caller]
fn assert_differentiates(about: &str, operands: &[Array], apply: impl Fn(&[Var]) -> Var) {
    const STEP: f64 = 1e-5;
    let leaves: Vec<Var> = operands.iter().map(var).collect();
    let result = apply(&leaves);
    let probe = random(99, &[result.values().len()], 1.0).values;
    let gradients = result.backward_along(&probe);
    let mut moved = operands.to_vec();
    for (i, leaf) in leaves.iter().enumerate() {
        let differences: Vec<f64> = (0..operands[i].values.len())
            .map(|at| {
                let mut result_at = |offset| -> f64 {
                    moved[i].values[at] = operands[i].values[at] + offset;
                    let result = apply(&moved.iter().map(var).collect::<Vec<_>>());
                    result.values().iter().zip(&probe).map(|(r, p)| r * p).sum()
                };
                let difference = (result_at(STEP) - result_at(-STEP)) / (2.0 * STEP);
                moved[i].values[at] = operands[i].values[at];
                difference
            })
            .collect();
        let gradient = gradients.of(leaf);
        assert_eq!(gradient.shape, operands[i].shape, "{about}: gradient by operand {i}");
        let about = format!("{about}: gradient by operand {i}");
        assert_close(&about, 1e-6, &gradient.values, &differences);
    }
}
