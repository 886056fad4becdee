//! What is said where the disk is full.

use std::io;
use std::path::Path;

use super::disk;
use crate::Error;

/// Turns "no space" into the error that says how much is needed and how much there is.
pub(crate) fn disk_full(error: Error, folder: &Path, needed: u64) -> Error {
    match error {
        Error::Io { path, source, .. }
            if matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ) =>
        {
            Error::NoSpace { path, needed, free: disk::free_bytes(folder) }
        }
        other => other,
    }
}
