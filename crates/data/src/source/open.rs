//! Several sources to one set: samples in one order, classes united by name.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use fcmae_words::{grouped, plural};

use super::alike;
use super::classes::Wanted;
use super::container::Base;
use super::folder;
use super::gathered::Gathered;
use super::kind::{EXTENSIONS, START, SourceKind};
use super::kinds::KINDS;
use super::opening::{Labels, Opening, Pages};
use super::others::Others;
use super::pages;
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

    /// Whether a file holds several pictures or names them, by its name or first bytes, so that
    /// [`open`](Self::open) takes it, or says what to do with it: an archive, a Parquet file, a list; not a picture.
    pub fn is_source(path: &Path) -> bool {
        path.is_file()
            && (kind_of(path).is_ok_and(|kind| kind.is_some()) || not_read(path).is_some())
    }

    /// Reads several folders, archives, Parquet files and lists (see [`open`](Self::open)) as one set; classes of
    /// the same name are one class.
    ///
    /// # Errors
    /// As [`open`](Self::open), of each; none given, or the same one twice.
    pub fn open_all<'a>(roots: &[PathBuf], how: impl Into<Opening<'a>>) -> Result<Self, DataError> {
        let how = how.into();
        let (labels, pages) = (how.labels, how.pages);
        let mut set = gathered(roots, Gathered::new(how), pages)?;
        let classes = settled(roots, &mut set, labels)?;
        Ok(sorted(roots, set, classes))
    }

    /// Reads what [`open_all`](Self::open_all) does with labels ignored, and the label of each picture that has one, by
    /// the pictures' places; or why there are none. Pictures without a label are pictures too.
    ///
    /// # Errors
    /// As [`open_all`](Self::open_all) with labels ignored.
    pub fn open_with_labels(
        roots: &[PathBuf],
        how: Opening<'_>,
    ) -> Result<(Self, FoundLabels), DataError> {
        let pages = how.pages;
        let mut set = gathered(roots, Gathered::optionally_labelled(how), pages)?;
        let (classes, flaw) = match set.settle_optional(roots) {
            Ok(classes) => (classes, None),
            Err(error) => (vec![], Some(error)),
        };
        let mut set = sorted(roots, set, classes);
        set.empty_classes.clear();
        let classes = std::mem::take(&mut set.classes);
        let mut label = |sample: &mut Sample| Some(classes[sample.label.take()?].clone());
        let labels = set.samples.iter_mut().map(&mut label).collect();
        Ok((set, flaw.map_or(Ok(labels), Err)))
    }
}

/// The label of each picture that has one; or why there are none.
pub type FoundLabels = Result<Vec<Option<String>>, DataError>;

fn gathered<'a>(
    roots: &[PathBuf],
    mut set: Gathered<'a>,
    pages: Pages,
) -> Result<Gathered<'a>, DataError> {
    check_distinct(roots)?;
    add_all(roots, &mut set)?;
    if pages == Pages::All {
        pages::spread(&mut set);
        if set.stopped() {
            return Err(DataError::Stopped);
        }
    }
    if u32::try_from(set.samples.len()).is_err() {
        return Err(DataError::TooManyPictures { path: together(roots), count: set.samples.len() });
    }
    Ok(set)
}

/// The classes of all that was gathered.
fn settled(
    roots: &[PathBuf],
    set: &mut Gathered<'_>,
    labels: Labels<'_>,
) -> Result<Vec<String>, DataError> {
    let tables = std::mem::take(&mut set.tables);
    let classes = match labels {
        Labels::Ignored => Vec::new(),
        Labels::Required => {
            if set.samples.is_empty()
                && let Some((table, _)) = tables.iter().find_map(read_table)
            {
                let table = printable(table);
                set.hint =
                    Some(format!("{table} lists pictures with their labels: give it as the data"));
            }
            let described = |root: &&PathBuf| root.join("metadata.jsonl").is_file();
            if set.samples.is_empty()
                && set.hint.is_none()
                && let Some(root) = roots.iter().find(described)
            {
                let root = printable(root);
                set.hint = Some(format!(
                    "{root}/metadata.jsonl is not read: write it as a list (.csv) with the columns path,label"
                ));
            }
            let told = set.told_skipped(set.skipped.len());
            set.hint = match (set.hint.take(), told) {
                (Some(hint), Some(told)) => Some(format!("{hint}; {told}")),
                (hint, told) => hint.or(told),
            };
            set.settle(roots, Wanted::Any)?
        }
        Labels::Classes(expected) => set.settle(roots, Wanted::Named(expected))?,
        Labels::Nameless(expected) => set.settle(roots, Wanted::Nameless(expected))?,
    };
    set.tell_ungrouped();
    if matches!(labels, Labels::Required) {
        let told = tables
            .iter()
            .filter_map(read_table)
            .find_map(|(table, listed)| told_table(table, &listed, &set.samples, &classes));
        set.notes.extend(told);
    }
    Ok(classes)
}

/// All that was gathered, as a set.
fn sorted(roots: &[PathBuf], set: Gathered<'_>, classes: Vec<String>) -> PictureSet {
    let Gathered { bases, mut samples, mut skipped, names, mut top_folders, mut notes, .. } = set;
    let group_columns = set.group_columns.into_iter().collect();
    notes.extend(set.others.told());
    if roots.len() > 1 {
        notes.extend(leave_out_twice(&bases, &classes, &mut samples, &mut skipped));
    }
    // Of equal names, the source given first comes first.
    samples.sort_by_cached_key(|sample| {
        (portable_bytes(sample.file()), sample.place.base(), sample.place.page())
    });
    skipped.sort_by_cached_key(|skip| portable_bytes(&skip.path));
    top_folders.retain(|name| !names.contains(name));
    PictureSet {
        roots: roots.to_vec(),
        classes,
        listed: samples.len(),
        samples,
        skipped,
        lost: set.lost,
        first_lost: set.first_lost,
        passed_over: set.passed_over,
        notes,
        empty_classes: top_folders.into_iter().collect(),
        group_columns,
        bases: bases.into(),
        touched: Arc::default(),
    }
}

/// Adds all sources, each of which holds a picture at least.
fn add_all(roots: &[PathBuf], set: &mut Gathered<'_>) -> Result<(), DataError> {
    for root in roots {
        let found = |set: &Gathered<'_>| {
            (set.samples.len() + set.outside, set.skipped.len(), set.passed_over)
        };
        let before = found(set);
        add(root, set)?;
        if set.stopped() {
            return Err(DataError::Stopped);
        }
        let after = found(set);
        if after.0 == before.0 {
            let left_out = set.told_skipped(after.1 - before.1);
            return Err(DataError::NoPictures {
                path: root.clone(),
                extensions: EXTENSIONS.map(|e| format!(".{e}")).join(" "),
                passed_over: after.2 - before.2,
                skipped: after.1 - before.1,
                others: set
                    .notes
                    .drain(..)
                    .chain(set.others.told())
                    .chain(left_out)
                    .collect::<Vec<_>>()
                    .join("; "),
                remedy: remedy(root, &set.others),
            });
        }
    }
    Ok(())
}

/// A list of pictures with labels that lies in a folder of pictures, where it is one.
fn read_table(path: &PathBuf) -> Option<(&PathBuf, PictureSet)> {
    Some((path, PictureSet::open(path, Labels::Required).ok()?))
}

/// Says of a list in a folder of pictures, which nobody named, that it has other labels than the class folders.
fn told_table(
    path: &Path,
    listed: &PictureSet,
    samples: &[Sample],
    classes: &[String],
) -> Option<String> {
    let class = |set: &[String], sample: &Sample| Some(alike::folded(set.get(sample.label?)?));
    let names: HashMap<&Path, String> = listed
        .samples
        .iter()
        .filter_map(|sample| Some((sample.path.as_path(), class(&listed.classes, sample)?)))
        .collect();
    let known: HashSet<String> = classes.iter().map(|name| alike::folded(name)).collect();
    let (mut both, mut others, mut first) = (0, 0, None);
    for sample in samples {
        let Some(name) = names.get(sample.path.as_path()) else { continue };
        both += 1;
        if class(classes, sample).is_some_and(|folder| folder != *name) {
            others += 1;
            first.get_or_insert((sample, name));
        }
    }
    let (sample, name) = first?;
    let (path, sample) = (printable(path), printable(&sample.path));
    Some(match known.contains(name) {
        true => format!(
            "{path} lists {} of {} with other labels than their folders, such as {sample} as {name:?}: the folders are \
             used; to use the list, give it as the data",
            grouped(others),
            plural(grouped(both), "picture"),
        ),
        false => format!(
            "{path} lists these pictures with labels of its own, such as {sample} as {name:?}: the folders are used; \
             to use the list, give it as the data"
        ),
    })
}

/// Leaves out files that two of several sources name: they would count twice, and could be held out and trained on.
fn leave_out_twice(
    bases: &[Base],
    classes: &[String],
    samples: &mut Vec<Sample>,
    skipped: &mut Vec<Skipped>,
) -> Option<String> {
    let real: Vec<PathBuf> = bases
        .iter()
        .map(|base| fs::canonicalize(&base.path).unwrap_or_else(|_| base.path.clone()))
        .collect();
    let mut seen = HashMap::new();
    let (mut torn, mut example) = (0, None);
    let file = |sample: &Sample| match sample.place {
        Place::File { base, .. } => Some(plain(&real[base as usize].join(&sample.path))),
        _ => None,
    };
    samples.retain(|sample| {
        let (Some(file), Place::File { base, .. }) = (file(sample), sample.place) else {
            return true;
        };
        let before = seen.get(&file).copied();
        // Where labels are optional, one source may have those of another's pictures.
        seen.insert(file, before.flatten().or(sample.label));
        let first = before.is_none();
        if !first {
            if before
                .flatten()
                .is_some_and(|first| sample.label.is_some_and(|label| label != first))
            {
                torn += 1;
                let labels = [before.flatten(), sample.label];
                example.get_or_insert_with(|| (sample.path.clone(), labels));
            }
            let path = bases[base as usize].path.join(&sample.path);
            let reason = "another of the sources names it too, and its pictures count once";
            skipped.push(Skipped { path, reason: reason.to_owned() });
        }
        first
    });
    let labelled = seen.values().any(Option::is_some);
    for sample in samples.iter_mut().filter(|sample| labelled && sample.label.is_none()) {
        sample.label = file(sample).and_then(|file| seen.get(&file).copied().flatten());
    }
    let (path, labels) = example?;
    let named = |label: Option<usize>| label.map_or("", |at| classes[at].as_str());
    Some(format!(
        "{} named with several labels by several sources, such as {} as {:?} and {:?}: the first of them is used; \
         correct the lists",
        match torn {
            1 => "1 picture is".to_owned(),
            count => format!("{} pictures are", grouped(count)),
        },
        printable(&path),
        named(labels[0]),
        named(labels[1]),
    ))
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

const COMPRESSED: &str = "a compressed archive is not read: decompress it to .tar, and give that";

const SPREADSHEET: &str = "a spreadsheet is not read: save it as CSV, and give that";

/// What holds pictures or lists them and is not read, by its extension, and what to do.
const NOT_READ: [(&str, &str); 18] = [
    ("xlsx", SPREADSHEET),
    ("xls", SPREADSHEET),
    ("ods", SPREADSHEET),
    (
        "arrow",
        "files of Arrow are not read: load them with datasets, and write them with \
                   Dataset.to_parquet()",
    ),
    ("gz", COMPRESSED),
    ("tgz", COMPRESSED),
    ("bz2", COMPRESSED),
    ("tbz2", COMPRESSED),
    ("xz", COMPRESSED),
    ("txz", COMPRESSED),
    ("zst", COMPRESSED),
    ("zip", "a .zip is not read: unpack it, and give the folder"),
    ("rar", "a .rar is not read: unpack it, and give the folder"),
    ("7z", "a .7z is not read: unpack it, and give the folder"),
    ("tfrecord", "files of TensorFlow are not read: write the pictures as files, or as .parquet"),
    ("h5", "files of HDF5 are not read: write the pictures as files"),
    ("hdf5", "files of HDF5 are not read: write the pictures as files"),
    ("mdb", "an LMDB is not read: write the pictures as files, or as .tar"),
];

/// The extension, and what to do, of a file that is not read.
fn not_read(path: &Path) -> Option<(&'static str, &'static str)> {
    let extension = path.extension()?;
    NOT_READ.into_iter().find(|(known, _)| extension.eq_ignore_ascii_case(known))
}

/// What to do about a folder that holds no picture.
fn remedy(root: &Path, others: &Others) -> String {
    let file = |name: &str| root.join(name).is_file();
    let arrow = others.count("arrow") > 0 || root.extension().is_some_and(|end| end == "arrow");
    let saved = ["dataset_dict.json", "dataset_info.json", "state.json"];
    if arrow && root.is_dir() && saved.into_iter().any(file) {
        return "it is a saved data set of Hugging Face (Dataset.save_to_disk): write it with \
                Dataset.to_parquet(\"train.parquet\"), and give that file"
            .to_owned();
    }
    let known = NOT_READ.into_iter().find(|(extension, _)| others.count(extension) > 0);
    let usual =
        "give the folder that holds the pictures, or convert the pictures to one of these formats";
    known.map_or(usual, |(_, remedy)| remedy).to_owned()
}

/// Refuses no source at all, and one given twice: its pictures would count twice.
fn check_distinct(roots: &[PathBuf]) -> Result<(), DataError> {
    let mut real = HashSet::new();
    let twice = |root: &&PathBuf| fs::canonicalize(root).is_ok_and(|path| !real.insert(path));
    let (value, remedy) = match roots.iter().find(twice) {
        Some(root) => (format!("{} twice", printable(root)), "give it once"),
        None if roots.is_empty() => {
            ("empty".to_owned(), "give a folder, an archive or a list of pictures")
        }
        None => return Ok(()),
    };
    Err(DataError::Parameter { what: "data", value, remedy: remedy.to_owned() })
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
        None => {
            let path = root.to_path_buf();
            Err(match not_read(root) {
                None => DataError::NotAFolder(path),
                Some(("arrow", remedy)) => DataError::Parquet { path, reason: remedy.to_owned() },
                Some((_, SPREADSHEET)) => DataError::List { path, reason: SPREADSHEET.to_owned() },
                Some((_, remedy)) => DataError::Archive { path, reason: remedy.to_owned() },
            })
        }
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
