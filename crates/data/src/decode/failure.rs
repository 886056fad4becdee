//! What decoders say when they fail, or panic, as reasons.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fcmae_words::panic_text;
use image::ImageError;

use crate::error::DecodeError;
use crate::words::printable;

/// Runs `work`, with a panic turned into an error.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    // What a panic leaves half done is dropped with it: nothing outside is written to.
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(DecodeError::Panicked(one_line(panic_text(panic.as_ref())))))
}

pub(super) fn reason(error: ImageError) -> DecodeError {
    match error {
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            DecodeError::Truncated
        }
        ImageError::IoError(error) => DecodeError::Malformed(one_line(error)),
        ImageError::Unsupported(error) => DecodeError::Unsupported(one_line(error)),
        ImageError::Limits(error) => DecodeError::Unsupported(format!(
            "it takes too much memory to read ({})",
            one_line(error)
        )),
        other => DecodeError::Malformed(plain(one_line(other))),
    }
}

/// What the PNG decoder says of data that was changed, without numbers that differ by file, so that files of one reason
/// are told together.
fn plain(words: String) -> String {
    let changed = ["CRC error", "Corrupt deflate stream", "Unknown filter method"];
    match words.contains("decoding Png") && changed.iter().any(|word| words.contains(word)) {
        true => {
            "a checksum of the PNG or its compressed data is wrong, so that some of it was changed or lost; fetch or \
             write it again"
                .to_owned()
        }
        false => words,
    }
}

/// A decoder's words on one line: some end in a line break, and a reason is one line of a list.
fn one_line(words: impl ToString) -> String {
    printable(Path::new(words.to_string().trim()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_panic_in_a_decoder_becomes_a_reason() {
        let error = caught::<()>(|| panic!("index {} out of range", 7)).unwrap_err();
        assert!(error.to_string().contains("index 7 out of range"), "{error}");
    }
}
