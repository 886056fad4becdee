use rayon::prelude::*;

use super::tiles::{Cut, Tile};
use super::{Prepared, Setting, hidden_width, panels_per_task};
use crate::depthwise::Convolution;
use crate::error::{KernelError, check_length};
use crate::gelu;
use crate::grn::Norm;
use crate::layer_norm;
use crate::product::{Left, Panels, multiply, panels_at_a_time, widths};
use crate::simd::{self, Kernel, LANES, Level, Simd, dispatch};
use crate::tasks::{Cell, values, values_mut, with_scratch};

/// Values of a panel of the 4C features.
pub(super) const PANEL: usize = 2 * LANES;

/// What [`backward`](super::backward()) needs of the forward pass; H is
/// [`hidden_width`](super::hidden_width) of C. T is `&mut [f32]` or `&[f32]`.
#[derive(Clone, Copy, Debug)]
pub struct Kept<T> {
    /// The depthwise convolution's result, `[N, S, C]`.
    pub convolved: T,
    /// GELU of the 4C features, N · S · H values in an order of the block's own.
    pub hidden: T,
    /// The derivative of GELU there, in the same order.
    pub slope: T,
    /// Σ over sites of the squares of `hidden`, `[N, H]`.
    pub squares: T,
}

impl<T: AsRef<[f32]>> Kept<T> {
    /// Checks the lengths for `x` values and `channels` of [`Setting::images`].
    pub(super) fn check(
        &self,
        operation: &'static str,
        x: usize,
        channels: usize,
        images: usize,
    ) -> Result<(), KernelError> {
        let width = hidden_width(channels);
        let hidden = x / channels * width;
        check_length(operation, "kept.convolved", self.convolved.as_ref().len(), x)?;
        check_length(operation, "kept.hidden", self.hidden.as_ref().len(), hidden)?;
        check_length(operation, "kept.slope", self.slope.as_ref().len(), hidden)?;
        check_length(operation, "kept.squares", self.squares.as_ref().len(), images * width)
    }
}

/// The block's output `out`, `[N, S, C]` as `x`.
///
/// # Errors
/// Where sites are invalid or lengths don't fit.
pub fn forward(
    x: &[f32],
    weights: &Prepared,
    setting: &Setting<'_>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    check(x, weights, setting, out)?;
    let image = setting.sites.sites_per_image() * weights.channels;
    let level = simd::level();
    let group = Cut::new(setting.images, setting.sites.sites_per_image()).group;
    x.par_chunks(group * image).zip(out.par_chunks_mut(group * image)).enumerate().for_each(
        |(index, (x, out))| {
            let images = x.len() / image;
            let hidden = images * setting.sites.sites_per_image() * hidden_width(weights.channels);
            with_scratch(x.len().div_ceil(LANES) + hidden / LANES, |cells| {
                let (hidden, convolved) = cells.split_at_mut(hidden / LANES);
                let convolved = &mut values_mut(convolved)[..x.len()];
                let features = Features { convolved, hidden: values_mut(hidden), keep: None };
                Group { x, weights, setting, first: index * group, images, level }
                    .run(features, out);
            });
        },
    );
    Ok(())
}

/// The block's output, and what its backward pass needs.
///
/// # Errors
/// Where sites are invalid or lengths don't fit.
pub fn forward_keeping(
    x: &[f32],
    weights: &Prepared,
    setting: &Setting<'_>,
    out: &mut [f32],
    kept: Kept<&mut [f32]>,
) -> Result<(), KernelError> {
    check(x, weights, setting, out)?;
    let sites = setting.sites.sites_per_image();
    let (image, width) = (sites * weights.channels, hidden_width(weights.channels));
    kept.check("block::forward_keeping", x.len(), weights.channels, setting.images)?;
    let level = simd::level();
    let group = Cut::new(setting.images, sites).group;
    x.par_chunks(group * image)
        .zip(out.par_chunks_mut(group * image))
        .zip(kept.convolved.par_chunks_mut(group * image))
        .zip(kept.hidden.par_chunks_mut(group * sites * width))
        .zip(kept.slope.par_chunks_mut(group * sites * width))
        .zip(kept.squares.par_chunks_mut(group * width))
        .enumerate()
        .for_each(|(index, (((((x, out), convolved), hidden), slope), squares))| {
            let features = Features { convolved, hidden, keep: Some((slope, squares)) };
            let images = x.len() / image;
            Group { x, weights, setting, first: index * group, images, level }.run(features, out);
        });
    Ok(())
}

fn check(
    x: &[f32],
    weights: &Prepared,
    setting: &Setting<'_>,
    out: &[f32],
) -> Result<(), KernelError> {
    setting.check("block::forward", x, weights.channels)?;
    check_length("block::forward", "out", out.len(), x.len())
}

/// Some images that go through the block together.
struct Group<'a> {
    x: &'a [f32],
    weights: &'a Prepared,
    setting: &'a Setting<'a>,
    /// The first image among all.
    first: usize,
    images: usize,
    level: Level,
}

/// A group's features on the way.
struct Features<'a> {
    convolved: &'a mut [f32],
    hidden: &'a mut [f32],
    /// GELU's derivative and the sums of squares, where they are kept.
    keep: Option<(&'a mut [f32], &'a mut [f32])>,
}

impl Group<'_> {
    fn run(&self, features: Features<'_>, out: &mut [f32]) {
        let Self { x, weights, setting, first, images, level } = *self;
        let Features { convolved, hidden, keep } = features;
        let channels = weights.channels;
        let sites = setting.sites.sites_per_image();
        let width = hidden_width(channels);
        let convolution = Convolution {
            filter: &weights.filter,
            sites: setting.sites,
            first,
            channels,
            add: None,
            level,
        };
        convolution.run(x, convolved);

        let tiles = Tile::cut(images, sites);
        let (mut slope, kept_squares) = match keep {
            Some((slope, squares)) => (Some(slope), Some(squares)),
            None => (None, None),
        };
        let mut parts = vec![0.0; tiles.iter().map(|tile| tile.images.len() * width).sum()];
        let mut tasks = Vec::with_capacity(tiles.len());
        let (mut hidden_rest, mut parts_rest) = (&mut *hidden, parts.as_mut_slice());
        for tile in &tiles {
            let hidden = take(&mut hidden_rest, tile.len() * width);
            let slope = slope.as_mut().map(|slope| take(slope, tile.len() * width));
            let squares = take(&mut parts_rest, tile.images.len() * width);
            let rows = &convolved[tile.rows.start * channels..tile.rows.end * channels];
            tasks.push((tile, rows, hidden, slope, squares));
        }
        tasks.into_par_iter().for_each(|(tile, rows, hidden, slope, squares)| {
            expand(
                level,
                weights,
                setting.norm_eps,
                tile,
                tiles.len(),
                rows,
                (hidden, slope, squares),
            );
        });

        let mut squares = vec![0.0; images * width];
        let mut rest = parts.as_slice();
        for tile in &tiles {
            let (part, others) = rest.split_at(tile.images.len() * width);
            rest = others;
            let sums = &mut squares[tile.images.start * width..tile.images.end * width];
            add_by_image(part, tile.images.len(), sums);
        }
        let response: Vec<f32> = squares
            .chunks_exact(width)
            .flat_map(|squares| response(squares, weights, setting.grn_eps))
            .collect();
        if let Some(kept) = kept_squares {
            kept.copy_from_slice(&squares);
        }

        let mut tasks = Vec::with_capacity(tiles.len());
        let (mut hidden, mut out) = (&*hidden, out);
        for tile in &tiles {
            let (features, rest) = hidden.split_at(tile.len() * width);
            hidden = rest;
            let shortcut = &x[tile.rows.start * channels..tile.rows.end * channels];
            let response = &response[tile.images.start * width..tile.images.end * width];
            let scale = tile.images.clone().map(|image| setting.scale(first + image)).collect();
            let out = take(&mut out, tile.len() * channels);
            tasks.push(Contraction { weights, tile, features, response, shortcut, scale, out });
        }
        tasks.into_par_iter().for_each(|task| task.run(level, tiles.len()));
    }
}

/// Cuts `count` values off the front.
pub(super) fn take<'a, T>(rest: &mut &'a mut [T], count: usize) -> &'a mut [T] {
    let (front, others) = std::mem::take(rest).split_at_mut(count);
    *rest = others;
    front
}

/// Adds a tile's sums, `[panel, image, 16]`, to those of its images, `[image, H]`.
pub(super) fn add_by_image(part: &[f32], images: usize, sums: &mut [f32]) {
    let width = sums.len() / images;
    for (panel, part) in part.chunks_exact(images * PANEL).enumerate() {
        for (part, sums) in part.chunks_exact(PANEL).zip(sums.chunks_exact_mut(width)) {
            for (sum, value) in sums[panel * PANEL..].iter_mut().zip(part) {
                *sum += value;
            }
        }
    }
}

/// What the 4C features of an image are multiplied with, 1 + gamma · N, from their sums of squares;
/// 1 beyond 4C.
pub(super) fn response(squares: &[f32], weights: &Prepared, eps: f32) -> Vec<f32> {
    let mut response = Norm::new(&squares[..4 * weights.channels], eps).normalized;
    response.resize(squares.len(), 0.0);
    for (response, gamma) in response.iter_mut().zip(&weights.grn_gamma) {
        *response = 1.0 + gamma * *response;
    }
    response
}

/// Layer norm, the first linear layer and GELU of a tile.
fn expand(
    level: Level,
    weights: &Prepared,
    eps: f32,
    tile: &Tile,
    tiles: usize,
    rows: &[f32],
    (hidden, slope, squares): (&mut [f32], Option<&mut [f32]>, &mut [f32]),
) {
    let panels = weights.expand.count();
    let chunk = panels_per_task(panels, tiles);
    let (images, panel_values) = (tile.images.len(), tile.len() * PANEL);
    with_scratch(rows.len().div_ceil(LANES), |normal| {
        let normal = &mut values_mut(normal)[..rows.len()];
        let (gamma, beta) = (&weights.norm_gamma, &weights.norm_beta);
        dispatch(level, layer_norm::Forward { x: rows, gamma, beta, eps, out: normal });
        let left = Left::row_major(normal, weights.channels);
        let work =
            |first: usize, hidden: &mut [f32], slope: Option<&mut [f32]>, squares: &mut [f32]| {
                let count = hidden.len() / panel_values;
                let at_a_time = panels_at_a_time(weights.channels, count);
                with_scratch(at_a_time * panel_values / LANES, |sums| {
                    let mut slope = slope;
                    let chunks = hidden
                        .chunks_mut(at_a_time * panel_values)
                        .zip(squares.chunks_mut(at_a_time * images * PANEL));
                    for (index, (hidden, squares)) in chunks.enumerate() {
                        let first = first + index * at_a_time;
                        let range = first..first + hidden.len() / panel_values;
                        let sums = &mut sums[..hidden.len() / LANES];
                        multiply(level, left, &tile.groups, &weights.expand, range, sums);
                        let bias = &weights.expand_bias[first * PANEL..];
                        let slope = slope.as_mut().map(|slope| take(slope, hidden.len()));
                        dispatch(level, Activate { tile, sums, bias, hidden, slope, squares });
                    }
                });
            };
        let hidden = hidden.par_chunks_mut(chunk * panel_values);
        let squares = squares.par_chunks_mut(chunk * images * PANEL);
        match slope {
            Some(slope) => {
                let slope = slope.par_chunks_mut(chunk * panel_values);
                hidden.zip(squares).zip(slope).enumerate().for_each(
                    |(index, ((hidden, squares), slope))| {
                        work(index * chunk, hidden, Some(slope), squares);
                    },
                );
            }
            None => hidden.zip(squares).enumerate().for_each(|(index, (hidden, squares))| {
                work(index * chunk, hidden, None, squares);
            }),
        }
    });
}

/// Bias and GELU of some panels of a tile, and the sums of squares of each image.
struct Activate<'a> {
    tile: &'a Tile,
    /// The products, `[panel, rows, 16]`.
    sums: &'a [Cell],
    bias: &'a [f32],
    hidden: &'a mut [f32],
    slope: Option<&'a mut [f32]>,
    /// `[panel, image, 16]`
    squares: &'a mut [f32],
}

impl Kernel for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { tile, sums, bias, hidden, slope, squares } = self;
        let sums = values(sums);
        match slope {
            Some(slope) => activate::<S, true>(simd, tile, sums, bias, hidden, slope, squares),
            None => activate::<S, false>(simd, tile, sums, bias, hidden, &mut [], squares),
        }
    }
}

#[inline(always)]
fn activate<S: Simd, const KEEP: bool>(
    simd: S,
    tile: &Tile,
    sums: &[f32],
    bias: &[f32],
    hidden: &mut [f32],
    slope: &mut [f32],
    squares: &mut [f32],
) {
    let (rows, images) = (tile.len(), tile.images.len());
    let each = rows / images * PANEL;
    for (panel, bias) in bias.chunks_exact(PANEL).take(sums.len() / (rows * PANEL)).enumerate() {
        for image in 0..images {
            let start = panel * rows * PANEL + image * each;
            let sums = &sums[start..start + each];
            let hidden = &mut hidden[start..start + each];
            let slope = if KEEP { &mut slope[start..start + each] } else { &mut *slope };
            let squares = &mut squares[(panel * images + image) * PANEL..][..PANEL];
            let bias: [S::Vector; 2] = std::array::from_fn(|v| simd.load_at(bias, v * LANES));
            let mut total = [simd.splat(0.0); 2];
            let (sums, _) = sums.as_chunks::<LANES>();
            let (hidden, _) = hidden.as_chunks_mut::<LANES>();
            let (slope, _) = slope.as_chunks_mut::<LANES>();
            for (row, sums) in sums.chunks_exact(2).enumerate() {
                for v in 0..2 {
                    let x = simd.add(simd.load(&sums[v]), bias[v]);
                    let value = if KEEP {
                        let (value, derivative) = gelu::value_and_derivative(simd, x);
                        simd.store(derivative, &mut slope[2 * row + v]);
                        value
                    } else {
                        gelu::value(simd, x)
                    };
                    simd.store(value, &mut hidden[2 * row + v]);
                    total[v] = simd.mul_add(value, value, total[v]);
                }
            }
            for (v, total) in total.into_iter().enumerate() {
                simd.store_at(total, squares, v * LANES);
            }
        }
    }
}

/// GRN, the second linear layer and the shortcut of a tile.
struct Contraction<'a> {
    weights: &'a Prepared,
    tile: &'a Tile,
    /// `[panel, rows, 16]`
    features: &'a [f32],
    /// `[image, H]`
    response: &'a [f32],
    shortcut: &'a [f32],
    /// Of each image.
    scale: Vec<f32>,
    out: &'a mut [f32],
}

impl Contraction<'_> {
    fn run(self, level: Level, tiles: usize) {
        let Self { weights, tile, features, response, shortcut, scale, out } = self;
        let contract = &weights.contract;
        let panel_values = tile.len() * PANEL;
        let panels = features.len() / panel_values;
        let sums = tile.len() * contract.vectors();
        with_scratch(features.len() / LANES + sums, |cells| {
            let (responded, sums) = cells.split_at_mut(features.len() / LANES);
            let chunk = panels_per_task(panels, tiles);
            responded
                .par_chunks_mut(chunk * panel_values / LANES)
                .zip(features.par_chunks(chunk * panel_values))
                .enumerate()
                .for_each(|(index, (out, features))| {
                    let first = index * chunk * PANEL;
                    let (rows, images) = (tile.len(), tile.images.len());
                    let beta = &weights.grn_beta;
                    let task = Respond { features, rows, images, response, beta, first, out };
                    dispatch(level, task);
                });
            multiply_all(
                level,
                Left::panels(values(responded), tile.len()),
                tile,
                contract,
                tiles,
                sums,
            );
            let bias = &weights.contract_bias;
            dispatch(level, Finish { tile, sums, bias, scale: &scale, shortcut, out });
        });
    }
}

/// The product of a tile with all panels, by several threads where there are few tiles.
pub(super) fn multiply_all(
    level: Level,
    left: Left<'_>,
    tile: &Tile,
    right: &Panels,
    tiles: usize,
    out: &mut [Cell],
) {
    let chunk = panels_per_task(right.count(), tiles);
    right
        .split(tile.len(), chunk, out)
        .into_par_iter()
        .for_each(|(panels, out)| multiply(level, left, &tile.groups, right, panels, out));
}

/// features · response + beta
pub(super) struct Respond<'a> {
    /// Some panels, `[panel, image, site, 16]`.
    pub(super) features: &'a [f32],
    pub(super) rows: usize,
    pub(super) images: usize,
    /// `[image, H]`
    pub(super) response: &'a [f32],
    pub(super) beta: &'a [f32],
    /// The first panel's first channel.
    pub(super) first: usize,
    pub(super) out: &'a mut [Cell],
}

impl Kernel for Respond<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { features, rows, images, response, beta, first, out } = self;
        let width = beta.len();
        let each = rows / images;
        let features = features.chunks_exact(each * PANEL);
        for (index, (features, out)) in features.zip(out.chunks_exact_mut(2 * each)).enumerate() {
            let (panel, image) = (index / images, index % images);
            let channel = first + panel * PANEL;
            let response = pair(simd, response, image * width + channel);
            let beta = pair(simd, beta, channel);
            let (features, _) = features.as_chunks::<LANES>();
            for (features, out) in features.chunks_exact(2).zip(out.chunks_exact_mut(2)) {
                for v in 0..2 {
                    let value = simd.mul_add(simd.load(&features[v]), response[v], beta[v]);
                    simd.store(value, &mut out[v].0);
                }
            }
        }
    }
}

/// The two vectors of a panel from `start` on.
#[inline(always)]
pub(super) fn pair<S: Simd>(simd: S, from: &[f32], start: usize) -> [S::Vector; 2] {
    std::array::from_fn(|v| simd.load_at(from, start + v * LANES))
}

/// shortcut + scale · (sums + bias)
struct Finish<'a> {
    tile: &'a Tile,
    /// In panels, of the width of `bias`.
    sums: &'a [Cell],
    bias: &'a [f32],
    /// Of each image.
    scale: &'a [f32],
    shortcut: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { tile, sums, bias, scale, shortcut, out } = self;
        let rows = tile.len();
        let (channels, each) = (out.len() / rows, rows / scale.len());
        let rows_of = out.chunks_exact_mut(channels).zip(shortcut.chunks_exact(channels));
        for (row, (out, shortcut)) in rows_of.enumerate() {
            let scale = scale[row / each];
            if scale == 0.0 {
                out.copy_from_slice(shortcut);
                continue;
            }
            let scale = simd.splat(scale);
            for (first, vectors) in widths(bias.len() / LANES) {
                for v in 0..vectors {
                    let start = (first + v) * LANES;
                    let sum = simd.load(&sums[first * rows + row * vectors + v].0);
                    let branch = simd.add(sum, simd.load_at(bias, start));
                    let value = simd.mul_add(branch, scale, simd.load_at(shortcut, start));
                    simd.store_at(value, out, start);
                }
            }
        }
    }
}
