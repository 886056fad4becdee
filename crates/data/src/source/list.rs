//! Lists of picture files: a path a line, with or without a label.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Component, Path, PathBuf};

use fcmae_files::Limit;

use super::gathered::Gathered;
use super::grouping::is_of_groups;
use super::kind::{Named, SourceKind, has_picture_extension};
use super::sample::{Place, Sample};
use super::splits::named_split;
use crate::error::DataError;
use crate::words::printable;

mod columns;
mod text;

use columns::Columns;

/// Of a list.
const LIMIT: Limit = Limit { bytes: 1 << 30, mend: "split it into several" };

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
        let mend = "labels are needed, and a .txt list has none; write a .csv list with the \
                    columns path,label";
        return Err(refused(mend.to_owned()));
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
    let mut list = List { path, base, folder, set, listed: HashSet::new(), samples: Vec::new() };
    match form {
        Form::Columns(between) => list.columns(&text, between).map_err(refused)?,
        Form::Paths => list.paths(&text),
    }
    let List { set, mut samples, listed, .. } = list;
    if set.labelled {
        set.drop_unlabelled(&mut samples, "the list gives it no label");
    }
    if samples.is_empty() && !listed.is_empty() && !set.stopped() {
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

struct List<'s, 'a> {
    path: &'s Path,
    base: u32,
    folder: &'s Path,
    set: &'s mut Gathered<'a>,
    listed: HashSet<PathBuf>,
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
        let (found, rest) = Columns::find(text, between, asked, self.set.labelled, &is_file)?;
        if self.set.labelled && found.label.is_none() {
            let columns = if found.names.is_empty() {
                String::new()
            } else {
                format!(
                    "; its columns are {}: name one by data.label_column",
                    found.names.join(", ")
                )
            };
            return Err(format!(
                "labels are needed, and it has no column of labels; name the columns in its first \
                 line, such as path,label{columns}"
            ));
        }
        // Lines of any number of cells are told here, each with its own reason.
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(found.between)
            .has_headers(false)
            .flexible(true)
            .from_reader(&text.as_bytes()[rest..]);
        let passed = text[..rest].lines().count() as u64;
        let mut record = csv::StringRecord::new();
        let mut splits = BTreeMap::<&'static str, usize>::new();
        let mut first = found.named;
        let base = self.base;
        let mut repeated = Repeated::among(&found);
        loop {
            let read = reader.read_record(&mut record);
            if !read.map_err(|error| format!("it cannot be read: {error}"))? || self.set.look() {
                break;
            }
            if std::mem::take(&mut first) {
                continue;
            }
            let line = passed + record.position().map_or(0, csv::Position::line);
            let cell = |column: usize| record.get(column).map(columns::cell);
            if let Some(split) = found.split.and_then(cell).and_then(named_split) {
                *splits.entry(split).or_default() += 1;
            }
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
        if splits.len() > 1 {
            let splits: Vec<_> =
                splits.iter().map(|(name, count)| format!("{name} ({count})")).collect();
            return Err(format!(
                "it holds several splits by its column {:?}: {}; write a list of each",
                found.split.and_then(|at| found.names.get(at)).map_or("", String::as_str),
                splits.join(", ")
            ));
        }
        Ok(())
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
            if !path.is_empty() {
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
        let (path, meta) = self.found(written);
        let whole = self.folder.join(&path);
        if !self.listed.insert(path.clone()) {
            return self.set.skip(whole, format!("listed again in line {line}; the first is used"));
        }
        let meta = match meta {
            Ok(meta) if meta.is_file() => meta,
            Ok(_) => return self.set.lose(whole, "not a regular file"),
            Err(error) => {
                return match reason(written) {
                    Some(reason) => {
                        self.set.lose(written.trim().into(), format!("cannot be opened: {reason}"));
                    }
                    None => self.set.lose(whole, format!("cannot be opened: {error}")),
                };
            }
        };
        let text = label.filter(|_| self.set.labelled).map(str::trim);
        let label = text
            .filter(|text| !text.is_empty())
            .map(|text| self.set.names.written(&printable(Path::new(text))));
        self.samples.push(Sample {
            path,
            label,
            bytes: meta.len(),
            modified: meta.modified().ok(),
            place: Place::File { base: self.base },
        });
    }

    /// The path that a line means: as it stands there, or where there is no such file, without blanks around it and
    /// with slashes for backslashes.
    fn found(&self, written: &str) -> (PathBuf, std::io::Result<fs::Metadata>) {
        let plain = |text: &str| -> PathBuf {
            Path::new(text).components().filter(|part| *part != Component::CurDir).collect()
        };
        let mut forms: Vec<Cow<'_, str>> = vec![written.into(), written.trim().into()];
        if written.contains('\\') {
            forms.push(written.trim().replace('\\', "/").into());
        }
        forms.dedup();
        let mut first = None;
        for form in forms {
            let path = plain(&form);
            let meta = fs::metadata(self.folder.join(&path));
            if meta.is_ok() {
                return (path, meta);
            }
            first.get_or_insert((path, meta));
        }
        first.expect("there is one form at least")
    }
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
    if scheme {
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
