//! Layer norm over the channels of each site.

use rayon::prelude::*;

use crate::Gradients;
use crate::error::{KernelError, check_length, check_multiple};
use crate::simd::{self, Kernel, LANES, Lanes, Simd, dispatch};
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
            let task = Backward { x, gamma, grad, eps, dx, dgamma, dbeta, again: None };
            dispatch(level, task);
        });
    gradients.gamma.fill(0.0);
    gradients.beta.fill(0.0);
    add_parts(&gamma_parts, gradients.gamma);
    add_parts(&beta_parts, gradients.beta);
    Ok(())
}

/// Mean and 1/√(var + eps) of R rows, in two passes. Rows together, since each pass of one waits for
/// the sum over its lanes. Plain loops: what the standard library does on arrays isn't always inlined,
/// and then isn't compiled for the instruction set.
#[expect(clippy::needless_range_loop, reason = "one index into all rows")]
#[inline(always)]
fn statistics<S: Simd, const R: usize>(simd: S, rows: [&[f32]; R], eps: f32) -> [(f32, f32); R] {
    let channels = rows[0].len();
    let scale = 1.0 / channels as f32;
    let rest = channels - channels % LANES;
    let mut vectors: [&[Lanes]; R] = [&[]; R];
    for r in 0..R {
        vectors[r] = &rows[r].as_chunks().0[..rest / LANES];
    }
    let mut sums = [simd.splat(0.0); R];
    for index in 0..rest / LANES {
        for r in 0..R {
            sums[r] = simd.add(sums[r], simd.load(&vectors[r][index]));
        }
    }
    let mut statistics = [(0.0, 0.0); R];
    let mut centres = [simd.splat(0.0); R];
    for r in 0..R {
        let mean = (simd.sum(sums[r]) + rows[r][rest..].iter().sum::<f32>()) * scale;
        statistics[r].0 = mean;
        centres[r] = simd.splat(mean);
    }
    let mut squares = [simd.splat(0.0); R];
    for index in 0..rest / LANES {
        for r in 0..R {
            let centred = simd.sub(simd.load(&vectors[r][index]), centres[r]);
            squares[r] = simd.mul_add(centred, centred, squares[r]);
        }
    }
    for r in 0..R {
        let mut square = simd.sum(squares[r]);
        for value in &rows[r][rest..] {
            square += (value - statistics[r].0) * (value - statistics[r].0);
        }
        statistics[r].1 = 1.0 / (square * scale + eps).sqrt();
    }
    statistics
}

/// Means and scales as vectors.
#[inline(always)]
fn splat<S: Simd, const R: usize>(
    simd: S,
    statistics: [(f32, f32); R],
) -> ([S::Vector; R], [S::Vector; R]) {
    let (mut means, mut scales) = ([simd.splat(0.0); R], [simd.splat(0.0); R]);
    for (r, (mean, scale)) in statistics.into_iter().enumerate() {
        means[r] = simd.splat(mean);
        scales[r] = simd.splat(scale);
    }
    (means, scales)
}

/// Rows normalized together.
const TOGETHER: usize = 4;

/// The rows of C values of `values` from `first` on.
#[inline(always)]
fn rows<const R: usize>(values: &[f32], channels: usize, first: usize) -> [&[f32]; R] {
    std::array::from_fn(|r| &values[(first + r) * channels..][..channels])
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
    fn run<S: Simd>(mut self, simd: S) {
        let count = self.x.len() / self.gamma.len();
        let whole = count - count % TOGETHER;
        for first in (0..whole).step_by(TOGETHER) {
            self.rows::<S, TOGETHER>(simd, first);
        }
        for first in whole..count {
            self.rows::<S, 1>(simd, first);
        }
    }
}

impl Forward<'_> {
    #[inline(always)]
    fn rows<S: Simd, const R: usize>(&mut self, simd: S, first: usize) {
        let channels = self.gamma.len();
        let x: [&[f32]; R] = rows(self.x, channels, first);
        let (means, scales) = splat(simd, statistics(simd, x, self.eps));
        let out = &mut self.out[first * channels..][..R * channels];
        for start in (0..channels).step_by(LANES) {
            let gamma = simd.load_at(self.gamma, start);
            let beta = simd.load_at(self.beta, start);
            for r in 0..R {
                let normal = simd.mul(simd.sub(simd.load_at(x[r], start), means[r]), scales[r]);
                let out = &mut out[r * channels..][..channels];
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
    /// Where the forward pass's result is to be written again, and its beta.
    pub(crate) again: Option<(&'a [f32], &'a mut [f32])>,
}

impl Kernel for Backward<'_> {
    type Output = ();

    /// With x̂ the normalized row and ĝ = gamma · grad:
    /// dx = rstd · (ĝ − mean(ĝ) − x̂ · mean(ĝ · x̂)); dgamma += grad · x̂; dbeta += grad.
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let count = self.x.len() / self.gamma.len();
        let whole = count - count % TOGETHER;
        for first in (0..whole).step_by(TOGETHER) {
            self.rows::<S, TOGETHER>(simd, first);
        }
        for first in whole..count {
            self.rows::<S, 1>(simd, first);
        }
    }
}

impl Backward<'_> {
    #[inline(always)]
    fn rows<S: Simd, const R: usize>(&mut self, simd: S, first: usize) {
        let channels = self.gamma.len();
        let x: [&[f32]; R] = rows(self.x, channels, first);
        let grad: [&[f32]; R] = rows(self.grad, channels, first);
        let (means, scales) = splat(simd, statistics(simd, x, self.eps));
        let mut sums = [simd.splat(0.0); R];
        let mut products = [simd.splat(0.0); R];
        for start in (0..channels).step_by(LANES) {
            // Beyond the last channel `grad` and `gamma` load as zeros, so nothing is added.
            let gamma = simd.load_at(self.gamma, start);
            let mut dgamma = simd.load_at(self.dgamma, start);
            let mut dbeta = simd.load_at(self.dbeta, start);
            for r in 0..R {
                let normal = simd.mul(simd.sub(simd.load_at(x[r], start), means[r]), scales[r]);
                let grad = simd.load_at(grad[r], start);
                let weighted = simd.mul(grad, gamma);
                sums[r] = simd.add(sums[r], weighted);
                products[r] = simd.mul_add(weighted, normal, products[r]);
                dgamma = simd.mul_add(grad, normal, dgamma);
                dbeta = simd.add(dbeta, grad);
                if let Some((beta, again)) = &mut self.again {
                    let again = &mut again[(first + r) * channels..][..channels];
                    let value = simd.mul_add(normal, gamma, simd.load_at(beta, start));
                    simd.store_at(value, again, start);
                }
            }
            simd.store_at(dgamma, self.dgamma, start);
            simd.store_at(dbeta, self.dbeta, start);
        }
        let share = 1.0 / channels as f32;
        let (mut grads, mut along) = ([simd.splat(0.0); R], [simd.splat(0.0); R]);
        for r in 0..R {
            grads[r] = simd.splat(simd.sum(sums[r]) * share);
            along[r] = simd.splat(simd.sum(products[r]) * share);
        }
        let dx = &mut self.dx[first * channels..][..R * channels];
        for start in (0..channels).step_by(LANES) {
            let gamma = simd.load_at(self.gamma, start);
            for r in 0..R {
                let normal = simd.mul(simd.sub(simd.load_at(x[r], start), means[r]), scales[r]);
                let centred = simd.sub(simd.mul(simd.load_at(grad[r], start), gamma), grads[r]);
                let rest = simd.sub(centred, simd.mul(normal, along[r]));
                simd.store_at(
                    simd.mul(rest, scales[r]),
                    &mut dx[r * channels..][..channels],
                    start,
                );
            }
        }
    }
}
