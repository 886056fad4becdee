//! The decoder of a file's bytes, and what its errors mean.

use std::borrow::Cow;
use std::io::{Cursor, ErrorKind};

use tiff::TiffError;
use tiff::decoder::Decoder;

use super::directory::Directory;
use super::page::{BLACK_IS_ZERO, PHOTOMETRIC};
use crate::decode::limits::Limits;
use crate::error::DecodeError;

pub(super) const CLAIM: &str = "a part of it claims to be larger than it can be";

pub(super) type Source<'a> = Decoder<Cursor<Cow<'a, [u8]>>>;

pub(super) fn decoder<'a>(
    bytes: Cow<'a, [u8]>,
    limits: &Limits,
) -> Result<Source<'a>, DecodeError> {
    let mut own = tiff::decoder::Limits::default();
    own.decoding_buffer_size = usize::try_from(limits.bytes).unwrap_or(usize::MAX);
    // No part of a file is larger than the file.
    own.intermediate_buffer_size = bytes.len();
    Ok(Decoder::new(Cursor::new(bytes)).map_err(reason)?.with_limits(own))
}

pub(super) fn reason(error: TiffError) -> DecodeError {
    match error {
        TiffError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            DecodeError::Truncated
        }
        TiffError::IoError(error) => DecodeError::Malformed(error.to_string()),
        TiffError::UnsupportedError(_) => DecodeError::Unsupported(
            "a TIFF file of a rare kind, such as one whose channels have different numbers of bits; write \
             it as RGB or as bands of 8 or 16 bits, compressed with deflate or LZW"
                .to_owned(),
        ),
        TiffError::LimitsExceeded => {
            DecodeError::Malformed(CLAIM.to_owned())
        }
        other => DecodeError::Malformed(other.to_string()),
    }
}

/// The file with its first page called bands instead of colours.
pub(super) fn as_bands<'a>(bytes: &[u8], limits: &Limits) -> Result<Source<'a>, DecodeError> {
    let entry = Directory::all(bytes).next().and_then(|directory| directory.find(PHOTOMETRIC));
    let at = entry.and_then(|entry| entry.short_at());
    let mut bytes = bytes.to_vec();
    let big_endian = bytes.first() == Some(&b'M');
    let slot = at.and_then(|at| bytes.get_mut(at..at + 2)).ok_or_else(|| {
        DecodeError::Malformed("the kind of its colours is not a short number".to_owned())
    })?;
    let kind = if big_endian { BLACK_IS_ZERO.to_be_bytes() } else { BLACK_IS_ZERO.to_le_bytes() };
    slot.copy_from_slice(&kind);
    decoder(Cow::Owned(bytes), limits)
}
