//! Picture arguments: files, and folders, archives and lists that stand for the pictures in them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use fcmae_data::source::printable;
use fcmae_data::{Input, Pages, PictureSet};
use fcmae_words::{counted, grouped};

use crate::failure::joined;
use crate::output;
use crate::picture_sets::{self, Columns};

/// Pictures that are named one by one, or by what they lie in.
#[derive(Args)]
pub(crate) struct PicturesArg {
    /// Picture files, or folders, .tar, .parquet, .csv, .tsv or .txt files of them
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<PathBuf>,

    /// The column with the pictures in .parquet files, or with the paths in lists [default: found by its name]
    #[arg(long, value_name = "NAME")]
    image_column: Option<String>,
}

/// The pictures that arguments mean.
pub(crate) struct Pictures {
    /// All of them, in the order of the arguments, and within a set by their paths.
    pub(crate) inputs: Vec<Input>,
    /// The sets among them: of folders, archives and lists.
    pub(crate) sets: Vec<Arc<PictureSet>>,
    /// Archives and lists that cannot be used, and why.
    pub(crate) unusable: Vec<(PathBuf, String)>,
}

impl Pictures {
    /// Pictures of the sets that were lost already when they were listed.
    pub(crate) fn lost(&self) -> usize {
        self.sets.iter().map(|set| set.lost).sum()
    }
}

impl PicturesArg {
    /// Refuses files that are not there, before any work is done.
    pub(crate) fn refuse_missing(&self) -> Result<()> {
        self.images.iter().try_for_each(|path| output::refuse_missing(path, "file"))
    }

    /// The pictures for a `command`. A file is taken as it is, so that a damaged one is reported where it is read, beside
    /// the others' answers; what is left out of a set, and pages of files that are not used, are told. `all_pages` is the
    /// option that takes them all, where the command has one.
    ///
    /// # Errors
    /// A folder that cannot be used, or an archive or a list that was given alone.
    pub(crate) fn pictures(
        &self,
        command: &'static str,
        pages: Pages,
        all_pages: Option<&str>,
    ) -> Result<Pictures> {
        self.refuse_missing()?;
        let mut found = Pictures { inputs: vec![], sets: vec![], unusable: vec![] };
        for path in &self.images {
            if !path.is_dir() && !PictureSet::is_source(path) {
                found.inputs.extend(of_file(path, pages, all_pages));
                continue;
            }
            let columns = Columns { label: None, image: self.image_column.as_deref(), pages };
            match picture_sets::opened(command, columns, |how| PictureSet::open(path, how)) {
                Ok(set) => {
                    output::note_skipped(&set.skipped);
                    let set = Arc::new(set);
                    let sample = |index| Input::Sample { set: Arc::clone(&set), index };
                    found.inputs.extend((0..set.len()).map(sample));
                    found.sets.push(set);
                }
                // `new/*` may name a list or an archive among pictures.
                Err(error) if self.images.len() > 1 && !path.is_dir() => {
                    found.unusable.push((path.clone(), joined(&error)));
                }
                Err(error) => return Err(error),
            }
        }
        note_repeated(&found.inputs);
        Ok(found)
    }
}

/// The pictures of one file.
fn of_file(path: &Path, pages: Pages, all_pages: Option<&str>) -> Vec<Input> {
    let each = Input::of_file(path, Pages::All);
    if pages == Pages::All {
        return each;
    }
    if each.len() > 1 {
        let remedy = all_pages.map_or(String::new(), |option| {
            format!("; {option} uses each as a picture of its own")
        });
        let (path, of) = (printable(path), grouped(each.len()));
        output::note(&format!("{path}: 1 of {of} pages is used{remedy}"));
    }
    vec![Input::from(path)]
}

/// Notes pictures that several arguments name.
fn note_repeated(inputs: &[Input]) {
    let mut seen = HashSet::new();
    let repeated = inputs.iter().filter(|input| !seen.insert(input.name())).count();
    if repeated > 0 {
        let pictures = counted(repeated, "picture");
        output::note(&format!("{pictures}: named by several arguments, and used each time"));
    }
}
