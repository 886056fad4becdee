//! A loss that is not a number changes no weight, is kept to be looked at, and ends the run, or is
//! passed over where that was asked for.

use std::path::Path;
use std::slice;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use std::sync::Arc;

use fcmae::Error;
use fcmae::config::{FinetuneConfig, ModelConfig, OnNan, OptimConfig, PretrainConfig};
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use fcmae::engine::backend::Backend;
use fcmae::engine::module::Network;
use fcmae::engine::ops;
use fcmae::engine::tensor::Tensor;
use fcmae::network::autoencoder::Autoencoder;
use fcmae::network::loss::smoothed;
use fcmae::network::model::{Classifier, init};
use fcmae::training::{Event, Flow, Learner, Start, finetune, pretrain};
use fcmae::weights::Weights;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use fcmae::{inference::picture::save_png, training::pretrain_on};
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use fcmae_cuda::{card::Card, work::Element};
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use fcmae_cuda_emulator::{Emulated, Order};
use fcmae_store::{HostTensor, safetensors};

use crate::{fill, pictures};

/// Settings under which every pixel is beyond what the first layer norm can square.
fn hopeless(epochs: u64, on_nan: OnNan) -> PretrainConfig {
    let mut config = pictures::pretraining(epochs, 4, 1);
    // Deep, as those of 8 bits may have no such deviation.
    config.data.depth = fcmae_data::Depth::Deep;
    config.data.std = vec![1e-38; 3];
    // A run that is all warm-up would be told of as well.
    (config.optim.on_nan, config.optim.warmup_epochs) = (on_nan, 0.0);
    config
}

/// Of the deviation, and that the run is short.
fn is_of_settings(note: &str) -> bool {
    note.contains("do not fit") || note.starts_with("this run makes only")
}

fn run(config: &PretrainConfig, folder: &Path) -> (fcmae::Result<()>, Vec<String>) {
    let data = folder.join("data");
    pictures::write(&data, 4);
    let mut notes = Vec::new();
    let outcome = pretrain(
        config,
        slice::from_ref(&data),
        Start::Scratch,
        &folder.join("run"),
        false,
        &mut |event| {
            if let Event::Note(note) = event
                && !is_of_settings(note)
            {
                notes.push(note.to_owned());
            }
            Flow::Continue
        },
    );
    (outcome.map(drop), notes)
}

/// Fault 20: caught in the same step, and the batch is kept.
#[test]
fn a_run_ends_at_once_and_keeps_the_batch() {
    let folder = tempfile::tempdir().unwrap();
    let config = hopeless(2, OnNan::Stop);
    let error = run(&config, folder.path()).0.unwrap_err();
    assert!(matches!(error, Error::Diverged { step: 1, .. }), "{error}");
    let text = error.to_string();
    for part in ["NaN at step 1", "optim.base_lr", "diverged/step-00000001", ".png"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    // Nothing was saved yet, and nobody is sent to what is not there.
    assert!(!text.contains("checkpoint"), "{text}");
    assert_eq!(std::fs::read_dir(folder.path().join("run/checkpoints")).unwrap().count(), 0);
    let kept = folder.path().join("run/diverged/step-00000001");
    let batch = safetensors::load(&kept.join("batch.safetensors")).unwrap().tensors;
    assert_eq!(batch.get("images.0").unwrap().shape, [4, 32, 32, 3]);
    let about = std::fs::read_to_string(kept.join("batch.json")).unwrap();
    let about: serde_json::Value = serde_json::from_str(&about).unwrap();
    assert_eq!(about["pictures"].as_array().unwrap().len(), 4);
}

/// Fault 20: no weight changes.
#[test]
fn updates_that_are_passed_over_change_no_weight() {
    let folder = tempfile::tempdir().unwrap();
    let config = hopeless(1, OnNan::Skip);
    let (outcome, notes) = run(&config, folder.path());
    outcome.unwrap();
    assert!(!notes.is_empty() && notes.len() <= 5, "{notes:?}");
    assert!(notes[0].contains("is skipped"), "{notes:?}");
    let mut start = Network::new(|names| Autoencoder::new(names, &config.model, &config.decoder));
    init::initialize(start.weights_mut(), config.seed, init::WEIGHT_STD);
    let end = Weights::open(&folder.path().join("run")).unwrap().tensors;
    assert!(start.to_named().unwrap() == end, "weights changed");
}

/// Fault 20: weights and their average stay, updates are counted on, and neither loss nor gradients are
/// carried over into the next one.
#[test]
fn a_learner_passes_over_the_whole_update() {
    let model = ModelConfig::custom([1, 1, 1, 1], [4, 6, 8, 10]).resolve().unwrap();
    let sound = fill::images([2, 32, 32, 3]);
    let mut broken = sound.to_vec();
    broken[1000] = f32::NAN;
    let broken = Tensor::new(broken, sound.dims::<4>());
    let targets = smoothed(&[0, 2], 3, 0.1);
    for on_nan in [OnNan::Stop, OnNan::Skip] {
        let network = fill::network(|names| Classifier::new(names, &model, 3));
        let config = OptimConfig { on_nan, ..PretrainConfig::default().optim };
        let mut learner = Learner::new(network, &config).averaging(0.9);
        let mut update = |images: [&Tensor; 2]| {
            for images in images {
                learner
                    .learn(2, |model, pass| {
                        let logits = model.forward(pass, images.clone(), None);
                        ops::cross_entropy(pass, logits, &targets)
                    })
                    .unwrap();
            }
            let attempt = learner.update(1e-3, |_| 1.0).unwrap();
            let tensors = [
                learner.network().to_named().unwrap(),
                learner.averaged().unwrap().to_named().unwrap(),
            ];
            (attempt, tensors, learner.updates())
        };
        let (first, before, _) = update([&sound, &sound]);
        assert!(first.made && first.loss.is_finite());
        let (attempt, after, updates) = update([&broken, &sound]);
        assert!(!attempt.made && attempt.loss.is_nan());
        assert!(after == before, "{on_nan:?}: something changed");
        assert_eq!(updates, 2);
        let (attempt, after, updates) = update([&sound, &sound]);
        assert!(attempt.loss.is_finite() && attempt.norm.is_finite());
        assert_eq!((attempt.made, after != before), (on_nan == OnNan::Skip, attempt.made));
        assert_eq!(updates, 3);
    }
}

/// Fault 20: five in a row at most.
#[test]
fn no_more_than_five_updates_in_a_row_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let (outcome, notes) = run(&hopeless(10, OnNan::Skip), folder.path());
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Diverged { step: 6, .. }), "{error}");
    // The last one says that there is no way back.
    assert_eq!(notes.len(), 6);
    assert!(notes[5].contains("start a new run"), "{notes:?}");
}

/// Fault 55: what is kept of such updates stays within bounds, and that is told.
#[test]
fn older_batches_are_removed_and_that_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures::write(&data, 4);
    let kept = folder.path().join("run/diverged");
    let (mut notes, mut before) = (Vec::new(), 91..=95);
    let _ = pretrain(
        &hopeless(10, OnNan::Skip),
        slice::from_ref(&data),
        Start::Scratch,
        &folder.path().join("run"),
        false,
        &mut |event| {
            if let Event::Note(note) = event
                && !is_of_settings(note)
            {
                notes.push(note.to_owned());
                // Of the same run before it was taken up from an earlier step.
                for step in before.by_ref() {
                    std::fs::create_dir(kept.join(format!("step-{step:08}"))).unwrap();
                }
            }
            Flow::Continue
        },
    );
    let removed: Vec<_> = notes.iter().filter(|note| note.contains("newest")).collect();
    assert!(
        removed[0].ends_with("/diverged keeps only the newest batches; removed: step 1"),
        "{notes:?}"
    );
    assert_eq!(std::fs::read_dir(&kept).unwrap().count(), 6);
}

/// Fault 20: a loss that is a number with a gradient that is none. The kept batch gives the same loss
/// again.
#[test]
fn a_gradient_alone_is_caught_and_its_batch_can_be_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures::write(&data, 8);
    let (trained, huge) = (folder.path().join("trained"), folder.path().join("huge"));
    let mut config = pictures::finetuning(1, 4, 1);
    let train = |config: &FinetuneConfig, start, out: &Path| {
        finetune(config, std::slice::from_ref(&data), start, out, false, &mut |_| Flow::Continue)
    };
    train(&config, Start::Scratch, &trained).unwrap();
    // Surely wrong logits of 10²³ are numbers; the squares of their gradients are none in float32.
    std::fs::create_dir(&huge).unwrap();
    let file = trained.join("export/last/model.safetensors");
    let mut tensors = safetensors::load(&file).unwrap().tensors;
    let head = tensors.get("head.fc.weight").unwrap();
    let data_of_head = head.data.iter().map(|weight| weight * -1e25).collect();
    let head = HostTensor { shape: head.shape.clone(), data: data_of_head };
    tensors.insert("head.fc.weight".to_owned(), head);
    let bytes = safetensors::to_bytes(&tensors, &Default::default()).unwrap();
    std::fs::write(huge.join("model.safetensors"), bytes).unwrap();
    std::fs::copy(trained.join("export/last/config.json"), huge.join("config.json")).unwrap();

    config.finetune.label_smoothing = 0.0;
    let out = folder.path().join("run");
    let error = train(&config, Start::Weights(&huge), &out).unwrap_err();
    let Error::Diverged { loss, norm, step: 1, kept, .. } = &error else { panic!("{error}") };
    assert!(loss.is_finite() && !norm.is_finite(), "{loss}, {norm}");

    let batch = safetensors::load(&kept.join("batch.safetensors")).unwrap().tensors;
    let images = batch.get("images.0").unwrap();
    let labels = batch.get("labels.0").unwrap().data.iter().map(|&label| label as u32);
    let shape = <[usize; 4]>::try_from(images.shape.clone()).unwrap();
    let pixels = Tensor::new(images.data.clone(), shape);
    let network = Weights::open(&huge).unwrap().classifier().unwrap();
    let targets = smoothed(&labels.collect::<Vec<_>>(), network.module().classes(), 0.0);
    let again = network
        .infer(|model, pass| {
            let logits = model.forward(pass, pixels.clone(), None);
            ops::cross_entropy(pass, logits, &targets)
        })
        .unwrap();
    assert_eq!(again.values(), [*loss]);
}

/// A card is asked about an update when it has the batches of the next: what comes after one that is passed over must
/// not depend on that.
#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn a_card_goes_on_with_the_right_batches_after_an_update_that_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut config = pictures::one_beyond_numbers(&data);
    (config.optim.on_nan, config.save.every_epochs) = (OnNan::Skip, 3);
    let card = |order| Backend::Card(Card::new(Arc::new(Emulated::new(order)), Element::F32));
    let run = |backend: &Backend, name: &str| {
        let (mut losses, run) = (Vec::new(), folder.path().join(name));
        pretrain_on(
            backend,
            &config,
            slice::from_ref(&data),
            Start::Scratch,
            &run,
            false,
            &mut |event| {
                if let Event::Step(step) = event {
                    losses.push((step.step, step.loss));
                }
                Flow::Continue
            },
        )
        .unwrap();
        let kept = |step: u64| {
            let about = run.join(format!("diverged/step-{step:08}/batch.json"));
            let about = serde_json::from_slice::<serde_json::Value>(&std::fs::read(about).ok()?);
            Some((step, about.unwrap()["pictures"].clone()))
        };
        (losses, (1..=9).filter_map(kept).collect::<Vec<_>>())
    };
    let (expected, kept) = run(&Backend::Cpu, "cpu");
    assert_eq!((expected.len(), kept.len()), (9, 3), "{expected:?}");
    for (step, pictures) in &kept {
        let bright = pictures.as_array().unwrap().iter().any(|of| of.as_str() == Some("05.png"));
        let (_, loss) = expected[*step as usize - 1];
        assert!(bright && !loss.is_finite(), "step {step}: {pictures}, loss {loss}");
    }
    let (found, found_kept) = run(&card(Order::Late), "card");
    assert_eq!(found_kept, kept);
    for ((step, found), (expected_step, expected)) in found.iter().zip(&expected) {
        assert_eq!(step, expected_step);
        let same = (found - expected).abs() < 1e-4 || !found.is_finite() && !expected.is_finite();
        assert!(same, "step {step}: {found}, not {expected}");
    }
}

/// The update before a batch that cannot be loaded was made, and is told.
#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn a_card_tells_of_all_updates_that_were_made_before_loading_fails() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    for number in 0..12 {
        let light = 20 * number as u8;
        let picture =
            image::RgbImage::from_fn(16, 16, |x, y| image::Rgb([light, x as u8, y as u8]));
        let file = data.join(format!("{number:02}.png"));
        save_png(&picture, &file).unwrap();
        if number % 4 == 3 {
            let bytes = std::fs::read(&file).unwrap();
            std::fs::write(&file, &bytes[..40]).unwrap();
        }
    }
    let mut config = pictures::pretraining(3, 2, 1);
    config.data.image_size = [16, 16];
    let card = Card::new(Arc::new(Emulated::new(Order::Late)), Element::F32);
    let [expected, found] = [Backend::Cpu, Backend::Card(card)].map(|backend| {
        let (mut told, run) = (Vec::new(), folder.path().join(backend.to_string()));
        let data = slice::from_ref(&data);
        let error =
            pretrain_on(&backend, &config, data, Start::Scratch, &run, false, &mut |event| {
                if let Event::Step(step) = event {
                    told.push(step.step);
                }
                Flow::Continue
            })
            .unwrap_err();
        let logged = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        (error.to_string(), told, logged.lines().count())
    });
    assert!(expected.0.contains("2 of 12 pictures could not be used"), "{}", expected.0);
    assert!(!expected.1.is_empty() && expected.1.len() == expected.2);
    assert_eq!(found, expected);
}
