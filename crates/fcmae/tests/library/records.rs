//! What a run writes for programs: names, their order and the form of numbers stay as they are.

use std::fs;
use std::path::Path;
use std::slice;

use fcmae::training::{Flow, Start, finetune};
use serde_json::Value;

use crate::pictures;

const UPDATE: [&str; 7] =
    ["data_wait", "epoch", "grad_norm", "images_per_second", "loss", "lr", "step"];
const UPDATE_COLUMNS: [&str; 7] =
    ["step", "epoch", "loss", "lr", "images_per_second", "grad_norm", "data_wait"];
const EVALUATED: [&str; 5] = ["epoch", "held_out_loss", "step", "top1", "top5"];

/// Names and values of an object of numbers, as they are written.
fn fields(line: &str) -> Vec<(&str, &str)> {
    let inner = line.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
    inner.split(',').map(|field| field.split_once(':').unwrap()).collect()
}

fn names(line: &str) -> Vec<&str> {
    fields(line).into_iter().map(|(name, _)| name.trim_matches('"')).collect()
}

/// The names that stand `indent` spaces deep in indented JSON, each once.
fn names_at(text: &str, indent: usize) -> Vec<&str> {
    let mut names = Vec::new();
    for line in text.lines() {
        let rest = line.trim_start();
        let name = rest.strip_prefix('"').and_then(|rest| rest.split_once("\":"));
        if let (Some((name, _)), true) = (name, line.len() - rest.len() == indent)
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

fn read(run: &Path, name: &str) -> String {
    fs::read_to_string(run.join(name)).unwrap()
}

#[test]
fn a_runs_files_keep_their_form() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures::write(&data, 8);
    let mut config = pictures::finetuning(1, 8, 1);
    config.finetune.held_out = 0.5;
    // A rate of next to nothing: the network knows nothing, and is wrong.
    config.optim.base_lr = 1e-12;
    let run = folder.path().join("run");
    finetune(&config, slice::from_ref(&data), Start::Scratch, &run, false, &mut |_| Flow::Continue)
        .unwrap();
    metrics_and_tables(&run);

    let root = data.display();
    let class = |name| {
        format!(
            "    {{\n      \"name\": \"{name}\",\n      \"training\": 4,\n      \"held_out\": 4\n    }}"
        )
    };
    let classes = pictures::CLASSES.map(class).join(",\n");
    let split = fcmae_data::source::Split::read(&run.join("split.csv")).unwrap().hash();
    assert_eq!(
        read(&run, "data.json"),
        format!(
            "{{\n  \"roots\": [\n    \"{root}\"\n  ],\n  \"pictures\": 12,\n  \"held_out\": 12,\n  \
             \"unused\": 0,\n  \"split\": \"{split}\",\n  \"classes\": [\n{classes}\n  ],\n  \"skipped\": 0,\n  \
             \"passed_over\": 0,\n  \"empty_classes\": []\n}}\n"
        )
    );

    let evaluation = read(&run, "evaluation.json");
    assert_eq!(
        names_at(&evaluation, 2),
        [
            "step",
            "epoch",
            "images",
            "top1",
            "top5",
            "loss",
            "classes",
            "confusion",
            "mistakes",
            "answers"
        ]
    );
    assert!(evaluation.contains("\n  \"epoch\": 1,\n") && evaluation.ends_with("\n}\n"));
    assert_eq!(names_at(&evaluation, 6), ["path", "truth", "predicted", "probability", "picture"]);
    let (_, probability) = evaluation.split_once("\"probability\": ").unwrap();
    let (probability, _) = probability.split_once(',').unwrap();
    assert_eq!(probability.parse::<f32>().unwrap().to_string(), probability);

    let environment = read(&run, "environment.json");
    assert_eq!(
        names_at(&environment, 2),
        ["version", "started", "command", "cpu", "threads", "simd", "os", "device", "memory_bytes"]
    );
    assert!(environment.ends_with("\n}\n"));

    let facts = read(&run, "run.json");
    let names = ["data", "id", "kind", "names", "settings", "version", "weights"];
    assert_eq!(names_at(&facts, 2), names);
    assert!(facts.contains("\n  \"kind\": \"finetune\",\n") && facts.ends_with("\n}"));
    let (_, facts) = facts.split_once("\"weights\"").unwrap();
    assert_eq!(names_at(facts, 4), ["classes", "decoder", "image_size", "mean", "model", "std"]);
}

fn metrics_and_tables(run: &Path) {
    let metrics = read(run, "metrics.jsonl");
    let (mut updates, mut evaluations) = (String::new(), String::new());
    for line in metrics.lines() {
        let (table, columns): (_, &[&str]) = match names(line) {
            all if all == UPDATE => {
                let loss: Value = serde_json::from_str(line).unwrap();
                let loss = loss["loss"].as_f64().unwrap();
                assert_eq!(f64::from(loss as f32), loss, "all digits of a 32-bit number: {line}");
                (&mut updates, &UPDATE_COLUMNS)
            }
            all if all == EVALUATED => {
                assert!(line.starts_with("{\"epoch\":1,"), "{line}");
                (&mut evaluations, &["step", "epoch", "top1", "top5", "held_out_loss"])
            }
            other => panic!("{other:?}"),
        };
        let fields = fields(line);
        let value =
            |name: &&str| fields.iter().find(|field| field.0.trim_matches('"') == *name).unwrap().1;
        let row: Vec<_> = columns.iter().map(value).collect();
        if table.is_empty() {
            *table = columns.join(",") + "\n";
        }
        *table += &(row.join(",") + "\n");
    }
    assert_eq!(read(run, "metrics.csv"), updates);
    assert_eq!(read(run, "evaluations.csv"), evaluations);
}
