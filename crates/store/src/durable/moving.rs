//! What is complete under a temporary name moves to its place where one rename cannot do it: a folder
//! file by file, a file by copying it.
//!
//! Before the target is touched, a list of what is to be moved is written beside it, `.fcmae-new-NAME`,
//! and it goes only once all is in place. Whoever finds it after a crash [finishes](finish) the move:
//! ```text
//! folder .fcmae-tmp-1234-0-step-00000007
//! model.safetensors
//! MANIFEST
//! <BLAKE3 of the lines above>
//! ```
//! A list that is cut short says that nothing was moved yet.
//!
//! Who reads the folder meanwhile may find files of the old and of the new one together. Of a checkpoint that is told:
//! its MANIFEST comes last and has a hash of each file, so that such a mix counts as damaged, and the checkpoint before
//! it is taken. An export has no manifest: see [`export_folder`](crate::export_folder).

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fcmae_files::Limit;

use super::disk;
use super::names::{MOVING, UNFINISHED, is_plain, parent, prefixed};
use super::trouble::{Trouble, note};
use crate::Error;

const LIMIT: Limit = Limit { bytes: 1 << 20, remedy: "it is not what was written" };

/// Whether a rename was refused and another way may be tried, which is noted. What says that the disk is
/// full or may only be read, or that something is missing, stays an error.
pub(super) fn refused(what: Trouble, renamed: Result<(), Error>) -> Result<bool, Error> {
    match renamed {
        Err(error) if may_be_done_otherwise(&error) => {
            if let Error::Io { source, .. } = &error {
                note(what, source);
            }
            Ok(true)
        }
        renamed => renamed.map(|()| false),
    }
}

/// Whether the error says no more than that this cannot be done in this way.
pub(super) fn may_be_done_otherwise(error: &Error) -> bool {
    use io::ErrorKind::{NotFound, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let Error::Io { source, .. } = error else { return false };
    !matches!(source.kind(), NotFound | QuotaExceeded | ReadOnlyFilesystem | StorageFull)
}

/// Whether a move to `target` has begun and is not finished.
pub(super) fn is_under_way(target: &Path) -> bool {
    prefixed(MOVING, target).exists()
}

/// The file of which the content of `path` is to be read, without changing anything: where a move of a file
/// to `path` was left, its whole source, since `path` may be missing or cut short.
pub(super) fn whole(path: &Path) -> PathBuf {
    match Move::read(&prefixed(MOVING, path)) {
        Some(Move { source, files: None, .. }) if source.is_file() => source,
        _ => path.to_owned(),
    }
}

/// Moves `source` to `target` beside it and removes what was there. `files`: those of a folder, in
/// the order in which they come into place; `None` for a file.
///
/// # Errors
/// [`Error::Io`]; where the target was touched, [`is_under_way`] then holds, and the source must stay.
pub(super) fn start(source: &Path, target: &Path, files: Option<Vec<String>>) -> Result<(), Error> {
    finish_earlier(target)?;
    let list = prefixed(MOVING, target);
    let planned = Move { source: source.to_owned(), target: target.to_owned(), files };
    let text = planned.to_text();
    let touched = Cell::new(false);
    disk::write_new(&list, |out| out.write_all(text.as_bytes()))
        .and_then(|()| {
            disk::sync_folder(parent(target));
            planned.carry_out(&list, &touched)
        })
        .inspect_err(|_| {
            if !touched.get() {
                let _ = dismiss(&list);
            }
        })
}

/// Finishes the move to `target` that a writer left which failed, before something newer comes there in another
/// way: its list would later put what is older in place of it, or a part of that among it.
///
/// # Errors
/// [`Error::Io`]; it can be tried again.
pub(super) fn finish_earlier(target: &Path) -> Result<(), Error> {
    let list = prefixed(MOVING, target);
    if list.exists() { finish(&list) } else { Ok(()) }
}

/// Finishes a move that was left, by its list.
///
/// # Errors
/// [`Error::Io`]; it can be tried again.
pub(super) fn finish(list: &Path) -> Result<(), Error> {
    match Move::read(list) {
        Some(planned) => planned.carry_out(list, &Cell::new(false)),
        None => dismiss(list),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Move {
    source: PathBuf,
    target: PathBuf,
    files: Option<Vec<String>>,
}

impl Move {
    fn to_text(&self) -> String {
        let kind = if self.files.is_some() { "folder" } else { "file" };
        let source = self.source.file_name().unwrap_or_default().to_string_lossy();
        let mut text = format!("{kind} {source}\n");
        for name in self.files.iter().flatten() {
            text.push_str(name);
            text.push('\n');
        }
        let hash = blake3::hash(text.as_bytes()).to_hex();
        text + hash.as_str() + "\n"
    }

    /// `None` for a list that was not written to its end, or is none.
    fn read(list: &Path) -> Option<Self> {
        let folder = parent(list);
        let name = list.file_name()?.to_str()?.strip_prefix(MOVING)?.to_owned();
        let text = fcmae_files::text(list, LIMIT).ok()?;
        let mut lines = text.lines();
        let (kind, source) = lines.next()?.split_once(' ')?;
        lines.next_back()?;
        let names: Vec<String> = lines.map(str::to_owned).collect();
        if !names.iter().map(String::as_str).chain([source]).all(is_plain) {
            return None;
        }
        let files = match kind {
            "folder" => Some(names),
            _ => None,
        };
        let planned = Self { source: folder.join(source), target: folder.join(name), files };
        (planned.to_text() == text).then_some(planned)
    }

    /// Can be left at any point and begun anew. `touched`: set before the target changes.
    fn carry_out(&self, list: &Path, touched: &Cell<bool>) -> Result<(), Error> {
        let Self { source, target, files } = self;
        if !source.try_exists().map_err(Error::io("read", source))? {
            // It goes when all is in place; the list alone was left.
            return dismiss(list);
        }
        match files {
            None => move_file(source, target, touched)?,
            Some(names) => {
                if !target.is_dir() {
                    disk::create_folder(target)?;
                    touched.set(true);
                }
                for name in names {
                    move_file(&source.join(name), &target.join(name), touched)?;
                }
                disk::sync_folder(target);
                remove_others(target, names)?;
            }
        }
        disk::sync_folder(parent(target));
        match remove(source) {
            // A temporary name can be removed later.
            Err(error) if !is_unfinished(source) => Err(error),
            _ => dismiss(list),
        }
    }
}

/// Removes a list, or empties it: that says no more than that nothing is to be moved.
fn dismiss(list: &Path) -> Result<(), Error> {
    disk::remove_file(list).or_else(|_| disk::shorten(list, 0))
}

fn is_unfinished(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED))
}

/// Moves a file to another folder, or to another name; a file that is gone was moved before.
fn move_file(from: &Path, to: &Path, touched: &Cell<bool>) -> Result<(), Error> {
    if !from.try_exists().map_err(Error::io("read", from))? {
        return Ok(());
    }
    if !refused(Trouble::RenameFile, disk::rename(from, to))? {
        touched.set(true);
        return Ok(());
    }
    if to.exists() {
        disk::remove_file(to)?;
        touched.set(true);
    }
    let mut input = fs::File::open(from).map_err(Error::io("read", from))?;
    disk::write_new(to, |out| io::copy(&mut input, out).map(|_| ())).inspect_err(|_| {
        if disk::remove_file(to).is_err() {
            touched.set(true);
        }
    })
}

/// Removes what is in the folder beside `names`.
fn remove_others(folder: &Path, names: &[String]) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let name = entry.map_err(Error::io("list", folder))?.file_name();
        if !names.iter().any(|kept| name == kept.as_str()) {
            remove(&folder.join(name))?;
        }
    }
    Ok(())
}

/// Removes a file or a folder, if it is there.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => disk::remove_tree(path),
        Ok(_) => disk::remove_file(path),
        Err(_) => Ok(()),
    }
}
