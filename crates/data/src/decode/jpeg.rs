//! JPEG files: their pixels as libjpeg-turbo gives them, and whether a file is complete.
//!
//! A decoder takes a file that was cut short for a whole one and fills the rest with grey, as
//! browsers do; such a picture would then be trained on unnoticed.

use image::{ColorType, DynamicImage, GrayImage, RgbImage};
use libjpeg_turbo_rs::{DecodeLimits, Decoder, PixelFormat, ScalingFactor};

use super::failure::caught;
use super::limits::Limits;
use crate::error::DecodeError;

/// The pixels as libjpeg-turbo has them, and so Pillow and what is trained with it: the standard
/// leaves the rounding of colours open, and networks see the difference. `None` for what this
/// decoder does not take without a warning, which is left to the general one: damage, rare kinds.
///
/// With `least_side`, at a half, a quarter or an eighth of the size while the short side keeps so
/// many pixels: Pillow's `draft`. Most of the work is left out, not done and thrown away.
pub(super) fn pixels(
    bytes: &[u8],
    color: ColorType,
    limits: &Limits,
    least_side: Option<u32>,
) -> Option<DynamicImage> {
    let format = match color {
        ColorType::L8 => PixelFormat::Grayscale,
        ColorType::Rgb8 => PixelFormat::Rgb,
        _ => return None,
    };
    let limits = DecodeLimits {
        max_pixels: limits.pixels,
        // As much as the general decoder gets: its own buffers come beside the output.
        max_memory: Some(limits.bytes.saturating_mul(2)),
        ..DecodeLimits::default()
    };
    let mut decoder = Decoder::new_with_limits(bytes, limits).ok()?;
    decoder.set_output_format(format);
    decoder.set_stop_on_warning(true);
    let header = decoder.header();
    let short = u32::from(header.width.min(header.height));
    let divisor =
        [8, 4, 2].into_iter().find(|&by| short.div_ceil(by) >= least_side.unwrap_or(u32::MAX));
    if let Some(divisor) = divisor {
        decoder.set_scale(ScalingFactor::try_new(1, divisor).ok()?);
    }
    // It panics at some that are rare and sound, such as CMYK with a colour in more detail than the first.
    let image = caught(|| Ok(decoder.decode_image().ok())).ok()??;
    let (width, height) = (image.width as u32, image.height as u32);
    if format == PixelFormat::Grayscale {
        GrayImage::from_raw(width, height, image.data).map(DynamicImage::ImageLuma8)
    } else {
        RgbImage::from_raw(width, height, image.data).map(DynamicImage::ImageRgb8)
    }
}

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
