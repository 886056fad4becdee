//! The values of a page, tile by tile or strip by strip.

use tiff::decoder::{ChunkType, DecodingResult};
use tiff::tags::Tag;

use super::jpeg::Parts;
use super::page::{PLANES, Page};
use super::source::{Source, reason};
use crate::decode::limits::{Limits, Need};
use crate::error::DecodeError;

/// Reads the decoder's present page into `values`, `[height, width, channels]`, from channel `first`
/// on, with NaN where `nodata` stands. How often that is.
pub(super) fn read(
    source: &mut Source<'_>,
    page: &Page,
    (values, channels, first): (&mut [f32], usize, usize),
    jpeg: Option<&Parts<'_>>,
    nodata: Option<f64>,
    limits: &Limits,
) -> Result<u64, DecodeError> {
    let (width, height) = (page.width, page.height);
    // Strips may claim more rows than there are, tiles reach beyond the picture.
    let (part_width, part_height) = match source.get_chunk_type() {
        ChunkType::Strip => (width, source.chunk_dimensions().1.min(height)),
        ChunkType::Tile => source.chunk_dimensions(),
    };
    let planes = if page.planar == PLANES { u32::from(page.samples) } else { 1 };
    let together = usize::from(page.samples) / planes as usize;
    let part_bytes = (u64::from(part_width) * u64::from(part_height))
        .saturating_mul(together as u64 * u64::from(page.bits.div_ceil(8)));
    limits.check(&[Need::bytes("the size of a tile or strip in bytes", part_bytes)])?;
    let (across, down) = (width.div_ceil(part_width), height.div_ceil(part_height));
    let row_length = width as usize * channels;
    let (mut number, mut declared) = (0, 0);
    let absent = absent(source);
    for plane in 0..planes as usize {
        for top in (0..down).map(|y| y * part_height) {
            for left in (0..across).map(|x| x * part_width) {
                let columns = part_width.min(width - left) as usize;
                let rows = part_height.min(height - top) as usize;
                let start = top as usize * row_length + left as usize * channels;
                let place = Place {
                    values: &mut values[start..],
                    row_length,
                    rows,
                    columns,
                    channels,
                    first: first + plane,
                    together,
                };
                declared += match jpeg {
                    // What is not in the file has no data.
                    _ if absent.get(number as usize) == Some(&true) => {
                        place.leave(nodata.is_some())
                    }
                    Some(parts) => {
                        place.convert(parts.rgb(number, columns, rows, limits)?, page, nodata)?
                    }
                    None => {
                        place.convert(source.read_chunk(number).map_err(reason)?, page, nodata)?
                    }
                };
                number += 1;
            }
        }
    }
    Ok(declared)
}

/// Where a tile's or strip's samples go.
struct Place<'a> {
    /// From its first pixel on.
    values: &'a mut [f32],
    /// Values from one row to the next.
    row_length: usize,
    rows: usize,
    columns: usize,
    channels: usize,
    /// Channel of the first sample.
    first: usize,
    /// Samples of a pixel.
    together: usize,
}

/// Of each tile or strip whether it is not in the file, as GDAL leaves out those that nothing was written to. Empty where
/// all are.
pub(super) fn absent(source: &mut Source<'_>) -> Vec<bool> {
    let (places, lengths) = match source.get_chunk_type() {
        ChunkType::Strip => (Tag::StripOffsets, Tag::StripByteCounts),
        ChunkType::Tile => (Tag::TileOffsets, Tag::TileByteCounts),
    };
    let mut numbers = |tag| source.find_tag(tag).ok()??.into_u64_vec().ok();
    let Some(lengths) = numbers(lengths).filter(|lengths| lengths.contains(&0)) else {
        return Vec::new();
    };
    let places = numbers(places).unwrap_or_default();
    let absent: Vec<bool> =
        places.iter().zip(lengths).map(|(&place, length)| place == 0 && length == 0).collect();
    if absent.contains(&true) { absent } else { Vec::new() }
}

impl Place<'_> {
    /// What is not in the file is 0, or has no data where the file declares what means that: how many values have none.
    fn leave(self, declared: bool) -> u64 {
        if !declared {
            return 0;
        }
        for row in self.values.chunks_mut(self.row_length).take(self.rows) {
            for pixel in row.chunks_mut(self.channels).take(self.columns) {
                pixel[self.first..].iter_mut().take(self.together).for_each(|v| *v = f32::NAN);
            }
        }
        (self.rows * self.columns * self.together) as u64
    }

    /// The number of values that mean that there is no data.
    fn convert(
        self,
        part: DecodingResult,
        page: &Page,
        nodata: Option<f64>,
    ) -> Result<u64, DecodeError> {
        let largest = page.largest();
        match part {
            DecodingResult::U8(part) if page.bits < 8 => {
                let length = self.columns * self.together;
                self.put(&unpacked(&part, length, page.bits), nodata, largest)
            }
            DecodingResult::U8(part) => self.put(&part, nodata, largest),
            DecodingResult::U16(part) => self.put(&part, nodata, largest),
            DecodingResult::U32(part) => self.put(&part, nodata, largest),
            DecodingResult::I8(part) => self.put(&part, nodata, 1.0),
            DecodingResult::I16(part) => self.put(&part, nodata, 1.0),
            DecodingResult::I32(part) => self.put(&part, nodata, 1.0),
            DecodingResult::F16(part) => {
                let part: Vec<f32> = part.iter().map(|value| value.to_f32()).collect();
                self.put(&part, nodata, 1.0)
            }
            // The declared number may have more digits than the values.
            DecodingResult::F32(part) => self.put(&part, nodata.map(|n| f64::from(n as f32)), 1.0),
            DecodingResult::F64(part) => self.put(&part, nodata, 1.0),
            DecodingResult::U64(_) | DecodingResult::I64(_) => {
                let text = "whole numbers of 64 bits; write them as float32";
                Err(DecodeError::Unsupported(text.to_owned()))
            }
        }
    }

    fn put<T: Copy + Into<f64>>(
        self,
        part: &[T],
        nodata: Option<f64>,
        largest: f64,
    ) -> Result<u64, DecodeError> {
        let length = self.columns * self.together;
        if part.len() < self.rows * length {
            return Err(DecodeError::Truncated);
        }
        let is_nothing = |value: f64| {
            nodata.is_some_and(|nothing| value == nothing || value.is_nan() && nothing.is_nan())
        };
        let mut declared = 0;
        // Beyond the last row of the picture there may be the start of none.
        let rows = self.values.chunks_mut(self.row_length).take(self.rows);
        for (row, part) in rows.zip(part.chunks_exact(length)) {
            let pixels = row.chunks_mut(self.channels).zip(part.chunks_exact(self.together));
            for (pixel, part) in pixels {
                for (value, &sample) in pixel[self.first..].iter_mut().zip(part) {
                    let sample = sample.into();
                    *value = if is_nothing(sample) {
                        declared += 1;
                        f32::NAN
                    } else {
                        (sample / largest) as f32
                    };
                }
            }
        }
        Ok(declared)
    }
}

/// The number that the file declares to mean that there is no data.
pub(super) fn nodata(source: &mut Source<'_>) -> Option<f64> {
    // Unreadable, it is no reason to drop the picture: the values are judged as they are.
    let text = source.find_tag(Tag::GdalNodata).ok()??.into_string().ok()?;
    text.trim_matches(|c: char| c.is_whitespace() || c == '\0').parse().ok()
}

/// Values of fewer than 8 bits, one a byte, from rows of `length` that begin with a byte each.
fn unpacked(part: &[u8], length: usize, bits: u16) -> Vec<u8> {
    let each = usize::from(8 / bits);
    let mask = (1u16 << bits) - 1;
    let row = |row: &[u8]| -> Vec<u8> {
        let value = |i: usize| {
            let shift = 8 - usize::from(bits) * (i % each + 1);
            (u16::from(row[i / each]) >> shift & mask) as u8
        };
        (0..length).map(value).collect()
    };
    part.chunks_exact(length.div_ceil(each).max(1)).flat_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_counted_from_the_left_of_each_row() {
        assert_eq!(unpacked(&[0b1010_0000, 0b0100_0000], 3, 1), [1, 0, 1, 0, 1, 0]);
        assert_eq!(unpacked(&[0x1F, 0x20, 0x3A, 0x40], 3, 4), [1, 15, 2, 3, 10, 4]);
        assert_eq!(unpacked(&[0b00_01_10_11], 4, 2), [0, 1, 2, 3]);
    }
}
