//! Picture arguments: files, and folders that stand for the pictures in them.

use std::path::PathBuf;

use anyhow::Result;
use fcmae_data::{ImageFolder, Labels};

use crate::output;

/// The files that the arguments mean, in their order. A file is taken as it is, so that a damaged
/// one is reported where it is read, beside the others' answers.
pub(crate) fn files(arguments: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in arguments {
        if path.is_dir() {
            let folder = ImageFolder::open(path, Labels::Ignored)?;
            files.extend((0..folder.len()).map(|index| folder.path(index)));
        } else {
            output::refuse_missing(path, "file")?;
            files.push(path.clone());
        }
    }
    Ok(files)
}
