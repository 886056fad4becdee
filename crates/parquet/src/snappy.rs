//! Snappy data as blocks of 64 KiB that can be unpacked each by itself.
//!
//! All usual writers compress 64 KiB at a time, and nothing in a block refers to what lies before it.
//! So one picture can be read from the middle of a page of a hundred, without the rest.

use std::io::{self, BufReader, ErrorKind, Read, Take};

use crate::invalid::invalid;

/// Bytes of a block when it is unpacked; the last is shorter.
pub(crate) const BLOCK: usize = 1 << 16;

/// Room for the length that the decoder expects in front: seven bits a byte.
const LENGTH: usize = 3;

/// The unpacked bytes of Snappy data, and where its blocks begin.
pub(crate) struct Blocks<'a, R> {
    input: Take<&'a mut BufReader<R>>,
    /// Bytes that are still to be unpacked.
    left: u64,
    /// Packed bytes read.
    read: u64,
    /// Where each block begins among the packed bytes.
    starts: Vec<u32>,
    /// The packed block read last, behind `LENGTH` bytes.
    packed: Vec<u8>,
    /// The same, unpacked, and how much of it was given out.
    block: Vec<u8>,
    used: usize,
}

impl<'a, R: Read> Blocks<'a, R> {
    /// `size` bytes that take up all of `input`.
    pub(crate) fn new(input: Take<&'a mut BufReader<R>>, size: u64) -> io::Result<Self> {
        let (packed, block) = (vec![0; LENGTH], Vec::new());
        let mut blocks =
            Self { input, left: size, read: 0, starts: vec![], packed, block, used: 0 };
        let mut claimed = 0;
        for shift in (0..35).step_by(7) {
            let byte = u64::from(blocks.packed(1)?[0]);
            claimed |= (byte & 0x7F) << shift;
            if byte < 0x80 {
                break;
            }
        }
        if claimed != size {
            return Err(invalid(format!("{claimed} bytes unpacked, its header says {size}")));
        }
        Ok(blocks)
    }

    /// Passes over bytes. Whole blocks are not unpacked for it.
    pub(crate) fn skip(&mut self, mut count: u64) -> io::Result<()> {
        loop {
            let here = count.min((self.block.len() - self.used) as u64);
            self.used += here as usize;
            count -= here;
            if count == 0 {
                return Ok(());
            }
            let length = self.next_block()?;
            if length as u64 <= count {
                count -= length as u64;
            } else {
                self.unpack(length)?;
            }
        }
    }

    /// Reads to the end, and gives the blocks' places.
    pub(crate) fn finish(mut self) -> io::Result<Vec<u32>> {
        while self.left > 0 {
            self.next_block()?;
        }
        if self.input.limit() > 0 {
            return Err(invalid("there is more than was compressed"));
        }
        Ok(self.starts)
    }

    /// Reads the next packed block, checks it, and gives its unpacked length.
    fn next_block(&mut self) -> io::Result<usize> {
        let length = self.left.min(BLOCK as u64) as usize;
        if length == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.starts.push(u32::try_from(self.read).map_err(|_| invalid("too large"))?);
        self.packed.truncate(LENGTH);
        self.block.clear();
        self.used = 0;
        let mut done = 0;
        while done < length {
            let tag = self.packed(1)?[0];
            done += match tag & 3 {
                0 => {
                    let more = usize::from(tag >> 2).saturating_sub(59);
                    let literal = match more {
                        0 => usize::from(tag >> 2) + 1,
                        _ => little_endian(self.packed(more)?) + 1,
                    };
                    if literal > length - done {
                        return Err(invalid(NO_BLOCKS));
                    }
                    self.packed(literal)?;
                    literal
                }
                kind => {
                    let bytes = [0, 1, 2, 4][usize::from(kind)];
                    let low = little_endian(self.packed(bytes)?);
                    let (copied, back) = match kind {
                        1 => (usize::from(tag >> 2 & 7) + 4, usize::from(tag >> 5) << 8 | low),
                        _ => (usize::from(tag >> 2) + 1, low),
                    };
                    if copied > length - done || back > done || back == 0 {
                        return Err(invalid(NO_BLOCKS));
                    }
                    copied
                }
            };
        }
        self.left -= length as u64;
        Ok(length)
    }

    /// Reads packed bytes behind the others of the block.
    fn packed(&mut self, count: usize) -> io::Result<&[u8]> {
        let from = self.packed.len();
        // At most a block: longer claims were refused.
        self.packed.resize(from + count, 0);
        self.input.read_exact(&mut self.packed[from..])?;
        self.read += count as u64;
        Ok(&self.packed[from..])
    }

    fn unpack(&mut self, length: usize) -> io::Result<()> {
        unpack(&mut self.packed, length, &mut self.block)
    }
}

const NO_BLOCKS: &str = "its Snappy data is damaged, or not in blocks of 64 KiB; write it again \
                         without compression";

impl<R: Read> Read for Blocks<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.used == self.block.len() && self.left > 0 && !buffer.is_empty() {
            let length = self.next_block()?;
            self.unpack(length)?;
        }
        let count = (&self.block[self.used..]).read(buffer)?;
        self.used += count;
        Ok(count)
    }
}

/// Unpacks blocks that lie one behind the other, and adds them to `to`. `starts` are their places,
/// from that of the first on; `size` bytes are unpacked.
pub(crate) fn unpack_all(
    packed: &[u8],
    starts: &[u32],
    mut size: usize,
    to: &mut Vec<u8>,
) -> io::Result<()> {
    let (mut framed, mut block) = (Vec::new(), Vec::new());
    for (index, start) in starts.iter().enumerate() {
        let place = |start: &u32| (start - starts[0]) as usize;
        let end = starts.get(index + 1).map_or(packed.len(), place);
        let bytes = packed.get(place(start)..end).ok_or(ErrorKind::UnexpectedEof)?;
        framed.clear();
        framed.resize(LENGTH, 0);
        framed.extend_from_slice(bytes);
        let length = size.min(BLOCK);
        size -= length;
        unpack(&mut framed, length, &mut block)?;
        to.extend_from_slice(&block);
    }
    Ok(())
}

/// Unpacks a block that stands behind `LENGTH` bytes.
fn unpack(packed: &mut [u8], length: usize, block: &mut Vec<u8>) -> io::Result<()> {
    let seven = |shift: usize| (length >> shift & 0x7F) as u8;
    packed[..LENGTH].copy_from_slice(&[seven(0) | 0x80, seven(7) | 0x80, seven(14)]);
    block.resize(length, 0);
    let unpacked = snap::raw::Decoder::new().decompress(packed, block);
    match unpacked.map_err(invalid)? {
        whole if whole == length => Ok(()),
        _ => Err(invalid("a block is shorter than its page says")),
    }
}

fn little_endian(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte))
}
