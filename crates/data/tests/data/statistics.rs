//! Statistics of sets, against NumPy (`reference/deep_pictures.py`) and by hand.

use std::path::Path;

use fcmae_data::statistics::{ChannelStatistics, Sides, Statistics};
use fcmae_data::{Labels, Limits, PictureSet, PixelFormat};
use image::{ImageFormat, Luma, Rgb, RgbImage};

use crate::deep::{deep, file, index};
use crate::pictures::{bad_kinds, encode, good_kinds, write};

fn look(root: &Path, format: impl Into<PixelFormat>, sample: Option<usize>) -> Statistics {
    let folder = PictureSet::open(root, Labels::Ignored).unwrap();
    Statistics::of(&folder, format, sample, 2, &Limits::default()).unwrap()
}

fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-12 + 1e-9 * expected.abs()
}

#[test]
fn bands_have_numpy_s_statistics() {
    let index = index();
    let facts = &index["statistics"];
    let dir = tempfile::tempdir().unwrap();
    for name in facts["files"].as_array().unwrap() {
        let name = name.as_str().unwrap();
        write(&dir.path().join(name), &file(name));
    }
    let found = look(dir.path(), deep(5), None);
    assert_eq!((found.set, found.looked_at, found.pictures), (3, 3, 3));
    assert_eq!(found.pixels, facts["pixels"].as_u64().unwrap());
    assert!(found.channels.len() == 5 && found.skipped.is_empty());
    type Statistic = (&'static str, fn(&ChannelStatistics) -> f64);
    let statistics: [Statistic; 6] = [
        ("mean", |channel| channel.mean),
        ("std", |channel| channel.std),
        ("min", |channel| channel.min),
        ("max", |channel| channel.max),
        ("percentile_1", |channel| channel.percentile_1),
        ("percentile_99", |channel| channel.percentile_99),
    ];
    for (name, statistic) in statistics {
        for (channel, expected) in found.channels.iter().zip(facts[name].as_array().unwrap()) {
            let (found, expected) = (statistic(channel), expected.as_f64().unwrap());
            assert!(near(found, expected), "{name}: {found} {expected}");
        }
    }
    let json = serde_json::to_value(&found).unwrap();
    let kind = &json["kinds"][0];
    assert_eq!((&kind["format"], &kind["bits"]), (&"TIFF".into(), &8.into()));
    assert_eq!((&kind["channels"], &kind["files"]), (&5.into(), &1.into()));
    assert_eq!(json["kinds"][1]["files"], 2);
}

#[test]
fn every_pixel_counts_once_whatever_the_picture_s_size() {
    let dir = tempfile::tempdir().unwrap();
    let save = |name: &str, width, height, color: [u8; 3]| {
        let picture = RgbImage::from_pixel(width, height, Rgb(color));
        write(&dir.path().join(name), &encode(picture, ImageFormat::Png));
    };
    save("a.png", 20, 10, [51, 0, 255]);
    save("b.png", 5, 4, [204, 0, 0]);
    save("c.png", 6, 5, [204, 0, 0]);
    let found = look(dir.path(), 3, None);
    // 200 pixels of a fifth and 50 of four fifths.
    let [red, green, blue] = found.channels[..] else { panic!() };
    let (mean, variance) = (0.32, 0.36 * 0.8 * 0.2);
    assert!(near(red.mean, mean) && near(red.std * red.std, variance), "{red:?}");
    assert!(near(blue.mean, 0.8) && near(blue.std, 0.4), "{blue:?}");
    assert_eq!((red.min, red.max, green.mean, green.std), (0.2, 0.8, 0.0, 0.0));
    assert_eq!(found.height, Some(Sides { smallest: 4, median: 5, largest: 10 }));
    assert_eq!(found.width, Some(Sides { smallest: 5, median: 6, largest: 20 }));
    assert_eq!(found.pixels, 250);
}

#[test]
fn the_result_is_the_same_for_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in good_kinds() {
        write(&dir.path().join("good").join(name), &bytes);
    }
    for (name, bytes) in bad_kinds() {
        write(&dir.path().join("bad").join(name), &bytes);
    }
    let folder = PictureSet::open(dir.path(), Labels::Ignored).unwrap();
    let limits = Limits::default();
    for format in [PixelFormat::from(3), PixelFormat::from(1), deep(3)] {
        let expected = Statistics::of(&folder, format, None, 0, &limits).unwrap();
        assert_eq!(expected.pictures, good_kinds().len());
        assert_eq!(expected.skipped.len(), bad_kinds().len());
        for workers in [1, 2, 5, 200] {
            let found = Statistics::of(&folder, format, None, workers, &limits).unwrap();
            assert!(found == expected, "{workers}");
        }
    }
}

#[test]
fn a_sample_is_evenly_spaced() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..10u8 {
        let picture = image::GrayImage::from_pixel(3, 3, Luma([i * 20]));
        write(&dir.path().join(format!("{i}.png")), &encode(picture, ImageFormat::Png));
    }
    for (sample, sum) in [(1, 0.0), (2, 100.0), (3, 180.0), (10, 900.0), (99, 900.0)] {
        let found = look(dir.path(), 1, Some(sample));
        let looked_at = sample.min(10);
        assert_eq!((found.set, found.looked_at, found.pictures), (10, looked_at, looked_at));
        let mean = sum / looked_at as f64 / 255.0;
        assert!(near(found.channels[0].mean, mean), "{sample} {:?}", found.channels);
    }
    let folder = PictureSet::open(dir.path(), Labels::Ignored).unwrap();
    let error = Statistics::of(&folder, 1, Some(0), 1, &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("at least 1"), "{error}");
    assert!(Statistics::of(&folder, 4, None, 1, &Limits::default()).is_err());
}

#[test]
fn what_files_hold_is_told_where_they_cannot_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let names =
        ["chunky.tif", "pages_imagej.tif", "bigtiff.tif", "f32.tif", "i16.tif", "rgb16.png"];
    for name in names {
        write(&dir.path().join(name), &file(name));
    }
    let found = look(dir.path(), deep(7), None);
    assert_eq!((found.pictures, found.skipped.len(), found.pixels), (0, 6, 0));
    assert!(found.channels.is_empty() && found.height.is_none());
    let reason = |name: &str| {
        let skip = found.skipped.iter().find(|skip| skip.path.ends_with(name));
        skip.unwrap().reason.clone()
    };
    assert!(reason("pages_imagej.tif").contains("set model.channels to 5"));
    let json = serde_json::to_value(&found.kinds).unwrap();
    let mut kinds: Vec<String> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| {
            let text = |name: &str| kind[name].to_string().replace('"', "");
            ["format", "channels", "bits", "numbers", "pages", "files"].map(text).join(" ")
        })
        .collect();
    kinds.sort_unstable();
    let expected = [
        "PNG 3 16 unsigned 1 1",
        "TIFF 1 16 unsigned 5 1",
        "TIFF 2 16 signed 1 1",
        "TIFF 4 32 float 1 1",
        "TIFF 5 16 unsigned 1 2",
    ];
    assert_eq!(kinds, expected);
}
