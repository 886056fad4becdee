//! `data.json`: what the run was trained on.

use serde::Deserialize;

/// The pictures of a run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Data {
    /// Where they were looked for.
    pub(crate) roots: Vec<String>,
    /// Trained on.
    pub(crate) pictures: u64,
    /// Kept aside to watch the accuracy.
    pub(crate) held_out: u64,
    /// Neither: only a share of the labels was wanted.
    pub(crate) unused: u64,
    pub(crate) classes: Vec<Class>,
    /// Pictures that could not be read.
    pub(crate) skipped: u64,
    /// Files that are no pictures.
    pub(crate) passed_over: u64,
    /// Folders without a picture.
    pub(crate) empty_classes: Vec<String>,
}

/// One class.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Class {
    pub(crate) name: String,
    pub(crate) training: u64,
    pub(crate) held_out: u64,
}

impl Data {
    /// The classes with most and fewest training pictures, where there are two or more.
    pub(crate) fn extremes(&self) -> Option<(&Class, &Class)> {
        let largest = self.classes.iter().max_by_key(|class| class.training)?;
        let smallest = self.classes.iter().min_by_key(|class| class.training)?;
        (self.classes.len() > 1).then_some((largest, smallest))
    }
}
