//! Training learns, and what comes of it is used alike by every command.

use std::path::{Path, PathBuf};
use std::slice;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use fcmae::config::{FinetuneConfig, PretrainConfig};
use fcmae::data::{Input, Labels, PictureSet};
use fcmae::engine::backend::Backend;
use fcmae::inference::Inference;
use fcmae::inference::diversity::{diversity, of_weights};
use fcmae::inference::embed::Backbone;
use fcmae::inference::evaluate::evaluate;
use fcmae::inference::predict::Predictor;
use fcmae::inference::reconstruct::reconstruct;
use fcmae::training::{Event, Flow, Start, finetune, pretrain};
use fcmae::weights::Weights;
use fcmae::weights::inspection::inspect;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use fcmae_cuda::{card::Card, work::Element};
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use fcmae_cuda_emulator::{Emulated, Order};

use crate::pictures::{self, CLASSES};

/// A pre-trained and a fine-tuned run.
struct Trained {
    /// Removed with this.
    _folder: tempfile::TempDir,
    /// Pictures that were trained on.
    data: PathBuf,
    /// Others of the same classes.
    unseen: PathBuf,
    pretrained: PathBuf,
    finetuned: PathBuf,
    /// Losses of the pre-training's updates.
    losses: Vec<f32>,
}

fn pretraining() -> PretrainConfig {
    let mut config = pictures::pretraining(32, 8, 1);
    config.model.widths = [16, 16, 32, 64];
    config.decoder.width = 64;
    config.data.crop_scale = [1.0, 1.0];
    config.save.every_epochs = 16;
    config
}

fn finetuning() -> FinetuneConfig {
    let mut config = pictures::finetuning(12, 8, 1);
    config.save.every_epochs = 6;
    config
}

/// Those that another test uses too, or new ones.
fn trained() -> Arc<Trained> {
    // The folder goes when the last test that uses it ends.
    static SHARED: Mutex<Weak<Trained>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (data, unseen) = (at("data"), at("unseen"));
        pictures::write(&data, 16);
        pictures::write_from(&unseen, 100, 10);
        let (pretrained, finetuned) = (at("pretrained"), at("finetuned"));
        let mut losses = Vec::new();
        pretrain(
            &pretraining(),
            slice::from_ref(&data),
            Start::Scratch,
            &pretrained,
            false,
            &mut |event| {
                if let Event::Step(report) = event {
                    losses.push(report.loss);
                }
                Flow::Continue
            },
        )
        .unwrap();
        let start = Start::Weights(&pretrained);
        finetune(&finetuning(), slice::from_ref(&data), start, &finetuned, false, &mut |_| {
            Flow::Continue
        })
        .unwrap();
        let trained =
            Arc::new(Trained { data, unseen, pretrained, finetuned, losses, _folder: folder });
        *shared = Arc::downgrade(&trained);
        trained
    })
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let folder = PictureSet::open(folder, Labels::Required).unwrap();
    (0..folder.len()).map(|i| folder.path(i)).collect()
}

fn inputs(folder: &Path) -> Vec<Input> {
    files(folder).into_iter().map(Input::from).collect()
}

#[test]
fn pretraining_learns_to_fill_hidden_patches() {
    let trained = trained();
    let losses = &trained.losses;
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    let (first, last) = (mean(&losses[..6]), mean(&losses[losses.len() - 6..]));
    assert!((0.9..1.3).contains(&first), "it starts at {first}; a zero prediction scores 1");
    assert!(last < 0.5, "it went from {first} to {last}");
}

#[test]
fn finetuning_learns_to_tell_classes_apart() {
    let trained = trained();
    let evaluation =
        evaluate(&trained.finetuned, slice::from_ref(&trained.unseen), 7, &Backend::Cpu).unwrap();
    assert!(evaluation.top1 > 0.9, "top-1 on unseen pictures is {}", evaluation.top1);
    assert_eq!((evaluation.images, evaluation.top5), (30, 1.0));
    assert_eq!(evaluation.classes, CLASSES);
}

#[test]
fn training_from_scratch_learns_too() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let trained = trained();
    let data = &trained.data;
    let mut config = finetuning();
    config.finetune.held_out = 0.25;
    config.optim.epochs = 20;
    let ended = finetune(&config, slice::from_ref(data), Start::Scratch, &run, false, &mut |_| {
        Flow::Continue
    })
    .unwrap();
    assert!(ended.last.unwrap().top1 > 0.9, "{ended:?}");
    assert!(ended.best_top1.unwrap() >= ended.last.unwrap().top1);
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn a_card_says_what_the_processor_says() {
    // The rounding of bfloat16; the emulator is slow.
    const BOUND: f64 = 0.05;
    let Trained { pretrained, finetuned, .. } = &*trained();
    let folder = tempfile::tempdir().unwrap();
    let few = folder.path().join("few");
    pictures::write(&few, 1);
    let card = Card::new(Arc::new(Emulated::new(Order::Late)), Element::Bf16);
    let [found, expected] = [&Backend::Card(card), &Backend::Cpu].map(|backend| {
        let evaluation = evaluate(finetuned, slice::from_ref(&few), 2, backend).unwrap();
        let predictor = Predictor::open(finetuned, backend).unwrap();
        let guesses = predictor.predict(files(&few)[0].as_path(), 1).unwrap();
        let backbone = Inference::<Backbone>::open(&Weights::open(finetuned).unwrap(), backend);
        let embedding = backbone.unwrap().embeddings(inputs(&few)).unwrap().next();
        let filled = reconstruct(pretrained, &inputs(&few)[..1], 3, backend).unwrap();
        let distances = diversity(pretrained, &few, 1, backend).unwrap();
        (evaluation, guesses, embedding.unwrap().unwrap(), filled[0].loss, distances)
    });
    let close = |found: f64, expected: f64| {
        assert!((found - expected).abs() <= BOUND * expected.abs(), "{found}, not {expected}");
    };
    assert_eq!(found.0.top1, expected.0.top1);
    close(found.0.loss + 1.0, expected.0.loss + 1.0);
    assert_eq!(found.1[0].class, expected.1[0].class);
    close(found.1[0].probability.into(), expected.1[0].probability.into());
    let largest = expected.2.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    for (found, expected) in found.2.iter().zip(&expected.2) {
        assert!(f64::from((found - expected).abs()) <= BOUND * f64::from(largest));
    }
    close(found.3.into(), expected.3.into());
    for (found, expected) in found.4.blocks.iter().zip(&expected.4.blocks) {
        close(found.after_gelu, expected.after_gelu);
        close(found.after_grn, expected.after_grn);
    }
}

#[test]
fn evaluation_agrees_with_prediction_of_each_picture() {
    // Few updates, so that not every picture is told right.
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let Trained { data, unseen, .. } = &*trained();
    let mut config = finetuning();
    config.optim.epochs = 2;
    finetune(&config, slice::from_ref(data), Start::Scratch, &run, false, &mut |_| Flow::Continue)
        .unwrap();
    for run in [&run, &trained().finetuned] {
        let evaluation = evaluate(run, slice::from_ref(unseen), 8, &Backend::Cpu).unwrap();
        let predictor = Predictor::open(run, &Backend::Cpu).unwrap();
        let mut confusion = vec![vec![0u64; 3]; 3];
        let mut loss = 0.0;
        for file in files(unseen) {
            let class = file.parent().unwrap().file_name().unwrap().to_str().unwrap();
            let position = |class: &str| CLASSES.iter().position(|c| *c == class).unwrap();
            let guesses = predictor.predict(&file, 5).unwrap();
            assert_eq!(guesses.len(), 3);
            let sum: f32 = guesses.iter().map(|guess| guess.probability).sum();
            assert!((sum - 1.0).abs() < 1e-5, "probabilities sum to {sum}");
            assert!(guesses.is_sorted_by(|a, b| a.probability >= b.probability));
            confusion[position(class)][position(&guesses[0].class)] += 1;
            let own = guesses.iter().find(|guess| guess.class == class).unwrap();
            loss -= f64::from(own.probability.ln()) / 30.0;
        }
        assert_eq!(evaluation.confusion.table(), confusion);
        let right: u64 = (0..3).map(|class| confusion[class][class]).sum();
        assert_eq!(evaluation.top1, right as f64 / 30.0);
        assert!((evaluation.loss - loss).abs() < 1e-3, "{} and {loss}", evaluation.loss);
    }
}

#[test]
fn evaluation_does_not_depend_on_its_batch() {
    let Trained { unseen, finetuned, .. } = &*trained();
    let [one, seven] = [1, 7]
        .map(|batch| evaluate(finetuned, slice::from_ref(unseen), batch, &Backend::Cpu).unwrap());
    assert_eq!((one.top1, &one.confusion), (seven.top1, &seven.confusion));
    assert!((one.loss - seven.loss).abs() < 1e-6, "{} and {}", one.loss, seven.loss);
}

#[test]
fn classes_that_the_weights_do_not_know_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    pictures::write(folder.path(), 1);
    std::fs::rename(folder.path().join("lying"), folder.path().join("sleeping")).unwrap();
    let error = evaluate(&trained().finetuned, &[folder.path().to_owned()], 4, &Backend::Cpu)
        .unwrap_err()
        .to_string();
    assert!(error.contains("sleeping") && error.contains("lying"), "{error}");
}

#[test]
fn reconstruction_keeps_visible_patches_and_fills_the_others() {
    let Trained { unseen, pretrained, .. } = &*trained();
    let files = &inputs(unseen)[..6];
    let found = reconstruct(pretrained, files, 3, &Backend::Cpu).unwrap();
    assert_eq!(found.len(), files.len());
    let mut masks = Vec::new();
    for reconstruction in &found {
        let (original, filled) = (&reconstruction.original, &reconstruction.reconstruction);
        let patch = |image: &image::RgbImage, at: u32| {
            image::imageops::crop_imm(image, at % 4 * 8, at / 4 * 8, 8, 8).to_image()
        };
        let masked: Vec<u32> = (0..16)
            .filter(|&at| patch(original, at) != patch(&reconstruction.masked, at))
            .collect();
        assert_eq!(masked.len(), 10, "floor(16 · 0.4) = 6 of 16 patches are visible");
        for at in 0..16 {
            let same = patch(original, at) == patch(filled, at);
            assert!(same || masked.contains(&at), "the visible patch {at} changed");
        }
        let changed = masked.iter().filter(|&&at| patch(original, at) != patch(filled, at));
        assert!(changed.count() > 5, "hidden patches are predicted, not copied");
        assert!(reconstruction.loss < 0.8, "the loss is {}", reconstruction.loss);
        masks.push(masked);
    }
    assert!(masks.iter().any(|mask| *mask != masks[0]), "every picture has a mask of its own");

    let again = reconstruct(pretrained, files, 3, &Backend::Cpu).unwrap();
    assert!(again.iter().zip(&found).all(|(a, b)| a.reconstruction == b.reconstruction));
    let other = reconstruct(pretrained, files, 4, &Backend::Cpu).unwrap();
    assert!(other.iter().zip(&found).any(|(a, b)| a.masked != b.masked));
}

#[test]
fn reconstruction_without_a_decoder_is_refused() {
    let Trained { unseen, finetuned, .. } = &*trained();
    let error =
        reconstruct(finetuned, &inputs(unseen)[..1], 0, &Backend::Cpu).unwrap_err().to_string();
    assert!(error.contains("no decoder"), "{error}");
}

#[test]
fn diversity_looks_at_every_block() {
    let Trained { unseen, pretrained, finetuned, .. } = &*trained();
    for weights in [pretrained, finetuned] {
        let found = diversity(weights, unseen, 12, &Backend::Cpu).unwrap();
        assert_eq!((found.images, found.skipped.len()), (12, 0));
        let layers = found.blocks;
        let names: Vec<_> = layers.iter().map(|layer| layer.name.as_str()).collect();
        let expected = [0, 1, 2, 3].map(|stage| format!("stages.{stage}.blocks.0"));
        assert_eq!(names, expected);
        assert_eq!((layers[0].depth, layers[3].depth), (0.0, 1.0));
        for layer in &layers {
            assert!((0.0..0.5).contains(&layer.after_gelu), "{layer:?}");
            assert!((0.0..0.5).contains(&layer.after_grn), "{layer:?}");
        }
        assert_eq!(
            diversity(weights, unseen, 12, &Backend::Cpu).unwrap().blocks,
            layers,
            "always the same pictures"
        );
    }
}

/// The features of a block with channels that are zero, and others that have one value everywhere.
#[test]
fn dead_and_saturated_channels_are_counted() {
    let Trained { unseen, pretrained, .. } = &*trained();
    let mut weights = Weights::open(pretrained).unwrap();
    let before = diversity(pretrained, unseen, 12, &Backend::Cpu).unwrap().blocks;
    assert_eq!(before.iter().map(|block| block.dead + block.saturated).sum::<usize>(), 0);
    assert!(before.iter().all(|block| block.effective_rank > 1.0));
    let mut edit = |name: &str, change: &dyn Fn(&mut [f32])| {
        let name = format!("stages.1.blocks.0.mlp.{name}");
        let mut tensor = weights.tensors.remove(&name).unwrap();
        change(&mut tensor.data);
        weights.tensors.insert(name, tensor);
    };
    let inputs = before[1].channels / 4;
    // Of the first five channels: without weights, two are GELU(0) and three GELU(1). GRN's beta adds to neither.
    edit("fc1.weight", &|values| values[..5 * inputs].fill(0.0));
    edit("fc1.bias", &|values| values[..5].copy_from_slice(&[0.0, 0.0, 1.0, 1.0, 1.0]));
    edit("grn.bias", &|values| values[..5].fill(0.0));
    edit("grn.weight", &|values| values[..5].fill(0.0));
    let after = of_weights(&weights, unseen, 12, &Backend::Cpu).unwrap().blocks;
    assert_eq!((after[1].dead, after[1].saturated), (2, 3));
    // What has one value everywhere is no direction.
    assert!(after[1].effective_rank <= (after[1].channels - 5) as f64 + 1e-6);
    assert!(after[1].effective_rank < before[1].effective_rank);
    assert_eq!(after[0], before[0]);
}

#[test]
fn inspection_tells_what_weights_are() {
    let Trained { pretrained, finetuned, .. } = &*trained();
    let found = inspect(finetuned).unwrap();
    assert_eq!((found.kind, found.architecture.as_str()), ("classifier", "convnextv2_custom"));
    assert_eq!(found.description.classes, CLASSES);
    assert_eq!(found.bytes, std::fs::metadata(&found.file).unwrap().len());
    let values: usize = found.tensors.values().map(|shape| shape.iter().product::<usize>()).sum();
    assert_eq!(values, found.parameters);
    let found = inspect(pretrained).unwrap();
    assert!(found.kind.starts_with("masked autoencoder"), "{}", found.kind);
    assert!(found.tensors.contains_key("decoder.mask_token"));
}
