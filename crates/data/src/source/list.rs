//! Lists of picture files: a path a line, with or without a label.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use fcmae_files::Limit;
use fcmae_words::grouped;

use super::gathered::Gathered;
use super::grouping::is_of_groups;
use super::kind::{Named, SourceKind, has_picture_extension};
use super::sample::{Place, Sample};
use super::split_column::SplitColumn;
use crate::error::DataError;
use crate::words::printable;

mod columns;
mod finder;
mod quotes;
mod text;

use columns::Columns;
use finder::Finder;

/// Of a list.
const LIMIT: Limit = Limit { bytes: 1 << 30, remedy: "split it into several" };

/// How a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Columns, with this byte between them, unless the first line shows another.
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
fn gather(path: &Path, set: &mut Gathered<'_>) -> Result<(), DataError> {
    let form = form(path).expect("lists are told by their names");
    let refused = |reason| DataError::List { path: path.to_path_buf(), reason };
    if form == Form::Paths && set.labelled {
        let remedy = "labels are needed, but a .txt list has none; write a .csv list with the columns \
            path,label";
        set.refuse_labels(refused(remedy.to_owned()))?;
    }
    if form == Form::Paths {
        set.check_columns(path)?;
    }
    let bytes = fcmae_files::bytes(path, LIMIT).map_err(|error| refused(format!("it {error}")))?;
    let text = text::decoded(bytes).map_err(refused)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let base = set.base(folder, None);
    let mut list = List {
        path,
        base,
        folder,
        finder: Finder::new(folder),
        set,
        listed: HashMap::new(),
        twice: Vec::new(),
        samples: Vec::new(),
        first_missing: None,
    };
    match form {
        Form::Columns(between) => list.columns(&text, between).map_err(refused)?,
        Form::Paths => list.paths(&text),
    }
    let List { set, mut samples, listed, twice, mut finder, first_missing, .. } = list;
    set.notes.extend(finder.notes(path));
    set.notes.extend(told_twice(path, &twice));
    if set.labelled {
        set.drop_unlabelled(&mut samples, "the list gives it no label");
    }
    if samples.is_empty() && !listed.is_empty() && !set.stopped() {
        let first = set
            .skipped
            .last()
            .map(|skip| format!("; the last: {}: {}", printable(&skip.path), skip.reason));
        let elsewhere = first_missing.and_then(|written| {
            let folder = printable(&finder.elsewhere(&written)?);
            Some(format!(
                "; {folder} holds {written}: move the list into it, or write {folder}/ before the paths"
            ))
        });
        return Err(refused(format!(
            "none of the {} files that it names can be used; paths are relative to the list's \
             folder{}",
            listed.len(),
            elsewhere.or(first).unwrap_or_default()
        )));
    }
    set.samples.append(&mut samples);
    Ok(())
}

/// Refuses a table without a column of labels.
fn with_labels((found, rest): (Columns, usize)) -> Result<(Columns, usize), String> {
    if found.label.is_some() {
        return Ok((found, rest));
    }
    let remedy = if found.names.is_empty() {
        "name the columns in its first line, such as path,label".to_owned()
    } else {
        let columns = found.names.join(", ");
        format!(
            "add a column `label`, or, if the labels are in one of its columns {columns}, name it with \
             data.label_column"
        )
    };
    Err(format!("labels are needed, but it has no column of labels; {remedy}"))
}

struct List<'s, 'a> {
    path: &'s Path,
    base: u32,
    folder: &'s Path,
    finder: Finder<'s>,
    set: &'s mut Gathered<'a>,
    /// What was listed, with its label.
    listed: HashMap<PathBuf, Option<usize>>,
    /// What was listed again with another label: the file and both labels.
    twice: Vec<(PathBuf, [String; 2])>,
    /// What the first line says whose file is not there.
    first_missing: Option<String>,
    samples: Vec<Sample>,
}

impl List<'_, '_> {
    fn columns(&mut self, text: &str, between: u8) -> Result<(), String> {
        let is_file = |path: &str| self.folder.join(path).is_file();
        let asked = columns::Asked {
            image: self.set.image_column,
            label: self.set.label_column,
            group: self.set.group_column,
        };
        let labelled = self.set.labelled;
        let find = |labelled| Columns::find(text, between, asked, labelled, &is_file);
        let (found, rest) = match find(labelled).and_then(|found| match labelled {
            true => with_labels(found),
            false => Ok(found),
        }) {
            Err(reason) if self.set.optional => {
                let error = DataError::List { path: self.path.to_path_buf(), reason };
                self.set.refuse_labels(error).map_err(|error| error.to_string())?;
                find(false)?
            }
            found => found?,
        };
        self.rows(&text[rest..], text[..rest].lines().count() as u64, &found)
    }
    /// Adds what the lines of a table name, before which so many lines are passed.
    fn rows(&mut self, text: &str, passed: u64, found: &Columns) -> Result<(), String> {
        // Lines of any number of cells are told here, each with its own reason.
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(found.between)
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        let mut record = csv::StringRecord::new();
        let mut splits: Vec<(usize, SplitColumn)> = (0..found.names.len())
            .filter(|at| *at != found.path && Some(*at) != found.label && Some(*at) != found.group)
            .map(|at| (at, SplitColumn::new(&found.names[at])))
            .collect();
        let mut first = found.named;
        let base = self.base;
        let mut repeated = Repeated::among(found);
        let mut width = None;
        loop {
            let start = reader.position().byte() as usize;
            let read = reader.read_record(&mut record);
            if !read.map_err(|error| format!("it cannot be read: {error}"))? || self.set.look() {
                break;
            }
            let line = passed + record.position().map_or(0, csv::Position::line);
            let end = (reader.position().byte() as usize).min(text.len());
            if end == text.len() || record.as_slice().contains(['\n', '\r']) {
                let whole = *width.get_or_insert(record.len()) == record.len();
                self.check_quotes(&text[start..end], line, found, whole)?;
            }
            width.get_or_insert(record.len());
            if std::mem::take(&mut first) {
                continue;
            }
            let cell = |column: usize| record.get(column).map(columns::cell);
            splits.retain_mut(|(at, column)| column.add(cell(*at).unwrap_or_default()));
            if let Some(group) = found.group {
                self.base = self.set.base_of_group(base, cell(group));
            }
            self.line(line, cell(found.path).unwrap_or_default(), found.label.and_then(cell));
            repeated.iter_mut().for_each(|column| column.add(cell(column.at).unwrap_or_default()));
        }
        if found.group.is_none() {
            let of_groups = repeated.into_iter().filter(Repeated::is_of_groups);
            self.set.group_columns.extend(of_groups.map(|column| found.names[column.at].clone()));
        }
        for (_, column) in splits {
            self.set.notes.extend(column.judged()?);
        }
        Ok(())
    }

    /// Refuses a record whose quoted field takes lines that are records of their own.
    fn check_quotes(
        &mut self,
        record: &str,
        line: u64,
        found: &Columns,
        whole: bool,
    ) -> Result<(), String> {
        let Some(field) = quotes::spanning(record, found.between) else { return Ok(()) };
        let mut names_picture = |line: &&str| {
            let path = line.split(char::from(found.between)).nth(found.path).unwrap_or_default();
            let path = path.trim().trim_matches('"');
            has_picture_extension(path.as_ref())
                || !path.is_empty() && self.finder.found(path).1.is_ok_and(|meta| meta.is_file())
        };
        if field.closed && whole && !field.lines.iter().any(&mut names_picture) {
            return Ok(());
        }
        let takes = match field.lines.len() {
            0 => String::new(),
            1 => ", and takes the line below it".to_owned(),
            lines => format!(", and takes the {} lines below it", grouped(lines)),
        };
        Err(format!(
            "the quote that opens a column in line {} is not closed there{takes}: close it, or leave it out; a quote \
             within a quoted column is written twice",
            line + field.before
        ))
    }

    fn paths(&mut self, text: &str) {
        // Of a line that ends in both, the second end is an empty line.
        let by_returns = !text.contains('\n');
        let mut number = 1;
        for line in text.split_inclusive(['\n', '\r']) {
            if self.set.look() {
                return;
            }
            let path = line.trim_end_matches(['\n', '\r']);
            let comment = path.starts_with('#') && !self.folder.join(path).exists();
            if !path.is_empty() && !comment {
                self.line(number, path, None);
            }
            number += u64::from(line.ends_with('\n') || by_returns);
        }
    }

    /// Adds the file that a line names, or the reason for which it is left out.
    fn line(&mut self, line: u64, written: &str, label: Option<&str>) {
        if written.trim().is_empty() {
            return self.set.lose(self.path.to_path_buf(), format!("line {line}: it has no path"));
        }
        let (path, meta) = self.finder.found(written);
        let whole = self.folder.join(&path);
        let text = label.filter(|_| self.set.labelled).map(str::trim);
        let label = text
            .filter(|text| !text.is_empty())
            .map(|text| self.set.names.written(&printable(Path::new(text))));
        match self.listed.entry(path.clone()) {
            Entry::Vacant(place) => _ = place.insert(label),
            Entry::Occupied(before) if label.is_none() || *before.get() == label => {
                let reason = format!("listed again in line {line}; the first is used");
                return self.set.skip(whole, reason);
            }
            Entry::Occupied(before) => {
                let named = |label: Option<usize>| {
                    label.map_or(String::new(), |at| self.set.names.text(at).to_owned())
                };
                self.twice.push((path, [named(*before.get()), named(label)]));
                let reason =
                    format!("listed again in line {line} with another label; the first is used");
                return self.set.skip(whole, reason);
            }
        }
        let meta = match meta {
            Ok(meta) if meta.is_file() => meta,
            Ok(_) => return self.set.lose(whole, "not a regular file"),
            Err(error) => {
                self.first_missing.get_or_insert_with(|| written.trim().to_owned());
                let why = reason(written).map(str::to_owned).or_else(|| self.finder.why(written));
                return match why {
                    Some(reason) => {
                        self.set.lose(written.trim().into(), format!("cannot be opened: {reason}"));
                    }
                    None => self.set.lose(whole, format!("cannot be opened: {error}")),
                };
            }
        };
        self.samples.push(Sample {
            path,
            label,
            bytes: meta.len(),
            modified: meta.modified().ok(),
            place: Place::File { base: self.base, page: 0 },
        });
    }
}

/// Says of files that are listed with several labels.
fn told_twice(list: &Path, twice: &[(PathBuf, [String; 2])]) -> Option<String> {
    let (path, [first, other]) = twice.first()?;
    Some(format!(
        "{}: {} listed with several labels, such as {} as {first:?} and {other:?}: the first of them is used; \
         correct the list",
        printable(list),
        match twice.len() {
            1 => "1 picture is".to_owned(),
            count => format!("{} pictures are", grouped(count)),
        },
        printable(path)
    ))
}

/// The values of a column that may tell which pictures belong together, as hashes.
struct Repeated {
    at: usize,
    lines: usize,
    values: HashSet<u64>,
}

impl Repeated {
    fn among(found: &Columns) -> Vec<Self> {
        let named = (0..found.names.len()).filter(|at| is_of_groups(&found.names[*at]));
        let free = named.filter(|at| *at != found.path && Some(*at) != found.label);
        free.map(|at| Self { at, lines: 0, values: HashSet::new() }).collect()
    }

    fn add(&mut self, cell: &str) {
        let mut hasher = DefaultHasher::new();
        cell.hash(&mut hasher);
        self.values.insert(hasher.finish());
        self.lines += 1;
    }

    /// Whether there are several groups, and of some several pictures.
    fn is_of_groups(&self) -> bool {
        self.values.len() > 1 && self.values.len() < self.lines
    }
}

/// Why a path that is not found cannot be one here, as far as it can be told.
fn reason(written: &str) -> Option<&'static str> {
    let path = written.trim();
    let mut start = path.chars();
    let drive = start.next().is_some_and(|letter| letter.is_ascii_alphabetic())
        && start.next() == Some(':')
        && start.next().is_some_and(|slash| slash == '\\' || slash == '/');
    let scheme = path.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    if scheme && !path.starts_with("file:") {
        Some("it is a URL, and nothing is downloaded; download the pictures, and list their files")
    } else if (drive || path.starts_with("\\\\")) && cfg!(not(windows)) {
        Some("it is a path of another, Windows machine; write it relative to the list's folder")
    } else {
        // As lists of ImageNet have it.
        let labelled = path.rsplit_once([' ', '\t']).is_some_and(|(path, label)| {
            has_picture_extension(path.trim().as_ref()) && label.bytes().all(|b| b.is_ascii_digit())
        });
        labelled
            .then_some("a label stands behind it; write a .csv list with the columns path,label")
    }
}
