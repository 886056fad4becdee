//! Places on the disk, for readers that take a path.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
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

    /// Writes a file of the folder, or replaces it; its path.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        let written = replace(&path, bytes).or_else(|_| {
            fs::create_dir_all(path.parent().expect("it lies in a folder"))?;
            replace(&path, bytes)
        });
        written.expect("there is room for a file");
        path
    }
}

/// Cut to its length at the end: a file that is emptied first is brought to the disk at once by some file
/// systems, which takes ten times as long.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)
}
