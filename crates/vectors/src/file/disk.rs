//! Writing, at which tests make the disk full.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// A file that is written.
#[derive(Debug)]
pub(super) struct Output(pub(super) File);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(test)]
        let bytes = &bytes[..full::room(bytes.len())?];
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Makes what was written durable, where files can be synced at all.
pub(super) fn sync(file: &File) -> io::Result<()> {
    match file.sync_all() {
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidInput) => {
            Ok(())
        }
        synced => synced,
    }
}

/// Makes the names in a folder durable, as far as that can be done.
pub(super) fn sync_folder(folder: &Path) {
    if cfg!(unix) {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

/// Whether there is no space left.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// A disk that is full after some bytes.
#[cfg(test)]
pub(super) mod full {
    use std::cell::Cell;
    use std::io::{self, ErrorKind};

    thread_local! {
        static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
    }

    /// Room for so many bytes that this thread writes.
    pub(in crate::file) fn after(bytes: usize) {
        LEFT.set(bytes);
    }

    /// How many of these bytes there is room for.
    pub(super) fn room(bytes: usize) -> io::Result<usize> {
        let room = bytes.min(LEFT.get());
        if LEFT.get() != usize::MAX {
            LEFT.set(LEFT.get() - room);
        }
        if room == 0 && bytes > 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(room) }
    }
}
