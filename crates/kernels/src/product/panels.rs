use std::ops::Range;

use rayon::prelude::*;

use crate::simd::{Cell, LANES};
use crate::tasks::Scratch;

/// The first vector of each panel, and its vectors, of a matrix of `vectors` vectors of columns.
pub(crate) fn widths(vectors: usize) -> impl ExactSizeIterator<Item = (usize, usize)> {
    let panels = (vectors / 2).max(1);
    (0..panels).map(move |panel| {
        let first = 2 * panel;
        (first, if panel + 1 == panels { vectors - first } else { 2 })
    })
}

/// A matrix of `depth` rows cut into panels of columns, zeros beyond its last column.
pub(crate) struct Panels {
    cells: Scratch,
    depth: usize,
    vectors: usize,
}

impl Panels {
    /// From a row-major matrix of `columns` columns.
    pub(crate) fn new(matrix: &[f32], columns: usize, vectors: usize) -> Self {
        let depth = matrix.len() / columns;
        Self::filled(depth, vectors, |first, width, cells| {
            let start = (first * LANES).min(columns);
            let end = (start + width * LANES).min(columns);
            for (row, cells) in matrix.chunks_exact(columns).zip(cells.chunks_exact_mut(width)) {
                let (whole, rest) = row[start..end].as_chunks::<LANES>();
                for (cell, values) in cells.iter_mut().zip(whole) {
                    cell.0 = *values;
                }
                if let Some(cell) = cells.get_mut(whole.len()) {
                    cell.0[..rest.len()].copy_from_slice(rest);
                }
            }
        })
    }

    /// The transpose of a row-major matrix of `depth` columns.
    pub(crate) fn transposed(matrix: &[f32], depth: usize, vectors: usize) -> Self {
        let columns = matrix.len() / depth;
        // Some rows of the panel at a time, so that they stay in the first-level cache while each
        // column is written.
        const ROWS: usize = 64;
        Self::filled(depth, vectors, |first, width, cells| {
            for (block, cells) in cells.chunks_mut(ROWS * width).enumerate() {
                for vector in 0..width {
                    let start = ((first + vector) * LANES).min(columns);
                    let rows = block * ROWS..(block * ROWS + cells.len() / width);
                    let columns = &matrix[start * depth..columns.min(start + LANES) * depth];
                    if columns.len() == LANES * depth {
                        let columns: [&[f32]; LANES] =
                            std::array::from_fn(|lane| &columns[lane * depth..][rows.clone()]);
                        for (k, row) in cells.chunks_exact_mut(width).enumerate() {
                            row[vector].0 = std::array::from_fn(|lane| columns[lane][k]);
                        }
                    } else {
                        for (lane, column) in columns.chunks_exact(depth).enumerate() {
                            let column = &column[rows.clone()];
                            for (row, value) in cells.chunks_exact_mut(width).zip(column) {
                                row[vector].0[lane] = *value;
                            }
                        }
                    }
                }
            }
        })
    }

    fn filled(
        depth: usize,
        vectors: usize,
        fill: impl Fn(usize, usize, &mut [Cell]) + Sync,
    ) -> Self {
        let mut cells = Scratch::new(depth * vectors);
        let mut rest = &mut *cells;
        let panels: Vec<_> = widths(vectors)
            .map(|(first, width)| {
                let (panel, others) = std::mem::take(&mut rest).split_at_mut(depth * width);
                rest = others;
                (first, width, panel)
            })
            .collect();
        panels.into_par_iter().for_each(|(first, width, cells)| {
            // What no column is written to stays zero.
            cells.fill(Cell::ZERO);
            fill(first, width, cells);
        });
        Self { cells, depth, vectors }
    }

    /// The same in memory of its own: scratch that is kept would be missing elsewhere, and may be longer
    /// than it must be.
    pub(crate) fn owned(self) -> Self {
        let mut cells = Scratch::owned(self.cells.len());
        cells.copy_from_slice(&self.cells);
        Self { cells, ..self }
    }

    /// Rows, K.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Vectors of columns.
    pub(crate) fn vectors(&self) -> usize {
        self.vectors
    }

    /// Number of panels.
    pub(crate) fn count(&self) -> usize {
        widths(self.vectors).len()
    }

    /// A panel's vectors and its cells, `[depth, vectors]`.
    #[inline]
    pub(crate) fn panel(&self, panel: usize) -> (usize, &[Cell]) {
        let first = 2 * panel;
        let width = if panel + 1 == self.count() { self.vectors - first } else { 2 };
        (width, &self.cells[first * self.depth..][..width * self.depth])
    }

    /// The vector after those of the panels before number `panel`.
    pub(crate) fn end(&self, panel: usize) -> usize {
        if panel == self.count() { self.vectors } else { 2 * panel }
    }

    /// Cuts the sums of `rows` rows with all panels into pieces of `each` panels.
    pub(crate) fn split<'a>(
        &self,
        rows: usize,
        each: usize,
        sums: &'a mut [Cell],
    ) -> Vec<(Range<usize>, &'a mut [Cell])> {
        let mut rest = sums;
        (0..self.count())
            .step_by(each)
            .map(|first| {
                let panels = first..(first + each).min(self.count());
                let vectors = self.end(panels.end) - 2 * first;
                let (piece, others) = std::mem::take(&mut rest).split_at_mut(vectors * rows);
                rest = others;
                (panels, piece)
            })
            .collect()
    }
}
