//! Weights are found wherever they lie, come back bit for bit, and are refused with every reason.

use std::path::Path;
use std::slice;

use fcmae::Error;
use fcmae::config::{BlockKind, DataConfig, DecoderConfig, MaskConfig, ModelConfig, Size};
use fcmae::engine::backend::Backend;
use fcmae::engine::module::Network;
use fcmae::inference::Inference;
use fcmae::inference::embed::Backbone;
use fcmae::inference::evaluate;
use fcmae::network::autoencoder::Autoencoder;
use fcmae::network::model::{Classifier, Encoder, init};
use fcmae::training::{Event, Flow, Start, finetune, pretrain};
use fcmae::weights::export::{ExportFormat, run_files};
use fcmae::weights::onnx::{OnnxOptions, OnnxOutput};
use fcmae::weights::{Description, Weights};
use fcmae_data::Depth;
use fcmae_store::{HostTensor, NamedTensors, safetensors};

use crate::pictures;

fn classes(count: usize) -> Vec<String> {
    (0..count).map(|class| format!("class {class}")).collect()
}

fn write_file(path: &Path, tensors: &NamedTensors) {
    std::fs::write(path, safetensors::to_bytes(tensors, &Default::default()).unwrap()).unwrap();
}

/// Writes the files of an export into `folder`.
fn export(folder: &Path, tensors: &NamedTensors, description: &Description) {
    std::fs::create_dir_all(folder).unwrap();
    for (name, bytes) in run_files(tensors, description, "About.").unwrap() {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}

fn classifier(model: &ModelConfig, classes: usize) -> NamedTensors {
    let mut network = Network::new(|names| Classifier::new(names, model, classes));
    init::initialize(network.weights_mut(), 3, 0.02);
    network.to_named().unwrap()
}

fn small() -> ModelConfig {
    ModelConfig { stem_stride: 2, ..ModelConfig::custom([1, 2, 1, 1], [8, 12, 16, 20]) }
}

fn described(model: &ModelConfig, classes: Vec<String>) -> Description {
    Description { classes, ..Description::new(model, &DataConfig::default()) }
}

#[test]
fn an_export_comes_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let (model, names) = (small().resolve().unwrap(), classes(3));
    let tensors = classifier(&model, 3);
    let description = described(&model, names);
    export(folder.path(), &tensors, &description);
    for path in [folder.path().to_owned(), folder.path().join("model.safetensors")] {
        let weights = Weights::open(&path).unwrap();
        assert_eq!(weights.description, description);
        assert_eq!(weights.tensors, tensors);
        assert_eq!(weights.classifier().unwrap().to_named().unwrap(), tensors);
    }
}

#[test]
fn what_was_edited_beside_the_description_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let description = described(&small(), classes(3));
    export(folder.path(), &classifier(&small(), 3), &description);
    assert_eq!(Weights::open(folder.path()).unwrap().notes, [""; 0]);
    let path = folder.path().join("config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    for (part, value, says) in [
        ("label_names", serde_json::json!(["x", "y", "z"]), "names of classes"),
        ("mean", serde_json::json!([0.1, 0.1, 0.1]), "mean for other programs"),
        ("std", serde_json::json!([0.1, 0.1, 0.1]), "std for other programs"),
        ("mean", serde_json::json!([100, 100, 100]), "mean, std or crop_pct"),
    ] {
        let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
        config["pretrained_cfg"][part] = value;
        std::fs::write(&path, config.to_string()).unwrap();
        let weights = Weights::open(folder.path()).unwrap();
        let [note] = weights.notes.as_slice() else { panic!("{part}: {:?}", weights.notes) };
        assert!(note.contains(says) && note.contains("block `fcmae`"), "{note}");
        assert_eq!(weights.description.classes, description.classes);
        assert_eq!(weights.description.mean, description.mean);
    }
}

#[test]
fn a_mean_that_pixels_cannot_have_is_refused_in_a_description() {
    let folder = tempfile::tempdir().unwrap();
    export(folder.path(), &classifier(&small(), 3), &described(&small(), classes(3)));
    let path = folder.path().join("config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    for (part, values) in
        [("mean", [123, 116, 103]), ("std", [58, 57, 57]), ("std", [0, 0, 0]), ("mean", [-1, 0, 0])]
    {
        let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
        config["fcmae"][part] = serde_json::json!(values);
        std::fs::write(&path, config.to_string()).unwrap();
        let error = Weights::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("its description") && error.contains("255"), "{part}: {error}");
    }
}

#[test]
fn exports_have_timms_shapes() {
    for (size, dims) in [(Size::Atto, 4), (Size::Nano, 4), (Size::Tiny, 2)] {
        let model = ModelConfig::published(size);
        // The first of a model's blocks says it; the whole of tiny would be 110 MB.
        let shape = [4 * model.widths[0], model.widths[0]];
        let tensor = fcmae_store::HostTensor::new(shape, vec![0.5; shape[0] * shape[1]]).unwrap();
        let name = "stages.0.blocks.0.mlp.fc1.weight".to_owned();
        let tensors: NamedTensors = [(name.clone(), tensor)].into_iter().collect();
        let folder = tempfile::tempdir().unwrap();
        export(folder.path(), &tensors, &described(&model, Vec::new()));
        let written = safetensors::load(&folder.path().join("model.safetensors")).unwrap().tensors;
        let expected = [shape[0], shape[1], 1, 1];
        assert_eq!(written.get(&name).unwrap().shape, expected[..dims], "{size}");
        // Read back, they are the network's own again.
        assert_eq!(Weights::open(folder.path()).unwrap().tensors, tensors, "{size}");
    }
}

#[test]
fn an_export_tells_timm_what_to_build() {
    let folder = tempfile::tempdir().unwrap();
    let model = small().resolve().unwrap();
    export(folder.path(), &classifier(&model, 3), &described(&model, classes(3)));
    let text = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["architecture"], "convnextv2_atto");
    assert_eq!(config["num_classes"], 3);
    assert_eq!(config["model_args"]["depths"], serde_json::json!([1, 2, 1, 1]));
    assert_eq!(config["model_args"]["dims"], serde_json::json!([8, 12, 16, 20]));
    assert_eq!(config["model_args"]["patch_size"], 2);
    assert_eq!(config["pretrained_cfg"]["input_size"], serde_json::json!([3, 224, 224]));
    assert_eq!(config["pretrained_cfg"]["label_names"][2], "class 2");
}

#[test]
fn a_bare_file_is_recognised_by_its_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights.safetensors");
    let grey = ModelConfig { channels: 1, stem_stride: 1, block: BlockKind::V1, ..small() };
    for (model, count) in [(ModelConfig::published(Size::Atto), 10), (small(), 2), (grey, 4)] {
        let model = model.resolve().unwrap();
        let tensors = classifier(&model, count);
        write_file(&file, &tensors);
        let weights = Weights::open(&file).unwrap();
        assert_eq!(weights.description.model, model);
        assert_eq!(weights.description.classes.len(), count);
        assert_eq!(weights.description.mean.len(), model.channels);
        assert_eq!(weights.classifier().unwrap().to_named().unwrap(), tensors);
    }
}

#[test]
fn a_file_that_is_no_convnext_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.safetensors");
    let mut tensors = classifier(&small(), 2);
    let stem = tensors.remove("stem.0.weight").unwrap();
    write_file(&file, &tensors);
    let error = Weights::open(&file).unwrap_err().to_string();
    assert!(error.contains("other.safetensors") && error.contains("stem.0.weight"), "{error}");

    // A stage without its downsampling has no width.
    tensors.insert("stem.0.weight", stem);
    tensors.remove("stages.2.downsample.1.weight");
    write_file(&file, &tensors);
    let error = Weights::open(&file).unwrap_err().to_string();
    assert!(error.contains("model.widths"), "{error}");
}

#[test]
fn weights_that_do_not_fit_are_refused_with_every_name() {
    let folder = tempfile::tempdir().unwrap();
    let model = small().resolve().unwrap();
    let mut tensors = classifier(&model, 3);
    tensors.remove("stages.1.blocks.1.norm.bias");
    tensors.remove("head.norm.weight");
    let zeros = |shape: &[usize]| {
        fcmae_store::HostTensor::new(shape, vec![0.0; shape.iter().product()]).unwrap()
    };
    tensors.insert("stages.0.blocks.0.attention.weight", zeros(&[2, 2]));
    tensors.insert("stem.1.weight", zeros(&[9]));
    export(folder.path(), &tensors, &described(&model, classes(3)));
    let error = Weights::open(folder.path()).unwrap().classifier().unwrap_err();
    assert!(matches!(error, Error::Weights { .. }));
    let text = error.to_string();
    for part in [
        "model.safetensors",
        "stages.1.blocks.1.norm.bias [12]",
        "head.norm.weight [20]",
        "stages.0.blocks.0.attention.weight [2, 2]",
        "stem.1.weight: the model has [8], the weights have [9]",
    ] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }

    // The encoder alone lacks no head.
    let mut network = Network::new(|names| Classifier::new(names, &model, 5));
    let weights = Weights::open(folder.path()).unwrap();
    let error = weights.fill_encoder(network.weights_mut()).unwrap_err().to_string();
    assert!(!error.contains("head.") && error.contains("norm.bias [12]"), "{error}");
}

/// Fault 19: absurd sizes in a description.
#[test]
fn an_absurd_description_is_refused_before_it_is_built() {
    let folder = tempfile::tempdir().unwrap();
    let model = small().resolve().unwrap();
    export(folder.path(), &classifier(&model, 2), &described(&model, classes(2)));
    let file = folder.path().join("config.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (key, value) in [
        ("depths", serde_json::json!([1, 2, 1_000_000_000, 1])),
        ("widths", serde_json::json!([8, 12, 16, -20])),
        ("stem_stride", serde_json::json!(0)),
    ] {
        let kept = config["fcmae"]["model"][key].take();
        config["fcmae"]["model"][key] = value;
        std::fs::write(&file, config.to_string()).unwrap();
        assert!(Weights::open(folder.path()).is_err(), "{key}");
        config["fcmae"]["model"][key] = kept;
    }
    for (key, value) in [
        (
            "decoder",
            serde_json::json!([{ "width": 8, "depth": 2_147_483_647 }, MaskConfig::default()]),
        ),
        (
            "decoder",
            serde_json::json!([{ "width": 1u64 << 60, "depth": 1 }, MaskConfig::default()]),
        ),
        ("mean", serde_json::json!([0.5])),
        ("std", serde_json::json!([0.5, 0.5, 0.5, 0.5])),
    ] {
        let kept = config["fcmae"][key].take();
        config["fcmae"][key] = value;
        std::fs::write(&file, config.to_string()).unwrap();
        assert!(Weights::open(folder.path()).is_err(), "{key}");
        config["fcmae"][key] = kept;
    }
    std::fs::write(&file, config.to_string()).unwrap();
    Weights::open(folder.path()).unwrap();
}

/// Fault 19: sizes that a network might have, and that are not those of the weights.
#[test]
fn a_description_of_a_huge_network_takes_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let model = small().resolve().unwrap();
    let decoder = DecoderConfig { width: 65_536, depth: 1_000 };
    for (widths, decoder) in
        [([65_536; 4], None), (model.widths, Some((decoder, MaskConfig::default())))]
    {
        let huge = ModelConfig { widths, ..model.clone() };
        let description = Description { decoder, ..described(&huge, classes(2)) };
        export(folder.path(), &classifier(&model, 2), &description);
        let weights = Weights::open(folder.path()).unwrap();
        if weights.description.decoder.is_some() {
            assert!(matches!(weights.autoencoder(), Err(Error::Weights { .. })));
            continue;
        }
        assert!(matches!(weights.classifier(), Err(Error::Weights { .. })));
        assert!(matches!(Network::<Backbone>::open(&weights), Err(Error::Weights { .. })));
        let encoder = Inference::<Encoder>::open(&weights, &Backend::Cpu);
        assert!(matches!(encoder, Err(Error::Weights { .. })));
    }
}

/// Fault 19: a shape without values, from which a size would be inferred.
#[test]
fn a_head_that_claims_classes_and_holds_none_is_refused() {
    let model = small().resolve().unwrap();
    let mut tensors = classifier(&model, 2);
    let shape = vec![1 << 50, 0];
    tensors.insert("head.fc.weight", HostTensor::new(shape, Vec::new()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    write_file(&file, &tensors);
    let error = Weights::open(&file).unwrap_err().to_string();
    assert!(
        error.contains("model.safetensors") && error.contains("[1125899906842624, 0]"),
        "{error}"
    );
}

#[test]
fn a_run_opens_as_checkpoint_before_its_end_and_as_export_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures::write(&data, 4);
    let config = pictures::pretraining(2, 4, 1);
    let mut saved = None;
    pretrain(
        &config,
        slice::from_ref(&data),
        Start::Scratch,
        &run,
        false,
        &mut |event| match event {
            Event::Step(_) => Flow::Stop,
            Event::Saved { path, .. } => {
                saved = Some(path.to_owned());
                Flow::Continue
            }
            _ => Flow::Continue,
        },
    )
    .unwrap();
    let weights = Weights::open(&run).unwrap();
    let checkpoint = Weights::open(&saved.unwrap()).unwrap();
    assert_eq!(weights.tensors, checkpoint.tensors);
    assert_eq!(weights.description, checkpoint.description);
    assert_eq!(weights.description.model, config.model);
    assert_eq!(
        weights.description.decoder,
        Some((config.decoder.clone(), config.mask.clone())),
        "a checkpoint of a run is described by the run"
    );
    weights.autoencoder().unwrap();

    // Weights without a head say what to do.
    let error =
        evaluate::evaluate(&run, slice::from_ref(&data), 4, &fcmae::engine::backend::Backend::Cpu)
            .unwrap_err()
            .to_string();
    assert!(
        error.contains("no classification head") && error.contains("fcmae finetune"),
        "{error}"
    );

    pretrain(&config, slice::from_ref(&data), Start::Scratch, &run, true, &mut |_| Flow::Continue)
        .unwrap();
    let finished = Weights::open(&run).unwrap();
    assert!(finished.path.ends_with("export/last/model.safetensors"), "{:?}", finished.path);
    let (network, mask) = finished.autoencoder().unwrap();
    assert_eq!(mask, config.mask);
    assert_eq!(network.to_named().unwrap(), finished.tensors);
}

#[test]
fn finetuning_takes_the_encoder_over_and_starts_a_new_head() {
    let folder = tempfile::tempdir().unwrap();
    let (data, weights) = (folder.path().join("data"), folder.path().join("weights"));
    pictures::write(&data, 4);
    let mut config = pictures::finetuning(1, 4, 1);
    let decoder = DecoderConfig { width: 8, depth: 1 };
    let mut network = Network::new(|names| Autoencoder::new(names, &config.model, &decoder));
    init::initialize(network.weights_mut(), 11, 0.02);
    let tensors = network.to_named().unwrap();
    let mut description = Description::new(&config.model, &config.data);
    description.decoder = Some((decoder, MaskConfig::default()));
    export(&weights, &tensors, &description);

    // Steps too small to change anything.
    config.optim.base_lr = 1e-300;
    // The network is that of the weights, whatever the settings say.
    config.model = small();
    // So is the size of its pictures, where the settings leave it open.
    config.data.image_size = [0, 0];
    let run = folder.path().join("run");
    let start = Start::Weights(&weights);
    finetune(&config, slice::from_ref(&data), start, &run, false, &mut |_| Flow::Continue).unwrap();
    let tuned = Weights::open(&run).unwrap();
    assert_eq!(tuned.description.model, description.model);
    assert_eq!(tuned.description.image_size, [32, 32]);
    assert_eq!(tuned.description.classes, pictures::CLASSES);
    for (name, tensor) in &tuned.tensors {
        match tensors.get(name) {
            Some(before) => assert_eq!(tensor, before, "{name}"),
            None => assert!(name.starts_with("head."), "{name}"),
        }
    }
    let head = tuned.tensors.get("head.fc.weight").unwrap();
    assert!(head.data.iter().any(|&v| v != 0.0));
}

/// A folder as another program leaves it, without this project's own description.
fn of_another_program(folder: &Path, side: usize) -> ModelConfig {
    let model = ModelConfig::custom([1, 2, 1, 1], [8, 12, 16, 20]).resolve().unwrap();
    export(folder, &classifier(&model, 3), &described(&model, classes(3)));
    let path = folder.join("config.json");
    let mut config: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    config.as_object_mut().unwrap().remove("fcmae");
    config["pretrained_cfg"]["input_size"] = serde_json::json!([3, side, side]);
    std::fs::write(&path, config.to_string()).unwrap();
    model
}

#[test]
fn pictures_of_any_side_are_brought_to_whole_patches_with_a_note() {
    for (side, taken) in [(300, 288), (310, 320), (304, 288), (7, 32), (33, 32), (224, 224)] {
        let folder = tempfile::tempdir().unwrap();
        of_another_program(folder.path(), side);
        let weights = Weights::open(folder.path()).unwrap();
        assert_eq!(weights.description.image_size, [taken; 2], "{side}");
        let told = weights.notes.iter().any(|note| {
            note.contains(&format!("{side}×{side}")) && note.contains(&format!("{taken}×{taken}"))
        });
        assert_eq!(told, side != taken, "{:?}", weights.notes);
        assert!(Inference::<Classifier>::open(&weights, &Backend::Cpu).is_ok());
        assert!(Inference::<Encoder>::open(&weights, &Backend::Cpu).is_ok());
        let inspected = fcmae::weights::inspection::inspect(folder.path()).unwrap();
        assert_eq!(inspected.description.image_size, [taken; 2]);
        assert_eq!(inspected.notes, weights.notes);
    }
}

#[test]
fn weights_that_are_no_numbers_are_refused_where_they_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let model = small().resolve().unwrap();
    for (value, name) in [
        (f32::NAN, "stages.1.blocks.1.mlp.fc2.weight"),
        (f32::INFINITY, "stem.0.bias"),
        (f32::NEG_INFINITY, "head.fc.weight"),
    ] {
        let mut tensors = classifier(&model, 3);
        let mut tensor = tensors.remove(name).unwrap();
        tensor.data[1] = value;
        tensors.insert(name.to_owned(), tensor);
        export(folder.path(), &tensors, &described(&model, classes(3)));
        let weights = Weights::open(folder.path()).unwrap();
        let out = folder.path().join("out");
        for (what, error) in [
            ("predict", Inference::<Classifier>::open(&weights, &Backend::Cpu).err()),
            ("evaluate", evaluate::Evaluator::open(folder.path(), &Backend::Cpu).err()),
            ("export", fcmae::weights::export::write(&weights, &out, ExportFormat::Timm).err()),
            ("fine-tune", {
                let mut network = Network::new(|names| Classifier::new(names, &model, 3));
                weights.fill_classifier(&mut network, &classes(3)).err()
            }),
        ] {
            let text = error.unwrap_or_else(|| panic!("{what} takes {value}")).to_string();
            assert!(text.contains(name) && text.contains("not finite"), "{what}: {text}");
            assert!(!text.contains("base_lr"), "{text}");
        }
        let inspected = fcmae::weights::inspection::inspect(folder.path()).unwrap();
        let notes = inspected.notes;
        assert!(notes.iter().any(|note| note.contains(name)), "{notes:?}");
        let lacks = |what: &str| {
            let of = inspected.uses.iter().find(|of| of.what.contains(what)).unwrap();
            of.missing == [format!("{name} (NaN or infinite)")]
        };
        assert!(lacks("predict"));
        assert_eq!(lacks("features"), !name.starts_with("head"));
        assert!(!out.exists());
    }
}

#[test]
fn exports_of_deep_pictures_say_how_they_are_prepared_and_claim_nothing_else() {
    let model = ModelConfig { channels: 1, ..ModelConfig::custom([1, 2, 1, 1], [8, 12, 16, 20]) };
    let model = model.resolve().unwrap();
    let data = DataConfig { mean: vec![0.4], std: vec![0.2], ..DataConfig::default() };
    let tensors = classifier(&model, 3);
    for format in [
        ExportFormat::Timm,
        ExportFormat::Transformers,
        ExportFormat::Authors,
        ExportFormat::Onnx(OnnxOptions { output: OnnxOutput::Logits, dynamic_size: false }),
    ] {
        for depth in [Depth::Deep, Depth::Eight] {
            let of = Description {
                classes: classes(3),
                ..Description::new(&model, &DataConfig { depth, ..data.clone() })
            };
            let files = fcmae::weights::export::files(&tensors, &of, "About.", format).unwrap();
            let text = |name: &str| {
                let file = files.iter().find(|(known, _)| known == name);
                file.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned())
            };
            let card = text("README.md").unwrap();
            let deep = depth == Depth::Deep;
            assert_eq!(card.contains("65535"), deep, "{format:?}: {card}");
            assert_eq!(fcmae::weights::export::preparation_note(&of).is_some(), deep);
            if deep {
                assert_eq!(text("preprocessor_config.json"), None, "{format:?}");
                assert!(!card.contains("create_transform"), "{card}");
                assert!(!card.contains("AutoImageProcessor"), "{card}");
                let onnx = text("model.onnx").unwrap_or_default();
                assert!(!onnx.contains("divide by 255;"), "{format:?}");
                assert_eq!(onnx.is_empty(), !onnx.contains("65535 for 16 bits"), "{format:?}");
            }
        }
    }
}
