use rayon::prelude::*;

use super::tiles::{Cut, Tile};
use super::{Prepared, Setting, hidden_width, panels_per_task};
use crate::depthwise::Convolution;
use crate::error::{KernelError, check_length};
use crate::gelu;
use crate::grn::Norm;
use crate::layer_norm;
use crate::product::{Left, PANEL, Panels, multiply, panels_at_a_time, widths};
use crate::simd::{self, Cell, Kernel, LANES, Level, Simd, dispatch};
use crate::tasks::{values, values_mut, with_scratch};

/// What [`backward`](super::backward()) needs of the forward pass; H is
/// [`hidden_width`](super::hidden_width) of C. T is `&mut [f32]` or `&[f32]`.
#[derive(Clone, Copy, Debug)]
pub struct Kept<T> {
    /// The depthwise convolution's result, `[N, S, C]`.
    pub convolved: T,
    /// The 4C features before GELU, N · S · H values in an order of the block's own.
    pub expanded: T,
    /// Σ over sites of the squares of GELU of `expanded`, `[N, H]`.
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
        check_length(operation, "kept.expanded", self.expanded.as_ref().len(), hidden)?;
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
                let features = Features { convolved, hidden, keep: None };
                let group = Group { x, weights, setting, first: index * group, images, level };
                group.run(features, out);
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
        .zip(kept.expanded.par_chunks_mut(group * sites * width))
        .zip(kept.squares.par_chunks_mut(group * width))
        .enumerate()
        .for_each(|(index, ((((x, out), convolved), expanded), squares))| {
            let images = x.len() / image;
            with_scratch(expanded.len() / LANES, |hidden| {
                let features = Features { convolved, hidden, keep: Some((expanded, squares)) };
                let group = Group { x, weights, setting, first: index * group, images, level };
                group.run(features, out);
            });
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
    /// After GELU.
    hidden: &'a mut [Cell],
    /// The 4C features before GELU and the sums of squares, where they are kept.
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
            beside: setting.images.div_ceil(Cut::new(setting.images, sites).group),
        };
        convolution.run(x, convolved);

        let tiles = Tile::cut(images, sites);
        let (mut expanded, kept_squares) = keep.unzip();
        let mut parts = vec![0.0; tiles.iter().map(|tile| tile.images.len() * width).sum()];
        let mut tasks = Vec::with_capacity(tiles.len());
        let (mut hidden_rest, mut parts_rest) = (&mut *hidden, parts.as_mut_slice());
        for tile in &tiles {
            let hidden = take(&mut hidden_rest, tile.len() * width / LANES);
            let expanded = expanded.as_mut().map(|kept| take(kept, tile.len() * width));
            let squares = take(&mut parts_rest, tile.images.len() * width);
            let rows = &convolved[tile.rows.start * channels..tile.rows.end * channels];
            tasks.push((tile, rows, Expansion { hidden, expanded, squares }));
        }
        tasks.into_par_iter().for_each(|(tile, rows, expansion)| {
            expand(level, weights, setting.norm_eps, tile, tiles.len(), rows, expansion);
        });

        let squares = sum_by_image(&parts, &tiles, images, width);
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
            let (features, rest) = hidden.split_at(tile.len() * width / LANES);
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

/// The sums of each image, `[image, H]`, from those of each tile, `[panel, image, 16]`.
pub(super) fn sum_by_image(parts: &[f32], tiles: &[Tile], images: usize, width: usize) -> Vec<f32> {
    let mut total = vec![0.0; images * width];
    let mut rest = parts;
    for tile in tiles {
        let images = tile.images.len();
        let (part, others) = rest.split_at(images * width);
        rest = others;
        let total = &mut total[tile.images.start * width..tile.images.end * width];
        for (panel, part) in part.chunks_exact(images * PANEL).enumerate() {
            for (part, sums) in part.chunks_exact(PANEL).zip(total.chunks_exact_mut(width)) {
                for (sum, value) in sums[panel * PANEL..].iter_mut().zip(part) {
                    *sum += value;
                }
            }
        }
    }
    total
}

/// What the 4C features of an image are multiplied with, 1 + gamma · N, from their sums of squares;
/// 1 beyond 4C.
fn response(squares: &[f32], weights: &Prepared, eps: f32) -> Vec<f32> {
    let norm = Norm::new(&squares[..4 * weights.channels], eps);
    let mut response = norm.response(&weights.grn_gamma);
    response.resize(squares.len(), 1.0);
    response
}

/// Where the first half of a block writes, for a tile or some of its panels.
struct Expansion<'a> {
    /// After GELU, `[panel, rows, 16]`.
    hidden: &'a mut [Cell],
    /// Before GELU, in the same order, where it is kept.
    expanded: Option<&'a mut [f32]>,
    /// Sums over the sites of each image, `[panel, image, 16]`.
    squares: &'a mut [f32],
}

impl Expansion<'_> {
    /// Cuts pieces of `panels` panels.
    fn split(self, panels: usize, tile: &Tile) -> Vec<Self> {
        let Self { mut hidden, mut expanded, mut squares } = self;
        let (cells, images) = (2 * tile.len(), tile.images.len());
        let mut pieces = Vec::new();
        while !hidden.is_empty() {
            let count = panels.min(hidden.len() / cells);
            pieces.push(Self {
                hidden: take(&mut hidden, count * cells),
                expanded: expanded.as_mut().map(|kept| take(kept, count * cells * LANES)),
                squares: take(&mut squares, count * images * PANEL),
            });
        }
        pieces
    }
}

/// Layer norm, the first linear layer and GELU of a tile.
fn expand(
    level: Level,
    weights: &Prepared,
    eps: f32,
    tile: &Tile,
    tiles: usize,
    rows: &[f32],
    expansion: Expansion<'_>,
) {
    let chunk = panels_per_task(weights.expand.count(), tiles);
    with_scratch(rows.len().div_ceil(LANES), |normal| {
        let normal = &mut values_mut(normal)[..rows.len()];
        let (gamma, beta) = (&weights.norm_gamma, &weights.norm_beta);
        dispatch(level, layer_norm::Forward { x: rows, gamma, beta, eps, out: normal });
        let left = Left::row_major(normal, weights.channels);
        let chunks = expansion.split(chunk, tile).into_par_iter().enumerate();
        chunks.for_each(|(index, expansion)| {
            let at_a_time = panels_at_a_time(level, weights.channels, chunk);
            for (piece, to) in expansion.split(at_a_time, tile).into_iter().enumerate() {
                let first = index * chunk + piece * at_a_time;
                let range = first..first + to.hidden.len() / (2 * tile.len());
                multiply(level, left, &tile.groups, &weights.expand, range, to.hidden);
                let bias = &weights.expand_bias[first * PANEL..];
                dispatch(level, Activate { tile, bias, to });
            }
        });
    });
}

/// Bias and GELU of some panels of a tile's products, and the sums of squares of each image.
struct Activate<'a> {
    tile: &'a Tile,
    /// From the first panel on.
    bias: &'a [f32],
    to: Expansion<'a>,
}

impl Kernel for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { tile, bias, to: Expansion { hidden, mut expanded, squares } } = self;
        let images = tile.images.len();
        let each = tile.len() / images;
        let hidden = hidden.chunks_exact_mut(2 * each);
        for (index, (hidden, squares)) in hidden.zip(squares.chunks_exact_mut(PANEL)).enumerate() {
            let bias = pair(simd, bias, index / images * PANEL);
            let total = match &mut expanded {
                Some(kept) => activate::<S, true>(simd, bias, hidden, take(kept, each * PANEL)),
                None => activate::<S, false>(simd, bias, hidden, &mut []),
            };
            for (v, total) in total.into_iter().enumerate() {
                simd.store_at(total, squares, v * LANES);
            }
        }
    }
}

/// Bias and GELU of one image's rows of a panel; returns the sums of squares.
#[inline(always)]
fn activate<S: Simd, const KEEP: bool>(
    simd: S,
    bias: [S::Vector; 2],
    hidden: &mut [Cell],
    expanded: &mut [f32],
) -> [S::Vector; 2] {
    let (expanded, _) = expanded.as_chunks_mut::<LANES>();
    let mut total = [simd.splat(0.0); 2];
    for (row, hidden) in hidden.chunks_exact_mut(2).enumerate() {
        for v in 0..2 {
            let x = simd.add(simd.load(&hidden[v].0), bias[v]);
            if KEEP {
                simd.store(x, &mut expanded[2 * row + v]);
            }
            let value = gelu::value(simd, x);
            simd.store(value, &mut hidden[v].0);
            total[v] = simd.mul_add(value, value, total[v]);
        }
    }
    total
}

/// GRN, the second linear layer and the shortcut of a tile.
struct Contraction<'a> {
    weights: &'a Prepared,
    tile: &'a Tile,
    /// `[panel, rows, 16]`
    features: &'a [Cell],
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
        let panel = 2 * tile.len();
        let sums = tile.len() * contract.vectors();
        with_scratch(features.len() + sums, |cells| {
            let (responded, sums) = cells.split_at_mut(features.len());
            let chunk = panels_per_task(features.len() / panel, tiles);
            responded
                .par_chunks_mut(chunk * panel)
                .zip(features.par_chunks(chunk * panel))
                .enumerate()
                .for_each(|(index, (out, features))| {
                    let (rows, images) = (tile.len(), tile.images.len());
                    let (beta, first) = (&weights.grn_beta, index * chunk * PANEL);
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
struct Respond<'a> {
    /// Some panels, `[panel, image, site, 16]`.
    features: &'a [Cell],
    rows: usize,
    images: usize,
    /// `[image, H]`
    response: &'a [f32],
    beta: &'a [f32],
    /// The first panel's first channel.
    first: usize,
    out: &'a mut [Cell],
}

impl Kernel for Respond<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { features, rows, images, response, beta, first, out } = self;
        let width = beta.len();
        let each = 2 * rows / images;
        let features = features.chunks_exact(each);
        for (index, (features, out)) in features.zip(out.chunks_exact_mut(each)).enumerate() {
            let (panel, image) = (index / images, index % images);
            let channel = first + panel * PANEL;
            let response = pair(simd, response, image * width + channel);
            let beta = pair(simd, beta, channel);
            for (features, out) in features.chunks_exact(2).zip(out.chunks_exact_mut(2)) {
                for v in 0..2 {
                    let value = simd.mul_add(simd.load(&features[v].0), response[v], beta[v]);
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
