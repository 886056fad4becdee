//! A folder of picture files.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::gathered::Gathered;
use super::kinds::{self, has_picture_extension, is_parquet};
use super::sample::{Place, Sample, Skipped};
use super::{archive, parquet};
use crate::error::DataError;
use crate::words::printable;

/// Adds what lies below a folder: its pictures, or where there are none, those of its archives, or
/// where there are none either, those of its Parquet files.
pub(super) fn gather(root: &Path, set: &mut Gathered) -> Result<(), DataError> {
    let base = set.base(root, None);
    let mut walk = Walk { base, ..Walk::default() };
    walk.run(root)?;
    let Walk { mut samples, archives, compressed, parquet, skipped, passed_over, .. } = walk;
    let top_folders = walk.top_folders;
    set.skipped.extend(skipped);
    set.passed_over += passed_over;
    let beside = |path, what| Skipped {
        path,
        reason: format!("{what}; give such files a folder of their own"),
    };
    if samples.is_empty() && archives.is_empty() && !parquet.is_empty() {
        set.passed_over += compressed.len();
        return parquet::gather(root, &parquet, set);
    }
    let rest = |path| beside(path, "a Parquet file beside pictures or archives");
    set.skipped.extend(parquet.into_iter().map(rest));
    if samples.is_empty() && !archives.is_empty() {
        set.skipped.extend(compressed.into_iter().map(archive::compressed));
        return archive::gather(&archives, set);
    }
    let rest = |path| beside(path, "an archive beside pictures");
    set.skipped.extend(archives.into_iter().map(rest));
    set.passed_over += compressed.len();
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
    /// Files named like tar archives.
    archives: Vec<PathBuf>,
    /// Files named like compressed ones.
    compressed: Vec<PathBuf>,
    /// Files named like Parquet files.
    parquet: Vec<PathBuf>,
    skipped: Vec<Skipped>,
    passed_over: usize,
    /// Folders directly in the root.
    top_folders: BTreeSet<String>,
    /// Real paths of linked folders already followed: each is entered once, so that links that
    /// point at each other cannot multiply.
    followed: HashSet<PathBuf>,
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
            match kinds::archive(name) {
                None if meta.is_file() && is_parquet(name) => self.parquet.push(path),
                Some(kinds::Archive::Tar) if meta.is_file() => self.archives.push(path),
                Some(kinds::Archive::Compressed) => self.compressed.push(path),
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
