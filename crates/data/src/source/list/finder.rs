//! Files by the paths that lists write for them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Component, Path, PathBuf};

use fcmae_words::grouped;

use super::super::kind::has_picture_extension;
use crate::words::{path_of, printable};

/// What stands before the path in a URL of a file here.
const FILE: &str = "file://";

/// Finds files by paths relative to a folder.
pub(super) struct Finder<'a> {
    folder: &'a Path,
    /// Names in folders that were looked into, since some path had no file there.
    names: HashMap<PathBuf, Names>,
    cases: Counted,
    endings: Counted,
}

/// How many paths, and the first with its file.
#[derive(Default)]
struct Counted {
    count: usize,
    first: Option<(String, PathBuf)>,
}

impl Counted {
    fn add(&mut self, written: &str, path: &Path) {
        self.count += 1;
        self.first.get_or_insert_with(|| (written.trim().to_owned(), path.to_path_buf()));
    }
}

/// Names in a folder, by small letters; none where several have the same.
#[derive(Default)]
struct Names {
    whole: HashMap<String, Option<OsString>>,
    /// Of pictures, without their extensions.
    stems: HashMap<String, Option<OsString>>,
    /// Of those whose stems begin with zeros, without these.
    unpadded: HashMap<String, OsString>,
    /// A second picture of a stem.
    others: HashMap<String, [OsString; 2]>,
}

impl Names {
    fn of(folder: &Path) -> Self {
        let mut names = Self::default();
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        for name in entries.map(|entry| entry.file_name()) {
            let add = |to: &mut HashMap<String, Option<OsString>>, key: &str| match to
                .entry(key.to_lowercase())
            {
                Entry::Occupied(mut known) => _ = known.insert(None),
                Entry::Vacant(place) => _ = place.insert(Some(name.clone())),
            };
            let Some(text) = name.to_str() else { continue };
            add(&mut names.whole, text);
            if has_picture_extension(&name)
                && let Some((stem, _)) = text.rsplit_once('.')
            {
                if let Some(Some(first)) = names.stems.get(&stem.to_lowercase()) {
                    let mut both = [first.clone(), name.clone()];
                    both.sort_unstable();
                    names.others.insert(stem.to_lowercase(), both);
                }
                add(&mut names.stems, stem);
                let bare = stem.trim_start_matches('0');
                if bare.len() < stem.len() && bare.starts_with(|c: char| c.is_ascii_digit()) {
                    names.unpadded.entry(bare.to_lowercase()).or_insert_with(|| name.clone());
                }
            }
        }
        names
    }
}

impl<'a> Finder<'a> {
    pub(super) fn new(folder: &'a Path) -> Self {
        let (cases, endings) = (Counted::default(), Counted::default());
        Self { folder, names: HashMap::new(), cases, endings }
    }

    /// The path that a line means: as it stands there, or where there is no such file, without blanks and quotes
    /// around it, with slashes for backslashes, from the home folder, in other letter case, or with the extension
    /// that it lacks.
    pub(super) fn found(&mut self, written: &str) -> (PathBuf, io::Result<Metadata>) {
        let mut first = None;
        let forms = forms(written);
        for form in &forms {
            let path = plain(form);
            let meta = fs::metadata(self.folder.join(&path));
            if meta.is_ok() {
                return (path, meta);
            }
            first.get_or_insert((path, meta));
        }
        // As `fcmae embed` and `fcmae choose` write names that are no UTF-8.
        let path = path_of(written.trim());
        let meta = fs::metadata(self.folder.join(&path));
        if path != Path::new(written.trim()) && meta.is_ok() {
            return (path, meta);
        }
        for form in forms.iter().rev() {
            let Some(path) = self.nearly(&plain(form)) else { continue };
            if let Ok(meta) = fs::metadata(self.folder.join(&path)) {
                let bare = !has_picture_extension(form.trim().as_ref());
                let counted = if bare { &mut self.endings } else { &mut self.cases };
                counted.add(written, &path);
                return (path, Ok(meta));
            }
        }
        first.expect("there is one form at least")
    }

    /// The file that is called so but for letter case, or but for its extension.
    fn nearly(&mut self, path: &Path) -> Option<PathBuf> {
        let mut found = PathBuf::new();
        let mut parts = path.components().peekable();
        while let Some(part) = parts.next() {
            let Component::Normal(name) = part else {
                found.push(part);
                continue;
            };
            if self.folder.join(&found).join(name).exists() {
                found.push(name);
                continue;
            }
            let key = name.to_str()?.to_lowercase();
            let names = self.names(&found);
            let whole = names.whole.get(&key);
            let bare = parts.peek().is_none() && !has_picture_extension(name);
            let stem = || names.stems.get(&key).filter(|_| bare);
            let name = whole.or_else(stem)?.clone()?;
            found.push(name);
        }
        Some(found)
    }

    /// Why a path has no file, where names beside it tell.
    pub(super) fn why(&mut self, written: &str) -> Option<String> {
        let path = plain(forms(written).last()?);
        let stem = path.file_name()?.to_str()?.to_lowercase();
        let folder = path.parent().unwrap_or(Path::new(""));
        let names = self.names(folder);
        if let Some([first, second]) = names.others.get(&stem) {
            let [first, second] = [first, second].map(|name| printable(Path::new(name)));
            return Some(format!(
                "both {first} and {second} are there; write it with its extension"
            ));
        }
        let bare = if has_picture_extension(stem.as_ref()) {
            stem.rsplit_once('.').map_or(stem.as_str(), |(bare, _)| bare)
        } else {
            stem.as_str()
        };
        names.unpadded.get(bare).map(|name| {
            format!(
                "it lacks the zeros of {}; write the names as text, as a spreadsheet or pandas takes them for numbers",
                printable(Path::new(name))
            )
        })
    }

    fn names(&mut self, folder: &Path) -> &Names {
        let whole = self.folder.join(folder);
        self.names.entry(folder.to_path_buf()).or_insert_with(|| Names::of(&whole))
    }

    /// A folder beside the list in which there is a file that a path means, where there is none beside it.
    pub(super) fn elsewhere(&mut self, written: &str) -> Option<PathBuf> {
        const FOLDERS: usize = 100;
        let path = plain(forms(written).last()?);
        if path.is_absolute() || path.as_os_str().is_empty() {
            return None;
        }
        let folders = fs::read_dir(self.folder).ok()?.flatten().take(FOLDERS);
        let mut folders: Vec<PathBuf> = folders.map(|entry| entry.file_name().into()).collect();
        folders.sort_unstable();
        let folder = self.folder;
        let holds =
            |at: &PathBuf| folder.join(at).is_dir() && self.nearly(&at.join(&path)).is_some();
        folders.into_iter().find(holds)
    }

    /// What to tell of the list at `list`.
    pub(super) fn notes(&self, list: &Path) -> Vec<String> {
        let list = printable(list);
        let told = |counted: &Counted, one: &str, several: &str, remedy: &str| {
            let (written, path) = counted.first.as_ref()?;
            Some(format!(
                "{list}: {} {}, such as {written:?} for {}: {remedy}",
                grouped(counted.count),
                if counted.count == 1 { one } else { several },
                printable(path)
            ))
        };
        let cases = told(
            &self.cases,
            "path differs from a file's in letter case",
            "paths differ from files' in letter case",
            "the files are used",
        );
        let endings = told(
            &self.endings,
            "name has no extension",
            "names have no extension",
            "the pictures of these names are used",
        );
        cases.into_iter().chain(endings).collect()
    }
}

/// How a path may be meant, the first as it is written.
fn forms(written: &str) -> Vec<Cow<'_, str>> {
    let trimmed = written.trim();
    let mut forms: Vec<Cow<'_, str>> = vec![written.into(), trimmed.into()];
    let quoted =
        ['"', '\''].into_iter().find_map(|quote| trimmed.strip_prefix(quote)?.strip_suffix(quote));
    let bare = quoted.unwrap_or(trimmed);
    forms.push(bare.into());
    if let Some(path) = bare.strip_prefix(FILE) {
        forms.push(path.strip_prefix("localhost").unwrap_or(path).into());
    }
    if let Some(rest) = bare.strip_prefix("~/")
        && let Some(home) = std::env::home_dir()
        && let Some(path) = home.join(rest).to_str()
    {
        forms.push(path.to_owned().into());
    }
    if bare.contains('\\') {
        forms.push(bare.replace('\\', "/").into());
    }
    forms.dedup();
    forms
}

/// A path without `.` parts.
fn plain(text: &str) -> PathBuf {
    Path::new(text).components().filter(|part| *part != Component::CurDir).collect()
}
