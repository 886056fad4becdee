//! One file to one [`Picture`].
//!
//! The format is told by the content, never by the name. Size limits are checked on the header,
//! before anything is allocated for pixels. Orientation (EXIF) is applied, transparency lies on
//! white, of an animation the first frame is taken.
//!
//! In 8-bit pictures 16-bit values become 8-bit. Deep pictures keep a file's values and channels:
//! - unsigned numbers are divided by the largest that their kind can hold (255, 65535, 2³² − 1);
//!   signed numbers and floats stand as they are, in float32;
//! - a TIFF file, BigTIFF included, may hold any number of channels, side by side or in planes, in
//!   strips or tiles. Where its pages have one channel each, are alike, and are as many as channels
//!   are asked for, as microscopes and ImageJ write them, each is a channel. Reduced copies and masks
//!   among the pages are passed over;
//! - grey becomes RGB and RGB grey where that is asked for, and transparency goes. Any other number
//!   of channels than the one asked for is refused;
//! - a value that is NaN, infinite or beyond ±10³⁰ refuses the picture, but where the file declares
//!   it to mean that there is no data (`GDAL_NODATA`): what has no data is 0.

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use crate::error::{DataError, DecodeError};
use crate::picture::{Depth, Picture, PixelFormat};

mod color;
mod deep;
mod failure;
mod header;
mod jpeg;
mod kind;
mod limits;
mod tiff;

pub(crate) use failure::caught;
use failure::reason;
pub(crate) use header::kind;
pub use kind::{FileKind, Numbers};
pub use limits::Limits;
pub(crate) use limits::check;
use limits::{HEADER_BYTES, decoder_limits};

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
    Ok(fcmae_files::bytes(path, limits.of_files())?)
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
    format.check().map_err(|error| DecodeError::Unsupported(error.to_string()))?;
    caught(|| decode_unguarded(bytes, format, limits, least_side))
}

fn decode_unguarded(
    bytes: &[u8],
    format: PixelFormat,
    limits: &Limits,
    least_side: Option<u32>,
) -> Result<Picture, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    if format.depth == Depth::Deep
        && let Some(samples) = tiff::samples(bytes, format.channels, limits)?
    {
        return samples.into_picture(format.channels);
    }
    let image = ordinary(bytes, limits, least_side)?;
    match format.depth {
        Depth::Eight => Ok(color::to_channels(image, format.channels)),
        Depth::Deep => {
            deep::check_size(image.width(), image.height(), format.channels, limits)?;
            deep::Samples::of(image).into_picture(format.channels)
        }
    }
}

/// A picture of one to four channels, grey or in colour, upright.
fn ordinary(
    bytes: &[u8],
    limits: &Limits,
    least_side: Option<u32>,
) -> Result<DynamicImage, DecodeError> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let format = reader.format().ok_or(DecodeError::UnknownFormat)?;
    if format == ImageFormat::Tiff {
        tiff::check_claims(bytes)?;
    }
    reader.limits(decoder_limits(HEADER_BYTES.min(limits.bytes)));
    let mut decoder = reader.into_decoder().map_err(reason)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(DecodeError::Malformed(format!("{width}×{height} pixels")));
    }
    check("width · height in pixels", u64::from(width) * u64::from(height), limits.pixels)?;
    check("the decoded size in bytes", decoder.total_bytes(), limits.bytes)?;
    // The decoder's own buffers come beside the output, so they get as much again.
    decoder.set_limits(decoder_limits(limits.bytes.saturating_mul(2))).map_err(reason)?;
    if format == ImageFormat::Jpeg {
        // The decoder fills what is missing with grey, which would be trained on.
        jpeg::check_complete(bytes)?;
    }
    // Unreadable EXIF is no reason to drop the picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let exact = match format {
        ImageFormat::Jpeg => jpeg::pixels(bytes, decoder.color_type(), limits, least_side),
        _ => None,
    };
    let mut image = match exact {
        Some(image) => image,
        None => DynamicImage::from_decoder(decoder).map_err(reason)?,
    };
    image.apply_orientation(orientation);
    Ok(image)
}
