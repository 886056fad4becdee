//! Where pictures come from: folders of files, tar archives, Parquet files and lists as one sorted list
//! of samples.
//!
//! Nothing is decoded here, and of an archive only the headers are read: what stays in memory is a
//! name, a size and a place for each picture.

mod alike;
mod archive;
mod classes;
mod companions;
mod container;
mod copies;
mod folder;
mod gathered;
mod grouping;
mod kind;
mod kinds;
mod list;
mod masks;
mod open;
mod opening;
mod others;
mod pages;
#[cfg_attr(not(feature = "parquet"), path = "source/no_parquet.rs")]
mod parquet;
mod read;
mod recorded;
mod sample;
mod set;
mod split;
mod split_column;
mod splits;

pub use crate::words::{path_of, printable, written};
pub use copies::Copies;
pub use grouping::Grouping;
pub use kind::EXTENSIONS;
pub use open::FoundLabels;
pub use opening::{Labels, Opening, Pages};
pub(crate) use pages::{pages_of, read_page};
pub use recorded::{Part, Split};
pub use sample::{Alike, Sample, Skipped};
pub use set::PictureSet;
pub use split::{Amount, Groups};
