//! What sources hold, while they are read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::classes::Names;
use super::container::{Base, Container};
use super::sample::{Sample, Skipped};
use crate::error::DataError;

/// What the sources read so far hold. Until all are read, a sample's label is a position in
/// `names`.
pub(super) struct Gathered {
    /// Whether labels are asked for.
    pub(super) labelled: bool,
    pub(super) bases: Vec<Base>,
    pub(super) samples: Vec<Sample>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) passed_over: usize,
    pub(super) names: Names,
    /// Folders that would be classes if they held pictures.
    pub(super) top_folders: BTreeSet<String>,
    /// Pictures without a label.
    pub(super) outside: usize,
}

impl Gathered {
    /// Adds what samples' paths are relative to.
    pub(super) fn base(&mut self, path: &Path, container: Option<Container>) -> u32 {
        self.bases.push(Base { path: path.to_path_buf(), container });
        u32::try_from(self.bases.len() - 1).expect("fewer than 2³² folders and archives")
    }

    pub(super) fn skip(&mut self, path: PathBuf, reason: impl Into<String>) {
        self.skipped.push(Skipped { path, reason: reason.into() });
    }

    /// Decides the classes, and turns the samples' labels into positions among them.
    pub(super) fn settle(
        &mut self,
        roots: &[PathBuf],
        expected: Option<&[String]>,
    ) -> Result<Vec<String>, DataError> {
        self.names.settle(&mut self.samples, self.outside, roots, expected)
    }

    /// Turns samples without a label into skips.
    pub(super) fn drop_unlabelled(&mut self, samples: &mut Vec<Sample>, reason: &str) {
        samples.retain(|sample| {
            if sample.label.is_none() {
                let path = self.bases[sample.place.base()].path.join(&sample.path);
                self.skipped.push(Skipped { path, reason: reason.to_owned() });
                self.outside += 1;
            }
            sample.label.is_some()
        });
    }
}
