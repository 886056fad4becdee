//! What a picture may cost.

use fcmae_files::Limit;

use crate::error::DecodeError;

/// What a picture may cost. A file beyond any of these is refused from its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest width · height.
    pub pixels: u64,
    /// Most bytes of a file, and of its decoded pixels as stored in it (a 16-bit RGBA pixel takes
    /// eight); of a deep picture also in float32.
    pub bytes: u64,
}

impl Default for Limits {
    /// 100 million pixels and 512 MiB.
    fn default() -> Self {
        Self { pixels: 100_000_000, bytes: 512 << 20 }
    }
}

impl Limits {
    /// How much of a picture's file is read.
    pub(super) fn of_files(&self) -> Limit {
        Limit { bytes: self.bytes, mend: "shrink the picture first" }
    }
}

/// Most bytes that a decoder may allocate while it reads a header: colour profiles and the like
/// can be compressed bombs too.
pub(super) const HEADER_BYTES: u64 = 16 << 20;

pub(crate) fn check(what: &'static str, value: u64, limit: u64) -> Result<(), DecodeError> {
    if value > limit { Err(DecodeError::TooLarge { what, value, limit }) } else { Ok(()) }
}

pub(super) fn decoder_limits(max_alloc: u64) -> image::Limits {
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(max_alloc);
    limits
}
