//! The footer of a Parquet file: which columns there are, and where their pieces lie.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use crate::thrift::{Flaw, Kind, Thrift};

/// Most bytes of a footer. One of a thousand row groups with ten columns has about a megabyte.
const FOOTER_BYTES: u64 = 64 << 20;

/// Most columns, groups of them included.
const COLUMNS: usize = 10_000;

/// Deepest nesting of columns.
const DEPTH: usize = 16;

/// The type of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Physical {
    /// Whole numbers of 32 bits.
    Int32,
    /// Whole numbers of 64 bits.
    Int64,
    /// True or false.
    Boolean,
    /// Numbers in single precision.
    Float,
    /// Numbers in double precision.
    Double,
    /// Bytes, of any number a value.
    Bytes,
    /// None that is read here.
    Other,
}

/// A column: a leaf of the tree of columns.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Names from the top, such as `image`, `bytes`.
    pub path: Vec<String>,
    /// The type of its values.
    pub physical: Physical,
    /// Bytes that are text.
    pub text: bool,
    /// How many of its levels may be missing: the definition level of a value that is there.
    pub optional: u8,
    /// How many of its levels may be there any number of times: 0 for one value a row, 1 for a list a row.
    pub repetitions: u8,
}

impl Leaf {
    /// Whether a row has any number of values.
    pub fn is_repeated(&self) -> bool {
        self.repetitions > 0
    }
}

/// A piece of a column: its values in one row group.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chunk {
    /// Where its first page begins.
    pub start: u64,
    /// Bytes of its pages with their headers.
    pub bytes: u64,
    /// How its pages are compressed, as Parquet numbers it.
    pub codec: i64,
}

/// Rows whose columns lie together.
#[derive(Debug)]
pub struct RowGroup {
    /// How many.
    pub rows: u64,
    /// The pieces of the columns asked for, in their order; or why there are none.
    pub chunks: Result<Vec<Chunk>, String>,
}

/// What a file says of itself.
#[derive(Debug)]
pub struct Footer {
    bytes: Vec<u8>,
    /// Size of the whole file.
    file: u64,
    /// The columns, as they lie in each row group.
    pub leaves: Vec<Leaf>,
}

/// A column, or a group of them, as the footer lists it.
#[derive(Default)]
struct Element<'a> {
    name: &'a [u8],
    physical: Option<i64>,
    repetition: i64,
    children: i64,
    text: bool,
}

impl Footer {
    /// Reads the footer of a file of `size` bytes.
    ///
    /// # Errors
    /// The reason for which there is none.
    pub fn read(file: &mut File, size: u64) -> Result<Self, String> {
        let cannot = |error: io::Error| format!("it cannot be read: {error}");
        let mut mark = [0; 4];
        if size < 12 {
            return Err(format!("it has {size} bytes, too few for a Parquet file"));
        }
        file.seek(SeekFrom::Start(0)).map_err(cannot)?;
        file.read_exact(&mut mark).map_err(cannot)?;
        if &mark != b"PAR1" {
            let reason = match &mark {
                b"PARE" => "it is encrypted",
                b"vers" => {
                    "it is not a Parquet file, but text, as pointers of Git LFS are: fetch the file itself, with \
                     git lfs pull"
                }
                _ => "it is not a Parquet file",
            };
            return Err(reason.to_owned());
        }
        let mut end = [0; 8];
        file.seek(SeekFrom::Start(size - 8)).map_err(cannot)?;
        file.read_exact(&mut end).map_err(cannot)?;
        if &end[4..] != b"PAR1" {
            return Err("it is cut short: its end mark is missing; fetch it again".to_owned());
        }
        let length = u64::from(u32::from_le_bytes([end[0], end[1], end[2], end[3]]));
        if length > (size - 12).min(FOOTER_BYTES) {
            return Err(format!(
                "damaged: its footer claims {length} bytes, of {size} in the file (at most \
                 {FOOTER_BYTES} are read)"
            ));
        }
        file.seek(SeekFrom::Start(size - 8 - length)).map_err(cannot)?;
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes).map_err(cannot)?;
        let leaves = columns(&bytes)?;
        Ok(Self { bytes, file: size, leaves })
    }

    /// What the file's writer left under this key, such as `huggingface`, if it is UTF-8. The last counts.
    pub fn note(&self, key: &str) -> Option<&str> {
        let mut found = None;
        let read = Thrift { rest: &self.bytes }.fields(|thrift, id, kind| {
            if (id, kind) != (5, Kind::List) {
                return Ok(false);
            }
            for _ in 0..structures(thrift)? {
                let (name, text) = key_value(thrift)?;
                if name == key.as_bytes() {
                    found = std::str::from_utf8(text).ok();
                }
            }
            Ok(true)
        });
        // All of it was read before.
        read.ok().and(found)
    }

    /// The row groups, with the pieces of the columns at `wanted`. Each row takes `row_bytes` of the file or more:
    /// what compresses better would only take memory.
    ///
    /// # Errors
    /// A footer that is damaged, or that claims more rows than that.
    pub fn row_groups(&self, wanted: &[usize], row_bytes: u64) -> Result<Vec<RowGroup>, String> {
        let mut groups = Vec::new();
        let mut rows = 0_u64;
        let mut too_many = None;
        let read = Thrift { rest: &self.bytes }.fields(|thrift, id, kind| {
            if (id, kind) != (4, Kind::List) {
                return Ok(false);
            }
            for _ in 0..structures(thrift)? {
                let group = self.row_group(thrift, wanted)?;
                rows = rows.saturating_add(group.rows);
                if rows > self.file / row_bytes {
                    too_many.get_or_insert(rows);
                }
                groups.push(group);
            }
            Ok(true)
        });
        read.map_err(damaged)?;
        match too_many {
            Some(rows) => {
                Err(format!("it claims {rows} rows or more, too many for its {} bytes", self.file))
            }
            None => Ok(groups),
        }
    }

    fn row_group(&self, thrift: &mut Thrift<'_>, wanted: &[usize]) -> Result<RowGroup, Flaw> {
        let mut rows = -1;
        let mut chunks = Err("it has no columns".to_owned());
        thrift.fields(|thrift, id, kind| match (id, kind) {
            (1, Kind::List) => {
                let count = structures(thrift)?;
                let mut found = vec![Chunk::default(); wanted.len()];
                let mut reason = None;
                for index in 0..count {
                    let chunk = self.chunk(thrift)?;
                    for (place, _) in wanted.iter().enumerate().filter(|(_, at)| **at == index) {
                        match &chunk {
                            Ok(chunk) => found[place] = *chunk,
                            Err(text) => reason = Some(text.clone()),
                        }
                    }
                }
                if count != self.leaves.len() {
                    let columns = self.leaves.len();
                    reason = Some(format!("it has {count} columns, the file has {columns}"));
                }
                chunks = reason.map_or(Ok(found), Err);
                Ok(true)
            }
            (3, Kind::Int) => thrift.int().map(|int| rows = int).map(|()| true),
            _ => Ok(false),
        })?;
        Ok(RowGroup { rows: u64::try_from(rows).map_err(|_| Flaw::Broken)?, chunks })
    }

    /// One piece of a column, or why it cannot be used.
    fn chunk(&self, thrift: &mut Thrift<'_>) -> Result<Result<Chunk, String>, Flaw> {
        let (mut elsewhere, mut codec, mut bytes, mut data, mut dictionary) =
            (false, -1, -1, -1, 0);
        thrift.fields(|thrift, id, kind| match (id, kind) {
            (1, Kind::Binary) => {
                thrift.binary().map(|path| elsewhere = !path.is_empty()).map(|()| true)
            }
            (3, Kind::Struct) => {
                thrift.fields(|thrift, id, kind| {
                    let value = match id {
                        4 => &mut codec,
                        7 => &mut bytes,
                        9 => &mut data,
                        11 => &mut dictionary,
                        _ => return Ok(false),
                    };
                    if kind != Kind::Int {
                        return Err(Flaw::Broken);
                    }
                    *value = thrift.int()?;
                    Ok(true)
                })?;
                Ok(true)
            }
            _ => Ok(false),
        })?;
        if elsewhere {
            return Ok(Err("a column lies in another file".to_owned()));
        }
        // Some writers give 0 where there is no dictionary.
        let start = if dictionary > 0 && dictionary < data { dictionary } else { data };
        let (Ok(start), Ok(bytes)) = (u64::try_from(start), u64::try_from(bytes)) else {
            return Ok(Err("it does not say where a column lies".to_owned()));
        };
        if start.checked_add(bytes).is_none_or(|end| end > self.file) {
            let reason = format!(
                "a column of {bytes} bytes at byte {start} goes beyond the file's {} bytes",
                self.file
            );
            return Ok(Err(reason));
        }
        Ok(Ok(Chunk { start, bytes, codec }))
    }
}

/// How many structures follow.
fn structures(thrift: &mut Thrift<'_>) -> Result<usize, Flaw> {
    match thrift.list()? {
        (0, _) => Ok(0),
        (count, Kind::Struct) => Ok(count),
        _ => Err(Flaw::Broken),
    }
}

fn damaged(_: Flaw) -> String {
    "its footer is damaged; fetch it again".to_owned()
}

/// The columns. Notes are looked at, so that none is damaged.
fn columns(bytes: &[u8]) -> Result<Vec<Leaf>, String> {
    let mut elements = Vec::new();
    let mut count = 0;
    let read = Thrift { rest: bytes }.fields(|thrift, id, kind| match (id, kind) {
        (2, Kind::List) => {
            count = structures(thrift)?;
            for _ in 0..count.min(COLUMNS) {
                elements.push(element(thrift)?);
            }
            if count > COLUMNS { Err(Flaw::Broken) } else { Ok(true) }
        }
        (5, Kind::List) => {
            for _ in 0..structures(thrift)? {
                key_value(thrift)?;
            }
            Ok(true)
        }
        _ => Ok(false),
    });
    if count > COLUMNS {
        return Err(format!("it claims {count} columns, at most {COLUMNS} are read"));
    }
    read.map_err(damaged)?;
    leaves(&elements)
}

fn key_value<'a>(thrift: &mut Thrift<'a>) -> Result<(&'a [u8], &'a [u8]), Flaw> {
    let (mut key, mut value) = (&b""[..], &b""[..]);
    thrift.fields(|thrift, id, kind| {
        match (id, kind) {
            (1, Kind::Binary) => key = thrift.binary()?,
            (2, Kind::Binary) => value = thrift.binary()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok((key, value))
}

fn element<'a>(thrift: &mut Thrift<'a>) -> Result<Element<'a>, Flaw> {
    let mut element = Element::default();
    thrift.fields(|thrift, id, kind| {
        match (id, kind) {
            (1, Kind::Int) => element.physical = Some(thrift.int()?),
            (3, Kind::Int) => element.repetition = thrift.int()?,
            (4, Kind::Binary) => element.name = thrift.binary()?,
            (5, Kind::Int) => element.children = thrift.int()?,
            // The older mark of text, then the newer: a union whose first member is text.
            (6, Kind::Int) => element.text |= thrift.int()? == 0,
            (10, Kind::Struct) => thrift.fields(|_, id, _| {
                element.text |= id == 1;
                Ok(false)
            })?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(element)
}

/// A group of columns of which some are still to come.
struct Open {
    left: i64,
    optional: u8,
    repetitions: u8,
}

/// The leaves of the tree that is listed from the top, each group before what it holds.
fn leaves(elements: &[Element<'_>]) -> Result<Vec<Leaf>, String> {
    let mut elements = elements.iter();
    let root = elements.next().ok_or("it has no columns")?;
    let mut leaves = Vec::new();
    let mut open = vec![Open { left: root.children, optional: 0, repetitions: 0 }];
    let mut path: Vec<String> = Vec::new();
    while let Some(group) = open.last_mut() {
        if group.left <= 0 {
            open.pop();
            path.pop();
            continue;
        }
        group.left -= 1;
        let element = elements.next().ok_or("its list of columns is cut short")?;
        let optional = group.optional + u8::from(element.repetition != 0);
        let repetitions = group.repetitions + u8::from(element.repetition == 2);
        path.push(String::from_utf8_lossy(element.name).into_owned());
        if element.children > 0 || element.physical.is_none() {
            if path.len() > DEPTH {
                return Err(format!("its columns are nested more than {DEPTH} deep"));
            }
            open.push(Open { left: element.children, optional, repetitions });
            continue;
        }
        let physical = match element.physical {
            Some(0) => Physical::Boolean,
            Some(4) => Physical::Float,
            Some(5) => Physical::Double,
            Some(1) => Physical::Int32,
            Some(2) => Physical::Int64,
            Some(6) => Physical::Bytes,
            _ => Physical::Other,
        };
        let text = element.text;
        leaves.push(Leaf { path: path.clone(), physical, text, optional, repetitions });
        path.pop();
    }
    Ok(leaves)
}
