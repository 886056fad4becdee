//! The demo, with far too few epochs.

use std::fs;

use serde_json::Value;

use crate::command::fcmae;

#[test]
fn the_quick_demo_makes_all_its_files_and_says_what_its_numbers_are_worth() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/demo");
    let text =
        fcmae!("demo", "--quick", "--seeds", "2", "--first-seed", "5", "--out", out).done().stdout;
    for part in
        ["pre-trained", "from scratch", "mean", "numbers mean nothing", "Try next", "CC BY 4.0"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    for file in [
        "reconstruction.png",
        "pretraining.svg",
        "finetuning.svg",
        "scores.svg",
        "neighbours.html",
        "map.html",
        "report.html",
        "results.json",
        "runs",
        "pictures",
    ] {
        assert!(out.join(file).exists() && text.contains(file), "{file} in {text}");
    }
    for run in ["pretrain", "finetune-5", "scratch-5", "finetune-6", "scratch-6"] {
        let run = out.join("runs").join(run);
        assert!(run.join("export/last/model.safetensors").is_file(), "{}", run.display());
        assert!(run.join("report.html").is_file(), "{}", run.display());
    }
    let config = fs::read_to_string(out.join("runs/pretrain/config.toml")).unwrap();
    assert!(config.contains("seed = 5"), "{config}");

    let results: Value =
        serde_json::from_slice(&fs::read(out.join("results.json")).unwrap()).unwrap();
    assert_eq!(results["quick"], true);
    let [pretrained, scratch] =
        ["pretrained", "scratch"].map(|net| results["mean"][net].as_f64().unwrap());
    let row = format!("{:.1}%", 100.0 * pretrained);
    assert!(text.contains(&row), "{row} in {text}");
    assert!((0.0..=1.0).contains(&scratch), "{scratch}");
    let difference = &results["difference"];
    assert!((difference["mean"].as_f64().unwrap() - (pretrained - scratch)).abs() < 1e-9);
    assert!(difference["standard_error"].as_f64().unwrap() > 0.0, "{difference}");
    // Seeds are paired: both sides had the same labelled pictures.
    let split =
        |run: &str| fs::read_to_string(out.join("runs").join(run).join("split.csv")).unwrap();
    assert_eq!(split("finetune-5"), split("scratch-5"));
    assert_ne!(split("finetune-5"), split("finetune-6"));

    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(
        page.contains("Does pre-training pay?") && page.contains("mean nothing"),
        "{page:.2000}"
    );

    // What the demo suggests works on what it left.
    let run = out.join("runs/finetune-5");
    let weights = fcmae!("inspect", run, "--json").done().stdout;
    assert!(weights.contains("\"smileys-and-emotion\""), "{weights}");
}
