//! Whether the data of a JPEG file is as long as its picture takes.
//!
//! Codes that were lost or changed are mostly read as others, and what follows as a wrong picture. What shows it is
//! where the last of them ends: before the data does. libjpeg says so in a warning, which few programs show.

const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;

/// So many bytes may follow the last code: some programs fill up with them.
const PADDING: usize = 2;

/// What is wrong with it; `None` of sound files, of other files, and of those whose data is of another kind than
/// baseline's.
pub(crate) fn flaw(bytes: &[u8]) -> Option<String> {
    if !bytes.starts_with(&[0xFF, 0xD8]) {
        return None;
    }
    let mut picture = Picture::default();
    let mut at = 2;
    loop {
        at += bytes.get(at..)?.windows(2).position(|pair| {
            pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0x01 | 0xD0..=0xD8 | 0xFF)
        })?;
        let marker = bytes[at + 1];
        if marker == EOI {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]));
        let segment = bytes.get(at + 4..at + 2 + length)?;
        at += 2 + length;
        match marker {
            0xC0 | 0xC1 => picture.frame(segment)?,
            // Progressive, lossless, arithmetic and so on.
            0xC2..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCF => return None,
            0xC4 => picture.tables(segment)?,
            0xDD => {
                let &[high, low, ..] = segment else { return None };
                picture.restart = usize::from(u16::from_be_bytes([high, low]));
            }
            SOS => {
                let mut bits = Bits { bytes, at, held: 0, count: 0, ended: false };
                match picture.scan(segment, &mut bits)? {
                    Some(what) => return Some(what),
                    None => at = bits.at,
                }
            }
            _ => {}
        }
    }
}

/// What the headers say.
#[derive(Default)]
struct Picture {
    size: [usize; 2],
    parts: Vec<Part>,
    /// Of each class, direct and alternating currents, four.
    tables: [[Option<Table>; 4]; 2],
    restart: usize,
}

/// A component of the frame.
#[derive(Clone, Copy)]
struct Part {
    name: u8,
    across: usize,
    down: usize,
}

/// Huffman codes.
#[derive(Clone)]
struct Table {
    /// By length: the first code, and the position of its value.
    starts: [(u32, usize); 17],
    counts: [u32; 17],
    values: Vec<u8>,
}

impl Picture {
    fn frame(&mut self, segment: &[u8]) -> Option<()> {
        let &[bits, h1, h0, w1, w0, count, ref parts @ ..] = segment else { return None };
        let side = |high, low| usize::from(u16::from_be_bytes([high, low]));
        self.size = [side(w1, w0), side(h1, h0)];
        let part = |part: &[u8]| Part {
            name: part[0],
            across: usize::from(part[1] >> 4),
            down: usize::from(part[1] & 15),
        };
        self.parts = parts.chunks_exact(3).take(count.into()).map(part).collect();
        let sound = |part: &Part| (1..=4).contains(&part.across) && (1..=4).contains(&part.down);
        (bits == 8 && !self.parts.is_empty() && self.parts.iter().all(sound)).then_some(())
    }

    fn tables(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&kind, rest)) = segment.split_first() {
            let (lengths, rest) = rest.split_at_checked(16)?;
            let all: usize = lengths.iter().map(|&count| usize::from(count)).sum();
            let (values, rest) = rest.split_at_checked(all)?;
            let mut table =
                Table { starts: [(0, 0); 17], counts: [0; 17], values: values.to_vec() };
            let (mut code, mut position) = (0u32, 0);
            for (length, &count) in (1..).zip(lengths) {
                table.starts[length] = (code, position);
                table.counts[length] = count.into();
                code = (code + u32::from(count)) << 1;
                position += usize::from(count);
            }
            let class = self.tables.get_mut(usize::from(kind >> 4))?;
            *class.get_mut(usize::from(kind & 15))? = Some(table);
            segment = rest;
        }
        Some(())
    }

    /// Reads a scan's codes. `None` where that cannot be done; else what is wrong with them.
    fn scan(&self, segment: &[u8], bits: &mut Bits<'_>) -> Option<Option<String>> {
        let (&count, parts) = segment.split_first()?;
        let table =
            |class: usize, number: u8| self.tables[class].get(usize::from(number))?.as_ref();
        let mut blocks = Vec::new();
        let mut only = None;
        for part in parts.chunks_exact(2).take(count.into()) {
            let found = self.parts.iter().find(|known| known.name == part[0])?;
            only = Some(*found);
            let tables = (table(0, part[1] >> 4)?, table(1, part[1] & 15)?);
            let times = if count == 1 { 1 } else { found.across * found.down };
            blocks.extend(std::iter::repeat_n(tables, times));
        }
        let most = |side: fn(&Part) -> usize| self.parts.iter().map(side).max().unwrap_or(1);
        let (across, down) = (most(|part| part.across), most(|part| part.down));
        let units = |size: usize, own: usize, most: usize| match count {
            1 => (size * own).div_ceil(most).div_ceil(8),
            _ => size.div_ceil(8 * most),
        };
        let only = only?;
        let all = units(self.size[0], only.across, across) * units(self.size[1], only.down, down);
        for unit in 0..all {
            if self.restart > 0 && unit > 0 && unit % self.restart == 0 {
                let left = bits.marker();
                if left > PADDING {
                    return Some(Some(left_over(left, unit, all)));
                }
                bits.pass_restart();
            }
            for &(direct, others) in &blocks {
                if bits.block(direct, others).is_none() {
                    return Some(Some(format!("codes are wrong at block {unit} of {all}")));
                }
                if bits.ended {
                    // Told by who decodes it.
                    return None;
                }
            }
        }
        let left = bits.marker();
        Some((left > PADDING).then(|| left_over(left, all, all)))
    }
}

fn left_over(bytes: usize, unit: usize, all: usize) -> String {
    format!(
        "{bytes} bytes of data are left over after {unit} of {all} blocks, so that some of it was lost, changed or \
         added"
    )
}

/// A scan's data, bit by bit.
struct Bits<'a> {
    bytes: &'a [u8],
    /// Of the next byte.
    at: usize,
    held: u64,
    count: u32,
    /// Whether more was asked for than there is.
    ended: bool,
}

impl Bits<'_> {
    fn fill(&mut self) {
        while self.count <= 48 {
            let byte = match self.bytes.get(self.at..) {
                Some([0xFF, 0, ..]) => {
                    self.at += 2;
                    0xFF
                }
                Some([byte, ..]) if *byte != 0xFF => {
                    self.at += 1;
                    *byte
                }
                _ => return,
            };
            self.held = self.held << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    fn take(&mut self, count: u32) -> u32 {
        if self.count < count {
            self.fill();
        }
        if self.count < count {
            self.ended = true;
            return 0;
        }
        self.count -= count;
        (self.held >> self.count) as u32 & ((1 << count) - 1)
    }

    /// The next code's value; `None` where there is no such code.
    fn code(&mut self, table: &Table) -> Option<u8> {
        let mut code = 0;
        for length in 1..=16 {
            code = code << 1 | self.take(1);
            let (first, position) = table.starts[length];
            if let Some(beyond) = code.checked_sub(first).filter(|&b| b < table.counts[length]) {
                return table.values.get(position + beyond as usize).copied();
            }
            if self.ended {
                return Some(0);
            }
        }
        None
    }

    /// Passes over a block; `None` where its codes cannot be.
    fn block(&mut self, direct: &Table, others: &Table) -> Option<()> {
        let size = self.code(direct).filter(|&size| size <= 11)?;
        self.take(size.into());
        let mut place = 1;
        while place < 64 && !self.ended {
            let code = self.code(others)?;
            let (run, size) = (usize::from(code >> 4), code & 15);
            match (run, size) {
                (15, 0) => place += 16,
                (_, 0) => break,
                _ => {
                    place += run + 1;
                    self.take(size.into());
                }
            }
        }
        (place <= 64).then_some(())
    }

    /// Goes to the next marker; how many whole bytes are before it.
    fn marker(&mut self) -> usize {
        let mut left = (self.count / 8) as usize;
        (self.held, self.count) = (0, 0);
        while let Some([first, second, ..]) = self.bytes.get(self.at..) {
            match (first, second) {
                (0xFF, 0) => {
                    self.at += 2;
                    left += 1;
                }
                // Before a marker any number of these may stand.
                (0xFF, 0xFF) => self.at += 1,
                (0xFF, _) => break,
                _ => {
                    self.at += 1;
                    left += 1;
                }
            }
        }
        left
    }

    /// Goes beyond a restart marker, if there is one.
    fn pass_restart(&mut self) {
        if matches!(self.bytes.get(self.at + 1), Some(0xD0..=0xD7)) {
            self.at += 2;
        }
    }
}
