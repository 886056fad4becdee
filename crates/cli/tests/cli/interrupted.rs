//! A run that is killed goes on as if it had not been.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::command::{command, fcmae};
use crate::trained::Trained;

const EPOCHS: &str = "optim.epochs=40";

#[test]
fn a_killed_run_resumes_to_the_same_weights() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let (straight, killed) = (folder.path().join("straight"), folder.path().join("killed"));
    let (pictures, recipe) = (trained.pictures(), trained.recipe("pretrain"));

    let mut child = command(&[
        &"pretrain",
        &"--data",
        &pictures,
        &"--out",
        &killed,
        &"--config",
        &recipe,
        &"--set",
        &EPOCHS,
    ])
    .stdout(Stdio::null())
    .stderr(Stdio::null())
    .spawn()
    .unwrap();
    let saved = || {
        let entries = fs::read_dir(killed.join("checkpoints")).into_iter().flatten();
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("step-"))
    };
    let began = Instant::now();
    while !saved() && child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(60), "no checkpoint in a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!killed.join("export/last").exists(), "it was to be killed before its end");

    // Settings come from the run's own record.
    let ran = fcmae!("pretrain", "--data", pictures, "--out", killed, "--resume").done();
    assert!(ran.stderr.contains("going on after step "), "{}", ran.stderr);
    fcmae!("pretrain", "--data", pictures, "--out", straight, "--config", recipe, "--set", EPOCHS,)
        .done();
    let weights =
        |run: &std::path::Path| fs::read(run.join("export/last/model.safetensors")).unwrap();
    assert!(weights(&killed) == weights(&straight), "the resumed run's weights differ");
    let steps = |run: &std::path::Path| {
        let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        let values = metrics.lines().map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            (value["step"].as_u64(), value["loss"].as_f64().map(f64::to_bits))
        });
        values.collect::<Vec<_>>()
    };
    assert_eq!(steps(&killed), steps(&straight));
}
