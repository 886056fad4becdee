//! Files and folders replaced as a whole: a temporary name beside the target, write, sync, rename,
//! sync the folder.
//!
//! A crash can leave names that begin with `.fcmae-tmp-` (unfinished or outdated: rubbish) or
//! `.fcmae-old-` (set aside while its successor moved in); [`remove_leftovers`] clears both.

mod disk;
#[cfg(test)]
pub(crate) mod faults;
mod operation;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;

const UNFINISHED: &str = ".fcmae-tmp-";
const SET_ASIDE: &str = ".fcmae-old-";

/// Writes a file, or replaces it as a whole. `needed`: its bytes, for the message where the disk
/// is full.
///
/// # Errors
/// [`Error::NoSpace`], or [`Error::Io`]; the file is then the old one, or the new one where only
/// the last sync failed.
pub fn write_file(
    path: &Path,
    needed: u64,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Error> {
    let (temporary, folder) = (temporary_name(path), parent(path));
    disk::write_new(&temporary, fill)
        .and_then(|()| disk::rename(&temporary, path))
        .and_then(|()| disk::sync_folder(folder))
        .map_err(|error| {
            let _ = disk::remove_file(&temporary);
            disk_full(under_its_name(error, &temporary, path), folder, needed)
        })
}

/// A folder in the making.
#[derive(Debug)]
pub struct NewFolder<'a>(&'a Path);

impl NewFolder<'_> {
    /// Writes one file and syncs it.
    ///
    /// # Errors
    /// [`Error::BadFileName`] or [`Error::Io`].
    pub fn file(
        &self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Error> {
        disk::write_new(&self.0.join(check_file_name(name)?), fill)
    }
}

/// Writes a folder, or replaces it as a whole. `needed`: bytes of all its files.
///
/// # Errors
/// [`Error::NoSpace`], [`Error::Io`] or what `fill` returns; the folder is then the old one, or
/// the new one where only the last sync failed.
pub fn write_folder(
    path: &Path,
    needed: u64,
    fill: impl FnOnce(&NewFolder) -> Result<(), Error>,
) -> Result<(), Error> {
    let (temporary, folder) = (temporary_name(path), parent(path));
    let placed = disk::create_folder(&temporary)
        .and_then(|()| fill(&NewFolder(&temporary)))
        .and_then(|()| disk::sync_folder(&temporary))
        .and_then(|()| put_in_place(&temporary, path));
    match placed {
        Err(error) => {
            let _ = disk::remove_tree(&temporary);
            Err(disk_full(under_its_name(error, &temporary, path), folder, needed))
        }
        Ok(former) => {
            // Only once the new name is durable may the former contents go.
            disk::sync_folder(folder)?;
            if let Some(former) = former {
                let _ = disk::remove_tree(&former);
            }
            Ok(())
        }
    }
}

/// Moves `temporary` to `path`; returns where the former contents are now.
fn put_in_place(temporary: &Path, path: &Path) -> Result<Option<PathBuf>, Error> {
    if !path.exists() {
        return disk::rename(temporary, path).map(|()| None);
    }
    if disk::exchange(temporary, path)? {
        return Ok(Some(temporary.to_owned()));
    }
    // No exchange on this file system: two renames, with a moment between in which only the name
    // set aside exists; `remove_leftovers` takes it back.
    let aside = prefixed(SET_ASIDE, path);
    if aside.exists() {
        disk::remove_tree(&aside)?;
    }
    disk::rename(path, &aside)?;
    if let Err(error) = disk::rename(temporary, path) {
        let _ = disk::rename(&aside, path);
        return Err(error);
    }
    Ok(Some(aside))
}

/// Removes a folder: it is whole under its name, or gone.
///
/// # Errors
/// [`Error::Io`].
pub fn remove_folder(path: &Path) -> Result<(), Error> {
    let temporary = temporary_name(path);
    disk::rename(path, &temporary)?;
    disk::sync_folder(parent(path))?;
    disk::remove_tree(&temporary)
}

/// Moves a folder to another name beside it, in place of what has that name.
///
/// # Errors
/// [`Error::Io`].
pub fn rename_folder(path: &Path, to: &Path) -> Result<(), Error> {
    if to.exists() {
        remove_folder(to)?;
    }
    disk::rename(path, to)?;
    disk::sync_folder(parent(to))
}

/// Creates a folder in an existing one, unless it is there.
///
/// # Errors
/// [`Error::Io`].
pub fn ensure_folder(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    disk::create_folder(path)?;
    disk::sync_folder(parent(path))
}

/// Clears what killed writers left in `folder`; returns those paths. Only for the one writer of
/// that folder: it would take away another's unfinished work.
///
/// # Errors
/// [`Error::Io`].
pub fn remove_leftovers(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut leftovers = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let name = entry.map_err(Error::io("list", folder))?.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(UNFINISHED) || name.starts_with(SET_ASIDE) {
            leftovers.push(folder.join(&*name));
        }
    }
    if leftovers.is_empty() {
        return Ok(leftovers);
    }
    for leftover in &leftovers {
        let name = leftover.file_name().unwrap_or_default().to_string_lossy();
        if let Some(target) = name.strip_prefix(SET_ASIDE).map(|name| folder.join(name))
            && !target.exists()
        {
            disk::rename(leftover, &target)?;
        }
    }
    // A crash may have come between a rename and its sync: what replaced the leftover first.
    disk::sync_folder(folder)?;
    for leftover in &leftovers {
        if leftover.is_dir() {
            disk::remove_tree(leftover)?;
        } else if leftover.exists() {
            disk::remove_file(leftover)?;
        }
    }
    Ok(leftovers)
}

/// Whether files can be created in `folder`.
///
/// # Errors
/// The reason why not.
pub fn probe(folder: &Path) -> Result<(), Error> {
    let path = temporary_name(&folder.join("probe"));
    disk::write_new(&path, |out| out.write_all(b"probe"))
        .and_then(|()| disk::remove_file(&path))
        .map_err(|error| disk_full(error, folder, 5))
}

/// Bytes that are free on the disk of `folder`, where the system tells.
pub fn free_space(folder: &Path) -> Option<u64> {
    disk::free_bytes(folder)
}

/// Turns "no space" into the error that says how much is needed and how much there is.
pub(crate) fn disk_full(error: Error, folder: &Path, needed: u64) -> Error {
    match error {
        Error::Io { path, source, .. }
            if matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ) =>
        {
            Error::NoSpace { path, needed, free: disk::free_bytes(folder) }
        }
        other => other,
    }
}

/// The error about a temporary file, told of the file that it was to become.
fn under_its_name(error: Error, temporary: &Path, path: &Path) -> Error {
    match error {
        Error::Io { action, path: at, source } => {
            let at = match at.strip_prefix(temporary) {
                Ok(rest) if rest.as_os_str().is_empty() => path.to_owned(),
                Ok(rest) => path.join(rest),
                Err(_) => at,
            };
            Error::Io { action, path: at, source }
        }
        other => other,
    }
}

/// The name, if it can be a file in a folder of ours.
pub(crate) fn check_file_name(name: &str) -> Result<&str, Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        return Err(Error::BadFileName { name: name.to_owned() });
    }
    Ok(name)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn prefixed(prefix: &str, path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(prefix);
    name.push(path.file_name().unwrap_or_default());
    parent(path).join(name)
}

/// A name beside `path` that no other writer uses, of this process or another.
fn temporary_name(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    prefixed(&format!("{UNFINISHED}{}-{count}-", std::process::id()), path)
}

#[cfg(test)]
mod tests;
