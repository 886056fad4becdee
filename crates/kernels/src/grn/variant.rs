use rayon::prelude::*;

use super::image_values;
use crate::Gradients;
use crate::error::{KernelError, check_length};
use crate::tasks::{add_parts, rows_per_task};

/// How a channel's features are gathered over the sites of an image, G.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregation {
    /// √(Σ h²)
    L2,
    /// Σ |h|
    L1,
    /// The mean of h.
    Average,
}

/// How the channels' G are set in relation to each other, N.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalization {
    /// G over (its mean over channels + eps).
    Mean,
    /// 1 over (the sum of G over channels + eps), for all channels the same.
    Inverse,
    /// G over (its sum over channels + eps).
    Sum,
    /// G minus its mean over channels, over (its standard deviation, that of all channels, + eps).
    Standardize,
}

/// A variant of global response normalization. The published one is L2, mean, with the skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// G.
    pub aggregation: Aggregation,
    /// N.
    pub normalization: Normalization,
    /// Whether h is added to the output.
    pub skip: bool,
}

/// A variant of GRN of the features `h`, `[N, S, C]`, with N = `images` and C the length of `gamma`:
/// gamma_c · (h_c · N_c) + beta_c, plus h_c with the skip. GELU is not part of it. For ablations: what
/// is of whole channels is in double precision, which is slower than [`gelu_grn`](super::gelu_grn).
///
/// # Errors
/// Where lengths don't fit.
pub fn variant(
    h: &[f32],
    gamma: &[f32],
    beta: &[f32],
    images: usize,
    variant: &Variant,
    eps: f32,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let operation = "grn::variant";
    let channels = gamma.len();
    let image = image_values(operation, "h", h, images, channels)?;
    check_length(operation, "beta", beta.len(), channels)?;
    check_length(operation, "out", out.len(), h.len())?;
    let task = rows_per_task(channels) * channels;
    h.par_chunks(image).zip(out.par_chunks_mut(image)).for_each(|(h, out)| {
        let response = Response::new(&gather(h, channels, variant.aggregation), variant, eps);
        let scale = response.scale(gamma, variant.skip);
        out.par_chunks_mut(task).zip(h.par_chunks(task)).for_each(|(out, h)| {
            for (out, h) in out.chunks_exact_mut(channels).zip(h.chunks_exact(channels)) {
                for (((out, h), scale), beta) in out.iter_mut().zip(h).zip(&scale).zip(beta) {
                    *out = h * scale + beta;
                }
            }
        });
    });
    Ok(())
}

/// The gradients of [`variant()`], from the gradient `grad` with respect to its output; `gradients.x`
/// is that with respect to `h`. Where Σ h² or the variance over channels is zero (below the smallest
/// normal number), its root has the subgradient 0, and so has |h| where h is zero: silent channels
/// and images have finite gradients.
///
/// # Errors
/// Where lengths don't fit.
pub fn variant_backward(
    h: &[f32],
    gamma: &[f32],
    grad: &[f32],
    images: usize,
    variant: &Variant,
    eps: f32,
    gradients: Gradients<'_>,
) -> Result<(), KernelError> {
    let operation = "grn::variant_backward";
    let channels = gamma.len();
    let image = image_values(operation, "h", h, images, channels)?;
    check_length(operation, "grad", grad.len(), h.len())?;
    check_length(operation, "gradients.x", gradients.x.len(), h.len())?;
    check_length(operation, "gradients.gamma", gradients.gamma.len(), channels)?;
    check_length(operation, "gradients.beta", gradients.beta.len(), channels)?;
    let mut gamma_parts = vec![0.0; images * channels];
    let mut beta_parts = vec![0.0; images * channels];
    h.par_chunks(image)
        .zip(grad.par_chunks(image))
        .zip(gradients.x.par_chunks_mut(image))
        .zip(gamma_parts.par_chunks_mut(channels).zip(beta_parts.par_chunks_mut(channels)))
        .for_each(|(((h, grad), dh), (dgamma, dbeta))| {
            image_backward(variant, eps, Image { h, gamma, grad, dh, dgamma, dbeta });
        });
    gradients.gamma.fill(0.0);
    gradients.beta.fill(0.0);
    add_parts(&gamma_parts, gradients.gamma);
    add_parts(&beta_parts, gradients.beta);
    Ok(())
}

/// One image's slices, `[S, C]` and `[C]`.
struct Image<'a> {
    h: &'a [f32],
    gamma: &'a [f32],
    grad: &'a [f32],
    dh: &'a mut [f32],
    dgamma: &'a mut [f32],
    dbeta: &'a mut [f32],
}

/// With D_c = Σ over sites of grad_c · h_c: dgamma_c = D_c · N_c, dbeta_c = Σ grad_c,
/// dN_c = gamma_c · D_c, and dG from it by the normalization's formula. Then
/// dh_c = grad_c · (gamma_c · N_c, plus 1 with the skip) + dG_c · (the derivative of G_c by h_c).
fn image_backward(variant: &Variant, eps: f32, image: Image<'_>) {
    let Image { h, gamma, grad, dh, dgamma, dbeta } = image;
    let channels = gamma.len();
    let sums = gather(h, channels, variant.aggregation);
    let products = channel_sums(h, grad, channels, |h, grad| h * grad);
    let grads = channel_sums(grad, grad, channels, |grad, _| grad);
    let response = Response::new(&sums, variant, eps);
    for c in 0..channels {
        dgamma[c] = (products[c] * response.normalized[c]) as f32;
        dbeta[c] = grads[c] as f32;
    }
    let dn: Vec<f64> = products.iter().zip(gamma).map(|(d, &g)| f64::from(g) * d).collect();
    let dg = response.gradient(&dn, variant.normalization);
    // What the derivative of G is multiplied with.
    let along: Vec<f32> = (0..channels)
        .map(|c| match variant.aggregation {
            Aggregation::L2 if sums[c] < SMALLEST => 0.0,
            Aggregation::L2 => dg[c] / response.gathered[c],
            Aggregation::L1 => dg[c],
            Aggregation::Average => dg[c] * channels as f64 / h.len() as f64,
        } as f32)
        .collect();
    let scale = response.scale(gamma, variant.skip);
    let factors = Factors { scale: &scale, along: &along };
    match variant.aggregation {
        Aggregation::L2 => factors.apply(h, grad, dh, |h| h),
        Aggregation::L1 => factors.apply(h, grad, dh, sign),
        Aggregation::Average => factors.apply(h, grad, dh, |_| 1.0),
    }
}

/// By channel, `[C]`.
struct Factors<'a> {
    scale: &'a [f32],
    along: &'a [f32],
}

impl Factors<'_> {
    /// dh = grad · scale + derivative(h) · along
    fn apply(
        &self,
        h: &[f32],
        grad: &[f32],
        dh: &mut [f32],
        derivative: impl Fn(f32) -> f32 + Sync,
    ) {
        let channels = self.scale.len();
        let task = rows_per_task(channels) * channels;
        dh.par_chunks_mut(task).zip(h.par_chunks(task)).zip(grad.par_chunks(task)).for_each(
            |((dh, h), grad)| {
                let sites = dh.chunks_exact_mut(channels).zip(h.chunks_exact(channels));
                for ((dh, h), grad) in sites.zip(grad.chunks_exact(channels)) {
                    let factors = self.scale.iter().zip(self.along);
                    for (((dh, &h), grad), (scale, along)) in
                        dh.iter_mut().zip(h).zip(grad).zip(factors)
                    {
                        *dh = grad * scale + derivative(h) * along;
                    }
                }
            },
        );
    }
}

/// −1, 0 or 1.
fn sign(h: f32) -> f32 {
    f32::from(i8::from(h > 0.0) - i8::from(h < 0.0))
}

/// Below it a root's argument counts as zero.
const SMALLEST: f64 = f32::MIN_POSITIVE as f64;

/// The root of a sum of squares.
fn root(squares: f64) -> f64 {
    if squares < SMALLEST { SMALLEST.sqrt() } else { squares.sqrt() }
}

/// Σ h², Σ |h| or the mean of h over the sites of one image, `[C]`.
fn gather(h: &[f32], channels: usize, aggregation: Aggregation) -> Vec<f64> {
    let sites = (h.len() / channels) as f64;
    match aggregation {
        Aggregation::L2 => channel_sums(h, h, channels, |h, _| h * h),
        Aggregation::L1 => channel_sums(h, h, channels, |h, _| h.abs()),
        Aggregation::Average => channel_sums(h, h, channels, |h, _| h / sites),
    }
}

/// Σ over the sites of one image of term(a, b), `[C]`.
fn channel_sums(
    a: &[f32],
    b: &[f32],
    channels: usize,
    term: impl Fn(f64, f64) -> f64 + Sync,
) -> Vec<f64> {
    let task = rows_per_task(channels) * channels;
    let mut parts = vec![0.0; a.len().div_ceil(task) * channels];
    a.par_chunks(task).zip(b.par_chunks(task)).zip(parts.par_chunks_mut(channels)).for_each(
        |((a, b), sums)| {
            for (a, b) in a.chunks_exact(channels).zip(b.chunks_exact(channels)) {
                for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
                    *sum += term(f64::from(a), f64::from(b));
                }
            }
        },
    );
    let mut sums = vec![0.0; channels];
    for part in parts.chunks_exact(channels) {
        for (sum, part) in sums.iter_mut().zip(part) {
            *sum += part;
        }
    }
    sums
}

/// The channels of one image in relation to each other.
struct Response {
    /// G, `[C]`.
    gathered: Vec<f64>,
    /// N, `[C]`.
    normalized: Vec<f64>,
    /// What N is divided by, eps included.
    divisor: f64,
    /// The standard deviation over channels, if that is asked for and has a gradient.
    deviation: Option<f64>,
}

impl Response {
    /// From what [`gather`] returns.
    fn new(sums: &[f64], variant: &Variant, eps: f32) -> Self {
        let (channels, eps) = (sums.len() as f64, f64::from(eps));
        let gathered: Vec<f64> = match variant.aggregation {
            Aggregation::L2 => sums.iter().map(|&squares| root(squares)).collect(),
            Aggregation::L1 | Aggregation::Average => sums.to_vec(),
        };
        let total: f64 = gathered.iter().sum();
        let over = |divisor: f64| gathered.iter().map(|g| g / divisor).collect();
        let mut deviation = None;
        let (normalized, divisor) = match variant.normalization {
            Normalization::Mean => {
                let divisor = total / channels + eps;
                (over(divisor), divisor)
            }
            Normalization::Inverse => {
                let divisor = total + eps;
                (vec![1.0 / divisor; sums.len()], divisor)
            }
            Normalization::Sum => {
                let divisor = total + eps;
                (over(divisor), divisor)
            }
            Normalization::Standardize => {
                let mean = total / channels;
                let variance = gathered.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / channels;
                deviation = (variance >= SMALLEST).then(|| root(variance));
                let divisor = root(variance) + eps;
                (gathered.iter().map(|g| (g - mean) / divisor).collect(), divisor)
            }
        };
        Self { gathered, normalized, divisor, deviation }
    }

    /// What h is multiplied with, gamma · N, plus 1 with the skip, `[C]`.
    fn scale(&self, gamma: &[f32], skip: bool) -> Vec<f32> {
        let skip = f64::from(u8::from(skip));
        let pairs = self.normalized.iter().zip(gamma);
        pairs.map(|(n, &gamma)| (f64::from(gamma) * n + skip) as f32).collect()
    }

    /// dG from dN, with d the divisor:
    /// mean: dN_c / d − Σ dN · G / (C · d²); sum: dN_c / d − Σ dN · G / d²; inverse: −Σ dN / d²;
    /// standardize: with u_c = (dN_c − N_c · Σ dN · N · d / (C · deviation)) / d, u_c − its mean.
    fn gradient(&self, dn: &[f64], normalization: Normalization) -> Vec<f64> {
        let (channels, divisor) = (dn.len() as f64, self.divisor);
        let weighted: f64 = dn.iter().zip(&self.normalized).map(|(dn, n)| dn * n).sum();
        match normalization {
            Normalization::Mean => {
                dn.iter().map(|dn| (dn - weighted / channels) / divisor).collect()
            }
            Normalization::Sum => dn.iter().map(|dn| (dn - weighted) / divisor).collect(),
            // N is 1 / d.
            Normalization::Inverse => vec![-weighted / divisor; dn.len()],
            Normalization::Standardize => {
                let shared = self
                    .deviation
                    .map_or(0.0, |deviation| weighted * divisor / (channels * deviation));
                let pairs = dn.iter().zip(&self.normalized);
                let mut dg: Vec<f64> = pairs.map(|(dn, n)| (dn - shared * n) / divisor).collect();
                let mean = dg.iter().sum::<f64>() / channels;
                dg.iter_mut().for_each(|dg| *dg -= mean);
                dg
            }
        }
    }
}
