//! The operating system's calls that change the disk, each one a place where tests make it fail.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::Path;

#[cfg(test)]
use super::faults::{done, reach};
use super::operation::Operation::{
    self, Append, CreateFile, CreateFolder, Exchange, Lock, Remove, Rename, RenameFolder, Shorten,
    SyncFile, SyncFolder, Write as WriteBytes,
};
use super::trouble::{Trouble, note};
use crate::Error;

/// Outside tests the disk alone decides.
#[cfg(not(test))]
#[inline]
fn reach(_: Operation, _: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(not(test))]
#[inline]
fn done(_: Operation, _: &Path) {}

fn act<T>(
    operation: Operation,
    action: &'static str,
    path: &Path,
    call: impl FnOnce() -> io::Result<T>,
) -> Result<T, Error> {
    let value = reach(operation, path).and_then(|()| call()).map_err(Error::io(action, path))?;
    done(operation, path);
    Ok(value)
}

struct Checked<'a> {
    file: File,
    path: &'a Path,
}

impl Write for Checked<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = reach(WriteBytes, self.path) {
            self.file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Creates a file that is not there yet, fills it and syncs it.
pub(super) fn write_new(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Error> {
    let file = act(CreateFile, "create", path, || File::create_new(path))?;
    let mut out = BufWriter::with_capacity(1 << 20, Checked { file, path });
    fill(&mut out).and_then(|()| out.flush()).map_err(Error::io("write", path))?;
    less_unsupported(act(SyncFile, "sync", path, || out.get_ref().file.sync_all()))
}

/// Adds to a file as logs do.
pub(super) fn append(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    act(Append, "append to", path, || {
        OpenOptions::new().read(true).append(true).open(path)?.write_all(bytes)
    })
}

/// Cuts a file off, opened as logs are.
pub(super) fn shorten(path: &Path, length: u64) -> Result<(), Error> {
    act(Shorten, "shorten", path, || {
        OpenOptions::new().read(true).append(true).open(path)?.set_len(length)
    })
}

/// A failed sync is none where files cannot be synced at all: theirs are as durable as they get.
pub(super) fn less_unsupported(synced: Result<(), Error>) -> Result<(), Error> {
    match synced {
        Err(Error::Io { source, .. })
            if matches!(
                source.kind(),
                io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput
            ) =>
        {
            note(Trouble::SyncFile, &source);
            Ok(())
        }
        synced => synced,
    }
}

pub(super) fn create_folder(path: &Path) -> Result<(), Error> {
    act(CreateFolder, "create the folder", path, || fs::create_dir(path))
}

/// Renames a file.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    act(Rename, "rename into place", to, || renamed(from, to))
}

pub(super) fn rename_folder(from: &Path, to: &Path) -> Result<(), Error> {
    act(RenameFolder, "rename into place", to, || renamed(from, to))
}

/// Over a network the answer to a rename can be lost, and the same asked again fails. Nobody else takes
/// `from` away: if it is gone, it was renamed.
fn renamed(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to).or_else(|error| match (from.try_exists(), to.try_exists()) {
        (Ok(false), Ok(true)) => Ok(()),
        _ => Err(error),
    })
}

/// Swaps two names in one step. Many file systems cannot, and say so in many ways.
pub(super) fn exchange(one: &Path, other: &Path) -> Result<(), Error> {
    act(Exchange, "swap into place", other, || swap(one, other))
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn swap(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn swap(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Makes the names in a folder durable, if that can be done: what cannot is [noted](note), and
/// the names are as durable as they get. False where the disk failed: what the names replaced may be needed.
pub(super) fn sync_folder(path: &Path) -> bool {
    let synced = reach(SyncFolder, path).and_then(|()| match cfg!(windows) {
        true => Ok(()),
        false => File::open(path)?.sync_all(),
    });
    let Err(source) = synced else { return true };
    let failed = is_of_the_disk(&source);
    note(if failed { Trouble::FolderNotSynced } else { Trouble::SyncFolder }, &source);
    !failed
}

/// Whether the disk failed at what it can do otherwise.
#[cfg(unix)]
fn is_of_the_disk(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::IO)
}

#[cfg(not(unix))]
fn is_of_the_disk(_: &io::Error) -> bool {
    false
}

/// Takes an exclusive lock on an open file.
pub(super) fn try_lock(path: &Path, file: &File) -> Result<(), TryLockError> {
    reach(Lock, path).map_err(TryLockError::Error).and_then(|()| file.try_lock())
}

pub(super) fn remove_file(path: &Path) -> Result<(), Error> {
    act(Remove, "remove", path, || fs::remove_file(path))
}

pub(super) fn remove_tree(path: &Path) -> Result<(), Error> {
    act(Remove, "remove", path, || fs::remove_dir_all(path))
}

/// Bytes that this user can still write on the file system of `folder`.
#[cfg(unix)]
pub(super) fn free_bytes(folder: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(folder).ok()?;
    about.f_bavail.checked_mul(about.f_frsize)
}

#[cfg(not(unix))]
pub(super) fn free_bytes(_: &Path) -> Option<u64> {
    None
}
