//! Rows of a matrix: to choose some, to scale them, to give gradients back to them, to standardize
//! them, and the mean squared difference of two matrices.

use rayon::prelude::*;

use crate::error::{KernelError, check_length, check_multiple, check_positive, product};
use crate::simd::{self, Kernel, LANES, Simd, dispatch};
use crate::tasks::{TASK_VALUES, rows_per_task};

/// out\[k\] = x\[rows\[k\]\]: `[R, width]` → `[K, width]`. With a `filler`, `[width]`, the row R is the
/// filler, as if it stood at the end of `x`.
///
/// # Errors
/// Where lengths don't fit or a row isn't there.
pub fn select(
    x: &[f32],
    width: usize,
    rows: &[u32],
    filler: Option<&[f32]>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let operation = "rows::select";
    let lengths = [("x", x.len()), ("out", out.len())];
    let count = check_selection(operation, lengths, width, rows, filler.map(<[f32]>::len))?;
    let task = rows_per_task(width);
    out.par_chunks_mut(task * width).zip(rows.par_chunks(task)).for_each(|(out, rows)| {
        for (out, &row) in out.chunks_exact_mut(width).zip(rows) {
            let row = row as usize;
            out.copy_from_slice(match filler {
                Some(filler) if row == count => filler,
                _ => &x[row * width..][..width],
            });
        }
    });
    Ok(())
}

/// The gradients of [`select`]: with respect to `x` in `out`, and to the filler in `filler`. Each row
/// is the sum of the rows of `grad` that were copied from it, in their order; zeros where none was.
///
/// # Errors
/// As [`select`].
pub fn select_backward(
    grad: &[f32],
    width: usize,
    rows: &[u32],
    out: &mut [f32],
    filler: Option<&mut [f32]>,
) -> Result<(), KernelError> {
    let operation = "rows::select_backward";
    let lengths = [("out", out.len()), ("grad", grad.len())];
    let count =
        check_selection(operation, lengths, width, rows, filler.as_deref().map(<[f32]>::len))?;
    // Where each row's gradients lie, the rows' lists one after the other, the filler's last.
    let mut starts = vec![0usize; count + 2];
    for &row in rows {
        starts[row as usize + 1] += 1;
    }
    for row in 0..=count {
        starts[row + 1] += starts[row];
    }
    let mut next = starts.clone();
    let mut sources = vec![0usize; rows.len()];
    for (source, &row) in rows.iter().enumerate() {
        sources[next[row as usize]] = source;
        next[row as usize] += 1;
    }
    // The columns from `first` of a row's gradient.
    let sum = |row: usize, first: usize, out: &mut [f32]| {
        out.fill(0.0);
        for &source in &sources[starts[row]..starts[row + 1]] {
            for (out, grad) in out.iter_mut().zip(&grad[source * width + first..]) {
                *out += grad;
            }
        }
    };
    out.par_chunks_mut(width).enumerate().for_each(|(row, out)| sum(row, 0, out));
    if let Some(filler) = filler {
        // Many rows are the filler, so its columns are shared out.
        filler
            .par_chunks_mut(FILLER_COLUMNS)
            .enumerate()
            .for_each(|(task, out)| sum(count, task * FILLER_COLUMNS, out));
    }
    Ok(())
}

/// Columns of the filler's gradient that make one task: some cache lines of each row.
const FILLER_COLUMNS: usize = 64;

/// Checks the lengths of a matrix and of the chosen rows, both by name, and of the filler; returns
/// the matrix's number of rows.
fn check_selection(
    operation: &'static str,
    [(matrix, values), (chosen, chosen_values)]: [(&'static str, usize); 2],
    width: usize,
    rows: &[u32],
    filler: Option<usize>,
) -> Result<usize, KernelError> {
    check_positive(operation, "width", width)?;
    let count = check_multiple(operation, matrix, values, width)?;
    if let Some(filler) = filler {
        check_length(operation, "filler", filler, width)?;
    }
    let there = count + usize::from(filler.is_some());
    if let Some(&row) = rows.iter().find(|&&row| row as usize >= there) {
        return Err(KernelError::RowOutside { operation, row, rows: there });
    }
    check_length(operation, chosen, chosen_values, product(operation, &[rows.len(), width])?)?;
    Ok(count)
}

/// out\[r\] = scale\[r\] · x\[r\]: each row of `[R, width]` times its own number of `scale`, `[R]`.
///
/// # Errors
/// Where lengths don't fit or are zero.
pub fn scale(x: &[f32], width: usize, scale: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
    let operation = "rows::scale";
    check_scales(operation, x, width, scale)?;
    check_length(operation, "out", out.len(), x.len())?;
    scaled(x, width, scale, out);
    Ok(())
}

/// The gradients of [`scale`], from the gradient `grad` with respect to its output: with respect to
/// `x` in `dx`, scale\[r\] · grad\[r\], and to `scale` in `dscale`, Σ over the row of grad · x.
///
/// # Errors
/// As [`scale`].
pub fn scale_backward(
    x: &[f32],
    width: usize,
    scale: &[f32],
    grad: &[f32],
    dx: &mut [f32],
    dscale: &mut [f32],
) -> Result<(), KernelError> {
    let operation = "rows::scale_backward";
    check_scales(operation, x, width, scale)?;
    check_length(operation, "grad", grad.len(), x.len())?;
    check_length(operation, "dx", dx.len(), x.len())?;
    check_length(operation, "dscale", dscale.len(), scale.len())?;
    scaled(grad, width, scale, dx);
    let level = simd::level();
    let task = rows_per_task(width);
    dscale
        .par_chunks_mut(task)
        .zip(x.par_chunks(task * width))
        .zip(grad.par_chunks(task * width))
        .for_each(|((out, x), grad)| dispatch(level, RowProducts { x, grad, width, out }));
    Ok(())
}

fn check_scales(
    operation: &'static str,
    x: &[f32],
    width: usize,
    scale: &[f32],
) -> Result<(), KernelError> {
    check_positive(operation, "width", width)?;
    let rows = check_multiple(operation, "x", x.len(), width)?;
    check_length(operation, "scale", scale.len(), rows)
}

fn scaled(x: &[f32], width: usize, scale: &[f32], out: &mut [f32]) {
    let task = rows_per_task(width);
    out.par_chunks_mut(task * width)
        .zip(x.par_chunks(task * width))
        .zip(scale.par_chunks(task))
        .for_each(|((out, x), scale)| {
            let rows = out.chunks_exact_mut(width).zip(x.chunks_exact(width));
            for ((out, x), scale) in rows.zip(scale) {
                for (out, x) in out.iter_mut().zip(x) {
                    *out = scale * x;
                }
            }
        });
}

/// out\[r\] = Σ over the row of grad · x.
struct RowProducts<'a> {
    x: &'a [f32],
    grad: &'a [f32],
    width: usize,
    out: &'a mut [f32],
}

impl Kernel for RowProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { x, grad, width, out } = self;
        let rows = x.chunks_exact(width).zip(grad.chunks_exact(width));
        for (out, (x, grad)) in out.iter_mut().zip(rows) {
            let mut total = 0.0;
            for (x, grad) in x.chunks(TOGETHER).zip(grad.chunks(TOGETHER)) {
                let mut sum = simd.splat(0.0);
                for start in (0..x.len()).step_by(LANES) {
                    sum = simd.mul_add(simd.load_at(x, start), simd.load_at(grad, start), sum);
                }
                total += f64::from(simd.sum(sum));
            }
            *out = total as f32;
        }
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

/// Values whose sum is kept in lanes, before it is added to the others' in double precision.
const TOGETHER: usize = 512;

/// Σ (a − b)².
struct SquaredDifference<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl Kernel for SquaredDifference<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
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

/// The gradient of [`mean_squared_difference`] with respect to `a`, times `grad`, in place of `a`:
/// 2 · grad · (a − b) / n.
///
/// # Errors
/// Where lengths differ.
pub fn mean_squared_difference_backward(
    a: &mut [f32],
    b: &[f32],
    grad: f32,
) -> Result<(), KernelError> {
    check_length("rows::mean_squared_difference_backward", "b", b.len(), a.len())?;
    let factor = (2.0 * f64::from(grad) / a.len().max(1) as f64) as f32;
    a.par_chunks_mut(TASK_VALUES).zip(b.par_chunks(TASK_VALUES)).for_each(|(a, b)| {
        for (a, b) in a.iter_mut().zip(b) {
            *a = factor * (*a - b);
        }
    });
    Ok(())
}
