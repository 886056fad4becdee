//! Where pictures come from: a folder of files as a sorted list of samples.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use serde::{Serialize, Serializer};

mod folder;
mod split;

pub use folder::EXTENSIONS;
pub use split::Amount;

/// What class folders mean.
#[derive(Clone, Copy, Debug)]
pub enum Labels<'a> {
    /// Any layout; samples have no labels. For pre-training.
    Ignored,
    /// Each sub-folder with pictures is a class, sorted by name; pictures anywhere below it count
    /// to it. At least two.
    Required,
    /// As `Required`, for the classes a network already has: labels are positions in this list, a
    /// class folder that it does not name is an error, and a class may be absent.
    Classes(&'a [String]),
}

/// One picture file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Path relative to the folder's root.
    pub path: PathBuf,
    /// Position in [`ImageFolder::classes`]; `None` where labels are ignored.
    pub label: Option<usize>,
    /// Size in bytes when the folder was read.
    pub bytes: u64,
    /// Time of the last change when the folder was read, where the system knows it.
    pub modified: Option<SystemTime>,
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

/// A folder of picture files: the samples, sorted by relative path.
#[derive(Clone, Debug)]
pub struct ImageFolder {
    /// The folder.
    pub root: PathBuf,
    /// Class names, sorted, or in the order given; empty where labels are ignored.
    pub classes: Vec<String>,
    /// The pictures, sorted by relative path, so that positions never depend on the file system.
    pub samples: Vec<Sample>,
    /// Entries with a picture's extension that cannot be one: FIFOs, folders, broken links; and
    /// folders that cannot be entered.
    pub skipped: Vec<Skipped>,
    /// Hidden files, and files with other extensions.
    pub passed_over: usize,
    /// Sub-folders without a picture, which are no classes; empty where labels are ignored.
    pub empty_classes: Vec<String>,
}

impl ImageFolder {
    /// Reads a folder and everything below it. Links are followed, loops of them survived.
    ///
    /// # Errors
    /// A folder that is missing, no folder, cannot be listed or holds no picture; with labels, one
    /// that has fewer than two classes ([`Labels::Required`]) or a class that is not in the list
    /// ([`Labels::Classes`]).
    pub fn open(root: impl Into<PathBuf>, labels: Labels<'_>) -> Result<Self, crate::DataError> {
        folder::scan(root.into(), labels)
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is no sample; never so for a folder from [`open`](Self::open).
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The whole path of a sample's file.
    ///
    /// # Panics
    /// When there is no sample at `index`.
    pub fn path(&self, index: usize) -> PathBuf {
        self.root.join(&self.samples[index].path)
    }

    /// Samples a class; empty where labels are ignored.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for label in self.samples.iter().filter_map(|sample| sample.label) {
            counts[label] += 1;
        }
        counts
    }

    /// A hash, in hexadecimal, over the class names and every sample's relative path, label and
    /// size. A run that resumes on data with another fingerprint would not be the same run.
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

    /// The same folder with only the samples at `indices` (ascending).
    fn subset(&self, indices: &[usize]) -> Self {
        Self {
            root: self.root.clone(),
            classes: self.classes.clone(),
            samples: indices.iter().map(|&i| self.samples[i].clone()).collect(),
            skipped: self.skipped.clone(),
            passed_over: self.passed_over,
            empty_classes: self.empty_classes.clone(),
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
