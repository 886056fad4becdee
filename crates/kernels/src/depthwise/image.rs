//! Eight channels of an image laid out with their padding, and the convolution on that.

use std::ops::Range;

use super::filter::{Block, Filter, PAD, SIDE};
use super::runs::Runs;
use crate::simd::{Cell, Kernel, LANES, Simd};
use crate::sites::Sites;

/// The most outputs of a row computed at a time.
const WIDEST_TILE: usize = 8;
/// The most rows of outputs computed at a time.
const TALLEST_TILE: usize = 2;

/// Rows `top..bottom` of the image with the padding around them, eight channels a cell.
#[derive(Clone, Copy)]
pub(super) struct Padded {
    top: usize,
    bottom: usize,
    /// Cells of a row. A tile may reach beyond the end of its run, and of the last row, so there are
    /// spare ones.
    pub(super) stride: usize,
}

impl Padded {
    /// The whole image.
    pub(super) fn whole(sites: &Sites) -> Self {
        let (height, width) = sites.extent();
        Self { top: 0, bottom: height, stride: Self::stride(width) }
    }

    fn stride(width: usize) -> usize {
        width + 2 * PAD + WIDEST_TILE - 1
    }

    /// The rows that hold the runs `range`.
    pub(super) fn around(runs: &Runs, range: Range<usize>) -> Self {
        let rows = runs.starts[range].iter().map(|start| start.y);
        let (top, bottom) =
            rows.fold((usize::MAX, 0), |(top, bottom), y| (top.min(y), bottom.max(y + 1)));
        Self { top, bottom, stride: Self::stride(runs.width) }
    }

    pub(super) fn cells(&self) -> usize {
        (self.bottom - self.top + 2 * PAD + TALLEST_TILE - 1) * self.stride
    }

    /// The cell where the window of the site (y, x) starts.
    #[inline(always)]
    pub(super) fn window(&self, y: usize, x: usize) -> usize {
        (y - self.top) * self.stride + x
    }

    /// Copies channels `channel..channel + 8` of the sites of `x`, `[S, C]`. What isn't a site must
    /// be zero already, and stays so.
    #[inline(always)]
    pub(super) fn fill<S: Simd>(
        &self,
        simd: S,
        x: &[f32],
        channels: usize,
        channel: usize,
        runs: &Runs,
        cells: &mut [Cell],
    ) {
        let rows = self.top.saturating_sub(PAD)..self.bottom + PAD;
        for (run, start) in runs.starts.iter().enumerate() {
            if !rows.contains(&start.y) {
                continue;
            }
            let to = (start.y + PAD - self.top) * self.stride + PAD + start.x;
            let sites = &x[run * runs.len * channels..][..runs.len * channels];
            copy(simd, sites, channels, channel, &mut cells[to..to + runs.len]);
        }
    }
}

/// Copies channels `channel..channel + 8` of each site, zeros beyond the last channel.
#[inline(always)]
pub(super) fn copy<S: Simd>(
    simd: S,
    sites: &[f32],
    channels: usize,
    channel: usize,
    cells: &mut [Cell],
) {
    for (site, cell) in sites.chunks_exact(channels).zip(cells) {
        simd.store(simd.load_at(site, channel), &mut cell.0);
    }
}

/// Some runs of an image to compute.
pub(super) struct Part<'a> {
    /// The whole image, `[S, C]`.
    pub(super) x: &'a [f32],
    pub(super) filter: &'a Filter,
    pub(super) runs: &'a Runs,
    pub(super) range: Range<usize>,
    pub(super) channels: usize,
    pub(super) padded: Padded,
    /// Added to the outputs of the runs.
    pub(super) add: Option<&'a [f32]>,
}

/// Computes a part of an image into `out`, which holds its runs only.
pub(super) struct Convolve<'a> {
    pub(super) part: Part<'a>,
    /// Memory for the padded part.
    pub(super) cells: &'a mut [Cell],
    pub(super) out: &'a mut [f32],
}

impl Kernel for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // The tile that computes the fewest outputs for nothing; starting one costs about two. A
        // narrow one takes two rows, or its few sums would wait for each other.
        let cost = |tile: usize| self.part.runs.len.div_ceil(tile) * (tile + 2);
        match [8, 7, 4, 2, 1].into_iter().min_by_key(|&tile| cost(tile)) {
            Some(8) => self.tiles::<S, 1, 8>(simd),
            Some(7) => self.tiles::<S, 1, 7>(simd),
            Some(4) => self.tiles::<S, 2, 4>(simd),
            Some(2) => self.tiles::<S, 2, 2>(simd),
            _ => self.tiles::<S, 1, 1>(simd),
        }
    }
}

impl Convolve<'_> {
    #[inline(always)]
    fn tiles<S: Simd, const R: usize, const T: usize>(self, simd: S) {
        let Part { x, filter, runs, range, channels, padded, add } = self.part;
        let cells = self.cells;
        cells.fill(Cell::ZERO);
        for (block, filter) in filter.blocks.iter().enumerate() {
            let channel = block * LANES;
            padded.fill(simd, x, channels, channel, runs, cells);
            let starts = runs.starts[range.clone()].chunks(runs.rows);
            let outs = self.out.chunks_mut(runs.rows * runs.len * channels);
            let mut site = 0;
            for (starts, out) in starts.zip(outs) {
                let rows = out.chunks_mut(R * runs.len * channels);
                for (start, out) in starts.iter().step_by(R).zip(rows) {
                    for left in (0..runs.len).step_by(T) {
                        let window = &cells[padded.window(start.y, start.x + left)..];
                        let values = tile::<S, R, T>(simd, window, padded.stride, filter);
                        for (row, values) in out.chunks_exact_mut(runs.len * channels).zip(values) {
                            let sites = row[left * channels..].chunks_exact_mut(channels);
                            for (site, value) in sites.zip(values) {
                                simd.store_at(value, site, channel);
                            }
                        }
                    }
                    if let Some(add) = add {
                        let add = add[site * channels..].chunks_exact(channels);
                        for (out, add) in out.chunks_exact_mut(channels).zip(add) {
                            let sum =
                                simd.add(simd.load_at(out, channel), simd.load_at(add, channel));
                            simd.store_at(sum, out, channel);
                        }
                    }
                    site += out.len() / channels;
                }
            }
        }
    }
}

/// R rows of T outputs next to each other; `cells` starts at the first one's window.
#[inline(always)]
fn tile<S: Simd, const R: usize, const T: usize>(
    simd: S,
    cells: &[Cell],
    stride: usize,
    filter: &Block,
) -> [[S::Vector; T]; R] {
    let mut sums = [[simd.load(&filter.bias.0); T]; R];
    for row in 0..R - 1 {
        slide(simd, &cells[row * stride..], filter, row, 0, row + 1, &mut sums);
    }
    for row in R - 1..SIDE {
        slide(simd, &cells[row * stride..], filter, row, 0, R, &mut sums);
    }
    for row in SIDE..SIDE + R - 1 {
        slide(simd, &cells[row * stride..], filter, row, row + 1 - SIDE, R, &mut sums);
    }
    sums
}

/// Adds the products of one row of inputs to the rows `first..last` of outputs that have it in
/// their windows. Each input is loaded once and meets all its taps.
///
/// Plain index loops, which the compiler unrolls entirely so that the sums stay in registers; with
/// an iterator over the rows it doesn't, and the kernel takes twice as long.
#[inline(always)]
fn slide<S: Simd, const R: usize, const T: usize>(
    simd: S,
    cells: &[Cell],
    filter: &Block,
    row: usize,
    first: usize,
    last: usize,
    sums: &mut [[S::Vector; T]; R],
) {
    let cells = &cells[..T + SIDE - 1];
    for (i, cell) in cells.iter().enumerate() {
        let input = simd.load(&cell.0);
        for r in first..last {
            let sums = &mut sums[r];
            for k in 0..SIDE {
                if i >= k && i - k < T {
                    let tap = simd.load(&filter.taps[(row - r) * SIDE + k].0);
                    sums[i - k] = simd.mul_add(input, tap, sums[i - k]);
                }
            }
        }
    }
}
