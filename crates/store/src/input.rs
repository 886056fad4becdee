//! Files opened to be read.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use crate::Error;

/// Opens a file, if it is one; its length in bytes.
pub(crate) fn open(path: &Path) -> Result<(BufReader<File>, u64), Error> {
    // Checked before opening: opening a FIFO waits for a writer.
    let about = std::fs::metadata(path).map_err(Error::io("read", path))?;
    if !about.is_file() {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "it is not a file");
        return Err(Error::io("read", path)(source));
    }
    let file = File::open(path).map_err(Error::io("open", path))?;
    Ok((BufReader::new(file), about.len()))
}
