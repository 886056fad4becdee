//! `fcmae bench`: what it prints and refuses. Times are not looked at.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::Value;

use crate::command::{command, fcmae};
use crate::trained::{CLASSES, draw};

#[test]
fn every_kind_of_work_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let (pictures, file) = (folder.path().join("pictures"), folder.path().join("out/speed.json"));
    draw(&pictures, &CLASSES[..1], 3);
    let ran = fcmae!(
        "bench",
        "--size",
        "atto",
        "--image",
        "64",
        "--batch",
        "2",
        "--steps",
        "2",
        "--warmup",
        "0",
        "--threads",
        "2",
        "--data",
        pictures,
        "--json",
        file,
    )
    .done();
    for part in ["2 threads", "GFLOP/s", "64×64", "sees 1 of 4 patches"] {
        assert!(ran.stdout.contains(part), "`{part}` is missing in: {}", ran.stdout);
    }
    let line = |text: &str, start: &str| text.lines().any(|line| line.starts_with(start));
    for work in ["atto  pretrain", "atto  finetune", "atto  predict", "      load"] {
        assert!(line(&ran.stdout, work), "{}", ran.stdout);
    }
    assert!(line(&ran.stderr, "bench  4/4  load"), "{}", ran.stderr);

    let numbers: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(numbers["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(numbers["machine"]["threads"], 2);
    assert_eq!(numbers["device"], "cpu");
    for name in ["cpu", "simd", "os"] {
        assert!(numbers["machine"][name].as_str().is_some_and(|text| !text.is_empty()), "{name}");
    }
    assert_eq!(numbers["skipped"].as_array().unwrap().len(), 0);
    let rows = numbers["results"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for (row, work) in rows.iter().zip(["pretrain", "finetune", "predict", "load"]) {
        let network = work != "load";
        assert_eq!(row["work"], work);
        assert_eq!(row["size"], if network { "atto".into() } else { Value::Null });
        assert_eq!(row["batch"], if network { 2 } else { 3 });
        assert_eq!((&row["image"], &row["steps"]), (&64.into(), &2.into()));
        for name in ["median_seconds", "min_seconds", "images_per_second"] {
            assert!(row[name].as_f64().is_some_and(|value| value > 0.0), "{name} in {row}");
        }
        for name in ["gflop_per_image", "gflops", "matrix_gflops", "share"] {
            assert_eq!(row[name].as_f64().is_some_and(|value| value > 0.0), network, "{name}");
        }
        let seen = if work == "pretrain" { serde_json::json!([1, 4]) } else { Value::Null };
        assert_eq!(row["visible"], seen);
        if cfg!(target_os = "linux") {
            assert!(row["peak_memory_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20));
        }
    }
    fcmae!("bench", "--size", "atto", "--json", file).refused(2, &["speed.json", "--json"]);
}

#[test]
fn json_alone_goes_to_standard_output() {
    let ran = fcmae!(
        "bench", "--size", "atto", "--work", "predict", "--image", "32", "--steps", "1", "--json",
        "-",
    )
    .done();
    let numbers: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(numbers["results"][0]["work"], "predict");
}

#[test]
fn what_does_not_fit_the_time_is_left_out_and_told() {
    let ran = fcmae!(
        "bench",
        "--size",
        "atto,huge",
        "--work",
        "finetune",
        "--image",
        "32",
        "--batch",
        "1",
        "--seconds",
        "8",
    )
    .done();
    assert!(ran.stdout.contains("huge  finetune      –"), "{}", ran.stdout);
    let how = "alone: fcmae bench --size huge --work finetune --image 32 --batch 1 --seconds ";
    assert!(ran.stdout.contains(how), "{}", ran.stdout);
    fcmae!("bench", "--size", "huge", "--work", "finetune", "--seconds", "1")
        .refused(1, &["nothing could be measured"]);
}

#[test]
fn nonsense_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    fcmae!("bench", "--size", "atto,big").refused(2, &["big", "--size", "atto, femto"]);
    fcmae!("bench", "--work", "fly").refused(2, &["fly", "pretrain, finetune, predict, load"]);
    fcmae!("bench", "--image", "100").refused(2, &["--image 100", "100×100", "multiples of 32"]);
    fcmae!("bench", "--mask-ratio", "1").refused(2, &["--mask-ratio 1", "0 visible"]);
    fcmae!("bench", "--work", "pretrain", "--image", "32").refused(2, &["--image 32", " 1 patch "]);
    for option in ["--batch", "--steps", "--threads", "--seconds", "--image"] {
        fcmae!("bench", option, "0").refused(2, &[option]);
    }
    fcmae!("bench", "--work", "load", "--data", folder.path().join("none")).refused(2, &["none"]);
    fcmae!("bench", "--overwrite").refused(2, &["--json"]);
}

#[test]
fn a_worker_steps_on_command() {
    let mut child = command(&[
        &"bench",
        &"--worker",
        &"--size",
        &"atto",
        &"--work",
        &"pretrain",
        &"--image",
        &"64",
    ])
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut ask = |line: &str| -> Value {
        writeln!(input, "{line}").unwrap();
        let mut answer = String::new();
        output.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    };
    assert!(ask("matrix")["matrix_gflops"].as_f64().is_some_and(|rate| rate > 0.0));
    for steps in [2, 1] {
        let answer = ask(&steps.to_string());
        assert_eq!(answer["seconds"].as_array().unwrap().len(), steps);
        assert_eq!(answer["images"], 1);
        assert!(answer["gflop_per_image"].as_f64().is_some_and(|gflop| gflop > 0.0));
    }
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// What is told beforehand is what a step takes: arenas, the plan of its results, and what threads work
/// in.
#[test]
fn a_step_takes_the_memory_that_was_told() {
    let folder = tempfile::tempdir().unwrap();
    let measured = |number: usize| {
        let file = folder.path().join(format!("memory-{number}.json"));
        fcmae!(
            "bench",
            "--size",
            "atto",
            "--work",
            "pretrain,finetune",
            "--image",
            "224",
            "--batch",
            "32",
            "--steps",
            "1",
            "--warmup",
            "2",
            "--threads",
            "2",
            "--json",
            file,
        )
        .done();
        let numbers: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let rows = numbers["results"].as_array().unwrap().iter().map(|row| {
            let bytes = |name: &str| row[name].as_f64().unwrap();
            let (peak, told) = (bytes("peak_memory_bytes"), bytes("memory_estimate_bytes"));
            (row["work"].to_string(), peak, told)
        });
        rows.collect::<Vec<_>>()
    };
    // On a busy machine a peak is sometimes higher than the step's own: the lowest of three counts.
    let mut least = measured(0);
    for number in 1..3 {
        let lowest = least.iter_mut().zip(measured(number));
        lowest.for_each(|(least, again)| least.1 = least.1.min(again.1));
    }
    for (work, peak, told) in least {
        let off = peak / told - 1.0;
        assert!(off.abs() <= 0.05, "{work}: {peak} bytes, told {told}: {off:.3}");
    }
}
