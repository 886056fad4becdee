//! Layer norm over the channels of each site.

use rayon::prelude::*;

use crate::Gradients;
use crate::error::{KernelError, check_length, check_multiple};
use crate::simd::{self, Kernel, LANES, Simd, dispatch};
use crate::tasks::{add_parts, rows_per_task};

/// out = gamma · (x − mean) / √(var + eps) + beta over the last dimension of `[.., C]`, C the length
/// of `gamma`; var is the biased variance.
///
/// # Errors
/// Where lengths don't fit.
pub fn forward(
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    eps: f32,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let operation = "layer_norm::forward";
    check_multiple(operation, "x", x.len(), gamma.len())?;
    check_length(operation, "beta", beta.len(), gamma.len())?;
    check_length(operation, "out", out.len(), x.len())?;
    let level = simd::level();
    let task = rows_per_task(gamma.len()) * gamma.len();
    x.par_chunks(task)
        .zip(out.par_chunks_mut(task))
        .for_each(|(x, out)| dispatch(level, Forward { x, gamma, beta, eps, out }));
    Ok(())
}

/// The gradients, from the gradient `grad` with respect to the output. Mean and variance are
/// computed again from `x`.
///
/// # Errors
/// Where lengths don't fit.
pub fn backward(
    x: &[f32],
    gamma: &[f32],
    grad: &[f32],
    eps: f32,
    gradients: Gradients<'_>,
) -> Result<(), KernelError> {
    let operation = "layer_norm::backward";
    let channels = gamma.len();
    let rows = check_multiple(operation, "x", x.len(), channels)?;
    check_length(operation, "grad", grad.len(), x.len())?;
    check_length(operation, "gradients.x", gradients.x.len(), x.len())?;
    check_length(operation, "gradients.gamma", gradients.gamma.len(), channels)?;
    check_length(operation, "gradients.beta", gradients.beta.len(), channels)?;
    let level = simd::level();
    // A part for each task; the sum over parts doesn't depend on who computed them.
    let rows_per_task = rows_per_task(channels);
    let tasks = rows.div_ceil(rows_per_task);
    let task = rows_per_task * channels;
    let mut gamma_parts = vec![0.0; tasks * channels];
    let mut beta_parts = vec![0.0; tasks * channels];
    x.par_chunks(task)
        .zip(grad.par_chunks(task))
        .zip(gradients.x.par_chunks_mut(task))
        .zip(gamma_parts.par_chunks_mut(channels).zip(beta_parts.par_chunks_mut(channels)))
        .for_each(|(((x, grad), dx), (dgamma, dbeta))| {
            dispatch(level, Backward { x, gamma, grad, eps, dx, dgamma, dbeta });
        });
    gradients.gamma.fill(0.0);
    gradients.beta.fill(0.0);
    add_parts(&gamma_parts, gradients.gamma);
    add_parts(&beta_parts, gradients.beta);
    Ok(())
}

/// Mean and 1/√(var + eps) of a row, in two passes.
#[inline(always)]
fn statistics<S: Simd>(simd: S, row: &[f32], eps: f32) -> (f32, f32) {
    let scale = 1.0 / row.len() as f32;
    let (vectors, rest) = row.as_chunks::<LANES>();
    let mut sum = simd.splat(0.0);
    for vector in vectors {
        sum = simd.add(sum, simd.load(vector));
    }
    let mean = (simd.sum(sum) + rest.iter().sum::<f32>()) * scale;
    let means = simd.splat(mean);
    let mut squares = simd.splat(0.0);
    for vector in vectors {
        let centred = simd.sub(simd.load(vector), means);
        squares = simd.mul_add(centred, centred, squares);
    }
    let rest: f32 = rest.iter().map(|value| (value - mean) * (value - mean)).sum();
    let variance = (simd.sum(squares) + rest) * scale;
    (mean, 1.0 / (variance + eps).sqrt())
}

pub(crate) struct Forward<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) gamma: &'a [f32],
    pub(crate) beta: &'a [f32],
    pub(crate) eps: f32,
    pub(crate) out: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let channels = self.gamma.len();
        for (x, out) in self.x.chunks_exact(channels).zip(self.out.chunks_exact_mut(channels)) {
            let (mean, scale) = statistics(simd, x, self.eps);
            let (means, scales) = (simd.splat(mean), simd.splat(scale));
            for start in (0..channels).step_by(LANES) {
                let centred = simd.sub(simd.load_at(x, start), means);
                let normal = simd.mul(centred, scales);
                let gamma = simd.load_at(self.gamma, start);
                let beta = simd.load_at(self.beta, start);
                simd.store_at(simd.mul_add(normal, gamma, beta), out, start);
            }
        }
    }
}

pub(crate) struct Backward<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) gamma: &'a [f32],
    pub(crate) grad: &'a [f32],
    pub(crate) eps: f32,
    pub(crate) dx: &'a mut [f32],
    pub(crate) dgamma: &'a mut [f32],
    pub(crate) dbeta: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    /// With x̂ the normalized row and ĝ = gamma · grad:
    /// dx = rstd · (ĝ − mean(ĝ) − x̂ · mean(ĝ · x̂)); dgamma += grad · x̂; dbeta += grad.
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let channels = self.gamma.len();
        let rows = self.x.chunks_exact(channels).zip(self.grad.chunks_exact(channels));
        for ((x, grad), dx) in rows.zip(self.dx.chunks_exact_mut(channels)) {
            let (mean, scale) = statistics(simd, x, self.eps);
            let (means, scales) = (simd.splat(mean), simd.splat(scale));
            let mut sum = simd.splat(0.0);
            let mut product = simd.splat(0.0);
            for start in (0..channels).step_by(LANES) {
                // Beyond the last channel `grad` and `gamma` load as zeros, so nothing is added.
                let normal = simd.mul(simd.sub(simd.load_at(x, start), means), scales);
                let grad = simd.load_at(grad, start);
                let weighted = simd.mul(grad, simd.load_at(self.gamma, start));
                sum = simd.add(sum, weighted);
                product = simd.mul_add(weighted, normal, product);
                let dgamma = simd.load_at(self.dgamma, start);
                simd.store_at(simd.mul_add(grad, normal, dgamma), self.dgamma, start);
                let dbeta = simd.load_at(self.dbeta, start);
                simd.store_at(simd.add(dbeta, grad), self.dbeta, start);
            }
            let share = 1.0 / channels as f32;
            let mean_grad = simd.splat(simd.sum(sum) * share);
            let mean_product = simd.splat(simd.sum(product) * share);
            for start in (0..channels).step_by(LANES) {
                let normal = simd.mul(simd.sub(simd.load_at(x, start), means), scales);
                let weighted = simd.mul(simd.load_at(grad, start), simd.load_at(self.gamma, start));
                let centred = simd.sub(weighted, mean_grad);
                let rest = simd.sub(centred, simd.mul(normal, mean_product));
                simd.store_at(simd.mul(rest, scales), dx, start);
            }
        }
    }
}
