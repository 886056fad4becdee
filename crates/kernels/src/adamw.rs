//! The optimizer: one pass over a parameter for clipping, AdamW and the exponential moving average
//! (or that average alone), sums of gradients, and the sum of squares that their norm is made of.

use rayon::prelude::*;

use crate::error::{KernelError, check_length};
use crate::simd::{self, Kernel, LANES, Simd, dispatch};
use crate::tasks::TASK_VALUES;

/// One step's settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate of this step and parameter.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay; the parameter shrinks by lr · weight_decay.
    pub weight_decay: f64,
    /// The step's number, from 1.
    pub step: u64,
    /// The gradient is multiplied by this first (clipping of the norm).
    pub grad_scale: f64,
    /// How much of the moving average is kept.
    pub average_decay: f64,
}

/// What an update changes: a parameter, its moments and perhaps its moving average, all of one
/// length.
#[derive(Debug)]
pub struct State<'a> {
    /// The parameter.
    pub param: &'a mut [f32],
    /// First moment.
    pub first: &'a mut [f32],
    /// Second moment.
    pub second: &'a mut [f32],
    /// Moving average of the parameter.
    pub average: Option<&'a mut [f32]>,
}

/// Updates a parameter and its moments in place, as PyTorch's AdamW does, g times `grad_scale`:
///
/// p ← p · (1 − lr·wd); m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²;
/// p ← p − lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + eps); average ← decay · average + (1 − decay) · p
///
/// # Errors
/// Where lengths differ or `step` is 0. Nothing is touched then.
pub fn adamw(state: State<'_>, grad: &[f32], settings: &AdamW) -> Result<(), KernelError> {
    let operation = "adamw";
    let State { param, first, second, average } = state;
    check_length(operation, "grad", grad.len(), param.len())?;
    check_length(operation, "first", first.len(), param.len())?;
    check_length(operation, "second", second.len(), param.len())?;
    if let Some(average) = &average {
        check_length(operation, "average", average.len(), param.len())?;
    }
    if settings.step == 0 {
        return Err(KernelError::Zero { operation, argument: "step" });
    }
    let level = simd::level();
    let factors = Factors::new(settings);
    let pieces = param
        .par_chunks_mut(TASK_VALUES)
        .zip(grad.par_chunks(TASK_VALUES))
        .zip(first.par_chunks_mut(TASK_VALUES))
        .zip(second.par_chunks_mut(TASK_VALUES));
    match average {
        Some(average) => pieces.zip(average.par_chunks_mut(TASK_VALUES)).for_each(
            |((((param, grad), first), second), average)| {
                let state = State { param, first, second, average: Some(average) };
                dispatch(level, Update { state, grad, factors });
            },
        ),
        None => pieces.for_each(|(((param, grad), first), second)| {
            let state = State { param, first, second, average: None };
            dispatch(level, Update { state, grad, factors });
        }),
    }
    Ok(())
}

/// The numbers of an update's formulas.
#[derive(Clone, Copy)]
struct Factors {
    grad: f32,
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    /// What is kept of the parameter.
    keep: f32,
    /// lr/(1−β₁ᵗ)
    rate: f32,
    /// 1/√(1−β₂ᵗ)
    root: f32,
    eps: f32,
    average: f32,
    rest: f32,
}

impl Factors {
    fn new(settings: &AdamW) -> Self {
        let correction = |beta: f64| 1.0 - beta.powf(settings.step as f64);
        Self {
            grad: settings.grad_scale as f32,
            beta1: settings.beta1 as f32,
            rest1: (1.0 - settings.beta1) as f32,
            beta2: settings.beta2 as f32,
            rest2: (1.0 - settings.beta2) as f32,
            keep: (1.0 - settings.lr * settings.weight_decay) as f32,
            rate: (settings.lr / correction(settings.beta1)) as f32,
            root: (1.0 / correction(settings.beta2).sqrt()) as f32,
            eps: settings.eps as f32,
            average: settings.average_decay as f32,
            rest: (1.0 - settings.average_decay) as f32,
        }
    }
}

struct Update<'a> {
    state: State<'a>,
    grad: &'a [f32],
    factors: Factors,
}

impl Kernel for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { state: State { param, first, second, mut average }, grad, factors } = self;
        let splat = |value| simd.splat(value);
        let [scale, beta1, rest1, beta2, rest2] =
            [factors.grad, factors.beta1, factors.rest1, factors.beta2, factors.rest2].map(splat);
        let [keep, rate, root, eps] =
            [factors.keep, factors.rate, factors.root, factors.eps].map(splat);
        let [average_keep, average_rest] = [factors.average, factors.rest].map(splat);
        for start in (0..param.len()).step_by(LANES) {
            let g = simd.mul(simd.load_at(grad, start), scale);
            let m = simd.mul_add(beta1, simd.load_at(first, start), simd.mul(rest1, g));
            let square = simd.mul(rest2, simd.mul(g, g));
            let v = simd.mul_add(beta2, simd.load_at(second, start), square);
            let denominator = simd.mul_add(simd.sqrt(v), root, eps);
            let update = simd.div(simd.mul(rate, m), denominator);
            let p = simd.sub(simd.mul(keep, simd.load_at(param, start)), update);
            simd.store_at(m, first, start);
            simd.store_at(v, second, start);
            simd.store_at(p, param, start);
            if let Some(average) = &mut average {
                let averaged = averaged(simd, [average_keep, average_rest], average, p, start);
                simd.store_at(averaged, average, start);
            }
        }
    }
}

/// keep · average\[start..\] + rest · param
#[inline(always)]
fn averaged<S: Simd>(
    simd: S,
    [keep, rest]: [S::Vector; 2],
    average: &[f32],
    param: S::Vector,
    start: usize,
) -> S::Vector {
    simd.mul_add(rest, param, simd.mul(keep, simd.load_at(average, start)))
}

/// average ← decay · average + (1 − decay) · param, bit for bit as [`adamw`] does it: for parameters
/// that are updated in one pass and averaged in another.
///
/// # Errors
/// Where lengths differ.
pub fn average(average: &mut [f32], param: &[f32], decay: f64) -> Result<(), KernelError> {
    check_length("adamw::average", "param", param.len(), average.len())?;
    let level = simd::level();
    average
        .par_chunks_mut(TASK_VALUES)
        .zip(param.par_chunks(TASK_VALUES))
        .for_each(|(average, param)| dispatch(level, Average { average, param, decay }));
    Ok(())
}

struct Average<'a> {
    average: &'a mut [f32],
    param: &'a [f32],
    decay: f64,
}

impl Kernel for Average<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { average, param, decay } = self;
        let factors = [simd.splat(decay as f32), simd.splat((1.0 - decay) as f32)];
        for start in (0..param.len()).step_by(LANES) {
            let averaged = averaged(simd, factors, average, simd.load_at(param, start), start);
            simd.store_at(averaged, average, start);
        }
    }
}

/// sum ← sum + more: the gradients of one micro-batch added to those before it.
///
/// # Errors
/// Where lengths differ.
pub fn accumulate(sum: &mut [f32], more: &[f32]) -> Result<(), KernelError> {
    check_length("adamw::accumulate", "more", more.len(), sum.len())?;
    sum.par_chunks_mut(TASK_VALUES).zip(more.par_chunks(TASK_VALUES)).for_each(|(sum, more)| {
        for (sum, more) in sum.iter_mut().zip(more) {
            *sum += more;
        }
    });
    Ok(())
}

/// Σ x², in double precision, in an order that doesn't depend on the number of threads.
#[must_use]
pub fn sum_of_squares(x: &[f32]) -> f64 {
    const LANES: usize = 8;
    let parts: Vec<f64> = x
        .par_chunks(TASK_VALUES)
        .map(|x| {
            let (vectors, rest) = x.as_chunks::<LANES>();
            let mut sums = [0.0f64; LANES];
            for vector in vectors {
                for (sum, &value) in sums.iter_mut().zip(vector) {
                    *sum += f64::from(value) * f64::from(value);
                }
            }
            let rest: f64 = rest.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
            sums.iter().sum::<f64>() + rest
        })
        .collect();
    parts.iter().sum()
}
