//! Formats of files.

use std::path::{Path, PathBuf};

use super::error::FileError;

/// A format, which the end of a file's name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.parquet`: columns `path`, `label`, `vector`; the origin under the key `fcmae`. One file.
    Parquet,
    /// `NAME.npy`: `[N, C]` of float32; `NAME.csv` with columns `path`, `label`; `NAME.json`, the origin.
    Npy,
    /// `NAME.csv`: columns `path`, `label`, `v0`, `v1`, …; `NAME.csv.json`, the origin.
    Csv,
}

impl Format {
    /// The format of a file of this name.
    ///
    /// # Errors
    /// [`FileError::Format`].
    pub fn of(path: &Path) -> Result<Self, FileError> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        match ending.to_ascii_lowercase().as_str() {
            "parquet" => Ok(Self::Parquet),
            "npy" => Ok(Self::Npy),
            "csv" => Ok(Self::Csv),
            _ => Err(FileError::Format { path: path.to_owned() }),
        }
    }

    /// The file that holds the origin of `path`, if it is one of its own.
    pub(super) fn origin(self, path: &Path) -> Option<PathBuf> {
        match self {
            Self::Parquet => None,
            Self::Npy => Some(path.with_extension("json")),
            Self::Csv => {
                let mut name = path.as_os_str().to_owned();
                name.push(".json");
                Some(name.into())
            }
        }
    }

    /// The file that holds names and labels of `path`, if it is one of its own.
    pub(super) fn names(self, path: &Path) -> Option<PathBuf> {
        (self == Self::Npy).then(|| path.with_extension("csv"))
    }
}
