//! What can be wrong with a file.

use ::safetensors::tensor::Dtype;

/// Longest header that is read, in bytes. The largest model of this project, with its optimizer's
/// moments, needs about 200 KB; the format itself allows 100 MB, which is of use to an attacker only.
pub const MAX_HEADER_BYTES: u64 = 16 << 20;

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// Shorter than the header's length.
    #[error("it is {0} bytes long and needs at least 8")]
    TooShort(u64),
    /// The header is longer than [`MAX_HEADER_BYTES`].
    #[error("its header claims {0} bytes; at most {MAX_HEADER_BYTES} are read")]
    HeaderTooLong(u64),
    /// The header ends beyond the file.
    #[error("its header claims {claimed} bytes and {left} are left in the file")]
    HeaderCut {
        /// The header's length as claimed.
        claimed: u64,
        /// Bytes after the length.
        left: u64,
    },
    /// The header is not UTF-8.
    #[error("its header is not UTF-8: {0}")]
    NotUtf8(std::str::Utf8Error),
    /// The header is not JSON of the right form, or byte ranges overlap, leave gaps, overflow or
    /// disagree with shape and element type.
    #[error("its header is wrong: {0}")]
    Header(serde_json::Error),
    /// The values end before or after the end of the file.
    #[error("its header describes {described} bytes of values and the file holds {found}")]
    Length {
        /// Bytes that the header describes.
        described: u64,
        /// Bytes after the header.
        found: u64,
    },
    /// An element type other than F32, F16, BF16 and F64.
    #[error("tensor `{name}` is {dtype}; F32, F16, BF16 and F64 are read")]
    ElementType {
        /// The tensor.
        name: String,
        /// Its element type.
        dtype: Dtype,
    },
    /// More values than memory.
    #[error("tensor `{name}` of shape {shape:?} does not fit into memory")]
    TooLarge {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
}
