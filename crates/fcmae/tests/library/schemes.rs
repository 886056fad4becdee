//! Weights come in by every program's names and files, and go out again, bit for bit.

use std::path::{Path, PathBuf};

use fcmae::config::{BlockKind, DecoderConfig, ModelConfig};
use fcmae::network::autoencoder::Autoencoder;
use fcmae::network::model::Classifier;
use fcmae::weights::Weights;
use fcmae::weights::export::{self, ExportFormat};
use fcmae::weights::inspection::inspect;
use fcmae::weights::names::Scheme;
use fcmae_store::{NamedTensors, safetensors};

use crate::fill;

/// Made by `reference/make_weights.py`.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights").join(name)
}

fn model(block: BlockKind) -> ModelConfig {
    let model = ModelConfig { block, ..ModelConfig::custom([1, 2, 1, 1], [2, 3, 4, 5]) };
    model.resolve().unwrap()
}

/// Every parameter as the fill rule has it.
fn classifier(block: BlockKind) -> NamedTensors {
    let network = fill::network(|names| Classifier::new(names, &model(block), 3));
    network.to_named().unwrap()
}

#[test]
fn every_program_names_the_same_network() {
    for (file, scheme, block) in [
        ("timm.safetensors", Scheme::Timm, BlockKind::V2),
        ("transformers", Scheme::Transformers, BlockKind::V2),
        ("authors.pth", Scheme::Authors, BlockKind::V2),
        ("mmpretrain.pth", Scheme::Mmpretrain, BlockKind::V2),
        ("transformers_v1.safetensors", Scheme::Transformers, BlockKind::V1),
        ("authors_v1.pth", Scheme::Authors, BlockKind::V1),
    ] {
        let weights = Weights::open(&fixture(file)).unwrap();
        assert_eq!(weights.scheme, scheme, "{file}");
        assert_eq!(weights.description.model, model(block), "{file}");
        assert_eq!(weights.description.classes.len(), 3, "{file}");
        assert_eq!(weights.tensors, classifier(block), "{file}");
        weights.classifier().unwrap();
    }
}

#[test]
fn the_authors_sparse_checkpoint_is_the_dense_network_and_its_decoder() {
    let sparse = Weights::open(&fixture("authors_sparse.pth")).unwrap();
    assert_eq!(sparse.scheme, Scheme::AuthorsSparse);
    let config = DecoderConfig { width: 4, depth: 1 };
    assert_eq!(sparse.description.decoder.as_ref().unwrap().0, config);
    let expected = fill::network(|names| Autoencoder::new(names, &model(BlockKind::V2), &config));
    assert_eq!(sparse.tensors, expected.to_named().unwrap());
    sparse.autoencoder().unwrap();
}

#[test]
fn what_transformers_says_of_pictures_is_taken_over() {
    let description = Weights::open(&fixture("transformers")).unwrap().description;
    assert_eq!(description.classes, ["ant", "bee", "cat"]);
    assert_eq!(description.image_size, [192, 192]);
    assert_eq!(description.mean, [0.5, 0.4, 0.3]);
    assert_eq!(description.std, [0.2, 0.3, 0.4]);
    let expected = fcmae_data::EvalResize::CentreCrop { fraction: 0.95 };
    assert_eq!(description.transform().resize, expected);
}

#[test]
fn a_file_through_all_formats_is_the_same_bit_for_bit() {
    for block in [BlockKind::V1, BlockKind::V2] {
        let folder = tempfile::tempdir().unwrap();
        let first = match block {
            BlockKind::V1 => fixture("authors_v1.pth"),
            BlockKind::V2 => fixture("transformers"),
        };
        let (mut from, tensors) = (first.clone(), classifier(block));
        let description = Weights::open(&first).unwrap().description;
        for (format, file) in [
            (ExportFormat::Timm, "model.safetensors"),
            (ExportFormat::Authors, "model.pth"),
            (ExportFormat::Transformers, "model.safetensors"),
        ] {
            let weights = Weights::open(&from).unwrap();
            from = folder.path().join(format!("{format:?}"));
            export::write(&weights, &from, format).unwrap();
            let read = Weights::open(&from).unwrap();
            assert!(read.path.ends_with(file), "{:?}", read.path);
            assert_eq!(read.tensors, tensors, "{format:?}");
            assert_eq!(read.description, description, "{format:?}");
        }
    }
}

#[test]
fn exports_have_the_names_and_shapes_of_their_programs() {
    let folder = tempfile::tempdir().unwrap();
    let weights = Weights::open(&fixture("timm.safetensors")).unwrap();
    for (format, file, theirs) in [
        (ExportFormat::Timm, "model.safetensors", "timm.safetensors"),
        (ExportFormat::Transformers, "model.safetensors", "transformers/model.safetensors"),
        (ExportFormat::Authors, "model.pth", "authors.pth"),
    ] {
        let out = folder.path().join(format!("{format:?}"));
        export::write(&weights, &out, format).unwrap();
        let shapes = |path: &Path| -> Vec<_> {
            let contents = fcmae_store::file::load(path).unwrap();
            contents.tensors.iter().map(|(name, t)| (name.clone(), t.clone())).collect()
        };
        assert_eq!(shapes(&out.join(file)), shapes(&fixture(theirs)), "{format:?}");
    }
}

#[test]
fn an_encoder_alone_loads_as_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("encoder.safetensors");
    let mut tensors = safetensors::load(&fixture("timm.safetensors")).unwrap().tensors;
    for name in ["head.norm.weight", "head.norm.bias", "head.fc.weight", "head.fc.bias"] {
        tensors.remove(name).unwrap();
    }
    safetensors::save(&file, &tensors, &Default::default()).unwrap();
    let weights = Weights::open(&file).unwrap();
    assert!(weights.description.classes.is_empty() && weights.description.decoder.is_none());
    let found = inspect(&file).unwrap();
    let missing: Vec<_> = found.uses.iter().map(|u| (u.what, u.missing.len())).collect();
    assert_eq!(missing[0], ("features, fine-tuning", 0));
    assert!(missing[1].1 > 0 && missing[2] == ("predict, evaluate", 4), "{missing:?}");

    // timm and transformers start with a final norm that changes nothing; so they are given one.
    let out = folder.path().join("timm");
    export::write(&weights, &out, ExportFormat::Timm).unwrap();
    let exported = Weights::open(&out).unwrap();
    assert_eq!(exported.tensors.get("head.norm.weight").unwrap().data, [1.0; 5]);
    assert_eq!(exported.tensors.len(), tensors.len() + 2);
}

#[test]
fn a_mismatch_is_told_by_timms_names_and_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.safetensors");
    let mut tensors =
        safetensors::load(&fixture("transformers/model.safetensors")).unwrap().tensors;
    let bias = "convnextv2.encoder.stages.1.layers.1.dwconv.bias";
    tensors.remove(bias).unwrap();
    let norm = "convnextv2.encoder.stages.0.layers.0.layernorm.weight";
    let mut wrong = tensors.remove(norm).unwrap();
    wrong.data.push(1.0);
    wrong.shape = vec![3];
    tensors.insert(norm, wrong);
    tensors.insert("pooler.weight", tensors.get("classifier.bias").unwrap().clone());
    safetensors::save(&file, &tensors, &Default::default()).unwrap();
    let error = Weights::open(&file).unwrap().classifier().unwrap_err().to_string();
    for part in [
        "1 missing, 1 unexpected, 1 of another shape",
        "stages.1.blocks.1.conv_dw.bias (in the file: encoder.stages.1.layers.1.dwconv.bias) [3]",
        "pooler.weight [3]",
        "stages.0.blocks.0.norm.weight (in the file: convnextv2.encoder.stages.0.layers.0.layernorm.weight): \
         the model has [2], the weights have [3]",
    ] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}
