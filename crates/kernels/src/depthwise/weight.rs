//! The gradient of the filter.

use std::ops::Range;

use rayon::prelude::*;

use super::filter::{SIDE, TAPS};
use super::image::{Padded, copy};
use super::runs::Runs;
use crate::simd::{self, Cell, Kernel, LANES, Simd, dispatch};
use crate::sites::Sites;
use crate::tasks::{add_parts, with_scratch};

/// Values of one block of eight channels: the taps' gradients and the bias's.
const BLOCK: usize = (TAPS + 1) * LANES;

/// Arguments are checked already.
pub(super) fn gradient(
    x: &[f32],
    grad: &[f32],
    sites: &Sites,
    images: usize,
    channels: usize,
    weight_grad: &mut [f32],
    bias_grad: Option<&mut [f32]>,
) {
    // A task is a block of channels of a group of images, and the groups' sums are added in order.
    const GROUPS: usize = 16;
    let level = simd::level();
    let group = images.div_ceil(GROUPS);
    let blocks = channels.div_ceil(LANES);
    // The image with its padding, and the output's gradient.
    let cells = Padded::whole(sites).cells() + sites.sites_per_image();
    let mut parts = vec![0.0; images.div_ceil(group) * blocks * BLOCK];
    parts.par_chunks_mut(BLOCK).enumerate().for_each(|(task, sums)| {
        let first = task / blocks * group;
        let images = first..(first + group).min(images);
        let channel = task % blocks * LANES;
        with_scratch(cells, |cells| {
            let task = Gradient { x, grad, sites, images, channels, channel, cells, sums };
            dispatch(level, task);
        });
    });
    let mut sums = vec![0.0; blocks * BLOCK];
    add_parts(&parts, &mut sums);
    for (channel, weight_grad) in weight_grad.chunks_exact_mut(TAPS).enumerate() {
        let block = &sums[channel / LANES * BLOCK..][..BLOCK];
        for (tap, grad) in weight_grad.iter_mut().enumerate() {
            *grad = block[tap * LANES + channel % LANES];
        }
    }
    if let Some(bias_grad) = bias_grad {
        for (channel, grad) in bias_grad.iter_mut().enumerate() {
            *grad = sums[channel / LANES * BLOCK + TAPS * LANES + channel % LANES];
        }
    }
}

/// Adds the gradients of eight channels, summed over some images, to `sums`.
struct Gradient<'a> {
    x: &'a [f32],
    grad: &'a [f32],
    sites: &'a Sites,
    images: Range<usize>,
    channels: usize,
    channel: usize,
    cells: &'a mut [Cell],
    sums: &'a mut [f32],
}

impl Kernel for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { x, grad, sites, images, channels, channel, cells, sums } = self;
        let image_values = sites.sites_per_image() * channels;
        let padded = Padded::whole(sites);
        let (cells, grads) = cells.split_at_mut(padded.cells());
        for n in images {
            let runs = Runs::of_image(sites, n);
            let x = &x[n * image_values..][..image_values];
            let grad = &grad[n * image_values..][..image_values];
            cells.fill(Cell::ZERO);
            padded.fill(simd, x, channels, channel, &runs, cells);
            copy(simd, grad, channels, channel, grads);
            image_gradient(simd, cells, grads, padded, &runs, sums);
        }
    }
}

/// Adds one image's gradients: tap (row, column) takes Σ over sites of grad · (x at its tap).
#[inline(always)]
fn image_gradient<S: Simd>(
    simd: S,
    cells: &[Cell],
    grads: &[Cell],
    padded: Padded,
    runs: &Runs,
    sums: &mut [f32],
) {
    // Seven sums at a time stay in registers: those of one row of the filter.
    for row in 0..SIDE {
        let mut taps = [simd.splat(0.0); SIDE];
        for (start, grads) in runs.starts.iter().zip(grads.chunks_exact(runs.len)) {
            let window = padded.window(start.y + row, start.x);
            let cells = &cells[window..][..runs.len + SIDE - 1];
            for (grad, cells) in grads.iter().zip(cells.windows(SIDE)) {
                let grad = simd.load(&grad.0);
                for (tap, cell) in taps.iter_mut().zip(cells) {
                    *tap = simd.mul_add(simd.load(&cell.0), grad, *tap);
                }
            }
        }
        for (column, tap) in taps.into_iter().enumerate() {
            add_at(simd, tap, sums, (row * SIDE + column) * LANES);
        }
    }
    let mut bias = simd.splat(0.0);
    for grad in grads {
        bias = simd.add(bias, simd.load(&grad.0));
    }
    add_at(simd, bias, sums, TAPS * LANES);
}

#[inline(always)]
fn add_at<S: Simd>(simd: S, value: S::Vector, sums: &mut [f32], start: usize) {
    let sum = simd.add(simd.load_at(sums, start), value);
    simd.store_at(sum, sums, start);
}
