//! Named tensors on disk: what a training run reads and writes, without the framework.
//!
//! ```text
//! NamedTensors ── safetensors ──┐
//!                 state.json ───┼─ checkpoint ──┐
//!                               │               ├─ run ── weights ── file
//!                 config.json ──┴─ export ──────┘
//! ```
//! Everything that replaces something goes through [`durable`]: written under a temporary name,
//! synced, renamed. A process killed, or a disk that fills up, leaves the old or the new, never a
//! mix of both; where the storage renames nothing, the next writer makes that so.
//!
//! Modules, from values to folders:
//! - [`tensor`]: float32 tensors with names, and how a set differs from what a model expects;
//! - [`safetensors`]: one file of named tensors, every malformed file refused;
//! - [`pth`]: what PyTorch's `torch.save` writes, read without running anything, and written;
//! - [`mod@file`]: a file in either format, or an index of several, told apart by what is in it;
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
