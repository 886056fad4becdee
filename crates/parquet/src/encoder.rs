//! Thrift's compact protocol, written.

/// What a list holds, as the protocol numbers it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Of {
    Int = 5,
    Binary = 8,
    Struct = 12,
}

/// Structures that are being written.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    pub(crate) bytes: Vec<u8>,
    /// The number of the last field of each structure that is open below the outermost.
    outer: Vec<i16>,
    last: i16,
}

impl Encoder {
    fn field(&mut self, id: i16, kind: u8) {
        // Fields are numbered from 1 in steps of less than 16.
        self.bytes.push(((id - self.last) as u8) << 4 | kind);
        self.last = id;
    }

    /// A field of 32 bits.
    pub(crate) fn int32(&mut self, id: i16, value: i32) {
        self.field(id, 5);
        self.int(value.into());
    }

    /// A field of 64 bits.
    pub(crate) fn int64(&mut self, id: i16, value: i64) {
        self.field(id, 6);
        self.int(value);
    }

    pub(crate) fn text(&mut self, id: i16, value: &str) {
        self.field(id, 8);
        self.binary(value);
    }

    /// Begins a structure as a field; [`end`](Self::end) ends it.
    pub(crate) fn begin(&mut self, id: i16) {
        self.field(id, 12);
        self.begin_element();
    }

    /// Begins a structure as an element of a list.
    pub(crate) fn begin_element(&mut self) {
        self.outer.push(std::mem::take(&mut self.last));
    }

    /// Ends a structure.
    pub(crate) fn end(&mut self) {
        self.bytes.push(0);
        self.last = self.outer.pop().unwrap_or(0);
    }

    /// Begins a list of so many elements, which follow.
    pub(crate) fn list(&mut self, id: i16, of: Of, length: usize) {
        self.field(id, 9);
        match length {
            ..15 => self.bytes.push((length as u8) << 4 | of as u8),
            _ => {
                self.bytes.push(0xF0 | of as u8);
                unsigned(&mut self.bytes, length as u64);
            }
        }
    }

    /// An element that is a number.
    pub(crate) fn int(&mut self, value: i64) {
        unsigned(&mut self.bytes, (value << 1 ^ value >> 63) as u64);
    }

    /// An element that is text.
    pub(crate) fn binary(&mut self, value: &str) {
        unsigned(&mut self.bytes, value.len() as u64);
        self.bytes.extend_from_slice(value.as_bytes());
    }
}

/// Seven bits a byte, the lowest first.
pub(crate) fn unsigned(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
