//! Picture files, good and bad, to pictures.

use fcmae_data::{DecodeError, Limits, Picture, decode};
use image::{ImageFormat, Rgb};

use crate::pictures::{bad_kinds, encode, good_kinds, jpeg, photo, with_orientation, write};

fn decoded(bytes: &[u8], channels: u32) -> Picture {
    decode::decode(bytes, channels, &Limits::default()).unwrap()
}

/// Fault 12: unusual pictures that are usable.
#[test]
fn every_kind_of_picture_becomes_rgb_and_grey() {
    for (name, bytes) in good_kinds() {
        for channels in [1, 3] {
            let picture = decode::decode(&bytes, channels, &Limits::default());
            let picture = picture.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(picture.channels(), channels);
            let pixels = picture.width() as usize * picture.height() as usize;
            assert_eq!(picture.pixels().len(), pixels * channels as usize, "{name}");
        }
    }
}

/// Fault 12: files cut short at 10 points, empty ones and others, one by one.
#[test]
fn what_is_no_picture_has_a_reason() {
    for (name, bytes) in bad_kinds() {
        let error = decode::decode(&bytes, 3, &Limits::default());
        let error = error.err().unwrap_or_else(|| panic!("{name} was decoded"));
        let expected = match name.as_str() {
            "empty.jpg" => matches!(error, DecodeError::Empty),
            "text.png" | "noise.webp" => matches!(error, DecodeError::UnknownFormat),
            // A header that is cut off may read as a damaged one.
            name if name.starts_with("cut at") => {
                matches!(error, DecodeError::Truncated | DecodeError::Malformed(_))
            }
            _ => true,
        };
        assert!(expected, "{name}: {error:?}");
        assert_eq!(error.to_string().lines().count(), 1, "{name}: {error:?}");
    }
}

/// The decoder of JPEG files that comes first panics at these; the general one has the word.
#[test]
fn a_colour_of_cmyk_in_more_detail_than_the_first_is_no_panic() {
    let cmyk = include_bytes!("../fixtures/cmyk.jpg").to_vec();
    // Four components: a number, the factors across and down, the number of a table.
    let first = [b'C', 0x11, 0, b'M', 0x11, 0, b'Y', 0x11, 0, b'K', 0x11, 0];
    let at = cmyk.windows(first.len()).position(|part| part == first).unwrap();
    for (component, factors) in [(1, 0x22), (3, 0x13), (2, 0x21)] {
        let mut bytes = cmyk.clone();
        bytes[at + 3 * component + 1] = factors;
        let result = decode::decode(&bytes, 3, &Limits::default());
        assert!(!matches!(result, Err(DecodeError::Panicked(_))), "{component}: {result:?}");
    }
}

#[test]
fn lossless_values_survive() {
    let photo = photo(20, 14);
    for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::WebP] {
        assert_eq!(decoded(&encode(photo.clone(), format), 3).pixels(), photo.as_raw().as_slice());
    }
}

#[test]
fn deep_values_keep_their_brightness() {
    let deep =
        image::ImageBuffer::from_fn(3, 1, |x, _| Rgb([[0u16, 32_896, 65_535][x as usize]; 3]));
    let picture = decoded(&encode(deep, ImageFormat::Png), 3);
    assert_eq!(picture.pixels(), [0, 0, 0, 128, 128, 128, 255, 255, 255]);
}

#[test]
fn transparency_lies_on_white() {
    let clear = image::RgbaImage::from_fn(2, 1, |x, _| image::Rgba([10, 20, 30, x as u8 * 255]));
    let picture = decoded(&encode(clear, ImageFormat::Png), 3);
    assert_eq!(picture.pixels(), [255, 255, 255, 10, 20, 30]);
}

#[test]
fn an_animation_gives_its_first_picture() {
    let (_, bytes) = good_kinds().into_iter().find(|(name, _)| *name == "animated.gif").unwrap();
    assert!(decoded(&bytes, 1).pixels().iter().all(|&value| value == 10));
}

/// Fault 12: the 8 turns of EXIF.
///
/// Left top, right top, left bottom and right bottom of a picture, as (bright, blue) of 2×2 blocks.
#[test]
fn the_eight_turns_of_exif_come_out_upright() {
    // A corner each of red, green, blue and black, in blocks that survive JPEG.
    let upright = image::RgbImage::from_fn(32, 16, |x, y| match (x < 16, y < 8) {
        (true, true) => Rgb([255, 0, 0]),
        (false, true) => Rgb([0, 255, 0]),
        (true, false) => Rgb([0, 0, 255]),
        (false, false) => Rgb([0, 0, 0]),
    });
    use image::imageops::{flip_horizontal, flip_vertical, rotate90, rotate180, rotate270};
    // How the camera stored it: the inverse of the turn which the orientation asks for.
    let stored = [
        upright.clone(),
        flip_horizontal(&upright),
        rotate180(&upright),
        flip_vertical(&upright),
        flip_horizontal(&rotate90(&upright)),
        rotate270(&upright),
        flip_horizontal(&rotate270(&upright)),
        rotate90(&upright),
    ];
    for (orientation, stored) in (1..=8).zip(stored) {
        let bytes = with_orientation(&encode(stored, ImageFormat::Jpeg), orientation);
        let picture = decoded(&bytes, 3);
        assert_eq!((picture.width(), picture.height()), (32, 16), "orientation {orientation}");
        let close = |x: usize, y: usize, color: [u8; 3]| {
            let pixel = &picture.pixels()[(y * 32 + x) * 3..][..3];
            assert!(
                pixel.iter().zip(color).all(|(a, b)| a.abs_diff(b) < 30),
                "orientation {orientation} at {x}, {y}: {pixel:?}"
            );
        };
        close(2, 2, [255, 0, 0]);
        close(29, 2, [0, 255, 0]);
        close(2, 13, [0, 0, 255]);
        close(29, 13, [0, 0, 0]);
    }
}

#[test]
fn limits_are_the_callers() {
    let bytes = jpeg(40, 30);
    let limits = |pixels, bytes| Limits { pixels, bytes, ..Limits::default() };
    let refused = |limits| decode::decode(&bytes, 3, &limits).unwrap_err().to_string();
    assert!(decode::decode(&bytes, 3, &limits(1200, 3600)).is_ok());
    let error = refused(limits(1199, 3600));
    assert!(error.contains("1200") && error.contains("1199"), "{error}");
    let error = refused(limits(1200, 3599));
    assert!(error.contains("3600") && error.contains("3599"), "{error}");
}

#[test]
fn an_error_of_a_file_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad one.jpg");
    write(&path, b"nothing");
    let error = decode::open(&path, 3, &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("bad one.jpg") && error.contains("not a picture"), "{error}");
    let error = decode::open(dir.path(), 3, &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("not a regular file"), "{error}");
    let gone = dir.path().join("gone.jpg");
    assert!(decode::open(&gone, 3, &Limits::default()).is_err());
    write(&path, &jpeg(8, 8));
    assert_eq!(decode::open(&path, 1, &Limits::default()).unwrap().channels(), 1);
    let error = decode::open(&path, 4, &Limits::default()).unwrap_err().to_string();
    assert!(error.contains('4') && error.contains("RGB"), "{error}");
}

/// Damage of single bytes anywhere gives a picture or a reason, never a panic.
#[test]
fn flipped_bits_never_panic() {
    for (name, bytes) in good_kinds().into_iter().filter(|(_, bytes)| bytes.len() < 4000) {
        for at in (0..bytes.len()).step_by(1 + bytes.len() / 150) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            let limits = Limits { pixels: 1 << 20, bytes: 1 << 23, ..Limits::default() };
            match decode::decode(&damaged, 3, &limits) {
                Err(DecodeError::Panicked(text)) => eprintln!("{name} at {at}: caught {text}"),
                Ok(picture) => assert!(!picture.pixels().is_empty()),
                Err(_) => {}
            }
        }
    }
}
