//! The demo, with far too few epochs.

use std::fs;

use serde_json::Value;

use crate::command::fcmae;

#[test]
fn the_quick_demo_makes_all_its_files_and_says_what_its_numbers_are_worth() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/demo");
    let text = fcmae!("demo", "--quick", "--seeds", "1", "--out", out).done().stdout;
    for part in
        ["pre-trained", "from scratch", "mean", "numbers mean nothing", "Try next", "CC BY 4.0"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    for file in [
        "reconstruction.png",
        "pretraining.svg",
        "finetuning.svg",
        "results.json",
        "runs",
        "pictures",
    ] {
        assert!(out.join(file).exists() && text.contains(file), "{file} in {text}");
    }
    for run in ["pretrain", "finetune-0", "scratch-0"] {
        assert!(
            out.join("runs").join(run).join("export/last/model.safetensors").is_file(),
            "{run}"
        );
    }

    let results: Value =
        serde_json::from_slice(&fs::read(out.join("results.json")).unwrap()).unwrap();
    assert_eq!(results["quick"], true);
    let [pretrained, scratch] =
        ["pretrained", "scratch"].map(|net| results["mean"][net].as_f64().unwrap());
    let row = format!("{:.1}%", 100.0 * pretrained);
    assert!(text.contains(&row), "{row} in {text}");
    assert!((0.0..=1.0).contains(&scratch), "{scratch}");

    // What the demo suggests works on what it left.
    let run = out.join("runs/finetune-0");
    let weights = fcmae!("inspect", run, "--json").done().stdout;
    assert!(weights.contains("\"smileys-and-emotion\""), "{weights}");
}
