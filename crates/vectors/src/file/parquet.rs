//! Parquet: columns `path`, `label`, `vector`.

use std::io::{self, BufReader, ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fcmae_parquet::{Column, Footer, Kind, Leaf, Lists, Physical, Table, Value};
use fcmae_words::legible;

use super::error::FileError;

/// The key under which the origin stands.
pub(super) const NOTE: &str = "fcmae";

/// Fewest bytes of a file for each row: its vector has a value at least.
const ROW_BYTES: u64 = 4;

/// Most bytes of text for each byte of a file. What compresses better is the same name over and over.
const TEXT_A_BYTE: usize = 16;

/// The columns as Arrow describes them, for a width of [`WIDTH_AT`]; `reference/make_vectors.py` writes it.
const ARROW: &[u8; 296] = include_bytes!("parquet/schema.arrow");

/// Where the width stands in it, in four bytes.
const WIDTH_AT: usize = 120;

/// What is read of a file.
#[derive(Default)]
pub(super) struct Content {
    pub(super) names: Vec<String>,
    pub(super) labels: Vec<Option<String>>,
    pub(super) values: Vec<f32>,
    /// `None` where there is no row.
    pub(super) width: Option<usize>,
    /// The origin, as JSON.
    pub(super) note: Option<String>,
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Content, FileError> {
    let (mut file, about) = fcmae_files::open(path).map_err(FileError::unusable(path))?;
    let malformed = |reason: String| FileError::malformed(path, reason);
    let footer = Footer::read(&mut file, about.len()).map_err(malformed)?;
    let leaf = |name: &str| footer.leaves.iter().position(|leaf| leaf.path[0] == name);
    let needed = |name: &str| {
        leaf(name).ok_or_else(|| malformed(format!("it has no column {name}; name one so")))
    };
    let (names, vectors, labels) = (needed("path")?, needed("vector")?, leaf("label"));
    for at in [Some(names), labels].into_iter().flatten() {
        let Leaf { path: place, physical, .. } = &footer.leaves[at];
        let one = place.len() == 1 && !footer.leaves[at].is_repeated();
        if !one || *physical == Physical::Other || at == names && *physical != Physical::Bytes {
            return Err(malformed(format!("its column {} does not hold a text a row", place[0])));
        }
    }
    let wanted: Vec<usize> = [Some(names), Some(vectors), labels].into_iter().flatten().collect();
    let groups = footer.row_groups(&wanted, ROW_BYTES).map_err(malformed)?;
    let mut file = BufReader::with_capacity(256 << 10, file);
    let mut lists = Lists::default();
    let mut content = Content { note: footer.note(NOTE).map(str::to_owned), ..Content::default() };
    let mut room = usize::try_from(about.len()).unwrap_or(usize::MAX).saturating_mul(TEXT_A_BYTE);
    for (number, group) in groups.iter().enumerate() {
        let read = || -> io::Result<()> {
            let chunks = group.chunks.as_deref().map_err(|reason| invalid(reason.clone()))?;
            let rows = group.rows;
            let column = fcmae_parquet::read(&mut file, chunks[0], &footer.leaves[names], rows)?;
            for name in texts(column, &mut room) {
                let name = name?.filter(|name| !name.is_empty());
                let row = content.names.len();
                let missing = || invalid(format!("row {row} has no path; leave it out"));
                content.names.push(name.ok_or_else(missing)?);
            }
            match labels {
                Some(at) => {
                    let column =
                        fcmae_parquet::read(&mut file, chunks[2], &footer.leaves[at], rows)?;
                    for label in texts(column, &mut room) {
                        content.labels.push(label?.filter(|label| !label.is_empty()));
                    }
                }
                None => content.labels.resize(content.names.len(), None),
            }
            lists
                .read(&mut file, chunks[1], &footer.leaves[vectors], rows)
                .map_err(|error| within("vector", error))
        };
        // The decoders are others' code. What a panic leaves half done is dropped.
        let read = catch_unwind(AssertUnwindSafe(read))
            .unwrap_or_else(|_| Err(invalid("damaged: its data cannot be unpacked")));
        read.map_err(|error| malformed(format!("row group {number}: {}", said(&error))))?;
    }
    content.values = lists.values;
    content.width = lists.width;
    Ok(content)
}

/// Whether a file has the columns of one.
pub(super) fn begins(path: &Path) -> bool {
    let Ok((mut file, about)) = fcmae_files::open(path) else { return false };
    let Ok(footer) = Footer::read(&mut file, about.len()) else { return false };
    ["path", "vector"].iter().all(|name| footer.leaves.iter().any(|leaf| leaf.path[0] == *name))
}

fn within(column: &str, error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::InvalidData => invalid(format!("column {column}: {error}")),
        _ => error,
    }
}

fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason.into())
}

fn said(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => "damaged: a page ends before its values do".to_owned(),
        _ => error.to_string(),
    }
}

/// The text of each row; `room` is how many bytes of it may still come.
fn texts(
    column: Column<Value>,
    room: &mut usize,
) -> impl Iterator<Item = io::Result<Option<String>>> {
    let Column { values, rows } = column;
    let texts: Vec<String> = values.into_iter().map(text).collect();
    rows.into_iter().map(move |row| {
        let text = row.map(|at| texts[at as usize].as_str());
        *room = room.checked_sub(text.map_or(0, str::len)).ok_or_else(|| {
            invalid(format!("its texts unpack to more than {TEXT_A_BYTE} times the file: leave other columns out"))
        })?;
        Ok(text.map(str::to_owned))
    })
}

fn text(value: Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Real(real) => real.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::Bytes(bytes) => {
            String::from_utf8(bytes).unwrap_or_else(|error| legible(error.as_bytes()))
        }
    }
}

/// Begins a file whose vectors have `width` values.
pub(super) fn begin<W: Write>(out: W, width: usize) -> io::Result<Table<W>> {
    let columns =
        [("path", Kind::Text), ("label", Kind::OptionalText), ("vector", Kind::Lists(width))];
    Table::new(out, &columns)
}

/// Ends it. `origin` is JSON.
pub(super) fn finish<W: Write>(table: Table<W>, width: usize, origin: &str) -> io::Result<W> {
    let mut schema = *ARROW;
    let width = u32::try_from(width).map_err(|_| invalid("vectors are too wide"))?;
    schema[WIDTH_AT..][..4].copy_from_slice(&width.to_le_bytes());
    table.finish(&[("ARROW:schema", &BASE64_STANDARD.encode(schema)), (NOTE, origin)])
}
