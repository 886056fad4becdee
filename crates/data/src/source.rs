//! Where pictures come from: folders of files, tar archives, Parquet files and lists as one sorted list
//! of samples.
//!
//! Nothing is decoded here, and of an archive only the headers are read: what stays in memory is a
//! name, a size and a place for each picture.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

mod archive;
mod classes;
mod folder;
mod list;
#[cfg_attr(not(feature = "parquet"), path = "source/no_parquet.rs")]
mod parquet;
mod read;
mod recorded;
mod split;

pub use folder::EXTENSIONS;
pub use recorded::{Part, Split};
pub use split::Amount;

/// What labels are taken from: class folders, an archive's `KEY.cls`, the label column of a list or a
/// Parquet file.
#[derive(Clone, Copy, Debug)]
pub enum Labels<'a> {
    /// Any layout; samples have no labels. For pre-training.
    Ignored,
    /// Every sample has a class; there are at least two. Of a folder, each sub-folder with pictures
    /// is a class, and pictures anywhere below it count to it. Classes are sorted by name; where
    /// all are numbers and none is a folder's name, as numbers.
    Required,
    /// As `Required`, for the classes a network already has: labels are positions in this list, a
    /// class that it does not name is an error, and a class may be absent. A number from an archive,
    /// a list or a Parquet file that is no name in it is taken for a position.
    Classes(&'a [String]),
}

/// One picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Path relative to the folder; of an archive, the member's name; of a list, as it stands there;
    /// of a Parquet file, the picture's name in it, or the file's name and the row.
    pub path: PathBuf,
    /// Position in [`ImageFolder::classes`]; `None` where labels are ignored.
    pub label: Option<usize>,
    /// Size in bytes when the set was read.
    pub bytes: u64,
    /// Time of the last change of the file (of an archive or Parquet file, of the whole) when the
    /// set was read, where the system knows it.
    pub modified: Option<SystemTime>,
    /// Position in the set's bases.
    base: u32,
    /// Of an archive: where the picture's bytes begin. Of a Parquet file: the position of the extent
    /// that it lies in, in the upper half, and where it begins in it. Else 0.
    offset: u64,
}

/// What a sample's path is relative to: a folder, an archive or a Parquet file.
#[derive(Clone, Debug)]
struct Base {
    path: PathBuf,
    /// Of an archive or Parquet file: its size in bytes when the set was read.
    archive: Option<u64>,
    /// Of a Parquet file with pictures: the parts of it that they lie in.
    extents: Arc<[parquet::Extent]>,
}

/// A file that is left out, and why. Serialises as `{"path": …, "reason": …}`, with control
/// characters and bytes that are no UTF-8 escaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The file.
    #[serde(serialize_with = "serialize_path")]
    pub path: PathBuf,
    /// Why it is left out.
    pub reason: String,
}

fn serialize_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&printable(path))
}

/// A set of pictures: the samples of one or several folders, archives, Parquet files and lists, sorted
/// by path.
///
/// The same pictures under the same names are the same set, with the same fingerprint and batches,
/// whether they lie in a folder, in any number of archives or Parquet files, or are named by a list.
#[derive(Clone, Debug)]
pub struct ImageFolder {
    /// What was opened, in the order given.
    pub roots: Vec<PathBuf>,
    /// Class names, sorted, or in the order given; empty where labels are ignored.
    pub classes: Vec<String>,
    /// The pictures, sorted by path, so that positions never depend on the file system.
    pub samples: Vec<Sample>,
    /// What was meant for a picture and cannot be one: FIFOs, broken links, members of an archive
    /// that is cut short, rows without a picture, files that a list names and that are missing; and folders that cannot be
    /// entered.
    pub skipped: Vec<Skipped>,
    /// Hidden files, and files with other extensions.
    pub passed_over: usize,
    /// Sub-folders without a picture, which are no classes; empty where labels are ignored.
    pub empty_classes: Vec<String>,
    bases: Vec<Base>,
}

impl ImageFolder {
    /// Reads a set of pictures. What `root` is tells itself:
    /// - a folder of picture files: everything below it. Links are followed, loops of them survived;
    /// - a folder without pictures and with `.tar` archives: all archives below it, as one set;
    /// - a tar archive: its members that are named like pictures; labels are those of `KEY.cls`, a
    ///   number or a name, or where the archive has none, the members' folders;
    /// - a `.parquet` file, as data sets of the Hugging Face Hub have them (needs the feature
    ///   `parquet`): a column of pictures, of type image or of bytes and named `image`; labels are
    ///   those of the column `label`, `labels` or `class`, else of the only one of type class label,
    ///   else the folders in the pictures' names. Pictures that are stored uncompressed or by Snappy
    ///   are read one by one; of gzip and Zstandard, a page is unpacked up to the picture;
    /// - a folder with neither pictures nor archives, and with `.parquet` files: all below it, as one
    ///   set. Of several splits, such as train and test, none is chosen: that is an error;
    /// - a `.csv` or `.tsv` file: a path a line and, in the second column, a label. The first line
    ///   may name the columns: path, file or image; label or class;
    /// - a `.txt` file: a path a line, without labels. Paths in lists are absolute, or relative to the
    ///   list's folder.
    ///
    /// # Errors
    /// What is missing, none of these, cannot be read or holds no picture; with labels, a set that
    /// has fewer than two classes ([`Labels::Required`]) or a class that is not among those given
    /// ([`Labels::Classes`]), or a list without labels.
    pub fn open(root: impl Into<PathBuf>, labels: Labels<'_>) -> Result<Self, crate::DataError> {
        Self::open_all(&[root.into()], labels)
    }

    /// Reads several folders, archives, Parquet files and lists (see [`open`](Self::open)) as one set; classes of
    /// the same name are one class.
    ///
    /// # Errors
    /// As [`open`](Self::open), of each; none given, or the same one twice.
    pub fn open_all(roots: &[PathBuf], labels: Labels<'_>) -> Result<Self, crate::DataError> {
        classes::gather(roots, labels)
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is no sample; never so for a folder from [`open`](Self::open).
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
        self.bases[sample.base as usize].path.join(&sample.path)
    }

    /// Samples a class; empty where labels are ignored.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for label in self.samples.iter().filter_map(|sample| sample.label) {
            counts[label] += 1;
        }
        counts
    }

    /// A hash, in hexadecimal, over the class names and every sample's path, label and size. A run that resumes on data with another fingerprint would not be the same run.
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

    /// The same set with only the samples at `indices` (ascending).
    fn subset(&self, indices: &[usize]) -> Self {
        Self {
            roots: self.roots.clone(),
            classes: self.classes.clone(),
            samples: indices.iter().map(|&i| self.samples[i].clone()).collect(),
            skipped: self.skipped.clone(),
            passed_over: self.passed_over,
            empty_classes: self.empty_classes.clone(),
            bases: self.bases.clone(),
        }
    }
}

/// A relative path's bytes with `/` between its parts: the same on every system.
fn portable_bytes(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for component in path.components() {
        if !bytes.is_empty() && component != Component::RootDir {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(component.as_os_str().as_encoded_bytes());
    }
    bytes
}

/// A path as text on one line: control characters, and bytes that are no UTF-8, are escaped, so
/// that a hostile file name cannot forge a line of a log.
pub fn printable(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_stays_on_one_line() {
        assert_eq!(printable(Path::new("a/b c.jpg")), "a/b c.jpg");
        assert_eq!(printable(Path::new("été\n{}.jpg")), "été\\n{}.jpg");
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            let name = std::ffi::OsStr::from_bytes(b"a\xff\xfe.png");
            assert_eq!(printable(Path::new(name)), "a\\xff\\xfe.png");
        }
    }
}
