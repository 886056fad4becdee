//! Files and folders replaced as a whole: a temporary name beside the target, write, sync, rename,
//! sync the folder.
//!
//! Where that rename is refused, as it is for folders in many mounted buckets and network shares, files
//! are moved one by one, after a list that lets a crash be made good. Syncing folders is done as
//! far as it can be. [`probe`] tells beforehand what cannot.
//!
//! A crash can leave names that begin with `.fcmae-tmp-` (unfinished or outdated: rubbish),
//! `.fcmae-old-` (set aside while its successor moved in) or `.fcmae-new-` (the list of a move);
//! [`remove_leftovers`] finishes and clears all.

mod disk;
#[cfg(test)]
pub(crate) mod faults;
mod full;
mod moving;
mod names;
mod operation;
mod probe;
mod trouble;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

pub(crate) use full::disk_full;
use names::{MOVING, SET_ASIDE, UNFINISHED, parent, prefixed, temporary_name};
pub use probe::probe;
pub(crate) use trouble::Told;
use trouble::Trouble;
pub use trouble::Troubles;

use crate::Error;

/// Writes a file, or replaces it as a whole. `needed`: its bytes, for the message where the disk
/// is full. Where files cannot be renamed, it is copied into place.
///
/// # Errors
/// [`Error::NoSpace`], or [`Error::Io`]; the file is then the old one. Where it was being copied, it may
/// be neither until [`remove_leftovers`] has finished that.
pub fn write_file(
    path: &Path,
    needed: u64,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Error> {
    let (temporary, folder) = (temporary_name(path), parent(path));
    let placed = disk::write_new(&temporary, fill).and_then(|()| {
        moving::finish_earlier(path)?;
        let renamed = disk::rename(&temporary, path);
        if path.is_dir() {
            return renamed;
        }
        if moving::refused(Trouble::RenameFile, renamed)? {
            return moving::start(&temporary, path, None);
        }
        disk::sync_folder(folder);
        Ok(())
    });
    placed.map_err(|error| {
        if !moving::is_under_way(path) {
            let _ = disk::remove_file(&temporary);
        }
        disk_full(under_its_name(error, &temporary, path), folder, needed)
    })
}

/// A folder in the making.
#[derive(Debug)]
pub struct NewFolder<'a> {
    path: &'a Path,
    /// So far.
    files: RefCell<Vec<String>>,
}

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
        disk::write_new(&self.path.join(check_file_name(name)?), fill)?;
        self.files.borrow_mut().push(name.to_owned());
        Ok(())
    }
}

/// Writes a folder, or replaces it as a whole. `needed`: bytes of all its files. Where folders cannot
/// be renamed, the files come into place one by one, in the order in which they were written, and what
/// is no longer part of the folder goes last.
///
/// # Errors
/// [`Error::NoSpace`], [`Error::Io`] or what `fill` returns; the folder is then the old one. Where files
/// were being put in place one by one, it may be neither until [`remove_leftovers`] has finished that.
pub fn write_folder(
    path: &Path,
    needed: u64,
    fill: impl FnOnce(&NewFolder) -> Result<(), Error>,
) -> Result<(), Error> {
    let (temporary, folder) = (temporary_name(path), parent(path));
    let new = NewFolder { path: &temporary, files: RefCell::default() };
    let placed = disk::create_folder(&temporary).and_then(|()| fill(&new)).and_then(|()| {
        disk::sync_folder(&temporary);
        put_in_place(&temporary, path, new.files.take())
    });
    match placed {
        Err(error) => {
            if !moving::is_under_way(path) {
                let _ = disk::remove_tree(&temporary);
            }
            Err(disk_full(under_its_name(error, &temporary, path), folder, needed))
        }
        Ok(former) => {
            // Only once the new name is durable may the former contents go. Where the disk fails to make
            // it so, they stay until the next write of this folder, and no longer: it may fail each time.
            let durable = disk::sync_folder(folder);
            let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
            let earlier = kept.remove(path);
            let former = match former {
                Some(former) if !durable => {
                    kept.insert(path.to_owned(), former);
                    None
                }
                former => former,
            };
            // One that was set aside has its name from the target, and is of now.
            let earlier = earlier.filter(|earlier| kept.get(path) != Some(earlier));
            for outdated in earlier.into_iter().chain(former) {
                let _ = moving::remove(&outdated);
            }
            Ok(())
        }
    }
}

/// Where the former contents of folders are whose new ones may not be durable.
static KEPT: Mutex<BTreeMap<PathBuf, PathBuf>> = Mutex::new(BTreeMap::new());

/// Moves `temporary` to `path`; returns where the former contents are now.
fn put_in_place(
    temporary: &Path,
    path: &Path,
    files: Vec<String>,
) -> Result<Option<PathBuf>, Error> {
    moving::finish_earlier(path)?;
    let mut former = None;
    let renamed = rename_into_place(temporary, path).map(|place| former = place);
    if !moving::refused(Trouble::RenameFolder, renamed)? {
        return Ok(former);
    }
    moving::start(temporary, path, Some(files))?;
    // There where a rename was refused, and the one that should have undone the one before it.
    let aside = prefixed(SET_ASIDE, path);
    Ok(aside.exists().then_some(aside))
}

fn rename_into_place(temporary: &Path, path: &Path) -> Result<Option<PathBuf>, Error> {
    if !path.exists() {
        return disk::rename_folder(temporary, path).map(|()| None);
    }
    match disk::exchange(temporary, path) {
        Err(error) if moving::may_be_done_otherwise(&error) => {}
        swapped => return swapped.map(|()| Some(temporary.to_owned())),
    }
    // No exchange on this file system: two renames, with a moment between in which only the name
    // set aside exists; `remove_leftovers` takes it back.
    let aside = prefixed(SET_ASIDE, path);
    if aside.exists() {
        disk::remove_tree(&aside)?;
    }
    disk::rename_folder(path, &aside)?;
    if let Err(error) = disk::rename_folder(temporary, path) {
        let _ = disk::rename_folder(&aside, path);
        return Err(error);
    }
    Ok(Some(aside))
}

/// Removes a folder: it is whole under its name, or gone. Where folders cannot be renamed, the file
/// `mark`, without which the folder does not count, goes first.
///
/// # Errors
/// [`Error::Io`].
pub fn remove_folder(path: &Path, mark: &str) -> Result<(), Error> {
    let temporary = temporary_name(path);
    if moving::refused(Trouble::RenameFolder, disk::rename_folder(path, &temporary))? {
        moving::remove(&path.join(mark))?;
        disk::sync_folder(path);
        return disk::remove_tree(path);
    }
    disk::sync_folder(parent(path));
    disk::remove_tree(&temporary)
}

/// Moves a folder of files to another name beside it, in place of what has that name. Where folders
/// cannot be renamed, `mark` is as for [`remove_folder`], and moves first.
///
/// # Errors
/// [`Error::Io`].
pub fn rename_folder(path: &Path, to: &Path, mark: &str) -> Result<(), Error> {
    if to.exists() {
        remove_folder(to, mark)?;
    }
    move_folder(path, to, |name| name != mark)?;
    disk::sync_folder(parent(to));
    Ok(())
}

/// Renames a folder, or moves its files, of which those with the smallest `place` come first.
fn move_folder<T: Ord>(path: &Path, to: &Path, place: impl Fn(&str) -> T) -> Result<(), Error> {
    if !moving::refused(Trouble::RenameFolder, disk::rename_folder(path, to))? {
        return Ok(());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(Error::io("list", path))? {
        let name = entry.map_err(Error::io("list", path))?.file_name();
        files.extend(name.into_string().ok().filter(|name| check_file_name(name).is_ok()));
    }
    files.sort_by_cached_key(|name| (place(name), name.clone()));
    moving::start(path, to, Some(files))
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
    disk::sync_folder(parent(path));
    Ok(())
}

/// Whether a crash has left what has this name.
pub(crate) fn is_leftover(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    [MOVING, SET_ASIDE, UNFINISHED].iter().any(|prefix| name.starts_with(prefix))
}

/// Finishes and clears what killed writers left in `folder`; returns those paths. Only for the one
/// writer of that folder: it would take away another's unfinished work.
///
/// # Errors
/// [`Error::Io`].
pub fn remove_leftovers(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut leftovers = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let name = entry.map_err(Error::io("list", folder))?.file_name();
        if is_leftover(&name) {
            leftovers.push(folder.join(&*name.to_string_lossy()));
        }
    }
    if leftovers.is_empty() {
        return Ok(leftovers);
    }
    let of = |prefix: &'static str| {
        let target = move |leftover: &PathBuf| {
            let name = leftover.file_name()?.to_string_lossy();
            Some((leftover.clone(), folder.join(name.strip_prefix(prefix)?)))
        };
        leftovers.iter().filter_map(target)
    };
    for (list, _) in of(MOVING) {
        moving::finish(&list).map_err(|error| disk_full(error, folder, 0))?;
    }
    for (aside, target) in of(SET_ASIDE) {
        if !target.exists() {
            move_folder(&aside, &target, |_| ())?;
        }
    }
    // A crash may have come between a rename and its sync: what replaced the leftover first.
    disk::sync_folder(folder);
    for leftover in &leftovers {
        // Rubbish that cannot be removed is in nobody's way; the next call tries again.
        let _ = moving::remove(leftover);
    }
    Ok(leftovers)
}

/// Where to read a file that [`write_file`] wrote, without changing anything: its own path, unless a killed
/// writer left it missing or cut short, which [`remove_leftovers`] restores from another file.
pub fn whole(path: &Path) -> PathBuf {
    moving::whole(path)
}

/// A log's sync: what a file system cannot do is left, and noted as for all that is written here.
pub(crate) fn sync_data(path: &Path, file: &fs::File) -> Result<(), Error> {
    disk::less_unsupported(file.sync_data().map_err(Error::io("sync", path)))
}

/// Takes an exclusive lock on an open file.
pub(crate) fn try_lock(path: &Path, file: &fs::File) -> Result<(), fs::TryLockError> {
    disk::try_lock(path, file)
}

/// Bytes that are free on the disk of `folder`, where the system tells.
pub fn free_space(folder: &Path) -> Option<u64> {
    disk::free_bytes(folder)
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

#[cfg(test)]
mod tests;
