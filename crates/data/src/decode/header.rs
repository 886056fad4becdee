//! What a file's header says of its values.

use std::io::Cursor;

use image::{ExtendedColorType, ImageDecoder, ImageFormat, ImageReader};

use super::failure::{caught, reason};
use super::kind::{FileKind, Numbers};
use super::limits::{HEADER_BYTES, Limits, decoder_limits};
use super::{jpeg, other, tiff};
use crate::error::DecodeError;

/// The kind of a picture file, from its first bytes and header.
pub(crate) fn kind(bytes: &[u8], limits: &Limits) -> Result<FileKind, DecodeError> {
    let full = tiff::with_full_first(bytes);
    let bytes = full.as_deref().unwrap_or(bytes);
    caught(|| match tiff::kind(bytes, limits)? {
        Some(kind) => Ok(kind),
        None => ordinary(bytes, limits),
    })
}

fn ordinary(bytes: &[u8], limits: &Limits) -> Result<FileKind, DecodeError> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let known = reader.format().filter(ImageFormat::reading_enabled);
    let format = match known.ok_or_else(|| other::what(bytes))? {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Bmp => "BMP",
        _ => "other",
    };
    reader.limits(decoder_limits(HEADER_BYTES.min(limits.bytes)));
    let color = match reader.into_decoder() {
        Ok(decoder) => decoder.original_color_type(),
        Err(error) => {
            let shape = jpeg::shape(bytes).filter(|_| format == "JPEG");
            let (channels, bits) = shape.ok_or_else(|| reason(error))?;
            return Ok(FileKind { format, channels, bits, numbers: Numbers::Unsigned, pages: 1 });
        }
    };
    let channels = u32::from(color.channel_count()).max(1);
    let bits = u32::from(color.bits_per_pixel()) / channels;
    let numbers = match color {
        ExtendedColorType::Rgb32F | ExtendedColorType::Rgba32F => Numbers::Float,
        _ => Numbers::Unsigned,
    };
    Ok(FileKind { format, channels, bits, numbers, pages: 1 })
}
