//! Several sources to one set: samples in one order, classes united by name.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use super::classes::Wanted;
use super::container::Base;
use super::folder;
use super::gathered::Gathered;
use super::kind::{EXTENSIONS, START, SourceKind};
use super::kinds::KINDS;
use super::opening::{Labels, Opening};
use super::others::Others;
use super::sample::{Place, Sample, Skipped, portable_bytes};
use super::set::PictureSet;
use crate::error::DataError;
use crate::words::{printable, together};

impl PictureSet {
    /// Reads a set of pictures. What `root` is tells itself:
    /// - a folder of picture files: everything below it. Links are followed, loops of them survived;
    /// - a folder without pictures and with `.tar` archives: all archives below it, as one set;
    /// - a tar archive: its members that are named like pictures, but for masks and the like beside a
    ///   picture; labels are those of `KEY.cls`, a number or a name; where the archive has none, the members'
    ///   folders, without one that is around all; where there are none, `label` or `class` of `KEY.json`. A key is
    ///   a name up to its first point;
    /// - a `.parquet` file, as data sets of the Hugging Face Hub have them (needs the feature
    ///   `parquet`): a column of pictures, of type image or of bytes and named `image`; labels are
    ///   those of the column `label`, `labels` or `class`, else of the only one of type class label,
    ///   else the folders in the pictures' names. Pictures that are stored uncompressed or by Snappy
    ///   are read one by one; of gzip and Zstandard, a page is unpacked up to the picture;
    /// - a folder with neither pictures nor archives, and with `.parquet` files: all below it, as one
    ///   set;
    /// - a `.csv` or `.tsv` file, in UTF-8, or UTF-16 with a mark: a path a line and a label, in columns that
    ///   the first line names: path, file or image, or a usual word like them; label, class or category; else the
    ///   first two. Commas, semicolons, tabs or `|` stand between them, or what a line `sep=` says;
    /// - a `.txt` file: a path a line, without labels. Paths in lists are absolute, or relative to the
    ///   list's folder.
    ///
    /// Of several splits, such as train and test, none is chosen: archives or Parquet files of them in one
    /// folder, and with labels their folders, are an error. Passed over are a run's own folder and pictures
    /// that this program drew; [`notes`](Self::notes) tells it.
    ///
    /// # Errors
    /// What is missing, none of these, cannot be read or holds no picture; with labels, a set that
    /// has fewer than two classes ([`Labels::Required`]) or a class that is not among those given
    /// ([`Labels::Classes`]), or a list without labels.
    pub fn open<'a>(
        root: impl Into<PathBuf>,
        how: impl Into<Opening<'a>>,
    ) -> Result<Self, DataError> {
        Self::open_all(&[root.into()], how)
    }

    /// Reads several folders, archives, Parquet files and lists (see [`open`](Self::open)) as one set; classes of
    /// the same name are one class.
    ///
    /// # Errors
    /// As [`open`](Self::open), of each; none given, or the same one twice.
    pub fn open_all<'a>(roots: &[PathBuf], how: impl Into<Opening<'a>>) -> Result<Self, DataError> {
        gather(roots, how.into())
    }
}

fn gather(roots: &[PathBuf], how: Opening<'_>) -> Result<PictureSet, DataError> {
    check_distinct(roots)?;
    let labels = how.labels;
    let mut set = Gathered::new(how);
    for root in roots {
        let found = |set: &Gathered<'_>| {
            (set.samples.len() + set.outside, set.skipped.len(), set.passed_over)
        };
        let before = found(&set);
        add(root, &mut set)?;
        if set.stopped() {
            return Err(DataError::Stopped);
        }
        let after = found(&set);
        if after.0 == before.0 {
            return Err(DataError::NoPictures {
                path: root.clone(),
                extensions: EXTENSIONS.map(|e| format!(".{e}")).join(" "),
                passed_over: after.2 - before.2,
                skipped: after.1 - before.1,
                others: set.notes.drain(..).chain(set.others.told()).collect::<Vec<_>>().join("; "),
                mend: mend(root, &set.others),
            });
        }
    }
    if u32::try_from(set.samples.len()).is_err() {
        return Err(DataError::TooManyPictures { path: together(roots), count: set.samples.len() });
    }
    let classes = match labels {
        Labels::Ignored => Vec::new(),
        Labels::Required => set.settle(roots, Wanted::Any)?,
        Labels::Classes(expected) => set.settle(roots, Wanted::Named(expected))?,
        Labels::Nameless(expected) => set.settle(roots, Wanted::Nameless(expected))?,
    };
    set.tell_ungrouped();
    let Gathered { bases, mut samples, mut skipped, names, mut top_folders, mut notes, .. } = set;
    let group_columns = set.group_columns.into_iter().collect();
    notes.extend(set.others.told());
    if roots.len() > 1 {
        leave_out_twice(&bases, &mut samples, &mut skipped);
    }
    // Of equal names, the source given first comes first.
    samples.sort_by_cached_key(|sample| (portable_bytes(&sample.path), sample.place.base()));
    skipped.sort_by_cached_key(|skip| portable_bytes(&skip.path));
    top_folders.retain(|name| !names.contains(name));
    Ok(PictureSet {
        roots: roots.to_vec(),
        classes,
        samples,
        skipped,
        lost: set.lost,
        first_lost: set.first_lost,
        passed_over: set.passed_over,
        notes,
        empty_classes: top_folders.into_iter().collect(),
        group_columns,
        bases: bases.into(),
    })
}

/// Leaves out files that two of several sources name: they would count twice, and could be held out and trained on.
fn leave_out_twice(bases: &[Base], samples: &mut Vec<Sample>, skipped: &mut Vec<Skipped>) {
    let real: Vec<PathBuf> = bases
        .iter()
        .map(|base| fs::canonicalize(&base.path).unwrap_or_else(|_| base.path.clone()))
        .collect();
    let mut seen = HashSet::new();
    samples.retain(|sample| {
        let Place::File { base } = sample.place else { return true };
        let first = seen.insert(plain(&real[base as usize].join(&sample.path)));
        if !first {
            let path = bases[base as usize].path.join(&sample.path);
            let reason = "another of the sources names it too, and its pictures count once";
            skipped.push(Skipped { path, reason: reason.to_owned() });
        }
        first
    });
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

/// What to do about a folder that holds no picture.
fn mend(root: &Path, others: &Others) -> String {
    let file = |name: &str| root.join(name).is_file();
    let arrow = others.count("arrow") > 0 || root.extension().is_some_and(|end| end == "arrow");
    let saved = ["dataset_dict.json", "dataset_info.json", "state.json"];
    if arrow && root.is_dir() && saved.into_iter().any(file) {
        return "it is a saved data set of Hugging Face (Dataset.save_to_disk): write it with \
                Dataset.to_parquet(\"train.parquet\"), and give that file"
            .to_owned();
    }
    let known = [
        (
            "arrow",
            "files of Arrow are not read: load them with datasets, and write them with \
                   Dataset.to_parquet()",
        ),
        ("zip", "a .zip is not read: unpack it, and give the folder"),
        ("rar", "a .rar is not read: unpack it, and give the folder"),
        ("7z", "a .7z is not read: unpack it, and give the folder"),
        (
            "tfrecord",
            "files of TensorFlow are not read: write the pictures as files, or as .parquet",
        ),
        ("h5", "files of HDF5 are not read: write the pictures as files"),
        ("hdf5", "files of HDF5 are not read: write the pictures as files"),
        ("mdb", "an LMDB is not read: write the pictures as files, or as .tar"),
    ];
    let known = known.into_iter().find(|(extension, _)| others.count(extension) > 0);
    known
        .map_or("give the folder that holds the pictures, or convert them", |(_, mend)| mend)
        .to_owned()
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
fn add(root: &Path, set: &mut Gathered<'_>) -> Result<(), DataError> {
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
        None if root.extension().is_some_and(|end| end == "arrow") => {
            let reason = "it is a file of Arrow, which is not read: load it with datasets, and write it with \
                          Dataset.to_parquet()";
            Err(DataError::Parquet { path: root.to_path_buf(), reason: reason.to_owned() })
        }
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
