//! A folder of weights for other programs: `export/{last,best,teacher}/{config.json,model.safetensors,…}`.
//!
//! There is no manifest, since other programs would not read one. Where folders cannot be renamed, as in some mounted
//! buckets and network shares, an export is replaced file by file: a reader at that moment may find new weights beside
//! an old `config.json`. Within one run both say the same. Where `fcmae export --overwrite` writes another network, read
//! the folder once it has ended.

use std::path::Path;

use crate::{Error, durable};

/// The file of the weights.
pub(crate) const MODEL: &str = "model.safetensors";

/// Which of a run's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportName {
    /// Those of the last step.
    Last,
    /// Those with the best score.
    Best,
    /// Those of a run's teacher, which stay as they are.
    Teacher,
}

impl ExportName {
    /// The folder's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Best => "best",
            Self::Teacher => "teacher",
        }
    }
}

/// Writes a folder with these files, or replaces it as a whole. Its parent must exist.
///
/// # Errors
/// [`Error::NoSpace`], [`Error::Io`] or [`Error::BadFileName`]; the former folder is then intact, where
/// folders can be renamed.
pub fn write(folder: &Path, files: &[(&str, &[u8])]) -> Result<(), Error> {
    let bytes = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    durable::write_folder(folder, bytes, |new| {
        files.iter().try_for_each(|(name, bytes)| new.file(name, |out| out.write_all(bytes)))
    })
}
