//! CPU kernels of ConvNeXt V2, on plain `f32` slices.
//!
//! Features are channels-last, `[N, S, C]`: images, sites, channels. Only the depthwise convolution
//! asks where the sites lie ([`Sites`]); everything else works on each site, or each image, alone.
//!
//! ```
//! use fcmae_kernels::linear;
//!
//! // Two rows of three inputs, one output: out = x · Wᵀ + b.
//! let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
//! let mut out = [0.0; 2];
//! linear::forward(&x, &[1.0, 0.0, -1.0], Some(&[0.5]), 3, &mut out)?;
//! assert_eq!(out, [-1.5, -1.5]);
//! # Ok::<(), fcmae_kernels::KernelError>(())
//! ```
//!
//! Every kernel runs on the current rayon pool and gives the same bits for any number of threads:
//! work is divided by shape alone, and partial sums are added in a fixed order. The instruction set is
//! chosen at run time ([`simd`]). Every kernel is written once over vectors of eight lanes, which have
//! a portable, an AVX2 + FMA, an AVX-512 and a NEON form.
//!
//! `out` slices are written completely and never read, so [`buffer`] or a piece of a [`memory`] may
//! provide them.

pub mod adamw;
pub mod block;
pub mod cosine;
pub mod cross_entropy;
pub mod depthwise;
pub mod gelu;
pub mod grn;
pub mod layer_norm;
pub mod linear;
pub mod memory;
pub mod pool;
pub mod residual;
pub mod rows;
pub mod simd;
pub mod space_to_depth;

mod buffer;
mod error;
mod gradients;
mod product;
mod sites;
mod tasks;

pub use buffer::buffer;
pub use error::KernelError;
pub use gradients::Gradients;
pub use sites::{Patches, Sites};
pub use tasks::by_a_worker;
