//! The operations as their formulas read, in double precision.

use fcmae_kernels::grn::{Aggregation, Normalization, Variant};

/// The masked-dense depthwise convolution of one image `[H, W, C]`: input and output multiplied by
/// the mask `[H, W]`.
pub(crate) fn depthwise(
    x: &[f64],
    weight: &[f64],
    bias: &[f64],
    mask: &[bool],
    (height, width): (usize, usize),
    channels: usize,
) -> Vec<f64> {
    let mut out = vec![0.0; x.len()];
    for_taps(mask, (height, width), |site, tap, neighbour| {
        for c in 0..channels {
            out[site * channels + c] += weight[c * 49 + tap] * x[neighbour * channels + c];
        }
    });
    for (site, _) in mask.iter().enumerate().filter(|(_, visible)| **visible) {
        for c in 0..channels {
            out[site * channels + c] += bias[c];
        }
    }
    out
}

/// The gradients of [`depthwise`]: with respect to x, weight and bias.
pub(crate) fn depthwise_gradients(
    x: &[f64],
    weight: &[f64],
    grad: &[f64],
    mask: &[bool],
    (height, width): (usize, usize),
    channels: usize,
) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let mut dx = vec![0.0; x.len()];
    let mut dweight = vec![0.0; weight.len()];
    let mut dbias = vec![0.0; channels];
    for_taps(mask, (height, width), |site, tap, neighbour| {
        for c in 0..channels {
            let grad = grad[site * channels + c];
            dx[neighbour * channels + c] += weight[c * 49 + tap] * grad;
            dweight[c * 49 + tap] += x[neighbour * channels + c] * grad;
        }
    });
    for (site, _) in mask.iter().enumerate().filter(|(_, visible)| **visible) {
        for c in 0..channels {
            dbias[c] += grad[site * channels + c];
        }
    }
    (dx, dweight, dbias)
}

/// Calls `visit(site, tap, neighbour)` for every visible site and visible neighbour.
fn for_taps(
    mask: &[bool],
    (height, width): (usize, usize),
    mut visit: impl FnMut(usize, usize, usize),
) {
    for y in 0..height {
        for x in 0..width {
            for tap in 0..49 {
                let (ny, nx) = ((y + tap / 7).wrapping_sub(3), (x + tap % 7).wrapping_sub(3));
                if ny < height && nx < width && mask[y * width + x] && mask[ny * width + nx] {
                    visit(y * width + x, tap, ny * width + nx);
                }
            }
        }
    }
}

pub(crate) fn layer_norm(x: &[f64], gamma: &[f64], beta: &[f64], eps: f64) -> Vec<f64> {
    let channels = gamma.len();
    let normalize = |row: &[f64]| {
        let mean = row.iter().sum::<f64>() / channels as f64;
        let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / channels as f64;
        let row: Vec<f64> = row.iter().map(|v| (v - mean) / (variance + eps).sqrt()).collect();
        row.iter().zip(gamma).zip(beta).map(|((v, g), b)| v * g + b).collect::<Vec<f64>>()
    };
    x.chunks_exact(channels).flat_map(normalize).collect()
}

/// The error function: its Maclaurin series, for large arguments the continued fraction of erfc.
pub(crate) fn erf(x: f64) -> f64 {
    let square = x * x;
    if x.abs() < 3.0 {
        let mut term = x;
        let mut sum = x;
        for n in 1..200 {
            term *= -square / n as f64;
            sum += term / (2 * n + 1) as f64;
        }
        return sum * 2.0 / std::f64::consts::PI.sqrt();
    }
    let mut fraction = x.abs();
    for n in (1..200).rev() {
        fraction = x.abs() + n as f64 / 2.0 / fraction;
    }
    (1.0 - (-square).exp() / (fraction * std::f64::consts::PI.sqrt())).copysign(x)
}

pub(crate) fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2))
}

pub(crate) fn gelu_derivative(x: f64) -> f64 {
    let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    0.5 * (1.0 + erf(x / std::f64::consts::SQRT_2)) + x * density
}

pub(crate) fn gelu_grn(
    x: &[f64],
    gamma: &[f64],
    beta: &[f64],
    images: usize,
    eps: f64,
) -> Vec<f64> {
    let channels = gamma.len();
    let mut out = Vec::with_capacity(x.len());
    for x in x.chunks_exact(x.len() / images) {
        let h: Vec<f64> = x.iter().map(|&x| gelu(x)).collect();
        let norm: Vec<f64> = (0..channels)
            .map(|c| h.iter().skip(c).step_by(channels).map(|h| h * h).sum::<f64>().sqrt())
            .collect();
        let mean = norm.iter().sum::<f64>() / channels as f64;
        out.extend(h.iter().enumerate().map(|(i, h)| {
            let c = i % channels;
            gamma[c] * (h * norm[c] / (mean + eps)) + beta[c] + h
        }));
    }
    out
}

/// N of a variant of GRN, `[N, C]`. A root's argument is no smaller than the smallest `f32`.
pub(crate) fn grn_response(
    h: &[f64],
    channels: usize,
    kind: &Variant,
    images: usize,
    eps: f64,
) -> Vec<f64> {
    let root = |squares: f64| squares.max(f64::from(f32::MIN_POSITIVE)).sqrt();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let mut response = Vec::new();
    for h in h.chunks_exact(h.len() / images) {
        let mut g = Vec::new();
        for c in 0..channels {
            let channel: Vec<f64> = h.iter().skip(c).step_by(channels).copied().collect();
            g.push(match kind.aggregation {
                Aggregation::L2 => root(channel.iter().map(|h| h.powi(2)).sum()),
                Aggregation::L1 => channel.iter().map(|h| h.abs()).sum(),
                Aggregation::Average => mean(&channel),
            });
        }
        let total = g.iter().sum::<f64>();
        let centred: Vec<f64> = g.iter().map(|value| value - mean(&g)).collect();
        let squares: Vec<f64> = centred.iter().map(|c| c.powi(2)).collect();
        response.extend((0..channels).map(|c| match kind.normalization {
            Normalization::Mean => g[c] / (mean(&g) + eps),
            Normalization::Inverse => 1.0 / (total + eps),
            Normalization::Sum => g[c] / (total + eps),
            Normalization::Standardize => centred[c] / (root(mean(&squares)) + eps),
        }));
    }
    response
}

pub(crate) fn grn_variant(
    h: &[f64],
    gamma: &[f64],
    beta: &[f64],
    images: usize,
    kind: &Variant,
    eps: f64,
) -> Vec<f64> {
    let channels = gamma.len();
    let response = grn_response(h, channels, kind, images, eps);
    let image = h.len() / images;
    let value = |(i, h): (usize, &f64)| {
        let (n, c) = (i / image, i % channels);
        gamma[c] * (h * response[n * channels + c]) + beta[c] + if kind.skip { *h } else { 0.0 }
    };
    h.iter().enumerate().map(value).collect()
}

/// Of each row of `classes` values.
pub(crate) fn log_softmax(logits: &[f64], classes: usize) -> Vec<f64> {
    let row = |row: &[f64]| {
        let sum: f64 = row.iter().map(|x| x.exp()).sum();
        row.iter().map(|x| (x.exp() / sum).ln()).collect::<Vec<f64>>()
    };
    logits.chunks_exact(classes).flat_map(row).collect()
}

/// a `[m, k]` times b `[k, n]`, both given by their element.
pub(crate) fn product(
    (m, k, n): (usize, usize, usize),
    a: impl Fn(usize, usize) -> f64,
    b: impl Fn(usize, usize) -> f64,
) -> Vec<f64> {
    let mut out = Vec::with_capacity(m * n);
    for i in 0..m {
        for j in 0..n {
            out.push((0..k).map(|l| a(i, l) * b(l, j)).sum());
        }
    }
    out
}
