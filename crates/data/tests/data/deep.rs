//! Pictures of many channels and of more than 8 bits, against tifffile and Pillow
//! (`reference/deep_pictures.py`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fcmae_data::augment::{CropBox, resize_crop};
use fcmae_data::loader::Batch;
use fcmae_data::{
    DataError, DecodeError, Depth, EvalTransform, Labels, Limits, Loader, LoaderOptions,
    Normalization, Picture, PictureSet, PixelFormat, RandAugment, RandomResizedCrop, Transform,
    decode, random,
};
use serde_json::Value;

use crate::pictures::{jpeg, write};

fn fixtures() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/deep"))
}

pub(crate) fn index() -> Value {
    serde_json::from_slice(&std::fs::read(fixtures().join("index.json")).unwrap()).unwrap()
}

pub(crate) fn file(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(name)).unwrap()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

pub(crate) fn deep(channels: u32) -> PixelFormat {
    PixelFormat { channels, depth: Depth::Deep }
}

fn decoded(bytes: &[u8], channels: u32) -> Result<Picture, DecodeError> {
    decode::decode(bytes, deep(channels), &Limits::default())
}

#[test]
fn values_are_tifffile_s() {
    let index = index();
    let files = index["files"].as_array().unwrap();
    assert_eq!(files.len(), 30);
    for fact in files {
        let number = |name: &str| fact[name].as_u64().unwrap() as u32;
        let name = fact["file"].as_str().unwrap();
        let picture = decoded(&file(name), number("channels"));
        let picture = picture.unwrap_or_else(|error| panic!("{name}: {error}"));
        let size = (picture.height(), picture.width(), picture.channels());
        assert_eq!(size, (number("height"), number("width"), number("channels")), "{name}");
        assert_eq!(picture.depth(), Depth::Deep);
        let expected = floats(&file(fact["values"].as_str().unwrap()));
        assert!(picture.deep_values() == expected, "{name}");
    }
}

#[test]
fn another_number_of_channels_is_refused_with_both() {
    for (name, found, wanted) in [
        ("chunky.tif", 5, 4),
        ("planar.tif", 5, 3),
        ("rgb_and_two.tif", 5, 4),
        ("f32.tif", 4, 1),
        ("rgb16.tif", 3, 2),
        ("grey16.png", 1, 2),
    ] {
        let error = decoded(&file(name), wanted).unwrap_err();
        assert!(
            matches!(error, DecodeError::Channels { found: f, wanted: w, .. } if (f, w) == (found, wanted)),
            "{name}: {error:?}"
        );
        let text = error.to_string();
        assert!(text.contains(&format!("set model.channels to {found}")), "{text}");
    }
    for (name, wanted) in [("pages_imagej.tif", 4), ("pages.tif", 3)] {
        let error = decoded(&file(name), wanted).unwrap_err();
        assert!(matches!(error, DecodeError::Stack { pages: 5, .. }), "{name}: {error:?}");
        let text = error.to_string();
        assert!(text.contains(&format!("{wanted} channels are asked for")), "{text}");
        assert!(text.contains("set model.channels to 5"), "{text}");
    }
}

#[test]
fn ordinary_pictures_become_grey_and_rgb() {
    let grey = decoded(&file("grey16.tif"), 1).unwrap();
    let color = decoded(&file("rgb16.tif"), 3).unwrap();
    let luma: Vec<f32> = color
        .deep_values()
        .chunks_exact(3)
        .map(|p| {
            (0.299 * f64::from(p[0]) + 0.587 * f64::from(p[1]) + 0.114 * f64::from(p[2])) as f32
        })
        .collect();
    for name in ["grey16.tif", "grey16.png", "grey16_and_reduced.tif"] {
        let tripled = decoded(&file(name), 3).unwrap();
        let expected: Vec<f32> = grey.deep_values().iter().flat_map(|&value| [value; 3]).collect();
        assert!(tripled.deep_values() == expected, "{name}");
    }
    for name in ["rgb16.tif", "rgb16.png"] {
        let turned_grey = decoded(&file(name), 1).unwrap();
        let apart = |(a, b): (&f32, &f32)| (a - b).abs();
        let apart = turned_grey.deep_values().iter().zip(&luma).map(apart).fold(0.0, f32::max);
        assert!(apart < 1e-6, "{name} {apart}");
    }
    // Of several pages of one channel the first, as of an animation.
    let first = decoded(&file("pages.tif"), 1).unwrap();
    assert_eq!(first.deep_values(), grey.deep_values());
    // The transparency of the file is its fourth band.
    let bands = decoded(&file("rgba16.tif"), 4).unwrap();
    let white = decoded(&file("rgba16.tif"), 3).unwrap();
    let (bands, _) = bands.deep_values().as_chunks::<4>();
    for (&[red, .., alpha], white) in bands.iter().zip(white.deep_values().chunks_exact(3)) {
        assert!((red * alpha + 1.0 - alpha - white[0]).abs() < 1e-6);
    }
}

#[test]
fn eight_bit_values_are_the_same_over_255() {
    let bytes = jpeg(30, 20);
    let eight = decode::decode(&bytes, 3, &Limits::default()).unwrap();
    let deep = decoded(&bytes, 3).unwrap();
    let expected: Vec<f32> = eight.pixels().iter().map(|&value| f32::from(value) / 255.0).collect();
    assert!(deep.deep_values() == expected);
    assert!(deep.pixels().is_empty() && eight.deep_values().is_empty());
}

#[test]
fn nan_is_refused_with_its_count() {
    let error = decoded(&file("nan.tif"), 4).unwrap_err();
    assert!(
        matches!(error, DecodeError::NotFinite { count: 5, of: 1596, declared: None, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("GDAL_NODATA"), "{error}");
}

#[test]
fn numbers_of_channels_follow_the_depth() {
    let bytes = file("chunky.tif");
    let limits = Limits::default();
    for format in [PixelFormat::from(5), PixelFormat::from(2), deep(0), deep(65)] {
        let error = decode::decode(&bytes, format, &limits).unwrap_err().to_string();
        assert!(error.contains(&format!("channels is {}", format.channels)), "{error}");
        let error = decode::open(&fixtures().join("chunky.tif"), format, &limits).unwrap_err();
        assert!(matches!(error, DataError::Parameter { .. }), "{error}");
    }
    assert!(Picture::deep(2, 2, 5, vec![0.0; 20]).is_ok());
    assert!(Picture::deep(2, 2, 5, vec![0.0; 19]).is_err());
    assert!(Picture::deep(2, 2, 65, vec![0.0; 260]).is_err());
    assert!(Picture::deep(0, 2, 5, Vec::new()).is_err());
}

/// Where the value of a tag of a classic little-endian file with one page stands.
fn value_of(bytes: &[u8], tag: u16) -> usize {
    let start = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
    let count = u16::from_le_bytes([bytes[start], bytes[start + 1]]) as usize;
    let entries = (0..count).map(|i| start + 2 + 12 * i);
    let entry = entries.into_iter().find(|&at| bytes[at..at + 2] == tag.to_le_bytes());
    entry.unwrap() + 8
}

fn patched(name: &str, tag: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = file(name);
    let at = value_of(&bytes, tag);
    bytes[at..at + value.len()].copy_from_slice(value);
    bytes
}

const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const COMPRESSION: u16 = 259;
const SAMPLES: u16 = 277;
const TILE_WIDTH: u16 = 322;

#[test]
fn a_file_that_is_cut_short_has_a_reason() {
    for name in ["chunky.tif", "tiled_planar_deflate.tif", "bigtiff.tif", "u8_packbits.tif"] {
        let bytes = file(name);
        for tenth in 0..10 {
            let cut = &bytes[..bytes.len() * tenth / 10];
            let error = decoded(cut, 5).expect_err(name);
            assert!(!matches!(error, DecodeError::Panicked(_)), "{name} {tenth}: {error}");
        }
    }
}

#[test]
fn impossible_headers_are_refused_at_once() {
    let huge = u32::MAX.to_le_bytes();
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("no width", patched("chunky.tif", WIDTH, &[0; 4]), "damaged"),
        ("no height", patched("chunky.tif", HEIGHT, &[0; 4]), "damaged"),
        ("no channel", patched("chunky.tif", SAMPLES, &[0; 2]), "damaged"),
        ("many channels", patched("chunky.tif", SAMPLES, &[0xFF; 2]), "damaged"),
        ("a huge width", patched("chunky.tif", WIDTH, &huge), "too large"),
        ("a huge height", patched("tiled_lzw.tif", HEIGHT, &huge), "damaged"),
        // All of the picture in the first tile, which claims to be as wide as can be.
        ("a huge tile", patched("f32_one_tile.tif", TILE_WIDTH, &huge), "too large"),
        ("Zstandard", patched("chunky.tif", COMPRESSION, &50_000u16.to_le_bytes()), "50000"),
    ];
    for (name, bytes, expected) in cases {
        let start = Instant::now();
        let error = decoded(&bytes, 5).expect_err(name);
        assert!(error.to_string().contains(expected), "{name}: {error}");
        assert!(start.elapsed() < Duration::from_millis(500), "{name}");
    }
}

/// What decoders take memory for before they look: a list of a size that the file says.
#[test]
fn more_numbers_than_the_file_has_bytes_are_refused_before_they_are_read() {
    const STRIPS: u16 = 273;
    let tags = [("chunky.tif", WIDTH), ("chunky.tif", STRIPS), ("rgb16.tif", SAMPLES)];
    for (name, tag) in tags {
        let bytes = file(name);
        for count in [bytes.len() as u32, 7_000_000] {
            let mut bytes = bytes.clone();
            let at = value_of(&bytes, tag) - 4;
            bytes[at..at + 4].copy_from_slice(&count.to_le_bytes());
            for format in [3.into(), deep(3)] {
                let error = decode::decode(&bytes, format, &Limits::default()).expect_err(name);
                assert!(error.to_string().contains("larger than it can be"), "{name}: {error}");
            }
        }
    }
}

#[test]
fn limits_hold_for_float_values() {
    let bytes = file("u8_packbits.tif");
    let limits = |bytes| Limits { bytes, ..Limits::default() };
    // 19 × 21 pixels of 5 channels of 4 bytes; the file's own are a quarter of that.
    let decode = |limits| decode::decode(&bytes, deep(5), &limits);
    assert!(decode(limits(7980)).is_ok());
    let error = decode(limits(7979)).unwrap_err().to_string();
    assert!(error.contains("7980") && error.contains("7979"), "{error}");
    let limits = Limits { pixels: 398, ..Limits::default() };
    let error = decode::decode(&bytes, deep(5), &limits).unwrap_err().to_string();
    assert!(error.contains("399") && error.contains("398"), "{error}");
}

/// The twin of `float_source` in the script.
fn source(kind: &str, height: u32, width: u32, channels: u32) -> Picture {
    let values = crate::pillow::values(kind, height, width, channels);
    let values = values.into_iter().map(|value| f32::from(value) * 0.25 - 20.0).collect();
    Picture::deep(width, height, channels, values).unwrap()
}

#[test]
fn resizing_is_pillow_s_of_floats_to_the_last_bit() {
    let index = index();
    let results = file("resize.bin");
    let mut seen = 0;
    for case in index["resize"].as_array().unwrap() {
        let numbers = |name: &str| -> Vec<f64> {
            case[name].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
        };
        let (size, out) = (numbers("source"), numbers("out"));
        let (height, width) = (out[0] as u32, out[1] as u32);
        let kind = case["kind"].as_str().unwrap();
        let picture = source(kind, size[0] as u32, size[1] as u32, size[2] as u32);
        let found = match (case["what"].as_str().unwrap(), &numbers("box")[..]) {
            ("box", &[left, top, right, bottom]) => {
                let area = CropBox { left, top, width: right - left, height: bottom - top };
                resize_crop(&picture, area, height, width).unwrap()
            }
            ("cut", &[left, top, right, bottom]) => {
                training_crop(&picture, [left, top, right - left, bottom - top], height, width)
            }
            ("eval", _) => EvalTransform::new(height, width).apply(&picture).unwrap(),
            _ => panic!("{case}"),
        };
        let offset = case["offset"].as_u64().unwrap() as usize;
        let expected = floats(&results[offset..][..4 * found.deep_values().len()]);
        assert_eq!((found.height(), found.width()), (height, width), "{case}");
        assert!(found.deep_values() == expected, "{case}");
        seen += 1;
    }
    assert_eq!(seen, 12);
}

/// A training crop whose box is given: generators are tried until one draws it.
fn training_crop(picture: &Picture, area: [f64; 4], height: u32, width: u32) -> Picture {
    let [left, top, crop_width, crop_height] = area;
    let (rows, columns) = (picture.height(), picture.width());
    let share = crop_width * crop_height / f64::from(rows * columns);
    let ratio = crop_width / crop_height * f64::from(height) / f64::from(width);
    let transform = RandomResizedCrop {
        scale: (share, share),
        ratio: (ratio, ratio),
        flip: 0.0,
        ..RandomResizedCrop::new(height, width)
    };
    let seed = (0..1_000_000)
        .find(|&seed| {
            let crop = transform.draw(rows, columns, &mut random::keyed(seed, "test", 0, 0));
            (crop.left, crop.top) == (left as u32, top as u32)
        })
        .unwrap();
    transform.apply(picture, &mut random::keyed(seed, "test", 0, 0)).unwrap()
}

#[test]
fn bands_come_through_the_loader_normalized() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["chunky.tif", "planar.tif", "pages.tif", "tiled_lzw.tif", "bigtiff.tif"];
    for name in names {
        write(&dir.path().join(name), &file(name));
    }
    write(&dir.path().join("photo.jpg"), &jpeg(20, 20));
    let folder = Arc::new(PictureSet::open(dir.path(), Labels::Ignored).unwrap());
    let mean = vec![0.5, 0.4, 0.3, 0.2, 0.1];
    let normalization = Normalization { mean: mean.clone(), std: vec![0.25; 5] };
    let options =
        LoaderOptions { depth: Depth::Deep, max_bad_fraction: 0.2, ..LoaderOptions::eval(6) };
    let load = |transform: Transform, options: &LoaderOptions| {
        Loader::new(Arc::clone(&folder), transform, normalization.clone(), options)
    };
    let same_size = Transform::Eval(EvalTransform {
        resize: fcmae_data::EvalResize::Warp,
        ..EvalTransform::new(19, 21)
    });
    let mut loader = load(same_size, &options).unwrap();
    let batch = loader.next().unwrap().unwrap();
    assert_eq!((batch.len(), batch.height, batch.width, batch.channels), (5, 19, 21, 5));
    let skipped = loader.skipped();
    assert!(skipped.len() == 1 && skipped[0].reason.contains("3 channels"), "{skipped:?}");
    let values = decoded(&file("chunky.tif"), 5).unwrap();
    for image in batch.images.chunks_exact(19 * 21 * 5) {
        for (i, (found, value)) in image.iter().zip(values.deep_values()).enumerate() {
            assert!((found - (value - mean[i % 5]) / 0.25).abs() < 1e-5);
        }
    }
    // Training, with the cache and without, by any number of threads.
    let crop = RandomResizedCrop::new(16, 16);
    let batches = |workers, cache_bytes| -> Vec<Batch> {
        let options = LoaderOptions { workers, cache_bytes, batch: 3, ..options.clone() };
        let options = LoaderOptions { order: fcmae_data::sampler::Order::Shuffled, ..options };
        let loader = load(Transform::Train(crop.clone()), &options).unwrap();
        loader.take(6).map(Result::unwrap).collect()
    };
    let expected = batches(0, 0);
    assert!(expected[0] != expected[2]);
    for (workers, cache_bytes) in [(0, 1 << 20), (3, 0), (2, 1 << 20), (2, 9000)] {
        assert!(batches(workers, cache_bytes) == expected, "{workers} {cache_bytes}");
    }
    let augmented = RandomResizedCrop {
        rand_augment: Some(RandAugment::new(&Normalization::imagenet(3).unwrap())),
        ..crop
    };
    let error = load(Transform::Train(augmented.clone()), &options).unwrap_err().to_string();
    assert!(error.contains("RandAugment") && error.contains("leave it out"), "{error}");
    assert!(augmented.apply(&values, &mut random::keyed(0, "test", 0, 0)).is_err());
    let eight = LoaderOptions { depth: Depth::Eight, ..options };
    let error = load(Transform::Train(RandomResizedCrop::new(8, 8)), &eight).unwrap_err();
    assert!(error.to_string().contains("channels is 5"), "{error}");
}

/// Damage of single bytes anywhere gives a picture or a reason, never a panic.
#[test]
fn changed_bytes_never_panic() {
    for name in ["tiled_planar_deflate.tif", "rgb_and_two.tif", "pages.tif", "f32_one_tile.tif"] {
        let whole = file(name);
        // All of the headers, which stand at either end, and some of the rest.
        let ends = (0..whole.len()).filter(|at| *at < 400 || at + 400 > whole.len() || at % 7 == 0);
        for at in ends {
            for change in [0x01, 0x80, 0xFF] {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                if let Err(error @ DecodeError::Panicked(_)) = decoded(&bytes, 5) {
                    panic!("{name}, byte {at} ^ {change}: {error}");
                }
            }
        }
    }
}
