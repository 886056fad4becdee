//! The members of a tar archive: what its headers say, one after the other.
//!
//! The blocks are walked here, and a header's fields read by the `tar` crate, whose own walk reads a
//! name of any length and loses names with a line break.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use tar::{EntryType, GnuExtSparseHeader, Header};

/// An archive is made of such blocks, in bytes.
const BLOCK: u64 = 512;

/// How pointers of Git LFS begin.
const POINTER: &[u8; 23] = b"version https://git-lfs";

/// Most bytes of a long name, or of the extended fields of one member.
const NAME_BYTES: u64 = 1 << 20;

/// One entry of an archive.
pub(super) struct Member {
    /// As it is stored.
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    /// Where its content begins.
    pub(super) offset: u64,
    /// Bytes of its content.
    pub(super) size: u64,
    /// Where the archive ends inside of it: the bytes that are there.
    pub(super) cut_at: Option<u64>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file whose bytes lie one after the other.
    File,
    /// A file stored without its holes.
    Sparse,
    /// A hard or symbolic link.
    Link,
    Folder,
    /// A device, a FIFO, or unknown.
    Other,
}

pub(super) struct Members {
    file: File,
    /// Size of the archive when it was opened: what a header claims is held against it.
    length: u64,
    /// Where the next header is.
    next: u64,
    count: usize,
    end: Option<End>,
    behind: Behind,
}

/// What stands behind blocks of zeros, which end an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Behind {
    #[default]
    Nothing,
    /// Further members, as where archives are put behind each other.
    Members,
    /// Something else, from this byte on.
    Other(u64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// A block of zeros, or a member that was cut short and told so.
    Told,
    /// The file ended behind a whole member.
    Untold,
}

/// What extended fields say about the next member.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
}

impl Members {
    pub(super) fn new(file: File, length: u64) -> Self {
        Self { file, length, next: 0, count: 0, end: None, behind: Behind::Nothing }
    }

    /// Whether it is a pointer of Git LFS.
    pub(super) fn is_pointer(&mut self) -> bool {
        let mut bytes = [0; POINTER.len()];
        self.next = 0;
        self.exactly(&mut bytes).is_ok() && bytes == *POINTER
    }

    /// What stood behind blocks of zeros, once [`next`](Self::next) gave nothing more.
    pub(super) fn behind(&self) -> Behind {
        self.behind
    }

    /// The member whose content begins at `start`, as the header before it says; `None` where there is no such header.
    /// Its name may be cut short: a long one stands before the header.
    pub(super) fn before(file: File, length: u64, start: u64) -> Option<Member> {
        let mut members = Self { next: start.checked_sub(BLOCK)?, ..Self::new(file, length) };
        members.next().ok()?.filter(|member| member.offset == start)
    }

    /// Members found so far.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether the archive said that it ends, once [`next`](Self::next) gave nothing more.
    pub(super) fn has_end_mark(&self) -> bool {
        self.end != Some(End::Untold)
    }

    /// The next member, or the reason for which there can be no further one.
    pub(super) fn next(&mut self) -> Result<Option<Member>, String> {
        let mut extended = Extended::default();
        while self.end.is_none() {
            let at = self.next;
            let Some(header) = self.header()? else { break };
            let damaged = |what: &str| format!("damaged at byte {at}: {what}");
            let size = header.entry_size().map_err(|_| damaged("a size that is not a number"))?;
            match header.entry_type() {
                EntryType::GNULongName => {
                    let mut name = self.fields(size, at)?;
                    name.truncate(name.iter().position(|&byte| byte == 0).unwrap_or(name.len()));
                    extended.name = Some(name);
                }
                EntryType::XHeader => {
                    let fields = self.fields(size, at)?;
                    extended.read(&fields).ok_or_else(|| damaged("extended fields"))?;
                }
                EntryType::GNULongLink | EntryType::XGlobalHeader => {
                    self.fields(size, at)?;
                }
                kind => return self.member(&header, kind, extended, size).map(Some),
            }
        }
        Ok(None)
    }

    /// The bytes of a member that is not cut short.
    pub(super) fn content(&mut self, member: &Member) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(member.offset))?;
        (&self.file).take(member.size).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn member(
        &mut self,
        header: &Header,
        kind: EntryType,
        extended: Extended,
        size: u64,
    ) -> Result<Member, String> {
        let kind = match kind {
            EntryType::GNUSparse => {
                let mut more = header.as_gnu().is_some_and(|gnu| gnu.is_extended());
                while more {
                    let mut block = GnuExtSparseHeader::new();
                    self.block(block.as_mut_bytes())?;
                    more = block.is_extended();
                }
                Kind::Sparse
            }
            EntryType::Regular | EntryType::Continuous if extended.sparse => Kind::Sparse,
            // Before there was a type for folders, a file whose name ends in a slash was one.
            EntryType::Regular | EntryType::Continuous if header.path_bytes().ends_with(b"/") => {
                Kind::Folder
            }
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Link | EntryType::Symlink => Kind::Link,
            EntryType::Directory => Kind::Folder,
            _ => Kind::Other,
        };
        let size = extended.size.unwrap_or(size);
        let name = extended.name.unwrap_or_else(|| header.path_bytes().into_owned());
        let (offset, left) = (self.next, self.length.saturating_sub(self.next));
        self.count += 1;
        let cut_at = (size > left).then_some(left);
        if cut_at.is_some() {
            self.end = Some(End::Told);
        } else {
            // At most `length` and a block: a file's size, which is far from overflowing.
            self.next = offset + size.next_multiple_of(BLOCK);
        }
        Ok(Member { name, kind, offset, size, cut_at })
    }

    /// The next header, or `None` at the end: blocks of zeros are one where no header stands behind them.
    fn header(&mut self) -> Result<Option<Header>, String> {
        let mut zeros = false;
        let (at, header) = loop {
            if self.next >= self.length {
                self.end = Some(if zeros { End::Told } else { End::Untold });
                return Ok(None);
            }
            let at = self.next;
            let mut header = Header::new_old();
            if zeros && self.length - at < BLOCK {
                self.end = Some(End::Told);
                return Ok(None);
            }
            self.block(header.as_mut_bytes())?;
            if header.as_bytes().iter().any(|&byte| byte != 0) {
                break (at, header);
            }
            if !zeros {
                zeros = true;
                self.pass_zeros()?;
            }
        };
        let bytes = header.as_bytes();
        // The sum over all bytes, those of the sum itself taken for blanks.
        let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
        let sum = sum(&bytes[..148]) + 8 * u32::from(b' ') + sum(&bytes[156..]);
        let right = header.cksum().ok() == Some(sum);
        if zeros && right {
            self.behind = Behind::Members;
        } else if zeros {
            self.behind = Behind::Other(at);
            self.end = Some(End::Told);
            return Ok(None);
        }
        if !right {
            return Err(if at == 0 {
                "it is not a tar archive: its first header's checksum is wrong".to_owned()
            } else {
                format!("damaged at byte {at}: a header's checksum is wrong")
            });
        }
        Ok(Some(header))
    }

    /// Goes to the first block that is not all zeros, or to the end.
    fn pass_zeros(&mut self) -> Result<(), String> {
        let mut bytes = vec![0; (128 * BLOCK) as usize];
        while self.next < self.length {
            let count = (self.length - self.next).min(bytes.len() as u64) as usize;
            self.exactly(&mut bytes[..count])?;
            if let Some(other) = bytes[..count].iter().position(|byte| *byte != 0) {
                self.next += other as u64 / BLOCK * BLOCK;
                return Ok(());
            }
            self.next += count as u64;
        }
        Ok(())
    }

    /// The content of a header that describes the next one.
    fn fields(&mut self, size: u64, at: u64) -> Result<Vec<u8>, String> {
        let left = self.length.saturating_sub(self.next);
        if size > left {
            return Err(format!(
                "cut short: a name at byte {at} claims {size} bytes, {left} are left"
            ));
        }
        if size > NAME_BYTES {
            return Err(format!(
                "damaged at byte {at}: a name of {size} bytes, at most {NAME_BYTES} are read"
            ));
        }
        let mut bytes = vec![0; size as usize];
        self.exactly(&mut bytes)?;
        self.next = (at + BLOCK) + size.next_multiple_of(BLOCK);
        Ok(bytes)
    }

    fn block(&mut self, bytes: &mut [u8; BLOCK as usize]) -> Result<(), String> {
        self.exactly(bytes)?;
        self.next += BLOCK;
        Ok(())
    }

    fn exactly(&mut self, bytes: &mut [u8]) -> Result<(), String> {
        let at = self.next;
        let read = self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.read_exact(bytes));
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => format!("cut short in the header at byte {at}"),
            _ => format!("cannot be read at byte {at}: {error}"),
        })
    }
}

impl Extended {
    /// Takes the fields that matter from records of the form `LENGTH KEY=VALUE\n`, in which LENGTH
    /// counts the whole record, so that a value may hold a line break.
    fn read(&mut self, mut records: &[u8]) -> Option<()> {
        while !records.is_empty() && records[0] != 0 {
            let blank = records.iter().position(|&byte| byte == b' ')?;
            let length: usize = std::str::from_utf8(&records[..blank]).ok()?.parse().ok()?;
            let record = records.get(blank + 1..length)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|&byte| byte == b'=')?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.name = Some(value.to_vec()),
                b"size" => self.size = Some(std::str::from_utf8(value).ok()?.parse().ok()?),
                key if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
            records = &records[length..];
        }
        Some(())
    }
}
