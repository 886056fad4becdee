//! Errors of files.

use std::io;
use std::path::{Path, PathBuf};

use super::origin::OtherOrigin;
use super::shortened::shortened;
use crate::error::VectorError;

/// Why embeddings cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// A name that tells no format.
    #[error("{}: its name must end in .parquet, .npy or .csv", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// A file that cannot be opened or read whole.
    #[error("{} {source}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: fcmae_files::Unusable,
    },
    /// A file that does not hold what it should.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy.
        reason: String,
    },
    /// Vectors that cannot be used.
    #[error("{}: {source}", path.display())]
    Vectors {
        /// The file.
        path: PathBuf,
        /// Why.
        source: VectorError,
    },
    /// Files that do not belong together.
    #[error("{} and {} cannot be used together: {source}", one.display(), other.display())]
    OtherOrigin {
        /// A file.
        one: PathBuf,
        /// Another.
        other: PathBuf,
        /// What is different.
        source: OtherOrigin,
    },
    /// A picture in two files, or twice in one.
    #[error(
        "{} is in {} and again in {}: leave one out",
        shortened(name), one.display(), other.display()
    )]
    Twice {
        /// The picture's name.
        name: String,
        /// The file that holds it first.
        one: PathBuf,
        /// The file that holds it again.
        other: PathBuf,
    },
    /// A row that cannot be written.
    #[error("row {row}, {}: {reason}", shortened(name))]
    Row {
        /// Counted from 0, in the whole file.
        row: u64,
        /// The picture's name.
        name: String,
        /// Why.
        reason: String,
    },
    /// Rows that are no block.
    #[error("{names} names, {labels} labels and {values} values are not rows of {width} values")]
    Block {
        /// How many were given.
        names: usize,
        /// How many were given.
        labels: usize,
        /// How many were given.
        values: usize,
        /// Values of a row, C.
        width: usize,
    },
    /// A file that is there already.
    #[error("{} exists already: choose another name, or overwrite it", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// What an earlier run left unfinished.
    #[error(
        "{} holds rows of a run that did not finish: resume that run, or overwrite it",
        journal.display()
    )]
    Unfinished {
        /// The folder.
        journal: PathBuf,
    },
    /// A run that cannot be resumed, because it was another.
    #[error("{} cannot be resumed: {reason}; or overwrite it", journal.display())]
    OtherRun {
        /// The folder.
        journal: PathBuf,
        /// What is different, and the remedy.
        reason: String,
    },
    /// Another process writes the same file.
    #[error("{} is in use: another process writes it; wait for that, or end it", journal.display())]
    InUse {
        /// The folder.
        journal: PathBuf,
    },
    /// No space is left.
    #[error(
        "the disk of {} is full; {rows} rows are kept in {}: free some space, and resume",
        path.display(), journal.display()
    )]
    NoSpace {
        /// What was being written.
        path: PathBuf,
        /// The folder that keeps the rows.
        journal: PathBuf,
        /// How many.
        rows: u64,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was to be done.
        action: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl FileError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    pub(super) fn unusable(path: &Path) -> impl FnOnce(fcmae_files::Unusable) -> Self {
        move |source| Self::Unusable { path: path.to_owned(), source }
    }

    pub(super) fn malformed(path: &Path, reason: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), reason: reason.into() }
    }
}
