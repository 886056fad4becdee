//! The operations that networks are made of, one file each: formula, shapes, forward and backward.
//!
//! Features are `[N, S, C]`: images, sites, channels; [`Sites`](fcmae_kernels::Sites) says where the
//! sites lie. Only [`depthwise`] and [`block`] need to know. Every operation takes the [`Pass`] it is part of and
//! its operands, and the parameters by their places.
//!
//! What a second device has to compute is the table [`Operation`]: with a kernel for each of its rows,
//! everything that is trained and inferred here runs on it.
//!
//! [`Pass`]: crate::engine::tape::Pass

mod activation;
mod block;
mod cosine_distance;
mod cross_entropy;
mod depthwise;
mod layer_norm;
mod linear;
mod parameter;
mod pool;
mod residual;
mod rows;
mod squared_difference;
mod windows;

pub use activation::{Grn, activation};
pub use block::{BlockSetting, BlockWeights, block};
pub use cosine_distance::cosine_distance;
pub use cross_entropy::cross_entropy;
pub use depthwise::depthwise;
pub use layer_norm::layer_norm;
pub use linear::{Affine, linear};
pub use parameter::parameter;
pub use pool::pool;
pub use residual::residual;
pub use rows::{Filler, select_rows, standardize_rows};
pub use squared_difference::mean_squared_difference;
pub use windows::{Norm, depth_to_space, space_to_depth, window_convolution};

/// What a device must be able to do.
///
/// | operation | CPU, in `fcmae-kernels` | the tests' reference, in `fcmae-oracle` |
/// |---|---|---|
/// | `Depthwise`, `…Backward` | `depthwise` | `depthwise` |
/// | `LayerNorm`, `…Backward` | `layer_norm` | `layer_norm` |
/// | `Activation`, `…Backward` | `gelu`, `grn` | `gelu`, `grn` |
/// | `Linear`, `…Backward` | `linear`, `rows::scale` | `linear` |
/// | `Residual`, `…Backward` | `residual` | `residual` |
/// | `Block`, `…Backward` | `block` | `block` |
/// | `SpaceToDepth`, `DepthToSpace`, `WindowWeight` | `space_to_depth` | `space_to_depth`, … |
/// | `SelectRows`, `…Backward` | `rows::select` | `select_rows` |
/// | `StandardizeRows` | `rows::standardize` | `standardize_rows` |
/// | `Pool`, `…Backward` | `pool` | `pool` |
/// | `SquaredDifference` | `rows::mean_squared_difference` | `mean_squared_difference` |
/// | `CosineDistance` | `cosine` | `cosine_distance` |
/// | `CrossEntropy` | `cross_entropy` | `cross_entropy` |
/// | `Accumulate`, `SumOfSquares`, `Update` | `adamw` | – (PyTorch's fixtures) |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Depthwise 7×7 convolution, on a grid or at visible patches.
    Depthwise,
    /// Its gradients by input, weight and bias.
    DepthwiseBackward,
    /// Layer norm over channels.
    LayerNorm,
    /// Its gradients by input, gamma and beta.
    LayerNormBackward,
    /// GELU, and GRN or a variant of it.
    Activation,
    /// Its gradients by input, gamma and beta.
    ActivationBackward,
    /// A linear layer, with V1's layer scale where there is one.
    Linear,
    /// Its gradients by input, weight, bias and layer scale.
    LinearBackward,
    /// A sum with a factor for each image.
    Residual,
    /// Its gradient by the branch.
    ResidualBackward,
    /// The whole V2 block.
    Block,
    /// Its gradients by input and weights.
    BlockBackward,
    /// Windows of k × k sites, each to one row.
    SpaceToDepth,
    /// The inverse.
    DepthToSpace,
    /// A convolution's weight in the order of such rows; with rows and columns changed, the inverse.
    WindowWeight,
    /// Chosen rows of a matrix, some filled from elsewhere.
    SelectRows,
    /// Its gradients by the matrix and the filling.
    SelectRowsBackward,
    /// Rows less their mean, over their standard deviation.
    StandardizeRows,
    /// The mean over sites.
    Pool,
    /// Its gradient.
    PoolBackward,
    /// The mean squared difference, and its gradient.
    SquaredDifference,
    /// The mean of 1 − cos over rows, and its gradient.
    CosineDistance,
    /// Cross entropy against probabilities, and its gradient.
    CrossEntropy,
    /// Adds gradients to an arena; copies a parameter, or the first gradient by it.
    Accumulate,
    /// The sum of squares of a parameter's gradient.
    SumOfSquares,
    /// AdamW, with the moving average.
    Update,
}

impl Operation {
    /// The whole table.
    pub const ALL: [Self; 26] = [
        Self::Depthwise,
        Self::DepthwiseBackward,
        Self::LayerNorm,
        Self::LayerNormBackward,
        Self::Activation,
        Self::ActivationBackward,
        Self::Linear,
        Self::LinearBackward,
        Self::Residual,
        Self::ResidualBackward,
        Self::Block,
        Self::BlockBackward,
        Self::SpaceToDepth,
        Self::DepthToSpace,
        Self::WindowWeight,
        Self::SelectRows,
        Self::SelectRowsBackward,
        Self::StandardizeRows,
        Self::Pool,
        Self::PoolBackward,
        Self::SquaredDifference,
        Self::CosineDistance,
        Self::CrossEntropy,
        Self::Accumulate,
        Self::SumOfSquares,
        Self::Update,
    ];
}
