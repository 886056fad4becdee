//! Several sources to one set: samples in one order, classes united by name.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::classes::Names;
use super::folder;
use super::gathered::Gathered;
use super::kind::{EXTENSIONS, START, SourceKind};
use super::kinds::KINDS;
use super::sample::portable_bytes;
use super::set::PictureSet;
use crate::error::DataError;
use crate::words::{printable, together};

/// What labels are taken from: class folders, an archive's `KEY.cls`, the label column of a list or a
/// Parquet file.
#[derive(Clone, Copy, Debug)]
pub enum Labels<'a> {
    /// Any layout; samples have no labels. For pre-training.
    Ignored,
    /// Every sample has a class; there are at least two. Of a folder, each sub-folder with pictures
    /// is a class, and pictures anywhere below it count to it. Classes are sorted by name; where
    /// all are numbers and none is a folder's name, as numbers.
    Required,
    /// As `Required`, for the classes a network already has: labels are positions in this list, a
    /// class that it does not name is an error, and a class may be absent. A number from an archive,
    /// a list or a Parquet file that is no name in it is taken for a position.
    Classes(&'a [String]),
}

impl PictureSet {
    /// Reads a set of pictures. What `root` is tells itself:
    /// - a folder of picture files: everything below it. Links are followed, loops of them survived;
    /// - a folder without pictures and with `.tar` archives: all archives below it, as one set;
    /// - a tar archive: its members that are named like pictures; labels are those of `KEY.cls`, a
    ///   number or a name, or where the archive has none, the members' folders;
    /// - a `.parquet` file, as data sets of the Hugging Face Hub have them (needs the feature
    ///   `parquet`): a column of pictures, of type image or of bytes and named `image`; labels are
    ///   those of the column `label`, `labels` or `class`, else of the only one of type class label,
    ///   else the folders in the pictures' names. Pictures that are stored uncompressed or by Snappy
    ///   are read one by one; of gzip and Zstandard, a page is unpacked up to the picture;
    /// - a folder with neither pictures nor archives, and with `.parquet` files: all below it, as one
    ///   set. Of several splits, such as train and test, none is chosen: that is an error;
    /// - a `.csv` or `.tsv` file: a path a line and, in the second column, a label. The first line
    ///   may name the columns: path, file or image; label or class;
    /// - a `.txt` file: a path a line, without labels. Paths in lists are absolute, or relative to the
    ///   list's folder.
    ///
    /// # Errors
    /// What is missing, none of these, cannot be read or holds no picture; with labels, a set that
    /// has fewer than two classes ([`Labels::Required`]) or a class that is not among those given
    /// ([`Labels::Classes`]), or a list without labels.
    pub fn open(root: impl Into<PathBuf>, labels: Labels<'_>) -> Result<Self, DataError> {
        Self::open_all(&[root.into()], labels)
    }

    /// Reads several folders, archives, Parquet files and lists (see [`open`](Self::open)) as one set; classes of
    /// the same name are one class.
    ///
    /// # Errors
    /// As [`open`](Self::open), of each; none given, or the same one twice.
    pub fn open_all(roots: &[PathBuf], labels: Labels<'_>) -> Result<Self, DataError> {
        gather(roots, labels)
    }
}

fn gather(roots: &[PathBuf], labels: Labels<'_>) -> Result<PictureSet, DataError> {
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
        return Err(DataError::TooManyPictures { path: together(roots), count: set.samples.len() });
    }
    let classes = match labels {
        Labels::Ignored => Vec::new(),
        Labels::Required => set.settle(roots, None)?,
        Labels::Classes(expected) => set.settle(roots, Some(expected))?,
    };
    let Gathered { bases, mut samples, mut skipped, passed_over, names, mut top_folders, .. } = set;
    // Of equal names, the source given first comes first.
    samples.sort_by_cached_key(|sample| (portable_bytes(&sample.path), sample.place.base()));
    skipped.sort_by_cached_key(|skip| portable_bytes(&skip.path));
    top_folders.retain(|name| !names.contains(name));
    Ok(PictureSet {
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
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
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
    match kind_of(root).map_err(unreadable)? {
        Some(kind) => (kind.gather)(root, set),
        None => Err(DataError::NotAFolder(root.to_path_buf())),
    }
}

/// What a file is by its name or, where that says nothing, by its first bytes.
fn kind_of(path: &Path) -> io::Result<Option<&'static SourceKind>> {
    let name = path.file_name().unwrap_or(path.as_os_str());
    let mut start = None;
    for kind in KINDS {
        if (kind.named)(name).is_some() {
            return Ok(Some(kind));
        }
        let start = match &mut start {
            Some(start) => start,
            none => none.insert(first_bytes(path)?),
        };
        if (kind.begins)(start) {
            return Ok(Some(kind));
        }
    }
    Ok(None)
}

fn first_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    fcmae_files::open(path)?.0.take(START).read_to_end(&mut start)?;
    Ok(start)
}
