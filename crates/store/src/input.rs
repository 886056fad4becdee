//! Files opened to be read.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use fcmae_files::{Limit, Unusable};

use crate::Error;

/// Of a file that describes a run or a checkpoint: the names of 100,000 classes still fit.
pub(crate) const DESCRIPTION: Limit =
    Limit { bytes: 64 << 20, remedy: "check that it is what fcmae wrote" };

/// Opens a file, if it is one; its length in bytes.
pub(crate) fn open(path: &Path) -> Result<(BufReader<File>, u64), Error> {
    let (file, about) = fcmae_files::open(path).map_err(cannot_read(path))?;
    Ok((BufReader::new(file), about.len()))
}

/// For `map_err`: a reason that names the file by its name alone.
pub(crate) fn of(name: &str) -> impl FnOnce(Unusable) -> String {
    move |error| format!("{name}: {}", io::Error::from(error))
}

/// For `map_err`: names the path.
pub(crate) fn cannot_read(path: &Path) -> impl FnOnce(Unusable) -> Error {
    |error| Error::io("read", path)(error.into())
}
