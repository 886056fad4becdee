//! The mean over the sites of each image.

use rayon::prelude::*;

use crate::error::{KernelError, check_length, check_multiple, product};
use crate::tasks::rows_per_task;

/// Channels summed together: their sums stay in the first-level cache.
const CHANNELS: usize = 64;

/// The mean over sites: `[N, S, C]` → `[N, C]`, summed in double precision.
///
/// # Errors
/// Where lengths don't fit or are zero.
pub fn forward(
    x: &[f32],
    images: usize,
    channels: usize,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let sites = sites("pool::forward", ("x", x.len()), ("out", out.len()), images, channels)?;
    out.par_chunks_mut(channels).zip(x.par_chunks(sites * channels)).for_each(|(out, x)| {
        out.par_chunks_mut(CHANNELS).enumerate().for_each(|(task, out)| {
            let mut sums = [0.0f64; CHANNELS];
            for site in x.chunks_exact(channels) {
                for (sum, &value) in sums[..out.len()].iter_mut().zip(&site[task * CHANNELS..]) {
                    *sum += f64::from(value);
                }
            }
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = (sum / sites as f64) as f32;
            }
        });
    });
    Ok(())
}

/// The gradient of [`forward`] with respect to `x`: `grad`, `[N, C]`, over S at every site of `out`,
/// `[N, S, C]`.
///
/// # Errors
/// As [`forward`].
pub fn backward(
    grad: &[f32],
    images: usize,
    channels: usize,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let sites =
        sites("pool::backward", ("out", out.len()), ("grad", grad.len()), images, channels)?;
    let divisor = sites as f32;
    let task = rows_per_task(channels) * channels;
    out.par_chunks_mut(sites * channels).zip(grad.par_chunks(channels)).for_each(|(out, grad)| {
        out.par_chunks_mut(task).for_each(|out| {
            for site in out.chunks_exact_mut(channels) {
                for (out, grad) in site.iter_mut().zip(grad) {
                    *out = grad / divisor;
                }
            }
        });
    });
    Ok(())
}

/// Checks the lengths of features and means, both by name, and returns the sites of an image.
fn sites(
    operation: &'static str,
    (features, values): (&'static str, usize),
    (means, found): (&'static str, usize),
    images: usize,
    channels: usize,
) -> Result<usize, KernelError> {
    let expected = product(operation, &[images, channels])?;
    let sites = check_multiple(operation, features, values, expected)?;
    check_length(operation, means, found, expected)?;
    Ok(sites)
}
