//! **fcmae**: masked-autoencoder pre-training for ConvNeXt V2 (arXiv 2301.00808).
//!
//! A network learns from unlabelled pictures: most patches are hidden, a sparse encoder sees only
//! the rest, a small decoder predicts what is hidden; then the same weights are fine-tuned on few
//! labels. Masked and dense are the same network on the same weights; only the list of sites
//! differs.
//!
//! Modules in the order in which data flows:
//! - [`data`]: image files to batches;
//! - [`config`]: what a network and a run are made of;
//! - [`mask`]: which patches the encoder sees;
//! - [`model`]: ConvNeXt V2 and V1 on a grid or on visible patches;
//! - [`ops`]: the operations behind one backend-extension trait;
//! - [`decoder`], [`autoencoder`], [`loss`]: FCMAE;
//! - [`parameters`]: a module's parameters by name;
//! - [`optim`]: AdamW, schedule, layer decay, moving average;
//! - [`train`]: the training loops;
//! - [`weights`]: what is read, by whatever names it has; [`export`], [`onnx`]: what is written for
//!   other programs;
//! - [`evaluate`], [`predict`], [`embed`], [`reconstruct`], [`diversity`], [`inspect`]: what trained
//!   networks do, and what they have become;
//! - [`bench`](mod@bench), [`memory`], [`machine`]: how fast it is, what it takes, and of what;
//! - [`plots`], [`picture`]: figures;
//! - [`error`]: what can go wrong.
//!
//! The feature `hub` lets weights be named `hf:OWNER/NAME`, as on the Hugging Face Hub.

#![forbid(unsafe_code)]

pub use fcmae_data as data;
pub use fcmae_report::plots;

pub mod autoencoder;
pub mod bench;
pub mod config;
pub mod decoder;
pub mod diversity;
pub mod embed;
pub mod error;
pub mod evaluate;
pub mod export;
pub mod inspect;
pub mod loss;
pub mod machine;
pub mod mask;
pub mod memory;
pub mod model;
pub mod onnx;
mod operations;
pub mod ops;
pub mod optim;
pub mod parameters;
pub mod picture;
pub mod predict;
pub mod reconstruct;
pub mod train;
pub mod weights;

pub use error::{Error, Result};
