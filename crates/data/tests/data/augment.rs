//! RandAugment and random erasing against what timm and Pillow made
//! (`reference/timm_augment.py`).

use fcmae_data::augment::{Operation, RandomErasing};
use fcmae_data::random;
use serde_json::Value;

use crate::pillow::source;

const CASES: &str = include_str!("../fixtures/augment.json");
const VALUES: &[u8] = include_bytes!("../fixtures/augment.bin");

fn cases(what: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(CASES).unwrap();
    all[what].as_array().unwrap().clone()
}

fn operation(case: &Value) -> Operation {
    let name = case[0].as_str().unwrap();
    Operation::ALL.into_iter().find(|operation| format!("{operation:?}") == name).unwrap()
}

/// A float64 that stands as its bits.
pub(crate) fn exact(value: &Value) -> f64 {
    f64::from_bits(value.as_u64().unwrap())
}

pub(crate) fn whole(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
}

#[test]
fn strengths_mean_what_they_mean_in_timm() {
    let cases = cases("levels");
    assert_eq!(cases.len(), 9 * (15 + 9));
    for case in cases {
        let argument = operation(&case).argument(exact(&case[1]), case[2].as_bool().unwrap());
        // To the bit; 0 and −0 are one.
        assert_eq!(argument, exact(&case[3]), "{case}");
    }
}

#[test]
fn operations_are_pillow_s_to_the_last_level() {
    let cases = cases("pictures");
    assert_eq!(cases.len(), 195);
    for case in cases {
        let [height, width, channels] = whole(&case[4])[..] else { panic!() };
        let mut picture = source(case[3].as_str().unwrap(), height, width, channels);
        let operation = operation(&case);
        let argument = operation.argument(exact(&case[1]), case[2].as_bool().unwrap());
        let fill = if channels == 3 { &[124, 116, 104][..] } else { &[114] };
        operation.apply(&mut picture, argument, fill);
        let offset = case[5].as_u64().unwrap() as usize;
        let expected = &VALUES[offset..][..picture.pixels().len()];
        let apart = picture.pixels().iter().zip(expected).filter(|(a, b)| a != b).count();
        assert!(apart == 0, "{apart} of {} values differ: {case}", expected.len());
    }
}

#[test]
fn the_greatest_strength_posterizes_to_black() {
    let mut picture = source("noise", 5, 4, 3);
    let operation = Operation::PosterizeIncreasing;
    operation.apply(&mut picture, operation.argument(10.0, false), &[0; 3]);
    assert!(picture.pixels().iter().all(|&value| value == 0));
}

#[test]
fn erased_boxes_are_distributed_as_timm_s() {
    let cases = cases("erasing");
    assert_eq!(cases.len(), 2);
    for case in cases {
        let [height, width] = whole(&case["size"])[..] else { panic!() };
        let (h, w) = (f64::from(height), f64::from(width));
        let published = RandomErasing::new();
        let always = RandomErasing { probability: 1.0, ..published.clone() };
        let rng = &mut random::keyed(8, "test", 0, 0);
        let boxes: Vec<[f64; 4]> = (0..10_000)
            .filter_map(|_| always.draw(height, width, rng))
            .map(|b| [b.top, b.left, b.height, b.width].map(f64::from))
            .collect();
        let wanted = case["boxes"].as_u64().unwrap() as usize;
        assert!(boxes.len().abs_diff(wanted) <= 20, "{} {wanted}", boxes.len());
        let erased = (0..10_000).filter(|_| published.draw(height, width, rng).is_some()).count();
        // Standard deviation of the difference of two such counts: 61.
        let wanted = case["erased_of_10000"].as_u64().unwrap() as usize;
        assert!(erased.abs_diff(wanted) < 200, "{erased} {wanted}");
        let area = boxes.iter().map(|[_, _, bh, bw]| bh * bw / (h * w));
        let shape = boxes.iter().map(|[_, _, bh, bw]| (bh / bw).ln());
        let top = boxes.iter().map(|[top, _, bh, _]| top / (h - bh));
        let left = boxes.iter().map(|[_, left, _, bw]| left / (w - bw));
        for (name, numbers) in [
            ("area", area.collect::<Vec<f64>>()),
            ("ln_shape", shape.collect()),
            ("top", top.collect()),
            ("left", left.collect()),
        ] {
            let share = |f: &dyn Fn(f64) -> bool| {
                let count = numbers.iter().filter(|&&number| f(number)).count();
                count as f64 / numbers.len() as f64
            };
            for (i, decile) in case[name].as_array().unwrap().iter().enumerate() {
                // Sides are whole pixels, so that many numbers are equal. The standard deviation
                // of the difference of two shares near a half is 0.007.
                let (decile, wanted) = (decile.as_f64().unwrap(), (i + 1) as f64 / 10.0);
                let below = share(&|number| number < decile - 1e-6);
                let up_to = share(&|number| number <= decile + 1e-6);
                let fits = below - 0.02 <= wanted && wanted <= up_to + 0.02;
                assert!(fits, "{name} {h}×{w}: {below} to {up_to}, {wanted}");
            }
        }
    }
}
