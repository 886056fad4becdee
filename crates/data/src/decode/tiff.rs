//! TIFF files of any number of channels, and of colours that the decoder of ordinary pictures does not
//! know: palettes, YCbCr.
//!
//! Compression is the tiff crate's; which sample goes where is done here, because that crate gives of a
//! picture called RGB the colours alone, and of tiled planes misjudges the size of the last row.

use std::borrow::Cow;

use self::directory::Directory;
use self::jpeg::Parts;
use self::mask::Mask;
use self::page::{
    BLACK_IS_ZERO, CMYK, COLOR_MAP, FLOAT, GDAL_METADATA, Header, JPEG, PALETTE, Page, RGB, SIGNED,
    UNSIGNED, YCBCR,
};
use self::source::{CLAIM, Source, as_bands, decoder, reason};
use self::stack::Stack;
use super::deep::{Kind, Samples};
use super::kind::{FileKind, Numbers};
use super::limits::Limits;
use crate::error::DecodeError;
use crate::picture::{Depth, PixelFormat};
use crate::remark::Remark;

pub(crate) use self::alone::{Bytes, Pages, Stretch, alone, pages};
pub(crate) use self::directory::is_tiff;

mod alone;
mod directory;
mod jpeg;
mod mask;
mod page;
mod read;
mod source;
mod stack;

/// What is to be done with a file.
pub(super) enum Tiff {
    /// It is no TIFF file, or one that the decoder of ordinary pictures takes: what was noticed.
    Ordinary(Vec<Remark>),
    /// Its samples, those of all pages that are channels, and the largest whole number that they were
    /// divided by; `None` where they are floats.
    Samples(Samples, Option<f64>),
}

/// The samples of a TIFF file, unless the decoder of ordinary pictures takes it.
pub(super) fn samples(
    bytes: &[u8],
    format: PixelFormat,
    limits: &Limits,
) -> Result<Tiff, DecodeError> {
    let Some((mut source, header)) = open(bytes, limits)? else {
        return Ok(Tiff::Ordinary(Vec::new()));
    };
    let eight = format.depth == Depth::Eight;
    header.check()?;
    if eight {
        header.check_eight(limits.advice)?;
    }
    let (page, wanted) = (header.page, format.channels);
    let stack = Stack::read(bytes, &page);
    let channels = stack.channels(&page).filter(|_| !eight && wanted > 1);
    let nodata = read::nodata(&mut source);
    if channels == Some(wanted) {
        return channels_of_pages(bytes, source, &page, &stack, nodata, limits)
            .map(|samples| Tiff::Samples(samples, None));
    }
    if channels.is_some() {
        let as_channels = stack.useful_channels(&page);
        let Stack { pages, axes, .. } = stack;
        return Err(DecodeError::Stack { pages, axes, as_channels, wanted, advice: limits.advice });
    }
    let remarks: Vec<Remark> = stack.remark(&page).into_iter().collect();
    let mask = Mask::read(bytes, &page, limits)?;
    // The other decoder knows no BigTIFF, no masks, and no parts that are not in the file.
    let ordinary = header.is_ordinary()
        && !directory::is_big(bytes)
        && mask.is_none()
        && read::absent(&mut source).is_empty();
    if ordinary && (eight || page.bits == 1 || page.photometric == CMYK) {
        return Ok(Tiff::Ordinary(remarks));
    }
    let mut samples = page_of(bytes, source, &header, nodata, limits)?;
    if let Some(mask) = mask {
        mask.hide(&mut samples);
    }
    samples.kind = match samples.kind {
        // Of three bands without a name each is a colour in a picture of colours alone.
        Kind::Rgb if eight && wanted != 3 && page.photometric <= BLACK_IS_ZERO => Kind::Bands,
        kind => kind,
    };
    samples.remarks = remarks;
    if page.is_associated() && (eight || samples.channels != wanted) {
        dissociate(&mut samples);
    }
    let largest = (page.format != FLOAT).then(|| page.largest());
    Ok(Tiff::Samples(samples.turned(page.orientation.into()), largest))
}

/// Pages of one channel as one picture's channels.
fn channels_of_pages(
    bytes: &[u8],
    mut source: Source<'_>,
    page: &Page,
    stack: &Stack,
    nodata: Option<f64>,
    limits: &Limits,
) -> Result<Samples, DecodeError> {
    let channels = stack.alike.len();
    page.check(channels as u32, limits)?;
    let mut used = Directory::all(bytes).enumerate().filter(|(at, _)| stack.alike.contains(at));
    if used.any(|(_, directory)| directory.claims_too_much()) {
        return Err(DecodeError::Malformed(CLAIM.to_owned()));
    }
    let mut values = vec![0.0; page.width as usize * page.height as usize * channels];
    let mut declared = 0;
    for (channel, &number) in stack.alike.iter().enumerate() {
        source.seek_to_image(number).map_err(reason)?;
        let place = (&mut values[..], channels, channel);
        declared += read::read(&mut source, page, place, None, nodata, limits)?;
    }
    let samples = Samples {
        width: page.width,
        height: page.height,
        channels: channels as u32,
        kind: Kind::Bands,
        values,
        nodata: nodata.map(|number| number / page.largest()),
        declared,
        remarks: Vec::new(),
    };
    Ok(samples.turned(page.orientation.into()))
}

/// The samples of the first page.
fn page_of(
    bytes: &[u8],
    mut source: Source<'_>,
    header: &Header,
    nodata: Option<f64>,
    limits: &Limits,
) -> Result<Samples, DecodeError> {
    let page = &header.page;
    let channels = u32::from(page.samples);
    page.check(channels.max(if page.photometric == PALETTE { 3 } else { 1 }), limits)?;
    let parts = (page.photometric == YCBCR && page.compression == JPEG)
        .then(|| Parts::find(bytes))
        .transpose()?;
    if matches!(page.photometric, RGB | PALETTE) || page.photometric == YCBCR && parts.is_none() {
        // Whatever stands beside the colours is left out of RGB, but not of bands.
        source = as_bands(bytes, limits)?;
    }
    let pixels = page.width as usize * page.height as usize;
    let mut values = vec![0.0; pixels * channels as usize];
    let place = (&mut values[..], channels as usize, 0);
    let declared = read::read(&mut source, page, place, parts.as_ref(), nodata, limits)?;
    let mut samples = Samples {
        width: page.width,
        height: page.height,
        channels,
        kind: header.kind(true),
        values,
        nodata: nodata.map(|number| number / page.largest()),
        declared,
        remarks: Vec::new(),
    };
    match page.photometric {
        PALETTE => look_up(bytes, page, &mut samples)?,
        YCBCR if parts.is_none() => from_ycbcr(&mut samples.values),
        _ => {}
    }
    Ok(samples)
}

/// Divides colours by the transparency that they were multiplied by.
fn dissociate(samples: &mut Samples) {
    let colors = match samples.kind {
        Kind::GreyAlpha => 1,
        Kind::Rgba | Kind::RgbaAnd => 3,
        _ => return,
    };
    for pixel in samples.values.chunks_exact_mut(samples.channels as usize) {
        let alpha = pixel[colors];
        if alpha > 0.0 {
            pixel[..colors].iter_mut().for_each(|value| *value = (*value / alpha).min(1.0));
        }
    }
}

/// Numbers of colours to the colours of a palette: its 16 bits as Pillow takes them, 8 of them.
fn look_up(bytes: &[u8], page: &Page, samples: &mut Samples) -> Result<(), DecodeError> {
    let directory = Directory::all(bytes).next();
    let map = directory.and_then(|directory| directory.find(COLOR_MAP));
    let map = map.map(|entry| entry.numbers()).unwrap_or_default();
    let colors = 1usize << page.bits;
    if map.len() < 3 * colors {
        return Err(DecodeError::Malformed("its palette is missing or too short".to_owned()));
    }
    // Some programs write 8 bits where 16 belong.
    let shift = if map.iter().all(|&value| value < 256) { 0 } else { 8 };
    let color = |value: &f32| {
        let number = (f64::from(*value) * page.largest()).round() as usize;
        let part = |part: usize| match value.is_nan() {
            true => f32::NAN,
            false => (map[part * colors + number.min(colors - 1)] >> shift) as f32 / 255.0,
        };
        [part(0), part(1), part(2)]
    };
    samples.values = samples.values.iter().flat_map(color).collect();
    samples.channels = 3;
    samples.declared *= 3;
    // A colour that is not a number.
    samples.nodata = None;
    Ok(())
}

/// YCbCr as JPEG has it, 0 to 1, to RGB.
fn from_ycbcr(values: &mut [f32]) {
    for pixel in values.as_chunks_mut::<3>().0 {
        let [y, cb, cr] = pixel.map(|value| value * 255.0);
        let (cb, cr) = (cb - 128.0, cr - 128.0);
        let rgb = [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb];
        *pixel = rgb.map(|value| value.round().clamp(0.0, 255.0) / 255.0);
    }
}

/// Whether it is a TIFF file that lies on the earth.
pub(crate) fn is_geo(bytes: &[u8]) -> bool {
    let first = || Directory::all(bytes).next();
    directory::is_tiff(bytes) && first().is_some_and(|directory| Header::read(&directory).geo)
}

/// What GDAL is told to multiply a file's values by and to add to them: "scale 1" where it is told nothing.
pub(crate) fn scale(bytes: &[u8]) -> String {
    let first = directory::is_tiff(bytes).then(|| Directory::all(bytes).next()).flatten();
    let entry = first.and_then(|directory| directory.find(GDAL_METADATA));
    let text = entry.map(|entry| String::from_utf8_lossy(entry.raw()).into_owned());
    let text = text.unwrap_or_default();
    let items = |name: &str| -> Vec<f64> {
        let start = format!("<Item name=\"{name}\"");
        let after = text.split(&start).skip(1);
        let value =
            after.filter_map(|item| item.split_once('>')?.1.split_once('<')?.0.parse().ok());
        value.collect()
    };
    let (mut scales, mut offsets) = (items("SCALE"), items("OFFSET"));
    scales.retain(|&scale| scale != 1.0);
    offsets.retain(|&offset| offset != 0.0);
    let listed =
        |numbers: &[f64]| numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
    match (scales.is_empty(), offsets.is_empty()) {
        (true, true) => "scale 1".to_owned(),
        (false, true) => format!("scale {}", listed(&scales)),
        (true, false) => format!("offset {}", listed(&offsets)),
        (false, false) => format!("scale {}, offset {}", listed(&scales), listed(&offsets)),
    }
}

/// What a TIFF file holds; `None` of another file.
pub(super) fn kind(bytes: &[u8], limits: &Limits) -> Result<Option<FileKind>, DecodeError> {
    let Some((_, header)) = open(bytes, limits)? else { return Ok(None) };
    let page = header.page;
    let numbers = match page.format {
        UNSIGNED => Numbers::Unsigned,
        SIGNED => Numbers::Signed,
        FLOAT => Numbers::Float,
        _ => Numbers::Other,
    };
    let (channels, bits) = (page.samples.into(), page.bits.into());
    let pages = Stack::read(bytes, &page).pages;
    Ok(Some(FileKind { format: "TIFF", channels, bits, numbers, pages }))
}

/// A TIFF file whose first page is a reduced copy or a mask, with the first that is neither in front.
pub(super) fn with_full_first(bytes: &[u8]) -> Option<Vec<u8>> {
    if !directory::is_tiff(bytes) {
        return None;
    }
    let is_beside = |directory: &Directory<'_>| Header::read(directory).beside;
    let mut all = Directory::all(bytes);
    all.next().filter(is_beside)?;
    all.find(|directory| !is_beside(directory)).map(|directory| directory.first())
}

/// Refuses a TIFF file that claims more than it can hold. Any other is let through.
pub(super) fn check_claims(bytes: &[u8]) -> Result<(), DecodeError> {
    let claims = |directory: Directory<'_>| directory.claims_too_much();
    if directory::is_tiff(bytes) && Directory::all(bytes).next().is_some_and(claims) {
        return Err(DecodeError::Malformed(CLAIM.to_owned()));
    }
    Ok(())
}

/// The decoder and the first page of a TIFF file; `None` of another file.
fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Option<(Source<'a>, Header)>, DecodeError> {
    if !directory::is_tiff(bytes) {
        return Ok(None);
    }
    check_claims(bytes)?;
    let header = Directory::all(bytes).next().map(|directory| Header::read(&directory));
    match decoder(Cow::Borrowed(bytes), limits) {
        Ok(mut source) => {
            let size = source.dimensions().map_err(reason)?;
            match header.filter(|header| (header.page.width, header.page.height) == size) {
                Some(header) => Ok(Some((source, header))),
                None => Err(DecodeError::Malformed("its size is told in two ways".to_owned())),
            }
        }
        // The header says better what it is.
        Err(error @ DecodeError::Unsupported(_)) => {
            Err(header.and_then(|header| header.check().err()).unwrap_or(error))
        }
        Err(error) => Err(error),
    }
}
