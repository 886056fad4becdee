//! Reading files from anybody: weights, pictures, lists, recipes, another run's folder.
//!
//! Only files are opened. A folder, a device or a pipe is refused, since reading one might fail late, never end, or
//! wait for a writer. A file that is read whole is never longer than its reader allows, even if it grows meanwhile.
//!
//! ```
//! use fcmae_files::{Limit, Unusable, if_there, text};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("recipe.toml");
//! let limit = Limit { bytes: 8, remedy: "split it" };
//! assert_eq!(if_there(text(&path, limit))?, None);
//! std::fs::write(&path, "seed = 1")?;
//! assert_eq!(text(&path, limit)?, "seed = 1");
//! std::fs::write(&path, "seed = 10")?;
//! assert!(matches!(text(&path, limit), Err(Unusable::TooLong { length: 9, .. })));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`open`] reads piece by piece, [`within`] the same up to a limit;
//! - [`bytes`] and [`text`] read the whole up to a limit;
//! - [`if_there`] is for a file that may be missing.
#![forbid(unsafe_code)]

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Why a file cannot be used, in words that follow its name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// The operating system refused.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A folder, a pipe, a socket or a device.
    #[error("is not a file")]
    NotAFile,
    /// Longer than the limit.
    #[error("has {length} bytes, at most {} are read; {}", .limit.bytes, .limit.remedy)]
    TooLong {
        /// Its bytes.
        length: u64,
        /// What was exceeded.
        limit: Limit,
    },
    /// Became longer than the limit while it was read.
    #[error(
        "grew while it was read, and has more than the {} bytes that are read at most; {}",
        .limit.bytes,
        .limit.remedy
    )]
    Grew {
        /// What was exceeded.
        limit: Limit,
    },
    /// Not UTF-8.
    #[error("is not UTF-8 text from byte {byte} of line {line} on; save it as UTF-8")]
    NotText {
        /// The line, from 1.
        line: usize,
        /// The first byte of it that is part of no character, from 1.
        byte: usize,
    },
}

impl Unusable {
    /// Whether there is no such file.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == ErrorKind::NotFound)
    }
}

/// In words that follow "cannot be read:".
impl From<Unusable> for io::Error {
    fn from(error: Unusable) -> Self {
        let kind = match error {
            Unusable::Io(error) => return error,
            Unusable::NotAFile => ErrorKind::InvalidInput,
            Unusable::TooLong { .. } | Unusable::Grew { .. } => ErrorKind::FileTooLarge,
            Unusable::NotText { .. } => ErrorKind::InvalidData,
        };
        Self::new(kind, format!("it {error}"))
    }
}

/// Whether the system had no file left to open, of the process (EMFILE) or of all (ENFILE).
pub fn is_out_of_files(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}

/// The most that is read of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// In bytes.
    pub bytes: u64,
    /// What to do about a longer file, such as `split it into several`.
    pub remedy: &'static str,
}

/// Opens a file to be read piece by piece, and says how long it is and when it was written.
///
/// # Errors
/// [`Unusable::Io`], [`Unusable::NotAFile`].
pub fn open(path: &Path) -> Result<(File, Metadata), Unusable> {
    // Before it is opened: opening a pipe waits for somebody to write into it, and opening a device may
    // do anything.
    checked(fs::metadata(path)?)?;
    let file = File::open(path)?;
    let about = checked(file.metadata()?)?;
    Ok((file, about))
}

fn checked(about: Metadata) -> Result<Metadata, Unusable> {
    if about.is_file() { Ok(about) } else { Err(Unusable::NotAFile) }
}

fn open_within(path: &Path, limit: Limit) -> Result<(File, u64), Unusable> {
    let (file, about) = open(path)?;
    let length = about.len();
    if length > limit.bytes {
        return Err(Unusable::TooLong { length, limit });
    }
    Ok((file, length))
}

/// A file's bytes one after the other, up to a limit: more than that is an error.
#[derive(Debug)]
pub struct Within {
    file: File,
    limit: Limit,
    /// Bytes that may still be read.
    left: u64,
}

/// Opens a file of at most `limit` to be read piece by piece.
///
/// # Errors
/// [`Unusable::Io`], [`Unusable::NotAFile`], [`Unusable::TooLong`]. Reading fails as soon as there is more, as
/// [`Unusable::Grew`] says.
pub fn within(path: &Path, limit: Limit) -> Result<Within, Unusable> {
    let (file, _) = open_within(path, limit)?;
    Ok(Within { file, limit, left: limit.bytes })
}

impl Read for Within {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(to)?;
        let Some(left) = self.left.checked_sub(count as u64) else {
            return Err(Unusable::Grew { limit: self.limit }.into());
        };
        self.left = left;
        Ok(count)
    }
}

/// A whole file of at most `limit`.
///
/// # Errors
/// [`Unusable::Io`], [`Unusable::NotAFile`], [`Unusable::TooLong`], [`Unusable::Grew`].
pub fn bytes(path: &Path, limit: Limit) -> Result<Vec<u8>, Unusable> {
    let (file, length) = open_within(path, limit)?;
    read_whole(file, length, limit)
}

/// `length`: bytes to be expected.
fn read_whole(file: impl Read, length: u64, limit: Limit) -> Result<Vec<u8>, Unusable> {
    // One more, so that the end is seen without more memory.
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0).saturating_add(1));
    file.take(limit.bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit.bytes {
        return Err(Unusable::Grew { limit });
    }
    Ok(bytes)
}

/// A whole file of UTF-8 text of at most `limit`.
///
/// # Errors
/// As for [`bytes`]; [`Unusable::NotText`].
pub fn text(path: &Path, limit: Limit) -> Result<String, Unusable> {
    String::from_utf8(bytes(path, limit)?).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let start = good.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        Unusable::NotText { line, byte: good.len() - start + 1 }
    })
}

/// What was read, or `None` where there is no such file.
///
/// # Errors
/// The one given, but for a missing file.
pub fn if_there<T>(read: Result<T, Unusable>) -> Result<Option<T>, Unusable> {
    match read {
        Err(error) if error.is_missing() => Ok(None),
        read => read.map(Some),
    }
}

#[cfg(test)]
mod tests;
