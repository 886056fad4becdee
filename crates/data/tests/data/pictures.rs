//! Small picture files of many kinds.

use std::io::Cursor;
use std::path::Path;

use image::codecs::gif::GifEncoder;
use image::{DynamicImage, Frame, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba};

/// A picture in which no two of the eight turns are alike.
pub(crate) fn photo(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let part = |value: u32, of: u32| (value * 255 / of.max(1)) as u8;
        Rgb([part(x, width), part(y, height), if x * 3 < width { 200 } else { 30 }])
    })
}

pub(crate) fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub(crate) fn jpeg(width: u32, height: u32) -> Vec<u8> {
    encode(photo(width, height), ImageFormat::Jpeg)
}

pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
    encode(photo(width, height), ImageFormat::Png)
}

pub(crate) fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A JPEG with an EXIF orientation, as cameras write it.
pub(crate) fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let tiff: [u8; 26] = [
        b'I',
        b'I',
        42,
        0,
        8,
        0,
        0,
        0, // little-endian, first directory at 8
        1,
        0, // one entry
        0x12,
        0x01,
        3,
        0,
        1,
        0,
        0,
        0,
        orientation,
        0,
        0,
        0, // Orientation, one SHORT
        0,
        0,
        0,
        0, // no further directory
    ];
    let mut bytes = jpeg[..2].to_vec();
    bytes.extend([0xFF, 0xE1, 0, 2 + 6 + 26]);
    bytes.extend(b"Exif\0\0");
    bytes.extend(tiff);
    bytes.extend(&jpeg[2..]);
    bytes
}

/// Readable pictures of every kind, by name.
pub(crate) fn good_kinds() -> Vec<(&'static str, Vec<u8>)> {
    let (w, h) = (20, 14);
    let photo = photo(w, h);
    let grey = image::ImageBuffer::from_fn(w, h, |x, _| Luma([(x * 12) as u8]));
    let deep = image::ImageBuffer::from_fn(w, h, |x, y| Rgb([x as u16 * 3000, y as u16 * 4000, 9]));
    let deep_grey = image::ImageBuffer::from_fn(w, h, |x, _| Luma([x as u16 * 3000]));
    let alpha =
        image::ImageBuffer::from_fn(w, h, |x, y| Rgba([x as u8, y as u8, 0, (x * 12) as u8]));
    let grey_alpha = image::ImageBuffer::from_fn(w, h, |x, y| LumaA([x as u8, (y * 18) as u8]));
    let mut animated = Vec::new();
    {
        let mut encoder = GifEncoder::new(&mut animated);
        for shade in [10, 200] {
            let frame = image::RgbaImage::from_pixel(w, h, Rgba([shade, shade, shade, 255]));
            encoder.encode_frame(Frame::new(frame)).unwrap();
        }
    }
    vec![
        ("photo.jpg", encode(photo.clone(), ImageFormat::Jpeg)),
        ("photo.png", encode(photo.clone(), ImageFormat::Png)),
        ("photo.bmp", encode(photo.clone(), ImageFormat::Bmp)),
        ("photo.tiff", encode(photo.clone(), ImageFormat::Tiff)),
        ("photo.webp", encode(photo.clone(), ImageFormat::WebP)),
        ("photo.gif", encode(photo.clone(), ImageFormat::Gif)),
        ("png named.jpg", encode(photo, ImageFormat::Png)),
        ("grey.png", encode(grey.clone(), ImageFormat::Png)),
        ("grey.jpg", encode(grey, ImageFormat::Jpeg)),
        ("deep.png", encode(deep, ImageFormat::Png)),
        ("deep grey.png", encode(deep_grey, ImageFormat::Png)),
        ("alpha.png", encode(alpha, ImageFormat::Png)),
        ("grey alpha.png", encode(grey_alpha, ImageFormat::Png)),
        ("animated.gif", animated),
        ("cmyk.jpg", include_bytes!("../fixtures/cmyk.jpg").to_vec()),
        ("progressive.jpg", include_bytes!("../fixtures/progressive.jpg").to_vec()),
        ("lossy.webp", include_bytes!("../fixtures/lossy.webp").to_vec()),
        ("dot.png", png(1, 1)),
        ("strip.png", png(65_500, 1)),
        ("new\nline.jpg", jpeg(w, h)),
        ("turned.jpg", with_orientation(&jpeg(w, h), 6)),
    ]
}

/// Files with a picture's name that are none, by name.
pub(crate) fn bad_kinds() -> Vec<(String, Vec<u8>)> {
    let mut kinds = vec![
        ("empty.jpg".to_owned(), Vec::new()),
        ("text.png".to_owned(), b"this is no picture".to_vec()),
        ("two bytes.jpg".to_owned(), vec![0xFF, 0xD8]),
        ("noise.webp".to_owned(), (0..999u32).map(|i| (i * i % 251) as u8).collect()),
    ];
    let whole = jpeg(64, 64);
    for tenth in 1..10 {
        kinds.push((
            format!("cut at {tenth} of 10.jpg"),
            whole[..whole.len() * tenth / 10].to_vec(),
        ));
    }
    kinds.push(("cut at the end.jpg".to_owned(), whole[..whole.len() - 2].to_vec()));
    for (name, bytes) in good_kinds() {
        if ["photo.png", "photo.bmp", "photo.webp", "photo.tiff", "photo.gif"].contains(&name) {
            kinds.push((format!("half a {name}"), bytes[..bytes.len() / 2].to_vec()));
        }
    }
    kinds
}
