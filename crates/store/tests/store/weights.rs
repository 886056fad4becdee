//! What a weights argument may be.

use std::fs;
use std::path::Path;

use fcmae_store::weights::{WeightsKind, resolve};
use fcmae_store::{Checkpoint, Error, ExportName, HostTensor, NamedTensors, Record, Run};
use serde_json::json;

fn new_run(path: &Path) -> Run {
    Run::create(path, &Record { config: String::new(), facts: json!({}) }).unwrap()
}

fn checkpoint() -> Checkpoint {
    let model =
        NamedTensors::from_iter([("w".to_owned(), HostTensor::new([1], vec![1.0]).unwrap())]);
    Checkpoint { tensors: [("model".to_owned(), model)].into(), state: json!({}) }
}

const FILES: [(&str, &[u8]); 2] = [("config.json", b"{}"), ("model.safetensors", b"any")];

#[test]
fn a_run_gives_its_best_export_else_its_last_else_its_newest_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let run = new_run(&path);
    let error = resolve(&path).unwrap_err();
    let Error::NoWeights { looked_for, .. } = &error else { panic!("{error}") };
    assert_eq!(looked_for.len(), 7);
    assert!(error.to_string().contains("run/model.pth"), "{error}");
    assert!(error.to_string().contains("export/best/model.safetensors"), "{error}");
    assert!(error.to_string().contains("checkpoints/step-*"), "{error}");

    let store = run.checkpoints();
    store.save(1, &checkpoint()).unwrap();
    store.save(2, &checkpoint()).unwrap();
    let found = resolve(&path).unwrap();
    assert_eq!(found.kind, WeightsKind::Checkpoint);
    assert_eq!(found.model, store.path(2).join("model.safetensors"));
    assert_eq!((found.config, found.run.as_deref()), (None, Some(&*path)));
    assert_eq!(resolve(&path.join("checkpoints")).unwrap().model, found.model);
    assert_eq!(resolve(&store.path(1)).unwrap().model, store.path(1).join("model.safetensors"));

    fs::write(store.path(2).join("state.json"), "[]").unwrap();
    let found = resolve(&path).unwrap();
    assert_eq!(found.model, store.path(1).join("model.safetensors"));
    assert_eq!(found.damaged.len(), 1);
    assert!(matches!(resolve(&store.path(2)), Err(Error::Damaged(_))));

    for (name, which) in [("last", ExportName::Last), ("best", ExportName::Best)] {
        run.export(which, &FILES).unwrap();
        let found = resolve(&path).unwrap();
        assert_eq!(found.kind, WeightsKind::Export);
        assert_eq!(found.model, path.join("export").join(name).join("model.safetensors"));
        assert_eq!(found.config, Some(path.join("export").join(name).join("config.json")));
        assert_eq!(found.run.as_deref(), Some(&*path));
    }
}

#[test]
fn an_export_folder_and_a_file_stand_for_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("export");
    fcmae_store::export_folder::write(&export, &FILES).unwrap();
    let model = export.join("model.safetensors");
    for (argument, kind) in [(&export, WeightsKind::Export), (&model, WeightsKind::File)] {
        let found = resolve(argument).unwrap();
        assert_eq!((found.kind, &found.model, found.run), (kind, &model, None));
        assert_eq!(found.config, Some(export.join("config.json")));
    }
    for ending in ["safetensors", "pth", "pt", "bin", "ckpt", "pkl"] {
        let file = folder.path().join("weights").with_extension(ending);
        fs::write(&file, "").unwrap();
        let found = resolve(&file).unwrap();
        assert_eq!((found.kind, found.model, found.config), (WeightsKind::File, file, None));
    }
    let other = folder.path().join("weights.onnx");
    fs::write(&other, "").unwrap();
    let error = resolve(&other).unwrap_err().to_string();
    assert!(error.contains("a name that ends in .safetensors, .pth, .pt, .bin"), "{error}");
    assert!(matches!(resolve(&folder.path().join("gone")), Err(Error::Missing { .. })));
}

#[test]
fn a_folder_of_hugging_face_gives_its_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for index in ["pytorch_model.bin.index.json", "model.safetensors.index.json"] {
        fs::write(path(index), "{}").unwrap();
        let error = resolve(folder.path()).unwrap_err();
        assert!(matches!(&error, Error::Sharded { path: at } if *at == path(index)), "{error}");
        assert!(error.to_string().contains("max_shard_size"), "{error}");
    }
    fs::write(path("config.json"), "{}").unwrap();
    for name in ["pytorch_model.bin", "model.safetensors"] {
        fs::write(path(name), "").unwrap();
        let found = resolve(folder.path()).unwrap();
        assert_eq!((found.kind, found.model), (WeightsKind::Export, path(name)));
        assert_eq!(found.config, Some(path("config.json")));
    }
}
