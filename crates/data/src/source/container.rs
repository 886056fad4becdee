//! What holds pictures: a folder, an archive, a Parquet file.

use std::fmt::Debug;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sample::Sample;
use crate::error::DecodeError;

/// What samples' paths are relative to.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub(super) path: PathBuf,
    /// Of a file that holds pictures; none of a folder.
    pub(super) container: Option<Container>,
    /// The group that a column puts its pictures into. Each group has a base of its own, so that a picture keeps no
    /// name of it.
    pub(super) group: Option<Arc<str>>,
}

/// A file that holds pictures.
#[derive(Clone, Debug)]
pub(super) struct Container {
    /// Its size in bytes when the set was read.
    pub(super) bytes: u64,
    /// A hash of its first and last bytes then: an archive's first member, a Parquet file's whole footer.
    ends: blake3::Hash,
    pub(super) reader: Arc<dyn Reader>,
}

/// So many bytes at either end tell one file from another.
const END: u64 = 4096;

/// Of a longer footer so many bytes are compared: each row group has some hundreds.
const FOOTER: u64 = 1 << 20;

impl Container {
    /// The file at `path`, of so many bytes, that `reader` reads from.
    pub(super) fn new(path: &Path, bytes: u64, reader: Arc<dyn Reader>) -> io::Result<Self> {
        Ok(Self { bytes, ends: ends(path, bytes)?, reader })
    }

    /// Whether the file at `path` begins and ends as this one did, and has a sample's picture where it was, as far
    /// as that is told beside it.
    pub(super) fn has(&self, path: &Path, sample: &Sample) -> io::Result<bool> {
        Ok(ends(path, self.bytes)? == self.ends && self.reader.is_in_place(path, sample)?)
    }
}

fn ends(path: &Path, bytes: u64) -> io::Result<blake3::Hash> {
    let (mut file, _) = fcmae_files::open(path)?;
    let mut read = Vec::with_capacity(2 * END as usize);
    file.by_ref().take(END).read_to_end(&mut read)?;
    file.seek(SeekFrom::Start(bytes.saturating_sub(END)))?;
    file.by_ref().take(END).read_to_end(&mut read)?;
    // Behind the places of pictures stand classes' names and the like, which may be longer.
    if let Some([a, b, c, d, b'P', b'A', b'R', b'1']) = read.last_chunk() {
        let footer = u64::from(u32::from_le_bytes([*a, *b, *c, *d])) + 8;
        file.seek(SeekFrom::Start(bytes.saturating_sub(footer)))?;
        file.take(footer.min(FOOTER)).read_to_end(&mut read)?;
    }
    Ok(blake3::hash(&read))
}

/// What is known of a file's pictures, to read one of them.
pub(super) trait Reader: Debug + Send + Sync {
    /// The bytes of a sample's picture, from the file at `path`.
    fn read(&self, path: &Path, sample: &Sample) -> Result<Vec<u8>, DecodeError>;

    /// Whether the file at `path` says that a sample's picture begins where it was found; true where it says so
    /// nowhere but at its ends.
    fn is_in_place(&self, _path: &Path, _sample: &Sample) -> io::Result<bool> {
        Ok(true)
    }

    /// Whether that reads little else.
    fn is_direct(&self, sample: &Sample) -> bool;
}
