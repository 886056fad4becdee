//! Made-up runs for tests.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::run_folder::Report;

/// A run's folder, and what `config.toml` says.
pub(crate) struct RunFixture {
    folder: TempDir,
    kind: &'static str,
    settings: Vec<(String, String)>,
    /// What `run.json` says besides.
    facts: Vec<(&'static str, Value)>,
}

impl RunFixture {
    /// Ten epochs of ten updates on 960 pictures of two classes; the loss falls from 1 to 0.1, and
    /// nothing is amiss.
    pub(crate) fn finetuned() -> Self {
        let run = Self::new("finetune");
        run.write("data.json", &data(&[("cat", 480, 60), ("dog", 480, 60)]));
        run.write("evaluation.json", &evaluation(&["cat", "dog"], &[&[50, 10], &[6, 54]]));
        run.metrics((1..=100).map(|step| update(step, 1.0 - 0.009 * (step - 1) as f64)));
        run
    }

    /// The same without labels.
    pub(crate) fn pretrained() -> Self {
        let run = Self::new("pretrain");
        run.metrics((1..=100).map(|step| update(step, 1.0 - 0.005 * (step - 1) as f64)));
        run
    }

    fn new(kind: &'static str) -> Self {
        let settings = [
            ("optim.epochs", "10"),
            ("optim.warmup_epochs", "1.0"),
            ("optim.batch", "96"),
            ("optim.accumulation", "1"),
            ("finetune.held_out", "0.1"),
            ("mask.norm_pix_loss", "true"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { folder: tempfile::tempdir().unwrap(), kind, settings, facts: vec![] }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Gives a setting another value, as TOML.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds something to `run.json`.
    pub(crate) fn fact(mut self, name: &'static str, value: Value) -> Self {
        self.facts.push((name, value));
        self
    }

    pub(crate) fn write(&self, name: &str, value: &Value) {
        self.bytes(name, value.to_string().as_bytes());
    }

    pub(crate) fn bytes(&self, name: &str, bytes: &[u8]) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn without(self, name: &str) -> Self {
        fs::remove_file(self.path().join(name)).unwrap();
        self
    }

    /// Lines of `metrics.jsonl`.
    pub(crate) fn metrics(&self, lines: impl Iterator<Item = Value>) {
        let text = lines.fold(String::new(), |mut text, line| {
            writeln!(text, "{line}").unwrap();
            text
        });
        self.bytes("metrics.jsonl", text.as_bytes());
    }

    pub(crate) fn read(&self) -> Report {
        let config = self.settings.iter().fold(String::new(), |mut text, (name, value)| {
            writeln!(text, "{name} = {value}").unwrap();
            text
        });
        self.bytes("config.toml", config.as_bytes());
        let mut facts = json!({
            "kind": self.kind,
            "version": "0.1.0",
            "data": "0123",
            "weights": { "model": { "size": "atto" } },
        });
        self.facts.iter().for_each(|(name, value)| facts[*name] = value.clone());
        self.write("run.json", &facts);
        Report::read(self.path()).unwrap()
    }
}

/// A line for an update, ten of which are an epoch.
pub(crate) fn update(step: u64, loss: f64) -> Value {
    json!({
        "step": step,
        "epoch": step as f64 / 10.0,
        "loss": loss,
        "lr": 1e-3,
        "grad_norm": 1.0,
        "images_per_second": 96.0,
        "data_wait": 0.01,
    })
}

/// A line for an evaluation at the end of an epoch.
pub(crate) fn evaluated(epoch: u64, top1: f64, loss: f64) -> Value {
    json!({ "step": 10 * epoch, "epoch": epoch, "top1": top1, "top5": 1.0, "held_out_loss": loss })
}

/// `data.json` of classes with their numbers of training and held-out pictures.
pub(crate) fn data(classes: &[(&str, u64, u64)]) -> Value {
    json!({
        "roots": ["/pictures"],
        "pictures": classes.iter().map(|class| class.1).sum::<u64>(),
        "held_out": classes.iter().map(|class| class.2).sum::<u64>(),
        "unused": 0,
        "classes": classes
            .iter()
            .map(|(name, training, held_out)| json!({ "name": name, "training": training, "held_out": held_out }))
            .collect::<Vec<_>>(),
        "skipped": 0,
        "passed_over": 0,
        "empty_classes": [],
    })
}

/// `evaluation.json` of a table of counts.
pub(crate) fn evaluation(classes: &[&str], confusion: &[&[u64]]) -> Value {
    let images: u64 = confusion.iter().copied().flatten().sum();
    let right: u64 = confusion.iter().enumerate().map(|(class, row)| row[class]).sum();
    json!({
        "step": 100,
        "epoch": 10.0,
        "images": images,
        "top1": right as f64 / images.max(1) as f64,
        "top5": 1.0,
        "loss": 0.5,
        "classes": classes,
        "confusion": confusion,
        "mistakes": [],
    })
}
