//! Several sources to one set: samples in one order, classes united by name.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{
    Base, EXTENSIONS, ImageFolder, Labels, Sample, Skipped, archive, folder, list, parquet,
    portable_bytes,
};
use crate::error::DataError;
use crate::words::printable;

/// What the sources read so far hold. Until all are read, a sample's label is a position in
/// `names`.
pub(super) struct Gathered {
    /// Whether labels are asked for.
    pub(super) labelled: bool,
    pub(super) bases: Vec<Base>,
    pub(super) samples: Vec<Sample>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) passed_over: usize,
    pub(super) names: Names,
    /// Folders that would be classes if they held pictures.
    pub(super) top_folders: BTreeSet<String>,
    /// Pictures without a label.
    outside: usize,
}

impl Gathered {
    /// Adds what samples' paths are relative to; `archive` is the size of one, or of a Parquet file.
    pub(super) fn base(&mut self, path: &Path, archive: Option<u64>) -> u32 {
        self.bases.push(Base { path: path.to_path_buf(), archive, extents: [].into() });
        u32::try_from(self.bases.len() - 1).expect("fewer than 2³² folders and archives")
    }

    pub(super) fn skip(&mut self, path: PathBuf, reason: impl Into<String>) {
        self.skipped.push(Skipped { path, reason: reason.into() });
    }

    /// Turns samples without a label into skips.
    pub(super) fn drop_unlabelled(&mut self, samples: &mut Vec<Sample>, reason: &str) {
        samples.retain(|sample| {
            if sample.label.is_none() {
                let path = self.bases[sample.base as usize].path.join(&sample.path);
                self.skipped.push(Skipped { path, reason: reason.to_owned() });
                self.outside += 1;
            }
            sample.label.is_some()
        });
    }
}

/// Class names as they are met.
#[derive(Default)]
pub(super) struct Names {
    names: Vec<Name>,
    positions: HashMap<String, usize>,
}

struct Name {
    text: String,
    /// Whether some folder has this name; else an archive, a list or a Parquet file wrote it.
    folder: bool,
}

impl Names {
    /// The position of a name that an archive, a list or a Parquet file wrote.
    pub(super) fn written(&mut self, text: &str) -> usize {
        self.position(text, false)
    }

    /// The position of the class whose folder a path lies in, if it lies in any.
    pub(super) fn folder_of(&mut self, path: &Path) -> Option<usize> {
        let mut parts = path.iter();
        let first = parts.next()?;
        parts.next().map(|_| self.position(&printable(Path::new(first)), true))
    }

    fn position(&mut self, text: &str, folder: bool) -> usize {
        let position = match self.positions.get(text) {
            Some(&position) => position,
            None => {
                self.names.push(Name { text: text.to_owned(), folder });
                self.positions.insert(text.to_owned(), self.names.len() - 1);
                self.names.len() - 1
            }
        };
        self.names[position].folder |= folder;
        position
    }
}

/// Names in their order: as numbers where all were written as numbers, else as text.
fn sorted(mut names: Vec<&Name>) -> Vec<String> {
    let number = |name: &Name| name.text.parse::<u64>().ok().filter(|_| !name.folder);
    let all_numbers = names.iter().all(|name| number(name).is_some());
    names.sort_unstable_by_key(|name| (number(name).filter(|_| all_numbers), &name.text));
    names.into_iter().map(|name| name.text.clone()).collect()
}

pub(super) fn gather(roots: &[PathBuf], labels: Labels<'_>) -> Result<ImageFolder, DataError> {
    check_distinct(roots)?;
    let mut set = Gathered {
        labelled: !matches!(labels, Labels::Ignored),
        bases: Vec::new(),
        samples: Vec::new(),
        skipped: Vec::new(),
        passed_over: 0,
        names: Names::default(),
        top_folders: BTreeSet::new(),
        outside: 0,
    };
    for root in roots {
        let found =
            |set: &Gathered| (set.samples.len() + set.outside, set.skipped.len(), set.passed_over);
        let before = found(&set);
        add(root, &mut set)?;
        let after = found(&set);
        if after.0 == before.0 {
            return Err(DataError::NoPictures {
                path: root.clone(),
                extensions: EXTENSIONS.map(|e| format!(".{e}")).join(" "),
                passed_over: after.2 - before.2,
                skipped: after.1 - before.1,
            });
        }
    }
    if u32::try_from(set.samples.len()).is_err() {
        return Err(DataError::TooManyPictures { path: all(roots), count: set.samples.len() });
    }
    let classes = match labels {
        Labels::Ignored => Vec::new(),
        Labels::Required => settle(&mut set, roots, None)?,
        Labels::Classes(expected) => settle(&mut set, roots, Some(expected))?,
    };
    let Gathered { bases, mut samples, mut skipped, passed_over, names, mut top_folders, .. } = set;
    // Of equal names, the source given first comes first.
    samples.sort_by_cached_key(|sample| (portable_bytes(&sample.path), sample.base));
    skipped.sort_by_cached_key(|skip| portable_bytes(&skip.path));
    top_folders.retain(|name| !names.positions.contains_key(name));
    Ok(ImageFolder {
        roots: roots.to_vec(),
        classes,
        samples,
        skipped,
        passed_over,
        empty_classes: top_folders.into_iter().collect(),
        bases,
    })
}

/// Refuses no source at all, and one given twice: its pictures would count twice.
fn check_distinct(roots: &[PathBuf]) -> Result<(), DataError> {
    let mut real = HashSet::new();
    let twice = |root: &&PathBuf| fs::canonicalize(root).is_ok_and(|path| !real.insert(path));
    let (value, mend) = match roots.iter().find(twice) {
        Some(root) => (format!("{} twice", printable(root)), "give it once"),
        None if roots.is_empty() => {
            ("empty".to_owned(), "give a folder, an archive or a list of pictures")
        }
        None => return Ok(()),
    };
    Err(DataError::Parameter { what: "data", value, mend: mend.to_owned() })
}

/// Adds one source, of the kind that it shows itself to be.
fn add(root: &Path, set: &mut Gathered) -> Result<(), DataError> {
    let unreadable = |source| DataError::Unreadable { path: root.to_path_buf(), source };
    let meta = match fs::metadata(root) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(DataError::Missing(root.to_path_buf()));
        }
        Err(source) => return Err(unreadable(source)),
    };
    if meta.is_dir() {
        return folder::gather(root, set);
    }
    // Anything else is not opened: a FIFO would block.
    if !meta.is_file() {
        return Err(DataError::NotAFolder(root.to_path_buf()));
    }
    if archive::is_one(root).map_err(unreadable)? {
        return archive::gather_one(root, set);
    }
    if folder::is_parquet(root.as_os_str()) || starts_with(root, b"PAR1").map_err(unreadable)? {
        return parquet::gather_one(root, set);
    }
    match list::kind(root) {
        Some(kind) => list::gather(root, kind, set),
        None => Err(DataError::NotAFolder(root.to_path_buf())),
    }
}

fn starts_with(path: &Path, mark: &[u8; 4]) -> std::io::Result<bool> {
    let mut start = Vec::new();
    fs::File::open(path)?.take(4).read_to_end(&mut start)?;
    Ok(start == mark)
}

/// Decides the classes, and turns the samples' labels into positions among them.
fn settle(
    set: &mut Gathered,
    roots: &[PathBuf],
    expected: Option<&[String]>,
) -> Result<Vec<String>, DataError> {
    // A label may belong to no picture.
    let mut used = vec![false; set.names.names.len()];
    for label in set.samples.iter().filter_map(|sample| sample.label) {
        used[label] = true;
    }
    let names = || set.names.names.iter().zip(&used);
    let found: Vec<&Name> = names().filter(|(_, used)| **used).map(|(name, _)| name).collect();
    let classes = expected.map_or_else(|| sorted(found.clone()), <[String]>::to_vec);
    let fewest = if expected.is_some() { 1 } else { 2 };
    if found.len() < fewest {
        return Err(DataError::TooFewClasses {
            path: all(roots),
            classes: found.iter().map(|name| name.text.clone()).collect(),
            outside: set.outside,
        });
    }
    let by_name: HashMap<&str, usize> =
        classes.iter().enumerate().map(|(position, name)| (name.as_str(), position)).collect();
    let mut positions = Vec::with_capacity(used.len());
    for (name, used) in names() {
        if !used {
            // No sample asks for it.
            positions.push(0);
            continue;
        }
        let number = || {
            let number = name.text.parse().ok().filter(|_| !name.folder);
            number.filter(|&number: &usize| number < classes.len())
        };
        let position = by_name.get(name.text.as_str()).copied().or_else(number);
        positions.push(position.ok_or_else(|| DataError::UnknownClass {
            path: all(roots),
            class: name.text.clone(),
            expected: classes.clone(),
        })?);
    }
    for sample in &mut set.samples {
        sample.label = sample.label.map(|name| positions[name]);
    }
    Ok(classes)
}

/// Several paths as one, for a message.
pub(super) fn all(roots: &[PathBuf]) -> PathBuf {
    let mut text = std::ffi::OsString::new();
    for (position, root) in roots.iter().enumerate() {
        if position > 0 {
            text.push(", ");
        }
        text.push(root);
    }
    PathBuf::from(text)
}
