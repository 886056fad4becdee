//! Thrift's compact protocol, in which Parquet writes its footer and the header of each page.
//!
//! Reads from bytes that are in memory, so that no number in them can ask for more than there is.

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// They end before the structure does.
    Short,
    /// They break the protocol.
    Broken,
}

/// Deepest nesting of what is passed over.
const DEPTH: usize = 32;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    True,
    False,
    Byte,
    /// Of 16, 32 or 64 bits: all are written alike.
    Int,
    Double,
    Binary,
    /// Or a set, written alike.
    List,
    Map,
    Struct,
}

impl Kind {
    fn new(code: u8) -> Result<Self, Flaw> {
        Ok(match code {
            1 => Self::True,
            2 => Self::False,
            3 => Self::Byte,
            4..=6 => Self::Int,
            7 => Self::Double,
            8 => Self::Binary,
            9 | 10 => Self::List,
            11 => Self::Map,
            12 => Self::Struct,
            _ => return Err(Flaw::Broken),
        })
    }
}

/// Bytes that are still to be read.
#[derive(Clone, Copy)]
pub(crate) struct Thrift<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Thrift<'a> {
    /// Reads a structure. `field` gets each field's number and kind, and says whether it read its
    /// value; what it did not read is passed over.
    pub(crate) fn fields(
        &mut self,
        mut field: impl FnMut(&mut Self, i16, Kind) -> Result<bool, Flaw>,
    ) -> Result<(), Flaw> {
        let mut id = 0;
        while let Some((next, kind)) = self.field(id)? {
            id = next;
            if !field(self, id, kind)? {
                self.pass(kind, 0)?;
            }
        }
        Ok(())
    }

    /// The number and kind of the next field, or `None` at a structure's end.
    fn field(&mut self, last: i16) -> Result<Option<(i16, Kind)>, Flaw> {
        let byte = self.byte()?;
        if byte == 0 {
            return Ok(None);
        }
        let id = match byte >> 4 {
            0 => i16::try_from(self.int()?).map_err(|_| Flaw::Broken)?,
            step => last.checked_add(i16::from(step)).ok_or(Flaw::Broken)?,
        };
        Ok(Some((id, Kind::new(byte & 15)?)))
    }

    pub(crate) fn int(&mut self) -> Result<i64, Flaw> {
        let raw = self.unsigned()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    pub(crate) fn binary(&mut self) -> Result<&'a [u8], Flaw> {
        let length = self.unsigned()?;
        self.take(usize::try_from(length).map_err(|_| Flaw::Broken)?)
    }

    /// The number and kind of a list's elements. Each takes at least one byte.
    pub(crate) fn list(&mut self) -> Result<(usize, Kind), Flaw> {
        let byte = self.byte()?;
        if byte == 0 {
            // Some writers give an empty list no kind.
            return Ok((0, Kind::Byte));
        }
        let kind = Kind::new(byte & 15)?;
        let length = match byte >> 4 {
            15 => usize::try_from(self.unsigned()?).map_err(|_| Flaw::Broken)?,
            length => usize::from(length),
        };
        if length > self.rest.len() { Err(Flaw::Short) } else { Ok((length, kind)) }
    }

    /// Passes over a value.
    pub(crate) fn pass(&mut self, kind: Kind, depth: usize) -> Result<(), Flaw> {
        if depth > DEPTH {
            return Err(Flaw::Broken);
        }
        match kind {
            Kind::True | Kind::False => {}
            Kind::Byte => _ = self.byte()?,
            Kind::Int => _ = self.unsigned()?,
            Kind::Double => _ = self.take(8)?,
            Kind::Binary => _ = self.binary()?,
            Kind::List => {
                let (length, kind) = self.list()?;
                for _ in 0..length {
                    self.pass_element(kind, depth)?;
                }
            }
            Kind::Map => {
                let length = self.unsigned()?;
                if length > 0 {
                    let kinds = self.byte()?;
                    let (key, value) = (Kind::new(kinds >> 4)?, Kind::new(kinds & 15)?);
                    for _ in 0..length {
                        self.pass_element(key, depth)?;
                        self.pass_element(value, depth)?;
                    }
                }
            }
            Kind::Struct => {
                let mut id = 0;
                while let Some((next, kind)) = self.field(id)? {
                    id = next;
                    self.pass(kind, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    /// Inside a list a truth value is a byte of its own.
    fn pass_element(&mut self, kind: Kind, depth: usize) -> Result<(), Flaw> {
        match kind {
            Kind::True | Kind::False => self.byte().map(|_| ()),
            kind => self.pass(kind, depth + 1),
        }
    }

    fn byte(&mut self) -> Result<u8, Flaw> {
        Ok(self.take(1)?[0])
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Flaw> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Flaw::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Seven bits a byte, the lowest first.
    fn unsigned(&mut self) -> Result<u64, Flaw> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Flaw::Broken)
    }
}
