//! One piece of a column of lists of numbers, all of the same length.

use std::fs::File;
use std::io::{self, BufReader};

use crate::column::{DICTIONARY, PLAIN, not_read};
use crate::footer::{Chunk, Leaf, Physical};
use crate::invalid::invalid;
use crate::pages::{Body, Content, Levels, Pages};
use crate::values::Hybrid;

/// Most numbers of a list.
pub const WIDTH: usize = 1 << 20;

/// Most numbers for each byte of a file. What compresses better is constant, and would only take memory.
const VALUES_A_BYTE: u64 = 16;

/// Lists of numbers that are read one behind the other.
#[derive(Debug, Default)]
pub struct Lists {
    /// All their numbers.
    pub values: Vec<f32>,
    /// Numbers of each list, once one is known.
    pub width: Option<usize>,
}

impl Lists {
    /// Reads a column of lists, of a row group of so many rows; each row has one, and all have the same length.
    ///
    /// # Errors
    /// What is damaged, missing, of another length, or in a form that is not read; [`io::ErrorKind::UnexpectedEof`]
    /// where a page ends before its values do.
    pub fn read(
        &mut self,
        file: &mut BufReader<File>,
        chunk: Chunk,
        leaf: &Leaf,
        rows: u64,
    ) -> io::Result<()> {
        if leaf.repetitions != 1 || !matches!(leaf.physical, Physical::Float | Physical::Double) {
            return Err(invalid("it holds no lists of numbers of 32 or 64 bits with fractions"));
        }
        let most = chunk.bytes.saturating_mul(VALUES_A_BYTE);
        let mut left = usize::try_from(most).unwrap_or(usize::MAX);
        let mut place = Place { row: None, within: 0 };
        let mut dictionary: Option<Vec<f32>> = None;
        let mut pages = Pages::new(file, chunk)?;
        while let Some(page) = pages.next()? {
            let header = page.header;
            match header.content {
                Content::Other => continue,
                Content::Dictionary => {
                    if dictionary.is_some() {
                        return Err(invalid("it has a second dictionary"));
                    }
                    let plain = DICTIONARY.contains(&header.encoding);
                    let encoding = if plain { PLAIN } else { header.encoding };
                    let mut kept = Vec::new();
                    numbers(&mut page.body(0)?, encoding, header.values, leaf, &mut kept)?;
                    dictionary = Some(kept);
                    continue;
                }
                Content::Values | Content::Values2 => {}
            }
            let (levels, mut body) = page.lists(leaf, left).map_err(|error| match header.values {
                values if values > left => invalid(format!(
                    "its lists unpack to more than {VALUES_A_BYTE} numbers a byte; write it again without \
                     compression and without dictionaries"
                )),
                _ => error,
            })?;
            left -= header.values;
            self.walk(&levels, header.values, leaf, &mut place)?;
            if DICTIONARY.contains(&header.encoding) {
                let dictionary = dictionary.as_ref();
                let dictionary = dictionary.ok_or_else(|| invalid("its dictionary is missing"))?;
                let bytes = body.rest()?;
                let (width, bytes) = bytes.split_first().unwrap_or((&0, &[]));
                let mut positions = Hybrid::new(bytes, *width)?;
                for _ in 0..header.values {
                    let position = positions.next()?;
                    let missing =
                        || invalid(format!("value {position} of {} is used", dictionary.len()));
                    let value = dictionary.get(position as usize).ok_or_else(missing)?;
                    self.values.push(*value);
                }
            } else {
                numbers(&mut body, header.encoding, header.values, leaf, &mut self.values)?;
            }
        }
        if place.rows() > 0 {
            self.end(&place)?;
        }
        if place.rows() != rows {
            return Err(invalid(format!("it has {} lists for {rows} rows", place.rows())));
        }
        Ok(())
    }

    /// Follows the levels of a page's values through the rows.
    fn walk(
        &mut self,
        levels: &Levels,
        values: usize,
        leaf: &Leaf,
        place: &mut Place,
    ) -> io::Result<()> {
        let width = (u8::BITS - leaf.optional.leading_zeros()) as u8;
        let mut repetitions = Hybrid::new(&levels.repetitions, 1)?;
        let mut definitions = Hybrid::new(&levels.definitions, width)?;
        for _ in 0..values {
            if repetitions.next()? == 0 {
                if place.rows() > 0 {
                    self.end(place)?;
                }
                place.row = Some(place.rows());
                place.within = 0;
            }
            let Some(row) = place.row else {
                return Err(invalid("its first list begins nowhere"));
            };
            if definitions.next()? != u32::from(leaf.optional) {
                return Err(invalid(format!(
                    "the list of its row {row} is missing or empty, or holds a missing number; leave such rows out"
                )));
            }
            place.within += 1;
            if place.within > self.width.unwrap_or(WIDTH) {
                return Err(match self.width {
                    Some(width) => of_another_length(row, &format!("more than {width}"), width),
                    None => invalid(format!(
                        "the list of its row {row} holds more than {WIDTH} numbers"
                    )),
                });
            }
        }
        Ok(())
    }

    /// A row has ended.
    fn end(&mut self, place: &Place) -> io::Result<()> {
        let width = *self.width.get_or_insert(place.within);
        if place.within == width {
            return Ok(());
        }
        Err(of_another_length(place.rows() - 1, &place.within.to_string(), width))
    }
}

fn of_another_length(row: u64, numbers: &str, width: usize) -> io::Error {
    invalid(format!(
        "the list of its row {row} holds {numbers} numbers, those before it {width}; write lists of one length"
    ))
}

/// Where a walk through lists is.
struct Place {
    /// The row, from 0, once there is one.
    row: Option<u64>,
    /// Numbers of it so far.
    within: usize,
}

impl Place {
    /// Rows that have begun.
    fn rows(&self) -> u64 {
        self.row.map_or(0, |row| row + 1)
    }
}

/// Reads numbers as they lie one behind the other.
fn numbers(
    body: &mut Body<'_>,
    encoding: i64,
    count: usize,
    leaf: &Leaf,
    to: &mut Vec<f32>,
) -> io::Result<()> {
    if encoding != PLAIN {
        return Err(not_read(encoding));
    }
    let double = leaf.physical == Physical::Double;
    let bytes = body.value(count as u64 * if double { 8 } else { 4 })?;
    if double {
        let (eights, _) = bytes.as_chunks();
        to.extend(eights.iter().map(|eight| f64::from_le_bytes(*eight) as f32));
    } else {
        let (fours, _) = bytes.as_chunks();
        to.extend(fours.iter().map(|four| f32::from_le_bytes(*four)));
    }
    Ok(())
}
