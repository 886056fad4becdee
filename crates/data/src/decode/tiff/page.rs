//! What a page of a TIFF file says of itself, and which kinds are read.

use super::directory::Directory;
use crate::advice::Advice;
use crate::channels::MAX_CHANNELS;
use crate::decode::deep::{self, Kind};
use crate::decode::limits::{Limits, Need};
use crate::error::DecodeError;

pub(super) const BLACK_IS_ZERO: u16 = 1;
pub(super) const RGB: u16 = 2;
pub(super) const PALETTE: u16 = 3;
pub(super) const CMYK: u16 = 5;
pub(super) const YCBCR: u16 = 6;
pub(super) const PLANES: u16 = 2;
pub(super) const UNSIGNED: u16 = 1;
pub(super) const SIGNED: u16 = 2;
pub(super) const FLOAT: u16 = 3;
pub(super) const JPEG: u16 = 7;

pub(super) const PHOTOMETRIC: u16 = 262;
pub(super) const DESCRIPTION: u16 = 270;
pub(super) const COLOR_MAP: u16 = 320;
pub(super) const GDAL_METADATA: u16 = 42_112;
pub(super) const NODATA: u16 = 42_113;
/// Of GeoTIFF: the size of a pixel, tie points, the transformation, the keys.
const GEO: [u16; 4] = [33_550, 33_922, 34_264, 34_735];

/// What a page's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) samples: u16,
    /// Of a sample.
    pub(super) bits: u16,
    /// Unsigned, signed or float.
    pub(super) format: u16,
    pub(super) photometric: u16,
    pub(super) compression: u16,
    pub(super) planar: u16,
    pub(super) orientation: u16,
    /// What the first sample beyond the colours is: 1 and 2 are transparency.
    extra: Option<u16>,
}

/// The header of a page, and what does not make it another kind of page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) page: Page,
    /// A reduced copy, or a mask.
    pub(super) beside: bool,
    /// A mask of a whole page, not of a reduced copy.
    pub(super) mask: bool,
    /// It lies on the earth.
    pub(super) geo: bool,
    /// It declares a number that means that there is no data.
    pub(super) nodata: bool,
    /// How much coarser the colours of YCbCr are.
    subsampling: (u64, u64),
}

impl Header {
    pub(super) fn read(directory: &Directory<'_>) -> Self {
        let mut page = Page {
            width: 0,
            height: 0,
            samples: 1,
            bits: 1,
            format: UNSIGNED,
            photometric: BLACK_IS_ZERO,
            compression: 1,
            planar: 1,
            orientation: 1,
            extra: None,
        };
        let (mut subfile, mut geo, mut nodata, mut subsampling) = (0, false, false, (2, 2));
        for entry in directory.entries() {
            let number = || entry.number().unwrap_or(0);
            let short = || u16::try_from(number()).unwrap_or(u16::MAX);
            match entry.tag {
                254 => subfile = number(),
                256 => page.width = u32::try_from(number()).unwrap_or(u32::MAX),
                257 => page.height = u32::try_from(number()).unwrap_or(u32::MAX),
                258 => page.bits = short(),
                259 => page.compression = short(),
                PHOTOMETRIC => page.photometric = short(),
                274 => page.orientation = short(),
                277 => page.samples = short(),
                284 => page.planar = short(),
                338 => page.extra = Some(short()),
                339 => page.format = short(),
                530 => {
                    subsampling = entry.pair().unwrap_or(subsampling);
                }
                NODATA => nodata = true,
                tag if GEO.contains(&tag) => geo = true,
                _ => {}
            }
        }
        // Flags: a reduced copy, a mask.
        let (beside, mask) = (subfile & (1 | 4) != 0, subfile & (1 | 4) == 4);
        Self { page, beside, mask, geo, nodata, subsampling }
    }

    /// What the samples mean. `eight` takes three bands that are not called anything for colours.
    pub(super) fn kind(&self, eight: bool) -> Kind {
        let page = &self.page;
        let may_be_alpha = matches!(page.format, UNSIGNED | FLOAT);
        let told = matches!(page.extra, Some(1 | 2)) && may_be_alpha;
        match (page.photometric, page.samples) {
            (PALETTE, 1) | (RGB | YCBCR, 3) => Kind::Rgb,
            // GDAL calls the fourth band of a raster transparency, whatever it is. Where nothing is
            // said of a fourth sample, Pillow takes it for transparency.
            (RGB, 4) if !self.geo && (told || may_be_alpha && page.extra.is_none()) => Kind::Rgba,
            (RGB, 5..) if !self.geo && told => Kind::RgbaAnd,
            (RGB, 4..) => Kind::RgbAnd,
            (0 | BLACK_IS_ZERO, 1) => Kind::Grey,
            (0 | BLACK_IS_ZERO, 2) if told => Kind::GreyAlpha,
            (0 | BLACK_IS_ZERO, 3) if eight => Kind::Rgb,
            _ => Kind::Bands,
        }
    }

    /// Whether the decoder of ordinary pictures takes it and gives its values in 8 bits as they should
    /// be.
    pub(super) fn is_ordinary(&self) -> bool {
        let Page { samples, bits, format, photometric, .. } = self.page;
        if format != UNSIGNED || self.nodata {
            return false;
        }
        match (photometric, samples) {
            (0 | BLACK_IS_ZERO, 1) => matches!(bits, 1 | 8 | 16),
            (RGB, 3) => matches!(bits, 8 | 16),
            (RGB, 4) => {
                let straight = self.kind(true) == Kind::Rgba && !self.page.is_associated();
                matches!(bits, 8 | 16) && straight
            }
            (CMYK, 4) => matches!(bits, 8 | 16),
            _ => false,
        }
    }

    /// Refuses what is not read, in words that say what it is.
    pub(super) fn check(&self) -> Result<(), DecodeError> {
        let Page { compression, photometric, bits, samples, format, .. } = self.page;
        if samples == 0 || bits == 0 {
            return Err(DecodeError::Malformed(format!(
                "{samples} samples of {bits} bits a pixel"
            )));
        }
        let refused = |what: String, remedy: &str| {
            Err(DecodeError::Unsupported(format!("a TIFF file {what}; {remedy}")))
        };
        if let Some(method) = self.page.unread_compression() {
            let what = match method {
                "" => format!("with compression method {compression}"),
                method => format!("compressed with {method}"),
            };
            return refused(what, "write it with deflate or LZW");
        }
        let convert = "convert it to RGB";
        match photometric {
            0..=PALETTE | CMYK | YCBCR => {}
            4 => return refused("that is a mask, not a picture".to_owned(), "leave it out"),
            8..=10 => return refused("with colours in Lab".to_owned(), convert),
            32_803 | 34_892 => {
                return refused("of a camera's raw values (DNG)".to_owned(), "develop it to RGB");
            }
            32_844 | 32_845 => return refused("with colours in LogLuv".to_owned(), convert),
            other => return refused(format!("with colours of kind {other}"), convert),
        }
        match format {
            UNSIGNED | SIGNED | FLOAT | 4 => {}
            5 | 6 => {
                let what = "of complex numbers".to_owned();
                return refused(what, "write their size, or real and imaginary parts as channels");
            }
            other => {
                return refused(format!("with numbers of kind {other}"), "write it as float32");
            }
        }
        if photometric == YCBCR && compression != JPEG && self.subsampling != (1, 1) {
            return refused("with coarse colours in YCbCr and no JPEG".to_owned(), convert);
        }
        let own = match photometric {
            CMYK => self.is_ordinary(),
            YCBCR => {
                bits == 8 && samples == 3 && (self.page.planar != PLANES || compression != JPEG)
            }
            PALETTE => samples == 1 && matches!(bits, 1 | 2 | 4 | 8 | 16) && format == UNSIGNED,
            _ => match (format, bits) {
                (UNSIGNED, 1 | 2 | 4) => true,
                (FLOAT, bits) => matches!(bits, 16 | 32 | 64),
                (_, bits) => matches!(bits, 8 | 16 | 32),
            },
        };
        if own {
            return Ok(());
        }
        if bits == 64 && format != FLOAT {
            let text = "whole numbers of 64 bits; write them as float32";
            return Err(DecodeError::Unsupported(text.to_owned()));
        }
        let what = match photometric {
            CMYK => format!("with colours in CMYK and {samples} samples of {bits} bits"),
            YCBCR => format!("with colours in YCbCr and {samples} samples of {bits} bits"),
            PALETTE => format!("with a palette and {samples} samples of {bits} bits"),
            _ => format!("with {bits} bits a value"),
        };
        let remedy = if photometric <= RGB { "write it with 8 or 16 bits" } else { convert };
        refused(what, remedy)
    }

    /// Refuses what 8 bits cannot hold.
    pub(super) fn check_eight(&self, advice: Advice) -> Result<(), DecodeError> {
        let Page { bits, format, .. } = self.page;
        let what = match format {
            SIGNED => "numbers of either sign",
            UNSIGNED | 4 if bits == 32 => "whole numbers of 32 bits",
            _ => return Ok(()),
        };
        let what = format!("a TIFF file of {what}");
        Err(DecodeError::BeyondEight { what, remedy: advice.beyond_eight(), advice })
    }
}

impl Page {
    /// What its values are compressed with, where that is not read; empty where it has no name.
    fn unread_compression(&self) -> Option<&'static str> {
        match self.compression {
            // None, LZW, deflate under two numbers, PackBits, JPEG.
            1 | 5 | 8 | 32_946 | 32_773 | JPEG => None,
            2 => Some("CCITT run lengths (2), a fax"),
            3 => Some("CCITT Group 3 (3), a fax"),
            4 if self.bits == 1 && self.samples == 1 => None,
            4 => Some("CCITT Group 4 (4), a fax"),
            6 => Some("JPEG of the old kind (6)"),
            33_003 | 33_004 | 33_005 | 34_712 => Some("JPEG 2000"),
            34_887 => Some("LERC (34887)"),
            34_925 => Some("LZMA (34925)"),
            50_000 => Some("Zstandard (50000)"),
            50_001 => Some("WebP (50001)"),
            50_002 | 52_546 => Some("JPEG XL"),
            _ => Some(""),
        }
    }

    /// Whether its colours were multiplied by its transparency.
    pub(super) fn is_associated(&self) -> bool {
        self.extra == Some(1)
    }

    /// Whether it is a smaller copy of another page, whatever it is called: a level of a pyramid.
    pub(super) fn is_level_of(&self, full: &Self) -> bool {
        let product = |a: u32, b: u32| u64::from(a) * u64::from(b);
        let (across, down) = (product(self.width, full.height), product(self.height, full.width));
        self.pixels().saturating_mul(2) <= full.pixels()
            && (self.samples, self.bits) == (full.samples, full.bits)
            // Sides are rounded.
            && across.abs_diff(down) <= u64::from(full.width) + u64::from(full.height)
    }

    pub(super) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Checks what `channels` channels take, before any of it is allocated.
    pub(super) fn check(&self, channels: u32, limits: &Limits) -> Result<(), DecodeError> {
        if channels > MAX_CHANNELS {
            return Err(DecodeError::Unsupported(format!(
                "{channels} channels, of which at most {MAX_CHANNELS} are taken; leave some out"
            )));
        }
        let values = self.pixels().saturating_mul(u64::from(channels));
        let bytes = values.saturating_mul(u64::from(self.bits.div_ceil(8)));
        limits.check(&[
            Need::pixels(self.pixels()),
            Need::bytes("the decoded size in bytes", bytes),
            deep::need(self.width, self.height, channels),
        ])
    }

    /// The largest number of its kind, by which values are divided.
    pub(super) fn largest(&self) -> f64 {
        match self.format {
            SIGNED | FLOAT => 1.0,
            _ => (2f64).powi(i32::from(self.bits.min(64))) - 1.0,
        }
    }
}
