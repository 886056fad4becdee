//! Large photographs decoded at reduced size.

use std::sync::Arc;

use fcmae_data::loader::{Batch, Loader, LoaderOptions};
use fcmae_data::{
    DecodeError, Depth, EvalTransform, Labels, Limits, Normalization, Picture, PictureSet,
    PixelFormat, RandomResizedCrop, Transform, decode,
};

use crate::pictures::{good_kinds, jpeg, png, with_orientation, write};

fn reduced(bytes: &[u8], least_side: u32) -> Picture {
    decode::decode_reduced(bytes, 3, &Limits::default(), least_side).unwrap()
}

#[test]
fn a_jpeg_keeps_as_many_pixels_as_asked_for() {
    let bytes = jpeg(322, 202);
    let whole = decode::decode(&bytes, 3, &Limits::default()).unwrap();
    let cases = [(203, 1), (202, 1), (102, 1), (101, 2), (52, 2), (51, 4), (26, 8), (1, 8), (0, 8)];
    for (least_side, divisor) in cases {
        let picture = reduced(&bytes, least_side);
        let expected = (202u32.div_ceil(divisor), 322u32.div_ceil(divisor));
        assert_eq!((picture.height(), picture.width()), expected, "{least_side}");
        assert_eq!(picture == whole, divisor == 1);
        let deep = PixelFormat { channels: 1, depth: Depth::Deep };
        let deep = decode::decode_reduced(&bytes, deep, &Limits::default(), least_side).unwrap();
        assert_eq!((deep.height(), deep.width()), expected);
    }
    // Other formats are decoded whole.
    let bytes = png(322, 202);
    assert!(reduced(&bytes, 1) == decode::decode(&bytes, 3, &Limits::default()).unwrap());
    for (name, bytes) in good_kinds() {
        assert!(decode::decode_reduced(&bytes, 3, &Limits::default(), 1).is_ok(), "{name}");
    }
}

#[test]
fn a_reduced_photograph_stands_upright() {
    let plain = jpeg(96, 64);
    for orientation in 1..=8 {
        let bytes = with_orientation(&plain, orientation);
        let whole = decode::decode(&bytes, 3, &Limits::default()).unwrap();
        let small = reduced(&bytes, 16);
        assert_eq!((small.height() * 4, small.width() * 4), (whole.height(), whole.width()));
        // The photograph is smooth but for one edge: the mean of a corner tells the corners apart.
        let corner = |picture: &Picture, part: u32, right: bool, bottom: bool, channel: usize| {
            let (height, width) = (picture.height() as usize, picture.width() as usize);
            let side = part as usize;
            let (left, top) =
                (if right { width - side } else { 0 }, if bottom { height - side } else { 0 });
            let rows = top..top + side;
            let values = rows.flat_map(|y| (left..left + side).map(move |x| (y * width + x) * 3));
            let sum: u32 = values.map(|at| u32::from(picture.pixels()[at + channel])).sum();
            f64::from(sum) / f64::from(part * part)
        };
        for (right, bottom) in [(false, false), (true, false), (false, true), (true, true)] {
            for channel in 0..3 {
                let large = corner(&whole, 16, right, bottom, channel);
                let small = corner(&small, 4, right, bottom, channel);
                assert!((large - small).abs() < 4.0, "{orientation}: {large} {small}");
            }
        }
    }
}

#[test]
fn limits_and_damage_are_judged_on_the_whole_file() {
    let bytes = jpeg(320, 200);
    let limits = Limits { pixels: 63_999, ..Limits::default() };
    let error = decode::decode_reduced(&bytes, 3, &limits, 1).unwrap_err();
    assert!(matches!(error, DecodeError::TooLarge { value: 64_000, .. }), "{error:?}");
    let cut = &bytes[..bytes.len() - 2];
    let error = decode::decode_reduced(cut, 3, &Limits::default(), 1).unwrap_err();
    assert!(matches!(error, DecodeError::Truncated), "{error:?}");
}

#[test]
fn training_reduces_large_photographs_and_evaluation_none() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..6 {
        write(&dir.path().join(format!("large/{i}.jpg")), &jpeg(400 + i, 300));
        write(&dir.path().join(format!("small/{i}.jpg")), &jpeg(80 + i, 70));
    }
    let load = |part: &str, transform: Transform, options: &LoaderOptions| -> Vec<Batch> {
        let folder = PictureSet::open(dir.path().join(part), Labels::Ignored).unwrap();
        let normalization = Normalization::imagenet(3).unwrap();
        let loader = Loader::new(Arc::new(folder), transform, normalization, options).unwrap();
        loader.take(4).map(Result::unwrap).collect()
    };
    let train = Transform::Train(RandomResizedCrop::new(16, 16));
    let by = LoaderOptions { workers: 2, ..LoaderOptions::train(3, 5) };
    let whole = LoaderOptions { reduced_decode: false, ..by.clone() };
    // 42 pixels are enough: a quarter of the large ones, the small ones whole.
    assert_eq!(RandomResizedCrop::new(16, 16).least_side(), 42);
    assert!(load("small", train.clone(), &by) == load("small", train.clone(), &whole));
    let (found, expected) =
        (load("large", train.clone(), &by), load("large", train.clone(), &whole));
    assert!(found != expected);
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.indices, expected.indices);
        let apart =
            found.images.iter().zip(&expected.images).map(|(a, b)| f64::from((a - b).abs()));
        // In units of the normalization's standard deviation. Boxes are on whole pixels of another
        // size, so the edge moves.
        let apart = apart.sum::<f64>() / found.images.len() as f64;
        assert!(apart < 0.15, "{apart}");
    }
    let without_cache = LoaderOptions { cache_bytes: 0, ..by.clone() };
    assert!(load("large", train, &without_cache) == found);
    let eval = || Transform::Eval(EvalTransform::new(16, 16));
    assert!(load("large", eval(), &by) == load("large", eval(), &whole));
    assert!(LoaderOptions::train(1, 0).reduced_decode && !LoaderOptions::eval(1).reduced_decode);
}
