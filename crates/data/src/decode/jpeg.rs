//! JPEG files: their pixels as libjpeg-turbo gives them, and whether a file is complete.
//!
//! A decoder takes a file that was cut short for a whole one and fills the rest with grey, as
//! browsers do; such a picture would then be trained on unnoticed.

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, GrayImage, RgbImage};
use libjpeg_turbo_rs::{DecodeLimits, DecodeWarning, Decoder, PixelFormat, ScalingFactor};

use super::failure::caught;
use super::limits::{Limits, Need};
use crate::error::DecodeError;
use crate::remark::Remark;

/// The pixels as libjpeg-turbo has them, and so Pillow and what is trained with it: the standard
/// leaves the rounding of colours open, and networks see the difference. `None` for what this
/// decoder does not take, which is left to the general one: rare kinds.
///
/// With `least_side`, at a half, a quarter or an eighth of the size while the short side keeps so
/// many pixels: Pillow's `draft`. Most of the work is left out, not done and thrown away.
pub(super) fn pixels(
    bytes: &[u8],
    color: ColorType,
    limits: &Limits,
    least_side: Option<u32>,
    remarks: &mut Vec<Remark>,
) -> Option<DynamicImage> {
    let format = match color {
        ColorType::L8 => PixelFormat::Grayscale,
        ColorType::Rgb8 => PixelFormat::Rgb,
        _ => return None,
    };
    let mut decoder = decoder(bytes, format, limits, least_side)?;
    // Of more than three components the general decoder makes colours.
    if decoder.header().components.len() > 3 {
        return None;
    }
    decoder.set_stop_on_warning(true);
    // It panics at some that are rare and sound, such as CMYK with a colour in more detail than the first.
    match caught(|| Ok(decoder.decode_image().ok())) {
        Ok(Some(image)) => image_of(image, format),
        Ok(None) | Err(_) => damaged(bytes, format, limits, least_side, remarks).or_else(|| {
            let what = "another decoder read it, whose colours differ a little".to_owned();
            remarks.push(Remark::Damaged { what });
            None
        }),
    }
}

/// A decoder set to the size that is wanted.
fn decoder<'a>(
    bytes: &'a [u8],
    format: PixelFormat,
    limits: &Limits,
    least_side: Option<u32>,
) -> Option<Decoder<'a>> {
    let limits = DecodeLimits {
        max_pixels: limits.pixels,
        // As much as the general decoder gets: its own buffers come beside the output.
        max_memory: Some(limits.bytes.saturating_mul(2)),
        ..DecodeLimits::default()
    };
    let mut decoder = Decoder::new_with_limits(bytes, limits).ok()?;
    decoder.set_output_format(format);
    let header = decoder.header();
    let short = u32::from(header.width.min(header.height));
    let divisor =
        [8, 4, 2].into_iter().find(|&by| short.div_ceil(by) >= least_side.unwrap_or(u32::MAX));
    if let Some(divisor) = divisor {
        decoder.set_scale(ScalingFactor::try_new(1, divisor).ok()?);
    }
    Some(decoder)
}

fn image_of(image: libjpeg_turbo_rs::Image, format: PixelFormat) -> Option<DynamicImage> {
    let (width, height) = (image.width as u32, image.height as u32);
    if format == PixelFormat::Grayscale {
        GrayImage::from_raw(width, height, image.data).map(DynamicImage::ImageLuma8)
    } else {
        RgbImage::from_raw(width, height, image.data).map(DynamicImage::ImageRgb8)
    }
}

/// A file that libjpeg reads with a warning, as libjpeg reads it. Bytes between segments cost nothing
/// and are no remark.
fn damaged(
    bytes: &[u8],
    format: PixelFormat,
    limits: &Limits,
    least_side: Option<u32>,
    remarks: &mut Vec<Remark>,
) -> Option<DynamicImage> {
    let restarted = with_lost_restarts(bytes);
    let mut decoder = decoder(restarted.as_deref().unwrap_or(bytes), format, limits, least_side)?;
    decoder.set_lenient(true);
    let image = caught(|| Ok(decoder.decode_image().ok())).ok()??;
    let unread = |warning: &DecodeWarning| match warning {
        DecodeWarning::UnsupportedRecovered { .. } => true,
        // What has no end is no picture.
        DecodeWarning::TruncatedData { decoded_mcus, .. } => *decoded_mcus == 0,
        _ => false,
    };
    if image.warnings.iter().any(unread) {
        return None;
    }
    let warning = image.warnings.iter().find_map(|warning| match warning {
        DecodeWarning::ExtraneousData { .. } => None,
        DecodeWarning::HuffmanError { mcu_x, mcu_y, .. } => {
            Some(format!("codes are wrong at block {mcu_x}, {mcu_y}"))
        }
        DecodeWarning::TruncatedData { decoded_mcus, total_mcus } => {
            Some(format!("data is missing after {decoded_mcus} of {total_mcus} blocks"))
        }
        _ => Some("parts of it are missing".to_owned()),
    });
    remarks.extend(warning.map(|what| Remark::Damaged { what }));
    image_of(image, format)
}

/// The file with each restart marker that is missing put before the next one, so that what followed
/// the missing one is grey, as libjpeg leaves it, and all that follows is in its place. `None` where
/// none is missing.
fn with_lost_restarts(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::with_capacity(bytes.len() + 16);
    let (mut from, mut expected, mut in_scan) = (0, 0, false);
    let mut at = 2;
    while let Some(&[first, marker]) = bytes.get(at..at + 2) {
        if first != 0xFF || matches!(marker, 0x00 | 0xFF) {
            at += 1;
            continue;
        }
        match marker {
            0xD0..=0xD7 if in_scan => {
                let found = marker - 0xD0;
                // One or two may be lost; more are damage of another kind.
                for number in 0..(found + 8 - expected) % 8 {
                    if (found + 8 - expected) % 8 > 2 {
                        break;
                    }
                    whole.extend_from_slice(&bytes[from..at]);
                    whole.extend([0xFF, 0xD0 + (expected + number) % 8]);
                    from = at;
                }
                expected = (found + 1) % 8;
                at += 2;
            }
            SOS => (in_scan, expected, at) = (true, 0, at + 2),
            _ => at += 2,
        }
    }
    if whole.is_empty() {
        return None;
    }
    whole.extend_from_slice(&bytes[from..]);
    Some(whole)
}

/// A file that the general decoder does not take, with its `reason`: arithmetic coding, odd sampling,
/// which libjpeg-turbo reads. Upright.
pub(super) fn rare(
    bytes: &[u8],
    limits: &Limits,
    least_side: Option<u32>,
    remarks: &mut Vec<Remark>,
    reason: DecodeError,
) -> Result<DynamicImage, DecodeError> {
    check_complete(bytes).map_err(|short| match frame(bytes) {
        // Its data has other markers.
        Some((JPEG_LS, _)) => named(bytes).unwrap_or(short),
        _ => short,
    })?;
    let header = match Decoder::new(bytes) {
        Ok(decoder) => decoder,
        Err(_) => return Err(named(bytes).unwrap_or(reason)),
    };
    let orientation = header.exif_orientation().and_then(Orientation::from_exif);
    let (pixels, components) = {
        let frame = header.header();
        let pixels = u64::from(frame.width) * u64::from(frame.height);
        (pixels, frame.components.len())
    };
    if pixels == 0 || frame_is_rare(&header) {
        return Err(named(bytes).unwrap_or(reason));
    }
    limits.check(&[
        Need::pixels(pixels),
        Need::bytes("the decoded size in bytes", pixels.saturating_mul(components as u64)),
    ])?;
    let color = match components {
        1 => ColorType::L8,
        3 => ColorType::Rgb8,
        _ => return Err(named(bytes).unwrap_or(reason)),
    };
    let told = remarks.len();
    let Some(mut image) = self::pixels(bytes, color, limits, least_side, remarks) else {
        // There is no other decoder.
        remarks.truncate(told);
        return Err(named(bytes).unwrap_or(reason));
    };
    image.apply_orientation(orientation.unwrap_or(Orientation::NoTransforms));
    Ok(image)
}

/// Frames that are not read to 8-bit pixels.
fn frame_is_rare(decoder: &Decoder<'_>) -> bool {
    decoder.header().precision != 8 || decoder.header().is_lossless
}

/// The marker of a file's frame, and where it is.
fn frame(bytes: &[u8]) -> Option<(u8, usize)> {
    let mut at = 2;
    loop {
        at += bytes.get(at..)?.windows(2).position(|pair| {
            pair[0] == 0xFF && matches!(pair[1], 0xC0..=0xFE) && !matches!(pair[1], 0xD0..=0xD9)
        })?;
        let marker = bytes[at + 1];
        if !matches!(marker, 0xC4 | 0xC8 | 0xCC) && marker < 0xD0 || marker == JPEG_LS {
            return Some((marker, at));
        }
        if marker == SOS {
            return None;
        }
        let length = bytes.get(at + 2..at + 4)?;
        at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
    }
}

/// Channels and bits of a value, by a file's frame.
pub(super) fn shape(bytes: &[u8]) -> Option<(u32, u32)> {
    let (_, at) = frame(bytes)?;
    let number = |at: usize| bytes.get(at).copied().map(u32::from).filter(|&number| number > 0);
    Some((number(at + 9)?, number(at + 4)?))
}

/// What kind of JPEG it is that is not read, by the marker of its frame.
fn named(bytes: &[u8]) -> Option<DecodeError> {
    let (marker, at) = frame(bytes)?;
    let precision = bytes.get(at + 4).copied();
    // After size and number of components, each has its number, its sampling and its table.
    let components = bytes.get(at + 10..).unwrap_or_default().chunks_exact(3);
    let odd = |factors: u8| [factors >> 4, factors & 15].iter().any(|f| !f.is_power_of_two());
    let count = bytes.get(at + 9).copied().unwrap_or(0).into();
    let is_odd = components.take(count).any(|component| odd(component[1]));
    let what = match marker {
        JPEG_LS => "JPEG-LS",
        0xC3 | 0xC7 | 0xCB | 0xCF => "lossless JPEG",
        0xC5 | 0xC6 | 0xCD | 0xCE => "hierarchical JPEG",
        _ if precision == Some(12) => "JPEG of 12 bits",
        0xC9 | 0xCA => "JPEG with arithmetic coding",
        _ if is_odd => "JPEG with a rare sampling of colours",
        _ => return None,
    };
    // What has other values than of 8 bits is no plain JPEG without a loss.
    let remedy = match marker {
        0xC9 | 0xCA if precision == Some(8) => {
            "make it a plain JPEG (jpegtran -optimize), or a PNG"
        }
        _ if is_odd && precision == Some(8) => "convert it to JPEG or PNG",
        _ => "convert it to PNG or TIFF",
    };
    Some(DecodeError::Unsupported(format!("{what} of a kind that is not read; {remedy}")))
}

const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const JPEG_LS: u8 = 0xF7;

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
