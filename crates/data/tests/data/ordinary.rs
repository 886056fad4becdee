//! Ordinary sets of every kind give no remark; those that say nothing do.

use std::path::Path;

use fcmae_data::{Labels, Limits, PictureSet, Statistics};
use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage};

const SIDE: u32 = 64;
const PICTURES: u32 = 12;

/// Evenly distributed numbers of 0 to 1, the same everywhere.
fn noise(seed: u32) -> impl Iterator<Item = f64> {
    let mut state = u64::from(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    std::iter::repeat_with(move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    })
}

/// The kinds of remarks on a folder of what `draw` saves under a name.
fn remarks(draw: impl Fn(u32, &Path)) -> Vec<&'static str> {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..PICTURES {
        draw(number, &folder.path().join(format!("{number:02}.png")));
    }
    let set = PictureSet::open(folder.path(), Labels::Ignored).unwrap();
    let found = Statistics::of(&set, 3, None, 0, &Limits::default()).unwrap();
    assert_eq!((found.pictures, found.skipped.len()), (PICTURES as usize, 0), "{found:?}");
    found.remarks.iter().map(|remark| remark.kind).collect()
}

/// As [`remarks`], of grey pictures whose values `value` gives from place and noise.
fn grey(value: impl Fn(u32, u32, u32, f64) -> u8) -> Vec<&'static str> {
    remarks(|number, path| {
        let mut noise = noise(number);
        let picture = GrayImage::from_fn(SIDE, SIDE, |x, y| {
            Luma([value(number, x, y, noise.next().unwrap())])
        });
        picture.save(path).unwrap();
    })
}

/// As [`grey`], of 16 bits.
fn deep(value: impl Fn(u32, f64) -> u16) -> Vec<&'static str> {
    remarks(|number, path| {
        let mut noise = noise(number);
        let picture = ImageBuffer::<Luma<u16>, Vec<u16>>::from_fn(SIDE, SIDE, |_, _| {
            Luma([value(number, noise.next().unwrap())])
        });
        picture.save(path).unwrap();
    })
}

#[test]
fn ordinary_sets_give_no_remark() {
    let ordinary = [
        (
            "scans of text",
            grey(|_, x, y, n| if y % 8 < 4 && x % 5 < 2 && n < 0.7 { 20 } else { 255 }),
        ),
        ("line drawings", grey(|k, x, y, _| if x == (y + k) % SIDE { 0 } else { 255 })),
        (
            "binary masks",
            grey(|k, x, y, _| if x.abs_diff(30) + y.abs_diff(30) < 2 * k { 255 } else { 0 }),
        ),
        ("night sky", grey(|_, _, _, n| if n > 0.99 { 250 } else { (8.0 * n) as u8 })),
        (
            "fluorescence",
            grey(
                |_, x, y, n| {
                    if x.abs_diff(20) < 3 && y.abs_diff(40) < 3 { 180 } else { (6.0 * n) as u8 }
                },
            ),
        ),
        ("X-ray", grey(|_, x, _, n| (60.0 + 2.0 * f64::from(x) + 30.0 * n) as u8)),
        (
            "handwritten digits",
            grey(|_, x, y, _| if x.abs_diff(y) < 3 && (16..48).contains(&x) { 255 } else { 0 }),
        ),
        ("logos on white", grey(|_, x, y, _| if x < 12 && y < 12 { 90 } else { 255 })),
        ("dark series", grey(|_, x, _, n| (x as f64 / 4.0 + 10.0 * n) as u8)),
        (
            "overexposed series",
            grey(|_, x, _, n| if x < 40 { 255 } else { (180.0 + 60.0 * n) as u8 }),
        ),
        ("X-ray of 16 bits", deep(|_, n| (9_000.0 + 40_000.0 * n) as u16)),
        (
            "fluorescence of 16 bits",
            deep(|_, n| if n > 0.995 { 50_000 } else { (400.0 * n) as u16 }),
        ),
        ("night sky of 16 bits", deep(|_, n| if n > 0.99 { 60_000 } else { (900.0 * n) as u16 })),
        (
            "depth of 16 bits with holes",
            deep(|_, n| if n < 0.3 { 0 } else { (60_000.0 * n) as u16 }),
        ),
        ("drawings of 16 bits", deep(|_, n| if n < 0.7 { 65_535 } else { 0 })),
        (
            "aerial photographs",
            remarks(|number, path| {
                let mut noise = noise(number);
                let mut next = |low: f64| {
                    Rgb([0, 1, 2]
                        .map(|c| (low + 20.0 * f64::from(c) + 50.0 * noise.next().unwrap()) as u8))
                };
                RgbImage::from_fn(SIDE, SIDE, |_, _| next(60.0)).save(path).unwrap();
            }),
        ),
    ];
    for (name, found) in ordinary {
        assert_eq!(found, [""; 0], "{name}");
    }
}

#[test]
fn sets_that_say_nothing_are_told() {
    assert_eq!(grey(|k, _, _, _| (10 * k) as u8), ["one_colour"]);
    assert_eq!(grey(|_, x, y, _| if x + y == 0 { 100 } else { 255 }), ["at_an_end"]);
    assert_eq!(grey(|_, _, _, n| (9.0 * n) as u8), ["few_levels"]);
    assert_eq!(deep(|_, n| (4095.0 * n) as u16), ["range"]);
    // A hot pixel, some stars or a scale bar change nothing for all other pixels.
    let hot = |n: f64| n > 1.0 - 1.0 / 4096.0;
    assert_eq!(grey(|_, _, _, n| if hot(n) { 255 } else { (9.0 * n) as u8 }), ["few_levels"]);
    for stars in [1.0 / 4096.0, 0.001] {
        assert_eq!(
            deep(|_, n| if n < stars { 50_000 } else { (400.0 * n) as u16 }),
            ["range"],
            "{stars}"
        );
    }
    assert_eq!(deep(|_, n| if n < 0.015 { 65_535 } else { (4095.0 * n) as u16 }), ["range"]);
    // What is far from all others may stand for no data.
    assert_eq!(
        deep(|_, n| if n < 0.3 { 65_535 } else { (5000.0 * n) as u16 }),
        ["range", "undeclared"]
    );
    // Numbers of 16 bits that go to a few levels of 8.
    assert_eq!(deep(|_, n| 29_000 + (1300.0 * n) as u16), ["few_levels"]);
    // Numbers of classes beside photographs: counted.
    let some = |k: u32| k < 3;
    assert_eq!(
        grey(|k, _, _, n| if some(k) { (9.0 * n) as u8 } else { (255.0 * n) as u8 }),
        ["few_levels"]
    );
    // A dark frame of a film, and plain backgrounds of slides, are ordinary.
    assert_eq!(
        grey(|k, _, _, n| if k == 0 { (9.0 * n) as u8 } else { (255.0 * n) as u8 }),
        [""; 0]
    );
    assert_eq!(
        grey(|k, _, _, n| if some(k) { 240 + (9.0 * n) as u8 } else { (255.0 * n) as u8 }),
        [""; 0]
    );
    // A blank picture among others is ordinary.
    assert_eq!(grey(|k, _, _, n| if k == 0 { 255 } else { (255.0 * n) as u8 }), [""; 0]);
}
