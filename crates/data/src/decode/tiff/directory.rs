//! The directories of a TIFF file, one a page: tags and their numbers, read from the bytes as they are.
//!
//! The tiff crate reads the whole of a page's header, which takes a while where there are thousands.

use std::collections::HashSet;

use tiff::tags::Tag;

/// Entries that are looked at in all pages of a file together: more are a trap.
pub(super) const MOST_ENTRIES: usize = 1 << 20;

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

/// How a file writes numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    big_endian: bool,
    /// BigTIFF.
    pub(super) big: bool,
}

/// One directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Directory<'a> {
    bytes: &'a [u8],
    layout: Layout,
    /// Where it begins.
    at: usize,
    /// Of the first entry.
    start: usize,
    count: usize,
}

/// A tag of a directory, and where its numbers are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) tag: u16,
    bytes: &'a [u8],
    layout: Layout,
    kind: u16,
    count: usize,
    /// Of the first number.
    at: usize,
}

pub(super) fn number(bytes: &[u8], layout: Layout, at: usize, length: usize) -> Option<u64> {
    let digits = bytes.get(at..at.checked_add(length)?)?.iter();
    let join = |sum: u64, &digit: &u8| sum << 8 | u64::from(digit);
    Some(if layout.big_endian { digits.fold(0, join) } else { digits.rev().fold(0, join) })
}

/// Whether a file begins as TIFF does.
pub(crate) fn is_tiff(bytes: &[u8]) -> bool {
    [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|start| bytes.starts_with(*start))
}

/// Whether a TIFF file is a BigTIFF.
pub(super) fn is_big(bytes: &[u8]) -> bool {
    bytes.get(2) == Some(&43) || bytes.get(3) == Some(&43)
}

/// How a TIFF file writes numbers.
pub(super) fn layout_of(bytes: &[u8]) -> Layout {
    Layout { big_endian: bytes.first() == Some(&b'M'), big: is_big(bytes) }
}

impl<'a> Directory<'a> {
    /// The file with this directory for its first.
    pub(super) fn first(&self) -> Vec<u8> {
        let start = self.layout.start(self.at as u64);
        [&start, self.bytes.get(start.len()..).unwrap_or_default()].concat()
    }

    /// The pages of a TIFF file in order, as far as they can be read.
    pub(super) fn all(bytes: &'a [u8]) -> impl Iterator<Item = Self> {
        let layout = layout_of(bytes);
        let big = layout.big;
        let first = if big { number(bytes, layout, 8, 8) } else { number(bytes, layout, 4, 4) };
        let (mut next, mut seen, mut entries) = (first, HashSet::new(), 0);
        std::iter::from_fn(move || {
            let at = usize::try_from(next?).ok().filter(|&at| at > 0 && seen.insert(at))?;
            let count_length = if big { 8 } else { 2 };
            let count = usize::try_from(number(bytes, layout, at, count_length)?).ok()?;
            entries = count.checked_add(entries).filter(|&all| all <= MOST_ENTRIES)?;
            let start = at.checked_add(count_length)?;
            let end = count.checked_mul(layout.entry_length())?.checked_add(start)?;
            next = number(bytes, layout, end, if big { 8 } else { 4 });
            Some(Self { bytes, layout, at, start, count })
        })
    }

    /// Its tags.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'a>> {
        let Self { bytes, layout, start, count, .. } = *self;
        (0..count).map_while(move |i| {
            let at = start + i * layout.entry_length();
            let tag = number(bytes, layout, at, 2)? as u16;
            let kind = number(bytes, layout, at + 2, 2)? as u16;
            let length = if layout.big { 8 } else { 4 };
            let count = usize::try_from(number(bytes, layout, at + 4, length)?).ok()?;
            let slot = at + 4 + length;
            let inside = count.checked_mul(size(kind)).is_some_and(|bytes| bytes <= length);
            let at = match inside {
                true => slot,
                false => usize::try_from(number(bytes, layout, slot, length)?).ok()?,
            };
            Some(Entry { tag, bytes, layout, kind, count, at })
        })
    }

    /// Whether it claims more numbers of what is read of it than the file has bytes for: decoders take memory for
    /// them before they look.
    pub(super) fn claims_too_much(&self) -> bool {
        self.entries().any(|entry| {
            READ.iter().any(|tag| tag.to_u16() == entry.tag)
                && entry.count.saturating_mul(size(entry.kind)) > self.bytes.len()
        })
    }

    pub(super) fn find(&self, tag: u16) -> Option<Entry<'a>> {
        self.entries().find(|entry| entry.tag == tag)
    }
}

impl Layout {
    /// A number as so many bytes.
    pub(super) fn bytes(self, number: u64, length: usize) -> Vec<u8> {
        match self.big_endian {
            true => number.to_be_bytes()[8 - length..].to_vec(),
            false => number.to_le_bytes()[..length].to_vec(),
        }
    }

    /// The start of a file whose first directory is at this place.
    pub(super) fn start(self, first: u64) -> Vec<u8> {
        let order: &[u8] = if self.big_endian { b"MM" } else { b"II" };
        let sign = self.bytes(if self.big { 43 } else { 42 }, 2);
        let sizes = if self.big { [self.bytes(8, 2), vec![0; 2]].concat() } else { Vec::new() };
        let link = self.bytes(first, if self.big { 8 } else { 4 });
        [order, &sign, &sizes, &link].concat()
    }

    /// Tag, kind, count and value.
    pub(super) fn entry_length(self) -> usize {
        if self.big { 20 } else { 12 }
    }
}

/// Bytes of a number of a kind.
pub(super) fn size(kind: u16) -> usize {
    match kind {
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16..=18 => 8,
        _ => 1,
    }
}

impl<'a> Entry<'a> {
    /// Its first whole number.
    pub(super) fn number(&self) -> Option<u64> {
        self.nth(0)
    }

    fn nth(&self, n: usize) -> Option<u64> {
        if n >= self.count || !matches!(self.kind, 1 | 3 | 4 | 6..=9 | 13 | 16..=18) {
            return None;
        }
        let size = size(self.kind);
        number(self.bytes, self.layout, self.at.checked_add(n.checked_mul(size)?)?, size)
    }

    /// Its whole numbers where it has two.
    pub(super) fn pair(&self) -> Option<(u64, u64)> {
        (self.count == 2).then(|| Some((self.nth(0)?, self.nth(1)?)))?
    }

    /// Its whole numbers, as far as the file has them.
    pub(super) fn numbers(&self) -> Vec<u64> {
        (0..self.count).map_while(|n| self.nth(n)).collect()
    }

    /// Its bytes: text, or what is not described.
    pub(super) fn raw(&self) -> &'a [u8] {
        let end = self.count.checked_mul(size(self.kind)).and_then(|n| n.checked_add(self.at));
        end.and_then(|end| self.bytes.get(self.at..end)).unwrap_or_default()
    }

    /// Where in the file its first number stands, where that is a short one.
    pub(super) fn short_at(&self) -> Option<usize> {
        (self.kind == 3).then_some(self.at)
    }
}
