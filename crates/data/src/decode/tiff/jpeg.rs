//! Strips and tiles of YCbCr that are JPEG, decoded as other JPEG files are.

use libjpeg_turbo_rs::{DecodeLimits, Decoder, PixelFormat};
use tiff::decoder::DecodingResult;

use super::directory::Directory;
use crate::decode::limits::Limits;
use crate::error::DecodeError;

const STRIP_OFFSETS: u16 = 273;
const STRIP_BYTES: u16 = 279;
const TILE_OFFSETS: u16 = 324;
const TILE_BYTES: u16 = 325;
const TABLES: u16 = 347;

/// Where the parts of the first page are, and the tables that all share.
pub(super) struct Parts<'a> {
    bytes: &'a [u8],
    places: Vec<(u64, u64)>,
    tables: &'a [u8],
}

impl<'a> Parts<'a> {
    pub(super) fn find(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let directory = Directory::all(bytes).next();
        let directory = directory.ok_or(DecodeError::Truncated)?;
        let tags = match directory.find(TILE_OFFSETS) {
            Some(_) => [TILE_OFFSETS, TILE_BYTES],
            None => [STRIP_OFFSETS, STRIP_BYTES],
        };
        let [at, length] =
            tags.map(|tag| directory.find(tag).map(|entry| entry.numbers()).unwrap_or_default());
        let tables = directory.find(TABLES).map(|entry| entry.raw()).unwrap_or_default();
        Ok(Self { bytes, places: at.into_iter().zip(length).collect(), tables })
    }

    /// The first `columns` and `rows` of a part as RGB.
    pub(super) fn rgb(
        &self,
        number: u32,
        columns: usize,
        rows: usize,
        limits: &Limits,
    ) -> Result<DecodingResult, DecodeError> {
        let place = self.places.get(number as usize).and_then(|&(at, length)| {
            let at = usize::try_from(at).ok()?;
            self.bytes.get(at..at.checked_add(usize::try_from(length).ok()?)?)
        });
        let part = place.ok_or(DecodeError::Truncated)?;
        // The tables are a file of their own, without a picture: its end and the other's start go.
        let file = match self.tables.len() {
            0..4 => part.to_vec(),
            end => [&self.tables[..end - 2], part.get(2..).unwrap_or_default()].concat(),
        };
        let limits = DecodeLimits {
            max_pixels: limits.pixels,
            max_memory: Some(limits.bytes.saturating_mul(2)),
            ..DecodeLimits::default()
        };
        let damaged = |error: libjpeg_turbo_rs::JpegError| {
            DecodeError::Malformed(format!("one of its parts is not a sound JPEG ({error})"))
        };
        let mut decoder = Decoder::new_with_limits(&file, limits).map_err(damaged)?;
        decoder.set_output_format(PixelFormat::Rgb);
        let image = decoder.decode_image().map_err(damaged)?;
        if image.width < columns || image.height < rows {
            return Err(DecodeError::Truncated);
        }
        let lines = image.data.chunks_exact(3 * image.width).take(rows);
        Ok(DecodingResult::U8(lines.flat_map(|line| &line[..3 * columns]).copied().collect()))
    }
}
