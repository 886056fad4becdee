//! CSV: names, labels, and maybe vectors.

use std::io::{self, Write};
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder, Terminator, WriterBuilder};
use fcmae_words::legible;

use super::error::FileError;
use super::shortened::shortened;

/// A table as it was read.
pub(super) struct Table {
    pub(super) names: Vec<String>,
    pub(super) labels: Vec<Option<String>>,
    /// Row after row.
    pub(super) values: Vec<f32>,
    /// Values of a row; may be 0.
    pub(super) width: usize,
}

/// Which columns hold what.
struct Columns {
    path: usize,
    label: Option<usize>,
    /// In their order.
    values: Vec<usize>,
}

impl Columns {
    fn of(header: &ByteRecord) -> Result<Self, String> {
        let (mut path, mut label, mut values) = (None, None, Vec::new());
        for (at, name) in header.iter().enumerate() {
            let twice = match name {
                b"path" => path.replace(at).is_some(),
                b"label" => label.replace(at).is_some(),
                name => {
                    let expected = format!("v{}", values.len());
                    if name != expected.as_bytes() {
                        return Err(format!(
                            "its column {} is {}; columns are path, label, v0, v1, … in this order: name them so, and \
                             remove others",
                            at + 1,
                            shortened(&legible(name))
                        ));
                    }
                    values.push(at);
                    false
                }
            };
            if twice {
                return Err(format!(
                    "it has two columns {}: remove one",
                    shortened(&legible(name))
                ));
            }
        }
        let path = path.ok_or("it has no column path, of the pictures' names: name it so")?;
        Ok(Self { path, label, values })
    }
}

/// Whether a file has the columns of names and vectors.
pub(super) fn begins(path: &Path) -> bool {
    let Ok((file, _)) = fcmae_files::open(path) else { return false };
    let mut reader = ReaderBuilder::new().from_reader(file);
    let columns = reader.byte_headers().ok().and_then(|header| Columns::of(header).ok());
    columns.is_some_and(|columns| !columns.values.is_empty())
}

/// Reads a table with a header line.
pub(super) fn read(path: &Path) -> Result<Table, FileError> {
    let (file, _) = fcmae_files::open(path).map_err(FileError::unusable(path))?;
    let malformed = |reason: String| FileError::malformed(path, reason);
    let wrong = |error: csv::Error| {
        use csv::ErrorKind::{Io, UnequalLengths};
        malformed(match error.kind() {
            Io(error) => format!("cannot be read: {error}"),
            UnequalLengths { pos, expected_len, len } => format!(
                "the row on line {} has {len} columns, those before it {expected_len}: write it again with quotes \
                 around what holds commas",
                pos.as_ref().map_or(0, csv::Position::line)
            ),
            _ => error.to_string(),
        })
    };
    let mut reader = ReaderBuilder::new().from_reader(file);
    let columns = Columns::of(reader.byte_headers().map_err(wrong)?).map_err(malformed)?;
    let width = columns.values.len();
    let mut table = Table { names: Vec::new(), labels: Vec::new(), values: Vec::new(), width };
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(wrong)? {
        let text = |at: usize| record.get(at).unwrap_or_default();
        table.names.push(legible(text(columns.path)));
        let label = columns.label.map(text).filter(|label| !label.is_empty());
        table.labels.push(label.map(legible));
        for (index, at) in columns.values.iter().enumerate() {
            let value =
                std::str::from_utf8(text(*at)).ok().and_then(|text| text.trim().parse().ok());
            table.values.push(value.ok_or_else(|| {
                malformed(format!(
                    "v{index} of the row on line {} is {}, no number: make the file again",
                    record.position().map_or(0, csv::Position::line),
                    shortened(&legible(text(*at)))
                ))
            })?);
        }
    }
    Ok(table)
}

/// A table that is being written.
pub(super) struct Rows<W: Write> {
    out: csv::Writer<W>,
    record: ByteRecord,
}

impl<W: Write> Rows<W> {
    /// Begins one whose rows have `width` values, or none.
    pub(super) fn new(out: W, width: usize) -> io::Result<Self> {
        let mut out = WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(out);
        let values = (0..width).map(|index| format!("v{index}"));
        out.write_record(["path", "label"].map(str::to_owned).into_iter().chain(values))?;
        Ok(Self { out, record: ByteRecord::new() })
    }

    pub(super) fn row(
        &mut self,
        name: &str,
        label: Option<&str>,
        values: &[f32],
    ) -> io::Result<()> {
        self.record.clear();
        self.record.push_field(name.as_bytes());
        self.record.push_field(label.unwrap_or_default().as_bytes());
        for value in values {
            // The shortest that is read as the same number, with an exponent where that is shorter.
            self.record.push_field(format!("{value:?}").as_bytes());
        }
        Ok(self.out.write_byte_record(&self.record)?)
    }

    pub(super) fn finish(self) -> io::Result<W> {
        self.out
            .into_inner()
            .map_err(|error| io::Error::new(error.error().kind(), error.to_string()))
    }
}
