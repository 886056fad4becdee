//! Matrix products of tiles of rows with matrices cut into panels of columns, on one thread.
//!
//! The right-hand matrix, K × N, is laid out as [`Panels`] of two vectors' columns (the last one of
//! three or one where the number of vectors is odd), each panel row by row, so that the inner loop
//! reads it in order. Up to six rows of the left-hand matrix meet a panel at a time, their twelve
//! vectors of sums held in registers; where a pair of vectors is one register, they meet two panels
//! at a time. The result is laid out as panels too: whoever asked finishes it (bias, activation,
//! sums) while it is in the first-level cache.

mod micro;
mod operands;
mod panels;

use std::ops::Range;

use rayon::prelude::*;

use crate::simd::{Cell, Kernel, LANES, Level, Simd, dispatch};
use micro::{product_of_rows, product_of_rows_with_two, product_of_strips};
pub(crate) use operands::{Factors, Left, Rows, TALLEST};
pub(crate) use panels::{Panels, widths};

/// Columns of a panel of two vectors.
pub(crate) const PANEL: usize = 2 * LANES;

/// Rows K of the right-hand matrix worked on at a time, so that a panel of it stays in the
/// first-level cache while all rows of the tile meet it.
const DEPTH: usize = 384;

/// How many panels a caller should ask for at a time: as many as are worked on together, to finish
/// them while they are close by, or all where the depth is cut, since the rows are in the cache then,
/// but not all of their depth.
pub(crate) fn panels_at_a_time(level: Level, depth: usize, panels: usize) -> usize {
    match (depth_blocks(depth), level) {
        (1, Level::Avx512) => 2,
        (1, _) => 1,
        _ => panels,
    }
}

/// Pieces that a depth is cut into.
fn depth_blocks(depth: usize) -> usize {
    if depth <= DEPTH + DEPTH / 2 { 1 } else { depth.div_ceil(DEPTH) }
}

/// out = left · right for `groups` of rows and some panels of `right`; `out` is laid out
/// `[panel, rows, vectors]`.
pub(crate) fn multiply(
    level: Level,
    left: Left<'_>,
    groups: &[Rows],
    right: &Panels,
    panels: Range<usize>,
    out: &mut [Cell],
) {
    dispatch(level, Multiply { left, groups, right, panels, out });
}

struct Multiply<'a> {
    left: Left<'a>,
    groups: &'a [Rows],
    right: &'a Panels,
    panels: Range<usize>,
    out: &'a mut [Cell],
}

impl Kernel for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { left, groups, right, panels, out } = self;
        let rows = groups.last().map_or(0, |last| last.first + last.count);
        let depth = right.depth();
        let blocks = depth_blocks(depth);
        // Whole eights, so that only the last block has a rest.
        let block = depth.div_ceil(blocks).next_multiple_of(16);
        for start in (0..depth).step_by(block) {
            let range = start..(start + block).min(depth);
            let mut out = &mut *out;
            let part = |panel| {
                let (vectors, cells) = right.panel(panel);
                (vectors, &cells[range.start * vectors..range.end * vectors])
            };
            let mut panel = panels.start;
            while panel < panels.end {
                let (vectors, cells) = part(panel);
                let this;
                (this, out) = out.split_at_mut(rows * vectors);
                panel += 1;
                if S::WIDE && vectors == 2 && panel < panels.end && part(panel).0 == 2 {
                    let other;
                    (other, out) = out.split_at_mut(rows * 2);
                    let cells = [cells, part(panel).1];
                    panel += 1;
                    for group in groups {
                        let place = 2 * group.first..2 * (group.first + group.count);
                        let sums = [&mut this[place.clone()], &mut other[place]];
                        product_of_rows_with_two(simd, left, *group, range.clone(), cells, sums);
                    }
                    continue;
                }
                for group in groups {
                    let sums = &mut this[group.first * vectors..][..group.count * vectors];
                    product_of_rows(simd, left, *group, range.clone(), vectors, cells, sums);
                }
            }
        }
    }
}

/// Cells of the transpose of `rows` rows of `columns` values, for products over those rows: strips of
/// up to [`TALLEST`] columns, each row by row, eight values a row.
pub(crate) fn strip_cells(rows: usize, columns: usize) -> usize {
    columns.div_ceil(TALLEST).saturating_mul(rows)
}

/// Lays rows of `columns` values out as strips.
pub(crate) struct Strip<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) columns: usize,
    pub(crate) out: &'a mut [Cell],
}

impl Kernel for Strip<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let rows = self.values.len() / self.columns;
        let strips = self.out.chunks_exact_mut(rows.max(1));
        for (columns, strip) in Rows::cut(0, self.columns).zip(strips) {
            for (row, cell) in self.values.chunks_exact(self.columns).zip(strip) {
                simd.store(simd.load_at(row, columns.first), &mut cell.0);
            }
        }
    }
}

/// sums += leftᵀ · right, over the rows of all `factors`; `sums` is `[M, 2 vectors]`.
pub(crate) struct AddTransposed<'a> {
    pub(crate) factors: &'a [Factors<'a>],
    pub(crate) sums: &'a mut [Cell],
}

impl Kernel for AddTransposed<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { factors, sums } = self;
        let mut strips = Rows::cut(0, sums.len() / 2).enumerate().peekable();
        while let Some((strip, columns)) = strips.next() {
            let sums = &mut sums[2 * columns.first..];
            if S::WIDE && strips.next_if(|(_, next)| next.count == columns.count).is_some() {
                let sums = &mut sums[..4 * columns.count];
                product_of_strips::<S, 2>(simd, factors, strip, columns.count, sums);
            } else {
                let sums = &mut sums[..2 * columns.count];
                product_of_strips::<S, 1>(simd, factors, strip, columns.count, sums);
            }
        }
    }
}

/// `[panel, M, 16]` to `[M, columns]`.
pub(crate) fn from_panels(panels: &[f32], rows: usize, out: &mut [f32]) {
    let columns = out.len() / rows;
    out.par_chunks_mut(columns).enumerate().for_each(|(row, out)| {
        for (out, panel) in out.chunks_mut(PANEL).zip(panels.chunks_exact(rows * PANEL)) {
            out.copy_from_slice(&panel[row * PANEL..][..out.len()]);
        }
    });
}
