//! How far the directions of two matrices' rows are apart: the mean of 1 − cos.

use rayon::prelude::*;

use crate::error::{KernelError, check_length, check_multiple, check_positive};
use crate::simd::{self, Kernel, LANES, Simd, dispatch};
use crate::tasks::rows_per_task;

/// The mean over rows of 1 − cos(a\[r\], b\[r\]), of two `[R, width]`. A row of zeros has no direction: its cosine counts
/// as 0.
///
/// # Errors
/// Where lengths don't fit or are zero.
pub fn distance(a: &[f32], b: &[f32], width: usize) -> Result<f32, KernelError> {
    let rows = check("cosine::distance", a, b, width)?;
    let task = rows_per_task(width) * width;
    let level = simd::level();
    let sums: Vec<f64> = a
        .par_chunks(task)
        .zip(b.par_chunks(task))
        .map(|(a, b)| {
            let rows = a.chunks_exact(width).zip(b.chunks_exact(width));
            rows.map(|(a, b)| 1.0 - dispatch(level, Products { a, b }).cosine()).sum()
        })
        .collect();
    Ok((sums.iter().sum::<f64>() / rows as f64) as f32)
}

/// The gradient of [`distance`] with respect to `a`, times `grad`, in place of `a`: zeros where a row of either is.
///
/// # Errors
/// As [`distance`].
pub fn distance_backward(
    a: &mut [f32],
    b: &[f32],
    width: usize,
    grad: f32,
) -> Result<(), KernelError> {
    let rows = check("cosine::distance_backward", a, b, width)?;
    let task = rows_per_task(width) * width;
    let level = simd::level();
    let share = f64::from(grad) / rows as f64;
    a.par_chunks_mut(task).zip(b.par_chunks(task)).for_each(|(a, b)| {
        for (a, b) in a.chunks_exact_mut(width).zip(b.chunks_exact(width)) {
            let [of_a, of_b] = dispatch(level, Products { a, b }).factors(share);
            for (a, b) in a.iter_mut().zip(b) {
                *a = of_a * *a + of_b * b;
            }
        }
    });
    Ok(())
}

fn check(
    operation: &'static str,
    a: &[f32],
    b: &[f32],
    width: usize,
) -> Result<usize, KernelError> {
    check_positive(operation, "width", width)?;
    let rows = check_multiple(operation, "a", a.len(), width)?;
    check_positive(operation, "rows", rows)?;
    check_length(operation, "b", b.len(), a.len())?;
    Ok(rows)
}

/// The products of two rows with themselves and with each other.
struct Sums {
    ab: f64,
    aa: f64,
    bb: f64,
}

impl Sums {
    /// The product of both lengths, where both rows have a direction.
    fn lengths(&self) -> Option<f64> {
        let lengths = (self.aa * self.bb).sqrt();
        // What is not a number is no row of zeros: it shows in the loss.
        (lengths != 0.0).then_some(lengths)
    }

    fn cosine(&self) -> f64 {
        self.lengths().map_or(0.0, |lengths| self.ab / lengths)
    }

    /// By what a and b are multiplied in the gradient of `−share · cos` by a.
    fn factors(&self, share: f64) -> [f32; 2] {
        let Some(lengths) = self.lengths() else { return [0.0; 2] };
        [share * self.ab / lengths / self.aa, -share / lengths].map(|factor| factor as f32)
    }
}

struct Products<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

/// Values whose sums are kept in lanes, before they are added to the others' in double precision.
const TOGETHER: usize = 512;

impl Kernel for Products<'_> {
    type Output = Sums;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Sums {
        let mut sums = Sums { ab: 0.0, aa: 0.0, bb: 0.0 };
        for (a, b) in self.a.chunks(TOGETHER).zip(self.b.chunks(TOGETHER)) {
            let [mut ab, mut aa, mut bb] = [simd.splat(0.0); 3];
            for start in (0..a.len()).step_by(LANES) {
                let (a, b) = (simd.load_at(a, start), simd.load_at(b, start));
                ab = simd.mul_add(a, b, ab);
                aa = simd.mul_add(a, a, aa);
                bb = simd.mul_add(b, b, bb);
            }
            sums.ab += f64::from(simd.sum(ab));
            sums.aa += f64::from(simd.sum(aa));
            sums.bb += f64::from(simd.sum(bb));
        }
        sums
    }
}
