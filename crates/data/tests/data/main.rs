//! Files in, batches out: behaviour of the whole crate, on files which the tests make.

#![allow(clippy::unwrap_used, missing_docs)]

mod archive;
mod augment;
mod decode;
mod deep;
mod folder;
mod labels;
mod list;
mod loader;
mod masks;
mod mix;
mod odd;
mod ordinary;
mod pages;
#[cfg(feature = "parquet")]
mod parquet;
mod pictures;
mod pillow;
mod recorded;
mod reduced;
mod sets;
mod sources;
mod statistics;
#[cfg(unix)]
mod thousand;
mod together;
