//! Parquet files from anybody.
//!
//! - [`Footer`]: which columns a file has ([`Leaf`]), and where their pieces lie ([`Chunk`]);
//! - [`read`]: a small column, whole;
//! - [`find`]: where each value of a large column lies, in parts ([`Extent`]) that are read later;
//! - [`Lists`]: a column of lists of numbers, all of one length;
//! - [`Table`]: a writer of texts and such lists.
//!
//! ```
//! use std::fs::File;
//!
//! use fcmae_parquet::{Cells, Footer, Kind, Table};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("vectors.parquet");
//! let columns = [("path", Kind::Text), ("vector", Kind::Lists(2))];
//! let mut table = Table::new(File::create(&path)?, &columns)?;
//! table.group(1, &[Cells::Text(&["a.jpg".to_owned()]), Cells::Lists(&[0.5, 0.25])])?;
//! table.finish(&[("made by", "an example")])?;
//!
//! let mut file = File::open(&path)?;
//! let size = file.metadata()?.len();
//! let footer = Footer::read(&mut file, size)?;
//! assert_eq!(footer.leaves.len(), 2);
//! assert_eq!(footer.note("made by"), Some("an example"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The reader is our own. Files from the Hugging Face Hub keep a whole row group's pictures, tens of megabytes, in
//! one page, which libraries unpack whole for every picture. A damaged footer must exhaust neither memory nor the
//! stack. It reads only what such files need.
//!
//! Its decompressors may panic on damaged data. Catch that for files from elsewhere.
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
