//! Pages of a TIFF file, each taken out of it as a file of its own: what stands in other pages is not read.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::directory::{Directory, Layout, MOST_ENTRIES, is_tiff, layout_of, number, size};
use super::page::{COLOR_MAP, DESCRIPTION, Header, NODATA, PHOTOMETRIC, Page};
use super::source::CLAIM;
use super::stack::{Description, reference};
use crate::decode::limits::{Limits, Need};
use crate::error::DecodeError;

const STRIP_OFFSETS: u16 = 273;
const STRIP_BYTES: u16 = 279;
const TILE_OFFSETS: u16 = 324;
const TILE_BYTES: u16 = 325;

/// Tags that a page takes with it, beside those of where its data lies: all that its values depend on.
const KEPT: [u16; 30] = [
    254,
    256,
    257,
    258,
    259,
    PHOTOMETRIC,
    266,
    274,
    277,
    278,
    284,
    292,
    293,
    317,
    COLOR_MAP,
    322,
    323,
    332,
    338,
    339,
    347,
    529,
    530,
    531,
    532,
    33_550,
    33_922,
    34_264,
    34_735,
    NODATA,
];

const DAMAGED: &str = "its list of pages is damaged";

/// Most bytes of a description that are looked at.
const DESCRIBED: u64 = 1 << 16;

/// Most bytes of a tag: a palette of 16 bits has 384 KiB.
const MOST_OF_A_TAG: u64 = 1 << 20;

/// Most values of a tag that tell which page it is: of most the first is read, of none more than two.
const TELLING: u64 = 4;

/// A file's bytes, wherever they lie.
pub(crate) trait Bytes {
    /// How many there are.
    fn length(&self) -> u64;

    /// So many from a place on.
    fn read(&mut self, at: u64, length: usize) -> io::Result<Vec<u8>>;
}

impl Bytes for &[u8] {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn read(&mut self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let part = usize::try_from(at).ok().and_then(|at| self.get(at..at.checked_add(length)?));
        part.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// A part of a file on the disk, or the whole.
pub(crate) struct Stretch {
    pub(crate) file: File,
    pub(crate) start: u64,
    pub(crate) length: u64,
}

impl Bytes for Stretch {
    fn length(&self) -> u64 {
        self.length
    }

    fn read(&mut self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        if at.checked_add(length as u64).is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.seek(SeekFrom::Start(self.start + at))?;
        let mut bytes = vec![0; length];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// What pages a file has.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// The numbers of their directories, reduced copies and masks left out.
    pub(crate) numbers: Vec<u16>,
    /// What keeps further pages from being found.
    pub(crate) flaw: Option<String>,
}

/// The pages of a TIFF file; `None` of another file, and of one whose first directory cannot be read.
pub(crate) fn pages(source: &mut dyn Bytes) -> Option<Pages> {
    let mut chain = Chain::new(source)?;
    let mut headers = Vec::new();
    let mut described = Description::default();
    while let Some(directory) = chain.next(source) {
        let bytes = directory.alone(source, None).unwrap_or_default();
        let Some(header) = Directory::all(&bytes).next().map(|found| Header::read(&found)) else {
            chain.flaw = Some(DAMAGED.to_owned());
            break;
        };
        if headers.is_empty() {
            described = directory.described(source, &header.page);
        }
        headers.push(header);
    }
    let first = headers.get(reference(&headers))?.page;
    let is_page = |header: &Header| !header.beside && !header.page.is_level_of(&first);
    let mut numbers: Vec<u16> =
        (0u16..).zip(&headers).filter(|(_, header)| is_page(header)).map(|(n, _)| n).collect();
    if numbers.is_empty() {
        numbers.push(0);
    }
    let mut flaw = chain.flaw;
    if described.pages > numbers.len() as u64 && flaw.is_none() {
        match u16::try_from(described.pages) {
            Ok(pages) if headers.len() == 1 && lies_behind(source, pages - 1) => {
                numbers = (0..pages).collect();
            }
            _ => {
                flaw = Some(format!("it tells of {} pages, and has fewer", described.pages));
            }
        }
    }
    Some(Pages { numbers, flaw })
}

/// Whether the file holds a page that has no directory.
fn lies_behind(source: &mut dyn Bytes, number: u16) -> bool {
    let Some(mut chain) = Chain::new(source) else { return false };
    let Some(first) = chain.next(source) else { return false };
    let data = first.data(source, number).ok();
    data.is_some_and(|data| {
        data.iter().all(|&(at, length)| {
            at.checked_add(length).is_some_and(|end| end <= source.length() && length > 0)
        })
    })
}

/// A page, by the number of its directory, as a file of its own. `places` are those of directories behind the first, as
/// far as they are known; more may be after it.
///
/// # Errors
/// What cannot be read, or is beyond the limits.
pub(crate) fn alone(
    source: &mut dyn Bytes,
    number: u16,
    limits: &Limits,
    places: &mut Vec<u64>,
) -> Result<Vec<u8>, DecodeError> {
    let gone = || DecodeError::Changed("it has no such page".to_owned());
    let mut chain = Chain::new(source).ok_or_else(gone)?;
    if number == 0 || places.is_empty() {
        let first = chain.next(source).ok_or_else(gone)?;
        if number == 0 || chain.next == 0 {
            // Pages that have no directory of their own lie behind the first.
            return first.alone(source, Some((number, limits)));
        }
        places.push(chain.next);
    }
    while places.len() < usize::from(number) {
        chain.next = places[places.len() - 1];
        chain.pass(source).ok_or_else(gone)?;
        places.push(chain.next);
    }
    chain.next = places[usize::from(number) - 1];
    chain.next(source).ok_or_else(gone)?.alone(source, Some((0, limits)))
}

/// The directories of a file, one after the other.
struct Chain {
    layout: Layout,
    next: u64,
    seen: HashSet<u64>,
    entries: usize,
    flaw: Option<String>,
}

impl Chain {
    fn new(source: &mut dyn Bytes) -> Option<Self> {
        let start = source.read(0, usize::try_from(source.length()).ok()?.min(16)).ok()?;
        if !is_tiff(&start) {
            return None;
        }
        let layout = layout_of(&start);
        let (at, length) = if layout.big { (8, 8) } else { (4, 4) };
        let next = number(&start, layout, at, length)?;
        Some(Self { layout, next, seen: HashSet::new(), entries: 0, flaw: None })
    }

    /// Passes over a directory.
    fn pass(&mut self, source: &mut dyn Bytes) -> Option<()> {
        let [count_length, link] = if self.layout.big { [8, 8] } else { [2, 4] };
        let count =
            number(&source.read(self.next, count_length).ok()?, self.layout, 0, count_length)?;
        let length = count.checked_mul(self.layout.entry_length() as u64)?;
        let end = self.next.checked_add(count_length as u64)?.checked_add(length)?;
        self.next = number(&source.read(end, link).ok()?, self.layout, 0, link)?;
        (self.next > 0).then_some(())
    }

    fn next(&mut self, source: &mut dyn Bytes) -> Option<Raw> {
        if self.next == 0 || self.flaw.is_some() {
            return None;
        }
        let found = self.seen.insert(self.next).then(|| Raw::read(source, self.layout, self.next));
        let Some(raw) = found.flatten() else {
            self.flaw = Some(DAMAGED.to_owned());
            return None;
        };
        self.entries += raw.entries.len();
        if self.entries > MOST_ENTRIES || self.seen.len() >= usize::from(u16::MAX) {
            self.flaw = Some("it has too many pages".to_owned());
            return None;
        }
        self.next = raw.next;
        Some(raw)
    }
}

/// A directory as it stands in a file.
struct Raw {
    layout: Layout,
    entries: Vec<Field>,
    next: u64,
}

/// A tag, the kind and number of its values, and these or where they are.
struct Field {
    tag: u16,
    kind: u16,
    count: u64,
    slot: Vec<u8>,
}

/// A tag, the kind and number of its values, and these.
type Kept = (u16, u16, u64, Vec<u8>);

impl Raw {
    fn read(source: &mut dyn Bytes, layout: Layout, at: u64) -> Option<Self> {
        let count_length = if layout.big { 8 } else { 2 };
        let count = number(&source.read(at, count_length).ok()?, layout, 0, count_length)?;
        let count = usize::try_from(count).ok().filter(|&count| count <= MOST_ENTRIES)?;
        let (entry, link) = (layout.entry_length(), if layout.big { 8 } else { 4 });
        let length = count.checked_mul(entry)?;
        let start = at.checked_add(count_length as u64)?;
        if length as u64 > source.length() {
            return None;
        }
        let bytes = source.read(start, length).ok()?;
        // Some programs forget the last link.
        let next = source.read(start.checked_add(length as u64)?, link).ok();
        let next = next.and_then(|next| number(&next, layout, 0, link)).unwrap_or(0);
        let wide = if layout.big { 8 } else { 4 };
        let field = |bytes: &[u8]| {
            Some(Field {
                tag: number(bytes, layout, 0, 2)? as u16,
                kind: number(bytes, layout, 2, 2)? as u16,
                count: number(bytes, layout, 4, wide)?,
                slot: bytes[4 + wide..].to_vec(),
            })
        };
        let entries: Option<Vec<Field>> = bytes.chunks_exact(entry).map(field).collect();
        Some(Self { layout, entries: entries?, next })
    }

    fn find(&self, tag: u16) -> Option<&Field> {
        self.entries.iter().find(|field| field.tag == tag)
    }

    /// A field's values; no more than `most` bytes of them.
    fn value(
        &self,
        source: &mut dyn Bytes,
        field: &Field,
        most: u64,
    ) -> Result<Vec<u8>, DecodeError> {
        let length = field.count.saturating_mul(size(field.kind) as u64);
        if length <= field.slot.len() as u64 {
            return Ok(field.slot[..length as usize].to_vec());
        }
        if length > source.length() {
            return Err(DecodeError::Malformed(CLAIM.to_owned()));
        }
        let at = number(&field.slot, self.layout, 0, field.slot.len()).unwrap_or(u64::MAX);
        Ok(source.read(at, length.min(most) as usize)?)
    }

    /// What the file says of its pages.
    fn described(&self, source: &mut dyn Bytes, page: &Page) -> Description {
        let text =
            self.find(DESCRIPTION).and_then(|field| self.value(source, field, DESCRIBED).ok());
        text.and_then(|text| Description::read(&text, page)).unwrap_or_default()
    }

    fn numbers(&self, source: &mut dyn Bytes, tag: u16) -> Result<Vec<u64>, DecodeError> {
        let Some(field) = self.find(tag) else { return Ok(Vec::new()) };
        let each = size(field.kind);
        let value = self.value(source, field, u64::MAX)?;
        let read = |bytes: &[u8]| number(bytes, self.layout, 0, each).unwrap_or(0);
        Ok(value.chunks_exact(each).map(read).collect())
    }

    /// Where the parts of a page lie, and how long they are: of the one that lies so many pages behind this one,
    /// where those have no directories.
    fn data(&self, source: &mut dyn Bytes, behind: u16) -> Result<Vec<(u64, u64)>, DecodeError> {
        let [offsets, lengths] = match self.find(TILE_OFFSETS) {
            Some(_) => [TILE_OFFSETS, TILE_BYTES],
            None => [STRIP_OFFSETS, STRIP_BYTES],
        };
        let (offsets, lengths) = (self.numbers(source, offsets)?, self.numbers(source, lengths)?);
        let mut parts: Vec<(u64, u64)> = offsets.into_iter().zip(lengths).collect();
        if behind > 0 {
            let joined =
                parts.windows(2).all(|pair| pair[0].0.checked_add(pair[0].1) == Some(pair[1].0));
            let plain = self.numbers(source, 259)?.first().is_none_or(|&method| method == 1);
            if !joined || !plain {
                return Err(DecodeError::Malformed("its pages have no places".to_owned()));
            }
            let page = parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.1));
            for part in &mut parts {
                part.0 = part.0.saturating_add(page.saturating_mul(behind.into()));
            }
        }
        Ok(parts)
    }

    /// The tags that a page takes with it: each with its kind, the number of its values, and these. Where `telling`,
    /// only as many as tell which page it is: values of all pages may lie in one place.
    fn kept(&self, source: &mut dyn Bytes, telling: bool) -> Result<Vec<Kept>, DecodeError> {
        let claim = || DecodeError::Malformed(CLAIM.to_owned());
        let mut left = source.length().saturating_mul(2);
        let mut fields = Vec::new();
        for field in self.entries.iter().filter(|field| KEPT.contains(&field.tag)) {
            let each = size(field.kind) as u64;
            let count = if telling { field.count.min(TELLING) } else { field.count };
            let length = count.saturating_mul(each);
            left = left.checked_sub(length).ok_or_else(claim)?;
            if length > MOST_OF_A_TAG {
                return Err(claim());
            }
            let mut value = self.value(source, field, length)?;
            value.truncate(length as usize);
            fields.push((field.tag, field.kind, count, value));
        }
        Ok(fields)
    }

    /// The page as a file; without `data`, which is for the page so many behind this one, its header alone.
    fn alone(
        &self,
        source: &mut dyn Bytes,
        data: Option<(u16, &Limits)>,
    ) -> Result<Vec<u8>, DecodeError> {
        let layout = self.layout;
        let mut fields = self.kept(source, data.is_none())?;
        let parts = match data {
            Some((behind, _)) => self.data(source, behind)?,
            None => Vec::new(),
        };
        let tiled = self.find(TILE_OFFSETS).is_some();
        let [offsets, lengths] =
            if tiled { [TILE_OFFSETS, TILE_BYTES] } else { [STRIP_OFFSETS, STRIP_BYTES] };
        let wide = if layout.big { 8 } else { 4 };
        let kind = if layout.big { 16 } else { 4 };
        if !parts.is_empty() {
            let long = vec![0; parts.len() * wide];
            let lengths_of: Vec<u8> =
                parts.iter().flat_map(|&(_, length)| layout.bytes(length, wide)).collect();
            fields.push((offsets, kind, parts.len() as u64, long));
            fields.push((lengths, kind, parts.len() as u64, lengths_of));
            fields.sort_by_key(|(tag, ..)| *tag);
        }
        let start = if layout.big { 16 } else { 8 };
        let count_length = if layout.big { 8 } else { 2 };
        let mut behind = start + count_length + fields.len() * layout.entry_length() + wide;
        let long =
            |value: &[u8]| if value.len() > wide { value.len().next_multiple_of(2) } else { 0 };
        let mut data_at = behind + fields.iter().map(|(.., value)| long(value)).sum::<usize>();
        // A part that is named twice is stored once.
        let mut places = HashMap::new();
        let mut order = Vec::new();
        let mut moved = Vec::new();
        for &part in &parts {
            let at = *places.entry(part).or_insert_with(|| {
                let at = data_at;
                order.push(part);
                data_at = data_at.saturating_add(usize::try_from(part.1).unwrap_or(usize::MAX));
                at
            });
            moved.extend(layout.bytes(at as u64, wide));
        }
        if let Some((_, limits)) = data {
            limits.check(&[Need::bytes("the page's size in bytes", data_at as u64)])?;
            if data_at as u64 > source.length().saturating_add(behind as u64 * 4) {
                return Err(DecodeError::Malformed(CLAIM.to_owned()));
            }
        }
        let mut file = layout.start(start as u64);
        file.extend(layout.bytes(fields.len() as u64, count_length));
        let mut values = Vec::new();
        for (tag, kind, count, value) in &fields {
            let value = if *tag == offsets { &moved } else { value };
            file.extend(layout.bytes((*tag).into(), 2));
            file.extend(layout.bytes((*kind).into(), 2));
            file.extend(layout.bytes(*count, wide));
            if long(value) > 0 {
                file.extend(layout.bytes(behind as u64, wide));
                behind += long(value);
                values.extend_from_slice(value);
                values.resize(values.len().next_multiple_of(2), 0);
            } else {
                file.extend_from_slice(value);
                file.resize(file.len() + wide - value.len(), 0);
            }
        }
        file.extend(layout.bytes(0, wide));
        file.extend(values);
        for (at, length) in order {
            file.extend(source.read(at, length as usize)?);
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Counts what is read.
    struct Counted {
        bytes: Vec<u8>,
        reads: usize,
        read: usize,
    }

    impl Bytes for Counted {
        fn length(&self) -> u64 {
            self.bytes.len() as u64
        }

        fn read(&mut self, at: u64, length: usize) -> io::Result<Vec<u8>> {
            self.reads += 1;
            self.read += length;
            Bytes::read(&mut self.bytes.as_slice(), at, length)
        }
    }

    /// A file of so many pages of one byte, with a tag each of so many bytes that lie in one place.
    fn file(pages: u32, tag: u16, length: u32) -> Counted {
        let mut bytes = b"II*\0\x08\0\0\0".to_vec();
        let each = 2 + 9 * 12 + 4;
        let end = 8 + pages * each;
        for page in 0..pages {
            let fields: [(u16, u16, u32, u32); 9] = [
                (256, 3, 1, 1),
                (257, 3, 1, 1),
                (258, 3, 1, 8),
                (259, 3, 1, 1),
                (262, 3, 1, 1),
                (273, 4, 1, end + page % length),
                (277, 3, 1, 1),
                (279, 4, 1, 1),
                (tag, 1, length, end),
            ];
            bytes.extend(9u16.to_le_bytes());
            for (tag, kind, count, value) in fields {
                bytes.extend(tag.to_le_bytes());
                bytes.extend(kind.to_le_bytes());
                bytes.extend(count.to_le_bytes());
                bytes.extend(value.to_le_bytes());
            }
            let next = if page + 1 < pages { 8 + (page + 1) * each } else { 0 };
            bytes.extend(next.to_le_bytes());
        }
        bytes.extend((0..length).map(|at| at as u8));
        Counted { bytes, reads: 0, read: 0 }
    }

    #[test]
    fn values_that_all_pages_share_are_not_read_for_each() {
        let mut source = file(2000, 34_735, 2 << 20);
        let found = pages(&mut source).unwrap();
        assert_eq!((found.numbers.len(), found.flaw), (2000, None));
        assert!(source.read < source.bytes.len(), "{} bytes", source.read);
        // What no tag has is not taken with a page.
        let read = alone(&mut source, 7, &Limits::default(), &mut Vec::new());
        assert!(matches!(read, Err(DecodeError::Malformed(_))), "{read:?}");
        assert!(source.read < source.bytes.len(), "{} bytes", source.read);
    }

    #[test]
    fn pages_before_a_damaged_one_are_kept() {
        let mut source = file(5, 34_735, 100);
        let fourth = 8 + 3 * (2 + 9 * 12 + 4) + 2 + 8 * 12 + 8;
        source.bytes[fourth..fourth + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        let found = pages(&mut source).unwrap();
        assert_eq!((found.numbers, found.flaw.as_deref()), (vec![0, 1, 2], Some(DAMAGED)));
    }

    #[test]
    fn a_page_is_found_without_those_before_it_once_it_is_known() {
        let mut source = file(5000, 34_735, 256);
        let mut places = Vec::new();
        let last = alone(&mut source, 4999, &Limits::default(), &mut places).unwrap();
        let found = source.reads;
        assert!(found > 5000, "{found} reads");
        for number in [4999, 3, 1, 0, 17] {
            source.reads = 0;
            let page = alone(&mut source, number, &Limits::default(), &mut places).unwrap();
            assert!(source.reads < 10, "{} reads", source.reads);
            assert_eq!(page.last(), Some(&(number as u8)));
            assert_eq!(page.len(), last.len());
        }
        assert!(alone(&mut source, 5000, &Limits::default(), &mut places).is_err());
    }
}
