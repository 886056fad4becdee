//! What can go wrong, with the file, the value and the remedy.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A run that cannot be read, or a file that cannot be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// What says how the run was started, or where the page goes to.
    #[error(transparent)]
    Store(#[from] fcmae_store::Error),
    /// The operating system refused.
    #[error("cannot {action} {}: {source}; check that it is there and may be used", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The reason given.
        source: io::Error,
    },
    /// A file that the page cannot do without is not what it should be.
    #[error("{} is damaged: {flaw}; repair it, or give another run", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        flaw: String,
    },
}

impl ReportError {
    /// For `map_err`: names what was tried and on which path.
    pub(crate) fn io<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}
