//! Lists of picture files: a path a line, with or without a label.

use std::collections::HashSet;
use std::fs;
use std::io::{BufReader, Read};
use std::path::{Component, Path, PathBuf};

use fcmae_files::Limit;

use super::gathered::Gathered;
use super::kind::{Named, SourceKind, has_picture_extension};
use super::sample::{Place, Sample};
use crate::error::DataError;
use crate::words::printable;

/// Of a list.
const LIMIT: Limit = Limit { bytes: 1 << 30, mend: "split it into several" };

/// Names of the column of paths.
const PATH_COLUMNS: [&str; 3] = ["path", "file", "image"];

/// Names of the column of labels.
const LABEL_COLUMNS: [&str; 2] = ["label", "class"];

/// How a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Columns, with this byte between them.
    Columns(u8),
    /// One path a line.
    Paths,
}

/// Lists, which no content tells from other text.
pub(super) const KIND: SourceKind = SourceKind {
    one: "a list",
    several: "lists",
    named: |name| form(Path::new(name)).map(|_| Named::Usable),
    begins: |_| false,
    gather,
    gather_below: None,
};

/// How a list is written, by its extension.
fn form(path: &Path) -> Option<Form> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "csv" => Some(Form::Columns(b',')),
        "tsv" => Some(Form::Columns(b'\t')),
        "txt" => Some(Form::Paths),
        _ => None,
    }
}

/// Adds the pictures that a list names. Files that are missing are skips.
fn gather(path: &Path, set: &mut Gathered) -> Result<(), DataError> {
    let form = form(path).expect("lists are told by their names");
    let refused = |reason| DataError::List { path: path.to_path_buf(), reason };
    let cannot = |error: std::io::Error| refused(format!("it cannot be read: {error}"));
    let file = fcmae_files::within(path, LIMIT).map_err(|error| refused(format!("it {error}")))?;
    if form == Form::Paths && set.labelled {
        let mend = "labels are needed, and a .txt list has none; write a .csv list with the \
                    columns path,label";
        return Err(refused(mend.to_owned()));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let base = set.base(folder, None);
    let reader = BufReader::new(file);
    let mut list = List { path, base, folder, set, listed: HashSet::new(), samples: Vec::new() };
    match form {
        Form::Columns(between) => list.columns(reader, between)?,
        Form::Paths => list.paths(reader).map_err(cannot)?,
    }
    let List { set, mut samples, listed, .. } = list;
    if set.labelled {
        set.drop_unlabelled(&mut samples, "the list gives it no label");
    }
    if samples.is_empty() && !listed.is_empty() {
        let first = set
            .skipped
            .last()
            .map(|skip| format!("; the last: {}: {}", printable(&skip.path), skip.reason));
        return Err(refused(format!(
            "none of the {} files that it names can be used; paths are relative to the list's \
             folder{}",
            listed.len(),
            first.unwrap_or_default()
        )));
    }
    set.samples.append(&mut samples);
    Ok(())
}

struct List<'a> {
    path: &'a Path,
    base: u32,
    folder: &'a Path,
    set: &'a mut Gathered,
    listed: HashSet<PathBuf>,
    samples: Vec<Sample>,
}

impl List<'_> {
    fn columns(&mut self, reader: impl Read, between: u8) -> Result<(), DataError> {
        let list = self.path;
        let refused = |reason| DataError::List { path: list.to_path_buf(), reason };
        // Lines of any number of cells are told here, each with its own reason.
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(between)
            .has_headers(false)
            .flexible(true)
            .from_reader(reader);
        let mut record = csv::ByteRecord::new();
        let mut columns: Option<Columns> = None;
        loop {
            let read = reader.read_byte_record(&mut record);
            if !read.map_err(|error| refused(format!("it cannot be read: {error}")))? {
                return Ok(());
            }
            let line = record.position().map_or(0, csv::Position::line);
            let columns = match columns {
                Some(columns) => columns,
                None => {
                    let found = Columns::find(&record).map_err(refused)?;
                    if self.set.labelled && found.label.is_none() {
                        let mend = "labels are needed, and it has no column of labels; name the \
                                    columns in its first line, such as path,label";
                        return Err(refused(mend.to_owned()));
                    }
                    columns = Some(found);
                    if found.named {
                        continue;
                    }
                    found
                }
            };
            let label = columns.label.and_then(|column| record.get(column));
            self.line(line, record.get(columns.path).unwrap_or_default(), label);
        }
    }

    fn paths(&mut self, mut reader: impl Read) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        let bytes = without_mark(&bytes);
        for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.is_empty() {
                self.line(number as u64 + 1, line, None);
            }
        }
        Ok(())
    }

    /// Adds the file that a line names, or the reason for which it is left out.
    fn line(&mut self, line: u64, path: &[u8], label: Option<&[u8]>) {
        let Ok(path) = std::str::from_utf8(path) else {
            return self.skip_line(line, "its path is no UTF-8 text");
        };
        if path.is_empty() {
            return self.skip_line(line, "it has no path");
        }
        let path: PathBuf =
            Path::new(path).components().filter(|part| *part != Component::CurDir).collect();
        let whole = self.folder.join(&path);
        if !self.listed.insert(path.clone()) {
            return self.set.skip(whole, format!("listed again in line {line}; the first is used"));
        }
        let meta = match fs::metadata(&whole) {
            Ok(meta) if meta.is_file() => meta,
            Ok(_) => return self.set.skip(whole, "not a regular file"),
            Err(error) => return self.set.skip(whole, format!("cannot be opened: {error}")),
        };
        let label = match label.filter(|_| self.set.labelled).map(std::str::from_utf8) {
            None => None,
            Some(Ok(text)) if text.trim().is_empty() => None,
            Some(Ok(text)) => Some(self.set.names.written(&printable(Path::new(text.trim())))),
            Some(Err(_)) => {
                return self.set.skip(whole, "its label in the list is no UTF-8 text");
            }
        };
        self.samples.push(Sample {
            path,
            label,
            bytes: meta.len(),
            modified: meta.modified().ok(),
            place: Place::File { base: self.base },
        });
    }

    fn skip_line(&mut self, line: u64, reason: &str) {
        self.set.skip(self.path.to_path_buf(), format!("line {line}: {reason}"));
    }
}

/// Where path and label stand.
#[derive(Clone, Copy)]
struct Columns {
    path: usize,
    label: Option<usize>,
    /// Whether the first line names them, and is no sample.
    named: bool,
}

impl Columns {
    /// By the first line: the names in it, or the first column and the second if there is one.
    fn find(first: &csv::ByteRecord) -> Result<Self, String> {
        let position = |names: &[&str]| {
            first.iter().position(|cell| {
                let cell = cell.trim_ascii();
                names.iter().any(|name| cell.eq_ignore_ascii_case(name.as_bytes()))
            })
        };
        let (path, label) = (position(&PATH_COLUMNS), position(&LABEL_COLUMNS));
        let starts_with_picture = first
            .get(0)
            .and_then(|cell| std::str::from_utf8(cell).ok())
            .is_some_and(|cell| has_picture_extension(cell.as_ref()));
        match (path, label) {
            (Some(path), label) => Ok(Self { path, label, named: true }),
            (None, Some(_)) if !starts_with_picture => Err(format!(
                "its first line names a column of labels and none of paths; call that one {}",
                PATH_COLUMNS.join(", ")
            )),
            _ => Ok(Self { path: 0, label: (first.len() > 1).then_some(1), named: false }),
        }
    }
}

/// Without the mark that some editors begin a UTF-8 file with.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)
}
