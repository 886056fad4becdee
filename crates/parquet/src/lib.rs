//! Parquet files that anybody may have written.
//!
//! - [`Footer`]: which columns a file has ([`Leaf`]), and where their pieces lie ([`Chunk`]);
//! - [`read`]: a small column, whole;
//! - [`find`]: of a column of large values only where each lies, in parts ([`Extent`]) that it is read from later.
//! - [`Lists`]: a column of lists of numbers, all of one length;
//! - [`Table`]: a writer of texts and such lists.
//!
//! The reader is our own. Files from the Hugging Face Hub keep a whole row group's pictures, tens of megabytes, in
//! one page, which libraries unpack whole for every picture; and a damaged footer must take neither memory nor the
//! stack. Only what such files need is read.
//!
//! The decoders that it stands on may panic on damaged data: catch that where files come from elsewhere.
#![forbid(unsafe_code)]

mod column;
mod encoder;
mod footer;
mod invalid;
mod lists;
mod pages;
mod snappy;
mod table;
mod thrift;
mod values;

pub use column::{Column, Place, Value, find, read};
pub use footer::{Chunk, Footer, Leaf, Physical, RowGroup};
pub use lists::{Lists, WIDTH};
pub use pages::Extent;
pub use table::{Cells, Kind, Table};
