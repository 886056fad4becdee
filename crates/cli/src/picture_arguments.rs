//! Picture arguments: files, and folders, archives and lists that stand for the pictures in them.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use fcmae_data::source::printable;
use fcmae_data::{Input, Opening, Pages, PictureSet};
use fcmae_words::grouped;

use crate::{output, picture_sets};

/// Pictures that were named one by one.
pub(crate) struct Pictures {
    /// All of them, in their order.
    pub(crate) inputs: Vec<Input>,
    /// The sets among them: of folders, archives and lists.
    pub(crate) sets: Vec<Arc<PictureSet>>,
}

/// Refuses files that are not there, before any work is done.
pub(crate) fn refuse_missing(arguments: &[PathBuf]) -> Result<()> {
    arguments.iter().try_for_each(|path| output::refuse_missing(path, "file"))
}

/// The pictures that the arguments mean, in their order. A file is taken as it is, so that a damaged
/// one is reported where it is read, beside the others' answers; what is left out of a set, and pages of files
/// that are not used, are told. `all_pages` is the option that takes them all, where the command has one.
pub(crate) fn inputs(
    arguments: &[PathBuf],
    pages: Pages,
    all_pages: Option<&str>,
) -> Result<Pictures> {
    refuse_missing(arguments)?;
    let (mut inputs, mut sets) = (Vec::new(), Vec::new());
    for path in arguments {
        if path.is_dir() || PictureSet::is_source(path) {
            let set = PictureSet::open(path, Opening { pages, ..Opening::default() })?;
            set.notes.iter().for_each(|note| output::note(note));
            picture_sets::note_skipped(&set.skipped);
            let set = Arc::new(set);
            let sample = |index| Input::Sample { set: Arc::clone(&set), index };
            inputs.extend((0..set.len()).map(sample));
            sets.push(set);
            continue;
        }
        let each = Input::of_file(path, Pages::All);
        match pages {
            Pages::All => inputs.extend(each),
            Pages::First => {
                if each.len() > 1 {
                    let remedy = all_pages.map_or(String::new(), |option| {
                        format!("; {option} uses each as a picture of its own")
                    });
                    let (path, of) = (printable(path), grouped(each.len()));
                    output::note(&format!("{path}: 1 of {of} pages is used{remedy}"));
                }
                inputs.push(Input::from(path));
            }
        }
    }
    Ok(Pictures { inputs, sets })
}
