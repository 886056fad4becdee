//! Picture files: decoded as they are, reduced, and with all their channels and values.

use std::io::Cursor;

use fcmae_data::decode::{decode, decode_reduced};
use fcmae_data::{Advice, DecodeError, Depth, Fill, Limits, Picture, PixelFormat};
use image::{DynamicImage, ImageFormat, RgbImage, RgbaImage};

use crate::target::{Outcome, Target};
use crate::{corpus, repair};

/// What a picture may cost here: less than by default, so that a claim of more is soon refused.
const LIMITS: Limits =
    Limits { pixels: 1 << 18, bytes: 4 << 20, fill: Fill::Refuse, advice: Advice::Settings };

pub(super) const JPEG: Target = Target {
    name: "jpeg",
    run: target,
    corpus: jpegs,
    words: &[
        b"\xff\xd8",
        b"\xff\xd9",
        b"\xff\xc0\x00\x11\x08",
        b"\xff\xc1",
        b"\xff\xc2",
        b"\xff\xc4",
        b"\xff\xdb\x00\x43\x00",
        b"\xff\xdd\x00\x04\x00\x01",
        b"\xff\xda\x00\x0c\x03\x01\x00\x02\x11\x03\x11\x00\x3f\x00",
        b"\xff\xd0",
        b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x02",
        b"\xff\xe1\x00\x22Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06",
        b"\xff\xe2\x00\x10ICC_PROFILE\x00\x01\x01",
        b"\xff\xff",
        b"\xff\x00",
    ],
    repair: repair::nothing,
    short: 2_000,
};

pub(super) const PNG: Target = Target {
    name: "png",
    run: target,
    corpus: pngs,
    words: &[
        b"\x00\x00\x00\x00IDAT\x00\x00\x00\x00",
        b"\x00\x00\x00\x03PLTE\x01\x02\x03\x00\x00\x00\x00",
        b"\x00\x00\x00\x01tRNS\x00\x00\x00\x00\x00",
        b"\x00\x00\x00\x08acTL\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\x00\x00\x00\x1afcTL\x00\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00\x08",
        b"\x00\x00\x00\x04gAMA\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\x00\x00\x00\x10iCCPp\x00\x00\x78\x01\x03\x00\x00\x00\x00\x01",
        b"\x00\x00\x00\x09pHYs",
        b"eXIf",
        b"zTXt",
        b"iTXt",
        b"IHDR",
        b"IEND",
    ],
    repair: repair::png,
    short: 3_000,
};

pub(super) const TIFF: Target = Target {
    name: "tiff",
    run: target,
    corpus: tiffs,
    words: &[
        b"II\x2a\x00\x08\x00\x00\x00",
        b"MM\x00\x2a\x00\x00\x00\x08",
        b"II\x2b\x00\x08\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00",
        // Entries: tag, type, count and value.
        b"\x00\x01\x03\x00\x01\x00\x00\x00",
        b"\x01\x01\x03\x00\x01\x00\x00\x00",
        b"\x02\x01\x03\x00\x03\x00\x00\x00",
        b"\x03\x01\x03\x00\x01\x00\x00\x00\x05\x00\x00\x00",
        b"\x03\x01\x03\x00\x01\x00\x00\x00\x08\x00\x00\x00",
        b"\x03\x01\x03\x00\x01\x00\x00\x00\x05\x80\x00\x00",
        b"\x06\x01\x03\x00\x01\x00\x00\x00\x02\x00\x00\x00",
        b"\x11\x01\x04\x00",
        b"\x15\x01\x03\x00\x01\x00\x00\x00",
        b"\x16\x01\x04\x00\x01\x00\x00\x00\xff\xff\xff\xff",
        b"\x17\x01\x04\x00",
        b"\x1c\x01\x03\x00\x01\x00\x00\x00\x02\x00\x00\x00",
        b"\x3d\x01\x03\x00\x01\x00\x00\x00\x02\x00\x00\x00",
        b"\x3d\x01\x03\x00\x01\x00\x00\x00\x03\x00\x00\x00",
        b"\x42\x01\x03\x00\x01\x00\x00\x00",
        b"\x43\x01\x03\x00\x01\x00\x00\x00",
        b"\x52\x01\x03\x00\x01\x00\x00\x00",
        b"\x53\x01\x03\x00\x01\x00\x00\x00\x03\x00\x00\x00",
        b"\x81\xa4\x02\x00\x04\x00\x00\x00nan\x00",
    ],
    repair: repair::nothing,
    short: 3_000,
};

pub(super) const BMP: Target = Target {
    name: "bmp",
    run: target,
    corpus: bmps,
    words: &[
        b"BM",
        b"\x28\x00\x00\x00",
        b"\x7c\x00\x00\x00",
        b"\x0c\x00\x00\x00",
        b"\x01\x00\x08\x00\x01",
    ],
    repair: repair::nothing,
    short: 5_000,
};

pub(super) const GIF: Target = Target {
    name: "gif",
    run: target,
    corpus: gifs,
    words: &[
        b"GIF87a",
        b"GIF89a",
        b"\x21\xf9\x04\x01\x00\x00\x00\x00",
        b"\x21\xff\x0bNETSCAPE2.0",
        b"\x2c",
        b"\x3b",
    ],
    repair: repair::nothing,
    short: 5_000,
};

pub(super) const WEBP: Target = Target {
    name: "webp",
    run: target,
    corpus: webps,
    words: &[
        b"VP8 ",
        b"VP8L",
        b"VP8X\x0a\x00\x00\x00\x10\x00\x00\x00\x07\x00\x00\x07\x00\x00",
        b"ALPH\x02\x00\x00\x00\x00\x00",
        b"ANIM\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        b"ANMF\x18\x00\x00\x00",
        b"ICCP",
        b"EXIF",
        b"\x9d\x01\x2a",
        b"\x2f",
    ],
    repair: repair::riff,
    short: 5_000,
};

fn jpegs() -> Vec<Vec<u8>> {
    let mut files = corpus::files("crates/data/tests/fixtures/jpeg", ".jpg");
    files.extend(corpus::files("crates/data/tests/fixtures", ".jpg"));
    files
}

fn pngs() -> Vec<Vec<u8>> {
    let mut files = corpus::files("crates/data/tests/fixtures/deep", ".png");
    files.push(corpus::file("crates/store/tests/fixtures/picture.png"));
    files.extend(made(ImageFormat::Png));
    files
}

fn tiffs() -> Vec<Vec<u8>> {
    // What is refused as a whole is nothing to begin with.
    let is_read = |bytes: &Vec<u8>| target(bytes).is_ok();
    let mut files = corpus::files("crates/data/tests/fixtures/deep", ".tif");
    files.retain(is_read);
    files
}

fn bmps() -> Vec<Vec<u8>> {
    made(ImageFormat::Bmp)
}

fn gifs() -> Vec<Vec<u8>> {
    made(ImageFormat::Gif)
}

fn webps() -> Vec<Vec<u8>> {
    let mut files = made(ImageFormat::WebP);
    files.push(corpus::file("crates/data/tests/fixtures/lossy.webp"));
    files
}

/// Two small pictures, the second with transparency.
fn made(format: ImageFormat) -> Vec<Vec<u8>> {
    let opaque = RgbImage::from_fn(9, 7, |x, y| [x as u8 * 20, y as u8 * 30, 99].into());
    let clear = RgbaImage::from_fn(16, 5, |x, y| [9, x as u8, y as u8 * 50, x as u8 * 16].into());
    let encode = |picture: DynamicImage| {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).expect("the format takes such pictures");
        bytes.into_inner()
    };
    vec![encode(opaque.into()), encode(clear.into())]
}

/// Decodes a picture file in each of the ways in which the library does.
pub(super) fn target(bytes: &[u8]) -> Outcome {
    let plain = decode(bytes, 3, &LIMITS);
    let reduced = decode_reduced(bytes, 3, &LIMITS, 4);
    let deep = |channels| decode(bytes, PixelFormat { channels, depth: Depth::Deep }, &LIMITS);
    let mut with_all = deep(3);
    if let Err(DecodeError::Channels { found, .. }) = with_all {
        with_all = deep(found);
    }
    let mut refused = None;
    for picture in [plain, reduced, with_all] {
        match picture {
            Ok(picture) => check(&picture),
            Err(error) => refused = Some(error.to_string()),
        }
    }
    refused.map_or(Ok(()), Err)
}

fn check(picture: &Picture) {
    let pixels = u64::from(picture.width()) * u64::from(picture.height());
    assert!((1..=LIMITS.pixels).contains(&pixels), "{pixels} pixels");
    let values = (pixels * u64::from(picture.channels())) as usize;
    match picture.depth() {
        Depth::Eight => assert_eq!(picture.pixels().len(), values),
        Depth::Deep => {
            assert_eq!(picture.deep_values().len(), values);
            assert!(picture.deep_values().iter().all(|value| value.is_finite()));
        }
    }
}
