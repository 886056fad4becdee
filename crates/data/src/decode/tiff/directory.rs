//! The directory of a page, as its bytes stand.

use tiff::tags::Tag;

/// What decoders read of every page, to the last number that it claims to have, before they know the
/// picture's size.
const READ: [Tag; 16] = [
    Tag::ImageWidth,
    Tag::ImageLength,
    Tag::BitsPerSample,
    Tag::Compression,
    Tag::PhotometricInterpretation,
    Tag::StripOffsets,
    Tag::SamplesPerPixel,
    Tag::RowsPerStrip,
    Tag::StripByteCounts,
    Tag::PlanarConfiguration,
    Tag::Predictor,
    Tag::TileOffsets,
    Tag::TileByteCounts,
    Tag::ExtraSamples,
    Tag::SampleFormat,
    Tag::ChromaSubsampling,
];

/// A TIFF file's bytes.
pub(super) struct Directories<'a> {
    bytes: &'a [u8],
    big_endian: bool,
    /// Whether it is a BigTIFF.
    big: bool,
}

/// What a directory says of one tag.
pub(super) struct Entry {
    pub(super) tag: u16,
    /// The type of its numbers.
    pub(super) kind: u16,
    /// How many there are.
    pub(super) count: u64,
    /// Where the first of them stands, or where it says that they stand.
    pub(super) value_at: usize,
}

impl<'a> Directories<'a> {
    /// Of a file that begins as TIFF files do.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, big_endian: bytes[0] == b'M', big: bytes[2] == 43 || bytes[3] == 43 }
    }

    fn number(&self, at: usize, length: usize) -> Option<u64> {
        let digits = self.bytes.get(at..at.checked_add(length)?)?.iter();
        let join = |sum: u64, &digit: &u8| sum << 8 | u64::from(digit);
        Some(if self.big_endian { digits.fold(0, join) } else { digits.rev().fold(0, join) })
    }

    /// The entries of the directory that begins there, as far as the file goes.
    pub(super) fn entries(&self, start: u64) -> impl Iterator<Item = Entry> {
        // A count, then entries of tag, type, count and value; a short value stands in front.
        let (count_length, entry_length, value_at) =
            if self.big { (8, 20, 12) } else { (2, 12, 8) };
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let count = self.number(start, count_length).unwrap_or(0);
        (0..count).map_while(move |i| {
            let at = usize::try_from(i).ok()?.checked_mul(entry_length)?;
            let at = start.checked_add(count_length)?.checked_add(at)?;
            Some(Entry {
                tag: self.number(at, 2)? as u16,
                kind: self.number(at + 2, 2)? as u16,
                count: self.number(at + 4, value_at - 4)?,
                value_at: at + value_at,
            })
        })
    }

    /// Whether the first page claims more numbers of what is read of it than the file has bytes for:
    /// decoders take memory for them before they look.
    pub(super) fn claims_too_much(&self) -> bool {
        let first = if self.big { self.number(8, 8) } else { self.number(4, 4) };
        first.into_iter().flat_map(|first| self.entries(first)).any(|entry| {
            READ.iter().any(|tag| tag.to_u16() == entry.tag)
                && entry.bytes() > self.bytes.len() as u64
        })
    }
}

impl Entry {
    /// What its numbers take.
    fn bytes(&self) -> u64 {
        let width = match self.kind {
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16..=18 => 8,
            _ => 1,
        };
        self.count.saturating_mul(width)
    }
}
