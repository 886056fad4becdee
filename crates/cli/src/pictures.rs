//! Picture arguments: files, and folders that stand for the pictures in them.

use std::path::PathBuf;

use anyhow::Result;
use fcmae_data::source::printable;
use fcmae_data::{ImageFolder, Labels};

use crate::failure::Usage;

/// The files that the arguments mean, in their order. A file is taken as it is, so that a damaged
/// one is reported where it is read, beside the others' answers.
pub(crate) fn files(arguments: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in arguments {
        if path.is_dir() {
            let folder = ImageFolder::open(path, Labels::Ignored)?;
            files.extend((0..folder.len()).map(|index| folder.path(index)));
        } else if path.exists() {
            files.push(path.clone());
        } else {
            return Err(Usage(format!("{}: no such file; check the path", printable(path))).into());
        }
    }
    Ok(files)
}
