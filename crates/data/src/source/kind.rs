//! Kinds of files, by their names and first bytes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::gathered::Gathered;
use crate::error::DataError;

/// A kind of file that holds pictures or names them.
pub(super) struct SourceKind {
    /// What a message calls one, with its article.
    pub(super) one: &'static str,
    /// What it calls several.
    pub(super) several: &'static str,
    /// What a file is by its name; none of another kind.
    pub(super) named: fn(&OsStr) -> Option<Named>,
    /// Whether a file of any name is one, by its first [`START`] bytes.
    pub(super) begins: fn(&[u8]) -> bool,
    /// Adds the pictures of a file, given by itself.
    pub(super) gather: fn(&Path, &mut Gathered<'_>) -> Result<(), DataError>,
    /// Adds the pictures of all such files below the folder that is given first, as one set. Without
    /// it they are passed over there.
    pub(super) gather_below: Option<GatherBelow>,
}

pub(super) type GatherBelow = fn(&Path, &[PathBuf], &mut Gathered<'_>) -> Result<(), DataError>;

/// Bytes by which a file's kind is told.
pub(super) const START: u64 = 512;

/// What a file's name says that it is.
pub(super) enum Named {
    /// One of the kind.
    Usable,
    /// One that would have to be changed first, and how.
    Unusable(&'static str),
}

/// Extensions that are looked for, in small letters. The format itself is told by the content.
pub const EXTENSIONS: [&str; 10] =
    ["bmp", "gif", "jfif", "jpe", "jpeg", "jpg", "png", "tif", "tiff", "webp"];

/// Whether a file is named like a picture.
pub(super) fn has_picture_extension(name: &OsStr) -> bool {
    Path::new(name)
        .extension()
        .and_then(OsStr::to_str)
        .is_some_and(|extension| EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()))
}

/// [`SourceKind::named`] of Parquet files, which a build that reads none knows too.
pub(super) fn named_parquet(name: &OsStr) -> Option<Named> {
    let extension = Path::new(name).extension()?;
    extension.eq_ignore_ascii_case("parquet").then_some(Named::Usable)
}

/// [`SourceKind::begins`] of Parquet files.
pub(super) fn begins_parquet(start: &[u8]) -> bool {
    start.starts_with(b"PAR1")
}
