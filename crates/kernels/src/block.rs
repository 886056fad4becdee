//! The ConvNeXt V2 block as one operation:
//! x + scale · (contract(grn(gelu(expand(norm(depthwise(x)))))))
//!
//! A few images at a time go through all of it while they are in the caches, their rows in tiles of
//! about a hundred. The 4C features of a tile are laid out in panels of sixteen channels, as the
//! products leave and read them, so that each panel is finished (bias, GELU, sums) in the
//! first-level cache.

mod backward;
mod forward;
mod tiles;

use crate::depthwise::Filter;
use crate::error::{KernelError, check_length, check_positive, product};
use crate::product::Panels;
use crate::simd::LANES;
use crate::sites::Sites;

pub use backward::{Gradients, backward, backward_scratch, thread_scratch};
pub use forward::{Kept, forward, forward_keeping};

/// A block's weights as PyTorch keeps them, C the block's channels.
pub type Weights<'a> = PerWeight<&'a [f32]>;

/// One value for each of a block's weights, of which the shapes are given; C is the block's channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerWeight<T> {
    /// `[C, 7, 7]`
    pub depthwise: T,
    /// `[C]`
    pub depthwise_bias: T,
    /// `[C]`
    pub norm_gamma: T,
    /// `[C]`
    pub norm_beta: T,
    /// The first linear layer, `[4C, C]`.
    pub expand: T,
    /// `[4C]`
    pub expand_bias: T,
    /// `[4C]`
    pub grn_gamma: T,
    /// `[4C]`
    pub grn_beta: T,
    /// The second linear layer, `[C, 4C]`.
    pub contract: T,
    /// `[C]`
    pub contract_bias: T,
}

impl<T> PerWeight<T> {
    /// From the ten in the order of the fields.
    #[must_use]
    pub fn from_array(weights: [T; 10]) -> Self {
        let [
            depthwise,
            depthwise_bias,
            norm_gamma,
            norm_beta,
            expand,
            expand_bias,
            grn_gamma,
            grn_beta,
            contract,
            contract_bias,
        ] = weights;
        Self {
            depthwise,
            depthwise_bias,
            norm_gamma,
            norm_beta,
            expand,
            expand_bias,
            grn_gamma,
            grn_beta,
            contract,
            contract_bias,
        }
    }

    /// The ten in the order of the fields.
    #[must_use]
    pub fn into_array(self) -> [T; 10] {
        [
            self.depthwise,
            self.depthwise_bias,
            self.norm_gamma,
            self.norm_beta,
            self.expand,
            self.expand_bias,
            self.grn_gamma,
            self.grn_beta,
            self.contract,
            self.contract_bias,
        ]
    }

    /// What `f` makes of each.
    #[must_use]
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> PerWeight<U> {
        PerWeight::from_array(self.into_array().map(f))
    }
}

impl Weights<'_> {
    /// Checks all lengths; returns C.
    fn check(&self, operation: &'static str) -> Result<usize, KernelError> {
        let channels = self.norm_gamma.len();
        let hidden = product(operation, &[4, channels])?;
        check_positive(operation, "norm_gamma", channels)?;
        check_length(
            operation,
            "depthwise",
            self.depthwise.len(),
            product(operation, &[49, channels])?,
        )?;
        check_length(operation, "depthwise_bias", self.depthwise_bias.len(), channels)?;
        check_length(operation, "norm_beta", self.norm_beta.len(), channels)?;
        check_length(
            operation,
            "expand",
            self.expand.len(),
            product(operation, &[hidden, channels])?,
        )?;
        check_length(operation, "expand_bias", self.expand_bias.len(), hidden)?;
        check_length(operation, "grn_gamma", self.grn_gamma.len(), hidden)?;
        check_length(operation, "grn_beta", self.grn_beta.len(), hidden)?;
        check_length(operation, "contract", self.contract.len(), self.expand.len())?;
        check_length(operation, "contract_bias", self.contract_bias.len(), channels)
            .map(|()| channels)
    }
}

/// What a block is computed on.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// Where the sites of each image lie.
    pub sites: &'a Sites,
    /// N
    pub images: usize,
    /// A factor of the branch for each image, `[N]` (drop path: 0 or 1 / keep); 1 where there is
    /// none.
    pub scale: Option<&'a [f32]>,
    /// Added to the variance in layer norm.
    pub norm_eps: f32,
    /// Added to the mean norm in GRN.
    pub grn_eps: f32,
}

impl Setting<'_> {
    /// Checks the sites and `x`, `[N, S, C]`.
    fn check(
        &self,
        operation: &'static str,
        x: &[f32],
        channels: usize,
    ) -> Result<(), KernelError> {
        check_positive(operation, "images", self.images)?;
        self.sites.check_images(self.images)?;
        if let Some(scale) = self.scale {
            check_length(operation, "scale", scale.len(), self.images)?;
        }
        let values = product(operation, &[self.images, self.sites.sites_per_image(), channels])?;
        check_length(operation, "x", x.len(), values)
    }

    /// The scale of `image`'s branch.
    fn scale(&self, image: usize) -> f32 {
        self.scale.map_or(1.0, |scale| scale[image])
    }
}

/// Values of a site in the 4C features as a block keeps them: 4C up to whole panels, saturating at
/// `usize::MAX`.
#[must_use]
pub fn hidden_width(channels: usize) -> usize {
    channels
        .checked_mul(4)
        .and_then(|hidden| hidden.checked_next_multiple_of(2 * LANES))
        .unwrap_or(usize::MAX)
}

/// A block's weights laid out for the forward pass. Worth keeping where they don't change.
pub struct Prepared {
    channels: usize,
    filter: Filter,
    norm_gamma: Vec<f32>,
    norm_beta: Vec<f32>,
    /// C × 4C
    expand: Panels,
    expand_bias: Vec<f32>,
    grn_gamma: Vec<f32>,
    grn_beta: Vec<f32>,
    /// 4C × C
    contract: Panels,
    contract_bias: Vec<f32>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").field("channels", &self.channels).finish_non_exhaustive()
    }
}

impl Prepared {
    /// Lays `weights` out.
    ///
    /// # Errors
    /// Where lengths don't fit.
    pub fn new(weights: &Weights<'_>) -> Result<Self, KernelError> {
        let channels = weights.check("block::Prepared")?;
        let hidden = hidden_width(channels);
        Ok(Self {
            channels,
            filter: Filter::new(weights.depthwise, Some(weights.depthwise_bias), channels),
            norm_gamma: weights.norm_gamma.to_vec(),
            norm_beta: weights.norm_beta.to_vec(),
            expand: Panels::transposed(weights.expand, channels, hidden / LANES),
            expand_bias: padded(weights.expand_bias, hidden),
            grn_gamma: padded(weights.grn_gamma, hidden),
            grn_beta: padded(weights.grn_beta, hidden),
            contract: Panels::transposed(weights.contract, 4 * channels, channels.div_ceil(LANES)),
            contract_bias: padded(weights.contract_bias, channels.next_multiple_of(LANES)),
        })
    }

    /// The same to be kept for long, in no more memory than it must take.
    #[must_use]
    pub fn kept(self) -> Self {
        Self { expand: self.expand.owned(), contract: self.contract.owned(), ..self }
    }
}

/// `values` and zeros, `len` in all.
fn padded(values: &[f32], len: usize) -> Vec<f32> {
    let mut padded = values.to_vec();
    padded.resize(len, 0.0);
    padded
}

/// Panels in as many chunks as there are threads without a tile of their own.
fn panels_per_task(panels: usize, tiles: usize) -> usize {
    let threads = rayon::current_num_threads();
    if tiles >= 2 * threads { panels } else { panels.div_ceil(threads) }
}
