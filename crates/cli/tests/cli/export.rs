//! Weights for other programs, and from them.

use std::fs;
use std::path::Path;

use crate::command::fcmae;
use crate::trained::{CLASSES, Trained};

/// The names of a folder's files, in order.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_run_is_written_for_every_program_and_predicts_the_same_from_there() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let answer = |weights: &Path| {
        fcmae!("predict", trained.picture(), "--weights", weights, "--format", "json").done().stdout
    };
    let expected = answer(&trained.finetuned());
    for (format, model) in [
        ("timm", "model.safetensors"),
        ("transformers", "model.safetensors"),
        ("authors", "model.pth"),
    ] {
        let out = folder.path().join(format);
        let ran = fcmae!("export", trained.finetuned(), "--format", format, "--out", out).done();
        assert!(ran.stdout.contains(&format!("{format}/{model}  ")), "{}", ran.stdout);
        assert_eq!(answer(&out), expected, "{format}");
        let shown = fcmae!("inspect", out.join(model)).done().stdout;
        assert!(shown.contains("predict, evaluate: ready"), "{shown}");
        assert!(shown.contains("reconstruct, diversity: lacks"), "{shown}");
    }
    let out = folder.path().join("onnx");
    fcmae!("export", trained.finetuned(), "--format", "onnx", "--out", out).done();
    assert_eq!(files(&out), ["README.md", "model.onnx"]);
}

#[test]
fn only_an_export_is_replaced() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let export = |more: &[&str]| {
        let mut command =
            crate::command::command(&[&"export", &trained.finetuned(), &"--format", &"timm"]);
        crate::command::Ran::of({
            command.arg("--out").arg(&out).args(more);
            command
        })
    };
    export(&[]).done();
    export(&[]).refused(2, &["exists", "--overwrite"]);
    export(&["--overwrite"]).done();
    fs::write(out.join("cat.jpg"), "somebody's").unwrap();
    export(&["--overwrite"]).refused(2, &["holds `cat.jpg`", "not a file of an export"]);
    assert_eq!(fs::read_to_string(out.join("cat.jpg")).unwrap(), "somebody's");
    export(&["--dynamic-size"]).refused(2, &["--format onnx"]);
}

#[test]
fn a_head_for_other_classes_is_started_anew_and_said() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let two = folder.path().join("two");
    for class in &CLASSES[..2] {
        let to = two.join(class);
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(trained.pictures().join(class)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    let recipe = trained.recipe("finetune");
    let from = trained.finetuned();
    let finetune = |data: &Path, name: &str, set: &str| {
        let out = folder.path().join(name);
        fcmae!(
            "finetune", "--config", recipe, "--data", data, "--from", from, "--out", out, "--set",
            set
        )
        .done()
        .stderr
    };
    let said = finetune(&two, "two-classes", "optim.epochs=1");
    assert!(
        said.contains("a new head for 2 classes") && said.contains("is for 3 classes"),
        "{said}"
    );
    let said = finetune(&trained.pictures(), "same", "optim.epochs=1");
    assert!(!said.contains("a new head"), "{said}");
    // Grey pictures for a network of colour pictures.
    finetune(&trained.pictures(), "grey", "finetune.channels=1");
    let shown = fcmae!("inspect", folder.path().join("grey")).done().stdout;
    assert!(shown.contains("32×32, 1 channel\n"), "{shown}");
}
