use rayon::prelude::*;

use super::forward::{Kept, multiply_all, pair, sum_by_image, take};
use super::tiles::{Cut, Tile};
use super::{PerWeight, Setting, Weights, hidden_width, padded, panels_per_task};
use crate::depthwise::{self, Convolution, Filter};
use crate::error::{KernelError, check_length};
use crate::gelu;
use crate::grn::Norm;
use crate::layer_norm;
use crate::product::{
    AddTransposed, Factors, Left, PANEL, Panels, Strip, from_panels, multiply, panels_at_a_time,
    strip_cells, widths,
};
use crate::simd::{self, Cell, Kernel, LANES, Level, Simd, dispatch};
use crate::tasks::{add_parts, cells_in, values, values_mut, with_scratch};

/// Where [`backward`] writes, each as long as what it is the gradient of.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// With respect to the block's input, `[N, S, C]`.
    pub x: &'a mut [f32],
    /// With respect to its weights.
    pub weights: PerWeight<&'a mut [f32]>,
}

impl Gradients<'_> {
    fn check(&self, operation: &'static str, x: usize, channels: usize) -> Result<(), KernelError> {
        let hidden = 4 * channels;
        for (argument, found, expected) in [
            ("gradients.x", self.x.len(), x),
            ("gradients.depthwise", self.weights.depthwise.len(), 49 * channels),
            ("gradients.depthwise_bias", self.weights.depthwise_bias.len(), channels),
            ("gradients.norm_gamma", self.weights.norm_gamma.len(), channels),
            ("gradients.norm_beta", self.weights.norm_beta.len(), channels),
            ("gradients.expand", self.weights.expand.len(), hidden * channels),
            ("gradients.expand_bias", self.weights.expand_bias.len(), hidden),
            ("gradients.grn_gamma", self.weights.grn_gamma.len(), hidden),
            ("gradients.grn_beta", self.weights.grn_beta.len(), hidden),
            ("gradients.contract", self.weights.contract.len(), hidden * channels),
            ("gradients.contract_bias", self.weights.contract_bias.len(), channels),
        ] {
            check_length(operation, argument, found, expected)?;
        }
        Ok(())
    }
}

/// How many values [`backward`] needs to work in, for a block of `channels`, saturating at `usize::MAX`.
#[must_use]
pub fn backward_scratch(setting: &Setting<'_>, channels: usize) -> usize {
    let Room { matrices, vectors, convolved } = Room::new(setting, channels);
    // One more, as the values need not begin where a vector does.
    sum(&[matrices, vectors, convolved, 1]).saturating_mul(LANES)
}

/// How many values each thread keeps to work in for [`backward`] on `images` images of `sites` sites and
/// `channels` channels, beside what it is given, saturating at `usize::MAX`.
#[must_use]
pub fn thread_scratch(images: usize, sites: usize, channels: usize) -> usize {
    let rows = Cut::new(images, sites).group.min(images).saturating_mul(sites);
    let (strips, width) = (strip_cells(rows, channels), hidden_width(channels));
    let hidden = rows.saturating_mul(width) / LANES;
    let scaled = rows.saturating_mul(channels).div_ceil(LANES);
    sum(&[strips, strips, hidden, hidden, hidden, scaled]).saturating_mul(LANES)
}

/// The sum of `counts`, saturating at `usize::MAX`.
fn sum(counts: &[usize]) -> usize {
    counts.iter().fold(0, |sum, &count| sum.saturating_add(count))
}

/// The gradients of the block, from the gradient `grad` with respect to its output. `scratch` has
/// [`backward_scratch`] values.
///
/// # Errors
/// Where sites are invalid or lengths don't fit.
pub fn backward(
    x: &[f32],
    kept: Kept<&[f32]>,
    weights: &Weights<'_>,
    setting: &Setting<'_>,
    grad: &[f32],
    gradients: Gradients<'_>,
    scratch: &mut [f32],
) -> Result<(), KernelError> {
    let operation = "block::backward";
    let channels = weights.check(operation)?;
    setting.check(operation, x, channels)?;
    check_length(operation, "grad", grad.len(), x.len())?;
    kept.check(operation, x.len(), channels, setting.images)?;
    gradients.check(operation, x.len(), channels)?;
    check_length(operation, "scratch", scratch.len(), backward_scratch(setting, channels))?;

    let sites = setting.sites.sites_per_image();
    let cut = Cut::new(setting.images, sites);
    let parts = setting.images.div_ceil(cut.part);
    let prepared = Prepared::new(weights, channels, parts);
    let width = prepared.width;
    let (image, hidden) = (sites * channels, sites * width);
    let (matrix, vectors) = (Sums::matrix(channels, width), Sums::vectors(channels, width));
    let room = Room::new(setting, channels);
    let (matrices, cells) = cells_in(scratch).split_at_mut(room.matrices);
    let (rest, convolved_grad) = cells.split_at_mut(room.vectors);
    let rest = &mut values_mut(rest)[..parts * vectors];
    let convolved_grad = &mut values_mut(convolved_grad)[..x.len()];
    matrices.par_chunks_mut(matrix.max(1)).for_each(|matrix| matrix.fill(Cell::ZERO));
    rest.fill(0.0);

    gradients
        .x
        .par_chunks_mut(cut.part * image)
        .zip(convolved_grad.par_chunks_mut(cut.part * image))
        .zip(matrices.par_chunks_mut(matrix).zip(rest.par_chunks_mut(vectors)))
        .enumerate()
        .for_each(|(part, ((x_grad, convolved_grad), (matrices, rest)))| {
            let mut sums = Sums::new(channels, width, matrices, rest);
            let groups = x_grad
                .chunks_mut(cut.group * image)
                .zip(convolved_grad.chunks_mut(cut.group * image));
            for (index, (x_grad, convolved_grad)) in groups.enumerate() {
                let first = part * cut.part + index * cut.group;
                let images = x_grad.len() / image;
                let last = first + images;
                let group = Group {
                    weights,
                    prepared: &prepared,
                    setting,
                    first,
                    images,
                    convolved: &kept.convolved[first * image..last * image],
                    expanded: &kept.expanded[first * hidden..last * hidden],
                    squares: &kept.squares[first * width..last * width],
                    grad: &grad[first * image..last * image],
                    level: simd::level(),
                };
                group.run(convolved_grad, &mut sums);
                group.convolve(convolved_grad, x_grad);
            }
        });

    depthwise::backward_weight(
        x,
        convolved_grad,
        setting.sites,
        setting.images,
        channels,
        gradients.weights.depthwise,
        Some(gradients.weights.depthwise_bias),
    )?;
    let (matrices_sum, others) = matrices.split_at_mut(matrix);
    add_parts(values(others), values_mut(matrices_sum));
    let (rest_sum, others) = rest.split_at_mut(vectors);
    add_parts(others, rest_sum);
    Sums::new(channels, width, matrices_sum, rest_sum).write(channels, gradients.weights);
    Ok(())
}

/// Cells of strips that all panels meet while they are in the second-level cache.
const CACHED_STRIPS: usize = 16 * 1024;

/// The weights laid out for the backward pass.
struct Prepared {
    /// Parts of the batch that are worked on side by side.
    parts: usize,
    channels: usize,
    /// H
    width: usize,
    filter: Filter,
    /// C × 4C
    contract: Panels,
    /// 4C × C
    expand: Panels,
    grn_gamma: Vec<f32>,
    grn_beta: Vec<f32>,
}

impl Prepared {
    fn new(weights: &Weights<'_>, channels: usize, parts: usize) -> Self {
        let width = hidden_width(channels);
        Self {
            parts,
            channels,
            width,
            filter: Filter::turned(weights.depthwise, channels),
            contract: Panels::new(weights.contract, 4 * channels, width / LANES),
            expand: Panels::new(weights.expand, channels, channels.div_ceil(LANES)),
            grn_gamma: padded(weights.grn_gamma, width),
            grn_beta: padded(weights.grn_beta, width),
        }
    }
}

/// Cells that the backward pass works in.
struct Room {
    /// Gradients of the matrices, summed over each part.
    matrices: usize,
    /// The same of everything else.
    vectors: usize,
    /// The gradient with respect to the convolution's result.
    convolved: usize,
}

impl Room {
    fn new(setting: &Setting<'_>, channels: usize) -> Self {
        let (sites, width) = (setting.sites.sites_per_image(), hidden_width(channels));
        let parts = setting.images.div_ceil(Cut::new(setting.images, sites).part);
        Self {
            matrices: Sums::matrix(channels, width).saturating_mul(parts),
            vectors: Sums::vectors(channels, width).saturating_mul(parts).div_ceil(LANES),
            convolved: setting
                .images
                .saturating_mul(sites)
                .saturating_mul(channels)
                .div_ceil(LANES),
        }
    }
}

/// Gradients summed over the images of a part.
struct Sums<'a> {
    /// `[panel, C, 16]`
    contract: &'a mut [Cell],
    /// `[panel, C, 16]`, the transpose of the gradient.
    expand: &'a mut [Cell],
    /// `[H]`
    expand_bias: &'a mut [f32],
    /// `[H]`
    grn_gamma: &'a mut [f32],
    /// `[H]`
    grn_beta: &'a mut [f32],
    /// `[3, C]`: bias of the second linear layer, gamma and beta of layer norm.
    sites: &'a mut [f32],
}

impl<'a> Sums<'a> {
    fn matrix(channels: usize, width: usize) -> usize {
        channels.saturating_mul(2).saturating_mul(width) / LANES
    }

    fn vectors(channels: usize, width: usize) -> usize {
        width.saturating_add(channels).saturating_mul(3)
    }

    fn new(channels: usize, width: usize, matrices: &'a mut [Cell], rest: &'a mut [f32]) -> Self {
        let (contract, expand) = matrices.split_at_mut(channels * width / LANES);
        let (expand_bias, rest) = rest.split_at_mut(width);
        let (grn_gamma, rest) = rest.split_at_mut(width);
        let (grn_beta, sites) = rest.split_at_mut(width);
        Self { contract, expand, expand_bias, grn_gamma, grn_beta, sites }
    }

    /// Copies the sums to the gradients in the order of the weights, but for the convolution's.
    fn write(&self, channels: usize, to: PerWeight<&mut [f32]>) {
        from_panels(values(self.contract), channels, to.contract);
        transposed_from_panels(values(self.expand), channels, to.expand);
        to.expand_bias.copy_from_slice(&self.expand_bias[..4 * channels]);
        to.grn_gamma.copy_from_slice(&self.grn_gamma[..4 * channels]);
        to.grn_beta.copy_from_slice(&self.grn_beta[..4 * channels]);
        let (contract_bias, norm) = self.sites.split_at(channels);
        to.contract_bias.copy_from_slice(contract_bias);
        to.norm_gamma.copy_from_slice(&norm[..channels]);
        to.norm_beta.copy_from_slice(&norm[channels..]);
    }
}

/// `[panel, C, 16]` to `[columns, C]`.
fn transposed_from_panels(panels: &[f32], channels: usize, out: &mut [f32]) {
    out.par_chunks_mut(PANEL * channels).zip(panels.par_chunks(channels * PANEL)).for_each(
        |(out, panel)| {
            for (lane, out) in out.chunks_exact_mut(channels).enumerate() {
                for (out, values) in out.iter_mut().zip(panel.chunks_exact(PANEL)) {
                    *out = values[lane];
                }
            }
        },
    );
}

/// Some images that go through the block together.
struct Group<'a> {
    weights: &'a Weights<'a>,
    prepared: &'a Prepared,
    setting: &'a Setting<'a>,
    /// The first image among all.
    first: usize,
    images: usize,
    convolved: &'a [f32],
    expanded: &'a [f32],
    squares: &'a [f32],
    grad: &'a [f32],
    level: Level,
}

/// Where a group's features lie on the way.
struct Features<'a> {
    /// The gradient, times the image's scale, by strips.
    grad: &'a mut [Cell],
    /// The result of layer norm, by strips.
    normal: &'a mut [Cell],
    /// The gradient with respect to GRN's result, then to the first linear layer's; in panels.
    hidden_grad: &'a mut [Cell],
    /// GELU's result, then GRN's; in panels.
    hidden: &'a mut [Cell],
    /// The derivative of GELU, in panels.
    slope: &'a mut [Cell],
}

/// A tile's rows of C values.
struct TileRows<'a> {
    /// The convolution's result.
    convolved: &'a [f32],
    /// The gradient, times the image's scale.
    grad: &'a [f32],
    /// Where the result of layer norm goes, by strips.
    normal: &'a mut [Cell],
    /// Where the gradient with respect to `convolved` goes.
    out: &'a mut [f32],
    /// `[3, C]`, as in [`Sums::sites`].
    sums: &'a mut [f32],
}

impl Group<'_> {
    /// Adds the gradients of the weights to `sums` and writes the gradient with respect to the
    /// convolution's result.
    fn run(&self, convolved_grad: &mut [f32], sums: &mut Sums<'_>) {
        let Prepared { channels, width, .. } = *self.prepared;
        let rows = self.grad.len() / channels;
        let tiles = Tile::cut(self.images, rows / self.images);
        let strips = strip_cells(rows, channels);
        let hidden = rows * width / LANES;
        let scaled = self.setting.scale.map_or(0, |_| self.grad.len().div_ceil(LANES));
        with_scratch(2 * strips + 3 * hidden + scaled, |cells| {
            let (grad, cells) = cells.split_at_mut(strips);
            let (normal, cells) = cells.split_at_mut(strips);
            let (hidden_grad, cells) = cells.split_at_mut(hidden);
            let (slope, cells) = cells.split_at_mut(hidden);
            let (hidden, scaled) = cells.split_at_mut(hidden);
            let scaled = self.scaled(values_mut(scaled));
            let mut features = Features { grad, normal, hidden_grad, hidden, slope };
            let along = self.contract(&tiles, scaled, &mut features, sums);
            self.expand(&tiles, scaled, &mut features, &along, convolved_grad, sums);
            self.weights(&tiles, &features, sums);
        });
    }

    /// Back through the convolution, and along the shortcut.
    fn convolve(&self, convolved_grad: &[f32], x_grad: &mut [f32]) {
        let Prepared { parts, channels, ref filter, .. } = *self.prepared;
        let Self { setting, first, grad, level, .. } = *self;
        let (sites, add) = (setting.sites, Some(grad));
        Convolution { filter, sites, first, channels, add, level, beside: parts }
            .run(convolved_grad, x_grad);
    }

    /// The gradient times the scale of each image.
    fn scaled<'a>(&'a self, memory: &'a mut [f32]) -> &'a [f32] {
        let Some(scale) = self.setting.scale else { return self.grad };
        let memory = &mut memory[..self.grad.len()];
        let image = self.grad.len() / self.images;
        let images = memory.chunks_exact_mut(image).zip(self.grad.chunks_exact(image));
        for ((out, grad), scale) in images.zip(&scale[self.first..]) {
            for (out, grad) in out.iter_mut().zip(grad) {
                *out = scale * grad;
            }
        }
        memory
    }

    /// Back through the second linear layer; returns what GRN's gradient needs of all sites.
    fn contract(
        &self,
        tiles: &[Tile],
        grad: &[f32],
        features: &mut Features<'_>,
        sums: &mut Sums<'_>,
    ) -> GrnFactors {
        let Prepared { channels, width, ref contract, .. } = *self.prepared;
        let level = self.level;
        let counts = tiles.iter().map(|tile| tile.images.len() * width).sum();
        let (mut products, mut grads) = (vec![0.0; counts], vec![0.0; counts]);
        let mut tasks = Vec::with_capacity(tiles.len());
        let (mut strips, mut out) = (&mut *features.grad, &mut *features.hidden_grad);
        let (mut hidden, mut slope) = (&mut *features.hidden, &mut *features.slope);
        let (mut products_rest, mut grads_rest) = (products.as_mut_slice(), grads.as_mut_slice());
        for tile in tiles {
            let cells = tile.len() * width / LANES;
            let task = Reactivation {
                expanded: &self.expanded[tile.rows.start * width..tile.rows.end * width],
                hidden: take(&mut hidden, cells),
                slope: take(&mut slope, cells),
                grad: take(&mut out, cells),
                products: take(&mut products_rest, tile.images.len() * width),
                grads: take(&mut grads_rest, tile.images.len() * width),
            };
            tasks.push((tile, take(&mut strips, strip_cells(tile.len(), channels)), task));
        }
        tasks.into_par_iter().for_each(|(tile, strips, task)| {
            let grad = &grad[tile.rows.start * channels..tile.rows.end * channels];
            dispatch(level, Strip { values: grad, columns: channels, out: strips });
            let chunk = panels_per_task(contract.count(), tiles.len());
            let chunks = task.split(chunk, tile).into_par_iter().enumerate();
            chunks.for_each(|(index, task)| {
                let at_a_time = panels_at_a_time(level, channels, chunk);
                for (piece, task) in task.split(at_a_time, tile).into_iter().enumerate() {
                    let first = index * chunk + piece * at_a_time;
                    let range = first..first + task.grad.len() / (2 * tile.len());
                    let left = Left::row_major(grad, channels);
                    multiply(level, left, &tile.groups, contract, range, task.grad);
                    let each = tile.len() / tile.images.len();
                    dispatch(level, Reactivate { each, task });
                }
            });
        });
        self.along(tiles, &products, &grads, sums)
    }

    /// Gradients of GRN, from the sums of each tile over its sites.
    fn along(
        &self,
        tiles: &[Tile],
        products: &[f32],
        grads: &[f32],
        sums: &mut Sums<'_>,
    ) -> GrnFactors {
        let Prepared { channels, width, ref grn_gamma, .. } = *self.prepared;
        let products = sum_by_image(products, tiles, self.images, width);
        let grads = sum_by_image(grads, tiles, self.images, width);
        let mut along = GrnFactors {
            response: vec![1.0; self.images * width],
            along: vec![0.0; self.images * width],
        };
        let count = 4 * channels;
        for image in 0..self.images {
            let start = image * width;
            let products = &products[start..start + count];
            let norm = Norm::new(&self.squares[start..start + count], self.setting.grn_eps);
            for c in 0..count {
                sums.grn_gamma[c] += products[c] * norm.normalized[c];
                sums.grn_beta[c] += grads[start + c];
            }
            let gamma = &grn_gamma[..count];
            along.response[start..start + count].copy_from_slice(&norm.response(gamma));
            along.along[start..start + count].copy_from_slice(&norm.along(gamma, products));
        }
        along
    }

    /// Back through GRN, GELU, the first linear layer and layer norm.
    fn expand(
        &self,
        tiles: &[Tile],
        grad: &[f32],
        features: &mut Features<'_>,
        along: &GrnFactors,
        convolved_grad: &mut [f32],
        sums: &mut Sums<'_>,
    ) {
        let Prepared { channels, width, .. } = *self.prepared;
        let mut site_sums = vec![0.0; tiles.len() * 3 * channels];
        let mut tasks = Vec::with_capacity(tiles.len());
        let mut strips = &mut *features.normal;
        let (mut hidden_grad, mut hidden) = (&mut *features.hidden_grad, &mut *features.hidden);
        let (mut slope, mut out) = (&*features.slope, convolved_grad);
        for (tile, site_sums) in tiles.iter().zip(site_sums.chunks_exact_mut(3 * channels)) {
            let cells = tile.len() * width / LANES;
            let (tile_slope, rest) = slope.split_at(cells);
            slope = rest;
            let panels = (take(&mut hidden_grad, cells), take(&mut hidden, cells), tile_slope);
            let range = tile.rows.start * channels..tile.rows.end * channels;
            let rows = TileRows {
                convolved: &self.convolved[range.clone()],
                grad: &grad[range],
                normal: take(&mut strips, strip_cells(tile.len(), channels)),
                out: take(&mut out, tile.len() * channels),
                sums: site_sums,
            };
            tasks.push((tile, panels, rows));
        }
        tasks.into_par_iter().for_each(|(tile, (hidden_grad, hidden, slope), rows)| {
            self.unrespond(tile, tiles.len(), along, &mut *hidden_grad, hidden, slope);
            self.unnormalize(tile, tiles.len(), hidden_grad, rows);
        });
        for part in site_sums.chunks_exact(3 * channels) {
            for (sum, value) in sums.sites.iter_mut().zip(part) {
                *sum += value;
            }
        }
    }

    /// Back through GRN and GELU of one of `tiles` tiles.
    fn unrespond(
        &self,
        tile: &Tile,
        tiles: usize,
        along: &GrnFactors,
        hidden_grad: &mut [Cell],
        hidden: &mut [Cell],
        slope: &[Cell],
    ) {
        let Prepared { width, grn_beta: ref beta, .. } = *self.prepared;
        let (count, images) = (tile.len(), tile.images.len());
        let image = tile.images.start * width..tile.images.end * width;
        let response = &along.response[image.clone()];
        let along = &along.along[image];
        let chunk = panels_per_task(width / PANEL, tiles);
        hidden_grad
            .par_chunks_mut(chunk * 2 * count)
            .zip(hidden.par_chunks_mut(chunk * 2 * count))
            .zip(slope.par_chunks(chunk * 2 * count))
            .enumerate()
            .for_each(|(index, ((grad, hidden), slope))| {
                let (each, first) = (count / images, index * chunk * PANEL);
                let task = GrnInputGradient {
                    each,
                    images,
                    slope,
                    response,
                    along,
                    beta,
                    first,
                    grad,
                    hidden,
                };
                dispatch(self.level, task);
            });
    }

    /// Back through the first linear layer and layer norm of one of `tiles` tiles.
    fn unnormalize(&self, tile: &Tile, tiles: usize, hidden_grad: &[Cell], to: TileRows<'_>) {
        let Prepared { channels, ref expand, .. } = *self.prepared;
        let level = self.level;
        let TileRows { convolved: x, grad, normal: strips, out, sums } = to;
        let left = Left::panels(values(hidden_grad), tile.len());
        let product = tile.len() * expand.vectors();
        let rows = x.len().div_ceil(LANES);
        with_scratch(product + 2 * rows, |cells| {
            let (product, cells) = cells.split_at_mut(product);
            let (rows, normal) = cells.split_at_mut(rows);
            let rows = &mut values_mut(rows)[..x.len()];
            let normal = &mut values_mut(normal)[..x.len()];
            multiply_all(level, left, tile, expand, tiles, product);
            dispatch(level, Gather { panels: product, channels, out: rows });
            let (bias, norm) = sums.split_at_mut(channels);
            let (dgamma, dbeta) = norm.split_at_mut(channels);
            let task = layer_norm::Backward {
                x,
                gamma: self.weights.norm_gamma,
                grad: rows,
                eps: self.setting.norm_eps,
                dx: out,
                dgamma,
                dbeta,
                again: Some((self.weights.norm_beta, &mut *normal)),
            };
            dispatch(level, task);
            dispatch(level, Strip { values: normal, columns: channels, out: strips });
            for row in grad.chunks_exact(channels) {
                for (sum, value) in bias.iter_mut().zip(row) {
                    *sum += value;
                }
            }
        });
    }

    /// The gradients of the linear layers' weights, and of the first one's bias.
    fn weights(&self, tiles: &[Tile], features: &Features<'_>, sums: &mut Sums<'_>) {
        let Prepared { channels, width, .. } = *self.prepared;
        let level = self.level;
        // Panels for each thread that isn't busy with another part of the batch.
        let chunk = panels_per_task(width / PANEL, self.prepared.parts);
        let contract = sums.contract.par_chunks_mut(chunk * 2 * channels);
        let expand = sums.expand.par_chunks_mut(chunk * 2 * channels);
        let bias = sums.expand_bias.par_chunks_mut(chunk * PANEL);
        let per_row = strip_cells(1, channels);
        let together = (CACHED_STRIPS / (2 * per_row * tiles[0].len())).max(1);
        contract.zip(expand).zip(bias).enumerate().for_each(
            |(index, ((contract, expand), bias))| {
                for tiles in tiles.chunks(together) {
                    let panels = contract.chunks_exact_mut(2 * channels);
                    let panels = panels.zip(expand.chunks_exact_mut(2 * channels));
                    let panels = panels.zip(bias.chunks_exact_mut(PANEL));
                    for (panel, ((contract, expand), bias)) in panels.enumerate() {
                        let panel = index * chunk + panel;
                        let by_responded =
                            factors(tiles, channels, panel, features.grad, features.hidden);
                        let by_hidden =
                            factors(tiles, channels, panel, features.normal, features.hidden_grad);
                        let task = AddTransposed { factors: &by_responded, sums: contract };
                        dispatch(level, task);
                        dispatch(level, AddTransposed { factors: &by_hidden, sums: expand });
                        for Factors { right, .. } in &by_hidden {
                            dispatch(level, AddRows { rows: right, sums: bias });
                        }
                    }
                }
            },
        );
    }
}

/// The rows of `tiles`: their strips, and one of the panels of their 4C features.
fn factors<'a>(
    tiles: &[Tile],
    channels: usize,
    panel: usize,
    strips: &'a [Cell],
    panels: &'a [Cell],
) -> Vec<Factors<'a>> {
    let (per_row, width) = (strip_cells(1, channels), hidden_width(channels));
    let of_tile = |tile: &Tile| {
        let first = tile.rows.start * width / LANES + panel * 2 * tile.len();
        Factors {
            left: &strips[tile.rows.start * per_row..tile.rows.end * per_row],
            right: &panels[first..first + 2 * tile.len()],
        }
    };
    tiles.iter().map(of_tile).collect()
}

/// GRN's part in the gradient with respect to the 4C features h: response · grad + along · h, each
/// `[image, H]`.
struct GrnFactors {
    response: Vec<f32>,
    along: Vec<f32>,
}

/// A tile's features after the second linear layer's backward pass, or some panels of them.
struct Reactivation<'a> {
    /// Before GELU, `[panel, image, site, 16]`.
    expanded: &'a [f32],
    /// Written: after GELU, as `expanded`.
    hidden: &'a mut [Cell],
    /// Written: the derivative of GELU, as `expanded`.
    slope: &'a mut [Cell],
    /// The gradient with respect to GRN's result, as `expanded`.
    grad: &'a mut [Cell],
    /// Written: Σ over sites of grad · hidden, `[panel, image, 16]`.
    products: &'a mut [f32],
    /// Written: Σ over sites of grad, as `products`.
    grads: &'a mut [f32],
}

impl Reactivation<'_> {
    /// Cuts pieces of `panels` panels.
    fn split(self, panels: usize, tile: &Tile) -> Vec<Self> {
        let Self { mut expanded, mut hidden, mut slope, mut grad, mut products, mut grads } = self;
        let (cells, images) = (2 * tile.len(), tile.images.len());
        let mut pieces = Vec::new();
        while !grad.is_empty() {
            let count = panels.min(grad.len() / cells);
            let (before, rest) = expanded.split_at(count * cells * LANES);
            expanded = rest;
            pieces.push(Self {
                expanded: before,
                hidden: take(&mut hidden, count * cells),
                slope: take(&mut slope, count * cells),
                grad: take(&mut grad, count * cells),
                products: take(&mut products, count * images * PANEL),
                grads: take(&mut grads, count * images * PANEL),
            });
        }
        pieces
    }
}

/// GELU and its derivative again, and what GRN's backward pass sums over the sites of each image.
struct Reactivate<'a> {
    /// Sites of an image.
    each: usize,
    task: Reactivation<'a>,
}

impl Kernel for Reactivate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Reactivation { expanded, hidden, slope, grad, products, grads } = self.task;
        let each = 2 * self.each;
        let (expanded, _) = expanded.as_chunks::<LANES>();
        let written = hidden.chunks_exact_mut(each).zip(slope.chunks_exact_mut(each));
        let read = expanded.chunks_exact(each).zip(grad.chunks_exact(each));
        let sums = products.chunks_exact_mut(PANEL).zip(grads.chunks_exact_mut(PANEL));
        for (((hidden, slope), (expanded, grad)), (products, grads)) in written.zip(read).zip(sums)
        {
            let mut product = [simd.splat(0.0); 2];
            let mut sum = [simd.splat(0.0); 2];
            let written = hidden.chunks_exact_mut(2).zip(slope.chunks_exact_mut(2));
            let read = expanded.chunks_exact(2).zip(grad.chunks_exact(2));
            for ((hidden, slope), (expanded, grad)) in written.zip(read) {
                for v in 0..2 {
                    let x = simd.load(&expanded[v]);
                    let (value, derivative) = gelu::value_and_derivative(simd, x);
                    simd.store(value, &mut hidden[v].0);
                    simd.store(derivative, &mut slope[v].0);
                    let grad = simd.load(&grad[v].0);
                    product[v] = simd.mul_add(grad, value, product[v]);
                    sum[v] = simd.add(sum[v], grad);
                }
            }
            for v in 0..2 {
                simd.store_at(product[v], products, v * LANES);
                simd.store_at(sum[v], grads, v * LANES);
            }
        }
    }
}

/// grad = (grad · response + hidden · along) · slope; hidden = hidden · response + beta
struct GrnInputGradient<'a> {
    each: usize,
    images: usize,
    /// Some panels, `[panel, image, site, 16]`.
    slope: &'a [Cell],
    /// `[image, H]`
    response: &'a [f32],
    /// `[image, H]`
    along: &'a [f32],
    /// `[H]`
    beta: &'a [f32],
    /// The first panel's first channel.
    first: usize,
    /// As `slope`.
    grad: &'a mut [Cell],
    /// As `slope`.
    hidden: &'a mut [Cell],
}

impl Kernel for GrnInputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { each, images, slope, response, along, beta, first, grad, hidden } = self;
        let (width, each) = (beta.len(), 2 * each);
        let written = grad.chunks_exact_mut(each).zip(hidden.chunks_exact_mut(each));
        for (index, ((grad, hidden), slope)) in written.zip(slope.chunks_exact(each)).enumerate() {
            let (panel, image) = (index / images, index % images);
            let channel = first + panel * PANEL;
            let response = pair(simd, response, image * width + channel);
            let along = pair(simd, along, image * width + channel);
            let beta = pair(simd, beta, channel);
            let written = grad.chunks_exact_mut(2).zip(hidden.chunks_exact_mut(2));
            for ((grad, hidden), slope) in written.zip(slope.chunks_exact(2)) {
                for v in 0..2 {
                    let through = simd.mul(simd.load(&grad[v].0), response[v]);
                    let value = simd.load(&hidden[v].0);
                    let total = simd.mul_add(value, along[v], through);
                    simd.store(simd.mul(total, simd.load(&slope[v].0)), &mut grad[v].0);
                    simd.store(simd.mul_add(value, response[v], beta[v]), &mut hidden[v].0);
                }
            }
        }
    }
}

/// A product's panels to rows of `channels` values.
struct Gather<'a> {
    panels: &'a [Cell],
    channels: usize,
    out: &'a mut [f32],
}

impl Kernel for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { panels, channels, out } = self;
        let rows = out.len() / channels;
        for (row, out) in out.chunks_exact_mut(channels).enumerate() {
            for (first, vectors) in widths(channels.div_ceil(LANES)) {
                for v in 0..vectors {
                    let cell = &panels[first * rows + row * vectors + v];
                    simd.store_at(simd.load(&cell.0), out, (first + v) * LANES);
                }
            }
        }
    }
}

/// sums += Σ over rows, of one panel.
struct AddRows<'a> {
    rows: &'a [Cell],
    sums: &'a mut [f32],
}

impl Kernel for AddRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut sums = pair(simd, self.sums, 0);
        for row in self.rows.chunks_exact(2) {
            for v in 0..2 {
                sums[v] = simd.add(sums[v], simd.load(&row[v].0));
            }
        }
        for (v, sum) in sums.into_iter().enumerate() {
            simd.store_at(sum, self.sums, v * LANES);
        }
    }
}
