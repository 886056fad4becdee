//! Windows of k × k sites to the channels of one site: what lets a strided convolution (the stem,
//! the downsampling) be a linear layer.

use rayon::prelude::*;

use crate::error::{KernelError, check_length, check_multiple, check_positive, product};
use crate::tasks::rows_per_task;

/// `[P, h, w, C]` → `[P, h/k, w/k, k·k·C]`, the order inside a window (row, column, channel).
/// P counts planes: images, or visible patches of all images.
///
/// # Errors
/// Where `height` or `width` is no multiple of `window`, a size is zero or lengths don't fit.
pub fn space_to_depth(
    x: &[f32],
    plane: Plane,
    window: usize,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let run = plane.check("space_to_depth", window, x.len(), out.len())?;
    let (band, across) = (plane.band(window), plane.width / window);
    // A band (one row of windows) is `window` rows of sites here and one row of windows there: its
    // runs of `window` · C values change places, (row, window) → (window, row).
    let bands = rows_per_task(band);
    x.par_chunks(band * bands).zip(out.par_chunks_mut(band * bands)).for_each(|(x, out)| {
        for (x, out) in x.chunks_exact(band).zip(out.chunks_exact_mut(band)) {
            for (index, out) in out.chunks_exact_mut(run).enumerate() {
                let (column, row) = (index / window, index % window);
                out.copy_from_slice(&x[(row * across + column) * run..][..run]);
            }
        }
    });
    Ok(())
}

/// The inverse of [`space_to_depth`], and so its adjoint: `[P, h/k, w/k, k·k·C]` → `[P, h, w, C]`,
/// with `plane` the sizes of the result.
///
/// # Errors
/// As [`space_to_depth`].
pub fn depth_to_space(
    x: &[f32],
    plane: Plane,
    window: usize,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let run = plane.check("depth_to_space", window, x.len(), out.len())?;
    let (band, across) = (plane.band(window), plane.width / window);
    let bands = rows_per_task(band);
    x.par_chunks(band * bands).zip(out.par_chunks_mut(band * bands)).for_each(|(x, out)| {
        for (x, out) in x.chunks_exact(band).zip(out.chunks_exact_mut(band)) {
            for (index, out) in out.chunks_exact_mut(run).enumerate() {
                let (row, column) = (index / across, index % across);
                out.copy_from_slice(&x[(column * window + row) * run..][..run]);
            }
        }
    });
    Ok(())
}

/// A convolution's weight `[O, I, k, k]` in the order of windows' values: `[O, k·k·I]`, the values
/// of a window by (row, column, channel). `taps` is k².
///
/// # Errors
/// Where a size is zero or lengths don't fit.
pub fn window_weight(
    weight: &[f32],
    inputs: usize,
    taps: usize,
    out: &mut [f32],
) -> Result<(), KernelError> {
    turn("window_weight", weight, inputs, taps, out)
}

/// The inverse of [`window_weight`], and so its adjoint: `[O, k·k·I]` → `[O, I, k, k]`.
///
/// # Errors
/// As [`window_weight`].
pub fn window_weight_backward(
    grad: &[f32],
    inputs: usize,
    taps: usize,
    out: &mut [f32],
) -> Result<(), KernelError> {
    turn("window_weight_backward", grad, taps, inputs, out)
}

/// Each `[rows, columns]` of `x` transposed.
fn turn(
    operation: &'static str,
    x: &[f32],
    rows: usize,
    columns: usize,
    out: &mut [f32],
) -> Result<(), KernelError> {
    check_positive(operation, "inputs", rows)?;
    check_positive(operation, "taps", columns)?;
    let matrix = product(operation, &[rows, columns])?;
    check_multiple(operation, "x", x.len(), matrix)?;
    check_length(operation, "out", out.len(), x.len())?;
    let task = rows_per_task(matrix) * matrix;
    x.par_chunks(task).zip(out.par_chunks_mut(task)).for_each(|(x, out)| {
        for (x, out) in x.chunks_exact(matrix).zip(out.chunks_exact_mut(matrix)) {
            for (column, out) in out.chunks_exact_mut(rows).enumerate() {
                for (out, value) in out.iter_mut().zip(x[column..].iter().step_by(columns)) {
                    *out = *value;
                }
            }
        }
    });
    Ok(())
}

/// The sizes of each plane before [`space_to_depth`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plane {
    /// Rows of sites, h.
    pub height: usize,
    /// Columns of sites, w.
    pub width: usize,
    /// Values of a site, C.
    pub channels: usize,
}

impl Plane {
    /// Values of one row of windows.
    fn band(self, window: usize) -> usize {
        window * self.width * self.channels
    }

    /// Checks the sizes; returns the length of a row inside a window, window · C.
    fn check(
        self,
        operation: &'static str,
        window: usize,
        x: usize,
        out: usize,
    ) -> Result<usize, KernelError> {
        check_positive(operation, "window", window)?;
        check_positive(operation, "height", self.height)?;
        check_positive(operation, "width", self.width)?;
        check_positive(operation, "channels", self.channels)?;
        for (argument, found) in [("height", self.height), ("width", self.width)] {
            if !found.is_multiple_of(window) {
                return Err(KernelError::Multiple { operation, argument, multiple: window, found });
            }
        }
        let multiple = product(operation, &[self.height, self.width, self.channels])?;
        check_multiple(operation, "x", x, multiple)?;
        check_length(operation, "out", out, x)?;
        Ok(window * self.channels)
    }
}
