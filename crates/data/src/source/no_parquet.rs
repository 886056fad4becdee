//! Parquet files in a build without the feature `parquet`: each is refused.

use std::path::{Path, PathBuf};

use super::gathered::Gathered;
use super::kind::{SourceKind, begins_parquet, named_parquet};
use crate::error::DataError;

/// Parquet files.
pub(super) const KIND: SourceKind = SourceKind {
    one: "a Parquet file",
    several: "Parquet files",
    named: named_parquet,
    begins: begins_parquet,
    gather,
    gather_below: Some(gather_below),
};

fn gather(path: &Path, _: &mut Gathered<'_>) -> Result<(), DataError> {
    let reason = "this build reads no Parquet files; build it with the feature parquet";
    Err(DataError::Parquet { path: path.to_path_buf(), reason: reason.to_owned() })
}

fn gather_below(root: &Path, _: &[PathBuf], set: &mut Gathered<'_>) -> Result<(), DataError> {
    gather(root, set)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::source::{Labels, PictureSet};

    #[test]
    fn a_parquet_file_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("train.parquet");
        std::fs::write(&path, b"PAR1").unwrap();
        for root in [path.as_path(), dir.path()] {
            let error = PictureSet::open(root, Labels::Ignored).unwrap_err().to_string();
            assert!(error.contains("build it with the feature parquet"), "{error}");
        }
    }
}
