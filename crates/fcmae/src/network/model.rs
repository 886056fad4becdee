//! ConvNeXt V2 (and V1): one network, one set of weights, for the grid of a whole image and for
//! visible patches alone.
//!
//! Features are `[N, S, C]`: images, sites, channels. A patch of 8 × stem stride pixels is exactly
//! one cell of the last stage, so every operation but the depthwise convolution stays inside a
//! patch and does not ask which sites there are.

pub mod block;
pub mod classifier;
pub mod encoder;
pub mod init;
pub mod layers;

pub use block::{Block, DropPath, Grn, Mlp};
pub use classifier::{Classifier, Head};
pub use encoder::{Downsample, Encoder, Stage, Stem};

/// Layer norm's epsilon, everywhere in the network.
pub const NORM_EPS: f32 = 1e-6;
/// GRN's epsilon.
pub const GRN_EPS: f32 = 1e-6;
