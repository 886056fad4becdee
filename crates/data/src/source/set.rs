//! A set of pictures.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::container::Base;
use super::sample::{Sample, Skipped, portable_bytes};
use crate::error::DataError;
use crate::words::{printable, together};

/// A set of pictures: the samples of one or several folders, archives, Parquet files and lists, sorted
/// by path.
///
/// The same pictures under the same names are the same set, with the same fingerprint and batches,
/// whether they lie in a folder, in any number of archives or Parquet files, or are named by a list.
#[derive(Clone, Debug)]
pub struct PictureSet {
    /// What was opened, in the order given.
    pub roots: Vec<PathBuf>,
    /// Class names, sorted, or in the order given; empty where labels are ignored.
    pub classes: Vec<String>,
    /// The pictures, sorted by path, so that positions never depend on the file system.
    pub samples: Vec<Sample>,
    /// What was meant for a picture and cannot be one: FIFOs, broken links, members of an archive
    /// that is cut short, rows without a picture, files that a list names and that are missing; and
    /// folders that cannot be entered.
    pub skipped: Vec<Skipped>,
    /// Those of them that were listed as pictures, or as folders or files of some, and are not there or cannot
    /// be opened.
    pub lost: usize,
    pub(super) first_lost: Option<Skipped>,
    /// Hidden files, files with other extensions, masks in archives, and pictures that this program drew.
    pub passed_over: usize,
    /// What was read in another way than it stands there, or left out, and is not among
    /// [`skipped`](Self::skipped): a sentence each.
    pub notes: Vec<String>,
    /// Sub-folders without a picture, which are no classes; empty where labels are ignored.
    pub empty_classes: Vec<String>,
    /// Columns of lists and Parquet files that may say which pictures belong together, as they are called; none where
    /// [`Opening::group_column`](super::Opening::group_column) chose one.
    pub group_columns: Vec<String>,
    pub(super) bases: Arc<[Base]>,
}

impl PictureSet {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is no sample; never so for a set from [`open`](Self::open).
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The whole path of a sample's file. Of an archive or Parquet file, its path and the picture's
    /// name behind it: a name for messages; [`read`](Self::read) gives the bytes.
    ///
    /// # Panics
    /// When there is no sample at `index`.
    pub fn path(&self, index: usize) -> PathBuf {
        let sample = &self.samples[index];
        self.bases[sample.place.base()].path.join(&sample.path)
    }

    /// As [`path`](Self::path), without links: the same for the same file however it was reached, as far as the system
    /// tells.
    ///
    /// # Panics
    /// When there is no sample at `index`.
    pub fn real_path(&self, index: usize) -> PathBuf {
        let sample = &self.samples[index];
        let base = &self.bases[sample.place.base()];
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        match base.container {
            Some(_) => real(&base.path).join(&sample.path),
            None => real(&base.path.join(&sample.path)),
        }
    }

    /// Samples a class; empty where labels are ignored.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for label in self.samples.iter().filter_map(|sample| sample.label) {
            counts[label] += 1;
        }
        counts
    }

    /// A hash, in hexadecimal, over the class names and every sample's path, label and size. A run that
    /// resumes on data with another fingerprint would not be the same run.
    pub fn fingerprint(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        for class in &self.classes {
            part(class.as_bytes());
        }
        for sample in &self.samples {
            part(&portable_bytes(&sample.path));
            part(&sample.bytes.to_le_bytes());
            part(&sample.label.map_or(u64::MAX, |label| label as u64).to_le_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Refuses a set of which more than a share was listed and cannot be used.
    ///
    /// # Errors
    /// [`DataError::TooManyLost`].
    pub fn check_lost(&self, max_bad_fraction: f64) -> Result<(), DataError> {
        let of = self.len() + self.lost;
        let Some(first) = &self.first_lost else { return Ok(()) };
        if self.lost as f64 <= max_bad_fraction * of as f64 {
            return Ok(());
        }
        Err(DataError::TooManyLost {
            path: together(&self.roots),
            lost: self.lost,
            of,
            limit: max_bad_fraction,
            first: format!("{}: {}", printable(&first.path), first.reason),
        })
    }

    /// The same set with only the samples at `indices` (ascending).
    pub(super) fn subset(&self, indices: &[usize]) -> Self {
        Self {
            roots: self.roots.clone(),
            classes: self.classes.clone(),
            samples: indices.iter().map(|&i| self.samples[i].clone()).collect(),
            skipped: self.skipped.clone(),
            lost: self.lost,
            first_lost: self.first_lost.clone(),
            passed_over: self.passed_over,
            notes: self.notes.clone(),
            empty_classes: self.empty_classes.clone(),
            group_columns: self.group_columns.clone(),
            bases: Arc::clone(&self.bases),
        }
    }
}
