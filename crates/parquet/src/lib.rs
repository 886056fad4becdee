//! Parquet files that anybody may have written.
//!
//! - [`Footer`]: which columns a file has ([`Leaf`]), and where their pieces lie ([`Chunk`]);
//! - [`read`]: a small column, whole;
//! - [`find`]: of a column of large values only where each lies, in parts ([`Extent`]) that it is read from later.
//!
//! The reader is our own. Files from the Hugging Face Hub keep a whole row group's pictures, tens of megabytes, in
//! one page, which libraries unpack whole for every picture; and a damaged footer must take neither memory nor the
//! stack. Only what such files need is read.
//!
//! The Snappy decoder may panic on damaged data: catch that where files come from elsewhere.
#![forbid(unsafe_code)]

mod column;
mod footer;
mod invalid;
mod pages;
mod snappy;
mod thrift;
mod values;

pub use column::{Column, Place, Value, find, read};
pub use footer::{Chunk, Footer, Leaf, Physical, RowGroup};
pub use pages::Extent;
