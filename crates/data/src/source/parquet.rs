//! Pictures in Parquet files, as data sets of the Hugging Face Hub store them.
//!
//! When a file is opened, its pictures are found, not kept: what is known of each is where it begins.
//! `fcmae_parquet` reads the files; which of their columns mean what is told here.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use fcmae_parquet::{self as parquet, Chunk, Column, Extent, Footer, Leaf, RowGroup, Value};
use fcmae_words::{grouped, plural};

use super::container::{Container, Reader};
use super::gathered::Gathered;
use super::kind::{SourceKind, begins_parquet, named_parquet};
use super::sample::{Place, Sample, portable_bytes};
use super::split_column::{self, SplitColumn};
use super::splits::{Folders, missing_parts, one_split};
use crate::decode::caught;
use crate::error::{DataError, DecodeError};
use crate::words::{legible, printable};

mod choice;

use choice::{Asked, Choice};

/// Most bytes of a picture's name in a file; beyond, it is called by its row.
const NAME_BYTES: usize = 4096;

/// Fewest bytes of a file for each row: what compresses better holds no pictures.
const BYTES_A_ROW: u64 = 16;

/// Most bytes of a label.
const LABEL_BYTES: usize = 1024;

/// Parquet files.
pub(super) const KIND: SourceKind = SourceKind {
    one: "a Parquet file",
    several: "Parquet files",
    named: named_parquet,
    begins: begins_parquet,
    gather,
    gather_below: Some(gather_below),
};

/// Adds the pictures of one file, given by itself.
fn gather(path: &Path, set: &mut Gathered<'_>) -> Result<(), DataError> {
    let mut index = Index::new(path.parent().unwrap_or(path), set);
    let refused = |reason| DataError::Parquet { path: path.to_path_buf(), reason };
    index.file(path, set).map_err(refused)?;
    index.finish(path, set)
}

/// Adds the pictures of all these files, which lie below `root`, as one set. One that cannot be read
/// is a skip.
fn gather_below(root: &Path, paths: &[PathBuf], set: &mut Gathered<'_>) -> Result<(), DataError> {
    let refused = |reason| DataError::Parquet { path: root.to_path_buf(), reason };
    one_split(root, paths, true).map_err(refused)?;
    set.notes.extend(missing_parts(paths));
    let mut paths = paths.to_vec();
    paths.sort_by_cached_key(|path| portable_bytes(path));
    let mut index = Index::new(root, set);
    let mut refused = Vec::new();
    for path in &paths {
        if let Err(reason) = index.file(path, set) {
            set.lose(path.clone(), reason.clone());
            refused.push(reason);
        }
    }
    if refused.len() == paths.len() {
        let reason = refused.swap_remove(0);
        return Err(DataError::Parquet { path: paths.swap_remove(0), reason });
    }
    index.finish(root, set)
}

/// Pictures of one or several files, whose names are settled when all are read.
struct Index<'a> {
    /// The folder that the files lie in.
    root: &'a Path,
    samples: Vec<Sample>,
    /// Each sample's row in its file.
    rows: Vec<u64>,
    /// The first file's position among the set's bases; the others follow.
    first_base: usize,
    /// What rows are called by where they have no names, for each file.
    prefixes: Vec<PathBuf>,
    /// Whether labels of some file are the folders in its pictures' names.
    by_name: bool,
    /// Columns that may tell splits.
    splits: BTreeMap<String, SplitColumn>,
}

impl<'a> Index<'a> {
    fn new(root: &'a Path, set: &Gathered<'_>) -> Self {
        let first_base = set.bases.len();
        Self {
            root,
            samples: Vec::new(),
            rows: Vec::new(),
            first_base,
            prefixes: Vec::new(),
            by_name: false,
            splits: BTreeMap::new(),
        }
    }

    /// Finds the pictures of one file. `Err` is the reason for which nothing of it can be used;
    /// flaws of single row groups are skips.
    fn file(&mut self, path: &Path, set: &mut Gathered<'_>) -> Result<(), String> {
        let (mut file, meta) = fcmae_files::open(path).map_err(|error| format!("it {error}"))?;
        let footer = Footer::read(&mut file, meta.len())?;
        let asked =
            Asked { image: set.image_column, label: set.label_column, group: set.group_column };
        let choice = match Choice::new(&footer, set.labelled, asked) {
            Err(reason) if set.optional => {
                unlabelled(path, reason, set)?;
                Choice::new(&footer, false, asked)?
            }
            choice => choice?,
        };
        self.by_name |= choice.labels.is_none();
        if set.group_column.is_none() {
            set.group_columns.extend(choice.may_be_groups(&footer).map(str::to_owned));
        }
        let before = self.samples.len();
        let groups = footer.row_groups(&choice.columns(), BYTES_A_ROW)?;
        let base = set.base(path, None);
        let prefix = path.strip_prefix(self.root).unwrap_or(path).with_extension("");
        let (modified, file) = (meta.modified().ok(), BufReader::new(file));
        let (extents, missing) = (Vec::new(), Missing::default());
        let leaves = &footer.leaves;
        let mut reading = Reading {
            file,
            leaves,
            choice: &choice,
            base,
            prefix: prefix.clone(),
            modified,
            extents,
            missing,
        };
        let (mut first, mut flaws) = (0, Vec::new());
        for (number, group) in groups.iter().enumerate() {
            if set.look() {
                return Ok(());
            }
            let extents = reading.extents.len();
            if let Err(reason) = reading.group(group, first, self, set) {
                reading.extents.truncate(extents);
                flaws.push((format!("row group {number}: {reason}"), group.rows));
            }
            // Fewer than the file has bytes, or the footer had been refused.
            first += group.rows;
        }
        let Reading { extents, missing, .. } = reading;
        let reader = Arc::new(Extents(extents.into()));
        let container = Container::new(path, meta.len(), reader).map_err(|e| e.to_string())?;
        // The file's, and that of each group in it.
        for of in &mut set.bases[base as usize..] {
            of.container = Some(container.clone());
        }
        self.prefixes.resize(set.bases.len() - self.first_base, prefix);
        if !flaws.is_empty() && flaws.len() == groups.len() {
            set.lost += first.saturating_sub(1) as usize;
            return Err(flaws.swap_remove(0).0);
        }
        for (reason, rows) in flaws {
            let of = plural(grouped(rows), "row");
            set.lose(
                path.to_path_buf(),
                format!("{reason}; its {of} are lost, the others are used"),
            );
            // Each row was to be a picture.
            set.lost += rows.saturating_sub(1) as usize;
        }
        if let Some(reason) = missing.reason() {
            set.lose(path.to_path_buf(), reason);
            set.lost += missing.count as usize - 1;
        }
        let there = &self.samples[before..];
        if set.labelled
            && choice.labels.is_none()
            && there.iter().all(|sample| sample.label.is_none())
        {
            unlabelled(path, choice.without_labels(&footer), set)?;
        }
        if first == 0 {
            set.skip(path.to_path_buf(), "a file without rows");
        }
        Ok(())
    }

    /// Settles names: where two rows have the same, all are called by file and row.
    fn finish(mut self, root: &Path, set: &mut Gathered<'_>) -> Result<(), DataError> {
        for column in self.splits.values() {
            let refused = |reason| DataError::Parquet { path: root.to_path_buf(), reason };
            set.notes.extend(column.judged().map_err(refused)?);
        }
        let mut names = HashSet::new();
        if !self.samples.iter().all(|sample| names.insert(&sample.path)) {
            for (sample, row) in self.samples.iter_mut().zip(&self.rows) {
                let prefix = &self.prefixes[sample.place.base() - self.first_base];
                sample.path = row_name(prefix, *row);
            }
        }
        if set.labelled && self.by_name {
            let paths = self.samples.iter().map(|sample| sample.path.as_path());
            set.checked(Folders::of(paths, 0).check(root, set.expected, true))?;
        }
        if set.labelled {
            let reason = "has no label, or a number that the file names no class for";
            set.drop_unlabelled(&mut self.samples, reason);
        }
        set.samples.append(&mut self.samples);
        Ok(())
    }
}

/// Refuses a file whose pictures have no labels, or keeps the reason where labels are optional.
fn unlabelled(path: &Path, reason: String, set: &mut Gathered<'_>) -> Result<(), String> {
    if !set.optional {
        return Err(reason);
    }
    let error = DataError::Parquet { path: path.to_path_buf(), reason };
    set.refuse_labels(error).map_err(|error| error.to_string())
}

/// What a row without a name is called.
fn row_name(prefix: &Path, row: u64) -> PathBuf {
    prefix.join(format!("{row:06}"))
}

/// Rows without a picture.
#[derive(Default)]
struct Missing {
    count: u64,
    first: u64,
    /// Whether one of them has a name.
    named: bool,
}

impl Missing {
    fn reason(&self) -> Option<String> {
        let remedy =
            if self.named { "; they have names alone: embed the pictures' bytes" } else { "" };
        let Self { count, first, .. } = self;
        (*count > 0)
            .then(|| format!("rows without a picture: {count}, the first is row {first}{remedy}"))
    }
}

/// A file while it is read.
struct Reading<'a> {
    file: BufReader<File>,
    leaves: &'a [Leaf],
    choice: &'a Choice,
    base: u32,
    prefix: PathBuf,
    modified: Option<SystemTime>,
    extents: Vec<Extent>,
    missing: Missing,
}

impl Reading<'_> {
    /// Adds the pictures of a row group, the first of which is in row `first`; none if any of the
    /// columns is flawed.
    fn group(
        &mut self,
        group: &RowGroup,
        first: u64,
        index: &mut Index<'_>,
        set: &mut Gathered<'_>,
    ) -> Result<(), String> {
        let chunks = group.chunks.as_deref().map_err(Clone::clone)?;
        let columns = caught(|| self.columns(group.rows, chunks).map_err(DecodeError::Io));
        let (pictures, names, labels, groups, splits) = columns.map_err(|error| match error {
            DecodeError::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
                "damaged: a page ends before its values do".to_owned()
            }
            DecodeError::Io(error) => error.to_string(),
            error => error.to_string(),
        })?;
        let broken =
            |value: &&Value| matches!(value, Value::Real(real) if real.fract().abs() > 0.0);
        if let Some(Value::Real(real)) = labels.iter().flat_map(|l| &l.values).find(broken) {
            let reason = format!(
                "its column of labels holds {real}, which is no class; write whole numbers or names"
            );
            let path = set.bases[self.base as usize].path.clone();
            unlabelled(&path, reason, set)?;
        }
        let classes: Vec<Option<usize>> = match &labels {
            Some(labels) => labels.values.iter().map(|value| self.class(value, set)).collect(),
            None => Vec::new(),
        };
        let value = |column: &Option<Column<Value>>, row: usize| column.as_ref()?.rows[row];
        for (row, picture) in pictures.rows.iter().enumerate() {
            let name = value(&names, row).zip(names.as_ref());
            let name = name.and_then(|(at, names)| name_of(&names.values[at as usize]));
            let number = first + row as u64;
            let Some(picture) = picture else {
                if self.missing.count == 0 {
                    self.missing.first = number;
                }
                self.missing.count += 1;
                self.missing.named |= name.is_some();
                continue;
            };
            let label = match (&labels, &name) {
                _ if !set.labelled => None,
                (Some(_), _) => value(&labels, row).and_then(|at| classes[at as usize]),
                (None, name) => name.as_deref().and_then(|name| set.names.folder_of(name, 0)),
            };
            for (name, column) in &splits {
                let to = index.splits.entry(name.clone()).or_insert_with(|| SplitColumn::new(name));
                let cell = column.rows[row].and_then(|at| cell_of(&column.values[at as usize]));
                let _may_be = to.add(&cell.unwrap_or_default());
            }
            let base = match (&groups, value(&groups, row)) {
                (Some(column), Some(at)) => {
                    set.base_of_group(self.base, cell_of(&column.values[at as usize]).as_deref())
                }
                _ => self.base,
            };
            let parquet::Place { extent, start, bytes } = pictures.values[*picture as usize];
            index.rows.push(number);
            index.samples.push(Sample {
                path: name.unwrap_or_else(|| row_name(&self.prefix, number)),
                label,
                bytes: u64::from(bytes),
                modified: self.modified,
                place: Place::Part { base, page: 0, part: extent, start },
            });
        }
        Ok(())
    }

    /// The columns of pictures, names, labels and groups, and those of splits that can be read.
    fn columns(&mut self, rows: u64, chunks: &[Chunk]) -> io::Result<Columns> {
        let mut chunks = chunks.iter();
        let mut next = || *chunks.next().expect("a piece of each column that was asked for");
        let Choice { pictures, names, labels, groups, .. } = self.choice;
        let leaf = &self.leaves[*pictures];
        let pictures = parquet::find(&mut self.file, next(), leaf, rows, &mut self.extents)?;
        let mut small = |at: &Option<usize>| match at {
            Some(at) => parquet::read(&mut self.file, next(), &self.leaves[*at], rows).map(Some),
            None => Ok(None),
        };
        let (names, labels, groups) = (small(names)?, small(labels)?, small(groups)?);
        let mut splits = Vec::new();
        for at in &self.choice.splits {
            let (name, chunk) = (&self.leaves[*at].path[0], next());
            if !split_column::is_named(name) && !may_be_words(chunk.bytes, rows) {
                continue;
            }
            // What cannot be read says nothing, and is in nobody's way.
            if let Ok(column) = parquet::read(&mut self.file, chunk, &self.leaves[*at], rows) {
                splits.push((name.clone(), column));
            }
        }
        Ok((pictures, names, labels, groups, splits))
    }

    /// The class that a label stands for.
    fn class(&self, value: &Value, set: &mut Gathered<'_>) -> Option<usize> {
        let text = match (value, &self.choice.classes) {
            (Value::Number(number), Some(names)) => {
                Cow::from(names.get(usize::try_from(*number).ok()?)?)
            }
            (Value::Number(number), None) => Cow::from(u64::try_from(*number).ok()?.to_string()),
            (Value::Flag(flag), _) => Cow::from(flag.to_string()),
            (Value::Real(real), names) => {
                let whole = real.fract() == 0.0 && (0.0..9e15).contains(real);
                let number = whole.then_some(*real as usize)?;
                match names {
                    Some(names) => Cow::from(names.get(number)?),
                    None => Cow::from(number.to_string()),
                }
            }
            (Value::Bytes(bytes), _) if bytes.len() > LABEL_BYTES => return None,
            (Value::Bytes(bytes), _) => Cow::from(std::str::from_utf8(bytes).ok()?),
        };
        let text = text.trim();
        (!text.is_empty()).then(|| set.names.written(&printable(Path::new(text))))
    }
}

/// Pictures, names, labels, groups and splits.
type Columns = (Column<parquet::Place>, Small, Small, Small, Vec<(String, Column<Value>)>);

/// A column that may not be there.
type Small = Option<Column<Value>>;

/// The text of a cell, if it holds any.
fn cell_of(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::Flag(flag) => Some(flag.to_string()),
        Value::Real(real) => real.is_finite().then(|| real.to_string()),
        Value::Bytes(bytes) => Some(legible(bytes)),
    }
}

/// Bytes that a column of words for splits takes at most in a Parquet file, whatever its name: more hold other text.
fn may_be_words(bytes: u64, rows: u64) -> bool {
    const WORD: u64 = 24;
    const HEAD: u64 = 4096;
    bytes <= HEAD.saturating_add(rows.saturating_mul(WORD))
}

/// A picture's name, if it is one that a file below a folder could have.
fn name_of(value: &Value) -> Option<PathBuf> {
    let Value::Bytes(bytes) = value else { return None };
    if bytes.len() > NAME_BYTES {
        return None;
    }
    let name = legible(bytes);
    let parts: Vec<&str> =
        name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let usable = !name.starts_with('/') && !parts.is_empty() && !parts.contains(&"..");
    usable.then(|| PathBuf::from(parts.join("/")))
}

/// The parts of a file that pictures lie in.
#[derive(Debug)]
struct Extents(Box<[Extent]>);

impl Reader for Extents {
    /// What else lies in the picture's page is read only where it is compressed as one piece.
    fn read(&self, path: &Path, sample: &Sample) -> Result<Vec<u8>, DecodeError> {
        caught(|| {
            let Place::Part { part, start, .. } = sample.place else {
                unreachable!("a Parquet file's pictures lie nowhere else")
            };
            let (extent, start, bytes) = (&self.0[part as usize], u64::from(start), sample.bytes);
            let (file, _) = fcmae_files::open(path)?;
            let mut picture = Vec::with_capacity(bytes as usize);
            extent.read(file, start, bytes, &mut picture)?;
            if (picture.len() as u64) < bytes {
                let text = format!("the Parquet file ends after {} bytes of it", picture.len());
                return Err(DecodeError::Changed(text));
            }
            Ok(picture)
        })
    }

    fn is_direct(&self, sample: &Sample) -> bool {
        let Place::Part { part, .. } = sample.place else { return true };
        self.0[part as usize].is_direct()
    }
}
