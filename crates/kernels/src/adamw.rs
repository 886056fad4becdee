//! The optimizer's passes over a parameter: AdamW, the sum of squares for gradient norms, and the
//! exponential moving average.

use rayon::prelude::*;

use crate::error::{KernelError, check_length};
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
}

/// Updates a parameter and its moments in place, as PyTorch's AdamW does:
///
/// p ← p · (1 − lr·wd); m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²;
/// p ← p − lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + eps)
///
/// # Errors
/// Where lengths differ or `step` is 0. The parameter isn't touched then.
pub fn adamw(
    param: &mut [f32],
    grad: &[f32],
    first_moment: &mut [f32],
    second_moment: &mut [f32],
    settings: &AdamW,
) -> Result<(), KernelError> {
    let operation = "adamw";
    check_length(operation, "grad", grad.len(), param.len())?;
    check_length(operation, "first_moment", first_moment.len(), param.len())?;
    check_length(operation, "second_moment", second_moment.len(), param.len())?;
    if settings.step == 0 {
        return Err(KernelError::Zero { operation, argument: "step" });
    }
    let correction = |beta: f64| 1.0 - beta.powf(settings.step as f64);
    let keep = (1.0 - settings.lr * settings.weight_decay) as f32;
    let (beta1, rest1) = (settings.beta1 as f32, (1.0 - settings.beta1) as f32);
    let (beta2, rest2) = (settings.beta2 as f32, (1.0 - settings.beta2) as f32);
    let rate = (settings.lr / correction(settings.beta1)) as f32;
    let root = (1.0 / correction(settings.beta2).sqrt()) as f32;
    let eps = settings.eps as f32;
    param
        .par_chunks_mut(TASK_VALUES)
        .zip(grad.par_chunks(TASK_VALUES))
        .zip(first_moment.par_chunks_mut(TASK_VALUES))
        .zip(second_moment.par_chunks_mut(TASK_VALUES))
        .for_each(|(((param, grad), first), second)| {
            for (((p, &g), m), v) in param.iter_mut().zip(grad).zip(first).zip(second) {
                *m = beta1 * *m + rest1 * g;
                *v = beta2 * *v + rest2 * g * g;
                *p = keep * *p - rate * *m / (v.sqrt() * root + eps);
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

/// average ← decay · average + (1 − decay) · param
///
/// # Errors
/// Where lengths differ.
pub fn ema(average: &mut [f32], param: &[f32], decay: f64) -> Result<(), KernelError> {
    check_length("ema", "param", param.len(), average.len())?;
    let (keep, rest) = (decay as f32, (1.0 - decay) as f32);
    average.par_chunks_mut(TASK_VALUES).zip(param.par_chunks(TASK_VALUES)).for_each(
        |(average, param)| {
            for (average, param) in average.iter_mut().zip(param) {
                *average = keep * *average + rest * param;
            }
        },
    );
    Ok(())
}
