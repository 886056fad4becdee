//! Reading a folder of picture files.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::{ImageFolder, Labels, Sample, Skipped, portable_bytes, printable};
use crate::error::DataError;

/// Extensions that are looked for, in small letters. The format itself is told by the content.
pub const EXTENSIONS: [&str; 10] =
    ["bmp", "gif", "jfif", "jpe", "jpeg", "jpg", "png", "tif", "tiff", "webp"];

pub(super) fn scan(root: PathBuf, labels: Labels<'_>) -> Result<ImageFolder, DataError> {
    match fs::metadata(&root) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => return Err(DataError::NotAFolder(root)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(DataError::Missing(root));
        }
        Err(source) => return Err(DataError::Unreadable { path: root, source }),
    }
    let mut walk = Walk::default();
    walk.run(&root)?;
    let Walk { mut samples, mut skipped, passed_over, top_folders, .. } = walk;
    samples.sort_by_cached_key(|sample| portable_bytes(&sample.path));
    skipped.sort_by_cached_key(|skip| portable_bytes(&skip.path));

    if samples.is_empty() {
        return Err(DataError::NoPictures {
            path: root,
            extensions: EXTENSIONS.map(|e| format!(".{e}")).join(" "),
            passed_over,
            skipped: skipped.len(),
        });
    }
    if u32::try_from(samples.len()).is_err() {
        return Err(DataError::TooManyPictures { path: root, count: samples.len() });
    }
    let mut folder = ImageFolder {
        root,
        classes: Vec::new(),
        samples,
        skipped,
        passed_over,
        empty_classes: Vec::new(),
    };
    match labels {
        Labels::Ignored => {}
        Labels::Required => label(&mut folder, &top_folders, None)?,
        Labels::Classes(expected) => label(&mut folder, &top_folders, Some(expected))?,
    }
    Ok(folder)
}

/// Gives every sample the label of the class folder it lies in; pictures outside of any are
/// skipped.
fn label(
    folder: &mut ImageFolder,
    top_folders: &BTreeSet<String>,
    expected: Option<&[String]>,
) -> Result<(), DataError> {
    let class_of = |path: &Path| {
        let mut parts = path.iter();
        let first = parts.next()?;
        parts.next().map(|_| printable(Path::new(first)))
    };
    let names: Vec<Option<String>> =
        folder.samples.iter().map(|sample| class_of(&sample.path)).collect();
    let found: BTreeSet<&String> = names.iter().flatten().collect();
    folder.empty_classes =
        top_folders.iter().filter(|name| !found.contains(name)).cloned().collect();
    folder.classes = match expected {
        Some(expected) => {
            if let Some(class) = found.iter().find(|name| !expected.contains(name)) {
                return Err(DataError::UnknownClass {
                    path: folder.root.clone(),
                    class: (*class).clone(),
                    expected: expected.to_vec(),
                });
            }
            expected.to_vec()
        }
        None => found.iter().map(|name| (*name).clone()).collect(),
    };
    let fewest = if expected.is_some() { 1 } else { 2 };
    if found.len() < fewest {
        return Err(DataError::TooFewClasses {
            path: folder.root.clone(),
            classes: found.into_iter().cloned().collect(),
            outside: names.iter().filter(|name| name.is_none()).count(),
        });
    }
    let positions: HashMap<&String, usize> =
        folder.classes.iter().enumerate().map(|(i, name)| (name, i)).collect();
    let mut kept = Vec::with_capacity(folder.samples.len());
    for (mut sample, name) in folder.samples.drain(..).zip(&names) {
        match name {
            Some(name) => {
                sample.label = Some(positions[name]);
                kept.push(sample);
            }
            None => folder.skipped.push(Skipped {
                path: folder.root.join(&sample.path),
                reason: "lies outside the class folders".to_owned(),
            }),
        }
    }
    folder.samples = kept;
    Ok(())
}

#[derive(Default)]
struct Walk {
    samples: Vec<Sample>,
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
            self.passed_over += 1;
        } else if meta.is_file() {
            self.samples.push(Sample {
                path: relative,
                label: None,
                bytes: meta.len(),
                modified: meta.modified().ok(),
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

fn has_picture_extension(name: &OsStr) -> bool {
    Path::new(name)
        .extension()
        .and_then(OsStr::to_str)
        .is_some_and(|extension| EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()))
}
