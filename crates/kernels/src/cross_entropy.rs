//! Softmax and the cross entropy with soft targets, each row in double precision.

use rayon::prelude::*;

use crate::error::{KernelError, check_length, check_multiple};
use crate::tasks::rows_per_task;

/// The logarithm of the softmax of each row: `[N, classes]` to the same. A row with a NaN or +∞, or
/// of −∞ alone, is NaN.
///
/// # Errors
/// Where lengths don't fit or are zero.
pub fn log_softmax(logits: &[f32], classes: usize, out: &mut [f32]) -> Result<(), KernelError> {
    let operation = "cross_entropy::log_softmax";
    check_multiple(operation, "logits", logits.len(), classes)?;
    check_length(operation, "out", out.len(), logits.len())?;
    let task = rows_per_task(classes) * classes;
    out.par_chunks_mut(task).zip(logits.par_chunks(task)).for_each(|(out, logits)| {
        for (out, logits) in out.chunks_exact_mut(classes).zip(logits.chunks_exact(classes)) {
            let sum = ExpSum::new(logits);
            for (out, &logit) in out.iter_mut().zip(logits) {
                *out = sum.log_softmax(logit) as f32;
            }
        }
    });
    Ok(())
}

/// The cross entropy of `logits` and `targets`, both `[N, classes]`, times `factor`:
/// −factor · Σ targets · log softmax(logits) / N. The targets are weights; those of a row needn't add
/// up to 1.
///
/// `grad` receives the gradient with respect to `logits`,
/// factor · (softmax(logits) · (Σ of the row's targets) − targets) / N.
///
/// Where a logit is NaN or infinite the loss is NaN, and so is the row's gradient.
///
/// # Errors
/// Where lengths don't fit or are zero.
pub fn cross_entropy(
    logits: &[f32],
    targets: &[f32],
    classes: usize,
    factor: f32,
    grad: Option<&mut [f32]>,
) -> Result<f32, KernelError> {
    let operation = "cross_entropy";
    let rows = check_multiple(operation, "logits", logits.len(), classes)?;
    check_length(operation, "targets", targets.len(), logits.len())?;
    if let Some(grad) = &grad {
        check_length(operation, "grad", grad.len(), logits.len())?;
    }
    let factor = f64::from(factor) / rows as f64;
    let task = rows_per_task(classes) * classes;
    let pieces = logits.par_chunks(task).zip(targets.par_chunks(task));
    let losses: Vec<f64> = match grad {
        Some(grad) => pieces
            .zip(grad.par_chunks_mut(task))
            .map(|((logits, targets), grad)| {
                let rows = logits.chunks_exact(classes).zip(targets.chunks_exact(classes));
                rows.zip(grad.chunks_exact_mut(classes))
                    .map(|((logits, targets), grad)| {
                        let row = Row::new(logits, targets);
                        row.gradient(factor, grad);
                        row.loss()
                    })
                    .sum()
            })
            .collect(),
        None => pieces
            .map(|(logits, targets)| {
                let rows = logits.chunks_exact(classes).zip(targets.chunks_exact(classes));
                rows.map(|(logits, targets)| Row::new(logits, targets).loss()).sum()
            })
            .collect(),
    };
    Ok((factor * losses.iter().sum::<f64>()) as f32)
}

struct Row<'a> {
    logits: &'a [f32],
    targets: &'a [f32],
    /// NaN where a logit isn't finite.
    sum: ExpSum,
}

impl<'a> Row<'a> {
    fn new(logits: &'a [f32], targets: &'a [f32]) -> Self {
        let finite = logits.iter().all(|logit| logit.is_finite());
        let sum = if finite { ExpSum::new(logits) } else { ExpSum::NAN };
        Self { logits, targets, sum }
    }

    fn loss(&self) -> f64 {
        let pairs = self.logits.iter().zip(self.targets);
        pairs.fold(0.0, |loss, (&logit, &target)| {
            loss - f64::from(target) * self.sum.log_softmax(logit)
        })
    }

    fn gradient(&self, factor: f64, grad: &mut [f32]) {
        let weight: f64 = self.targets.iter().map(|&target| f64::from(target)).sum();
        for ((grad, &logit), &target) in grad.iter_mut().zip(self.logits).zip(self.targets) {
            let softmax = self.sum.log_softmax(logit).exp();
            *grad = (factor * (softmax * weight - f64::from(target))) as f32;
        }
    }
}

/// Σ exp(logits). The largest logit is kept apart, so that no exponential overflows and large logits
/// lose no digits of their differences.
struct ExpSum {
    largest: f64,
    /// ln Σ exp(logits − largest)
    log: f64,
}

impl ExpSum {
    const NAN: Self = Self { largest: f64::NAN, log: f64::NAN };

    fn new(logits: &[f32]) -> Self {
        let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum();
        Self { largest, log: sum.ln() }
    }

    fn log_softmax(&self, logit: f32) -> f64 {
        (f64::from(logit) - self.largest) - self.log
    }
}
