//! What is said where the disk is full.

use std::io;
use std::path::Path;

use super::disk;
use crate::Error;

/// Turns "no space" into the error that says how much is needed and how much there is, and its kin into theirs.
pub(crate) fn disk_full(error: Error, folder: &Path, needed: u64) -> Error {
    match error {
        Error::Io { path, source, .. } if source.kind() == io::ErrorKind::QuotaExceeded => {
            Error::Quota { path }
        }
        Error::Io { path, source, .. } if source.kind() == io::ErrorKind::FileTooLarge => {
            Error::TooLarge { path }
        }
        Error::Io { path, source, .. } if source.kind() == io::ErrorKind::StorageFull => {
            Error::NoSpace { path, needed, free: disk::free_bytes(folder) }
        }
        other => other,
    }
}
