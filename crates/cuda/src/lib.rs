//! The network's operations on NVIDIA GPUs. They have not yet run on a real one.
//!
//! Kernels are C++ sources in `kernels/` ([`sources`]), compiled for the card's architecture on the machine where
//! they run (`nvidia`, behind the feature of that name). Building this crate needs nothing of CUDA. `emulator/`
//! compiles the same sources for the processor, and tests compare their results with those of the CPU kernels.
//!
//! ```
//! // Each kernel exists for both types of features.
//! let kernels: Vec<String> = fcmae_cuda::sources::SOURCES.iter().flat_map(|file| file.kernels()).collect();
//! assert!(kernels.iter().any(|name| name.contains("float")));
//! assert!(kernels.iter().any(|name| name.contains("bf16")));
//! ```
//!
//! A [`card`] is a [`driver`] with the type of its features. [`operations`] are recorded as [`work`] and run on it.

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
