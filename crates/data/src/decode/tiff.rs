//! TIFF files of any number of channels.
//!
//! Header and compression are the tiff crate's; which sample goes where is done here, because that
//! crate gives of a picture called RGB the colours alone, and of tiled planes misjudges the size of
//! the last row.

use std::borrow::Cow;
use std::io::{Cursor, ErrorKind};

use tiff::TiffError;
use tiff::decoder::{ChunkType, Decoder, DecodingResult};
use tiff::tags::{IfdPointer, Tag};

use super::deep::{self, Kind, Samples};
use super::kind::{FileKind, Numbers};
use super::limits::{Limits, check};
use crate::error::DecodeError;
use crate::picture::MAX_CHANNELS;

mod directory;

use directory::Directories;

/// Pages that are looked at; a file of more is judged by these.
const MAX_PAGES: usize = 1024;

const BLACK_IS_ZERO: u16 = 1;
const RGB: u16 = 2;
const PLANES: u16 = 2;
const UNSIGNED: u16 = 1;
const SIGNED: u16 = 2;
const FLOAT: u16 = 3;
/// The type of a tag's numbers.
const SHORT: u16 = 3;
/// A reduced copy, or a mask: flags of a page.
const NOT_A_PICTURE: u32 = 1 | 4;

const CLAIM: &str = "a part of it claims to be larger than it can be";

type Source<'a> = Decoder<Cursor<Cow<'a, [u8]>>>;

/// What a page's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Page {
    width: u32,
    height: u32,
    samples: u16,
    /// Of a sample.
    bits: u16,
    /// Unsigned, signed or float.
    format: u16,
    photometric: u16,
    compression: u16,
    planar: u16,
    orientation: u16,
    /// The first sample beyond the colours is transparency.
    alpha: bool,
}

impl Page {
    fn read(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        let (width, height) = source.dimensions().map_err(reason)?;
        let mut number = |tag: Tag, default: u16| -> Result<u16, DecodeError> {
            let numbers = source.find_tag_unsigned_vec::<u16>(tag).map_err(reason)?;
            Ok(numbers.and_then(|numbers| numbers.first().copied()).unwrap_or(default))
        };
        Ok(Self {
            width,
            height,
            samples: number(Tag::SamplesPerPixel, 1)?,
            bits: number(Tag::BitsPerSample, 1)?,
            format: number(Tag::SampleFormat, UNSIGNED)?,
            photometric: number(Tag::PhotometricInterpretation, BLACK_IS_ZERO)?,
            compression: number(Tag::Compression, 1)?,
            planar: number(Tag::PlanarConfiguration, 1)?,
            orientation: number(Tag::Orientation, 1)?,
            alpha: matches!(number(Tag::ExtraSamples, 0)?, 1 | 2),
        })
    }

    /// Whether this is a picture of grey, colours or bands of whole bytes, compressed without loss:
    /// anything else is left to the decoder of ordinary pictures.
    fn is_plain(&self) -> Result<bool, DecodeError> {
        Ok(match self.compression {
            // None, LZW, deflate under two numbers, PackBits.
            1 | 5 | 8 | 32_946 | 32_773 => self.photometric <= RGB && self.bits >= 8,
            // Fax and JPEG.
            2..=7 => false,
            other => {
                return Err(DecodeError::Unsupported(format!(
                    "a TIFF file with compression method {other}; write it with deflate or LZW"
                )));
            }
        })
    }

    fn kind(&self) -> Kind {
        let alpha = self.alpha && matches!(self.format, UNSIGNED | FLOAT);
        match (self.photometric, self.samples) {
            (RGB, 3) => Kind::Rgb,
            (RGB, 4) if alpha => Kind::Rgba,
            (0 | BLACK_IS_ZERO, 1) => Kind::Grey,
            (0 | BLACK_IS_ZERO, 2) if alpha => Kind::GreyAlpha,
            _ => Kind::Bands,
        }
    }

    /// Checks what `channels` channels take, before any of it is allocated.
    fn check(&self, channels: u32, limits: &Limits) -> Result<(), DecodeError> {
        let pixels = u64::from(self.width) * u64::from(self.height);
        check("width · height in pixels", pixels, limits.pixels)?;
        check("the number of channels", u64::from(channels), u64::from(MAX_CHANNELS))?;
        let bytes = pixels.saturating_mul(u64::from(channels) * u64::from(self.bits.div_ceil(8)));
        check("the decoded size in bytes", bytes, limits.bytes)?;
        deep::check_size(self.width, self.height, channels, limits)
    }
}

/// The samples of a TIFF file, of all pages that are channels; `None` of any other file, and of
/// what the decoder of ordinary pictures takes.
pub(super) fn samples(
    bytes: &[u8],
    wanted: u32,
    limits: &Limits,
) -> Result<Option<Samples>, DecodeError> {
    let Some((mut source, page)) = open(bytes, limits)? else { return Ok(None) };
    if !page.is_plain()? {
        return Ok(None);
    }
    let (width, height) = (page.width, page.height);
    let single = page.samples == 1;
    let pages = if single && wanted > 1 { pages(&mut source, page)? } else { Pages::One };
    if let Pages::Alike(ref numbers) = pages
        && numbers.len() == wanted as usize
    {
        page.check(wanted, limits)?;
        let mut values = vec![0.0; width as usize * height as usize * wanted as usize];
        for (channel, &number) in numbers.iter().enumerate() {
            source.seek_to_image(number).map_err(reason)?;
            read(&mut source, &page, &mut values, wanted as usize, channel, limits)?;
        }
        let samples = Samples { width, height, channels: wanted, kind: Kind::Bands, values };
        return Ok(Some(samples.turned(page.orientation.into())));
    }
    if let Some(found) = pages.count() {
        return Err(DecodeError::Channels { found, wanted });
    }
    if single && wanted > 1 {
        // Looking for pages led away from the first.
        source.seek_to_image(0).map_err(reason)?;
    }
    let channels = u32::from(page.samples);
    page.check(channels, limits)?;
    if page.photometric == RGB {
        // Whatever stands beside the colours is left out of RGB, but not of bands.
        source = as_bands(bytes, source.ifd_pointer(), limits)?;
    }
    let mut values = vec![0.0; width as usize * height as usize * channels as usize];
    read(&mut source, &page, &mut values, channels as usize, 0, limits)?;
    let samples = Samples { width, height, channels, kind: page.kind(), values };
    Ok(Some(samples.turned(page.orientation.into())))
}

/// What a TIFF file holds; `None` of another file.
pub(super) fn kind(bytes: &[u8], limits: &Limits) -> Result<Option<FileKind>, DecodeError> {
    let Some((mut source, page)) = open(bytes, limits)? else { return Ok(None) };
    let pages = if page.samples == 1 { pages(&mut source, page)?.count() } else { None };
    let numbers = match page.format {
        UNSIGNED => Numbers::Unsigned,
        SIGNED => Numbers::Signed,
        FLOAT => Numbers::Float,
        _ => Numbers::Other,
    };
    let channels = pages.unwrap_or(page.samples.into());
    Ok(Some(FileKind { format: "TIFF", channels, bits: page.bits.into(), numbers }))
}

fn is_tiff(bytes: &[u8]) -> bool {
    [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|start| bytes.starts_with(*start))
}

/// Refuses a TIFF file that claims more than it can hold. Any other is let through.
pub(super) fn check_claims(bytes: &[u8]) -> Result<(), DecodeError> {
    if is_tiff(bytes) && Directories::new(bytes).claims_too_much() {
        return Err(DecodeError::Malformed(CLAIM.to_owned()));
    }
    Ok(())
}

/// The decoder and the first page of a TIFF file; `None` of another file.
fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Option<(Source<'a>, Page)>, DecodeError> {
    if !is_tiff(bytes) {
        return Ok(None);
    }
    check_claims(bytes)?;
    let mut source = decoder(Cow::Borrowed(bytes), limits)?;
    let page = Page::read(&mut source)?;
    Ok(Some((source, page)))
}

fn decoder<'a>(bytes: Cow<'a, [u8]>, limits: &Limits) -> Result<Source<'a>, DecodeError> {
    let mut own = tiff::decoder::Limits::default();
    own.decoding_buffer_size = usize::try_from(limits.bytes).unwrap_or(usize::MAX);
    // No part of a file is larger than the file.
    own.intermediate_buffer_size = bytes.len();
    Ok(Decoder::new(Cursor::new(bytes)).map_err(reason)?.with_limits(own))
}

/// Pages of a file whose first has one channel.
enum Pages {
    One,
    /// Several of the same size and kind, and their numbers.
    Alike(Vec<usize>),
    /// Several of which some differ.
    Mixed,
}

impl Pages {
    /// How many channels the pages make.
    fn count(&self) -> Option<u32> {
        match self {
            Self::Alike(numbers) => Some(numbers.len() as u32),
            Self::One | Self::Mixed => None,
        }
    }
}

/// Looks through the pages after the first.
fn pages(source: &mut Source<'_>, first: Page) -> Result<Pages, DecodeError> {
    let mut numbers = vec![0];
    for number in 1..MAX_PAGES {
        if !source.more_images() {
            break;
        }
        source.next_image().map_err(reason)?;
        let flags = source.find_tag_unsigned::<u32>(Tag::NewSubfileType).map_err(reason)?;
        if flags.unwrap_or(0) & NOT_A_PICTURE != 0 {
            continue;
        }
        if Page::read(source)? != first {
            return Ok(Pages::Mixed);
        }
        numbers.push(number);
    }
    Ok(if numbers.len() == 1 { Pages::One } else { Pages::Alike(numbers) })
}

/// Reads the decoder's present page into `values`, `[height, width, channels]`, from channel `first`
/// on.
fn read(
    source: &mut Source<'_>,
    page: &Page,
    values: &mut [f32],
    channels: usize,
    first: usize,
    limits: &Limits,
) -> Result<(), DecodeError> {
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
    check("the size of a tile or strip in bytes", part_bytes, limits.bytes)?;
    let nodata = nodata(source);
    let (across, down) = (width.div_ceil(part_width), height.div_ceil(part_height));
    let row_length = width as usize * channels;
    let mut number = 0;
    for plane in 0..planes as usize {
        for top in (0..down).map(|y| y * part_height) {
            for left in (0..across).map(|x| x * part_width) {
                let part = source.read_chunk(number).map_err(reason)?;
                number += 1;
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
                place.convert(part, nodata)?;
            }
        }
    }
    Ok(())
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

impl Place<'_> {
    fn convert(self, part: DecodingResult, nodata: Option<f64>) -> Result<(), DecodeError> {
        match part {
            DecodingResult::U8(part) => self.put(&part, nodata, 255.0),
            DecodingResult::U16(part) => self.put(&part, nodata, 65_535.0),
            DecodingResult::U32(part) => self.put(&part, nodata, f64::from(u32::MAX)),
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
    ) -> Result<(), DecodeError> {
        let length = self.columns * self.together;
        if part.len() < self.rows * length {
            return Err(DecodeError::Truncated);
        }
        let is_nothing = |value: f64| {
            nodata.is_some_and(|nothing| value == nothing || value.is_nan() && nothing.is_nan())
        };
        // Beyond the last row of the picture there may be the start of none.
        let rows = self.values.chunks_mut(self.row_length).take(self.rows);
        for (row, part) in rows.zip(part.chunks_exact(length)) {
            let pixels = row.chunks_mut(self.channels).zip(part.chunks_exact(self.together));
            for (pixel, part) in pixels {
                for (value, &sample) in pixel[self.first..].iter_mut().zip(part) {
                    let sample = sample.into();
                    *value = if is_nothing(sample) { 0.0 } else { (sample / largest) as f32 };
                }
            }
        }
        Ok(())
    }
}

/// The number that the file declares to mean that there is no data.
fn nodata(source: &mut Source<'_>) -> Option<f64> {
    // Unreadable, it is no reason to drop the picture: the values are judged as they are.
    let text = source.find_tag(Tag::GdalNodata).ok()??.into_string().ok()?;
    text.trim_matches(|c: char| c.is_whitespace() || c == '\0').parse().ok()
}

/// The file with its page at `directory` called bands instead of RGB.
fn as_bands<'a>(
    bytes: &[u8],
    directory: Option<IfdPointer>,
    limits: &Limits,
) -> Result<Source<'a>, DecodeError> {
    let mut bytes = bytes.to_vec();
    let big_endian = bytes[0] == b'M';
    let photometric = directory.and_then(|pointer| {
        let tag = Tag::PhotometricInterpretation.to_u16();
        Directories::new(&bytes).entries(pointer.0).find(|entry| entry.tag == tag)
    });
    let value = photometric.filter(|entry| entry.kind == SHORT).map(|entry| entry.value_at);
    let slot = value.and_then(|at| bytes.get_mut(at..at + 2)).ok_or_else(|| {
        DecodeError::Malformed("the kind of its colours is not a short number".to_owned())
    })?;
    let kind = if big_endian { BLACK_IS_ZERO.to_be_bytes() } else { BLACK_IS_ZERO.to_le_bytes() };
    slot.copy_from_slice(&kind);
    decoder(Cow::Owned(bytes), limits)
}

fn reason(error: TiffError) -> DecodeError {
    match error {
        TiffError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            DecodeError::Truncated
        }
        TiffError::IoError(error) => DecodeError::Malformed(error.to_string()),
        TiffError::UnsupportedError(error) => DecodeError::Unsupported(error.to_string()),
        TiffError::LimitsExceeded => DecodeError::Malformed(CLAIM.to_owned()),
        other => DecodeError::Malformed(other.to_string()),
    }
}
