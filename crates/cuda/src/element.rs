//! The number types of a card's values.

/// A number type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// Bytes.
    U8,
    /// Small counts.
    U16,
    /// The upper half of a float32.
    Bf16,
    /// Places.
    I32,
    /// Float32.
    F32,
    /// Sums that lose nothing.
    F64,
}

impl Element {
    /// Bytes of a value.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 | Self::Bf16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// As C++ spells it.
    ///
    /// # Panics
    /// For what no kernel has features of.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "float",
            Self::Bf16 => "bf16",
            other => panic!("features are float32 or bfloat16, not {other:?}"),
        }
    }

    /// Values of sixteen bytes, which one instruction loads.
    pub(crate) fn pack(self) -> usize {
        16 / self.bytes()
    }
}
