//! Eight channels of an image laid out with their padding, and the convolution on that.

use std::ops::Range;

use super::filter::{Block, Filter};
use super::runs::Runs;
use super::{PAD, SIDE};
use crate::simd::{Kernel, LANES, Simd};
use crate::sites::Sites;
use crate::tasks::Cell;

/// The most outputs of a row computed at a time.
const WIDEST_TILE: usize = 8;

/// Rows `top..bottom` of the image with the padding around them, eight channels a cell.
#[derive(Clone, Copy)]
pub(super) struct Padded {
    top: usize,
    bottom: usize,
    /// Cells of a row. A tile may reach beyond the end of its run, so there are spare ones.
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
        (self.bottom - self.top + 2 * PAD) * self.stride
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
        // The tile that computes the fewest outputs for nothing; starting one costs about two.
        let cost = |tile: usize| self.part.runs.len.div_ceil(tile) * (tile + 2);
        match [8, 7, 4, 2, 1].into_iter().min_by_key(|&tile| cost(tile)) {
            Some(8) => self.tiles::<S, 8>(simd),
            Some(7) => self.tiles::<S, 7>(simd),
            Some(4) => self.tiles::<S, 4>(simd),
            Some(2) => self.tiles::<S, 2>(simd),
            _ => self.tiles::<S, 1>(simd),
        }
    }
}

impl Convolve<'_> {
    #[inline(always)]
    fn tiles<S: Simd, const T: usize>(self, simd: S) {
        let Part { x, filter, runs, range, channels, padded } = self.part;
        let cells = self.cells;
        cells.fill(Cell::ZERO);
        for (block, filter) in filter.blocks.iter().enumerate() {
            let channel = block * LANES;
            padded.fill(simd, x, channels, channel, runs, cells);
            let outs = self.out.chunks_exact_mut(runs.len * channels);
            for (start, out) in runs.starts[range.clone()].iter().zip(outs) {
                for (tile, out) in out.chunks_mut(T * channels).enumerate() {
                    let window = &cells[padded.window(start.y, start.x + tile * T)..];
                    let values = row_tile::<S, T>(simd, window, padded.stride, filter);
                    for (site, value) in out.chunks_exact_mut(channels).zip(values) {
                        simd.store_at(value, site, channel);
                    }
                }
            }
        }
    }
}

/// T outputs next to each other in a row; `cells` starts at the first one's window.
#[inline(always)]
fn row_tile<S: Simd, const T: usize>(
    simd: S,
    cells: &[Cell],
    stride: usize,
    filter: &Block,
) -> [S::Vector; T] {
    let mut sums = [simd.load(&filter.bias.0); T];
    for (row, taps) in filter.taps.chunks_exact(SIDE).enumerate() {
        let cells = &cells[row * stride..][..T + SIDE - 1];
        for (column, tap) in taps.iter().enumerate() {
            let tap = simd.load(&tap.0);
            for (t, sum) in sums.iter_mut().enumerate() {
                *sum = simd.mul_add(simd.load(&cells[t + column].0), tap, *sum);
            }
        }
    }
    sums
}
