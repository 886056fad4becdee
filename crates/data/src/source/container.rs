//! What holds pictures: a folder, an archive, a Parquet file.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sample::Sample;
use crate::error::DecodeError;

/// What samples' paths are relative to.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub(super) path: PathBuf,
    /// Of a file that holds pictures; none of a folder.
    pub(super) container: Option<Container>,
    /// The group that a column puts its pictures into. Each group has a base of its own, so that a picture keeps no
    /// name of it.
    pub(super) group: Option<Arc<str>>,
}

/// A file that holds pictures.
#[derive(Clone, Debug)]
pub(super) struct Container {
    /// Its size in bytes when the set was read.
    pub(super) bytes: u64,
    pub(super) reader: Arc<dyn Reader>,
}

/// What is known of a file's pictures, to read one of them.
pub(super) trait Reader: Debug + Send + Sync {
    /// The bytes of a sample's picture, from the file at `path`.
    fn read(&self, path: &Path, sample: &Sample) -> Result<Vec<u8>, DecodeError>;

    /// Whether that reads little else.
    fn is_direct(&self, sample: &Sample) -> bool;
}
