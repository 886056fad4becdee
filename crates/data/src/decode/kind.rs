//! What a file's header says of its values.

use std::io::Cursor;

use image::{ExtendedColorType, ImageDecoder, ImageFormat, ImageReader};
use serde::Serialize;

use super::{HEADER_BYTES, Limits, caught, decoder_limits, reason, tiff};
use crate::error::DecodeError;

/// How a file stores its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Numbers {
    /// Whole numbers from 0.
    Unsigned,
    /// Whole numbers of either sign.
    Signed,
    /// Floating point.
    Float,
    /// None of these.
    Other,
}

/// What a picture file holds, by its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FileKind {
    /// JPEG, PNG and so on.
    pub format: &'static str,
    /// Channels, transparency counted; of a TIFF file of like pages of one channel, the pages.
    pub channels: u32,
    /// Bits of a value.
    pub bits: u32,
    /// What the values are.
    pub numbers: Numbers,
}

/// The kind of a picture file, from its first bytes and header.
pub(crate) fn kind(bytes: &[u8], limits: &Limits) -> Result<FileKind, DecodeError> {
    caught(|| match tiff::kind(bytes, limits)? {
        Some(kind) => Ok(kind),
        None => ordinary(bytes, limits),
    })
}

fn ordinary(bytes: &[u8], limits: &Limits) -> Result<FileKind, DecodeError> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let format = match reader.format().ok_or(DecodeError::UnknownFormat)? {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Bmp => "BMP",
        _ => "other",
    };
    reader.limits(decoder_limits(HEADER_BYTES.min(limits.bytes)));
    let color = reader.into_decoder().map_err(reason)?.original_color_type();
    let channels = u32::from(color.channel_count()).max(1);
    let bits = u32::from(color.bits_per_pixel()) / channels;
    let numbers = match color {
        ExtendedColorType::Rgb32F | ExtendedColorType::Rgba32F => Numbers::Float,
        _ => Numbers::Unsigned,
    };
    Ok(FileKind { format, channels, bits, numbers })
}
