//! One picture of a set, and what is left out of it.

use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::words::printable;

/// One picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Path relative to the folder; of an archive, the member's name; of a list, as it stands there;
    /// of a Parquet file, the picture's name in it, or the file's name and the row.
    pub path: PathBuf,
    /// Position in [`ImageFolder::classes`](super::ImageFolder::classes); `None` where labels are ignored.
    pub label: Option<usize>,
    /// Size in bytes when the set was read.
    pub bytes: u64,
    /// Time of the last change of the file (of an archive or Parquet file, of the whole) when the
    /// set was read, where the system knows it.
    pub modified: Option<SystemTime>,
    /// Position in the set's bases.
    pub(super) base: u32,
    /// Of an archive: where the picture's bytes begin. Of a Parquet file: the position of the extent
    /// that it lies in, in the upper half, and where it begins in it. Else 0.
    pub(super) offset: u64,
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

/// A relative path's bytes with `/` between its parts: the same on every system.
pub(super) fn portable_bytes(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for component in path.components() {
        if !bytes.is_empty() && component != Component::RootDir {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(component.as_os_str().as_encoded_bytes());
    }
    bytes
}
