//! What a folder's file system can do, found out before anything depends on it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::disk;
use super::full::disk_full;
use super::moving;
use super::names::temporary_name;
use crate::Error;

/// What a folder's storage can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// What has to be gone without, and what follows, a sentence each.
    pub notes: Vec<String>,
    /// Whether files and folders can be synced.
    pub syncs: bool,
}

/// Tries what a run needs of its folder: creating, adding to, shortening and removing files, and what
/// can be gone without.
///
/// # Errors
/// [`Error::Unsuited`] for what cannot be gone without; [`Error::NoSpace`]; [`Error::Io`] where nothing
/// may be written.
pub fn probe(folder: &Path) -> Result<Storage, Error> {
    let names = ["probe", "probe-2", "probe-3", "probe-4"];
    let names = names.map(|name| temporary_name(&folder.join(name)));
    let tried = try_all(folder, &names);
    let removed = names.iter().try_for_each(|name| moving::remove(name));
    tried.and_then(|storage| removed.map_err(needed(folder, "removed")).map(|()| storage))
}

const FIRST: &[u8] = b"first\n";
const SECOND: &[u8] = b"second\n";

fn try_all(folder: &Path, [file, other, inner, moved]: &[PathBuf; 4]) -> Result<Storage, Error> {
    let mut notes = Vec::new();
    disk::take_unsynced();
    disk::write_new(file, |out| out.write_all(FIRST)).map_err(needed(folder, "created"))?;
    notes.extend(unsynced(folder));
    disk::append(file, SECOND).map_err(needed(folder, "appended to"))?;
    holds(file, &[FIRST, SECOND].concat()).map_err(needed(folder, "appended to"))?;
    disk::shorten(file, FIRST.len() as u64).map_err(needed(folder, "shortened"))?;
    holds(file, FIRST).map_err(needed(folder, "shortened"))?;

    disk::create_folder(inner)?;
    // With a file in it: some rename empty folders alone.
    let within = inner.join("file");
    disk::write_new(&within, |out| out.write_all(FIRST)).map_err(needed(folder, "created"))?;
    disk::take_unsynced();
    disk::sync_folder(inner);
    notes.extend(unsynced(folder));
    let syncs = notes.is_empty();

    // Over another, as what is replaced is.
    disk::write_new(other, |out| out.write_all(SECOND)).map_err(needed(folder, "created"))?;
    disk::take_unsynced();
    let renamed = disk::rename(file, other).and_then(|()| holds(other, FIRST));
    notes.extend(refused(folder, renamed, "files", "they are copied into place")?);
    let renamed = disk::rename_folder(inner, moved);
    let renamed = renamed.and_then(|()| holds(&moved.join("file"), FIRST));
    let so = "checkpoints and exports are put in place file by file";
    notes.extend(refused(folder, renamed, "folders", so)?);
    Ok(Storage { notes, syncs })
}

/// What is said of the first sync that failed and was gone on without, if one did.
pub(crate) fn unsynced(folder: &Path) -> Option<String> {
    let unsynced = disk::take_unsynced()?;
    let what = if unsynced.folder { "folders" } else { "files" };
    Some(format!(
        "{}: {what} cannot be synced here ({}): what was written last may be lost if the power fails",
        folder.display(),
        unsynced.source
    ))
}

/// What is said where a rename is refused.
fn refused(
    folder: &Path,
    renamed: Result<(), Error>,
    what: &str,
    so: &str,
) -> Result<Option<String>, Error> {
    match renamed {
        Err(error) if moving::may_be_moved(&error) => {
            let Error::Io { source, .. } = error else { return Err(error) };
            let folder = folder.display();
            Ok(Some(format!("{folder}: {what} cannot be renamed here ({source}): {so}")))
        }
        renamed => renamed.map(|()| None),
    }
}

/// Whether a file is what was written.
fn holds(file: &Path, bytes: &[u8]) -> Result<(), Error> {
    let found = fs::read(file).map_err(Error::io("read", file))?;
    if found == bytes {
        return Ok(());
    }
    let what = format!("it has {} bytes afterwards, not the {} written", found.len(), bytes.len());
    Err(Error::io("read", file)(io::Error::new(io::ErrorKind::InvalidData, what)))
}

/// For `map_err`: says that the folder is of no use.
fn needed<'a>(folder: &'a Path, what: &'static str) -> impl FnOnce(Error) -> Error + 'a {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    move |error| match disk_full(error, folder, FIRST.len() as u64) {
        Error::Io { source, .. }
            if what != "created"
                || !matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem) =>
        {
            Error::Unsuited { folder: folder.to_owned(), what, source }
        }
        other => other,
    }
}
