//! Linear layers over the channels of each site: x · Wᵀ + b with W as PyTorch keeps it,
//! `[outputs, inputs]`.

use rayon::prelude::*;

use crate::error::{KernelError, check_length, check_multiple, check_positive};
use crate::product::{
    AddTransposed, Factors, Left, Panels, Rows, Strip, multiply, strip_cells, widths,
};
use crate::simd::{self, Cell, Kernel, LANES, Level, Simd, dispatch};
use crate::tasks::{add_parts, values, values_mut, with_scratch};

/// Rows of a tile.
const TILE: usize = 96;

/// Vectors of the output computed at a time, so that a tile's stay in the second-level cache until
/// they are written out.
const TOGETHER: usize = 32;

/// out = x · Wᵀ + b: `[M, inputs]` → `[M, outputs]`. The number of outputs follows from `weight`.
///
/// # Errors
/// Where lengths don't fit.
pub fn forward(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    inputs: usize,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let operation = "linear::forward";
    let rows = check(operation, x, weight.len(), bias, inputs, out)?;
    let outputs = weight.len() / inputs;
    if rows * outputs > 0 {
        let panels = Panels::transposed(weight, inputs, outputs.div_ceil(LANES));
        product(x, inputs, &panels, bias, outputs, out);
    }
    Ok(())
}

/// Checks the lengths; returns M.
fn check(
    operation: &'static str,
    x: &[f32],
    weight: usize,
    bias: Option<&[f32]>,
    inputs: usize,
    out: &[f32],
) -> Result<usize, KernelError> {
    check_positive(operation, "inputs", inputs)?;
    let outputs = check_multiple(operation, "weight", weight, inputs)?;
    let rows = check_multiple(operation, "x", x.len(), inputs)?;
    if let Some(bias) = bias {
        check_length(operation, "bias", bias.len(), outputs)?;
    }
    check_length(operation, "out", out.len(), crate::error::product(operation, &[rows, outputs])?)?;
    Ok(rows)
}

/// A weight `[outputs, inputs]` laid out for [`forward_prepared`]. Worth keeping where it doesn't
/// change.
pub struct Prepared {
    panels: Panels,
    outputs: usize,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inputs = self.panels.depth();
        f.debug_struct("Prepared")
            .field("inputs", &inputs)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
}

impl Prepared {
    /// Lays `weight` out. The number of outputs follows from its length.
    ///
    /// # Errors
    /// Where it has no values or a row is not whole.
    pub fn new(weight: &[f32], inputs: usize) -> Result<Self, KernelError> {
        let operation = "linear::Prepared";
        check_positive(operation, "inputs", inputs)?;
        let outputs = check_multiple(operation, "weight", weight.len(), inputs)?;
        check_positive(operation, "outputs", outputs)?;
        Ok(Self { panels: Panels::transposed(weight, inputs, outputs.div_ceil(LANES)), outputs })
    }

    /// The same to be kept for long, in no more memory than it must take.
    #[must_use]
    pub fn kept(self) -> Self {
        Self { panels: self.panels.owned(), ..self }
    }
}

/// As [`forward`], to the bit, with a weight that is laid out already.
///
/// # Errors
/// Where lengths don't fit.
pub fn forward_prepared(
    x: &[f32],
    weight: &Prepared,
    bias: Option<&[f32]>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let Prepared { panels, outputs } = weight;
    let inputs = panels.depth();
    let rows = check("linear::forward_prepared", x, inputs * outputs, bias, inputs, out)?;
    if rows > 0 {
        product(x, inputs, panels, bias, *outputs, out);
    }
    Ok(())
}

/// The gradient with respect to `x`: grad · W, `[M, outputs]` → `[M, inputs]`.
///
/// # Errors
/// Where lengths don't fit.
pub fn backward_input(
    grad: &[f32],
    weight: &[f32],
    inputs: usize,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let operation = "linear::backward_input";
    check_positive(operation, "inputs", inputs)?;
    let outputs = check_multiple(operation, "weight", weight.len(), inputs)?;
    let rows = check_multiple(operation, "grad", grad.len(), outputs)?;
    check_length(operation, "out", out.len(), rows * inputs)?;
    if rows > 0 {
        let panels = Panels::new(weight, inputs, inputs.div_ceil(LANES));
        product(grad, outputs, &panels, None, inputs, out);
    }
    Ok(())
}

/// out = left · right + bias: `left` has rows of `depth` values, `out` of `columns`.
fn product(
    left: &[f32],
    depth: usize,
    right: &Panels,
    bias: Option<&[f32]>,
    columns: usize,
    out: &mut [f32],
) {
    let level = simd::level();
    let panels = right.count();
    let tiles = left.len().div_ceil(depth * TILE);
    // With fewer tiles than threads, several share a tile's panels.
    let alone = tiles >= 2 * rayon::current_num_threads();
    let together = if alone { TOGETHER / 2 } else { panels };
    left.par_chunks(depth * TILE).zip(out.par_chunks_mut(columns * TILE)).for_each(
        |(left, out)| {
            let rows = left.len() / depth;
            let groups: Vec<Rows> = Rows::cut(0, rows).collect();
            let left = Left::row_major(left, depth);
            let most = (2 * together + 1).min(right.vectors());
            with_scratch(most * rows, |sums| {
                for first in (0..panels).step_by(together) {
                    let range = first..(first + together).min(panels);
                    let vectors = 2 * first..right.end(range.end);
                    let sums = &mut sums[..vectors.len() * rows];
                    if alone {
                        multiply(level, left, &groups, right, range, sums);
                    } else {
                        let each = panels.div_ceil(rayon::current_num_threads());
                        right.split(rows, each, sums).into_par_iter().for_each(|(range, sums)| {
                            multiply(level, left, &groups, right, range, sums);
                        });
                    }
                    let end = right.vectors();
                    dispatch(level, Write { sums, first: vectors.start, end, bias, columns, out });
                }
            });
        },
    );
}

/// Writes some panels of sums, plus `bias`, into rows of `columns` values.
struct Write<'a> {
    sums: &'a [Cell],
    /// The first vector of the first panel.
    first: usize,
    /// Vectors of the whole matrix.
    end: usize,
    bias: Option<&'a [f32]>,
    columns: usize,
    out: &'a mut [f32],
}

impl Kernel for Write<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { sums, first, end, bias, columns, out } = self;
        let rows = out.len() / columns;
        let vectors = sums.len() / rows;
        let panels = widths(end).skip(first / 2).take_while(|panel| panel.0 < first + vectors);
        for (vector, width) in panels {
            let sums = &sums[(vector - first) * rows..][..width * rows];
            for v in 0..width {
                let start = (vector + v) * LANES;
                let bias = match bias {
                    Some(bias) => simd.load_at(bias, start),
                    None => simd.splat(0.0),
                };
                let sums = sums[v..].iter().step_by(width);
                for (out, sum) in out.chunks_exact_mut(columns).zip(sums) {
                    simd.store_at(simd.add(simd.load(&sum.0), bias), out, start);
                }
            }
        }
    }
}

/// The gradients with respect to weight, gradᵀ · x, `[outputs, inputs]`, and bias, the sums over
/// rows of grad, `[outputs]`. The number of inputs follows from `weight_grad`.
///
/// # Errors
/// Where lengths don't fit.
pub fn backward_weight(
    x: &[f32],
    grad: &[f32],
    outputs: usize,
    weight_grad: &mut [f32],
    bias_grad: Option<&mut [f32]>,
) -> Result<(), KernelError> {
    let operation = "linear::backward_weight";
    check_positive(operation, "outputs", outputs)?;
    let inputs = check_multiple(operation, "weight_grad", weight_grad.len(), outputs)?;
    let rows = check_multiple(operation, "grad", grad.len(), outputs)?;
    check_length(operation, "x", x.len(), rows * inputs)?;
    if let Some(bias_grad) = &bias_grad {
        check_length(operation, "bias_grad", bias_grad.len(), outputs)?;
    }
    let level = simd::level();
    // The rows are cut into parts whose sums are added in order. A part costs a pass over the sums.
    const PART: usize = 1024;
    const PARTS: usize = 16;
    let part = rows.div_ceil(PARTS).max(PART);
    let width = 2 * inputs.div_ceil(2 * LANES);
    with_scratch(rows.div_ceil(part).max(1) * outputs * width, |sums| {
        sums.par_chunks_mut((outputs * width).max(1)).for_each(|sums| sums.fill(Cell::ZERO));
        sums.par_chunks_mut(outputs * width)
            .zip(x.par_chunks(part * inputs.max(1)))
            .zip(grad.par_chunks(part * outputs))
            .for_each(|((sums, x), grad)| {
                let pieces = x.chunks(PART * inputs.max(1)).zip(grad.chunks(PART * outputs));
                for (x, grad) in pieces {
                    add_product_over_rows(level, x, inputs, grad, outputs, sums);
                }
            });
        let (sum, parts) = sums.split_at_mut(outputs * width);
        add_parts(values(parts), values_mut(sum));
        if inputs > 0 {
            crate::product::from_panels(values(sum), outputs, weight_grad);
        }
    });
    if let Some(bias_grad) = bias_grad {
        column_sums(grad, bias_grad);
    }
    Ok(())
}

/// sums += gradᵀ · x over some rows; `sums` is `[panel, outputs, 16]`.
fn add_product_over_rows(
    level: Level,
    x: &[f32],
    inputs: usize,
    grad: &[f32],
    outputs: usize,
    sums: &mut [Cell],
) {
    let rows = grad.len() / outputs;
    let width = sums.len() / outputs;
    let strips = strip_cells(rows, outputs);
    with_scratch(strips + rows * width, |cells| {
        let (strips, panels) = cells.split_at_mut(strips);
        let per_row = strip_cells(1, outputs);
        strips
            .par_chunks_mut(TILE * per_row)
            .zip(grad.par_chunks(TILE * outputs))
            .for_each(|(out, values)| dispatch(level, Strip { values, columns: outputs, out }));
        panels
            .par_chunks_mut(TILE * width)
            .zip(x.par_chunks(TILE * inputs))
            .for_each(|(out, values)| dispatch(level, Cut { values, columns: inputs, out }));
        let (strips, panels) = (&*strips, &*panels);
        sums.par_chunks_mut(2 * outputs).enumerate().for_each(|(panel, sums)| {
            let factors: Vec<_> = (0..rows)
                .step_by(TILE)
                .map(|first| {
                    let count = TILE.min(rows - first);
                    let start = first * width + panel * 2 * count;
                    Factors {
                        left: &strips[first * per_row..(first + count) * per_row],
                        right: &panels[start..start + 2 * count],
                    }
                })
                .collect();
            dispatch(level, AddTransposed { factors: &factors, sums });
        });
    });
}

/// Cuts rows of `columns` values into panels of two vectors, `[panel, rows, 16]`, zeros beyond the
/// last column.
struct Cut<'a> {
    values: &'a [f32],
    columns: usize,
    out: &'a mut [Cell],
}

impl Kernel for Cut<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { values, columns, out } = self;
        let rows = values.len() / columns;
        for (panel, out) in out.chunks_exact_mut(2 * rows).enumerate() {
            for (row, out) in values.chunks_exact(columns).zip(out.chunks_exact_mut(2)) {
                for (v, cell) in out.iter_mut().enumerate() {
                    let start = ((2 * panel + v) * LANES).min(columns);
                    simd.store(simd.load_at(row, start), &mut cell.0);
                }
            }
        }
    }
}

/// The sums over rows.
fn column_sums(rows: &[f32], sums: &mut [f32]) {
    let columns = sums.len();
    let task = crate::tasks::rows_per_task(columns) * columns;
    let mut parts = vec![0.0; rows.len().div_ceil(task) * columns];
    rows.par_chunks(task).zip(parts.par_chunks_mut(columns)).for_each(|(rows, part)| {
        let (together, rest) = rows.split_at(rows.len() - rows.len() % (4 * columns));
        for four in together.chunks_exact(4 * columns) {
            let (a, b) = four.split_at(2 * columns);
            let (a0, a1) = a.split_at(columns);
            let (b0, b1) = b.split_at(columns);
            for ((((sum, a0), a1), b0), b1) in part.iter_mut().zip(a0).zip(a1).zip(b0).zip(b1) {
                *sum += (a0 + a1) + (b0 + b1);
            }
        }
        for row in rest.chunks_exact(columns) {
            for (sum, value) in part.iter_mut().zip(row) {
                *sum += value;
            }
        }
    });
    sums.fill(0.0);
    add_parts(&parts, sums);
}
