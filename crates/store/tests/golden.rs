//! Checkpoints that earlier versions wrote load forever. Each format has its folder under
//! `tests/golden`; none is ever written anew.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use fcmae_store::{Checkpoint, CheckpointStore, HostTensor, NamedTensors};
use serde_json::json;

const STEP: u64 = 1234;

fn expected() -> Checkpoint {
    let tensors = |scale: f32| -> NamedTensors {
        let values = |count: usize| (0..count).map(|i| scale * (i as f32 - 1.5) / 3.0).collect();
        [("stem.0.weight", vec![2, 1, 2, 2]), ("stem.0.bias", vec![2])]
            .map(|(name, shape)| {
                let data = values(shape.iter().product());
                (name.to_owned(), HostTensor::new(shape, data).unwrap())
            })
            .into_iter()
            .collect()
    };
    Checkpoint {
        tensors: [("model", 1.0), ("optimizer", 1e-30), ("ema", -0.5)]
            .map(|(name, scale)| (name.to_owned(), tensors(scale)))
            .into(),
        state: json!({"step": STEP, "random": [u64::MAX, 1], "loss": 0.1, "epoch": null}),
    }
}

#[test]
fn format_1_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/format-1");
    let latest = CheckpointStore::open(folder).latest().unwrap().unwrap();
    assert_eq!(latest.step, STEP);
    assert!(latest.damaged.is_empty());
    assert_eq!(latest.checkpoint, expected());
}

/// Writes the folder of the present format, once, when a format is new.
#[test]
#[ignore = "changes files of the source tree"]
fn write_the_present_format() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/format-1");
    assert!(!folder.exists(), "{} is there and stays as it is", folder.display());
    std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
    CheckpointStore::open(folder).save(STEP, &expected()).unwrap();
}
