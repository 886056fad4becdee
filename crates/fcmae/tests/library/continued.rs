//! Pre-training that begins from weights: those of a run, with their decoder, or of a classifier; for pictures of other
//! channels; with the weights as a teacher.

use std::path::{Path, PathBuf};
use std::slice;

use fcmae::config::{BlockKind, DecoderConfig, MaskRatio, ModelConfig, PretrainConfig};
use fcmae::engine::parameters::{Names, Parameter};
use fcmae::engine::tape::Pass;
use fcmae::network::autoencoder::Autoencoder;
use fcmae::network::mask::Mask;
use fcmae::training::{
    Event, Flow, Learner, Start, finetune, pretrain, settled, settled_pretraining,
};
use fcmae::weights::Weights;
use fcmae_data::Depth;
use fcmae_store::NamedTensors;

use crate::fill;
use crate::pictures;
use crate::resume::{assert_same, outcome};

/// Twelve pictures in batches of 4: three updates an epoch.
fn data(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    pictures::write(&data, 4);
    data
}

fn pretraining(epochs: u64) -> PretrainConfig {
    pictures::pretraining(epochs, 4, 1)
}

/// Runs, until after `stop` updates; what was noted, and the loss of each update.
fn run(
    config: &PretrainConfig,
    data: &Path,
    (start, resume): (Start<'_>, bool),
    out: &Path,
    stop: u64,
) -> fcmae::Result<(Vec<String>, Vec<f32>)> {
    let (mut notes, mut losses) = (Vec::new(), Vec::new());
    pretrain(config, slice::from_ref(&data.to_owned()), start, out, resume, &mut |event| {
        match event {
            Event::Note(note) => notes.push(note.to_owned()),
            Event::Step(report) => {
                losses.push(report.loss);
                if report.step == stop {
                    return Flow::Stop;
                }
            }
            _ => {}
        }
        Flow::Continue
    })?;
    Ok((notes, losses))
}

const NEVER: u64 = u64::MAX;

fn tensors(path: &Path) -> NamedTensors {
    Weights::open(path).unwrap().tensors
}

/// As near as one update with next to no learning rate leaves them.
fn assert_near(found: &NamedTensors, expected: &NamedTensors, is_part: impl Fn(&str) -> bool) {
    let mut compared = 0;
    for (name, tensor) in found.iter().filter(|(name, _)| is_part(name)) {
        let expected = expected.get(name).unwrap();
        assert_eq!(tensor.shape, expected.shape, "{name}");
        let apart = tensor.data.iter().zip(&expected.data).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f32::max) < 1e-6, "{name}");
        compared += 1;
    }
    assert!(compared > 0);
}

/// One epoch that changes next to nothing.
fn standing(mut config: PretrainConfig) -> PretrainConfig {
    (config.optim.base_lr, config.optim.epochs, config.optim.warmup_epochs) = (1e-12, 1, 0.0);
    config
}

#[test]
fn a_run_is_trained_further_with_its_decoder() {
    let folder = tempfile::tempdir().unwrap();
    let (data, first, further) =
        (data(folder.path()), folder.path().join("first"), folder.path().join("further"));
    let (_, losses) = run(&pretraining(30), &data, (Start::Scratch, false), &first, NEVER).unwrap();
    let config = standing(pretraining(1));
    let start = (Start::Weights(&first), false);
    let (notes, gone_on) = run(&config, &data, start, &further, NEVER).unwrap();
    assert!(notes.iter().all(|note| !note.contains("random")), "{notes:?}");
    assert_near(&tensors(&further), &tensors(&first), |_| true);
    // It begins where the first one ended, not where that began.
    assert!(
        gone_on[0] < 0.5 * (losses[0] + losses[losses.len() - 1]),
        "{gone_on:?} after {losses:?}"
    );
    // The settings' network does not matter.
    let mut other = config.clone();
    other.model.widths = [24; 4];
    other.decoder.width = 24;
    let out = folder.path().join("other");
    run(&other, &data, (Start::Weights(&first), false), &out, NEVER).unwrap();
    assert_near(&tensors(&out), &tensors(&first), |_| true);
}

#[test]
fn a_classifier_is_trained_further_with_a_new_decoder() {
    let folder = tempfile::tempdir().unwrap();
    let (data, classifier, further) =
        (data(folder.path()), folder.path().join("classifier"), folder.path().join("further"));
    let from = slice::from_ref(&data);
    finetune(&pictures::finetuning(2, 4, 1), from, Start::Scratch, &classifier, false, &mut |_| {
        Flow::Continue
    })
    .unwrap();
    let start = (Start::Weights(&classifier), false);
    let (notes, _) = run(&standing(pretraining(1)), &data, start, &further, NEVER).unwrap();
    assert!(notes.iter().any(|note| note.contains("has no decoder")), "{notes:?}");
    let found = tensors(&further);
    assert!(found.names().any(|name| name.starts_with("decoder.")));
    assert_near(&found, &tensors(&classifier), |name| !name.starts_with("decoder."));
}

#[test]
fn weights_are_trained_further_on_other_channels() {
    let folder = tempfile::tempdir().unwrap();
    let (data, first) = (data(folder.path()), folder.path().join("first"));
    run(&pretraining(2), &data, (Start::Scratch, false), &first, NEVER).unwrap();
    for channels in [1, 12] {
        let mut config = standing(pretraining(1));
        config.start.channels = channels;
        if channels == 12 {
            config.data.depth = Depth::Deep;
        }
        let out = folder.path().join(channels.to_string());
        let ended = run(&config, &data, (Start::Weights(&first), false), &out, NEVER);
        if channels == 12 {
            // The network is one of twelve channels, as these pictures are not.
            let error = ended.unwrap_err().to_string();
            assert!(error.contains("12"), "{error}");
            continue;
        }
        let (notes, _) = ended.unwrap();
        assert!(notes.iter().any(|note| note.contains("last layer")), "{notes:?}");
        let (found, before) = (tensors(&out), tensors(&first));
        assert_eq!(found.get("stem.0.weight").unwrap().shape[1], channels);
        let same = |name: &str| name != "stem.0.weight" && !name.starts_with("decoder.pred.");
        assert_near(&found, &before, same);
        assert_eq!(Weights::open(&out).unwrap().description.model.channels, channels);
    }
}

/// With a teacher, and mask ratios between two, stopped in the middle, the start out of the way.
#[test]
fn a_taught_run_resumes_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let data = data(folder.path());
    run(&pretraining(2), &data, (Start::Scratch, false), &at("first"), NEVER).unwrap();
    let mut config = pretraining(4);
    config.teacher.weight = 0.5;
    config.mask.ratio = MaskRatio::Between([0.3, 0.7]);
    let first = at("first");
    let start = || (Start::Weights(&first), false);
    let straight = at("straight");
    let (notes, losses) = run(&config, &data, start(), &straight, NEVER).unwrap();
    assert!(notes.iter().any(|note| note.contains("twice as long")), "{notes:?}");

    let parts = at("parts");
    run(&config, &data, start(), &parts, 5).unwrap();
    let moved = at("moved");
    std::fs::rename(&first, &moved).unwrap();
    run(&config, &data, (Start::Recorded, true), &parts, NEVER).unwrap();
    assert_same("taught", &outcome(&parts, 12), &outcome(&straight, 12));

    // The teacher is the start's encoder, and stays so; what only training needs is not given away.
    assert_near(&tensors(&parts.join("export/teacher")), &tensors(&moved), |_| true);
    assert!(tensors(&parts).names().all(|name| !name.starts_with("teacher.")));
    assert!(tensors(&parts.join("checkpoints/step-00000012")).get("decoder.mask_token").is_some());

    // Without its teacher a run does not go on; the weights that it began with bring it back.
    let again = at("again");
    std::fs::rename(&moved, &first).unwrap();
    run(&config, &data, start(), &again, 5).unwrap();
    let (teacher, kept) = (again.join("export/teacher/model.safetensors"), at("kept.safetensors"));
    std::fs::rename(&teacher, &kept).unwrap();
    std::fs::copy(straight.join("export/last/model.safetensors"), &teacher).unwrap();
    let error = run(&config, &data, (Start::Recorded, true), &again, NEVER).unwrap_err();
    assert!(error.to_string().contains("is not the teacher that this run has had"), "{error}");
    std::fs::remove_dir_all(again.join("export/teacher")).unwrap();
    let error = run(&config, &data, (Start::Recorded, true), &again, NEVER).unwrap_err();
    assert!(error.to_string().contains("teacher of this run"), "{error}");
    run(&config, &data, (Start::Weights(&first), true), &again, NEVER).unwrap();
    assert_same("taught again", &outcome(&again, 12), &outcome(&straight, 12));

    // What the teacher adds counts.
    config.teacher.weight = 0.0;
    let alone = at("alone");
    let (_, without) = run(&config, &data, start(), &alone, NEVER).unwrap();
    assert!(losses[0] > without[0] + 0.05, "{} with, {} without", losses[0], without[0]);
    assert!(!alone.join("export/teacher").exists());
}

#[test]
fn another_start_and_a_teacher_without_weights_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let data = data(folder.path());
    let (first, second, run_at) = (at("first"), at("second"), at("run"));
    run(&pretraining(1), &data, (Start::Scratch, false), &first, NEVER).unwrap();
    let mut other = pretraining(1);
    other.seed = 1;
    run(&other, &data, (Start::Scratch, false), &second, NEVER).unwrap();
    let config = pretraining(2);
    run(&config, &data, (Start::Weights(&first), false), &run_at, 2).unwrap();
    for start in [Start::Weights(&second), Start::Scratch] {
        let error = run(&config, &data, (start, true), &run_at, NEVER).unwrap_err().to_string();
        assert!(error.contains("started from") && error.contains("--from"), "{error}");
    }
    run(&config, &data, (Start::Weights(&first), true), &run_at, NEVER).unwrap();

    let mut taught = pretraining(1);
    taught.teacher.weight = 1.0;
    let error = run(&taught, &data, (Start::Scratch, false), &at("new"), NEVER).unwrap_err();
    assert!(error.to_string().contains("`teacher.weight`"), "{error}");
    assert!(error.to_string().contains("--from"), "{error}");
    assert!(!at("new").exists());
}

/// Along each parameter's gradient the loss rises as central differences of it say.
#[test]
fn the_gradients_of_a_taught_loss_are_its_slopes() {
    let model = ModelConfig { stem_stride: 1, ..ModelConfig::custom([1, 1, 1, 1], [8, 8, 12, 16]) };
    let build = |names: &mut Names| {
        let decoder = DecoderConfig { width: 8, depth: 1 };
        Autoencoder::new(names, &model, &decoder).taught(names, &model, true)
    };
    let mask = Mask::random([2, 4], 0.5, 0, 0, &[0, 1]).unwrap();
    let images = fill::images([2, 16, 32, 3]);
    let lesson = fill::images([1, 2, 8, 16]).reshape([2, 8, 16]);
    let loss = |network: &Autoencoder, pass: &mut Pass<'_>| {
        network.taught_loss(pass, images.clone(), &mask, true, (&lesson, 0.7))
    };
    let mut learner = Learner::new(fill::network(build), &PretrainConfig::default().optim);
    learner.learn(1, loss).unwrap();
    let at = |parameter: Parameter, gradient: &[f32], step: f32| {
        let mut network = fill::network(build);
        let values = network.weights_mut().get_mut(parameter);
        values.iter_mut().zip(gradient).for_each(|(value, slope)| *value += step * slope);
        f64::from(network.infer(loss).unwrap().to_vec()[0])
    };
    for (name, parameter) in learner.network().layout().by_name() {
        let gradient = learner.gradients().get(parameter).unwrap();
        let square: f64 = gradient.iter().map(|&slope| f64::from(slope).powi(2)).sum();
        if square < 1e-9 {
            continue;
        }
        // A step that changes the loss by some thousandths.
        let step = (2e-3 / square) as f32;
        let rise = at(parameter, gradient, step) - at(parameter, gradient, -step);
        let expected = 2.0 * f64::from(step) * square;
        assert!((rise / expected - 1.0).abs() < 0.02, "{name}: {rise} where {expected} is due");
    }
    let projection = learner.network().layout().get("teacher.projection.weight").unwrap();
    assert!(learner.gradients().get(projection).unwrap().iter().any(|slope| slope.abs() > 1e-3));
}

/// Without weights a number of channels to adapt them to can't be followed, and must not be passed over.
#[test]
fn channels_are_adapted_of_weights_alone() {
    let mut pre = pretraining(1);
    pre.start.channels = 1;
    (pre.data.mean, pre.data.std) = (vec![0.5], vec![0.25]);
    let mut fine = pictures::finetuning(1, 4, 1);
    fine.finetune.channels = 1;
    (fine.data.mean, fine.data.std) = (vec![0.5], vec![0.25]);
    let refused = |error: fcmae::Error, key: &str| {
        let error = error.to_string();
        for says in [key, "--from", "model.channels=1"] {
            assert!(error.contains(says), "{says} is not in: {error}");
        }
    };
    refused(settled_pretraining(&pre, Start::Scratch).unwrap_err(), "start.channels");
    refused(settled(&fine, Start::Scratch).unwrap_err(), "finetune.channels");
    (pre.model.channels, fine.model.channels) = (1, 1);
    assert_eq!(settled_pretraining(&pre, Start::Scratch).unwrap().model.channels, 1);
    assert_eq!(settled(&fine, Start::Scratch).unwrap().model.channels, 1);
}

/// Settings of labels, and of GRN where blocks have none.
#[test]
fn settings_without_effect_are_told_when_a_run_begins() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let mut config = pretraining(1);
    let told = |config: &PretrainConfig, out: &str| {
        let start = (Start::Scratch, false);
        let (notes, _) = run(config, &data, start, &folder.path().join(out), 1).unwrap();
        notes.into_iter().filter(|note| note.contains("no effect")).collect::<Vec<_>>()
    };
    assert_eq!(told(&config, "none"), Vec::<String>::new());
    config.watch.pictures = 9;
    config.data.group = "[0-9]+".to_owned();
    config.model.block = BlockKind::V1;
    config.model.grn.skip = false;
    let told = told(&config, "three");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("`watch.pictures`, `data.group` have no effect here: ")
            && told[0].contains("--watch"),
        "{told:?}"
    );
    assert!(told[1].starts_with("`model.grn` has no effect here: "), "{told:?}");
}
