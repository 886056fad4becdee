//! The pages of a column: their headers, and their contents as a stream of bytes.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};

use crate::footer::{Chunk, Leaf};
use crate::invalid::invalid;
use crate::snappy::{self, Blocks};
use crate::thrift::{Flaw, Kind, Thrift};
use crate::values::Hybrid;

/// Most bytes of a page's header: statistics in it may hold whole values.
const HEADER_BYTES: u64 = 16 << 20;

/// Bytes that are read for a header at first.
const FIRST_BYTES: u64 = 256;

/// Most bytes of a page that are kept: little compressed data can claim to be much.
const KEPT_BYTES: u64 = 256 << 20;

/// How a page is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    None,
    Snappy,
    Gzip,
    Zstd,
}

impl Codec {
    fn new(number: i64) -> io::Result<Self> {
        let name = match number {
            0 => return Ok(Self::None),
            1 => return Ok(Self::Snappy),
            2 => return Ok(Self::Gzip),
            6 => return Ok(Self::Zstd),
            3 => "LZO",
            4 => "Brotli",
            5 | 7 => "LZ4",
            _ => "an unknown method",
        };
        Err(invalid(format!(
            "it is compressed by {name}; write it again without compression, or by Snappy, gzip or \
             Zstandard"
        )))
    }

    /// Unpacks a stream.
    pub(crate) fn unpack<'a>(self, input: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::None => Box::new(input),
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(input)),
            Self::Zstd => {
                let decoder = ruzstd::decoding::StreamingDecoder::new(input);
                Box::new(decoder.map_err(invalid)?)
            }
            Self::Snappy => return Err(invalid("Snappy is read by blocks")),
        })
    }
}

fn check_kept(bytes: u64) -> io::Result<()> {
    if bytes > KEPT_BYTES {
        let reason =
            format!("a page of {bytes} bytes without pictures; at most {KEPT_BYTES} are read");
        return Err(invalid(reason));
    }
    Ok(())
}

/// What a page holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Content {
    /// Values that other pages refer to.
    Dictionary,
    #[default]
    Values,
    /// As the second version of the format writes them.
    Values2,
    /// Nothing that is needed.
    Other,
}

/// A page's header.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Header {
    pub(crate) content: Content,
    /// Bytes in the file, and unpacked.
    packed: u64,
    size: u64,
    /// Values in it, missing ones included.
    pub(crate) values: usize,
    pub(crate) encoding: i64,
    /// Of the first version: how levels are encoded.
    levels: i64,
    /// Of the second version: bytes of the levels.
    level_bytes: [u64; 2],
    plain: bool,
}

impl Header {
    fn parse(thrift: &mut Thrift<'_>) -> Result<Self, Flaw> {
        let mut header = Self::default();
        let mut kind = -1;
        let mut sizes = [-1; 2];
        thrift.fields(|thrift, id, field| {
            match (id, field) {
                (1, Kind::Int) => kind = thrift.int()?,
                (2, Kind::Int) => sizes[0] = thrift.int()?,
                (3, Kind::Int) => sizes[1] = thrift.int()?,
                (5 | 7, Kind::Struct) => header.values1(thrift)?,
                (8, Kind::Struct) => header.values2(thrift)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        header.content = match kind {
            0 => Content::Values,
            2 => Content::Dictionary,
            3 => Content::Values2,
            _ => Content::Other,
        };
        // A page is below 2 GiB, by the format.
        let size = |size: i64| i32::try_from(size).ok().and_then(|size| u64::try_from(size).ok());
        header.size = size(sizes[0]).ok_or(Flaw::Broken)?;
        header.packed = size(sizes[1]).ok_or(Flaw::Broken)?;
        Ok(header)
    }

    /// The first version's header of values, or a dictionary's, which begins alike.
    fn values1(&mut self, thrift: &mut Thrift<'_>) -> Result<(), Flaw> {
        thrift.fields(|thrift, id, kind| {
            match (id, kind) {
                (1, Kind::Int) => self.values = count(thrift)? as usize,
                (2, Kind::Int) => self.encoding = thrift.int()?,
                (3, Kind::Int) => self.levels = thrift.int()?,
                _ => return Ok(false),
            }
            Ok(true)
        })
    }

    fn values2(&mut self, thrift: &mut Thrift<'_>) -> Result<(), Flaw> {
        thrift.fields(|thrift, id, kind| {
            match (id, kind) {
                (1, Kind::Int) => self.values = count(thrift)? as usize,
                (4, Kind::Int) => self.encoding = thrift.int()?,
                (5, Kind::Int) => self.level_bytes[0] = count(thrift)?,
                (6, Kind::Int) => self.level_bytes[1] = count(thrift)?,
                (7, Kind::False) => self.plain = true,
                _ => return Ok(false),
            }
            Ok(true)
        })
    }
}

fn count(thrift: &mut Thrift<'_>) -> Result<u64, Flaw> {
    u64::try_from(thrift.int()?).map_err(|_| Flaw::Broken)
}

/// The pages of one piece of a column, in their order.
pub(crate) struct Pages<'a> {
    file: &'a mut BufReader<File>,
    codec: Codec,
    /// Where the next page begins.
    at: u64,
    end: u64,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(file: &'a mut BufReader<File>, chunk: Chunk) -> io::Result<Self> {
        let codec = Codec::new(chunk.codec)?;
        Ok(Self { file, codec, at: chunk.start, end: chunk.start + chunk.bytes })
    }

    /// The next page, or `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Page<'_>>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let (header, length) = self.header()?;
        let start = self.at + length;
        if header.packed > self.end.saturating_sub(start) {
            return Err(invalid(format!(
                "a page at byte {} claims {} bytes, its column has {} left",
                self.at,
                header.packed,
                self.end.saturating_sub(start)
            )));
        }
        go(self.file, start)?;
        self.at = start + header.packed;
        Ok(Some(Page { file: self.file, header, codec: self.codec, start }))
    }

    /// The next page's header, and its length.
    fn header(&mut self) -> io::Result<(Header, u64)> {
        let most = (self.end - self.at).min(HEADER_BYTES);
        let mut window = FIRST_BYTES.min(most);
        loop {
            go(self.file, self.at)?;
            let mut bytes = Vec::new();
            self.file.by_ref().take(window).read_to_end(&mut bytes)?;
            let mut thrift = Thrift { rest: &bytes };
            match Header::parse(&mut thrift) {
                Ok(header) => return Ok((header, (bytes.len() - thrift.rest.len()) as u64)),
                Err(Flaw::Short) if window < most => window = (window * 16).min(most),
                Err(_) => {
                    return Err(invalid(format!("a page's header is damaged at byte {}", self.at)));
                }
            }
        }
    }
}

/// Moves to a place, within what was read ahead where it can.
fn go(file: &mut BufReader<File>, to: u64) -> io::Result<()> {
    let here = file.stream_position()?;
    file.seek_relative(to.wrapping_sub(here) as i64)
}

/// One page.
pub(crate) struct Page<'a> {
    file: &'a mut BufReader<File>,
    pub(crate) header: Header,
    codec: Codec,
    start: u64,
}

impl<'a> Page<'a> {
    /// Which values are there, and the stream of those. `left` is how many more values the column
    /// may have.
    pub(crate) fn values(self, leaf: &Leaf, left: usize) -> io::Result<(Vec<bool>, Body<'a>)> {
        let header = self.header;
        if header.values > left {
            let values = header.values;
            return Err(invalid(format!("a page claims {values} values, {left} rows are left")));
        }
        let present = |bytes: &[u8]| {
            let width = (u8::BITS - leaf.optional.leading_zeros()) as u8;
            let mut levels = Hybrid::new(bytes, width)?;
            let there = |level| level == u32::from(leaf.optional);
            (0..header.values).map(|_| levels.next().map(there)).collect::<io::Result<Vec<_>>>()
        };
        if header.content == Content::Values2 {
            let [definition, repetition] = header.level_bytes;
            let levels = definition.saturating_add(repetition);
            if levels > header.packed.min(header.size) {
                return Err(invalid("a page's levels go beyond it"));
            }
            let mut bytes = Vec::new();
            self.file.by_ref().take(levels).read_to_end(&mut bytes)?;
            let bytes = bytes.get(repetition as usize..).ok_or(ErrorKind::UnexpectedEof)?;
            let there = match leaf.optional {
                0 => vec![true; header.values],
                _ => present(bytes)?,
            };
            return Ok((there, self.body(levels)?));
        }
        let mut body = self.body(0)?;
        if leaf.optional == 0 {
            return Ok((vec![true; header.values], body));
        }
        if header.levels != RLE {
            return Err(invalid("its levels are in an encoding that is no longer used"));
        }
        let length = body.length()?;
        let bytes = body.value(u64::from(length))?;
        Ok((present(&bytes)?, body))
    }

    /// The levels of a repeated column, and the stream of its values. `left` is how many more values it may have.
    pub(crate) fn lists(self, leaf: &Leaf, left: usize) -> io::Result<(Levels, Body<'a>)> {
        let header = self.header;
        if header.values > left {
            let values = header.values;
            return Err(invalid(format!(
                "a page claims {values} values, at most {left} may follow"
            )));
        }
        if header.content == Content::Values2 {
            let [definition, repetition] = header.level_bytes;
            let levels = definition.saturating_add(repetition);
            if levels > header.packed.min(header.size) {
                return Err(invalid("a page's levels go beyond it"));
            }
            check_kept(levels)?;
            let mut bytes = Vec::new();
            self.file.by_ref().take(levels).read_to_end(&mut bytes)?;
            let repetition = repetition as usize;
            if bytes.len() < repetition {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let definitions = bytes.split_off(repetition);
            return Ok((Levels { repetitions: bytes, definitions }, self.body(levels)?));
        }
        let mut body = self.body(0)?;
        if header.levels != RLE {
            return Err(invalid("its levels are in an encoding that is no longer used"));
        }
        let mut levels = |there: bool| match there {
            true => body.length().and_then(|length| body.value(u64::from(length))),
            false => Ok(Vec::new()),
        };
        let (repetitions, definitions) = (levels(leaf.is_repeated())?, levels(leaf.optional > 0)?);
        Ok((Levels { repetitions, definitions }, body))
    }

    /// The stream behind levels of so many bytes, which are never compressed.
    pub(crate) fn body(self, levels: u64) -> io::Result<Body<'a>> {
        let (packed, size) = (self.header.packed - levels, self.header.size - levels);
        let codec = if self.header.plain { Codec::None } else { self.codec };
        let start = self.start + levels;
        let inner = match codec {
            // A page without values may be left uncompressed.
            _ if size == 0 => Inner::Stored(self.file),
            Codec::None if packed != size => {
                return Err(invalid(format!("a page of {packed} bytes claims to hold {size}")));
            }
            Codec::None => Inner::Stored(self.file),
            Codec::Snappy => Inner::Snappy(Blocks::new(self.file.take(packed), size)?),
            _ => Inner::Stream(codec.unpack(self.file.take(packed))?),
        };
        Ok(Body { inner, codec, start, packed, size, position: 0 })
    }
}

/// How the values of a page lie in lists, as [`Hybrid`] numbers.
pub(crate) struct Levels {
    pub(crate) repetitions: Vec<u8>,
    pub(crate) definitions: Vec<u8>,
}

/// The encoding of levels.
const RLE: i64 = 3;

/// The unpacked content of a page, as a stream.
pub(crate) struct Body<'a> {
    inner: Inner<'a>,
    codec: Codec,
    start: u64,
    packed: u64,
    size: u64,
    position: u64,
}

enum Inner<'a> {
    Stored(&'a mut BufReader<File>),
    Snappy(Blocks<'a, File>),
    Stream(Box<dyn Read + 'a>),
}

/// Where a page's content lies.
#[derive(Clone, Debug)]
pub struct Extent {
    /// Where it begins in the file.
    start: u64,
    /// Bytes in the file.
    packed: u64,
    /// Bytes unpacked.
    size: u64,
    codec: Codec,
    /// Of Snappy: where each block begins.
    blocks: Box<[u32]>,
}

impl Extent {
    /// Reads `bytes` of the unpacked content from `start` on, and adds them to `to`: fewer where the file ends before.
    /// What else lies there is read only where it is compressed as one piece.
    ///
    /// # Errors
    /// What is damaged, or cannot be read.
    pub fn read(&self, mut file: File, start: u64, bytes: u64, to: &mut Vec<u8>) -> io::Result<()> {
        match self.codec {
            Codec::None => {
                file.seek(SeekFrom::Start(self.start + start))?;
                file.take(bytes).read_to_end(to)?;
            }
            Codec::Snappy => self.blocks(file, start, bytes, to)?,
            codec => {
                file.seek(SeekFrom::Start(self.start))?;
                let mut stream = codec.unpack(BufReader::new(file.take(self.packed)))?;
                io::copy(&mut stream.by_ref().take(start), &mut io::sink())?;
                stream.take(bytes).read_to_end(to)?;
            }
        }
        Ok(())
    }

    /// Whether part of it can be read without what lies before.
    pub fn is_direct(&self) -> bool {
        matches!(self.codec, Codec::None | Codec::Snappy)
    }

    /// Reads part of Snappy data: the blocks that it lies in.
    fn blocks(&self, mut file: File, start: u64, bytes: u64, to: &mut Vec<u8>) -> io::Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        let block = snappy::BLOCK as u64;
        let (first, end) = ((start / block) as usize, (start + bytes).div_ceil(block) as usize);
        let place = |index: usize| self.blocks.get(index).map(|&start| u64::from(start));
        let from = place(first).ok_or(ErrorKind::UnexpectedEof)?;
        let packed = place(end).unwrap_or(self.packed).saturating_sub(from);
        file.seek(SeekFrom::Start(self.start + from))?;
        let mut read = Vec::new();
        file.take(packed).read_to_end(&mut read)?;
        let size = (self.size - first as u64 * block).min((end - first) as u64 * block);
        let starts = &self.blocks[first..end.min(self.blocks.len())];
        snappy::unpack_all(&read, starts, size as usize, to)?;
        to.drain(..(start - first as u64 * block) as usize);
        to.truncate(bytes as usize);
        Ok(())
    }
}

impl Body<'_> {
    /// Bytes before the next.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    fn left(&self) -> u64 {
        self.size - self.position
    }

    /// A length, as it stands before a value.
    pub(crate) fn length(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.read_exact(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// The next bytes. No memory is taken for those that do not come.
    pub(crate) fn value(&mut self, count: u64) -> io::Result<Vec<u8>> {
        check_kept(count)?;
        let mut bytes = Vec::new();
        self.by_ref().take(count).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < count { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        self.value(self.left())
    }

    /// Checks that all of it may be kept.
    pub(crate) fn check_kept(&self) -> io::Result<()> {
        check_kept(self.size)
    }

    /// Passes over bytes.
    pub(crate) fn skip(&mut self, count: u64) -> io::Result<()> {
        if count > self.left() {
            return Err(invalid(format!("a value of {count} bytes, its page has {}", self.left())));
        }
        match &mut self.inner {
            Inner::Stored(file) => file.seek_relative(count as i64)?,
            Inner::Snappy(blocks) => blocks.skip(count)?,
            Inner::Stream(stream) => {
                if io::copy(&mut stream.take(count), &mut io::sink())? < count {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            }
        }
        self.position += count;
        Ok(())
    }

    /// Where it lies, when all values were passed.
    pub(crate) fn extent(mut self) -> io::Result<Extent> {
        let (start, packed, size, codec) = (self.start, self.packed, self.size, self.codec);
        if matches!(self.inner, Inner::Stream(_)) {
            // Checksums at the end are looked at.
            self.skip(self.left())?;
        }
        let blocks = match self.inner {
            Inner::Snappy(blocks) => blocks.finish()?,
            Inner::Stored(_) | Inner::Stream(_) => Vec::new(),
        };
        Ok(Extent { start, packed, size, codec, blocks: blocks.into() })
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left()).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..most];
        let count = match &mut self.inner {
            Inner::Stored(file) => file.read(buffer)?,
            Inner::Snappy(blocks) => blocks.read(buffer)?,
            Inner::Stream(stream) => stream.read(buffer)?,
        };
        self.position += count as u64;
        Ok(count)
    }
}
