//! GELU and global response normalization of the block's 4C features, in one.
//!
//! With h = gelu(x) of one image, `[S, C]`: G_c = √(Σ over sites of h_c²), N_c = G_c / (mean of G +
//! eps), out = gamma_c · (h_c · N_c) + beta_c + h_c. The norm is of each image alone: over all its
//! sites, or its visible ones.
//!
//! Of the features after GELU there are variants: [`variant()`].

mod variant;

use rayon::prelude::*;

use crate::Gradients;
use crate::error::{KernelError, check_length, check_multiple, product};
use crate::gelu;
use crate::simd::{self, Kernel, LANES, Level, Simd, dispatch};
use crate::tasks::{add_parts, rows_per_task};

pub use variant::{Aggregation, Normalization, Variant, variant, variant_backward};

/// GRN of GELU of `x`, `[N, S, C]`, with N = `images` and C the length of `gamma`.
///
/// # Errors
/// Where lengths don't fit.
pub fn gelu_grn(
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    images: usize,
    eps: f32,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let operation = "gelu_grn";
    let channels = gamma.len();
    let image = image_values(operation, "x", x, images, channels)?;
    check_length(operation, "beta", beta.len(), channels)?;
    check_length(operation, "out", out.len(), x.len())?;
    let level = simd::level();
    let task = rows_per_task(channels) * channels;
    x.par_chunks(image).zip(out.par_chunks_mut(image)).for_each(|(x, out)| {
        let mut parts = vec![0.0; image.div_ceil(task) * channels];
        x.par_chunks(task)
            .zip(out.par_chunks_mut(task))
            .zip(parts.par_chunks_mut(channels))
            .for_each(|((x, out), squares)| dispatch(level, GeluSquares { x, out, squares }));
        let mut squares = vec![0.0; channels];
        add_parts(&parts, &mut squares);
        let norm = Norm::new(&squares, eps);
        // out = h · (1 + gamma · N) + beta
        let scale = norm.response(gamma);
        out.par_chunks_mut(task)
            .for_each(|out| dispatch(level, ScaleShift { out, scale: &scale, shift: beta }));
    });
    Ok(())
}

/// The gradients of [`gelu_grn`], from the gradient `grad` with respect to its output. GELU and
/// norms are computed again from `x`. Where a channel is zero at all sites of an image, the norm's
/// subgradient 0 is taken, so that all is finite.
///
/// # Errors
/// Where lengths don't fit.
pub fn gelu_grn_backward(
    x: &[f32],
    gamma: &[f32],
    grad: &[f32],
    images: usize,
    eps: f32,
    gradients: Gradients<'_>,
) -> Result<(), KernelError> {
    let operation = "gelu_grn_backward";
    let channels = gamma.len();
    let image = image_values(operation, "x", x, images, channels)?;
    check_length(operation, "grad", grad.len(), x.len())?;
    check_length(operation, "gradients.x", gradients.x.len(), x.len())?;
    check_length(operation, "gradients.gamma", gradients.gamma.len(), channels)?;
    check_length(operation, "gradients.beta", gradients.beta.len(), channels)?;
    let level = simd::level();
    let mut gamma_parts = vec![0.0; images * channels];
    let mut beta_parts = vec![0.0; images * channels];
    x.par_chunks(image)
        .zip(grad.par_chunks(image))
        .zip(gradients.x.par_chunks_mut(image))
        .zip(gamma_parts.par_chunks_mut(channels).zip(beta_parts.par_chunks_mut(channels)))
        .for_each(|(((x, grad), dx), (dgamma, dbeta))| {
            image_backward(level, Image { x, gamma, grad, eps, dx, dgamma, dbeta });
        });
    gradients.gamma.fill(0.0);
    gradients.beta.fill(0.0);
    add_parts(&gamma_parts, gradients.gamma);
    add_parts(&beta_parts, gradients.beta);
    Ok(())
}

/// Checks the features and returns the values of one image, S · C.
fn image_values(
    operation: &'static str,
    argument: &'static str,
    values: &[f32],
    images: usize,
    channels: usize,
) -> Result<usize, KernelError> {
    let row = product(operation, &[images, channels])?;
    Ok(check_multiple(operation, argument, values.len(), row)? * channels)
}

/// The norms of one image.
pub(crate) struct Norm {
    /// G, `[C]`.
    pub(crate) norm: Vec<f32>,
    /// N = G / (mean of G + eps), `[C]`.
    pub(crate) normalized: Vec<f32>,
    /// 1 / (mean of G + eps)
    pub(crate) scale: f32,
}

impl Norm {
    pub(crate) fn new(squares: &[f32], eps: f32) -> Self {
        let norm: Vec<f32> = squares.iter().map(|square| square.sqrt()).collect();
        let mean = norm.iter().map(|&norm| f64::from(norm)).sum::<f64>() / norm.len() as f64;
        let scale = 1.0 / (mean as f32 + eps);
        let normalized = norm.iter().map(|norm| norm * scale).collect();
        Self { norm, normalized, scale }
    }

    /// What h is multiplied with, 1 + gamma · N, `[C]`.
    pub(crate) fn response(&self, gamma: &[f32]) -> Vec<f32> {
        self.normalized.iter().zip(gamma).map(|(n, gamma)| 1.0 + gamma * n).collect()
    }

    /// What h is multiplied with in its own gradient, dG / G, `[C]`, from D, `products`; see
    /// [`image_backward`].
    pub(crate) fn along(&self, gamma: &[f32], products: &[f32]) -> Vec<f32> {
        let channels = self.norm.len();
        let mut weighted = 0.0f64;
        for c in 0..channels {
            weighted += f64::from(gamma[c] * products[c]) * f64::from(self.normalized[c]);
        }
        // (Σ dN · G) / (C · m²), with N = G / m.
        let shared = (weighted / channels as f64) as f32 * self.scale;
        (0..channels)
            .map(|c| match self.norm[c] {
                0.0 => 0.0,
                norm => (gamma[c] * products[c] * self.scale - shared) / norm,
            })
            .collect()
    }
}

/// One image's slices, `[S, C]` and `[C]`.
struct Image<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    grad: &'a [f32],
    eps: f32,
    dx: &'a mut [f32],
    dgamma: &'a mut [f32],
    dbeta: &'a mut [f32],
}

/// With D_c = Σ over sites of grad_c · h_c and m = mean of G + eps:
/// dgamma_c = D_c · N_c, dbeta_c = Σ grad_c, dN_c = gamma_c · D_c,
/// dG_c = dN_c / m − (Σ over channels of dN · G) / (C · m²),
/// dh_c = grad_c · (1 + gamma_c · N_c) + h_c · dG_c / G_c, dx = dh · gelu'(x).
fn image_backward(level: Level, image: Image<'_>) {
    let Image { x, gamma, grad, eps, dx, dgamma, dbeta } = image;
    let channels = gamma.len();
    let task = rows_per_task(channels) * channels;
    let mut parts = vec![0.0; x.len().div_ceil(task) * 3 * channels];
    x.par_chunks(task)
        .zip(grad.par_chunks(task))
        .zip(parts.par_chunks_mut(3 * channels))
        .for_each(|((x, grad), sums)| dispatch(level, Sums { x, grad, sums, channels }));
    let mut sums = vec![0.0; 3 * channels];
    add_parts(&parts, &mut sums);
    let (squares, rest) = sums.split_at(channels);
    let (products, grads) = rest.split_at(channels);
    dbeta.copy_from_slice(grads);

    let norm = Norm::new(squares, eps);
    for c in 0..channels {
        dgamma[c] = products[c] * norm.normalized[c];
    }
    let (scale, along) = (norm.response(gamma), norm.along(gamma, products));
    x.par_chunks(task).zip(grad.par_chunks(task)).zip(dx.par_chunks_mut(task)).for_each(
        |((x, grad), dx)| {
            dispatch(level, Gradient { x, grad, dx, scale: &scale, along: &along });
        },
    );
}

/// Sites handled together, so that a channel's sums are loaded and stored once for all of them.
const TOGETHER: usize = 4;

/// Cuts rows of `channels` values off the front of `values`.
#[inline(always)]
fn rows<const R: usize>(values: &[f32], channels: usize) -> [&[f32]; R] {
    std::array::from_fn(|row| &values[row * channels..][..channels])
}

/// out = gelu(x), squares += Σ over sites of out².
struct GeluSquares<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
    squares: &'a mut [f32],
}

impl GeluSquares<'_> {
    #[inline(always)]
    fn sites<S: Simd, const R: usize>(&mut self, simd: S, first: usize) {
        let channels = self.squares.len();
        let x: [&[f32]; R] = rows(&self.x[first..], channels);
        let out = &mut self.out[first..][..R * channels];
        for start in (0..channels).step_by(LANES) {
            let mut squares = simd.load_at(self.squares, start);
            for (row, x) in x.iter().enumerate() {
                let h = gelu::value(simd, simd.load_at(x, start));
                squares = simd.mul_add(h, h, squares);
                simd.store_at(h, &mut out[row * channels..][..channels], start);
            }
            simd.store_at(squares, self.squares, start);
        }
    }
}

impl Kernel for GeluSquares<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let (len, channels) = (self.x.len(), self.squares.len());
        let together = TOGETHER * channels;
        let whole = len - len % together;
        for first in (0..whole).step_by(together) {
            self.sites::<S, TOGETHER>(simd, first);
        }
        for first in (whole..len).step_by(channels) {
            self.sites::<S, 1>(simd, first);
        }
    }
}

/// out = out · scale + shift, by channel.
struct ScaleShift<'a> {
    out: &'a mut [f32],
    scale: &'a [f32],
    shift: &'a [f32],
}

impl Kernel for ScaleShift<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let channels = self.scale.len();
        for out in self.out.chunks_exact_mut(channels) {
            for start in (0..channels).step_by(LANES) {
                let scale = simd.load_at(self.scale, start);
                let shift = simd.load_at(self.shift, start);
                let value = simd.mul_add(simd.load_at(out, start), scale, shift);
                simd.store_at(value, out, start);
            }
        }
    }
}

/// sums += Σ over sites of (h², grad · h, grad), `[3, C]`.
struct Sums<'a> {
    x: &'a [f32],
    grad: &'a [f32],
    sums: &'a mut [f32],
    channels: usize,
}

impl Sums<'_> {
    #[inline(always)]
    fn sites<S: Simd, const R: usize>(&mut self, simd: S, first: usize) {
        let channels = self.channels;
        let x: [&[f32]; R] = rows(&self.x[first..], channels);
        let grad: [&[f32]; R] = rows(&self.grad[first..], channels);
        let (squares, rest) = self.sums.split_at_mut(channels);
        let (products, grads) = rest.split_at_mut(channels);
        for start in (0..channels).step_by(LANES) {
            let mut square = simd.load_at(squares, start);
            let mut product = simd.load_at(products, start);
            let mut sum = simd.load_at(grads, start);
            for row in 0..R {
                let h = gelu::value(simd, simd.load_at(x[row], start));
                let grad = simd.load_at(grad[row], start);
                square = simd.mul_add(h, h, square);
                product = simd.mul_add(h, grad, product);
                sum = simd.add(sum, grad);
            }
            simd.store_at(square, squares, start);
            simd.store_at(product, products, start);
            simd.store_at(sum, grads, start);
        }
    }
}

impl Kernel for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let (len, channels) = (self.x.len(), self.channels);
        let together = TOGETHER * channels;
        let whole = len - len % together;
        for first in (0..whole).step_by(together) {
            self.sites::<S, TOGETHER>(simd, first);
        }
        for first in (whole..len).step_by(channels) {
            self.sites::<S, 1>(simd, first);
        }
    }
}

/// dx = (grad · scale + h · along) · gelu'(x), scale and along by channel.
struct Gradient<'a> {
    x: &'a [f32],
    grad: &'a [f32],
    dx: &'a mut [f32],
    scale: &'a [f32],
    along: &'a [f32],
}

impl Kernel for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let channels = self.scale.len();
        let sites = self.x.chunks_exact(channels).zip(self.grad.chunks_exact(channels));
        for ((x, grad), dx) in sites.zip(self.dx.chunks_exact_mut(channels)) {
            for start in (0..channels).step_by(LANES) {
                let (h, derivative) = gelu::value_and_derivative(simd, simd.load_at(x, start));
                let scaled = simd.mul(simd.load_at(grad, start), simd.load_at(self.scale, start));
                let dh = simd.mul_add(h, simd.load_at(self.along, start), scaled);
                simd.store_at(simd.mul(dh, derivative), dx, start);
            }
        }
    }
}
