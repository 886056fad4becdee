//! What is said of a checkpoint that cannot be used.

use std::fmt;
use std::path::PathBuf;

/// A checkpoint that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Its folder.
    pub folder: PathBuf,
    /// Which file, and what is wrong with it.
    pub reason: String,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "checkpoint {} is damaged: {}", self.folder.display(), self.reason)
    }
}
