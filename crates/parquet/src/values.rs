//! Parquet's encodings of numbers.

use std::io::{self, ErrorKind, Read};

use crate::invalid::invalid;

/// Most values of one piece of a delta encoding.
const DELTA_VALUES: u64 = 1 << 16;

/// Small numbers as runs of one value and as packed bits: levels, and positions in a dictionary.
pub(crate) struct Hybrid<'a> {
    rest: &'a [u8],
    /// Bits of a number.
    width: u8,
    run: Run<'a>,
}

enum Run<'a> {
    Same { value: u32, left: u64 },
    Packed { bits: Bits<'a>, left: u64 },
}

impl<'a> Hybrid<'a> {
    pub(crate) fn new(rest: &'a [u8], width: u8) -> io::Result<Self> {
        if width > 32 {
            return Err(invalid(format!("numbers of {width} bits")));
        }
        Ok(Self { rest, width, run: Run::Same { value: 0, left: 0 } })
    }

    pub(crate) fn next(&mut self) -> io::Result<u32> {
        loop {
            match &mut self.run {
                Run::Same { value, left } if *left > 0 => {
                    *left -= 1;
                    return Ok(*value);
                }
                Run::Packed { bits, left } if *left > 0 => {
                    *left -= 1;
                    return bits.next(self.width).map(|value| value as u32);
                }
                _ => self.run = self.next_run()?,
            }
        }
    }

    fn next_run(&mut self) -> io::Result<Run<'a>> {
        let head = unsigned(&mut self.rest)?;
        let count = head >> 1;
        if count == 0 {
            return Err(invalid("a run of no values"));
        }
        if head & 1 == 0 {
            let mut value = [0; 4];
            self.rest.read_exact(&mut value[..usize::from(self.width.div_ceil(8))])?;
            return Ok(Run::Same { value: u32::from_le_bytes(value), left: count });
        }
        // Some writers leave out the bytes of the last eight that hold no value.
        let bytes = count.saturating_mul(u64::from(self.width)).min(self.rest.len() as u64);
        let (packed, rest) = self.rest.split_at(bytes as usize);
        self.rest = rest;
        let bits = Bits { bytes: packed, at: 0 };
        Ok(Run::Packed { bits, left: count.saturating_mul(8) })
    }
}

/// Numbers of some bits each, the lowest bits first.
struct Bits<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl Bits<'_> {
    fn next(&mut self, width: u8) -> io::Result<u64> {
        let (mut value, mut filled) = (0, 0);
        while filled < width {
            let byte = *self.bytes.get(self.at / 8).ok_or(ErrorKind::UnexpectedEof)?;
            let offset = (self.at % 8) as u8;
            let taken = (8 - offset).min(width - filled);
            let bits = u64::from(byte >> offset) & ((1 << taken) - 1);
            value |= bits << filled;
            filled += taken;
            self.at += usize::from(taken);
        }
        Ok(value)
    }
}

/// Numbers as differences, packed in blocks of their own width.
pub(crate) fn deltas(input: &mut impl Read, count: usize) -> io::Result<Vec<i64>> {
    let (block, pieces) = (unsigned(input)?, unsigned(input)?);
    let (claimed, mut value) = (unsigned(input)?, signed(input)?);
    if claimed != count as u64 {
        return Err(invalid(format!("{claimed} numbers where {count} are expected")));
    }
    if pieces == 0 || block % pieces != 0 || block / pieces % 8 != 0 || block > DELTA_VALUES {
        return Err(invalid(format!("a delta encoding of {block} numbers in {pieces} pieces")));
    }
    let piece = (block / pieces) as usize;
    let mut values = Vec::new();
    if count > 0 {
        values.push(value);
    }
    let (mut widths, mut packed) = (vec![0; pieces as usize], Vec::new());
    while values.len() < count {
        let least = signed(input)?;
        input.read_exact(&mut widths)?;
        for &width in &widths {
            if values.len() == count {
                break;
            }
            if width > 64 {
                return Err(invalid(format!("numbers of {width} bits")));
            }
            packed.resize(piece / 8 * usize::from(width), 0);
            input.read_exact(&mut packed)?;
            let mut bits = Bits { bytes: &packed, at: 0 };
            for _ in 0..piece.min(count - values.len()) {
                value = value.wrapping_add(least).wrapping_add(bits.next(width)? as i64);
                values.push(value);
            }
        }
    }
    Ok(values)
}

/// Seven bits a byte, the lowest first.
fn unsigned(input: &mut impl Read) -> io::Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        input.read_exact(&mut byte)?;
        value |= u64::from(byte[0] & 0x7F) << shift;
        if byte[0] < 0x80 {
            return Ok(value);
        }
    }
    Err(invalid("a number of more than 64 bits"))
}

/// The same, with the sign in the lowest bit.
fn signed(input: &mut impl Read) -> io::Result<i64> {
    unsigned(input).map(|raw| (raw >> 1) as i64 ^ -((raw & 1) as i64))
}
