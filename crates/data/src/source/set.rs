//! A set of pictures.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

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
    /// Samples of the whole set that this is of, or a part of.
    pub(super) listed: usize,
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
    /// Files that were written to since the set was read, with as many bytes as before.
    pub(super) touched: Arc<Touched>,
}

/// The first of them: a set and its parts share it.
#[derive(Debug, Default)]
pub(super) struct Touched(pub(super) OnceLock<PathBuf>);

impl PictureSet {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is no sample; never so for a set from [`open`](Self::open).
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The whole path of a sample. Of an archive or Parquet file, its path and the picture's
    /// name behind it, and of one of several pages the page's number: a name for messages; [`read`](Self::read) gives the bytes.
    ///
    /// # Panics
    /// When there is no sample at `index`.
    pub fn path(&self, index: usize) -> PathBuf {
        let sample = &self.samples[index];
        self.bases[sample.place.base()].path.join(&sample.path)
    }

    /// The path of the file that a sample lies in, alone or with others.
    pub(super) fn file(&self, index: usize) -> PathBuf {
        let sample = &self.samples[index];
        let base = &self.bases[sample.place.base()];
        match base.container {
            Some(_) => base.path.clone(),
            None => base.path.join(sample.file()),
        }
    }

    /// As [`path`](Self::path), without links: the same for the same file however it was reached, as far as the system
    /// tells.
    ///
    /// # Panics
    /// When there is no sample at `index`.
    pub fn real_path(&self, index: usize) -> PathBuf {
        let sample = &self.samples[index];
        let base = &self.bases[sample.place.base()];
        let file = self.file(index);
        let real = fs::canonicalize(&file).unwrap_or(file);
        match (&base.container, sample.place.page()) {
            (Some(_), _) => real.join(&sample.path),
            (None, None) => real,
            (None, Some(number)) => real.join(number.to_string()),
        }
    }

    /// What a picture takes of its file, on average, in bytes.
    pub fn mean_bytes(&self) -> u64 {
        let mut before = None;
        let file = |sample: &Sample| {
            // The pages of a file stand together.
            let of = sample.is_page().then(|| (sample.place.base(), sample.file().to_owned()));
            let again = of.is_some() && of == before;
            before = of;
            if again { 0 } else { sample.bytes }
        };
        let all: u64 = self.samples.iter().map(file).sum();
        all / self.len().max(1) as u64
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
        self.hash(|sample, part| part(&sample.bytes.to_le_bytes()))
    }

    /// As [`fingerprint`](Self::fingerprint) without sizes: that of the set, even where some of its files were
    /// repaired or stored anew.
    pub fn names_fingerprint(&self) -> String {
        self.hash(|_, _| {})
    }

    /// A hash, in hexadecimal, over path, class and size of the samples at the places that `used` takes, whatever other
    /// classes the set has: that of what two classifiers were asked about.
    pub fn pictures_fingerprint(&self, used: impl Fn(usize) -> bool) -> String {
        let mut hasher = blake3::Hasher::new();
        for (_, sample) in self.samples.iter().enumerate().filter(|(place, _)| used(*place)) {
            let class = sample.label.map_or("", |label| self.classes[label].as_str());
            add_part(&mut hasher, &portable_bytes(&sample.path));
            add_part(&mut hasher, class.as_bytes());
            add_part(&mut hasher, &sample.bytes.to_le_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    fn hash(&self, more: impl Fn(&Sample, &mut dyn FnMut(&[u8]))) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| add_part(&mut hasher, bytes);
        for class in &self.classes {
            part(class.as_bytes());
        }
        for sample in &self.samples {
            part(&portable_bytes(&sample.path));
            more(sample, &mut part);
            part(&sample.label.map_or(u64::MAX, |label| label as u64).to_le_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// The first file that was found to be written to since the set was read, with as many bytes as before: it is
    /// used as it is now. `None` where there is none.
    pub fn touched(&self) -> Option<&Path> {
        self.touched.0.get().map(PathBuf::as_path)
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

    /// Which share of what was listed cannot be used, in the whole set that this may be a part of.
    pub fn lost_share(&self) -> f64 {
        self.lost as f64 / (self.listed + self.lost).max(1) as f64
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
            listed: self.listed,
            passed_over: self.passed_over,
            notes: self.notes.clone(),
            empty_classes: self.empty_classes.clone(),
            group_columns: self.group_columns.clone(),
            bases: Arc::clone(&self.bases),
            touched: Arc::clone(&self.touched),
        }
    }
}

/// Adds to a hash what cannot be taken for two parts, or for one with the next.
fn add_part(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}
