//! Fine-tuning without the GRN of pre-training, or with one that pre-training did not have.

use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;

use fcmae::config::{BlockKind, FinetuneConfig, GrnChange, GrnConfig, ModelConfig, PretrainConfig};
use fcmae::engine::module::Network;
use fcmae::engine::tensor::Tensor;
use fcmae::network::model::Classifier;
use fcmae::training::optim::LayerDecay;
use fcmae::training::{Flow, Learner, Start, finetune};
use fcmae::weights::export::run_files;
use fcmae::weights::{Description, Weights};
use fcmae_store::NamedTensors;

use crate::summary::relative_error;
use crate::{fill, pictures};

const FORWARD: f64 = 1e-5;
const GRADIENT: f64 = 1e-4;

fn model(block: BlockKind) -> ModelConfig {
    let config =
        ModelConfig { stem_stride: 1, ..ModelConfig::custom([1, 1, 2, 1], [8, 8, 16, 16]) };
    ModelConfig { block, ..config }.resolve().unwrap()
}

fn classifier(block: BlockKind) -> Network<Classifier> {
    let classes = pictures::CLASSES.len();
    fill::network(|names| Classifier::new(names, &model(block), classes))
}

/// A folder with the filled classifier of this block.
fn exported(folder: &Path, block: BlockKind) -> PathBuf {
    let mut description = Description::new(&model(block), &pictures::finetuning(1, 4, 1).data);
    description.classes = pictures::CLASSES.map(str::to_owned).to_vec();
    let tensors = classifier(block).to_named().unwrap();
    let path = folder.join(format!("{block:?}"));
    std::fs::create_dir(&path).unwrap();
    for (name, bytes) in run_files(&tensors, &description, "About.").unwrap() {
        std::fs::write(path.join(name), bytes).unwrap();
    }
    path
}

fn images() -> Tensor {
    fill::images([2, 32, 32, 3])
}

/// Logits, and the gradients of their sum with random weights.
fn step(network: Network<Classifier>) -> (Vec<f32>, NamedTensors) {
    let images = images();
    let logits = network.logits(&images).unwrap();
    let probe = fill::uniform("probe", logits.shape().count());
    let probe: Vec<f32> = probe.into_iter().map(|r| r as f32).collect();
    let mut learner = Learner::new(network, &PretrainConfig::default().optim);
    learner
        .learn(1, |model, pass| {
            let logits = model.forward(pass, images.clone(), None);
            let shape = logits.shape();
            pass.start_backward(logits.clone(), |_, _, _| Tensor::new(probe.clone(), shape));
            logits
        })
        .unwrap();
    let layout = learner.network().layout();
    let gradients = layout.parameters().filter_map(|(name, parameter)| {
        let data = learner.gradients().get(parameter)?.to_vec();
        Some((name.to_owned(), fcmae_store::HostTensor::new([data.len()], data).unwrap()))
    });
    (logits.to_vec(), gradients.collect())
}

#[test]
fn without_grn_is_v2_with_gamma_and_beta_of_zero() {
    let folder = tempfile::tempdir().unwrap();
    let weights = Weights::open(&exported(folder.path(), BlockKind::V2)).unwrap();
    let weights = weights.with_grn(GrnChange::Drop).unwrap();
    assert_eq!(weights.description.model, model(BlockKind::V1));
    let (logits, gradients) = step(weights.classifier().unwrap());

    let mut silent = classifier(BlockKind::V2);
    let layout = Arc::clone(silent.layout());
    for (_, parameter) in layout.parameters().filter(|(name, _)| name.contains(".grn.")) {
        silent.weights_mut().get_mut(parameter).fill(0.0);
    }
    let (expected, shared) = step(silent);
    assert!(relative_error(&logits, &expected) < FORWARD, "{logits:?}, not {expected:?}");
    let mut compared = 0;
    for (name, gradient) in shared.iter().filter(|(name, _)| !name.contains(".grn.")) {
        let found = gradients.get(name).unwrap();
        let error = relative_error(&found.data, &gradient.data);
        assert!(error < GRADIENT, "the gradient of {name} is off by {error:.1e}");
        compared += 1;
    }
    let scales = gradients.names().filter(|name| name.ends_with(".gamma")).count();
    assert_eq!((compared, scales), (gradients.len() - 5, 5));

    // With its own GRN the network is another one.
    let (own, _) = step(classifier(BlockKind::V2));
    assert!(relative_error(&logits, &own) > 1e-2);
}

#[test]
fn with_grn_is_what_the_weights_computed_without() {
    let folder = tempfile::tempdir().unwrap();
    let weights = Weights::open(&exported(folder.path(), BlockKind::V1)).unwrap();
    let weights = weights.with_grn(GrnChange::Add).unwrap();
    assert_eq!(weights.description.model, model(BlockKind::V2));
    assert!(weights.tensors.names().all(|name| !name.ends_with(".gamma")));
    let logits = weights.classifier().unwrap().logits(&images()).unwrap().to_vec();
    let expected = classifier(BlockKind::V1).logits(&images()).unwrap().to_vec();
    let error = relative_error(&logits, &expected);
    assert!(error < FORWARD, "off by {error:.1e}: {logits:?}, not {expected:?}");
}

#[test]
fn kept_weights_are_as_they_were_and_a_changed_variant_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = exported(folder.path(), BlockKind::V2);
    let before = Weights::open(&path).unwrap();
    let kept = Weights::open(&path).unwrap().with_grn(GrnChange::Keep).unwrap();
    assert_eq!((&kept.tensors, &kept.description), (&before.tensors, &before.description));

    let mut variant = Weights::open(&path).unwrap();
    variant.description.model.grn.skip = false;
    let dropped = variant.with_grn(GrnChange::Drop).unwrap();
    assert_eq!(dropped.description.model.grn, GrnConfig::default());
}

#[test]
fn a_change_that_is_none_is_refused_with_the_setting_and_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures::write(&data, 2);
    let [v1, v2] = [BlockKind::V1, BlockKind::V2].map(|block| exported(folder.path(), block));
    for (grn, start, told) in [
        (GrnChange::Drop, Start::Weights(&v1), ["`drop`", "no GRN", "`keep`"]),
        (GrnChange::Add, Start::Weights(&v2), ["`add`", "GRN already", "`keep`"]),
        (GrnChange::Drop, Start::Scratch, ["`drop`", "no weights", "`model.block`"]),
        (GrnChange::Add, Start::Scratch, ["`add`", "no weights", "`model.block`"]),
    ] {
        let mut config = pictures::finetuning(1, 4, 1);
        config.finetune.grn = grn;
        let out = folder.path().join("run");
        let data = slice::from_ref(&data);
        let error = finetune(&config, data, start, &out, false, &mut |_| Flow::Continue);
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("`finetune.grn`"), "{error}");
        assert!(told.iter().all(|part| error.contains(part)), "{error}");
        assert!(!out.exists(), "nothing is written");
    }
}

#[test]
fn weights_that_lack_a_layer_scale_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut weights = Weights::open(&exported(folder.path(), BlockKind::V1)).unwrap();
    weights.tensors.remove("stages.2.blocks.1.gamma").unwrap();
    let error = weights.with_grn(GrnChange::Add).unwrap_err().to_string();
    assert!(error.contains("stages.2.blocks.1.gamma"), "{error}");
}

/// Fine-tunes from the exported weights; the tensors afterwards.
fn tuned(folder: &Path, data: &Path, before: BlockKind, config: &FinetuneConfig) -> NamedTensors {
    let weights = exported(folder, before);
    let run = folder.join(format!("from-{before:?}"));
    let start = Start::Weights(&weights);
    finetune(config, &[data.to_owned()], start, &run, false, &mut |_| Flow::Continue).unwrap();
    Weights::open(&run).unwrap().tensors
}

#[test]
fn frozen_parts_stay_as_they_were_changed_and_the_rest_learns() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures::write(&data, 6);
    let mut config = pictures::finetuning(2, 6, 1);
    config.finetune.freeze = 2;
    // Were it to reach the layer scale, it would shrink to nothing.
    config.optim.weight_decay = 50.0;

    config.finetune.grn = GrnChange::Drop;
    let dropped = tuned(folder.path(), &data, BlockKind::V2, &config);
    config.finetune.grn = GrnChange::Add;
    let added = tuned(folder.path(), &data, BlockKind::V1, &config);
    for (block, frozen) in
        [("stages.0.blocks.0", true), ("stages.1.blocks.0", true), ("stages.2.blocks.1", false)]
    {
        let scale = &dropped.get(&format!("{block}.gamma")).unwrap().data;
        assert_eq!(scale.iter().all(|&v| v == 1.0), frozen, "{block}: {scale:?}");
        assert!(scale.iter().all(|v| (v - 1.0).abs() < 0.1), "{block}: {scale:?}");
        let gamma = &added.get(&format!("{block}.mlp.grn.weight")).unwrap().data;
        assert_eq!(gamma.iter().all(|&v| v == 0.0), frozen, "{block}: {gamma:?}");
    }
    assert!(added.names().all(|name| !name.ends_with(".gamma")));
    assert!(dropped.names().all(|name| !name.contains(".grn.")));
}

#[test]
fn a_layer_scale_learns_as_fast_as_its_block() {
    let layers = LayerDecay::new(0.8, &model(BlockKind::V1));
    for block in ["stages.0.blocks.0", "stages.2.blocks.1", "stages.3.blocks.0"] {
        let of = |part: &str| layers.scale(&format!("{block}.{part}"));
        assert_eq!(of("gamma"), of("conv_dw.weight"), "{block}");
    }
}
