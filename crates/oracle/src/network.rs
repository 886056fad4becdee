//! The network's operations, each once, as its formula reads. Features are `[N, S, C]`: images,
//! sites, channels.

use std::f64::consts::FRAC_1_SQRT_2;

use crate::Var;
use crate::array::indices;

/// Where the sites of features `[N, S, C]` lie in whole images.
#[derive(Clone, Debug)]
pub struct Sites {
    /// N, H and W of the whole images.
    extent: [usize; 3],
    /// Row of `[N·H·W, C]` of each of the N·S sites.
    places: Vec<usize>,
}

impl Sites {
    /// Every site, row-major.
    pub fn grid(images: usize, [height, width]: [usize; 2]) -> Self {
        let places = (0..images * height * width).collect();
        Self { extent: [images, height, width], places }
    }

    /// Only the `visible` patches (row · cols + col), V of each image in turn, of this grid of
    /// [rows, cols]; each is side × side sites, row-major within the patch.
    pub fn patches(grid: [usize; 2], side: usize, per_image: usize, visible: &[usize]) -> Self {
        let [height, width] = grid.map(|patches| patches * side);
        let mut places = Vec::new();
        for (i, patch) in visible.iter().enumerate() {
            let (top, left) = (patch / grid[1] * side, patch % grid[1] * side);
            let place = |[y, x]: [usize; 2]| (i / per_image * height + top + y) * width + left + x;
            places.extend(indices([side, side]).map(place));
        }
        Self { extent: [visible.len() / per_image, height, width], places }
    }

    /// The sites of one image, S.
    pub fn per_image(&self) -> usize {
        self.places.len() / self.extent[0]
    }
}

/// Depthwise 7×7 convolution with zero padding 3, hidden sites counting as zeros. `x [N, S, C]`,
/// `weight [C, 1, 7, 7]`, `bias [C]`.
pub fn depthwise(x: &Var, weight: &Var, bias: &Var, sites: &Sites) -> Var {
    let ([images, height, width], channels) = (sites.extent, weight.shape()[0]);
    let count = images * height * width;
    let rows = x.reshape(&[sites.places.len(), channels]).scatter_rows(&sites.places, count);
    let dense = rows.reshape(&[images, height, width, channels]).permute(&[0, 3, 1, 2]);
    let dense = dense.conv2d(weight, 1, 3).permute(&[0, 2, 3, 1]);
    dense.reshape(&[count, channels]).rows(&sites.places).reshape(x.shape()) + bias
}

/// `x·Wᵀ + b`. `x [.., I]`, `weight [O, I]`, `bias [O]`.
pub fn linear(x: &Var, weight: &Var, bias: &Var) -> Var {
    let [shape @ .., inputs] = x.shape() else { panic!("features have dimensions") };
    let product = x.reshape(&[shape.iter().product(), *inputs]).matmul(&weight.permute(&[1, 0]));
    product.reshape(&[shape, &[weight.shape()[0]]].concat()) + bias
}

/// A convolution whose stride is its kernel. `x [P, H, W, I]`, `weight [O, I, k, k]`, `bias [O]`, to
/// `[P, H/k, W/k, O]`.
pub fn window_convolution(x: &Var, weight: &Var, bias: &Var) -> Var {
    let out = x.permute(&[0, 3, 1, 2]).conv2d(weight, weight.shape()[2], 0);
    out.permute(&[0, 2, 3, 1]) + bias
}

/// A window convolution's `weight [O, I, k, k]` as a matrix for the windows of [`space_to_depth`]:
/// `[O, k·k·I]`.
pub fn window_weight(weight: &Var) -> Var {
    let (outputs, count) = (weight.shape()[0], weight.values().len());
    weight.permute(&[0, 2, 3, 1]).reshape(&[outputs, count / outputs])
}

/// Layer norm over the last dimension: `(x − mean) / √(variance + eps) · gamma + beta`, the variance
/// divided by the number of channels. `x [.., C]`, `gamma [C]`, `beta [C]`.
pub fn layer_norm(x: &Var, gamma: &Var, beta: &Var, eps: f64) -> Var {
    let channels = [x.shape().len() - 1];
    let centred = x - x.mean(&channels);
    let variance = (&centred * &centred).mean(&channels);
    centred / (variance + eps).sqrt() * gamma + beta
}

/// The exact GELU, `x·Φ(x)`; with erfc, so that it keeps its digits far below zero.
pub fn gelu(x: &Var) -> Var {
    x * (x * -FRAC_1_SQRT_2).erfc() * 0.5
}

/// How GRN gathers a channel's response over an image's sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregation {
    /// The L2 norm.
    L2,
    /// The L1 norm.
    L1,
    /// The mean.
    Average,
}

/// How GRN relates a channel's response G to the others'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalization {
    /// `G / (mean(G) + eps)`.
    Mean,
    /// `1 / (sum(G) + eps)`.
    Inverse,
    /// `G / (sum(G) + eps)`.
    Sum,
    /// `(G − mean(G)) / (std(G) + eps)`, the population standard deviation over channels.
    Standardize,
}

/// A variant of Global Response Normalization (ConvNeXt V2, section 3.2 and table 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grn {
    /// How a channel's response is gathered.
    pub aggregation: Aggregation,
    /// How responses are related to each other.
    pub normalization: Normalization,
    /// Whether the input is added to the output.
    pub skip: bool,
}

impl Grn {
    /// The variant of the published networks.
    pub const PUBLISHED: Self =
        Self { aggregation: Aggregation::L2, normalization: Normalization::Mean, skip: true };
}

/// GRN over each image's sites: `gamma · (x · response) + beta`, and `+ x` with the skip.
/// `x [N, S, C]`, `gamma [C]`, `beta [C]`.
pub fn grn(x: &Var, gamma: &Var, beta: &Var, variant: Grn, eps: f64) -> Var {
    let gathered = match variant.aggregation {
        Aggregation::L2 => root((x * x).sum(&[1])),
        Aggregation::L1 => x.abs().sum(&[1]),
        Aggregation::Average => x.mean(&[1]),
    };
    let response = match variant.normalization {
        Normalization::Mean => &gathered / (gathered.mean(&[2]) + eps),
        Normalization::Inverse => Var::from(1.0) / (gathered.sum(&[2]) + eps),
        Normalization::Sum => &gathered / (gathered.sum(&[2]) + eps),
        Normalization::Standardize => {
            let centred = &gathered - gathered.mean(&[2]);
            let deviation = root((&centred * &centred).mean(&[2]));
            centred / (deviation + eps)
        }
    };
    let scaled = gamma * (x * response) + beta;
    if variant.skip { scaled + x } else { scaled }
}

/// The square root of a sum of squares, whose gradient is zero where it is zero.
fn root(squares: Var) -> Var {
    squares.clamp_min(f64::from(f32::MIN_POSITIVE)).sqrt()
}

/// `shortcut + scale[n] · branch`, both `[N, S, C]`; without a scale the plain sum.
pub fn residual(shortcut: &Var, branch: &Var, scale: Option<&[f64]>) -> Var {
    match scale {
        None => shortcut + branch,
        Some(scale) => shortcut + branch * Var::new(&[scale.len(), 1, 1], scale.iter().copied()),
    }
}

/// A block; each layer is its weight and its bias.
#[derive(Clone)]
pub struct Block {
    /// `[C, 1, 7, 7]` and `[C]`.
    pub depthwise: [Var; 2],
    /// Gamma and beta, `[C]` each.
    pub norm: [Var; 2],
    /// `[4C, C]` and `[4C]`.
    pub expand: [Var; 2],
    /// GRN and its gamma and beta, `[4C]` each; V1 has none.
    pub grn: Option<(Grn, [Var; 2])>,
    /// `[C, 4C]` and `[C]`.
    pub contract: [Var; 2],
    /// V1's layer scale `[C]`, after the second linear layer; V2 has none.
    pub layer_scale: Option<Var>,
}

impl Block {
    /// `x [N, S, C]` to the same; `eps` are layer norm's and GRN's.
    pub fn forward(&self, x: &Var, sites: &Sites, scale: Option<&[f64]>, eps: [f64; 2]) -> Var {
        let Self { depthwise: [filter, filter_bias], norm: [gamma, beta], .. } = self;
        let y = layer_norm(&depthwise(x, filter, filter_bias, sites), gamma, beta, eps[0]);
        let mut y = gelu(&linear(&y, &self.expand[0], &self.expand[1]));
        if let Some((variant, [gamma, beta])) = &self.grn {
            y = grn(&y, gamma, beta, *variant, eps[1]);
        }
        y = linear(&y, &self.contract[0], &self.contract[1]);
        if let Some(layer_scale) = &self.layer_scale {
            y = y * layer_scale;
        }
        residual(x, &y, scale)
    }
}

/// Cuts `[P, H, W, C]` into windows of `k × k`: `[P, H/k, W/k, k·k·C]`, channel fastest.
pub fn space_to_depth(x: &Var, k: usize) -> Var {
    let [p, h, w, c] = x.sizes();
    let windows = x.reshape(&[p, h / k, k, w / k, k, c]).permute(&[0, 1, 3, 2, 4, 5]);
    windows.reshape(&[p, h / k, w / k, k * k * c])
}

/// The inverse of [`space_to_depth`].
pub fn depth_to_space(x: &Var, k: usize) -> Var {
    let [p, h, w, values] = x.sizes();
    let c = values / (k * k);
    x.reshape(&[p, h, w, k, k, c]).permute(&[0, 1, 3, 2, 4, 5]).reshape(&[p, h * k, w * k, c])
}

/// The mean over sites: `[N, S, C]` to `[N, C]`.
pub fn pool(x: &Var) -> Var {
    x.mean(&[1]).reshape(&[x.shape()[0], x.shape()[2]])
}

/// Each row of `x [R, D]` minus its mean, over `√(unbiased variance + eps)`; a row of one value counts
/// as constant.
pub fn standardize_rows(x: &Var, eps: f64) -> Var {
    let freedom = x.shape()[1].saturating_sub(1).max(1);
    let centred = x - x.mean(&[1]);
    let variance = (&centred * &centred).sum(&[1]) / freedom as f64;
    centred / (variance + eps).sqrt()
}

/// The mean of `(a − b)²` over all values.
pub fn mean_squared_difference(a: &Var, b: &Var) -> Var {
    let difference = a - b;
    (&difference * &difference).total() / difference.values().len() as f64
}

/// The mean of `1 − cos` over the rows of two `[R, D]`.
pub fn cosine_distance(a: &Var, b: &Var) -> Var {
    let products = |x: &Var, y: &Var| (x * y).sum(&[1]);
    let cosines = products(a, b) / (products(a, a) * products(b, b)).sqrt();
    cosines.total() / -(a.shape()[0] as f64) + 1.0
}

/// Logarithms of the classes' probabilities by logits `[N, K]`.
pub fn log_softmax(logits: &Var) -> Var {
    // Subtracting a row's largest logit keeps exp finite and changes neither value nor gradient.
    let rows = logits.values().chunks(logits.shape()[1]);
    let largest = rows.map(|row| row.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    let shifted = logits - Var::new(&[logits.shape()[0], 1], largest);
    &shifted - shifted.exp().sum(&[1]).ln()
}

/// Cross entropy of logits `[N, K]` against target probabilities `[N, K]`, mean over images.
pub fn soft_cross_entropy(logits: &Var, targets: &Var) -> Var {
    (log_softmax(logits) * targets).total() / -(logits.shape()[0] as f64)
}
