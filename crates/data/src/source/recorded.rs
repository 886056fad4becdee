//! A split that was made once, as a table: which picture was in which part.
//!
//! A split that is computed again is another one as soon as the data, the share or this program
//! changes. Read back from a table it is the same.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use fcmae_files::{Limit, Unusable};

use super::sample::{Sample, portable_bytes};
use super::set::PictureSet;
use crate::error::DataError;
use crate::words::together;

/// Of a table.
const LIMIT: Limit = Limit { bytes: 1 << 30, remedy: "that is not a table of a run" };

const COLUMNS: [&str; 3] = ["path", "label", "part"];

/// A part of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// What is trained on.
    Training,
    /// What is kept apart to evaluate on.
    HeldOut,
    /// Neither, where a run uses few labels.
    NotUsed,
}

impl Part {
    const ALL: [Self; 3] = [Self::Training, Self::HeldOut, Self::NotUsed];

    /// Its name in the table: `training`, `held_out` or `not_used`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::HeldOut => "held_out",
            Self::NotUsed => "not_used",
        }
    }
}

/// Which picture of a set was in which part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// In the set's order.
    rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    name: Vec<u8>,
    /// The class's name; empty without labels.
    label: String,
    part: Part,
}

impl Split {
    /// The split of `set` into `training`, `held_out` and what is in neither of them.
    ///
    /// # Errors
    /// A part that holds pictures which are not in the set, or not in its order.
    pub fn new(
        set: &PictureSet,
        training: &PictureSet,
        held_out: Option<&PictureSet>,
    ) -> Result<Self, DataError> {
        // Parts keep the set's order.
        let mut training = training.samples.iter().peekable();
        let mut held_out = held_out.map_or(&[][..], |set| &set.samples).iter().peekable();
        let row = |sample: &Sample| Row {
            name: recorded_name(&sample.path),
            label: sample.label.map_or_else(String::new, |label| set.classes[label].clone()),
            part: if training.next_if_eq(&sample).is_some() {
                Part::Training
            } else if held_out.next_if_eq(&sample).is_some() {
                Part::HeldOut
            } else {
                Part::NotUsed
            },
        };
        let rows = set.samples.iter().map(row).collect();
        if let Some(sample) = training.next().or_else(|| held_out.next()) {
            return Err(DataError::Parameter {
                what: "part of the set",
                value: escaped(&recorded_name(&sample.path)),
                remedy: "it is not in the set, or in both parts; take parts of the same set"
                    .to_owned(),
            });
        }
        Ok(Self { rows })
    }

    /// Names of pictures that `set` has beyond this, and of those that it lacks.
    pub fn changes(&self, set: &PictureSet) -> (Vec<String>, Vec<String>) {
        let rows: HashSet<&[u8]> = self.rows.iter().map(|row| row.name.as_slice()).collect();
        let names: Vec<Vec<u8>> =
            set.samples.iter().map(|sample| recorded_name(&sample.path)).collect();
        let there: HashSet<&[u8]> = names.iter().map(Vec::as_slice).collect();
        let more = names.iter().filter(|name| !rows.contains(name.as_slice()));
        let fewer = self.rows.iter().filter(|row| !there.contains(row.name.as_slice()));
        (more.map(|name| escaped(name)).collect(), fewer.map(|row| escaped(&row.name)).collect())
    }

    /// Number of pictures in a part.
    pub fn count(&self, part: Part) -> usize {
        self.rows.iter().filter(|row| row.part == part).count()
    }

    /// Writes the table: CSV with the columns `path`, `label` and `part`, a picture a line in the
    /// set's order. In a path, `\` and all bytes of control characters and of what is no UTF-8 stand
    /// as `\x` and two digits. A table that is there is replaced, or is left as it is, where files can be
    /// renamed; an equal one is not touched.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), DataError> {
        if self.is_in(path) {
            return Ok(());
        }
        let unwritable = |source| DataError::Unwritable { path: path.to_path_buf(), source };
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let written = self.write_whole(&partial).and_then(|()| match fs::rename(&partial, path) {
            // Files cannot be renamed everywhere. The writer of a run's other files, which could finish this
            // after a crash, is in a crate above this one. A table is written when a run begins, and is
            // equal whenever it goes on.
            Err(error)
                if !path.is_dir()
                    && !matches!(
                        error.kind(),
                        ErrorKind::NotFound
                            | ErrorKind::StorageFull
                            | ErrorKind::QuotaExceeded
                            | ErrorKind::ReadOnlyFilesystem
                    ) =>
            {
                self.write_whole(path)
            }
            renamed => renamed,
        });
        // Where it was not renamed; nothing may be there to remove.
        let _ = fs::remove_file(&partial);
        written.map_err(unwritable)
    }

    /// A hash over which picture is in which part, in hexadecimal digits.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        // A hasher takes every write.
        let _ = self.write_to(&mut hasher);
        hasher.finalize().to_hex()[..16].to_owned()
    }

    /// Whether the file is this table, byte for byte.
    fn is_in(&self, path: &Path) -> bool {
        let Ok(file) = fcmae_files::within(path, LIMIT) else { return false };
        let mut rest = Compared(BufReader::new(file));
        self.write_to(&mut rest).is_ok() && rest.0.fill_buf().is_ok_and(<[u8]>::is_empty)
    }

    fn write_to(&self, out: impl Write) -> std::io::Result<()> {
        let mut table = csv::Writer::from_writer(out);
        table.write_record(COLUMNS)?;
        for Row { name, label, part } in &self.rows {
            table.write_record([escaped(name).as_str(), label, part.name()])?;
        }
        table.flush()
    }

    fn write_whole(&self, path: &Path) -> std::io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        self.write_to(&mut file)?;
        // Renamed to its name before its content is on the disk, it could be cut short by a crash.
        match file.get_ref().sync_all() {
            // Files cannot be synced everywhere.
            Err(error)
                if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidInput) =>
            {
                Ok(())
            }
            synced => synced,
        }
    }

    /// Reads a table that [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// What cannot be read or is no such table, with the line.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let refused = |reason| DataError::Split { path: path.to_path_buf(), reason };
        let unreadable = |error| match error {
            Unusable::Io(source) => DataError::Unreadable { path: path.to_path_buf(), source },
            other => refused(format!("it {other}")),
        };
        let file = fcmae_files::within(path, LIMIT).map_err(unreadable)?;
        let mut table = csv::Reader::from_reader(BufReader::new(file));
        let damaged = |error: csv::Error| refused(format!("it cannot be read: {error}"));
        let head = table.headers().map_err(damaged)?.clone();
        let places: Vec<usize> =
            COLUMNS.iter().filter_map(|name| head.iter().position(|cell| cell == *name)).collect();
        let [name, label, part] = places[..] else {
            let columns = COLUMNS.join(",");
            return Err(refused(format!("its first line does not name the columns {columns}")));
        };
        let mut rows = Vec::new();
        for record in table.records() {
            let record = record.map_err(damaged)?;
            let line = record.position().map_or(0, csv::Position::line);
            let cell = |place: usize| record.get(place).unwrap_or_default();
            let found = Part::ALL.into_iter().find(|known| known.name() == cell(part));
            let known = || Part::ALL.map(Part::name).join(", ");
            rows.push(Row {
                name: unescaped(cell(name)).ok_or_else(|| {
                    refused(format!("line {line}: {:?} is not a path as it is written", cell(name)))
                })?,
                label: cell(label).to_owned(),
                part: found.ok_or_else(|| {
                    let reason =
                        format!("line {line}: part {:?} is none of {}", cell(part), known());
                    refused(reason)
                })?,
            });
        }
        Ok(Self { rows })
    }
}

impl PictureSet {
    /// The pictures that a recorded split has in `part`, told by their paths. Pictures that it does
    /// not name at all are left out.
    ///
    /// Of several pictures with one path, from several sources, the first in the table is the first
    /// in the set.
    ///
    /// # Errors
    /// Pictures of the part that are not in the set, or a part that has none.
    pub fn select(&self, split: &Split, part: Part) -> Result<Self, DataError> {
        let (indices, parts) = self.recorded(split, part);
        let count = split.count(part);
        if count == 0 {
            return Err(DataError::Parameter {
                what: "recorded split",
                value: format!("without pictures in the part {}", part.name()),
                remedy: "no picture of it is in that part; a run that held out pictures of another place is \
                       tested on those, as --data"
                    .to_owned(),
            });
        }
        if indices.len() < count {
            let left = |row: &&Row| {
                row.part == part
                    && parts.get(row.name.as_slice()).is_some_and(|left| left.contains(&part))
            };
            let missing = split.rows.iter().filter(left).map(|row| escaped(&row.name));
            return Err(DataError::NotInSet {
                path: together(&self.roots),
                missing: count - indices.len(),
                recorded: count,
                first: missing.take(FIRST).collect(),
            });
        }
        Ok(self.subset(&indices))
    }

    /// As [`select`](Self::select), whatever is no longer in the set.
    pub fn select_what_is_left(&self, split: &Split, part: Part) -> Self {
        self.subset(&self.recorded(split, part).0)
    }

    /// The pictures that a split has in `part`, and the parts of those in no place of the set, by their names.
    fn recorded<'a>(
        &self,
        split: &'a Split,
        part: Part,
    ) -> (Vec<usize>, HashMap<&'a [u8], Vec<Part>>) {
        let mut parts = HashMap::<&[u8], Vec<Part>>::new();
        // Backwards, so that the first is taken from the end.
        for row in split.rows.iter().rev() {
            parts.entry(&row.name).or_default().push(row.part);
        }
        let wanted = |(index, sample): (usize, &Sample)| {
            let found = parts.get_mut(recorded_name(&sample.path).as_slice())?.pop();
            (found == Some(part)).then_some(index)
        };
        let indices = self.samples.iter().enumerate().filter_map(wanted).collect();
        (indices, parts)
    }
}

/// How many missing pictures an error names.
const FIRST: usize = 5;

/// Takes what the reader has, and nothing else.
struct Compared<R>(BufReader<R>);

impl<R: Read> Write for Compared<R> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut found = vec![0; bytes.len()];
        self.0.read_exact(&mut found)?;
        if found == bytes { Ok(bytes.len()) } else { Err(ErrorKind::InvalidData.into()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A path as bytes, the same on every system.
fn recorded_name(path: &Path) -> Vec<u8> {
    let mut name = portable_bytes(path);
    if name.starts_with(b"//") {
        name.remove(0);
    }
    name
}

/// Bytes as text on one line that tells them exactly.
fn escaped(name: &[u8]) -> String {
    let mut text = String::new();
    let escape =
        |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' || character.is_control() {
                text += &escape(character.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                text.push(character);
            }
        }
        text += &escape(chunk.invalid());
    }
    text
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('\\');
    let mut name = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let part = part.strip_prefix('x')?.as_bytes();
        let digits = part.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        name.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        name.extend_from_slice(&part[2..]);
    }
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_equal_table_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("split.csv");
        let row = |name: &str, part| Row { name: name.into(), label: "a, b".to_owned(), part };
        let split = |rows| Split { rows };
        let one = split(vec![row("a.jpg", Part::Training)]);
        let more = split(vec![row("a.jpg", Part::Training), row("b.jpg", Part::HeldOut)]);
        let other = split(vec![row("a.jpg", Part::HeldOut)]);
        let modified = || fs::metadata(&path).unwrap().modified().unwrap();
        // From shorter to longer and back: what only begins alike is another.
        for table in [&one, &more, &one, &other] {
            assert!(!table.is_in(&path));
            table.write(&path).unwrap();
            assert_eq!(&Split::read(&path).unwrap(), table);
            let long_ago = std::time::SystemTime::UNIX_EPOCH;
            File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
            table.write(&path).unwrap();
            assert_eq!(modified(), long_ago);
        }
    }

    #[test]
    fn any_name_can_be_written_and_read_back() {
        for (name, text) in [
            (&b"a/b c,\"d\".jpg"[..], "a/b c,\"d\".jpg"),
            ("été/😀.png".as_bytes(), "été/😀.png"),
            (b"a\\b\n\r\x7F\xFF\xFE.jpg", "a\\x5cb\\x0a\\x0d\\x7f\\xff\\xfe.jpg"),
            ("\u{85}\\x41".as_bytes(), "\\xc2\\x85\\x5cx41"),
        ] {
            assert_eq!(escaped(name), text);
            assert_eq!(unescaped(text).as_deref(), Some(name));
        }
        for text in ["", "a\\", "a\\n", "a\\x", "a\\x4", "a\\xé", "\\x+1", "a\\\\x41"] {
            assert_eq!(unescaped(text), None, "{text}");
        }
    }
}
