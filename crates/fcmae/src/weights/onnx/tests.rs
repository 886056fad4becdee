//! What stands beside the weights in a file; and weights in a file of their own, which those of no
//! network small enough for a test need.

#![allow(clippy::unwrap_used)]

use prost::Message;
use rten::{Model, ModelOptions, Value};

use super::*;
use crate::config::DataConfig;
use crate::engine::module::Network;
use crate::network::model::init;

/// A network of a few weights, and its description.
fn network() -> (NamedTensors, Description) {
    let config =
        ModelConfig { channels: 1, stem_stride: 1, ..ModelConfig::custom([1; 4], [4, 8, 16, 32]) };
    let mut network = Network::new(|names| Classifier::new(names, &config, 2));
    init::initialize(network.weights_mut(), 5, 0.02);
    let description = Description {
        classes: vec!["a \"cat\"".to_owned(), "Hündchen".to_owned()],
        image_size: [16, 24],
        mean: vec![0.485],
        std: vec![0.229],
        ..Description::new(&config, &DataConfig::default())
    };
    (network.to_named().unwrap(), description)
}

fn logits(model: &Model) -> Vec<f32> {
    let values = (0..2 * 16 * 24).map(|i| (i % 19) as f32 / 9.0 - 1.0).collect();
    let image = Value::from_shape([2, 1, 16, 24], values).unwrap();
    let logits = model.run_one(image.into(), None).unwrap();
    logits.into_shape_vec::<f32, 2>().unwrap().1
}

#[test]
fn weights_in_a_file_of_their_own_are_the_same() {
    let (tensors, description) = network();
    let options = OnnxOptions::default();
    let whole = files(&tensors, &description, &options).unwrap();
    let [(_, whole)] = &whole[..] else { panic!("small weights are in one file") };
    let fits = files_of(&tensors, &description, &options, whole.len()).unwrap();
    assert_eq!(fits.len(), 1);
    let split = files_of(&tensors, &description, &options, whole.len() - 1).unwrap();
    let [(model, model_bytes), (data, data_bytes)] = &split[..] else {
        panic!("the weights have a file of their own")
    };
    assert_eq!((model.as_str(), data.as_str()), ("model.onnx", "model.onnx.data"));
    // The last stage's linear layers alone are 2 · 32 · 128 numbers.
    assert!(data_bytes.len() > 4 * 2 * 32 * 128);
    assert!(model_bytes.len() + 4 * 2 * 32 * 128 < whole.len());

    let expected = logits(&Model::load(whole.clone()).unwrap());
    assert!(expected.iter().any(|&logit| logit != 0.0));
    let found = ModelOptions::with_all_ops()
        .external_data(data, data_bytes.clone())
        .load(model_bytes.clone())
        .unwrap();
    assert_eq!(logits(&found), expected);
}

#[test]
fn a_file_says_what_it_is_and_how_to_use_it() {
    let (tensors, description) = network();
    let files = files(&tensors, &description, &OnnxOptions::default()).unwrap();
    let model = protobuf::Model::decode(files[0].1.as_slice()).unwrap();
    assert_eq!((model.ir_version, model.opset_import[0].version), (8, 17));
    assert_eq!(model.producer_name, "fcmae");
    assert_eq!(model.doc_string, "ConvNeXt V2, size custom: pictures to logits of 2 classes");
    let property = |key: &str| {
        let found = model.metadata_props.iter().find(|entry| entry.key == key);
        found.unwrap_or_else(|| panic!("no {key}")).value.as_str()
    };
    assert_eq!(property("architecture"), "convnextv2_custom");
    assert_eq!(property("classes"), r#"["a \"cat\"","Hündchen"]"#);
    assert_eq!(property("image_size"), "[16,24]");
    assert_eq!((property("mean"), property("std")), ("[0.485]", "[0.229]"));
    assert_eq!(property("resize"), r#"{"centre_crop":{"fraction":0.875}}"#);
    let preparation = property("preparation");
    assert!(preparation.starts_with("grey; "), "{preparation}");
    // ⌊16 / 0.875⌋ and ⌊24 / 0.875⌋
    assert!(preparation.contains("covers 18x27 pixels"), "{preparation}");
    assert!(preparation.contains("cut 16x24 out"), "{preparation}");
}

#[test]
fn a_file_says_how_the_pictures_of_these_weights_are_resized() {
    let (tensors, description) = network();
    for (resize, json, words) in [
        (
            EvalResize::CentreCrop { fraction: 0.95 },
            r#"{"centre_crop":{"fraction":0.95}}"#,
            // ⌊16 / 0.95⌋ and ⌊24 / 0.95⌋
            "covers 16x25 pixels",
        ),
        (EvalResize::Warp, r#""warp""#, "resize to 16x24 pixels"),
    ] {
        let description = Description { resize: Some(resize), ..description.clone() };
        let files = files(&tensors, &description, &OnnxOptions::default()).unwrap();
        let model = protobuf::Model::decode(files[0].1.as_slice()).unwrap();
        let found = |key: &str, part: &str| {
            model.metadata_props.iter().any(|entry| entry.key == key && entry.value.contains(part))
        };
        assert!(found("resize", json), "{json}");
        assert!(found("preparation", words), "{words}");
    }
}
