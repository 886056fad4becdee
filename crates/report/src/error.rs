//! What can go wrong, with the file, the value and the mend.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A file that cannot be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
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
