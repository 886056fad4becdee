//! Places on the disk, for readers that take a path.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder that is there until the thread ends.
#[derive(Debug)]
pub struct Scratch(TempDir);

impl Scratch {
    /// A new one, with these files in it.
    ///
    /// # Panics
    /// Where it cannot be made.
    pub fn with(files: &[(&str, &[u8])]) -> Self {
        let scratch = Self(tempfile::tempdir().expect("there is room for a folder"));
        for (name, bytes) in files {
            scratch.write(name, bytes);
        }
        scratch
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file of the folder; its path.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        let folder = path.parent().expect("it lies in a folder");
        let written = fs::write(&path, bytes).or_else(|_| {
            fs::create_dir_all(folder)?;
            fs::write(&path, bytes)
        });
        written.expect("there is room for a file");
        path
    }
}
