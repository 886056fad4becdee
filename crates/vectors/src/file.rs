//! Files of embeddings: pictures' names, their labels, and a vector each.
//!
//! ```text
//! Writer ── rows, block by block ──▶ OUT.partial/ ── finish ──▶ OUT (.parquet, .npy, .csv) ──▶ Embeddings
//!                      a killed run is taken up there
//! ```
//! What is read may have been written by anybody: it is checked, and memory follows from what there is.

mod disk;
mod embeddings;
mod error;
mod format;
mod journal;
mod npy;
mod origin;
mod parquet;
mod shortened;
mod table;
mod writer;

pub use embeddings::Embeddings;
pub use error::FileError;
pub use format::Format;
pub use origin::{Origin, OtherOrigin, same_origin};
pub use writer::{Options, Writer};

#[cfg(test)]
mod tests;
