//! Picture arguments: files, and folders that stand for the pictures in them.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use fcmae_data::{Input, Labels, PictureSet};

use crate::output;

/// The pictures that the arguments mean, in their order. A file is taken as it is, so that a damaged
/// one is reported where it is read, beside the others' answers; what is left out of a folder is told.
pub(crate) fn inputs(arguments: &[PathBuf]) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for path in arguments {
        if path.is_dir() {
            let set = Arc::new(PictureSet::open(path, Labels::Ignored)?);
            set.notes.iter().for_each(|note| output::note(note));
            output::note_skipped(&set.skipped);
            let sample = |index| Input::Sample { set: Arc::clone(&set), index };
            inputs.extend((0..set.len()).map(sample));
        } else {
            output::refuse_missing(path, "file")?;
            inputs.push(Input::from(path));
        }
    }
    Ok(inputs)
}
