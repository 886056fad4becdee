//! `fcmae demo`: all of it on bundled pictures. A small net is pre-trained on emoji without labels,
//! then fine-tuned with few labels, against the same net from scratch with the same budget.

mod comparison;
mod emoji;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use fcmae::config::{FinetuneConfig, PretrainConfig, Settings, from_recipe};
use fcmae::engine::backend::Backend;
use fcmae::inference::evaluate::Evaluator;
use fcmae::inference::reconstruct::sheet;
use fcmae::training::{Event, Start, Test, keep_evaluation};
use fcmae_data::sampler::evenly;
use fcmae_data::source::printable;
use fcmae_data::{Labels, PictureSet};
use fcmae_report::plots::Chart;
use fcmae_report::{Report as Page, Trials};
use fcmae_words::terminal::duration;

use crate::commands::map::{self, MapOf};
use crate::commands::neighbours::{self, NeighboursOf};
use crate::options::DeviceArg;
use crate::output;
use crate::progress::Progress;
use comparison::{Comparison, Curve, FewLabels, Findings};

/// Share of the emoji of each group on which nothing is ever trained.
const HELD_OUT: f64 = 0.2;
/// Chooses the emoji held out; the same in every demo, so that numbers can be compared.
const SPLIT_SEED: u64 = 0;
/// Held-out emoji in the reconstruction picture.
const RECONSTRUCTED: usize = 8;
/// Emoji evaluated at a time.
const EVALUATION_BATCH: usize = 64;

const PRETRAIN: &str = r#"
[model]
size = "custom"
depths = [1, 1, 2, 1]
widths = [16, 32, 64, 128]
stem_stride = 1

[decoder]
width = 128

[data]
image_size = [32, 32]
crop_scale = [0.5, 1.0]

[optim]
epochs = 60
warmup_epochs = 4
batch = 32
base_lr = 8e-3

[save]
every_epochs = 10
"#;

/// Fine-tuning and training from scratch alike; the net is that of the pre-training. Both sides take
/// the best of the same candidates, chosen on other splits and seeds: docs/results.md lists them.
const FINETUNE: &str = r#"
[model]
size = "custom"
depths = [1, 1, 2, 1]
widths = [16, 32, 64, 128]
stem_stride = 1

[data]
image_size = [32, 32]
crop_scale = [0.5, 1.0]

[optim]
epochs = 60
warmup_epochs = 4
batch = 16
base_lr = 4e-2

[finetune]
held_out = 0.0
labels = 45
layer_decay = 1.0

[save]
every_epochs = 60
"#;

/// What a net from scratch needs in another way than a pre-trained one.
const SCRATCH: &[&str] = &["optim.base_lr=1e-2"];

/// What `--quick` changes: too few epochs.
const QUICK: &[&str] = &["optim.epochs=1", "optim.warmup_epochs=0.5"];

/// Pre-train, fine-tune and predict on bundled emoji, in minutes
#[derive(Args)]
#[command(after_help = "\
Examples:
  fcmae demo --out /tmp/fcmae-demo
  fcmae demo --first-seed 100 --out /tmp/fcmae-demo-100")]
pub(crate) struct Demo {
    /// Folder for pictures, runs and results. It must be new or empty
    #[arg(long, value_name = "FOLDER", default_value = "fcmae-demo")]
    out: PathBuf,

    /// Number of seeds to compare with and without pre-training
    #[arg(long, value_name = "N", default_value_t = 8,
        value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,

    /// The first of these seeds, and the seed of the pre-training. Another number gives another demo
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    first_seed: u32,

    #[command(flatten)]
    device: DeviceArg,

    /// Only check that everything runs. The numbers mean nothing after so few epochs
    #[arg(long)]
    quick: bool,
}

impl Demo {
    fn first_seed(&self) -> u64 {
        u64::from(self.first_seed)
    }

    /// The seeds that are compared.
    fn seeds(&self) -> Range<u64> {
        self.first_seed()..self.first_seed() + self.seeds
    }
}

pub(crate) fn run(args: &Demo) -> Result<()> {
    let backend = args.device.open()?;
    output::new_folder(&args.out)?;
    let began = Instant::now();
    let files = Files::under(&args.out);

    let (train, test) = emoji::write_emoji(&files.pictures, HELD_OUT, SPLIT_SEED)?.pictures();
    output::note(&format!("pictures  {train} emoji to train on, {test} held out"));
    let pretraining = pretrain(&files, args)?;
    reconstruct(&files, &backend)?;
    let mut comparisons = Vec::new();
    for seed in args.seeds() {
        comparisons.push(Comparison {
            seed,
            pretrained: classify(&files, Some(&files.pretraining), seed, args)?,
            scratch: classify(&files, None, seed, args)?,
        });
    }
    alike(&files, &args.device)?;
    let findings = Findings::new(comparisons, args.quick);

    let charts = [comparison::pretraining_chart(&pretraining), findings.finetuning_chart()];
    charts[0].save(&files.pretraining_chart)?;
    charts[1].save(&files.finetuning_chart)?;
    findings.scores().save(&files.scores)?;
    output::write_file(&files.report, files.page(&findings, &charts, args)?.as_bytes())?;
    let results = findings.results(&pretraining, began.elapsed());
    output::write_file(&files.results, output::json(&results)?.as_bytes())?;
    output::print(&findings.text())?;
    output::print(&files.text(began.elapsed(), args)?)
}

/// Where everything goes.
struct Files {
    pictures: PathBuf,
    train: PathBuf,
    test: PathBuf,
    runs: PathBuf,
    pretraining: PathBuf,
    reconstruction: PathBuf,
    pretraining_chart: PathBuf,
    finetuning_chart: PathBuf,
    scores: PathBuf,
    neighbours: PathBuf,
    map: PathBuf,
    report: PathBuf,
    results: PathBuf,
}

impl Files {
    fn under(out: &Path) -> Self {
        let (pictures, runs) = (out.join("pictures"), out.join("runs"));
        Self {
            train: pictures.join("train"),
            test: pictures.join("test"),
            pretraining: runs.join("pretrain"),
            reconstruction: out.join("reconstruction.png"),
            pretraining_chart: out.join("pretraining.svg"),
            finetuning_chart: out.join("finetuning.svg"),
            scores: out.join("scores.svg"),
            neighbours: out.join("neighbours.html"),
            map: out.join("map.html"),
            report: out.join("report.html"),
            results: out.join("results.json"),
            pictures,
            runs,
        }
    }

    fn classifier(&self, pretrained: bool, seed: u64) -> PathBuf {
        let name = if pretrained { "finetune" } else { "scratch" };
        self.runs.join(format!("{name}-{seed}"))
    }

    /// Writes every run's own report; the page that says what they found together.
    fn page(&self, findings: &Findings, charts: &[Chart], args: &Demo) -> Result<String> {
        Page::read(&self.pretraining)?.write(&self.pretraining)?;
        for seed in args.seeds() {
            for pretrained in [true, false] {
                let run = self.classifier(pretrained, seed);
                Page::read(&run)?.write(&run)?;
            }
        }
        let first = [false, true].map(|pretrained| self.classifier(pretrained, args.first_seed()));
        let [scratch, pretrained] = [Page::read(&first[0])?, Page::read(&first[1])?];
        let mut grounds = vec![findings.setting()];
        grounds.extend(findings.grounds());
        Ok(Trials {
            question: "Does pre-training pay?",
            answer: &findings.answer(),
            grounds: &grounds,
            scores: &findings.scores(),
            charts,
            runs: [&scratch, &pretrained],
        }
        .to_html())
    }

    /// The files' paths, and what to try next.
    fn text(&self, time: Duration, args: &Demo) -> Result<String> {
        let test = PictureSet::open(&self.test, Labels::Required)?;
        let picture = printable(&test.path(0));
        let (pretraining, finetuned) =
            (printable(&self.pretraining), printable(&self.classifier(true, args.first_seed())));
        let mut text = format!("\nWhat this made in {}:\n", duration(time));
        for (what, path) in [
            ("reconstruction", &self.reconstruction),
            ("pre-training curve", &self.pretraining_chart),
            ("fine-tuning curves", &self.finetuning_chart),
            ("scores", &self.scores),
            ("neighbours", &self.neighbours),
            ("map", &self.map),
            ("report", &self.report),
            ("results", &self.results),
            ("runs", &self.runs),
            ("pictures", &self.pictures),
        ] {
            text.push_str(&format!("  {what:18}  {}\n", printable(path)));
        }
        let fcmae = output::program();
        text.push_str(&format!(
            "\nTry next:\n  \
               {fcmae} predict {picture} --weights {finetuned}\n  \
               {fcmae} evaluate --data {} --weights {finetuned}\n  \
               {fcmae} duplicates --data {} --against {} --weights {pretraining} --sheet copies.html\n  \
               {fcmae} diversity --data {} --weights {pretraining} --out diversity\n  \
               {fcmae} pretrain --data YOUR_PICTURES --out YOUR_RUN --config pretrain-small\n\n\
             The emoji are Twemoji, © Twitter and contributors, CC BY 4.0.\n",
            printable(&self.test),
            printable(&self.train),
            printable(&self.test),
            printable(&self.test),
        ));
        Ok(text)
    }
}

fn settings<T: Settings>(recipe: &str, overrides: &[&[&str]], device: &DeviceArg) -> Result<T> {
    let mut overrides: Vec<String> = overrides.concat().into_iter().map(str::to_owned).collect();
    overrides.extend(device.settings());
    Ok(from_recipe(Some(("the demo's recipe", recipe)), &overrides)?)
}

/// Pre-trains on all emoji that are not held out, without their labels.
fn pretrain(files: &Files, args: &Demo) -> Result<Curve> {
    let quick = if args.quick { QUICK } else { &[] };
    let seed = format!("seed={}", args.first_seed());
    let config: PretrainConfig = settings(PRETRAIN, &[quick, &[seed.as_str()]], &args.device)?;
    std::fs::create_dir_all(&files.runs)
        .with_context(|| format!("cannot create {}", printable(&files.runs)))?;
    let mut progress = Progress::new("pretrain");
    let mut curve = Curve::default();
    let data = [files.train.clone()];
    let outcome = fcmae::training::pretrain(
        &config,
        &data,
        Start::Scratch,
        &files.pretraining,
        false,
        &mut |event| {
            if let Event::Step(step) = &event {
                curve.add(step);
            }
            progress.observe(&event)
        },
    );
    progress.finish();
    outcome?;
    Ok(curve)
}

/// Draws some held-out emoji, evenly spaced over the groups.
fn reconstruct(files: &Files, backend: &Backend) -> Result<()> {
    let test = PictureSet::open(&files.test, Labels::Ignored)?;
    let shown: Vec<_> =
        evenly(RECONSTRUCTED, test.len()).map(|index| test.path(index).into()).collect();
    let shown = fcmae::inference::reconstruct::reconstruct(
        &files.pretraining,
        &shown,
        SPLIT_SEED,
        backend,
    )?;
    output::write_png(&files.reconstruction, &sheet(&shown)?)
}

/// Shows which held-out emoji the pre-trained network finds alike.
fn alike(files: &Files, device: &DeviceArg) -> Result<()> {
    let (test, weights) = (&files.test, &files.pretraining);
    let sheet = NeighboursOf::sheet(test, weights, device, &files.neighbours);
    let map = MapOf::page(test, weights, device, &files.map);
    for told in [neighbours::made(&sheet)?, map::made(&map)?] {
        output::note(told.trim_end());
    }
    Ok(())
}

/// Trains a classifier with few labels, then tests it on the held-out emoji.
fn classify(files: &Files, weights: Option<&Path>, seed: u64, args: &Demo) -> Result<FewLabels> {
    let own = if weights.is_some() { &[] } else { SCRATCH };
    let quick = if args.quick { QUICK } else { &[] };
    let seed_setting = format!("seed={seed}");
    let config: FinetuneConfig =
        settings(FINETUNE, &[own, quick, &[seed_setting.as_str()]], &args.device)?;
    let start = weights.map_or(Start::Scratch, Start::Weights);
    let run = files.classifier(weights.is_some(), seed);
    let label = if weights.is_some() { "finetune" } else { "scratch " };
    let mut progress = Progress::new(&format!("{label} seed {seed}"));
    let mut curve = Curve::default();
    let mut pictures = 0;
    let data = [files.train.clone()];
    let outcome = fcmae::training::finetune(&config, &data, start, &run, false, &mut |event| {
        match &event {
            Event::Started(started) => pictures = started.pictures,
            Event::Step(step) => curve.add(step),
            _ => {}
        }
        progress.observe(&event)
    });
    progress.finish();
    outcome?;
    let evaluator = Evaluator::open(&run, &config.backend()?)?;
    let test = Arc::new(evaluator.labelled(std::slice::from_ref(&files.test))?);
    let evaluation = evaluator.evaluate(&test, EVALUATION_BATCH)?;
    keep_evaluation(&run, &evaluation, &test, evaluator.description(), Test::on(&test, Some(0)))?;
    let right = evaluation.right(&test);
    Ok(FewLabels { curve, pictures, evaluation, right })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_recipes_are_settings_of_one_net() {
        let device = DeviceArg { device: Some("cpu".to_owned()), precision: None };
        for quick in [false, true] {
            let pretrain: PretrainConfig =
                settings(PRETRAIN, &[if quick { QUICK } else { &[] }], &device).unwrap();
            let finetune: FinetuneConfig =
                settings(FINETUNE, &[SCRATCH, if quick { QUICK } else { &[] }], &device).unwrap();
            assert_eq!((pretrain.device.as_str(), finetune.device.as_str()), ("cpu", "cpu"));
            assert_eq!(pretrain.model, finetune.model);
            assert_eq!(pretrain.data.image_size, finetune.data.image_size);
        }
    }
}
