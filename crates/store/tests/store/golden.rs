//! Checkpoints that earlier versions wrote load forever. Each format has its folder under
//! `tests/golden`; none is ever written anew.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use fcmae_store::{Checkpoint, CheckpointStore, HostTensor, NamedTensors};
use serde_json::json;

const STEP: u64 = 1234;

fn golden(format: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format)
}

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

/// Fault 11: a checkpoint that another version wrote.
#[test]
fn format_1_loads() {
    let folder = golden("format-1");
    let latest = CheckpointStore::open(folder).latest().unwrap().unwrap();
    assert_eq!(latest.step, STEP);
    assert!(latest.damaged.is_empty());
    assert_eq!(latest.checkpoint, expected());
}

/// Fault 11: every format that was ever written is among the golden ones, the present one too.
#[test]
fn the_present_format_is_the_newest_golden_one() {
    let folder = tempfile::tempdir().unwrap();
    let saved = CheckpointStore::open(folder.path()).save(STEP, &expected()).unwrap().folder;
    let newest = golden("format-1").join(saved.file_name().unwrap());
    let files = |folder: &Path| -> BTreeMap<OsString, Vec<u8>> {
        let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        entries.map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap())).collect()
    };
    if files(&saved) != files(&newest) {
        let kept = folder.keep();
        panic!(
            "checkpoints are written otherwise than {}: leave that as it is, and put {} beside it \
             as the next format, with a test that it loads",
            newest.display(),
            kept.display()
        );
    }
}
