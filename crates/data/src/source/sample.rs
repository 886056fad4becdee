//! One picture of a set, and what is left out of it.

use std::collections::HashMap;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use fcmae_words::grouped;
use serde::{Serialize, Serializer};

use crate::words::printable;

/// One picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Path relative to the folder; of an archive, the member's name; of a list, as it stands there;
    /// of a Parquet file, the picture's name in it, or the file's name and the row. Of one of several pages, `#`
    /// and its number stand behind it, from 1.
    pub path: PathBuf,
    /// Position in [`PictureSet::classes`](super::PictureSet::classes); `None` where labels are ignored.
    pub label: Option<usize>,
    /// Size in bytes when the set was read.
    pub bytes: u64,
    /// Time of the last change of the file (of an archive or Parquet file, of the whole) when the
    /// set was read, where the system knows it.
    pub modified: Option<SystemTime>,
    pub(super) place: Place,
}

/// Where a picture's bytes are: the position of its base among the set's, and the place in that. A set may
/// have millions, so it is no larger than it must be. `page` is 0 for the whole file, and else one more than
/// the number of a page's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A file of its own, in a folder.
    File { base: u32, page: u16 },
    /// In a file that holds pictures, from this byte on.
    Byte { base: u32, page: u16, start: u64 },
    /// In a part of such a file, from this byte of the part on, once it is unpacked.
    #[cfg_attr(
        not(feature = "parquet"),
        expect(dead_code, reason = "only Parquet files have parts")
    )]
    Part { base: u32, page: u16, part: u32, start: u32 },
}

impl Place {
    pub(super) fn base(self) -> usize {
        let (Self::File { base, .. } | Self::Byte { base, .. } | Self::Part { base, .. }) = self;
        base as usize
    }

    /// The number of the directory of the page that it is, where it is one of a file's pages.
    pub(super) fn page(self) -> Option<u16> {
        let (Self::File { page, .. } | Self::Byte { page, .. } | Self::Part { page, .. }) = self;
        page.checked_sub(1)
    }

    /// The place of a page, by the number of its directory.
    pub(super) fn of_page(mut self, number: u16) -> Self {
        let (Self::File { page, .. } | Self::Byte { page, .. } | Self::Part { page, .. }) =
            &mut self;
        *page = number.saturating_add(1);
        self
    }
}

/// Stands between a file's name and the number of a page.
pub(super) const PAGE: char = '#';

impl Sample {
    /// The path of its file: [`path`](Self::path) without the number of a page.
    pub fn file(&self) -> &Path {
        let named = self.place.page().and_then(|_| self.path.to_str()?.rsplit_once(PAGE));
        named.map_or(&self.path, |(file, _)| Path::new(file))
    }

    /// Whether it is one of several pages of a file.
    pub fn is_page(&self) -> bool {
        self.place.page().is_some()
    }
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

/// So many reasons are told one by one.
const REASONS: usize = 10;

/// Files that are left out for the same reason, but for numbers in it; the last of many, for any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alike<'a> {
    /// How many.
    pub count: usize,
    /// The first of them.
    pub example: &'a Skipped,
}

impl Skipped {
    /// Files by the reason for which they are left out, in the order of their first ones. There are ten at most: the
    /// last is of all further reasons.
    pub fn alike(skipped: &[Self]) -> Vec<Alike<'_>> {
        let mut places = HashMap::<String, usize>::new();
        let mut kinds = Vec::<Alike<'_>>::new();
        for example in skipped {
            let kind = example.reason.chars().filter(|c| !c.is_ascii_digit()).collect();
            let place = *places.entry(kind).or_insert(kinds.len().min(REASONS - 1));
            match kinds.get_mut(place) {
                Some(kind) => kind.count += 1,
                None => kinds.push(Alike { count: 1, example }),
            }
        }
        kinds
    }
}

impl fmt::Display for Alike<'_> {
    /// `skipped a.jpg: not a regular file`, or `skipped 3: not a regular file; the first: a.jpg`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Skipped { path, reason } = self.example;
        match self.count {
            1 => write!(f, "skipped {}: {reason}", printable(path)),
            count => {
                write!(f, "skipped {}: {reason}; the first: {}", grouped(count), printable(path))
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_takes_80_bytes_and_its_path() {
        assert!(size_of::<Sample>() <= 80, "{} bytes", size_of::<Sample>());
    }
}
