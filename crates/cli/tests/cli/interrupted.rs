//! A run that is killed goes on as if it had not been.

use std::fs;
#[cfg(unix)]
use std::io::Read;
use std::path::Path;
#[cfg(unix)]
use std::process::Child;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::command::{command, fcmae};
use crate::trained::Trained;
#[cfg(unix)]
use crate::trained::{CLASSES, draw};

const EPOCHS: &str = "optim.epochs=40";

/// Faults 1 and 8: a kill, and no lock in the way of what comes after it.
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
    assert!(ran.stderr.contains("resuming after step "), "{}", ran.stderr);
    fcmae!("pretrain", "--data", pictures, "--out", straight, "--config", recipe, "--set", EPOCHS,)
        .done();
    let weights = |run: &Path| fs::read(run.join("export/last/model.safetensors")).unwrap();
    assert!(weights(&killed) == weights(&straight), "the resumed run's weights differ");
    let steps = |run: &Path| {
        let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        let values = metrics.lines().map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            (value["step"].as_u64(), value["loss"].as_f64().map(f64::to_bits))
        });
        values.collect::<Vec<_>>()
    };
    assert_eq!(steps(&killed), steps(&straight));
}

/// Starts a training of many epochs, `pretrain` or `finetune`, and waits for its first step.
#[cfg(unix)]
fn long_run(
    kind: &str,
    out: &Path,
    pictures: &Path,
    trained: &Trained,
    settings: &[&str],
) -> Child {
    let mut command = command(&[&kind, &"--data", &pictures, &"--out", &out]);
    command.arg("--config").arg(trained.recipe(kind)).args(["--set", "optim.epochs=100000"]);
    if kind == "finetune" {
        command.args(["--from", "scratch"]);
    }
    for setting in settings {
        command.args(["--set", setting]);
    }
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_a_step(out);
    child
}

#[cfg(unix)]
fn wait_for_a_step(run: &Path) {
    let began = Instant::now();
    let metrics = run.join("metrics.jsonl");
    while fs::metadata(&metrics).map_or(true, |file| file.len() == 0) {
        assert!(began.elapsed() < Duration::from_secs(60), "no step in a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
    // A step is logged before it looks for requests; what comes now is to be found by what follows it.
    std::thread::sleep(Duration::from_millis(100));
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    let kill = std::process::Command::new("kill").arg(name).arg(child.id().to_string()).status();
    assert!(kill.unwrap().success());
}

/// Fault 9: whatever asks a run to end, it saves and ends within 10 s: Ctrl-C, a lost terminal, a scheduler.
#[cfg(unix)]
#[test]
fn a_run_that_is_asked_to_stop_is_saved_and_says_how_to_go_on() {
    let trained = Trained::get();
    for name in ["-INT", "-TERM", "-HUP", "-USR1", "-USR2", "-XCPU"] {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let child = long_run("pretrain", &run, &trained.pictures(), &trained, &[]);
        signal(&child, name);
        // These come in twos: of a terminal's shell and of the kernel, of `timeout` to a process and to its group, or
        // with what follows soon.
        signal(&child, name);
        signal(&child, "-TERM");
        let asked = Instant::now();
        let output = child.wait_with_output().unwrap();
        assert!(asked.elapsed() < Duration::from_secs(10), "{name}: {:?}", asked.elapsed());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(130), "{said}");
        let last = said.lines().last().unwrap();
        assert!(
            last.contains("stopped and saved after step ") && last.contains("--resume"),
            "{said}"
        );
        let step = last.split("after step ").nth(1).unwrap().split(';').next().unwrap();
        let checkpoint = run.join(format!("checkpoints/step-{:0>8}", step));
        assert!(checkpoint.join("MANIFEST").exists(), "{checkpoint:?}");
    }
}

/// Fault 9: under nohup, a run outlives its terminal.
#[cfg(target_os = "linux")]
#[test]
fn an_ignored_sighup_stays_ignored() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut plain = command(&[&"pretrain", &"--data", &trained.pictures(), &"--out", &run]);
    plain.arg("--config").arg(trained.recipe("pretrain")).args(["--set", "optim.epochs=100000"]);
    let mut nohup = std::process::Command::new("nohup");
    nohup.arg(plain.get_program()).args(plain.get_args());
    let mut child = nohup.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for_a_step(&run);
    signal(&child, "-HUP");
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it ended with its terminal");
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

/// Fault 9: neither an update nor an evaluation of many batches is waited for.
#[cfg(unix)]
#[test]
fn a_long_update_or_evaluation_is_left_and_made_when_the_run_is_resumed() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("pictures");
    draw(&pictures, &CLASSES, 600);
    let runs = [
        ("pretrain", ["optim.batch=8", "optim.accumulation=225", "save.every_epochs=1000"]),
        // An evaluation of hundreds of batches after an update of one.
        ("finetune", ["optim.batch=4", "finetune.held_out=0.998", "save.every_epochs=1000"]),
    ];
    for (kind, settings) in runs {
        let run = folder.path().join(kind);
        let child = long_run(kind, &run, &pictures, &trained, &settings);
        signal(&child, "-INT");
        let asked = Instant::now();
        let output = child.wait_with_output().unwrap();
        assert!(asked.elapsed() < Duration::from_secs(10), "{kind}: {:?}", asked.elapsed());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("stopped and saved after step 1;"), "{said}");
        let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        assert_eq!(metrics.lines().count(), 1, "{metrics}");
    }
}

/// Fault 9: a second request ends a run in the middle of an update that takes seconds.
#[cfg(unix)]
#[test]
fn a_second_request_ends_a_run_at_once() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let (pictures, run) = (folder.path().join("pictures"), folder.path().join("run"));
    draw(&pictures, &CLASSES, 600);
    // Only a batch's end looks at the first request: a save would too.
    let settings = ["optim.batch=1800", "save.every_epochs=1000", "model.widths=[64,96,128,192]"];
    let mut child = long_run("pretrain", &run, &pictures, &trained, &settings);
    let began = Instant::now();
    signal(&child, "-INT");
    std::thread::sleep(Duration::from_millis(800));
    assert!(child.try_wait().unwrap().is_none(), "the update took {:?}", began.elapsed());
    signal(&child, "-INT");
    let asked = Instant::now();
    let status = child.wait().unwrap();
    assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
    assert_eq!(status.code(), Some(130));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!said.contains("stopped and saved"), "{said}");
    assert!(fs::read_dir(run.join("checkpoints")).unwrap().next().is_none(), "it was saved");
}
