//! What is multiplied: rows of the left-hand matrix, and strips of it.

use std::ops::Range;

use crate::simd::{Cell, LANES};

/// The most rows of sums held in registers.
pub(crate) const TALLEST: usize = 6;

/// Rows of the left-hand matrix that are worked on at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) first: usize,
    pub(crate) count: usize,
}

impl Rows {
    /// Cuts `count` rows from `first` on into as few groups of at most [`TALLEST`] as can be, as
    /// equal as can be: a group of less than four rows can't keep the processor busy.
    pub(crate) fn cut(first: usize, count: usize) -> impl Iterator<Item = Self> {
        let groups = count.div_ceil(TALLEST).max(1);
        let start = move |group: usize| first + group * count / groups;
        (0..groups)
            .map(move |group| Self { first: start(group), count: start(group + 1) - start(group) })
    }
}

/// The left-hand matrix: value (row, k) stands at `row · stride + k / 16 · block + k % 16`.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
    pub(super) block: usize,
}

impl<'a> Left<'a> {
    /// Row-major, rows of `depth` values.
    pub(crate) fn row_major(values: &'a [f32], depth: usize) -> Self {
        Self { values, stride: depth, block: 16 }
    }

    /// In panels of two vectors, as a product of `rows` rows leaves it.
    pub(crate) fn panels(values: &'a [f32], rows: usize) -> Self {
        Self { values, stride: 16, block: 16 * rows }
    }

    /// Panics where the first `rows` rows don't have all of `depth`, or it doesn't start at a multiple of
    /// eight.
    #[inline(always)]
    pub(super) fn check(&self, rows: usize, depth: &Range<usize>) {
        let last = depth.end.saturating_sub(1);
        let end = (rows - 1) * self.stride + last / 16 * self.block + last % 16;
        let within = depth.is_empty() || end < self.values.len();
        assert!(
            within && depth.start.is_multiple_of(LANES),
            "rows of as many values as the right-hand matrix has rows"
        );
    }
}

/// Some rows of both factors of a product over rows.
#[derive(Clone, Copy)]
pub(crate) struct Factors<'a> {
    /// `[rows, M]` in strips.
    pub(crate) left: &'a [Cell],
    /// `[rows, 2 vectors]`
    pub(crate) right: &'a [Cell],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_end_where_their_values_do() {
        let values = [0.0; 2 * 40];
        Left::row_major(&values, 40).check(2, &(0..40));
        Left::panels(&values[..3 * 16], 3).check(3, &(0..16));
        Left::panels(&values, 2).check(2, &(16..32));
    }

    #[test]
    #[should_panic(expected = "rows of as many values")]
    fn a_missing_value_is_noticed() {
        Left::row_major(&[0.0; 2 * 40 - 1], 40).check(2, &(0..40));
    }

    #[test]
    #[should_panic(expected = "rows of as many values")]
    fn a_missing_panel_is_noticed() {
        Left::panels(&[0.0; 4 * 16], 2).check(2, &(0..33));
    }
}
