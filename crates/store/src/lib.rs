//! What a training run reads and writes: named tensors, checkpoints, its folder. No tensor framework.
//!
//! ```text
//! NamedTensors ── safetensors ──┐
//!                 state.json ───┼─ checkpoint ──┐
//!                               │               ├─ run ── weights ── file
//!                 config.json ──┴─ export ──────┘
//! ```
//! ```
//! use fcmae_store::{HostTensor, NamedTensors, safetensors};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("weights.safetensors");
//! let mut tensors = NamedTensors::new();
//! tensors.insert("head.bias", HostTensor::new([2], vec![0.5, -0.5])?);
//! safetensors::save(&path, &tensors, &Default::default())?;
//! assert_eq!(safetensors::load(&path)?.tensors.hash(), tensors.hash());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! Everything that replaces something goes through [`durable`]: it is written under a temporary name,
//! synced, and renamed. A killed process or a full disk leaves the old or the new, never a
//! mix of both. On storage that cannot rename, the next writer restores that.
//!
//! Modules, from values to folders:
//! - [`tensor`]: float32 tensors with names, and how a set differs from what a model expects;
//! - [`safetensors`]: one file of named tensors; malformed files are refused;
//! - [`pth`]: what PyTorch's `torch.save` writes, read without running anything, and written;
//! - [`mod@file`]: a file in either format, or an index of several, recognized by its content;
//! - [`durable`]: files and folders replaced as a whole;
//! - [`checkpoint`]: folders that count only when their MANIFEST verifies;
//! - [`export_folder`]: a folder of weights for other programs;
//! - [`run`]: one training run's folder, lock, record and logs;
//! - [`weights`]: which file a weights argument means;
//! - [`error`]: what can go wrong, with the file, the value and the remedy.
#![forbid(unsafe_code)]

pub mod checkpoint;
pub mod durable;
mod element;
pub mod error;
pub mod export_folder;
pub mod file;
mod index;
mod input;
mod process;
pub mod pth;
pub mod run;
pub mod safetensors;
pub mod tensor;
pub mod weights;

pub use checkpoint::{Checkpoint, CheckpointStore};
pub use error::Error;
pub use export_folder::ExportName;
pub use run::{Record, Run};
pub use tensor::{HostTensor, Mismatch, NamedTensors};
