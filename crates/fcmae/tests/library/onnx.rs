//! Exported networks compute in another runtime, rten, what they compute here.

use fcmae::config::{
    BlockKind, DataConfig, DecoderConfig, GrnAggregation, GrnConfig, GrnNormalization, ModelConfig,
};
use fcmae::engine::module::Network;
use fcmae::engine::ops;
use fcmae::engine::tensor::Tensor;
use fcmae::network::autoencoder::Autoencoder;
use fcmae::network::model::Classifier;
use fcmae::weights::Description;
use fcmae::weights::onnx::{self, OnnxOptions, OnnxOutput};
use fcmae_store::{HostTensor, NamedTensors};
use rten::{Dimension, Model, Value};

use crate::fill;

/// Of the largest value.
const RELATIVE: f32 = 1e-5;
const CLASSES: usize = 5;

const LOGITS: OnnxOptions = OnnxOptions { output: OnnxOutput::Logits, dynamic_size: false };
const EMBEDDINGS: OnnxOptions = OnnxOptions { output: OnnxOutput::Embeddings, dynamic_size: false };
const FEATURES: OnnxOptions = OnnxOptions { output: OnnxOutput::Features, dynamic_size: false };

fn small() -> ModelConfig {
    ModelConfig::custom([1, 2, 1, 1], [8, 12, 16, 20])
}

/// One channel, a stem of stride 2.
fn grey() -> ModelConfig {
    ModelConfig { channels: 1, stem_stride: 2, ..small() }
}

fn classifier(model: &ModelConfig) -> Network<Classifier> {
    fill::network(|names| Classifier::new(names, model, CLASSES))
}

fn described(model: &ModelConfig, image_size: [usize; 2]) -> Description {
    let classes = (0..CLASSES).map(|class| format!("class {class}")).collect();
    Description { classes, image_size, ..Description::new(model, &DataConfig::default()) }
}

/// The exported network, in rten.
fn exported(tensors: &NamedTensors, description: &Description, options: &OnnxOptions) -> Model {
    let mut files = onnx::files(tensors, description, options).unwrap();
    assert_eq!(files.len(), 1, "small weights are in the model's file");
    let (name, bytes) = files.remove(0);
    assert_eq!(name, "model.onnx");
    Model::load(bytes).unwrap()
}

fn images(model: &ModelConfig, batch: usize, [height, width]: [usize; 2]) -> Tensor {
    fill::images([batch, height, width, model.channels])
}

/// `[N, H, W, C]` to `[N, C, H, W]`.
fn channels_first(x: &Tensor) -> ([usize; 4], Vec<f32>) {
    let [images, height, width, channels] = x.dims();
    let sites = height * width;
    let image = |image: &[f32]| -> Vec<f32> {
        let value = |at: usize| image[at % sites * channels + at / sites];
        (0..image.len()).map(value).collect()
    };
    let values = x.values().chunks_exact(sites * channels).flat_map(image).collect();
    ([images, channels, height, width], values)
}

/// The output `name` for images `[N, H, W, channels]`: its shape and values.
fn run<const D: usize>(model: &Model, images: &Tensor, name: &str) -> ([usize; D], Vec<f32>) {
    let (shape, image) = channels_first(images);
    let value = Value::from_shape(shape, image).unwrap();
    let input = model.node_id("image").unwrap();
    let output = model.node_id(name).unwrap();
    let [value] = model.run_n(vec![(input, value.into())], [output], None).unwrap();
    value.into_shape_vec().unwrap()
}

fn assert_near(found: &[f32], expected: &[f32], about: &str) {
    assert_eq!(found.len(), expected.len(), "{about}");
    let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    for (f, e) in found.iter().zip(expected) {
        let error = (f - e).abs() / largest;
        assert!(error < RELATIVE, "{about}: {f} is not {e}, off by {error:.1e} of the largest");
    }
}

fn assert_logits(model: &ModelConfig, batch: usize, size: [usize; 2], about: &str) {
    let network = classifier(model);
    let runtime = exported(&network.to_named().unwrap(), &described(model, size), &LOGITS);
    let images = images(model, batch, size);
    let (shape, logits) = run(&runtime, &images, "logits");
    assert_eq!(shape, [batch, CLASSES], "{about}");
    assert_near(&logits, network.logits(&images).unwrap().values(), about);
}

#[test]
fn logits_are_those_of_the_network() {
    for (about, model) in [
        ("V2", small()),
        ("V1", ModelConfig { block: BlockKind::V1, ..small() }),
        ("V2, grey, stride 2", grey()),
        ("V1, grey, stride 1", ModelConfig { block: BlockKind::V1, stem_stride: 1, ..grey() }),
        ("V2, 5 channels", ModelConfig { channels: 5, ..small() }),
    ] {
        for (batch, size) in [(1, [64, 64]), (3, [32, 96])] {
            assert_logits(&model, batch, size, &format!("{about}, {batch} of {size:?}"));
        }
    }
}

#[test]
fn every_variant_of_grn_is_that_of_the_network() {
    for aggregation in [GrnAggregation::L2, GrnAggregation::L1, GrnAggregation::Average] {
        for normalization in [
            GrnNormalization::Mean,
            GrnNormalization::Standardize,
            GrnNormalization::Inverse,
            GrnNormalization::Sum,
        ] {
            for skip in [true, false] {
                let grn = GrnConfig { aggregation, normalization, skip };
                let model = ModelConfig { grn, ..grey() };
                assert_logits(&model, 2, [32, 48], &format!("{grn:?}"));
            }
        }
    }
}

#[test]
fn embeddings_are_pooled_and_normed() {
    for block in [BlockKind::V2, BlockKind::V1] {
        let model = ModelConfig { block, ..small() };
        let network = classifier(&model);
        let description = described(&model, [64, 32]);
        let runtime = exported(&network.to_named().unwrap(), &description, &EMBEDDINGS);
        let images = images(&model, 3, [64, 32]);
        let (shape, embeddings) = run(&runtime, &images, "embeddings");
        assert_eq!(shape, [3, 20]);
        let expected = network
            .infer(|module, pass| {
                let features = module.encoder.forward_grid(pass, images.clone(), None);
                let pooled = ops::pool(pass, features);
                module.head.norm.forward(pass, pooled)
            })
            .unwrap();
        assert_near(&embeddings, expected.values(), &format!("{block:?}"));
    }
}

#[test]
fn embeddings_of_a_pretrained_encoder_are_pooled_alone() {
    let model = small();
    let decoder = DecoderConfig { width: 8, depth: 1 };
    let network = fill::network(|names| Autoencoder::new(names, &model, &decoder));
    let description = Description { classes: Vec::new(), ..described(&model, [64, 64]) };
    let tensors = network.to_named().unwrap();
    let runtime = exported(&tensors, &description, &EMBEDDINGS);
    let images = images(&model, 2, [64, 64]);
    let (_, embeddings) = run::<2>(&runtime, &images, "embeddings");
    let pooled = network
        .infer(|module, pass| {
            let features = module.encoder.forward_grid(pass, images.clone(), None);
            ops::pool(pass, features)
        })
        .unwrap();
    assert_near(&embeddings, pooled.values(), "a pre-trained encoder");

    let error = onnx::files(&tensors, &description, &LOGITS).unwrap_err().to_string();
    assert!(
        error.contains("no classification head") && error.contains("fcmae finetune"),
        "{error}"
    );
}

/// Compares all four stages' maps.
fn assert_features(runtime: &Model, network: &Network<Classifier>, images: &Tensor) {
    let [batch, height, width, _] = images.dims();
    let stride = network.module().encoder.stem.conv.stride();
    let maps = network.infer_all(|module, pass| module.encoder.maps(pass, images.clone())).unwrap();
    for (stage, map) in maps.into_iter().enumerate() {
        let (rows, columns) = (height / (stride << stage), width / (stride << stage));
        let name = format!("stage{}", stage + 1);
        let (shape, found) = run(runtime, images, &name);
        let (expected_shape, expected) = channels_first(&map);
        assert_eq!(shape, [batch, map.shape().last(), rows, columns], "{name}");
        assert_eq!(shape, expected_shape, "{name}");
        assert_near(&found, &expected, &name);
    }
}

#[test]
fn features_are_those_of_every_stage() {
    for block in [BlockKind::V2, BlockKind::V1] {
        let model = ModelConfig { block, ..grey() };
        let network = classifier(&model);
        let tensors = network.to_named().unwrap();
        let runtime = exported(&tensors, &described(&model, [32, 48]), &FEATURES);
        assert_features(&runtime, &network, &images(&model, 3, [32, 48]));
    }
}

#[test]
fn a_dynamic_size_takes_pictures_of_any_size() {
    let model = small();
    let network = classifier(&model);
    let tensors = network.to_named().unwrap();
    let description = described(&model, [64, 64]);
    let dynamic = |options: OnnxOptions| {
        exported(&tensors, &description, &OnnxOptions { dynamic_size: true, ..options })
    };
    let [logits, features] = [LOGITS, FEATURES].map(dynamic);
    for size in [[64, 64], [96, 32]] {
        let images = images(&model, 2, size);
        let (_, found) = run::<2>(&logits, &images, "logits");
        assert_near(&found, network.logits(&images).unwrap().values(), &format!("{size:?}"));
        assert_features(&features, &network, &images);
    }
}

#[test]
fn the_batch_is_named_and_the_size_as_asked() {
    let model = small();
    let tensors = classifier(&model).to_named().unwrap();
    let description = described(&model, [64, 96]);
    let shape = |dynamic_size, name| {
        let options = OnnxOptions { dynamic_size, ..FEATURES };
        let runtime = exported(&tensors, &description, &options);
        let text = |dimension: Dimension| match dimension {
            Dimension::Fixed(length) => length.to_string(),
            Dimension::Symbolic(name) => name,
        };
        let info = runtime.node_info(runtime.node_id(name).unwrap()).unwrap();
        info.shape().unwrap().into_iter().map(text).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(shape(false, "image"), "batch 3 64 96");
    assert_eq!(shape(false, "stage3"), "batch 16 4 6");
    assert_eq!(shape(true, "image"), "batch 3 height width");
}

#[test]
fn weights_that_do_not_fit_are_refused_with_every_name() {
    let model = small();
    let description = described(&model, [64, 64]);
    let whole = classifier(&model).to_named().unwrap();
    let refusal = |tensors: &NamedTensors, description: &Description, options: &OnnxOptions| {
        onnx::files(tensors, description, options).unwrap_err().to_string()
    };

    let mut tensors = whole.clone();
    tensors.remove("stages.1.blocks.1.norm.bias");
    tensors.remove("head.fc.bias");
    tensors.insert("stem.1.weight", HostTensor::new([9], vec![0.0; 9]).unwrap());
    tensors.insert("stages.0.blocks.0.gamma", HostTensor::new([8], vec![0.0; 8]).unwrap());
    let text = refusal(&tensors, &description, &LOGITS);
    for part in [
        "convnextv2_custom",
        "stages.1.blocks.1.norm.bias [12]",
        "head.fc.bias [5]",
        "stages.0.blocks.0.gamma [8]",
        "stem.1.weight: the model has [8], the weights have [9]",
    ] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    // What isn't asked for may be missing.
    let text = refusal(&tensors, &description, &FEATURES);
    assert!(text.contains("norm.bias [12]") && !text.contains("head."), "{text}");

    let mut tensors = whole.clone();
    let short = HostTensor { shape: vec![8], data: vec![0.0; 7] };
    tensors.insert("stem.1.weight", short);
    let text = refusal(&tensors, &description, &FEATURES);
    assert!(text.contains("stem.1.weight") && text.contains("7 values"), "{text}");

    for size in [[60, 64], [64, 0]] {
        let text = refusal(&whole, &described(&model, size), &LOGITS);
        assert!(text.contains("multiples of 32"), "{text}");
    }
    let text = refusal(&whole, &described(&model, [64, 1 << 20]), &LOGITS);
    assert!(text.contains("1048576") && text.contains("at most 16384"), "{text}");
    let description = described(&ModelConfig { stem_stride: 3, ..small() }, [64, 64]);
    let text = refusal(&whole, &description, &LOGITS);
    assert!(text.contains("model.stem_stride"), "{text}");
}
