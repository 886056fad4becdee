//! One piece of a column read whole: numbers or names. Of large values, such as pictures, only where each lies.

use std::fs::File;
use std::io::{self, BufReader};

use crate::footer::{Chunk, Leaf, Physical};
use crate::invalid::invalid;
use crate::pages::{Body, Content, Extent, Pages};
use crate::values::{Hybrid, deltas};

/// Parquet's numbers of its encodings.
pub(crate) const PLAIN: i64 = 0;
pub(crate) const DICTIONARY: [i64; 2] = [2, 8];
const RUNS: i64 = 3;
const DELTA_NUMBERS: i64 = 5;
const DELTA_LENGTHS: i64 = 6;

/// A value of a small column.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Number(i64),
    /// A number with a fraction.
    Real(f64),
    /// True or false.
    Flag(bool),
    /// Text or other bytes.
    Bytes(Vec<u8>),
}

/// Where a large value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Position among the file's extents.
    pub extent: u32,
    /// Where it begins in the extent's unpacked bytes.
    pub start: u32,
    /// Its length.
    pub bytes: u32,
}

/// Values, each kept once where the file keeps it once.
#[derive(Debug)]
pub struct Column<T> {
    /// Those of dictionaries and of pages.
    pub values: Vec<T>,
    /// For each row the position of its value, or `None` where it is missing.
    pub rows: Vec<Option<u32>>,
}

/// What is kept of the values of a page.
trait Kept: Sized {
    /// Reads `count` values in an encoding.
    fn read(
        body: &mut Body<'_>,
        encoding: i64,
        count: usize,
        leaf: &Leaf,
        to: &mut Vec<Self>,
    ) -> io::Result<()>;
}

impl Kept for Value {
    fn read(
        body: &mut Body<'_>,
        encoding: i64,
        count: usize,
        leaf: &Leaf,
        to: &mut Vec<Self>,
    ) -> io::Result<()> {
        body.check_kept()?;
        match (leaf.physical, encoding) {
            (Physical::Bytes, PLAIN) => {
                for _ in 0..count {
                    let length = body.length()?;
                    to.push(Self::Bytes(body.value(u64::from(length))?));
                }
            }
            (Physical::Bytes, DELTA_LENGTHS) => {
                for length in deltas(body, count)? {
                    to.push(Self::Bytes(body.value(unsigned(length)?.into())?));
                }
            }
            (Physical::Int32 | Physical::Int64, DELTA_NUMBERS) => {
                let numbers = deltas(body, count)?.into_iter();
                let narrow = leaf.physical == Physical::Int32;
                let number = |value| if narrow { i64::from(value as i32) } else { value };
                to.extend(numbers.map(number).map(Self::Number));
            }
            (Physical::Int32, PLAIN) => {
                for _ in 0..count {
                    to.push(Self::Number(i64::from(body.length()? as i32)));
                }
            }
            (Physical::Int64, PLAIN) => {
                for _ in 0..count {
                    let (low, high) = (body.length()?, body.length()?);
                    to.push(Self::Number((u64::from(high) << 32 | u64::from(low)) as i64));
                }
            }
            (Physical::Float, PLAIN) => {
                for _ in 0..count {
                    to.push(Self::Real(f32::from_bits(body.length()?).into()));
                }
            }
            (Physical::Double, PLAIN) => {
                for _ in 0..count {
                    let (low, high) = (body.length()?, body.length()?);
                    to.push(Self::Real(f64::from_bits(u64::from(high) << 32 | u64::from(low))));
                }
            }
            (Physical::Boolean, PLAIN) => {
                let bytes = body.rest()?;
                for index in 0..count {
                    let byte = bytes.get(index / 8).ok_or(io::ErrorKind::UnexpectedEof)?;
                    to.push(Self::Flag(byte >> (index % 8) & 1 == 1));
                }
            }
            (Physical::Boolean, RUNS) => {
                // Its length, which follows from the page's.
                body.length()?;
                let bytes = body.rest()?;
                let mut flags = Hybrid::new(&bytes, 1)?;
                for _ in 0..count {
                    to.push(Self::Flag(flags.next()? == 1));
                }
            }
            _ => return Err(not_read(encoding)),
        }
        Ok(())
    }
}

/// A large value's start and length in its page.
struct Span(u32, u32);

impl Kept for Span {
    fn read(
        body: &mut Body<'_>,
        encoding: i64,
        count: usize,
        _: &Leaf,
        to: &mut Vec<Self>,
    ) -> io::Result<()> {
        let mut pass = |body: &mut Body<'_>, bytes: u32| {
            // A page is below 2 GiB.
            to.push(Self(body.position() as u32, bytes));
            body.skip(u64::from(bytes))
        };
        match encoding {
            PLAIN => {
                for _ in 0..count {
                    let bytes = body.length()?;
                    pass(body, bytes)?;
                }
            }
            DELTA_LENGTHS => {
                for length in deltas(body, count)? {
                    pass(body, unsigned(length)?)?;
                }
            }
            _ => return Err(not_read(encoding)),
        }
        Ok(())
    }
}

fn unsigned(length: i64) -> io::Result<u32> {
    u32::try_from(length).map_err(|_| invalid(format!("a value of {length} bytes")))
}

pub(crate) fn not_read(encoding: i64) -> io::Error {
    invalid(format!(
        "its values are in encoding {encoding}, which is not read; write it again with plain or \
         dictionary encoding"
    ))
}

/// Reads a small column: its values in a row group of so many rows.
///
/// # Errors
/// What is damaged, or in a form that is not read; [`io::ErrorKind::UnexpectedEof`] where a page ends before its
/// values do.
pub fn read(
    file: &mut BufReader<File>,
    chunk: Chunk,
    leaf: &Leaf,
    rows: u64,
) -> io::Result<Column<Value>> {
    walk(file, chunk, leaf, rows, |values, _| Ok(values))
}

/// Finds the large values of a column, such as pictures. What they lie in is added to `extents`.
///
/// # Errors
/// As for [`read`].
pub fn find(
    file: &mut BufReader<File>,
    chunk: Chunk,
    leaf: &Leaf,
    rows: u64,
    extents: &mut Vec<Extent>,
) -> io::Result<Column<Place>> {
    let Column { values, rows } = walk(file, chunk, leaf, rows, |spans: Vec<Span>, body| {
        let extent = u32::try_from(extents.len()).map_err(|_| invalid("too many pages"))?;
        extents.push(body.extent()?);
        let place = |Span(start, bytes)| Place { extent, start, bytes };
        Ok(spans.into_iter().map(place).collect::<Vec<_>>())
    })?;
    Ok(Column { values, rows })
}

/// Reads a column's pages. `keep` gets a page's values with what is left of it.
fn walk<K: Kept, T>(
    file: &mut BufReader<File>,
    chunk: Chunk,
    leaf: &Leaf,
    rows: u64,
    mut keep: impl FnMut(Vec<K>, Body<'_>) -> io::Result<Vec<T>>,
) -> io::Result<Column<T>> {
    let rows = usize::try_from(rows).map_err(invalid)?;
    let mut column = Column { values: Vec::new(), rows: Vec::new() };
    let mut dictionary: Option<std::ops::Range<usize>> = None;
    let mut pages = Pages::new(file, chunk)?;
    while let Some(page) = pages.next()? {
        let header = page.header;
        let first = column.values.len();
        let mut kept = Vec::new();
        match header.content {
            Content::Other => continue,
            Content::Dictionary => {
                // Little data can unpack to very many empty values.
                if header.values > rows || dictionary.is_some() {
                    return Err(invalid(format!(
                        "a dictionary of {} values, or a second one, for {rows} rows",
                        header.values
                    )));
                }
                let mut body = page.body(0)?;
                let encoding =
                    if DICTIONARY.contains(&header.encoding) { PLAIN } else { header.encoding };
                K::read(&mut body, encoding, header.values, leaf, &mut kept)?;
                column.values.append(&mut keep(kept, body)?);
                dictionary = Some(first..column.values.len());
                continue;
            }
            Content::Values | Content::Values2 => {}
        }
        let (there, mut body) = page.values(leaf, rows - column.rows.len())?;
        let count = there.iter().filter(|there| **there).count();
        if DICTIONARY.contains(&header.encoding) {
            let Some(range) = dictionary.clone() else {
                return Err(invalid("its dictionary is missing"));
            };
            let bytes = body.rest()?;
            let (width, bytes) = bytes.split_first().unwrap_or((&0, &[]));
            let mut positions = Hybrid::new(bytes, *width)?;
            for there in there {
                let value = match there {
                    false => None,
                    true => {
                        let position = positions.next()?;
                        let found = range.clone().nth(position as usize);
                        let missing =
                            || invalid(format!("value {position} of {} is used", range.len()));
                        Some(index(found.ok_or_else(missing)?)?)
                    }
                };
                column.rows.push(value);
            }
            continue;
        }
        K::read(&mut body, header.encoding, count, leaf, &mut kept)?;
        column.values.append(&mut keep(kept, body)?);
        let mut next = first..;
        for there in there {
            let value = if there { next.next().map(index).transpose()? } else { None };
            column.rows.push(value);
        }
    }
    if column.rows.len() < rows {
        return Err(invalid(format!("it has {} values for {rows} rows", column.rows.len())));
    }
    Ok(column)
}

fn index(position: usize) -> io::Result<u32> {
    u32::try_from(position).map_err(|_| invalid("too many values"))
}
