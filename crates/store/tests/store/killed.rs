//! A process that saves without pause is killed at random moments; the next takes up where it was.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread::sleep;
use std::time::Duration;

use fcmae_store::{Checkpoint, HostTensor, NamedTensors, Record, Run};
use serde_json::json;

const CHILD: &str = "FCMAE_STORE_TEST_RUN";
const KILLS: u64 = 50;
/// Checkpoints that stay.
const KEPT: usize = 2;

fn record() -> Record {
    Record { config: "seed = 1\n".to_owned(), facts: json!({"seed": 1}) }
}

fn checkpoint(step: u64) -> Checkpoint {
    let tensors = |count: usize| {
        let values = (0..count).map(|i| (step + i as u64) as f32).collect();
        NamedTensors::from_iter([("w".to_owned(), HostTensor::new([count], values).unwrap())])
    };
    let tensors =
        [("model", 20_000), ("optimizer", 40_000)].map(|(n, count)| (n.to_owned(), tensors(count)));
    Checkpoint { tensors: tensors.into(), state: json!({ "step": step }) }
}

/// What the killed process does.
fn save_until_killed(path: &Path) -> ! {
    let mut run = Run::resume(path, &record(), &[]).unwrap();
    let store = run.checkpoints();
    let mut step = store.latest().unwrap().map_or(0, |latest| latest.step);
    run.truncate_metrics_after(step).unwrap();
    // Around the test harness, which would keep it back.
    let mut out = std::io::stdout();
    loop {
        step += 1;
        run.metrics().json(&json!({ "step": step, "loss": 1.0 / step as f64 })).unwrap();
        store.save(step, &checkpoint(step)).unwrap();
        run.export(
            fcmae_store::ExportName::Last,
            &[("config.json", &[step as u8; 9000]), ("b", &[step as u8])],
        )
        .unwrap();
        writeln!(out, "\nsaved {step}").unwrap();
    }
}

/// Fault 2: 50 of 50 processes that were killed at random moments are taken up again.
#[test]
fn every_kill_is_survived() {
    // The test is its own child.
    if let Some(path) = std::env::var_os(CHILD) {
        save_until_killed(Path::new(&path));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    drop(Run::create(&path, &record()).unwrap());
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let (mut total, mut most) = (0, KEPT);
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::every_kill_is_survived", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let (report, reports) = mpsc::channel();
        let listener = std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(step) = line.strip_prefix("saved ") {
                    let _ = report.send(step.parse::<u64>().unwrap());
                }
            }
        });
        // Every other life is sure to save before it ends, however slow the disk.
        let mut reported = total;
        if kill % 2 == 0 {
            reported = reports.recv_timeout(Duration::from_secs(60)).unwrap();
        }
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        sleep(Duration::from_micros((random >> 33) % 150_000));
        child.kill().unwrap();
        child.wait().unwrap();
        listener.join().unwrap();
        reported = reports.try_iter().last().unwrap_or(reported);
        // A save removes what is too old before it is reported. A life that ended before its first
        // report may leave one folder more than it found.
        most = if reported > total { KEPT + 1 } else { most + 1 };
        total = check(&path, reported, kill, most);
    }
    assert!(
        total > KILLS,
        "{total} saves in {KILLS} lives: too few to have been killed while saving"
    );
}

/// The last step that was reported durable is there, or the one after it.
fn check(path: &Path, reported: u64, kill: u64, most: usize) -> u64 {
    let mut run = Run::resume(path, &record(), &[]).unwrap();
    let names = |folder: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    for folder in ["", "checkpoints", "export"] {
        let left: Vec<_> =
            names(&path.join(folder)).into_iter().filter(|n| n.starts_with(".fcmae")).collect();
        assert!(left.is_empty(), "kill {kill}: {left:?} in {folder:?}");
    }
    let Some(latest) = run.checkpoints().latest().unwrap() else {
        assert_eq!(reported, 0, "kill {kill}");
        return 0;
    };
    let step = latest.step;
    assert!(latest.damaged.is_empty(), "kill {kill}: {:?}", latest.damaged);
    assert!(
        step == reported || step == reported + 1,
        "kill {kill}: {reported} reported, {step} found"
    );
    assert_eq!(latest.checkpoint, checkpoint(step), "kill {kill}");
    let folders = names(&path.join("checkpoints"));
    assert!(folders.len() <= most, "kill {kill}: more than {most} in {folders:?}");

    let export = path.join("export/last");
    if export.exists() {
        let of = std::fs::read(export.join("b")).unwrap()[0];
        assert_eq!(std::fs::read(export.join("config.json")).unwrap(), [of; 9000], "kill {kill}");
    }
    run.truncate_metrics_after(step).unwrap();
    let metrics = std::fs::read_to_string(run.metrics().path()).unwrap();
    let steps: Vec<u64> = metrics
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(steps, (1..=step).collect::<Vec<_>>(), "kill {kill}: each step is logged once");
    let rows = std::fs::read_to_string(path.join("metrics.csv")).unwrap();
    let rows: Vec<u64> =
        rows.lines().skip(1).map(|row| row.split_once(',').unwrap().0.parse().unwrap()).collect();
    assert_eq!(rows, steps, "kill {kill}: the table has the same");
    step
}
