//! The decoder of a file's bytes, and what its errors mean.

use std::borrow::Cow;
use std::io::{Cursor, ErrorKind};

use tiff::TiffError;
use tiff::decoder::Decoder;

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
