//! Whether a JPEG file is complete.
//!
//! The decoder takes a file that was cut short for a whole one and fills the rest with grey, as
//! browsers do; such a picture would then be trained on unnoticed.

use crate::error::DecodeError;

const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;

/// Checks that an end marker follows the picture's data. Markers inside segments (a thumbnail's)
/// do not count, and data after the end, which cameras append, is no fault.
pub(super) fn check_complete(bytes: &[u8]) -> Result<(), DecodeError> {
    // After the start marker FF D8.
    let mut at = 2;
    loop {
        // The next marker: FF, then a byte that is neither a stuffed 00 nor another FF. Between
        // segments it comes at once; in a scan's data restart markers D0 to D7 are passed over.
        at += bytes[at.min(bytes.len())..]
            .windows(2)
            .position(|pair| {
                pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0x01 | 0xD0..=0xD7 | 0xFF)
            })
            .ok_or(DecodeError::Truncated)?;
        let marker = bytes[at + 1];
        at += 2;
        match marker {
            EOI => return Ok(()),
            // A second start marker has no length.
            0xD8 => {}
            _ => {
                let length = bytes.get(at..at + 2).ok_or(DecodeError::Truncated)?;
                let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                // The length counts its own two bytes. A shorter one is the decoder's to refuse.
                at += length.max(2);
                if marker != SOS && at > bytes.len() {
                    return Err(DecodeError::Truncated);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_picture_s_own_end_counts() {
        let scan = [0xFF, SOS, 0, 3, 9, 1, 2, 0xFF, 0, 3, 0xFF, 0xD4, 5];
        let thumbnail = [0xFF, 0xE1, 0, 6, 0xFF, EOI, 0xFF, EOI];
        let cut = [&[0xFF, 0xD8][..], &thumbnail, &scan].concat();
        assert!(matches!(check_complete(&cut), Err(DecodeError::Truncated)));
        let whole = [&cut[..], &[0xFF, EOI], b"appended"].concat();
        assert!(check_complete(&whole).is_ok());
        // Two scans with a table between them whose content looks like an end.
        let table = [0xFF, 0xC4, 0, 4, 0xFF, EOI];
        let two = [&[0xFF, 0xD8][..], &scan, &table, &scan].concat();
        assert!(matches!(check_complete(&two), Err(DecodeError::Truncated)));
        for length in 0..whole.len() - 9 {
            assert!(check_complete(&whole[..length]).is_err(), "{length} bytes");
        }
    }
}
