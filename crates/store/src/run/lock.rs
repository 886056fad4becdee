//! One writer a run: an advisory lock, which the operating system drops with the process, however
//! that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;

use super::cannot_write;
use crate::Error;

/// Stays when the run ends: removing it would let two processes lock two files of one name.
pub(super) const LOCK: &str = ".lock";

/// Takes the run's lock and writes this process's number into it. `None` where the file system has
/// no locks (some cluster file systems): refusing to train there would help nobody.
pub(super) fn take(folder: &Path) -> Result<Option<File>, Error> {
    let path = folder.join(LOCK);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = file.map_err(|e| cannot_write(Error::io("open the lock", &path)(e), folder))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(folder, &mut file)),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
            return Ok(None);
        }
        Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
    }
    // The number is for messages alone; a full disk must not keep a run from being resumed.
    let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
    Ok(Some(file))
}

/// An error where another process holds the lock.
pub(super) fn refuse_if_held(folder: &Path) -> Result<(), Error> {
    match File::open(folder.join(LOCK)) {
        Ok(mut file) if matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) => {
            Err(in_use(folder, &mut file))
        }
        _ => Ok(()),
    }
}

fn in_use(folder: &Path, lock: &mut File) -> Error {
    let mut process = String::new();
    let _ = lock.take(20).read_to_string(&mut process);
    if process.is_empty() {
        process.push('?');
    }
    Error::InUse { path: folder.to_owned(), process }
}
