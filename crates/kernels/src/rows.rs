//! Rows of a matrix: to choose some, to give gradients back to them, to standardize them, and the
//! mean squared difference of two matrices.

use rayon::prelude::*;

use crate::error::{KernelError, check_length, check_multiple, check_positive, product};
use crate::simd::{self, Kernel, LANES, Simd, dispatch};
use crate::tasks::{TASK_VALUES, rows_per_task};

/// out\[k\] = x\[rows\[k\]\]: `[R, width]` → `[K, width]`.
///
/// # Errors
/// Where lengths don't fit or a row isn't there.
pub fn select(x: &[f32], width: usize, rows: &[u32], out: &mut [f32]) -> Result<(), KernelError> {
    let operation = "rows::select";
    check_rows(operation, x.len(), width, rows)?;
    check_length(operation, "out", out.len(), product(operation, &[rows.len(), width])?)?;
    let task = rows_per_task(width);
    out.par_chunks_mut(task * width).zip(rows.par_chunks(task)).for_each(|(out, rows)| {
        for (out, &row) in out.chunks_exact_mut(width).zip(rows) {
            out.copy_from_slice(&x[row as usize * width..][..width]);
        }
    });
    Ok(())
}

/// The gradient of [`select`] with respect to `x`: each row of `out` is the sum of the rows of `grad`
/// that were copied from it, in their order; zeros where none was.
///
/// # Errors
/// As [`select`].
pub fn select_backward(
    grad: &[f32],
    width: usize,
    rows: &[u32],
    out: &mut [f32],
) -> Result<(), KernelError> {
    let operation = "rows::select_backward";
    check_rows(operation, out.len(), width, rows)?;
    check_length(operation, "grad", grad.len(), product(operation, &[rows.len(), width])?)?;
    // Where each row's gradients lie, the rows' lists one after the other.
    let count = out.len() / width;
    let mut starts = vec![0usize; count + 1];
    for &row in rows {
        starts[row as usize + 1] += 1;
    }
    for row in 0..count {
        starts[row + 1] += starts[row];
    }
    let mut next = starts.clone();
    let mut sources = vec![0usize; rows.len()];
    for (source, &row) in rows.iter().enumerate() {
        sources[next[row as usize]] = source;
        next[row as usize] += 1;
    }
    out.par_chunks_mut(width).enumerate().for_each(|(row, out)| {
        out.fill(0.0);
        for &source in &sources[starts[row]..starts[row + 1]] {
            for (out, grad) in out.iter_mut().zip(&grad[source * width..][..width]) {
                *out += grad;
            }
        }
    });
    Ok(())
}

fn check_rows(
    operation: &'static str,
    values: usize,
    width: usize,
    rows: &[u32],
) -> Result<(), KernelError> {
    check_positive(operation, "width", width)?;
    let count = check_multiple(operation, "x", values, width)?;
    match rows.iter().find(|&&row| row as usize >= count) {
        Some(&row) => Err(KernelError::RowOutside { operation, row, rows: count }),
        None => Ok(()),
    }
}

/// Each row of `[R, width]` minus its mean, over √(unbiased variance + eps). A row of one value has
/// no unbiased variance and counts as constant.
///
/// # Errors
/// Where lengths don't fit.
pub fn standardize(x: &[f32], width: usize, eps: f32, out: &mut [f32]) -> Result<(), KernelError> {
    let operation = "rows::standardize";
    check_positive(operation, "width", width)?;
    check_multiple(operation, "x", x.len(), width)?;
    check_length(operation, "out", out.len(), x.len())?;
    let level = simd::level();
    let task = rows_per_task(width) * width;
    x.par_chunks(task)
        .zip(out.par_chunks_mut(task))
        .for_each(|(x, out)| dispatch(level, Standardize { x, width, eps, out }));
    Ok(())
}

struct Standardize<'a> {
    x: &'a [f32],
    width: usize,
    eps: f32,
    out: &'a mut [f32],
}

impl Kernel for Standardize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { x, width, eps, out } = self;
        let freedom = width.saturating_sub(1).max(1) as f32;
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let (vectors, rest) = x.as_chunks::<LANES>();
            let mut sum = simd.splat(0.0);
            for vector in vectors {
                sum = simd.add(sum, simd.load(vector));
            }
            let mean = (simd.sum(sum) + rest.iter().sum::<f32>()) / width as f32;
            let centre = simd.splat(mean);
            let mut squares = simd.splat(0.0);
            for vector in vectors {
                let centred = simd.sub(simd.load(vector), centre);
                squares = simd.mul_add(centred, centred, squares);
            }
            let mut square = simd.sum(squares);
            for value in rest {
                square += (value - mean) * (value - mean);
            }
            let scale = simd.splat(1.0 / (square / freedom + eps).sqrt());
            for start in (0..width).step_by(LANES) {
                let centred = simd.sub(simd.load_at(x, start), centre);
                simd.store_at(simd.mul(centred, scale), out, start);
            }
        }
    }
}

/// The mean of (a − b)².
///
/// # Errors
/// Where there are no values, or lengths differ.
pub fn mean_squared_difference(a: &[f32], b: &[f32]) -> Result<f32, KernelError> {
    let operation = "rows::mean_squared_difference";
    check_positive(operation, "a", a.len())?;
    check_length(operation, "b", b.len(), a.len())?;
    let level = simd::level();
    let sums: Vec<f64> = a
        .par_chunks(TASK_VALUES)
        .zip(b.par_chunks(TASK_VALUES))
        .map(|(a, b)| dispatch(level, SquaredDifference { a, b }))
        .collect();
    Ok((sums.iter().sum::<f64>() / a.len() as f64) as f32)
}

/// Σ (a − b)², the lanes' sums added in double precision every few hundred values.
struct SquaredDifference<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl Kernel for SquaredDifference<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        const TOGETHER: usize = 512;
        let mut total = 0.0;
        for (a, b) in self.a.chunks(TOGETHER).zip(self.b.chunks(TOGETHER)) {
            let mut sum = simd.splat(0.0);
            for start in (0..a.len()).step_by(LANES) {
                let difference = simd.sub(simd.load_at(a, start), simd.load_at(b, start));
                sum = simd.mul_add(difference, difference, sum);
            }
            total += f64::from(simd.sum(sum));
        }
        total
    }
}

/// The gradient of [`mean_squared_difference`] with respect to `a`, times `grad`:
/// 2 · grad · (a − b) / n.
///
/// # Errors
/// Where lengths differ.
pub fn mean_squared_difference_backward(
    a: &[f32],
    b: &[f32],
    grad: f32,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let operation = "rows::mean_squared_difference_backward";
    check_length(operation, "b", b.len(), a.len())?;
    check_length(operation, "out", out.len(), a.len())?;
    let factor = (2.0 * f64::from(grad) / a.len().max(1) as f64) as f32;
    out.par_chunks_mut(TASK_VALUES)
        .zip(a.par_chunks(TASK_VALUES))
        .zip(b.par_chunks(TASK_VALUES))
        .for_each(|((out, a), b)| {
            for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
                *out = factor * (a - b);
            }
        });
    Ok(())
}
