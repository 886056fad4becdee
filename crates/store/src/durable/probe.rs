//! What a folder's file system can do, found out before anything depends on it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::disk;
use super::full::disk_full;
use super::moving;
use super::names::temporary_name;
use super::trouble::{Trouble, Troubles};
use crate::Error;

/// Tries what a run needs of its folder: creating, adding to, shortening and removing files, and what
/// can be gone without, which is returned where it fails.
///
/// # Errors
/// [`Error::Unsuited`] for what cannot be gone without; [`Error::NoSpace`]; [`Error::Io`] where nothing
/// may be written.
pub fn probe(folder: &Path) -> Result<Troubles, Error> {
    let names = ["probe", "probe-2", "probe-3", "probe-4"];
    let names = names.map(|name| temporary_name(&folder.join(name)));
    Troubles::take();
    let tried = try_all(folder, &names);
    let removed = names.iter().try_for_each(|name| moving::remove(name));
    tried?;
    removed.map_err(needed(folder, "removed"))?;
    Ok(Troubles::take())
}

const FIRST: &[u8] = b"first\n";
const SECOND: &[u8] = b"second\n";
const RENAMED: &str = "renamed and stay as they are";

fn try_all(folder: &Path, [file, other, inner, moved]: &[PathBuf; 4]) -> Result<(), Error> {
    let write = |file: &Path, bytes: &[u8]| {
        disk::write_new(file, |out| out.write_all(bytes)).map_err(needed(folder, "written"))
    };
    write(file, FIRST)?;
    disk::append(file, SECOND).map_err(needed(folder, "appended to"))?;
    holds(file, &[FIRST, SECOND].concat()).map_err(needed(folder, "appended to"))?;
    disk::shorten(file, FIRST.len() as u64).map_err(needed(folder, "shortened"))?;
    holds(file, FIRST).map_err(needed(folder, "shortened"))?;

    // Over another, as what is replaced is.
    write(other, SECOND)?;
    if !moving::refused(Trouble::RenameFile, disk::rename(file, other))? {
        // Files are copied only where renaming them is refused.
        holds(other, FIRST).map_err(needed(folder, RENAMED))?;
    }

    disk::create_folder(inner)?;
    // With files in it: some rename folders of few.
    for name in ["a", "b", "c", "d", "e"] {
        write(&inner.join(name), FIRST)?;
    }
    disk::sync_folder(inner);
    if !moving::refused(Trouble::RenameFolder, disk::rename_folder(inner, moved))? {
        holds(&moved.join("e"), FIRST).map_err(needed(folder, RENAMED))?;
    }
    Ok(())
}

/// Whether a file is what was written.
fn holds(file: &Path, bytes: &[u8]) -> Result<(), Error> {
    let found = fs::read(file).map_err(Error::io("read", file))?;
    if found == bytes {
        return Ok(());
    }
    let what = match found.len() == bytes.len() {
        true => "it has other bytes afterwards than were written".to_owned(),
        false => {
            format!("it has {} bytes afterwards, not the {} written", found.len(), bytes.len())
        }
    };
    Err(Error::io("read", file)(io::Error::new(io::ErrorKind::InvalidData, what)))
}

/// For `map_err`: says that the folder is of no use.
fn needed<'a>(folder: &'a Path, what: &'static str) -> impl FnOnce(Error) -> Error + 'a {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    move |error| match disk_full(error, folder, FIRST.len() as u64) {
        Error::Io { source, .. }
            if what != "written"
                || !matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem) =>
        {
            Error::Unsuited { folder: folder.to_owned(), what, source }
        }
        other => other,
    }
}
