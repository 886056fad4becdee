//! The depthwise 7 × 7 convolution, zero padding 3, of features `[N, S, C]` on any [`Sites`].
//!
//! On visible patches it is submanifold: a masked neighbour counts as zero, neighbours are read
//! across the borders of visible patches, and there is output at visible sites only.
//!
//! Eight channels of one image at a time are laid out as the image with its padding, masked sites
//! zero; there a 7 × 7 window is seven runs of memory, on either kind of sites. The outputs of a row
//! are computed several at a time, held in registers.

mod filter;
mod image;
mod pairs;
mod runs;
mod weight;

use rayon::prelude::*;

use crate::error::{KernelError, check_length, product};
use crate::simd::{self, Level, dispatch};
use crate::sites::{Patches, Sites};
use crate::tasks::with_scratch;
pub(crate) use filter::Filter;
use filter::TAPS;
use image::{Convolve, Padded, Part};
use pairs::{Gather, Pairs};
use runs::Runs;

/// out\[n, s, c\] = bias\[c\] + Σ over taps of weight\[c, tap\] · x\[n, s + tap, c\], with `x` and
/// `out` `[N, S, C]` and `weight` `[C, 7, 7]` as PyTorch keeps it.
///
/// # Errors
/// Where sites are invalid or lengths don't fit.
pub fn forward(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    sites: &Sites,
    images: usize,
    channels: usize,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let operation = "depthwise::forward";
    check(operation, x, weight, sites, images, channels)?;
    if let Some(bias) = bias {
        check_length(operation, "bias", bias.len(), channels)?;
    }
    check_length(operation, "out", out.len(), x.len())?;
    convolve(&Filter::new(weight, bias, channels), sites, channels, x, out);
    Ok(())
}

/// The gradient with respect to the input, from the gradient `grad` with respect to the output: the
/// same convolution with the filter turned by half a turn, without a bias.
///
/// # Errors
/// Where sites are invalid or lengths don't fit.
pub fn backward_input(
    grad: &[f32],
    weight: &[f32],
    sites: &Sites,
    images: usize,
    channels: usize,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let operation = "depthwise::backward_input";
    check(operation, grad, weight, sites, images, channels)?;
    check_length(operation, "out", out.len(), grad.len())?;
    convolve(&Filter::turned(weight, channels), sites, channels, grad, out);
    Ok(())
}

/// The convolution by itself, of all images.
fn convolve(filter: &Filter, sites: &Sites, channels: usize, x: &[f32], out: &mut [f32]) {
    let level = simd::level();
    Convolution { filter, sites, first: 0, channels, add: None, level, beside: 1 }.run(x, out);
}

/// The gradients with respect to weight, `[C, 7, 7]`, and bias, `[C]`, from `x` and the gradient
/// `grad` with respect to the output, both `[N, S, C]`.
///
/// # Errors
/// Where sites are invalid or lengths don't fit.
pub fn backward_weight(
    x: &[f32],
    grad: &[f32],
    sites: &Sites,
    images: usize,
    channels: usize,
    weight_grad: &mut [f32],
    bias_grad: Option<&mut [f32]>,
) -> Result<(), KernelError> {
    let operation = "depthwise::backward_weight";
    check(operation, x, weight_grad, sites, images, channels)?;
    check_length(operation, "grad", grad.len(), x.len())?;
    if let Some(bias_grad) = &bias_grad {
        check_length(operation, "bias_grad", bias_grad.len(), channels)?;
    }
    weight::gradient(x, grad, sites, images, channels, weight_grad, bias_grad);
    Ok(())
}

fn check(
    operation: &'static str,
    x: &[f32],
    weight: &[f32],
    sites: &Sites,
    images: usize,
    channels: usize,
) -> Result<(), KernelError> {
    crate::error::check_positive(operation, "images", images)?;
    crate::error::check_positive(operation, "channels", channels)?;
    sites.check_images(images)?;
    let values = product(operation, &[images, sites.sites_per_image(), channels])?;
    check_length(operation, "x", x.len(), values)?;
    check_length(operation, "weight", weight.len(), product(operation, &[channels, TAPS])?)
}

/// The convolution of some images.
pub(crate) struct Convolution<'a> {
    pub(crate) filter: &'a Filter,
    pub(crate) sites: &'a Sites,
    /// The first image among those of `sites`.
    pub(crate) first: usize,
    pub(crate) channels: usize,
    /// What is added to the result.
    pub(crate) add: Option<&'a [f32]>,
    pub(crate) level: Level,
    /// Such convolutions that are under way at the same time, this one included.
    pub(crate) beside: usize,
}

impl Convolution<'_> {
    /// Each image, or a part of its runs, is one task. An output's value doesn't depend on the cut.
    pub(crate) fn run(&self, x: &[f32], out: &mut [f32]) {
        let Self { filter, sites, first, channels, add, level, beside } = *self;
        let image_values = sites.sites_per_image() * channels;
        let images = x.len() / image_values;
        // Two tasks a thread, so that they end together; a part costs the rows around it again.
        let parts = (2 * rayon::current_num_threads()).div_ceil(images * beside);
        if let Sites::Patches(patches) = sites
            && patches.side <= pairs::WIDEST
        {
            return self.gather(x, patches, parts, out);
        }
        x.par_chunks(image_values).zip(out.par_chunks_mut(image_values)).enumerate().for_each(
            |(n, (x, out))| {
                let runs = Runs::of_image(sites, first + n);
                let part_runs = runs.part(parts);
                let part_values = part_runs * runs.len * channels;
                out.par_chunks_mut(part_values).enumerate().for_each(|(part, out)| {
                    let start = n * image_values + part * part_values;
                    let add = add.map(|add| &add[start..start + out.len()]);
                    let first = part * part_runs;
                    let last = (first + part_runs).min(runs.starts.len());
                    let range = first..last;
                    let padded = Padded::around(&runs, range.clone());
                    let part = Part { x, filter, runs: &runs, range, channels, padded, add };
                    with_scratch(padded.cells(), |cells| {
                        dispatch(level, Convolve { part, cells, out });
                    });
                });
            },
        );
    }

    fn gather(&self, x: &[f32], patches: &Patches, parts: usize, out: &mut [f32]) {
        let Self { filter, sites, first, channels, add, level, .. } = *self;
        let image_values = sites.sites_per_image() * channels;
        let part_sites = sites.sites_per_image().div_ceil(parts);
        x.par_chunks(image_values).zip(out.par_chunks_mut(image_values)).enumerate().for_each(
            |(n, (x, out))| {
                let pairs = Pairs::of_image(patches, first + n);
                out.par_chunks_mut(part_sites * channels).enumerate().for_each(|(part, out)| {
                    let start = n * image_values + part * part_sites * channels;
                    let add = add.map(|add| &add[start..start + out.len()]);
                    let sites = part * part_sites..part * part_sites + out.len() / channels;
                    let pairs = &pairs;
                    dispatch(level, Gather { x, filter, pairs, sites, channels, add, out });
                });
            },
        );
    }
}
