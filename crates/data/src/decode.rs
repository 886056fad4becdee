//! One file to one [`Picture`].
//!
//! The format is told by the content, never by the name. Size limits are checked on the header,
//! before anything is allocated for pixels. Orientation (EXIF) is applied, transparency lies on
//! white, of an animation the first frame is taken.
//!
//! In 8-bit pictures 16-bit values become 8-bit, and floats of 0 to 1, or whole ones of 0 to 255. What
//! 8 bits cannot hold is refused. Deep pictures keep a file's values and channels:
//! - unsigned numbers are divided by the largest that their kind can hold (255, 65535, 2³² − 1);
//!   signed numbers and floats stand as they are, in float32;
//! - a TIFF file, BigTIFF included, may hold any number of channels, side by side or in planes, in
//!   strips or tiles. Where its pages have one channel each, are alike, and are as many as channels
//!   are asked for, as microscopes and ImageJ write them, each is a channel. Reduced copies and masks
//!   among the pages are passed over;
//! - grey becomes RGB and RGB grey where that is asked for, transparency goes, and so do bands beside
//!   RGB. Any other number of channels than the one asked for is refused.
//!
//! A value that is NaN, infinite or beyond ±10³⁰ refuses the picture, but where the file declares it
//! to mean that there is no data (`GDAL_NODATA`), or [`Limits`] say what to fill it with: what has no
//! data is 0, and left out of statistics.
//!
//! Whatever is left out, filled or read in another way than plain is a
//! [`Remark`] of the picture.

use std::io::Cursor;
use std::path::Path;

use fcmae_files::Unusable;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use crate::error::{DataError, DecodeError};
use crate::picture::{Depth, Picture, PixelFormat};
use crate::remark::Remark;

mod color;
mod deep;
mod eight;
mod failure;
mod fill;
mod frames;
mod header;
mod jpeg;
mod kind;
mod limits;
mod other;
mod scan;
mod tiff;
mod wide;

pub(crate) use deep::Decoded;
pub(crate) use failure::caught;
use failure::reason;
pub use fill::Fill;
pub(crate) use header::kind;
pub use kind::{FileKind, Numbers};
pub use limits::Limits;
pub(crate) use limits::Need;
use limits::{HEADER_BYTES, decoder_limits};
pub(crate) use scan::flaw;
use tiff::Tiff;
pub(crate) use tiff::{Bytes, Pages, Stretch, alone, is_tiff, pages};
pub(crate) use tiff::{is_geo, scale};

/// Reads and decodes a file. A number for `format` asks for so many channels of 8 bits.
///
/// # Errors
/// [`DataError::Picture`] naming the file and the reason; [`DataError::Parameter`] for a number of
/// channels that the depth does not allow.
pub fn open(
    path: &Path,
    format: impl Into<PixelFormat>,
    limits: &Limits,
) -> Result<Picture, DataError> {
    let format = format.into();
    format.check()?;
    let picture = read_file(path, limits).and_then(|bytes| decode(&bytes, format, limits));
    picture.map_err(|source| DataError::Picture { path: path.to_path_buf(), source })
}

/// A whole file.
pub(crate) fn read_file(path: &Path, limits: &Limits) -> Result<Vec<u8>, DecodeError> {
    fcmae_files::bytes(path, limits.of_files()).map_err(|error| match error {
        Unusable::TooLong { length, .. } => {
            let need = Need::bytes("the file's size in bytes", length);
            limits.check(&[need]).err().unwrap_or(error.into())
        }
        other => other.into(),
    })
}

/// Decodes a picture file's bytes. A number for `format` asks for so many channels of 8 bits.
///
/// # Errors
/// [`DecodeError`]; a panic inside a decoder is caught and becomes one.
pub fn decode(
    bytes: &[u8],
    format: impl Into<PixelFormat>,
    limits: &Limits,
) -> Result<Picture, DecodeError> {
    decode_checked(bytes, format.into(), limits, None)
}

/// As [`decode`], for a picture of which a reduced copy will do: JPEG files are decoded at a half, a
/// quarter or an eighth of their size, the smallest whose short side has `least_side` pixels or more,
/// in a fraction of the time. The values are those of Pillow's `draft`.
///
/// # Errors
/// As [`decode`].
pub fn decode_reduced(
    bytes: &[u8],
    format: impl Into<PixelFormat>,
    limits: &Limits,
    least_side: u32,
) -> Result<Picture, DecodeError> {
    decode_checked(bytes, format.into(), limits, Some(least_side))
}

/// As [`decode`], or with `least_side` as [`decode_reduced`].
pub(crate) fn decode_checked(
    bytes: &[u8],
    format: PixelFormat,
    limits: &Limits,
    least_side: Option<u32>,
) -> Result<Picture, DecodeError> {
    with_gaps(bytes, format, limits, least_side).map(|decoded| decoded.picture)
}

/// As [`decode_checked`], with where the picture has no data.
pub(crate) fn with_gaps(
    bytes: &[u8],
    format: PixelFormat,
    limits: &Limits,
    least_side: Option<u32>,
) -> Result<Decoded, DecodeError> {
    format.check().map_err(|error| DecodeError::Unsupported(error.to_string()))?;
    caught(|| decode_unguarded(bytes, format, limits, least_side))
}

fn decode_unguarded(
    bytes: &[u8],
    format: PixelFormat,
    limits: &Limits,
    least_side: Option<u32>,
) -> Result<Decoded, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    let full = tiff::with_full_first(bytes);
    let bytes = full.as_deref().unwrap_or(bytes);
    let wanted = format.channels;
    let mut remarks = match (tiff::samples(bytes, format, limits)?, format.depth) {
        (Tiff::Samples(samples, largest), Depth::Eight) => {
            return eight::picture(samples, wanted, largest, limits, is_geo(bytes));
        }
        (Tiff::Samples(samples, _), Depth::Deep) => {
            return samples.into_picture(wanted, limits);
        }
        (Tiff::Ordinary(remarks), _) => remarks,
    };
    let image = ordinary(bytes, limits, least_side, &mut remarks)?;
    match format.depth {
        Depth::Eight => {
            remarks.extend(wide::of_image(&image, is_geo(bytes)));
            Ok(color::to_channels(image, wanted, remarks).into())
        }
        Depth::Deep => {
            limits.check(&[deep::need(image.width(), image.height(), wanted)])?;
            deep::Samples::of(image, remarks).into_picture(wanted, limits)
        }
    }
}

/// A picture of one to four channels, grey or in colour, upright.
fn ordinary(
    bytes: &[u8],
    limits: &Limits,
    least_side: Option<u32>,
    remarks: &mut Vec<Remark>,
) -> Result<DynamicImage, DecodeError> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let format = reader.format().filter(ImageFormat::reading_enabled);
    let format = format.ok_or_else(|| other::what(bytes))?;
    if format == ImageFormat::Tiff {
        tiff::check_claims(bytes)?;
    }
    reader.limits(decoder_limits(HEADER_BYTES.min(limits.bytes)));
    let mut decoder = match reader.into_decoder() {
        Ok(decoder) => decoder,
        Err(error) if format == ImageFormat::Jpeg => {
            return jpeg::rare(bytes, limits, least_side, remarks, reason(error));
        }
        Err(error) => return Err(reason(error)),
    };
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(DecodeError::Malformed(format!("{width}×{height} pixels")));
    }
    limits.check(&[
        Need::pixels(u64::from(width) * u64::from(height)),
        Need::bytes("the decoded size in bytes", decoder.total_bytes()),
    ])?;
    remarks.extend(frames::remark(bytes, format));
    // The decoder's own buffers come beside the output, so they get as much again.
    decoder.set_limits(decoder_limits(limits.bytes.saturating_mul(2))).map_err(reason)?;
    if format == ImageFormat::Jpeg {
        // The decoder fills what is missing with grey, which would be trained on.
        jpeg::check_complete(bytes)?;
    }
    // Unreadable EXIF is no reason to drop the picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let exact = match format {
        ImageFormat::Jpeg => jpeg::pixels(bytes, decoder.color_type(), limits, least_side, remarks),
        _ => None,
    };
    let mut image = match exact {
        Some(image) => image,
        None => DynamicImage::from_decoder(decoder).map_err(reason)?,
    };
    image.apply_orientation(orientation);
    Ok(image)
}
