//! One writer a folder: an advisory lock, which the operating system drops with the process, however
//! that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use crate::{Error, durable, process};

/// Stays when the run ends: removing it would let two processes lock two files of one name.
pub(super) const LOCK: &str = ".lock";

/// A lock that is held for as long as this value lives.
#[derive(Debug)]
pub struct Lock {
    file: File,
    /// Whether this process stands in the file.
    is_named: bool,
}

impl Lock {
    /// Whether the lock in a folder is another process's by now. Where that cannot be told, it is not.
    pub(super) fn is_lost(&self, folder: &Path) -> bool {
        let opened = fcmae_files::open(&folder.join(LOCK)).ok();
        let holder = opened.and_then(|(mut file, _)| holder(&mut file));
        self.is_named && holder.is_some_and(|holder| holder != Holder::this())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone frees the lock only once every copy of the descriptor is closed, and a child
        // process that another thread has just forked holds one until its program is loaded.
        let _ = self.file.unlock();
    }
}

/// Takes a folder's lock and writes into it which process has it. Where the file system has no locks,
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
    let mut lock = Lock { file, is_named: false };
    // A full disk must not keep a run from being resumed: without the number it is only known less well.
    let Holder { number, token } = Holder::this();
    let named = lock.file.set_len(0).and_then(|()| write!(lock.file, "{number} {token:016x}"));
    lock.is_named = named.is_ok();
    Ok(Ok(lock))
}

/// An error where another process holds the lock.
pub(super) fn refuse_if_held(folder: &Path) -> Result<(), Error> {
    let Ok((mut file, _)) = fcmae_files::open(&folder.join(LOCK)) else { return Ok(()) };
    if matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return Err(in_use(folder, &mut file));
    }
    drop(Lock { file, is_named: false });
    Ok(())
}

fn in_use(folder: &Path, lock: &mut File) -> Error {
    let process = holder(lock).map_or("?".to_owned(), |holder| holder.number.to_string());
    Error::InUse { path: folder.to_owned(), process }
}

/// The process that has a lock.
#[derive(Debug, PartialEq, Eq)]
struct Holder {
    /// For people. Processes in containers, and on other machines, may have the same.
    number: u32,
    /// What tells it from all others; 0 in locks of versions before 0.3.
    token: u64,
}

impl Holder {
    fn this() -> Self {
        Self { number: std::process::id(), token: process::token() }
    }
}

/// The process that wrote into a lock.
fn holder(lock: &mut File) -> Option<Holder> {
    let mut text = String::new();
    lock.take(40).read_to_string(&mut text).ok()?;
    let (number, token) = text.split_once(' ').unwrap_or((&text, "0"));
    Some(Holder { number: number.parse().ok()?, token: u64::from_str_radix(token, 16).ok()? })
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
        let copy = lock.file.try_clone().unwrap();
        assert!(matches!(take(folder.path()), Err(Error::InUse { .. })));
        drop(lock);
        drop(take(folder.path()).unwrap().unwrap());
        drop(copy);
    }

    /// Two containers are both process 1, and one's run may get the other's name.
    #[test]
    fn a_lock_of_another_process_with_the_same_number_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let lock = take(folder.path()).unwrap().unwrap();
        assert!(!lock.is_lost(folder.path()));
        let file = folder.path().join(LOCK);
        let number = std::process::id();
        for others in [format!("{number} 0123456789abcdef"), number.to_string()] {
            std::fs::write(&file, &others).unwrap();
            assert!(lock.is_lost(folder.path()), "{others}");
        }
    }
}
