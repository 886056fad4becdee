//! The network's operations on NVIDIA GPUs. They have not yet run on a card.
//!
//! Kernels are C++ sources in `kernels/` ([`sources`]), compiled for the card's architecture on the machine where
//! they run (`nvidia`, behind the feature of that name). Nothing of CUDA is needed to build this crate. `emulator/`
//! compiles the same sources for the processor, which is how their results are tested.

pub mod card;
pub mod driver;
mod element;
mod error;
#[cfg(feature = "nvidia")]
pub mod nvidia;
pub mod operations;
pub mod sources;
pub mod work;

pub use error::CudaError;
