//! Files to begin with.

use std::fs;
use std::path::{Path, PathBuf};

/// The files of a folder of the repository whose names end so, in the order of their names.
///
/// # Panics
/// Where there is none: a fixture was moved.
pub fn files(folder: &str, ending: &str) -> Vec<Vec<u8>> {
    let path = root().join(folder);
    let entries = fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.to_str().is_some_and(|path| path.ends_with(ending)));
    paths.sort();
    assert!(!paths.is_empty(), "{} has no file that ends in {ending}", path.display());
    paths.iter().map(|path| read(path)).collect()
}

/// A file of the repository.
///
/// # Panics
/// Where it is not there.
pub fn file(path: &str) -> Vec<u8> {
    read(&root().join(path))
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository")
}
