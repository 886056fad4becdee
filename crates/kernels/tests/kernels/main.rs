//! The kernels against plain double-precision code, their gradients against finite differences, the
//! vectorised form against the portable one, and one number of threads against another.
#![allow(clippy::unwrap_used)]

mod block;
mod compare;
mod cosine;
mod cross_entropy;
mod depthwise;
mod gelu;
mod grn_variants;
mod layer_norm;
mod linear;
mod memory;
mod optimizer;
mod pool;
mod rearrange;
mod reference;
mod rows;
mod threads;
