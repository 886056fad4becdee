//! The exact GELU, x · Φ(x), with Φ the normal distribution function, and its derivative.

use rayon::prelude::*;

use crate::error::{KernelError, check_length};
use crate::simd::{self, Kernel, LANES, Simd, dispatch};
use crate::tasks::TASK_VALUES;

/// Beyond ±4√2 the error function of x/√2 is ±1 in `f32`.
const SATURATED: f32 = 5.656_854;

/// Φ(x) = ½ + ½ erf(x/√2) for |x| ≤ [`SATURATED`]; absolute error below 3e-7.
///
/// The error function is the rational approximation x·P(x²)/Q(x²) that Eigen and XLA use, its
/// coefficients scaled for the argument x/√2 and the factor ½.
#[inline(always)]
fn normal_distribution<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let square = simd.mul(x, x);
    let polynomial = |coefficients: &[f32]| {
        let mut value = simd.splat(coefficients[0]);
        for &coefficient in &coefficients[1..] {
            value = simd.mul_add(value, square, simd.splat(coefficient));
        }
        value
    };
    let numerator = polynomial(&[
        -1.505_995e-12,
        3.061_199_3e-10,
        -4.642_651e-8,
        -2.515_756_3e-6,
        -6.496_461e-5,
        -5.223_044e-4,
        -5.690_807e-3,
    ]);
    let denominator = polynomial(&[
        -9.103_794_7e-7,
        -2.667_175_6e-5,
        -4.207_067_5e-4,
        -3.686_664_6e-3,
        -1.426_473_9e-2,
    ]);
    simd.mul_add(simd.mul(x, numerator), simd.div(simd.splat(1.0), denominator), simd.splat(0.5))
}

/// φ(x) = exp(−x²/2) / √(2π) for |x| ≤ [`SATURATED`]; relative error below 3e-7.
#[inline(always)]
fn normal_density<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    // exp(−x²/2) = 2^t, t = n + f, n an integer, |f| ≤ ½; the polynomial is 2^f / √(2π).
    let t = simd.mul(simd.mul(x, x), simd.splat(-0.5 * std::f32::consts::LOG2_E));
    let n = simd.round(t);
    let f = simd.sub(t, n);
    let coefficients = [
        5.296_545_6e-4,
        3.859_982_6e-3,
        2.214_414_3e-2,
        9.583_439e-2,
        2.765_256_5e-1,
        3.989_423_2e-1,
    ];
    let mut fraction = simd.splat(coefficients[0]);
    for &coefficient in &coefficients[1..] {
        fraction = simd.mul_add(fraction, f, simd.splat(coefficient));
    }
    simd.mul(fraction, simd.exp2_integer(n))
}

/// x within ±[`SATURATED`]; a value that is not a number stays so.
#[inline(always)]
fn saturate<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    simd.max(simd.splat(-SATURATED), simd.min(simd.splat(SATURATED), x))
}

/// GELU of eight values.
#[inline(always)]
pub(crate) fn value<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let distribution = normal_distribution(simd, saturate(simd, x));
    simd.mul(simd.max(simd.splat(-SATURATED), x), distribution)
}

/// GELU of eight values and its derivative, Φ(x) + x·φ(x).
#[inline(always)]
pub(crate) fn value_and_derivative<S: Simd>(simd: S, x: S::Vector) -> (S::Vector, S::Vector) {
    let saturated = saturate(simd, x);
    let distribution = normal_distribution(simd, saturated);
    let density = normal_density(simd, saturated);
    (
        simd.mul(simd.max(simd.splat(-SATURATED), x), distribution),
        simd.mul_add(saturated, density, distribution),
    )
}

struct Forward<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for start in (0..self.x.len()).step_by(LANES) {
            let x = simd.load_at(self.x, start);
            simd.store_at(value(simd, x), self.out, start);
        }
    }
}

struct Backward<'a> {
    x: &'a [f32],
    grad: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for start in (0..self.x.len()).step_by(LANES) {
            let (_, derivative) = value_and_derivative(simd, simd.load_at(self.x, start));
            let grad = simd.load_at(self.grad, start);
            simd.store_at(simd.mul(grad, derivative), self.out, start);
        }
    }
}

/// GELU of each value; absolute error below 2e-6 for |x| ≤ 8, of a rounding beyond.
///
/// # Errors
/// Where the lengths differ.
pub fn forward(x: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
    check_length("gelu::forward", "out", out.len(), x.len())?;
    let level = simd::level();
    x.par_chunks(TASK_VALUES)
        .zip(out.par_chunks_mut(TASK_VALUES))
        .for_each(|(x, out)| dispatch(level, Forward { x, out }));
    Ok(())
}

/// The gradient with respect to `x`, from the gradient `grad` with respect to the output.
///
/// # Errors
/// Where the lengths differ.
pub fn backward(x: &[f32], grad: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
    check_length("gelu::backward", "grad", grad.len(), x.len())?;
    check_length("gelu::backward", "out", out.len(), x.len())?;
    let level = simd::level();
    x.par_chunks(TASK_VALUES)
        .zip(grad.par_chunks(TASK_VALUES))
        .zip(out.par_chunks_mut(TASK_VALUES))
        .for_each(|((x, grad), out)| dispatch(level, Backward { x, grad, out }));
    Ok(())
}
