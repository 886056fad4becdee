//! The zip files that torch.save writes: stored entries under one folder.
//!
//! Own code, because a general reader of zips believes its directory: one that claims 80 million
//! entries in a sparse file made the crate `zip` reserve 14 GB. Here the directory's length is bounded,
//! every entry's own header must agree with it, and no entry may lie over another. Checksums are not
//! compared, as PyTorch does not: it can be told to write none.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use super::flaw::{Flaw, shown};
use super::pickle::MAX_PICKLE_BYTES;
use super::trouble::Trouble;

/// Longest directory that is read, in bytes: some 40,000 entries, one a tensor.
pub const MAX_DIRECTORY_BYTES: u64 = 4 << 20;

pub(super) const LOCAL: u32 = 0x0403_4b50;
pub(super) const CENTRAL: u32 = 0x0201_4b50;
pub(super) const END: u32 = 0x0605_4b50;
const END64: u32 = 0x0606_4b50;
const END64_LOCATOR: u32 = 0x0706_4b50;

pub(super) const LOCAL_BYTES: usize = 30;
pub(super) const CENTRAL_BYTES: usize = 46;
pub(super) const END_BYTES: usize = 22;
const END64_BYTES: usize = 56;
const END64_LOCATOR_BYTES: usize = 20;
/// Longest comment at the end of a zip.
const MAX_COMMENT: usize = u16::MAX as usize;

/// A 32-bit field of this value is given with 64 bits elsewhere.
const ELSEWHERE: u32 = u32::MAX;
const ZIP64_EXTRA: u16 = 1;

const PICKLE: &str = "data.pkl";

/// A checked directory.
pub(super) struct Archive {
    /// Name of the one folder.
    top: String,
    /// Where the values of each entry lie in the file.
    entries: HashMap<String, Range<u64>>,
}

impl Archive {
    pub(super) fn open(file: &mut (impl Read + Seek), length: u64) -> Result<Self, Trouble> {
        let directory = find_directory(file, length)?;
        let headers = read_directory(file, &directory)?;
        let top = find_top(&headers)?;
        let entries = check_entries(file, headers, directory.start)?;
        Ok(Self { top, entries })
    }

    /// The pickle, `data.pkl`.
    pub(super) fn pickle(&self, file: &mut (impl Read + Seek)) -> Result<Vec<u8>, Trouble> {
        if let Some(order) = self.entry("byteorder") {
            if order.end - order.start > 16 {
                return Err(Flaw::Archive("its record of the byte order is too long").into());
            }
            if bytes_at(file, order.start, (order.end - order.start) as usize)? != b"little" {
                return Err(Flaw::BigEndian.into());
            }
        }
        let Range { start, end } = self.entry(PICKLE).expect("it gave the folder's name");
        if end - start > MAX_PICKLE_BYTES as u64 {
            return Err(Flaw::Limit { what: "bytes of a pickle", limit: MAX_PICKLE_BYTES }.into());
        }
        Ok(bytes_at(file, start, (end - start) as usize)?)
    }

    /// Where the storage of that key lies.
    pub(super) fn storage(&self, key: &str) -> Option<Range<u64>> {
        self.entry(&format!("data/{key}"))
    }

    fn entry(&self, name: &str) -> Option<Range<u64>> {
        self.entries.get(&format!("{}/{name}", self.top)).cloned()
    }
}

/// Where the directory is, and how many entries it has.
struct Directory {
    start: u64,
    bytes: usize,
    entries: u64,
}

fn find_directory(file: &mut (impl Read + Seek), length: u64) -> Result<Directory, Trouble> {
    let tail_bytes = length.min((END_BYTES + MAX_COMMENT) as u64) as usize;
    let tail_start = length - tail_bytes as u64;
    let tail = bytes_at(file, tail_start, tail_bytes)?;
    // The last one whose comment reaches exactly to the end of the file.
    let is_end = |at: &usize| {
        let end = &tail[*at..];
        u32_at(end, 0) == END && END_BYTES + usize::from(u16_at(end, 20)) == end.len()
    };
    let Some(at) = (0..(tail_bytes + 1).saturating_sub(END_BYTES)).rev().find(is_end) else {
        return Err(Flaw::Archive("its directory is missing, as where a download broke off").into());
    };
    let (end, end_start) = (&tail[at..], tail_start + at as u64);
    let mut entries = u16_at(end, 10).into();
    let mut bytes = u32_at(end, 12).into();
    let mut start = u32_at(end, 16).into();
    let mut limit = end_start;
    if entries == u64::from(u16::MAX) || [bytes, start].contains(&ELSEWHERE.into()) {
        let wrong = || Flaw::Archive("its 64-bit directory cannot be found");
        let locator_start = end_start.checked_sub(END64_LOCATOR_BYTES as u64).ok_or_else(wrong)?;
        let locator = bytes_at(file, locator_start, END64_LOCATOR_BYTES)?;
        let end64_start = u64_at(&locator, 8);
        let fits = end64_start.checked_add(END64_BYTES as u64).is_some_and(|e| e <= locator_start);
        if u32_at(&locator, 0) != END64_LOCATOR || !fits {
            return Err(wrong().into());
        }
        let end64 = bytes_at(file, end64_start, END64_BYTES)?;
        if u32_at(&end64, 0) != END64 {
            return Err(wrong().into());
        }
        entries = u64_at(&end64, 32);
        bytes = u64_at(&end64, 40);
        start = u64_at(&end64, 48);
        limit = end64_start;
    }
    if start.checked_add(bytes).is_none_or(|end| end > limit) {
        return Err(Flaw::Archive("its directory reaches beyond the file").into());
    }
    if bytes > MAX_DIRECTORY_BYTES {
        let limit = MAX_DIRECTORY_BYTES as usize;
        return Err(Flaw::Limit { what: "bytes of a zip's directory", limit }.into());
    }
    Ok(Directory { start, bytes: bytes as usize, entries })
}

/// What the directory says of an entry.
struct Header {
    name: String,
    /// Neither compressed nor encrypted.
    is_plain: bool,
    /// Where the entry's own header begins.
    at: u64,
    size: u64,
}

fn read_directory(
    file: &mut (impl Read + Seek),
    directory: &Directory,
) -> Result<Vec<Header>, Trouble> {
    let bytes = bytes_at(file, directory.start, directory.bytes)?;
    let mut headers = Vec::new();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let cut = || Flaw::Archive("its directory is cut short");
        let (fixed, after) = rest.split_at_checked(CENTRAL_BYTES).ok_or_else(cut)?;
        if u32_at(fixed, 0) != CENTRAL {
            return Err(Flaw::Archive("its directory is damaged").into());
        }
        let lengths = [28, 30, 32].map(|at| usize::from(u16_at(fixed, at)));
        let (name, after) = after.split_at_checked(lengths[0]).ok_or_else(cut)?;
        let (extra, after) = after.split_at_checked(lengths[1]).ok_or_else(cut)?;
        let (_comment, after) = after.split_at_checked(lengths[2]).ok_or_else(cut)?;
        rest = after;
        headers.push(header(fixed, name, extra)?);
    }
    if headers.len() as u64 != directory.entries {
        return Err(
            Flaw::Archive("its directory has another number of entries than it says").into()
        );
    }
    Ok(headers)
}

fn header(fixed: &[u8], name: &[u8], extra: &[u8]) -> Result<Header, Flaw> {
    let name = std::str::from_utf8(name)
        .map_err(|_| Flaw::Archive("an entry's name is not UTF-8"))?
        .to_owned();
    let odd = |part: &str| matches!(part, "" | "." | "..") || part.contains(['\\', ':', '\0']);
    if name.strip_suffix('/').unwrap_or(&name).split('/').any(odd) {
        return Err(Flaw::EntryName { name: shown(&name) });
    }
    let (flags, method) = (u16_at(fixed, 8), u16_at(fixed, 10));
    let is_plain = method == 0 && flags & 1 == 0;
    // Fields that do not fit into 32 bits follow each other in the extra field.
    let mut wide = extra_field(extra, ZIP64_EXTRA).unwrap_or_default();
    let mut field = |narrow: u32| match narrow {
        ELSEWHERE => {
            let (value, rest) = wide
                .split_at_checked(8)
                .ok_or(Flaw::Archive("an entry's 64-bit sizes are missing"))?;
            wide = rest;
            Ok(u64_at(value, 0))
        }
        narrow => Ok(narrow.into()),
    };
    let size = field(u32_at(fixed, 24))?;
    let stored = field(u32_at(fixed, 20))?;
    let at = field(u32_at(fixed, 42))?;
    if is_plain && size != stored {
        return Err(Flaw::Size { name: shown(&name), claimed: size, found: stored });
    }
    Ok(Header { name, is_plain, at, size })
}

fn extra_field(mut extra: &[u8], wanted: u16) -> Option<&[u8]> {
    while let Some((head, rest)) = extra.split_at_checked(4) {
        let (field, rest) = rest.split_at_checked(u16_at(head, 2).into())?;
        if u16_at(head, 0) == wanted {
            return Some(field);
        }
        extra = rest;
    }
    None
}

/// Holds each entry's own header against the directory, and the entries against each other.
fn check_entries(
    file: &mut (impl Read + Seek),
    mut headers: Vec<Header>,
    limit: u64,
) -> Result<HashMap<String, Range<u64>>, Trouble> {
    headers.sort_unstable_by_key(|header| header.at);
    let mut entries = HashMap::new();
    let mut free = 0;
    for Header { name, is_plain, at, size } in headers {
        if !is_plain {
            return Err(Flaw::Compressed { name: shown(&name) }.into());
        }
        let damaged = || Flaw::Entry { name: shown(&name) };
        let own = (LOCAL_BYTES + name.len()) as u64;
        if at < free || at.checked_add(own).is_none_or(|end| end > limit) {
            return Err(damaged().into());
        }
        let head = bytes_at(file, at, own as usize)?;
        let method = u16_at(&head, 8);
        if u32_at(&head, 0) != LOCAL
            || usize::from(u16_at(&head, 26)) != name.len()
            || head[LOCAL_BYTES..] != *name.as_bytes()
            || method != 0
        {
            return Err(damaged().into());
        }
        let start = at + own + u64::from(u16_at(&head, 28));
        free = start.checked_add(size).filter(|&end| end <= limit).ok_or_else(damaged)?;
        if entries.contains_key(&name) {
            return Err(Flaw::Duplicate { name: shown(&name) }.into());
        }
        entries.insert(name, start..free);
    }
    Ok(entries)
}

fn find_top(headers: &[Header]) -> Result<String, Flaw> {
    let mut tops = headers.iter().filter_map(|header| {
        let (top, name) = header.name.split_once('/')?;
        (name == PICKLE).then_some(top)
    });
    let top = tops.next().ok_or(Flaw::Archive("it holds no pickle of torch.save"))?;
    if tops.any(|other| other != top) {
        return Err(Flaw::Archive("it holds several pickles of torch.save"));
    }
    let is_code = |header: &Header| {
        let name = header.name.strip_prefix(top).and_then(|name| name.strip_prefix('/'));
        name.is_some_and(|name| name == "constants.pkl" || name.starts_with("code/"))
    };
    if headers.iter().any(is_code) {
        return Err(Flaw::TorchScript);
    }
    Ok(top.to_owned())
}

fn bytes_at(
    file: &mut (impl Read + Seek),
    start: u64,
    count: usize,
) -> Result<Vec<u8>, std::io::Error> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = vec![0; count];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
