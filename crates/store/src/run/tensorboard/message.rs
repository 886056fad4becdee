//! Protocol buffers, as far as event files need them: messages are written, never read.
//!
//! A field is its number and wire type in one varint, then its value. Fields are added in the order of
//! their numbers, so that the bytes are those that other writers give.

/// The values after a field's number, by how long they are.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    EightBytes = 1,
    Counted = 2,
    FourBytes = 5,
}

/// A message in the making.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Of type int32, int64, uint64, enum.
    pub(super) fn integer(mut self, field: u32, value: u64) -> Self {
        self.key(field, Wire::Varint);
        self.varint(value);
        self
    }

    pub(super) fn double(mut self, field: u32, value: f64) -> Self {
        self.key(field, Wire::EightBytes);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn float(mut self, field: u32, value: f32) -> Self {
        self.key(field, Wire::FourBytes);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Of type string or bytes.
    pub(super) fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.key(field, Wire::Counted);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    pub(super) fn message(self, field: u32, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn key(&mut self, field: u32, wire: Wire) {
        self.varint(u64::from(field) << 3 | wire as u64);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}
