//! Kinds of files, by their names.

use std::ffi::OsStr;
use std::path::Path;

/// Extensions that are looked for, in small letters. The format itself is told by the content.
pub const EXTENSIONS: [&str; 10] =
    ["bmp", "gif", "jfif", "jpe", "jpeg", "jpg", "png", "tif", "tiff", "webp"];

/// An archive, by its name.
pub(super) enum Archive {
    /// One that is read.
    Tar,
    /// One that would have to be unpacked first.
    Compressed,
}

/// Whether a file is named like an archive.
pub(super) fn archive(name: &OsStr) -> Option<Archive> {
    let name = name.to_str()?.to_ascii_lowercase();
    let compressed = [".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst"];
    if name.ends_with(".tar") {
        Some(Archive::Tar)
    } else if compressed.iter().any(|end| name.ends_with(end)) {
        Some(Archive::Compressed)
    } else {
        None
    }
}

/// Whether a file is named like a picture.
pub(super) fn has_picture_extension(name: &OsStr) -> bool {
    Path::new(name)
        .extension()
        .and_then(OsStr::to_str)
        .is_some_and(|extension| EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()))
}

/// Whether a file is named like a Parquet file.
pub(super) fn is_parquet(name: &OsStr) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"))
}
