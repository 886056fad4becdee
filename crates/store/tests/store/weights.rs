//! What a weights argument may be.

use std::fs;
use std::path::Path;

use fcmae_store::file::{self, Format};
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

    // An export that lacks its weights is told, and no other is taken in its place.
    let best = path.join("export/best");
    fs::remove_file(best.join("model.safetensors")).unwrap();
    let error = resolve(&path).unwrap_err();
    assert!(matches!(&error, Error::IncompleteExport { folder, .. } if *folder == best));
    let text = error.to_string();
    for says in ["export/best has no model.safetensors", "export/last"] {
        assert!(text.contains(says), "{says} is not in: {text}");
    }
    fs::remove_dir_all(&best).unwrap();
    assert!(resolve(&path).unwrap().model.ends_with("export/last/model.safetensors"));
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
    // What a file is, its content says.
    for name in ["w.safetensors", "model_best.pth.tar", "MODEL.PTH", "0a1b2c", "weights.onnx"] {
        let file = folder.path().join(name);
        fs::write(&file, "").unwrap();
        let found = resolve(&file).unwrap();
        assert_eq!((found.kind, found.model, found.config), (WeightsKind::File, file, None));
    }
    assert!(matches!(resolve(&folder.path().join("gone")), Err(Error::Missing { .. })));
}

#[test]
fn a_folder_of_hugging_face_gives_its_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for index in ["pytorch_model.bin.index.json", "model.safetensors.index.json"] {
        fs::write(path(index), "{}").unwrap();
        let found = resolve(folder.path()).unwrap();
        assert_eq!((found.kind, found.model), (WeightsKind::Export, path(index)));
    }
    fs::write(path("config.json"), "{}").unwrap();
    for name in ["pytorch_model.bin", "model.safetensors"] {
        fs::write(path(name), "").unwrap();
        let found = resolve(folder.path()).unwrap();
        assert_eq!((found.kind, found.model), (WeightsKind::Export, path(name)));
        assert_eq!(found.config, Some(path("config.json")));
    }
}

/// A tensor of one value.
fn of(name: &str, value: f32) -> NamedTensors {
    let mut tensors = NamedTensors::new();
    tensors.insert(name.to_owned(), HostTensor { shape: vec![1], data: vec![value] });
    tensors
}

#[test]
fn files_of_any_name_are_told_by_their_content() {
    let folder = tempfile::tempdir().unwrap();
    let pth = folder.path().join("w.pth");
    fcmae_store::pth::save(&pth, &of("a", 1.0), "model").unwrap();
    let safetensors = folder.path().join("w.safetensors");
    fcmae_store::safetensors::save(&safetensors, &of("b", 2.0), &Default::default()).unwrap();
    for (source, kept, format) in
        [(&pth, of("a", 1.0), Format::PyTorch), (&safetensors, of("b", 2.0), Format::Safetensors)]
    {
        for name in ["m.pth.tar", "M.PTH", "M.SafeTensors", "0a1b2c", "m.bin", "m.ckpt", "m.txt"] {
            let path = folder.path().join(name);
            fs::copy(source, &path).unwrap();
            let found = file::load(&resolve(&path).unwrap().model).unwrap();
            assert_eq!((found.tensors, found.format), (kept.clone(), format), "{name}");
        }
    }
    let other = folder.path().join("list.csv");
    fs::write(&other, "path,label\n").unwrap();
    let error = file::load(&other).unwrap_err().to_string();
    assert!(error.contains("neither a safetensors file nor one of torch.save"), "{error}");
}

#[test]
fn weights_in_several_files_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let save = |name: &str, tensors: &NamedTensors| {
        fcmae_store::safetensors::save(&path(name), tensors, &Default::default()).unwrap();
    };
    save("model-1.safetensors", &of("a", 1.0));
    save("model-2.safetensors", &of("b", 2.0));
    let index = path("model.safetensors.index.json");
    let write = |map: &str| {
        fs::write(&index, format!("{{\n \"metadata\": {{}}, \"weight_map\": {map}}}")).unwrap();
    };
    write(r#"{"a": "model-1.safetensors", "b": "model-2.safetensors"}"#);
    let found = file::load(&resolve(folder.path()).unwrap().model).unwrap();
    assert_eq!(found.format, Format::Several);
    assert_eq!(found.tensors.names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(file::load_header(&index).unwrap().entries.len(), 2);
    let parts = [path("model-1.safetensors"), path("model-2.safetensors")];
    assert_eq!(file::parts(&index).unwrap(), parts);
    assert_eq!(file::parts(&parts[0]).unwrap(), parts[..1]);

    save("model-2.safetensors", &of("a", 2.0));
    let error = file::load(&index).unwrap_err().to_string();
    assert!(error.contains("two of its files hold `a`"), "{error}");
    assert!(file::load_header(&index).is_err());
}

/// Fault 17: an index that leads elsewhere.
#[test]
fn an_index_names_files_beside_it_alone() {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("model.safetensors.index.json");
    for hostile in
        ["../x", "/etc/passwd", "a/b", "..", ".x", "", "a\\\\b", "C:x", "x\\nb", "x.index.json"]
    {
        fs::write(&index, format!(r#"{{"weight_map": {{"a": "{hostile}"}}}}"#)).unwrap();
        let error = file::load(&index).unwrap_err();
        assert!(matches!(error, Error::Index { .. }), "{hostile}: {error}");
        assert!(error.to_string().contains("which is not a file beside it"), "{error}");
    }
    let many: Vec<_> = (0..1001).map(|i| format!("\"t{i}\": \"f{i}\"")).collect();
    let many = format!("{{\"weight_map\": {{{}}}}}", many.join(","));
    for (text, said) in [
        ("{\"weight_map\": {}}", "it names 0 files"),
        (many.as_str(), "it names 1001 files; 1 to 1000 are read"),
        ("{\"a\": 1}", "no `weight_map`"),
        ("{\"weight_map\": {\"a\": 1}}", "no `weight_map`"),
        ("{", "no `weight_map`"),
    ] {
        fs::write(&index, text).unwrap();
        let error = file::load(&index).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}
