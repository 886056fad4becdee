//! Errors of a Parquet file's content.

use std::io::{self, ErrorKind};

/// An error of a file's content.
pub(crate) fn invalid(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason)
}
