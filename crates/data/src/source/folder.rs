//! A folder of picture files.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::gathered::Gathered;
use super::kind::{Named, has_picture_extension};
use super::kinds::KINDS;
use super::sample::{Place, Sample, Skipped};
use crate::error::DataError;
use crate::words::printable;

/// Adds what lies below a folder: its pictures, or where there are none, those of the first of [`KINDS`]
/// that it has files of.
pub(super) fn gather(root: &Path, set: &mut Gathered) -> Result<(), DataError> {
    let base = set.base(root, None);
    let mut walk = Walk { base, ..Walk::default() };
    walk.run(root)?;
    let Walk { mut samples, files, skipped, passed_over, top_folders, .. } = walk;
    set.skipped.extend(skipped);
    set.passed_over += passed_over;
    let first = files.iter().position(|files| !files.usable.is_empty());
    let read = first.filter(|_| samples.is_empty());
    let mut before = vec!["pictures"];
    for (position, (kind, files)) in KINDS.iter().zip(&files).enumerate() {
        if Some(position) == read {
            for (path, reason) in &files.unusable {
                set.skip(path.clone(), *reason);
            }
        } else {
            set.passed_over += files.unusable.len();
            for path in &files.usable {
                let (one, before) = (kind.one, before.join(" or "));
                let mend = "give such files a folder of their own";
                set.skip(path.clone(), format!("{one} beside {before}; {mend}"));
            }
        }
        before.push(kind.several);
    }
    if let Some(read) = read
        && let Some(gather) = KINDS[read].gather_below
    {
        return gather(root, &files[read].usable, set);
    }
    if set.labelled {
        set.top_folders.extend(top_folders);
        for sample in &mut samples {
            sample.label = set.names.folder_of(&sample.path);
        }
        set.drop_unlabelled(&mut samples, "lies outside the class folders");
    }
    set.samples.append(&mut samples);
    Ok(())
}

#[derive(Default)]
struct Walk {
    /// The root's position among the set's bases.
    base: u32,
    samples: Vec<Sample>,
    /// Of each of [`KINDS`].
    files: [Files; KINDS.len()],
    skipped: Vec<Skipped>,
    passed_over: usize,
    /// Folders directly in the root.
    top_folders: BTreeSet<String>,
    /// Real paths of linked folders already followed: each is entered once, so that links that
    /// point at each other cannot multiply.
    followed: HashSet<PathBuf>,
}

/// Files of a kind.
#[derive(Default)]
struct Files {
    usable: Vec<PathBuf>,
    /// Each with the reason.
    unusable: Vec<(PathBuf, &'static str)>,
}

/// A folder still to read.
struct Pending {
    /// Relative to the root.
    relative: PathBuf,
    /// With every link resolved, to see a link that leads to a folder it lies in.
    real: PathBuf,
}

impl Walk {
    fn run(&mut self, root: &Path) -> Result<(), DataError> {
        let unreadable = |source| DataError::Unreadable { path: root.to_path_buf(), source };
        let real = fs::canonicalize(root).map_err(unreadable)?;
        // The root itself must be listable; folders below it that are not become skips.
        let mut entries = sorted_names(root).map_err(unreadable)?;
        let mut here = Pending { relative: PathBuf::new(), real };
        // A stack, not recursion: the depth is the file system's to choose. Links wait until no
        // other folder is left, so that a file is found by its own path rather than by a link's.
        let mut pending = Vec::new();
        let mut links = VecDeque::new();
        loop {
            for name in entries {
                self.entry(root, &here, &name, &mut pending, &mut links);
            }
            loop {
                let Some(next) = pending.pop().or_else(|| links.pop_front()) else { return Ok(()) };
                let path = root.join(&next.relative);
                match sorted_names(&path) {
                    Ok(names) => {
                        entries = names;
                        here = next;
                        break;
                    }
                    Err(error) => self.skip(path, format!("folder cannot be listed: {error}")),
                }
            }
        }
    }

    fn entry(
        &mut self,
        root: &Path,
        here: &Pending,
        name: &OsStr,
        pending: &mut Vec<Pending>,
        links: &mut VecDeque<Pending>,
    ) {
        if name.as_encoded_bytes().starts_with(b".") {
            self.passed_over += 1;
            return;
        }
        let relative = here.relative.join(name);
        let path = root.join(&relative);
        let picture_name = has_picture_extension(name);
        // Follows links.
        let meta = match fs::metadata(&path) {
            Ok(meta) => meta,
            Err(error) => {
                if picture_name || fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_symlink()) {
                    self.skip(path, format!("cannot be opened: {error}"));
                } else {
                    self.passed_over += 1;
                }
                return;
            }
        };
        if meta.is_dir() {
            if picture_name {
                self.skip(path, "a folder named like a picture".to_owned());
                return;
            }
            let linked = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_symlink());
            let real = if linked {
                let Some(real) = self.follow(here, &path) else { return };
                real
            } else {
                here.real.join(name)
            };
            if here.relative.as_os_str().is_empty() {
                self.top_folders.insert(printable(Path::new(name)));
            }
            let next = Pending { relative, real };
            if linked { links.push_back(next) } else { pending.push(next) }
        } else if !picture_name {
            let mut kinds = KINDS.iter().zip(&mut self.files);
            let found = kinds.find_map(|(kind, files)| {
                kind.gather_below?;
                Some((files, (kind.named)(name)?))
            });
            match found {
                Some((files, Named::Usable)) if meta.is_file() => files.usable.push(path),
                Some((files, Named::Unusable(reason))) => files.unusable.push((path, reason)),
                _ => self.passed_over += 1,
            }
        } else if meta.is_file() {
            self.samples.push(Sample {
                path: relative,
                label: None,
                bytes: meta.len(),
                modified: meta.modified().ok(),
                place: Place::File { base: self.base },
            });
        } else {
            self.skip(path, "not a regular file".to_owned());
        }
    }

    /// Where a link to a folder leads, or `None` (recorded) for one not to follow.
    fn follow(&mut self, here: &Pending, path: &Path) -> Option<PathBuf> {
        let real = match fs::canonicalize(path) {
            Ok(real) => real,
            Err(error) => {
                self.skip(path.to_path_buf(), format!("link cannot be followed: {error}"));
                return None;
            }
        };
        if here.real.starts_with(&real) {
            self.skip(path.to_path_buf(), "link to a folder it lies in".to_owned());
            return None;
        }
        if !self.followed.insert(real.clone()) {
            self.skip(path.to_path_buf(), "link to a folder already followed".to_owned());
            return None;
        }
        Some(real)
    }

    fn skip(&mut self, path: PathBuf, reason: String) {
        self.skipped.push(Skipped { path, reason });
    }
}

/// Names in a folder, sorted, so that which of two links is followed does not depend on the file
/// system.
fn sorted_names(path: &Path) -> std::io::Result<Vec<std::ffi::OsString>> {
    let mut names = fs::read_dir(path)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<std::io::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}
