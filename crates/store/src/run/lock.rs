//! One writer a folder: an advisory lock, which the operating system drops with the process, however
//! that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use crate::{Error, durable};

/// Stays when the run ends: removing it would let two processes lock two files of one name.
pub(super) const LOCK: &str = ".lock";

/// A lock that is held for as long as this value lives.
#[derive(Debug)]
pub struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone frees the lock only once every copy of the descriptor is closed, and a child
        // process that another thread has just forked holds one until its program is loaded.
        let _ = self.0.unlock();
    }
}

/// Takes a folder's lock and writes this process's number into it. Where the file system has no locks,
/// as on some network shares, there is none, and the reason is returned in words: refusing to train there
/// would help nobody.
///
/// # Errors
/// [`Error::InUse`] where another process holds it, [`Error::NotWritable`], [`Error::Io`].
pub fn take(folder: &Path) -> Result<Result<Lock, String>, Error> {
    let path = folder.join(LOCK);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = file.map_err(|e| Error::io("open the lock", &path)(e).of_folder(folder))?;
    match durable::try_lock(&path, &file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(folder, &mut file)),
        // No two file systems say that in the same way.
        Err(TryLockError::Error(error)) => {
            return Ok(Err(format!(
                "{}: files cannot be locked here ({error}): no other process may write here, and \
                 nothing keeps one from it",
                folder.display()
            )));
        }
    }
    let mut lock = Lock(file);
    // The number is for messages alone; a full disk must not keep a run from being resumed.
    let _ = lock.0.set_len(0).and_then(|()| write!(lock.0, "{}", std::process::id()));
    Ok(Ok(lock))
}

/// Whether the lock in a folder was taken by another process than this one. Where that cannot be told it was not.
pub(super) fn is_of_another(folder: &Path) -> bool {
    let mut process = String::new();
    let read = File::open(folder.join(LOCK)).map(|lock| lock.take(20).read_to_string(&mut process));
    read.is_ok() && process.parse::<u32>().is_ok_and(|number| number != std::process::id())
}

/// An error where another process holds the lock.
pub(super) fn refuse_if_held(folder: &Path) -> Result<(), Error> {
    let Ok((mut file, _)) = fcmae_files::open(&folder.join(LOCK)) else { return Ok(()) };
    if matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return Err(in_use(folder, &mut file));
    }
    drop(Lock(file));
    Ok(())
}

fn in_use(folder: &Path, lock: &mut File) -> Error {
    let mut process = String::new();
    let _ = lock.take(20).read_to_string(&mut process);
    if process.is_empty() {
        process.push('?');
    }
    Error::InUse { path: folder.to_owned(), process }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Fault 8: a lock whose holder is gone does not block.
    ///
    /// What a child has between fork and exec: a copy of the descriptor.
    #[test]
    fn a_dropped_lock_is_free_though_a_copy_of_its_descriptor_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let lock = take(folder.path()).unwrap().unwrap();
        let copy = lock.0.try_clone().unwrap();
        assert!(matches!(take(folder.path()), Err(Error::InUse { .. })));
        drop(lock);
        drop(take(folder.path()).unwrap().unwrap());
        drop(copy);
    }
}
