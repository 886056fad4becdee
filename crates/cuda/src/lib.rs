//! The network's operations on NVIDIA GPUs. Nothing uses them yet, and they have not yet run on a card.
//!
//! Kernels are C++ sources in `kernels/` ([`sources`]), compiled for the card's architecture on the machine where
//! they run ([`compiler`]). Nothing of CUDA is needed to build this crate. `emulator/` compiles the same sources for
//! the processor, which is how their results are tested.

pub mod card;
pub mod compiler;
pub mod driver;
mod error;
pub mod operations;
pub mod sources;
pub mod work;

pub use error::CudaError;
