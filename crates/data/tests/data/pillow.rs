//! Resizing, crops and decoding against values that Pillow, torchvision and timm made
//! (`reference/pillow_resize.py`).

use fcmae_data::augment::{CropBox, resize_crop};
use fcmae_data::{EvalTransform, Limits, Picture, RandomResizedCrop, decode, random};
use serde_json::Value;

const RESIZE: &str = include_str!("../fixtures/resize.json");
const VALUES: &[u8] = include_bytes!("../fixtures/resize.bin");
const PICTURES: &str = include_str!("../fixtures/pictures.json");

/// The twin of `source` in the script.
pub(crate) fn source(kind: &str, height: u32, width: u32, channels: u32) -> Picture {
    Picture::new(width, height, channels, values(kind, height, width, channels)).unwrap()
}

/// Its values, for any number of channels.
pub(crate) fn values(kind: &str, height: u32, width: u32, channels: u32) -> Vec<u8> {
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            for c in 0..channels {
                pixels.push(match kind {
                    "noise" => {
                        let h = x.wrapping_mul(2_654_435_761)
                            ^ y.wrapping_mul(2_246_822_519)
                            ^ c.wrapping_mul(3_266_489_917);
                        let h = (h ^ (h >> 15)).wrapping_mul(2_246_822_519);
                        (h >> 13) as u8
                    }
                    "edges" => ((x / 5 + y / 7 + c) % 2 * 255) as u8,
                    _ => {
                        let v = (x * 3 + y * 2 + c * 40) % 512;
                        v.min(511 - v) as u8
                    }
                });
            }
        }
    }
    pixels
}

struct Case {
    what: String,
    name: String,
    source: Picture,
    area: Vec<f64>,
    height: u32,
    width: u32,
    expected: &'static [u8],
}

fn cases(what: &str) -> Vec<Case> {
    let all: Vec<Value> = serde_json::from_str(RESIZE).unwrap();
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().map_or(Vec::new(), |a| a.iter().map(|v| v.as_f64().unwrap()).collect())
    };
    let cases = all.into_iter().map(|case| {
        let size: Vec<u32> = numbers(&case["source"]).iter().map(|&v| v as u32).collect();
        let out: Vec<u32> = numbers(&case["out"]).iter().map(|&v| v as u32).collect();
        let offset = case["offset"].as_u64().unwrap() as usize;
        let length = (out[0] * out[1] * size[2]) as usize;
        Case {
            what: case["what"].as_str().unwrap().to_owned(),
            name: case.to_string(),
            source: source(case["kind"].as_str().unwrap(), size[0], size[1], size[2]),
            area: numbers(&case["box"]),
            height: out[0],
            width: out[1],
            expected: &VALUES[offset..offset + length],
        }
    });
    cases.filter(|case| case.what == what).collect()
}

fn assert_within_one(case: &Case, result: &Picture) {
    assert_eq!((result.height(), result.width()), (case.height, case.width), "{}", case.name);
    let largest = result.pixels().iter().zip(case.expected).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(largest.unwrap() <= 1, "{} levels apart: {}", largest.unwrap(), case.name);
}

#[test]
fn resizing_a_box_is_pillow_s_within_one_level() {
    let cases = cases("box");
    assert_eq!(cases.len(), 48);
    for case in cases {
        let [left, top, right, bottom] = case.area[..] else { panic!() };
        let area = CropBox { left, top, width: right - left, height: bottom - top };
        let result = resize_crop(&case.source, area, case.height, case.width).unwrap();
        assert_within_one(&case, &result);
    }
}

#[test]
fn a_training_crop_is_torchvision_s_within_one_level() {
    let cases = cases("cut");
    assert_eq!(cases.len(), 6);
    for case in cases {
        // With scale and ratio pinned to the box there is only its place left to chance, so
        // generators are tried until it falls where the case has it.
        let [left, top, width, height] = case.area[..] else { panic!() };
        let share = width * height / (213.0 * 160.0);
        let ratio = width / height * f64::from(case.height) / f64::from(case.width);
        let transform = RandomResizedCrop {
            scale: (share, share),
            ratio: (ratio, ratio),
            flip: 0.0,
            ..RandomResizedCrop::new(case.height, case.width)
        };
        let seed = (0..1_000_000)
            .find(|&seed| {
                let crop = transform.draw(213, 160, &mut random::keyed(seed, "test", 0, 0));
                assert_eq!((crop.width, crop.height), (width as u32, height as u32));
                (crop.left, crop.top) == (left as u32, top as u32)
            })
            .unwrap();
        let rng = &mut random::keyed(seed, "test", 0, 0);
        assert_within_one(&case, &transform.apply(&case.source, rng).unwrap());
    }
}

#[test]
fn the_transform_of_evaluation_is_timm_s_within_one_level() {
    let cases = cases("eval");
    assert_eq!(cases.len(), 18);
    for case in cases {
        let transform = EvalTransform::new(case.height, case.width);
        assert_within_one(&case, &transform.apply(&case.source).unwrap());
    }
}

#[test]
fn pictures_decode_as_by_pillow() {
    let facts: Value = serde_json::from_str(PICTURES).unwrap();
    for (name, bytes) in [
        ("cmyk.jpg", &include_bytes!("../fixtures/cmyk.jpg")[..]),
        ("grey.jpg", include_bytes!("../fixtures/grey.jpg")),
        ("progressive.jpg", include_bytes!("../fixtures/progressive.jpg")),
        ("lossy.webp", include_bytes!("../fixtures/lossy.webp")),
    ] {
        let picture = decode::decode(bytes, 3, &Limits::default()).unwrap();
        let fact = &facts[name];
        assert_eq!(fact["size"][0], picture.height(), "{name}");
        assert_eq!(fact["size"][1], picture.width(), "{name}");
        for channel in 0..3 {
            let values = || picture.pixels().iter().skip(channel).step_by(3);
            let mean = values().map(|&v| f64::from(v)).sum::<f64>() / f64::from(24 * 40);
            let expected = fact["mean"][channel].as_f64().unwrap();
            assert!((mean - expected).abs() < 1.0, "{name}: channel {channel} {mean} {expected}");
            let pixel = *values().nth(5 * 40 + 7).unwrap();
            let expected = fact["pixel_5_7"][channel].as_f64().unwrap();
            // Decoders differ a little in how they round and enlarge the colour planes.
            assert!((f64::from(pixel) - expected).abs() <= 4.0, "{name}: {pixel} {expected}");
        }
    }
}

/// `reference/pillow_jpeg.py`.
macro_rules! jpeg_fixtures {
    ($($name:literal),*) => {
        [$((
            $name,
            &include_bytes!(concat!("../fixtures/jpeg/", $name, ".jpg"))[..],
            &include_bytes!(concat!("../fixtures/jpeg/", $name, ".raw"))[..],
            &include_bytes!(concat!("../fixtures/jpeg/", $name, ".reduced"))[..],
        )),*]
    };
}

#[test]
fn jpeg_pixels_are_pillow_s_to_the_last_bit() {
    for (name, file, pixels, reduced) in
        jpeg_fixtures!("444", "422", "420", "420_progressive", "420_restarts", "grey")
    {
        let channels = if name == "grey" { 1 } else { 3 };
        let picture = decode::decode(file, channels, &Limits::default()).unwrap();
        assert_eq!((picture.width(), picture.height()), (45, 37), "{name}");
        assert!(picture.pixels() == pixels, "{name}");
        // A short side of 37 pixels, over 2, 4 and 8; one pixel more than that is not to be had.
        let mut reduced = reduced;
        for (height, width) in [(19, 23), (10, 12), (5, 6)] {
            let limits = Limits::default();
            let picture = decode::decode_reduced(file, channels, &limits, height).unwrap();
            assert_eq!((picture.height(), picture.width()), (height, width), "{name}");
            let expected = reduced.split_off(..picture.pixels().len()).unwrap();
            assert!(picture.pixels() == expected, "{name} {height}×{width}");
            let larger = decode::decode_reduced(file, channels, &limits, height + 1).unwrap();
            assert!(larger.height() > height, "{name}");
        }
        assert!(reduced.is_empty());
    }
}
