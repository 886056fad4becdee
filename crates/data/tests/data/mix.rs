//! Mixup and cutmix against what timm made (`reference/timm_augment.py`).

use fcmae_data::augment::Crop;
use fcmae_data::mix::{Mixing, cut_box};
use fcmae_data::{Batch, Mix, random};
use serde_json::Value;

use crate::augment::{exact, whole};

const CASES: &str = include_str!("../fixtures/mix.json");
const VALUES: &[u8] = include_bytes!("../fixtures/mix.bin");

fn floats(offset: &Value, length: usize) -> Vec<f32> {
    let bytes = &VALUES[offset.as_u64().unwrap() as usize..][..length * 4];
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().map(|&word| f32::from_le_bytes(word)).collect()
}

/// The twin of the script's batch.
fn batch(count: usize, height: usize, width: usize, channels: usize, labels: Vec<u32>) -> Batch {
    let values = 0..count * height * width * channels;
    Batch {
        images: values.map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect(),
        labels,
        indices: (0..count as u32).collect(),
        epoch: 3,
        number: 5,
        height,
        width,
        channels,
    }
}

#[test]
fn mixed_batches_and_targets_are_timm_s() {
    let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
    assert_eq!(cases.len(), 20);
    for case in cases {
        let [count, height, width, channels] = whole(&case["size"])[..] else { panic!() };
        let size = [count, height, width, channels].map(|side| side as usize);
        let mut batch = batch(size[0], size[1], size[2], size[3], whole(&case["labels"]));
        let lambda = exact(&case["lambda"]);
        let centre = whole(&case["centre"]);
        let mixing = if case["cutmix"].as_bool().unwrap() {
            let area = cut_box(lambda, (centre[0], centre[1]), (height, width));
            Mixing::Cutmix { area }
        } else {
            Mixing::Mixup { lambda }
        };
        let targets = mixing.targets(&batch, 5, exact(&case["smoothing"])).unwrap();
        mixing.mix(&mut batch).unwrap();
        assert_eq!(batch.images, floats(&case["images"], batch.images.len()), "{case}");
        assert_eq!(targets, floats(&case["targets"], size[0] * 5), "{case}");
    }
}

#[test]
fn mixing_follows_from_seed_epoch_and_number_alone() {
    let mix = Mix::new();
    let mixed = |seed, epoch, number| {
        let mut batch = Batch { epoch, number, ..batch(4, 16, 12, 3, vec![0, 1, 2, 3]) };
        let targets = mix.apply(&mut batch, 4, seed).unwrap();
        for row in targets.chunks_exact(4) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
        }
        (batch.images, targets)
    };
    let first = mixed(1, 2, 3);
    assert_eq!(mixed(1, 2, 3), first);
    for other in [mixed(2, 2, 3), mixed(1, 3, 3), mixed(1, 2, 4)] {
        assert_ne!(other, first);
    }
}

#[test]
fn mixup_and_cutmix_are_switched_and_left_out_as_asked() {
    let counts = |mix: Mix| {
        let rng = &mut random::keyed(2, "test", 0, 0);
        let mut counts = [0u32; 3];
        for _ in 0..10_000 {
            counts[match mix.draw(32, 32, rng) {
                Mixing::Unmixed => 0,
                Mixing::Mixup { .. } => 1,
                Mixing::Cutmix { .. } => 2,
            }] += 1;
        }
        counts
    };
    let near = |counts: [u32; 3], expected: [u32; 3]| {
        // Standard deviation of a count: 50 at most.
        let fits = counts.iter().zip(expected).all(|(count, e)| count.abs_diff(e) < 200);
        assert!(fits, "{counts:?} {expected:?}");
    };
    near(counts(Mix::new()), [0, 5000, 5000]);
    near(counts(Mix { switch_probability: 0.2, ..Mix::new() }), [0, 8000, 2000]);
    near(counts(Mix { probability: 0.3, ..Mix::new() }), [7000, 1500, 1500]);
    assert_eq!(counts(Mix { cutmix: 0.0, ..Mix::new() }), [0, 10_000, 0]);
    assert_eq!(counts(Mix { mixup: 0.0, ..Mix::new() }), [0, 0, 10_000]);
    assert_eq!(counts(Mix { mixup: 0.0, cutmix: 0.0, ..Mix::new() }), [10_000, 0, 0]);
    assert_eq!(counts(Mix { probability: 0.0, ..Mix::new() }), [10_000, 0, 0]);
}

#[test]
fn the_middle_of_an_odd_batch_is_its_own_partner() {
    let before = batch(3, 4, 4, 1, vec![0, 1, 2]);
    let mut after = before.clone();
    let mixing = Mixing::Mixup { lambda: 0.25 };
    mixing.mix(&mut after).unwrap();
    let targets = mixing.targets(&before, 3, 0.0).unwrap();
    assert_eq!(targets, [0.25, 0.0, 0.75, 0.0, 1.0, 0.0, 0.75, 0.0, 0.25]);
    for (a, b) in after.images[16..32].iter().zip(&before.images[16..32]) {
        assert!((a - b).abs() < 1e-6);
    }
    assert_ne!(after.images[..16], before.images[..16]);
    assert_ne!(after.images[32..], before.images[32..]);
}

#[test]
fn what_cannot_be_mixed_is_refused_and_left_as_it_is() {
    let mix = Mix::new();
    let refused = |mix: &Mix, mut batch: Batch, classes| {
        let before = batch.clone();
        let error = mix.apply(&mut batch, classes, 1).unwrap_err().to_string();
        assert_eq!(batch, before);
        error
    };
    let good = || batch(2, 4, 4, 1, vec![0, 2]);
    assert!(refused(&mix, good(), 2).contains("there are 2 classes"));
    assert!(refused(&mix, good(), usize::MAX).contains("too many"));
    assert!(refused(&mix, Batch { labels: vec![], ..good() }, 3).contains("with labels"));
    assert!(refused(&mix, Batch { height: 5, ..good() }, 3).contains("values"));
    for bad in [
        Mix { mixup: -1.0, ..Mix::new() },
        Mix { cutmix: f64::NAN, ..Mix::new() },
        Mix { probability: 1.1, ..Mix::new() },
        Mix { switch_probability: -0.1, ..Mix::new() },
        Mix { smoothing: 2.0, ..Mix::new() },
    ] {
        refused(&bad, good(), 3);
    }
    let area = Crop { left: 2, top: 0, width: u32::MAX, height: 1 };
    assert!(Mixing::Cutmix { area }.mix(&mut good()).is_err());
    // All files of a batch were bad.
    let mut empty = batch(0, 4, 4, 1, vec![]);
    assert!(mix.apply(&mut empty, 3, 1).unwrap().is_empty());
}
