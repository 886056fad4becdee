//! Runs that earlier versions began go on. Below `tests/golden`, each version has a pre-training and a
//! fine-tuning that were stopped in the middle, and the losses that it came to afterwards. None is ever
//! written anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::slice;

use fcmae::config::{FinetuneConfig, PretrainConfig, Settings, from_recipe};
use fcmae::engine::backend::Backend;
use fcmae::inference::evaluate::evaluate;
use fcmae::training::{Event, Flow, Start, finetune, pretrain};
use fcmae_store::Record;
use fcmae_store::run::schema::{Facts, Line};
use serde_json::{Value, json};

use crate::pictures;

const VERSIONS: [&str; 3] = ["0.1.0", "0.2.0", "0.3.0"];
const KINDS: [&str; 2] = ["pretrain", "finetune"];
/// After which a run was stopped.
const STOPPED: u64 = 5;

fn golden(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(version)
}

fn settings<T: Settings>(run: &Path) -> T {
    let text = fs::read_to_string(run.join("config.toml")).unwrap();
    from_recipe(Some(("config.toml", &text)), &[]).unwrap()
}

/// Begins a run or takes it up again, as its folder says, until it is told to stop.
fn train(kind: &str, data: &Path, run: &Path, resume: bool, until: Option<u64>) {
    let mut observer = |event: Event<'_>| match event {
        Event::Step(report) if Some(report.step) == until => Flow::Stop,
        _ => Flow::Continue,
    };
    let data = [data.to_owned()];
    if kind == "pretrain" {
        let config: PretrainConfig =
            if resume { settings(run) } else { pictures::pretraining(4, 8, 1) };
        pretrain(&config, &data, Start::Scratch, run, resume, &mut observer).unwrap();
        return;
    }
    let config: FinetuneConfig = if resume {
        settings(run)
    } else {
        let mut config = pictures::finetuning(4, 8, 1);
        config.finetune.held_out = 0.2;
        config.finetune.ema = 0.8;
        config.finetune.rand_augment = "rand-m9-mstd0.5-inc1".to_owned();
        config.finetune.mixup = 0.8;
        config
    };
    finetune(&config, &data, Start::Scratch, run, resume, &mut observer).unwrap();
}

/// The losses of all updates and evaluations, in order.
fn losses(run: &Path) -> Vec<f64> {
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let loss = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        line.get("loss").or(line.get("held_out_loss")).unwrap().as_f64().unwrap()
    };
    metrics.lines().map(loss).collect()
}

/// Fault 11: what earlier versions logged is read, and is what is written today.
#[test]
fn files_of_earlier_versions_are_of_the_form_of_today() {
    for version in VERSIONS {
        for kind in KINDS {
            let run = golden(version).join(kind);
            for written in fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines() {
                let line: Line = serde_json::from_str(written).unwrap();
                assert_eq!(serde_json::to_string(&line).unwrap(), written);
            }
            let recorded = Record::read(&run).unwrap().facts;
            let facts = Facts::read(&recorded).unwrap();
            assert_eq!((facts.version.as_str(), facts.size().as_str()), (version, "custom"));
            assert_eq!(json!(facts), recorded);
        }
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Fault 11: a run that another version began goes on, to the losses that it would have come to there,
/// and can be used.
#[test]
fn runs_of_earlier_versions_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("pictures");
    pictures::write_bmp(&data, 10);
    for version in VERSIONS {
        for kind in KINDS {
            let run = folder.path().join(version).join(kind);
            copy(&golden(version).join(kind), &run);
            let text = fs::read(golden(version).join(format!("{kind}.json"))).unwrap();
            let expected: Vec<f64> = serde_json::from_slice(&text).unwrap();
            train(kind, &data, &run, true, None);
            let found = losses(&run);
            assert_eq!(found.len(), expected.len(), "{version}, {kind}: {found:?}");
            for (found, expected) in found.iter().zip(&expected) {
                // Another processor rounds in another way.
                let near = (found / expected - 1.0).abs() < 5e-4;
                assert!(near, "{version}, {kind}: {found} for {expected}");
            }
        }
        let found = evaluate(
            &folder.path().join(version).join("finetune"),
            slice::from_ref(&data),
            8,
            &Backend::Cpu,
        );
        assert_eq!(found.unwrap().images, 30);
    }
}

/// Fault 11: the present version is among them.
#[test]
fn the_present_version_has_its_golden_runs() {
    let version = env!("CARGO_PKG_VERSION");
    if VERSIONS.contains(&version) && golden(version).exists() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("pictures");
    pictures::write_bmp(&data, 10);
    for kind in KINDS {
        let run = folder.path().join(version).join(kind);
        fs::create_dir_all(run.parent().unwrap()).unwrap();
        train(kind, &data, &run, false, Some(STOPPED));
        let begun = folder.path().join("begun").join(kind);
        copy(&run, &begun);
        train(kind, &data, &run, true, None);
        let text = serde_json::to_string(&losses(&run)).unwrap();
        fs::write(folder.path().join("begun").join(format!("{kind}.json")), text + "\n").unwrap();
    }
    let kept = folder.keep().join("begun");
    panic!(
        "version {version} has no golden runs yet: move {} to {}, of each run only config.toml, run.json, \
         data.json, split.csv, metrics.jsonl, export and the newest checkpoint, and name it in VERSIONS",
        kept.display(),
        golden(version).display()
    );
}
