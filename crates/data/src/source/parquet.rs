//! Pictures in Parquet files, as data sets of the Hugging Face Hub store them.
//!
//! When a file is opened, its pictures are found, not kept: what is known of each is where it begins.
//! The reader is our own. Files from the Hub keep a whole row group's pictures, tens of megabytes, in
//! one page, which libraries unpack whole for every picture; and a damaged footer must take neither
//! memory nor the stack. Only what such files need is read.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::container::{Container, Reader};
use super::gathered::Gathered;
use super::kind::{SourceKind, begins_parquet, named_parquet};
use super::sample::{Place, Sample, portable_bytes};
use crate::decode::caught;
use crate::error::{DataError, DecodeError};
use crate::words::{legible, printable};

mod choice;
mod column;
mod footer;
mod invalid;
mod pages;
mod snappy;
mod thrift;
mod values;

use choice::Choice;
use column::{Column, Value};
use footer::{Chunk, Footer, Leaf, RowGroup};
use pages::{Codec, Extent};

/// Most bytes of a picture's name in a file; beyond, it is called by its row.
const NAME_BYTES: usize = 4096;

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
fn gather(path: &Path, set: &mut Gathered) -> Result<(), DataError> {
    let mut index = Index::new(path.parent().unwrap_or(path), set);
    let refused = |reason| DataError::Parquet { path: path.to_path_buf(), reason };
    index.file(path, set).map_err(refused)?;
    index.finish(set);
    Ok(())
}

/// Adds the pictures of all these files, which lie below `root`, as one set. One that cannot be read
/// is a skip.
fn gather_below(root: &Path, paths: &[PathBuf], set: &mut Gathered) -> Result<(), DataError> {
    one_split(root, paths)?;
    let mut paths = paths.to_vec();
    paths.sort_by_cached_key(|path| portable_bytes(path));
    let mut index = Index::new(root, set);
    let mut refused = Vec::new();
    for path in &paths {
        if let Err(reason) = index.file(path, set) {
            set.skip(path.clone(), reason.clone());
            refused.push(reason);
        }
    }
    if refused.len() == paths.len() {
        let reason = refused.swap_remove(0);
        return Err(DataError::Parquet { path: paths.swap_remove(0), reason });
    }
    index.finish(set);
    Ok(())
}

/// Refuses a folder of several splits: nobody means to train on the test pictures.
fn one_split(root: &Path, paths: &[PathBuf]) -> Result<(), DataError> {
    let mut splits = BTreeMap::<String, usize>::new();
    for path in paths {
        if let Some(split) = split(path.strip_prefix(root).unwrap_or(path)) {
            *splits.entry(split).or_default() += 1;
        }
    }
    if splits.len() < 2 {
        return Ok(());
    }
    let named: Vec<String> = splits
        .iter()
        .map(|(name, count)| format!("{} ({count})", printable(Path::new(name))))
        .collect();
    Err(DataError::Parquet {
        path: root.to_path_buf(),
        reason: format!(
            "it holds files of several splits: {}; name the files of those to use, or give each \
             split a folder of its own",
            named.join(", ")
        ),
    })
}

/// The split that a file belongs to by its path, as the Hub has it: a usual word in its name or in
/// that of a folder, the nearest first; else what stands before `-00000-of-00005`.
fn split(path: &Path) -> Option<String> {
    let stem = path.file_stem().and_then(OsStr::to_str)?;
    let folders = path.parent().into_iter().flat_map(Path::components).rev();
    let names = folders.filter_map(|part| part.as_os_str().to_str());
    let usual = std::iter::once(stem).chain(names).find_map(usual_split);
    usual.or_else(|| numbered(stem)).map(str::to_owned)
}

/// What stands before `-00000-of-00005`; the Hub may add a hash behind it.
fn numbered(stem: &str) -> Option<&str> {
    let number = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let (before, after) = stem.rsplit_once("-of-")?;
    let (name, first) = before.rsplit_once('-')?;
    let last = after.split('-').next()?;
    (number(first) && number(last) && !name.is_empty()).then_some(name)
}

/// The split that a name has a usual word for.
fn usual_split(name: &str) -> Option<&'static str> {
    name.split(|character: char| !character.is_ascii_alphanumeric()).find_map(|word| {
        Some(match word.to_ascii_lowercase().as_str() {
            "train" | "training" => "train",
            "test" | "testing" | "eval" | "evaluation" => "test",
            "validation" | "valid" | "val" | "dev" => "validation",
            _ => return None,
        })
    })
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
}

impl<'a> Index<'a> {
    fn new(root: &'a Path, set: &Gathered) -> Self {
        let first_base = set.bases.len();
        Self { root, samples: Vec::new(), rows: Vec::new(), first_base, prefixes: Vec::new() }
    }

    /// Finds the pictures of one file. `Err` is the reason for which nothing of it can be used;
    /// flaws of single row groups are skips.
    fn file(&mut self, path: &Path, set: &mut Gathered) -> Result<(), String> {
        let (mut file, meta) = fcmae_files::open(path).map_err(|error| format!("it {error}"))?;
        let footer = Footer::read(&mut file, meta.len())?;
        let choice = Choice::new(&footer, set.labelled)?;
        let groups = footer.row_groups(&choice.columns())?;
        let base = set.base(path, None);
        let prefix = path.strip_prefix(self.root).unwrap_or(path).with_extension("");
        self.prefixes.push(prefix.clone());
        let (modified, file) = (meta.modified().ok(), BufReader::new(file));
        let (extents, missing) = (Vec::new(), Missing::default());
        let leaves = &footer.leaves;
        let mut reading =
            Reading { file, leaves, choice: &choice, base, prefix, modified, extents, missing };
        let (mut first, mut flaws) = (0, Vec::new());
        for (number, group) in groups.iter().enumerate() {
            let extents = reading.extents.len();
            if let Err(reason) = reading.group(group, first, self, set) {
                reading.extents.truncate(extents);
                flaws.push(format!("row group {number}: {reason}"));
            }
            // Fewer than the file has bytes, or the footer had been refused.
            first += group.rows;
        }
        let Reading { extents, missing, .. } = reading;
        let reader = Arc::new(Extents(extents.into()));
        set.bases[base as usize].container = Some(Container { bytes: meta.len(), reader });
        if !flaws.is_empty() && flaws.len() == groups.len() {
            return Err(flaws.swap_remove(0));
        }
        for reason in flaws {
            set.skip(path.to_path_buf(), format!("{reason}; the others are used"));
        }
        if let Some(reason) = missing.reason() {
            set.skip(path.to_path_buf(), reason);
        }
        if first == 0 {
            set.skip(path.to_path_buf(), "a file without rows");
        }
        Ok(())
    }

    /// Settles names: where two rows have the same, all are called by file and row.
    fn finish(mut self, set: &mut Gathered) {
        let mut names = HashSet::new();
        if !self.samples.iter().all(|sample| names.insert(&sample.path)) {
            for (sample, row) in self.samples.iter_mut().zip(&self.rows) {
                let prefix = &self.prefixes[sample.place.base() - self.first_base];
                sample.path = row_name(prefix, *row);
            }
        }
        if set.labelled {
            let reason = "has no label, or a number that the file names no class for";
            set.drop_unlabelled(&mut self.samples, reason);
        }
        set.samples.append(&mut self.samples);
    }
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
        let mend =
            if self.named { "; they have names alone: embed the pictures' bytes" } else { "" };
        let Self { count, first, .. } = self;
        (*count > 0)
            .then(|| format!("rows without a picture: {count}, the first is row {first}{mend}"))
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
        set: &mut Gathered,
    ) -> Result<(), String> {
        let chunks = group.chunks.as_deref().map_err(Clone::clone)?;
        let columns = caught(|| self.columns(group.rows, chunks).map_err(DecodeError::Io));
        let (pictures, names, labels) = columns.map_err(|error| match error {
            DecodeError::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
                "damaged: a page ends before its values do".to_owned()
            }
            DecodeError::Io(error) => error.to_string(),
            error => error.to_string(),
        })?;
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
                (None, name) => name.as_deref().and_then(|name| set.names.folder_of(name)),
            };
            let column::Place { extent, start, bytes } = pictures.values[*picture as usize];
            index.rows.push(number);
            index.samples.push(Sample {
                path: name.unwrap_or_else(|| row_name(&self.prefix, number)),
                label,
                bytes: u64::from(bytes),
                modified: self.modified,
                place: Place::Part { base: self.base, part: extent, start },
            });
        }
        Ok(())
    }

    /// The columns of pictures, names and labels.
    fn columns(&mut self, rows: u64, chunks: &[Chunk]) -> io::Result<Columns> {
        let mut chunks = chunks.iter();
        let mut next = || *chunks.next().expect("a piece of each column that was asked for");
        let Choice { pictures, names, labels, .. } = self.choice;
        let leaf = &self.leaves[*pictures];
        let pictures = column::find(&mut self.file, next(), leaf, rows, &mut self.extents)?;
        let mut small = |at: &Option<usize>| match at {
            Some(at) => column::read(&mut self.file, next(), &self.leaves[*at], rows).map(Some),
            None => Ok(None),
        };
        Ok((pictures, small(names)?, small(labels)?))
    }

    /// The class that a label stands for.
    fn class(&self, value: &Value, set: &mut Gathered) -> Option<usize> {
        let text = match (value, &self.choice.classes) {
            (Value::Number(number), Some(names)) => {
                Cow::from(names.get(usize::try_from(*number).ok()?)?)
            }
            (Value::Number(number), None) => Cow::from(u64::try_from(*number).ok()?.to_string()),
            (Value::Bytes(bytes), _) if bytes.len() > LABEL_BYTES => return None,
            (Value::Bytes(bytes), _) => Cow::from(std::str::from_utf8(bytes).ok()?),
        };
        let text = text.trim();
        (!text.is_empty()).then(|| set.names.written(&printable(Path::new(text))))
    }
}

/// Pictures, names and labels.
type Columns = (Column<column::Place>, Option<Column<Value>>, Option<Column<Value>>);

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
            let (mut file, _) = fcmae_files::open(path)?;
            let mut picture = Vec::with_capacity(bytes as usize);
            match extent.codec {
                Codec::None => {
                    file.seek(SeekFrom::Start(extent.start + start))?;
                    file.take(bytes).read_to_end(&mut picture)?;
                }
                Codec::Snappy => extent.blocks(file, start, bytes, &mut picture)?,
                codec => {
                    file.seek(SeekFrom::Start(extent.start))?;
                    let mut stream = codec.unpack(BufReader::new(file.take(extent.packed)))?;
                    io::copy(&mut stream.by_ref().take(start), &mut io::sink())?;
                    stream.take(bytes).read_to_end(&mut picture)?;
                }
            }
            if (picture.len() as u64) < bytes {
                let text = format!("the Parquet file ends after {} bytes of it", picture.len());
                return Err(DecodeError::Changed(text));
            }
            Ok(picture)
        })
    }
}

impl Extent {
    /// Reads part of Snappy data: the blocks that it lies in.
    fn blocks(&self, mut file: File, start: u64, bytes: u64, to: &mut Vec<u8>) -> io::Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        let block = snappy::BLOCK as u64;
        let (first, end) = ((start / block) as usize, (start + bytes).div_ceil(block) as usize);
        let place = |index: usize| self.blocks.get(index).map(|&start| u64::from(start));
        let from = place(first).ok_or(ErrorKind::UnexpectedEof)?;
        let packed = place(end).unwrap_or(self.packed).saturating_sub(from);
        file.seek(SeekFrom::Start(self.start + from))?;
        let mut read = Vec::new();
        file.take(packed).read_to_end(&mut read)?;
        let size = (self.size - first as u64 * block).min((end - first) as u64 * block);
        let starts = &self.blocks[first..end.min(self.blocks.len())];
        snappy::unpack_all(&read, starts, size as usize, to)?;
        to.drain(..(start - first as u64 * block) as usize);
        to.truncate(bytes as usize);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_told_by_the_hubs_rules() {
        let cases = [
            ("data/train-00000-of-00005.parquet", Some("train")),
            ("train-00000-of-00005-a5f40523c7b11f2c.parquet", Some("train")),
            ("plain_text/validation/0000.parquet", Some("validation")),
            ("eval.parquet", Some("test")),
            ("data/pets_val.parquet", Some("validation")),
            ("train/test-0.parquet", Some("test")),
            ("unsupervised-00001-of-00002.parquet", Some("unsupervised")),
            ("cats.parquet", None),
            ("trainer-of-cats.parquet", None),
        ];
        for (path, expected) in cases {
            assert_eq!(split(Path::new(path)).as_deref(), expected, "{path}");
        }
    }
}
