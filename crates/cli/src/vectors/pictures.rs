//! Pictures as the commands that compare vectors take them: all of them, and labels where there are any.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use fcmae::weights::Description;
use fcmae_data::source::{printable, written};
use fcmae_data::{DataError, PictureSet};
use fcmae_words::grouped;

use crate::output;
use crate::picture_sets::{self, Columns};

/// A set, and the labels of those of its pictures that have one.
pub(crate) struct WithLabels {
    pub(crate) set: Arc<PictureSet>,
    /// By the pictures' places.
    pub(crate) labels: Vec<Option<String>>,
    /// The class of all pictures, where there is one alone, which makes no labels.
    pub(crate) only_class: Option<String>,
}

impl WithLabels {
    /// As weights of this description take pictures. What holds up a training on labels is only noted here.
    ///
    /// # Errors
    /// Pictures that cannot be used.
    pub(crate) fn open(
        command: &'static str,
        paths: &[PathBuf],
        columns: Columns<'_>,
        description: &Description,
    ) -> Result<Self> {
        let mut found = Ok(vec![]);
        let set = picture_sets::opened(command, columns, |how| {
            let (set, labels) = PictureSet::open_with_labels(paths, how)?;
            found = labels;
            Ok::<_, DataError>(set)
        })?;
        output::note_skipped(&set.skipped);
        picture_sets::look(&set, description)?;
        note_names(&set);
        let mut only_class = None;
        let labels = found.unwrap_or_else(|error| {
            match error {
                DataError::TooFewClasses { mut classes, outside: 0, .. } => {
                    only_class = classes.pop();
                }
                DataError::TooFewClasses { .. } => {}
                error => output::note(&format!("no labels: {error}")),
            }
            vec![None; set.len()]
        });
        Ok(Self { set: Arc::new(set), labels, only_class })
    }

    /// What a picture is called beside its vector.
    pub(crate) fn name(&self, index: usize) -> String {
        name(&self.set, index)
    }
}

/// What a picture is called beside its vector.
pub(crate) fn name(set: &PictureSet, index: usize) -> String {
    written(&set.path(index))
}

/// Notes names that are not UTF-8, which tables and pages cannot hold as they are.
fn note_names(set: &PictureSet) {
    let mut others =
        (0..set.len()).map(|index| set.path(index)).filter(|path| path.to_str().is_none());
    let Some(first) = others.next() else { return };
    output::note(&format!(
        "{} not UTF-8, and written with bytes escaped as \\xff, such as {}",
        match others.count() {
            0 => "1 name is".to_owned(),
            others => format!("{} names are", grouped(1 + others)),
        },
        printable(&first)
    ));
}
