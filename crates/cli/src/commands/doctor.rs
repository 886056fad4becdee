//! `fcmae doctor`: what this machine is, and what can be expected of it.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use fcmae::config::{PretrainConfig, Size};
use fcmae::engine::backend::Backend;
use fcmae::engine::device::{Device, DeviceReport};
use fcmae::engine::machine::{self, Machine};
use fcmae::measure::bench::{Bench, Job, LOADED_AT_ONCE, Work, write_pictures};
use fcmae::measure::check::{self, Compared};
use fcmae_words::terminal::{long, mib, speed};
use fcmae_words::{counted, gib, grouped};
use serde::Serialize;

use crate::failure::Usage;
use crate::options::DeviceArg;
use crate::text_table::{Align, Table};
use crate::{output, recipes};

/// Of each measurement, after a step that warms up.
const SECONDS: f64 = 2.0;
/// Images a step of the network that is measured.
const BATCH: usize = 16;
/// Below it a run's checkpoints may not fit.
const LITTLE_DISK: u64 = 5 << 30;
const LITTLE_MEMORY: u64 = 2 << 30;

/// Check this machine: processor, memory, disk, GPUs, and how long training would take
#[derive(Args)]
#[command(after_help = "\
Times are rough: they follow from a short measurement of the smallest network, with the decoder, the share of hidden \
patches and, unless --image says otherwise, the picture size of the recipe pretrain-small. `fcmae pretrain --dry-run` \
and `fcmae finetune --dry-run` measure the run itself.

Examples:
  fcmae doctor
  fcmae doctor --pictures 50000 --epochs 200 --image 224
  fcmae doctor --check --device cuda")]
pub(crate) struct Doctor {
    /// Number of pictures for the estimate
    #[arg(long, value_name = "N", default_value = "10000")]
    pictures: NonZeroUsize,

    /// Number of epochs for the estimate
    #[arg(long, value_name = "N", default_value = "100")]
    epochs: NonZeroUsize,

    /// Height and width of the images in pixels [default: 128, as in the recipe pretrain-small]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(64..=4096))]
    image: Option<u32>,

    /// Instead, check that a GPU (the first, or the one that --device names) computes the same as the processor: in
    /// every operation, and in steps of pre-training
    #[arg(long, conflicts_with_all = ["pictures", "epochs", "image"])]
    check: bool,

    #[command(flatten)]
    device: DeviceArg,

    /// Also write the comparison to a JSON file; `-` prints it instead of the table
    #[arg(long, value_name = "FILE|-", requires = "check")]
    json: Option<PathBuf>,

    /// Replace the JSON file if it exists
    #[arg(long, requires = "json")]
    overwrite: bool,
}

pub(super) fn run(args: &Doctor) -> Result<()> {
    if args.check {
        return check(args);
    }
    if !args.device.settings().is_empty() {
        let text = "--device and --precision go with --check; without it, all devices are listed";
        return Err(Usage(text.to_owned()).into());
    }
    let asked = Asked::of(args)?;
    asked.job(Work::Pretrain, Size::Atto, BATCH).check()?;
    let threads = rayon::current_num_threads();
    output::print(&machine_text(&machine::here(threads))?)?;
    output::note("measuring, which takes about ten seconds …");
    let loading = loading(asked.image, threads)?;
    let mut rates = Vec::new();
    for work in [Work::Pretrain, Work::Finetune, Work::Predict] {
        let job = asked.job(work, Size::Atto, BATCH);
        rates.push((
            work,
            images_per_second(Bench::network(&job, &Backend::Cpu)?)? * job.gflop_per_image()?,
        ));
    }
    let matrix = machine::matrix_gflops()?;
    let mut text = format!(
        "matrices    {matrix:.0} GFLOP/s\n\
         loading     {loading:.0} pictures/s (generated JPEG files, cropped to {0}×{0})\n",
        asked.image
    );
    text.push_str(&asked.expected(&rates)?);
    output::print(&text)
}

/// What `--check --json` holds.
#[derive(Serialize)]
struct Comparison<'a> {
    device: String,
    version: &'static str,
    seconds: f64,
    passes: bool,
    compared: &'a [Compared],
}

/// Compares a device with the processor.
fn check(args: &Doctor) -> Result<()> {
    let file = args.json.as_deref().filter(|file| *file != Path::new("-"));
    if let Some(file) = file {
        output::refuse_existing(file, args.overwrite, "--json")?;
    }
    let prints_json = args.json.is_some() && file.is_none();
    let backend = args.device.told_or("cuda")?;
    let began = Instant::now();
    let tell = |line: &str| if prints_json { Ok(()) } else { output::print(line) };
    tell(&format!("{:42}  {:>8}  {:>8}\n", "compared with the processor", "error", "limit"))?;
    let mut last = "nothing";
    // Line by line: if the device fails or hangs, the last line says after what.
    let compared = check::check(&backend, |of| {
        let Compared { name, error, bound } = of;
        let verdict = if of.passes() { "" } else { "  ! above the limit" };
        last = name;
        // Where nothing can be printed, the end fails too.
        let _ = tell(&format!("{name:42}  {error:8.1e}  {bound:8.0e}{verdict}\n"));
    });
    let compared = compared.with_context(|| format!("the device failed after `{last}`"))?;
    let failed = compared.iter().filter(|of| !of.passes()).count();
    let comparison = Comparison {
        device: backend.to_string(),
        version: env!("CARGO_PKG_VERSION"),
        seconds: began.elapsed().as_secs_f64(),
        passes: failed == 0,
        compared: &compared,
    };
    let json = output::json(&comparison)?;
    if let Some(file) = file {
        output::create_parent(file)?;
        output::write_file(file, json.as_bytes())?;
    }
    if prints_json {
        output::print(&json)?;
    }
    if failed == 0 {
        output::note(&format!("{backend} computes the same as the processor"));
        return Ok(());
    }
    bail!(
        "{} of {} comparisons failed on {backend}: use `--device cpu`, and report this table with the output of \
         `fcmae doctor`",
        failed,
        compared.len()
    )
}

fn machine_text(machine: &Machine) -> Result<String> {
    let mut text = format!(
        "fcmae       {}\nsystem      {}\nprocessor   {}, {}, {}\n",
        env!("CARGO_PKG_VERSION"),
        machine.os,
        machine.cpu,
        counted(machine.threads, "thread"),
        machine.simd,
    );
    if machine.simd == "scalar" {
        text.push_str("            ! no AVX2 and no NEON: several times slower than it could be\n");
    }
    text.push_str(&devices());
    if let (Some(total), Some(free)) = (machine::total_memory(), machine::available_memory()) {
        text.push_str(&format!("memory      {}, {} free\n", gib(total), gib(free)));
        if free < LITTLE_MEMORY {
            text.push_str("            ! low: use --batch auto, and small images or networks\n");
        }
    }
    let here = Path::new(".");
    match fcmae_store::durable::free_space(here) {
        Some(free) => {
            text.push_str(&format!("disk        {} free in the current folder\n", gib(free)));
            if free < LITTLE_DISK {
                text.push_str("            ! low: a checkpoint takes 12 bytes a parameter, and two are kept\n");
            }
        }
        None => text.push_str("disk        free space unknown on this system\n"),
    }
    match fcmae_store::durable::probe(here) {
        Ok(troubles) => {
            for note in troubles.sentences(here) {
                text.push_str(&format!("            ! {note}\n"));
            }
        }
        Err(error) => {
            text.push_str(&format!("            ! runs cannot be written here: {error}\n"));
        }
    }
    Ok(text)
}

/// The devices that networks can be computed on, and why not on others; which of them `auto` is.
fn devices() -> String {
    let best = Device::choose("auto").ok();
    let mut text = String::new();
    for DeviceReport { device, name, total_memory, free_memory, unusable } in Device::all() {
        let mut facts = vec![device.to_string()];
        if best == Some(device) {
            facts[0].push_str(" (auto)");
        }
        facts.extend(name);
        let free = |bytes| format!(", {} free", gib(bytes));
        facts.extend(total_memory.map(|all| gib(all) + &free_memory.map_or(String::new(), free)));
        match unusable {
            Some(reason) => facts.push(format!("cannot be used: {reason}")),
            None if device != Device::Cpu => facts.push(format!(
                "not yet verified on a GPU: compare it with `fcmae doctor --check --device {device}`"
            )),
            None => {}
        }
        let label = if text.is_empty() { "devices" } else { "" };
        text.push_str(&format!("{label:10}  {}\n", facts.join(", ")));
    }
    text
}

/// Pictures a second that are decoded, cropped and normalized.
fn loading(image: usize, threads: usize) -> Result<f64> {
    let folder = tempfile::Builder::new()
        .prefix("fcmae-doctor-")
        .tempdir()
        .context("cannot create a folder for pictures to load")?;
    let count = 2 * LOADED_AT_ONCE;
    write_pictures(folder.path(), count)?;
    images_per_second(Bench::load(folder.path(), count, image, threads)?)
}

/// The median of as many steps as there is time for.
fn images_per_second(mut bench: Bench) -> Result<f64> {
    bench.step()?;
    let (began, mut steps) = (Instant::now(), Vec::new());
    while steps.len() < 3 || began.elapsed().as_secs_f64() < SECONDS {
        steps.push(bench.step()?);
    }
    steps.sort_by(f64::total_cmp);
    Ok(bench.images() as f64 / steps[steps.len() / 2].max(1e-9))
}

/// What the estimate is for.
struct Asked {
    /// Pictures times epochs.
    images: f64,
    /// The same in words.
    images_in_words: String,
    /// Height and width of the images.
    image: usize,
    /// What pre-training is measured and told of.
    recipe: PretrainConfig,
}

impl Asked {
    fn of(args: &Doctor) -> Result<Self> {
        let recipe = recipes::first_pretraining()?;
        let (pictures, epochs) = (args.pictures.get(), args.epochs.get());
        Ok(Self {
            images: (pictures * epochs) as f64,
            images_in_words: format!(
                "{} and {}",
                counted(pictures, "picture"),
                counted(epochs, "epoch")
            ),
            image: args.image.map_or(recipe.data.image_size[0], |image| image as usize),
            recipe,
        })
    }

    fn job(&self, work: Work, size: Size, batch: usize) -> Job {
        let PretrainConfig { mask, decoder, .. } = &self.recipe;
        let (mask_ratio, decoder) = (mask.ratio.mean(), decoder.clone());
        Job { work, size, image: self.image, batch, mask_ratio, decoder }
    }

    /// What each size would do at the rate that the smallest was measured at.
    fn expected(&self, rates: &[(Work, f64)]) -> Result<String> {
        let mut table = Table::new([
            ("size", Align::Left),
            ("with decoder", Align::Right),
            ("pretrain/s", Align::Right),
            ("finetune/s", Align::Right),
            ("predict/s", Align::Right),
            ("memory", Align::Right),
            ("pretrain time", Align::Right),
            ("finetune time", Align::Right),
        ]);
        let batch = self.recipe.optim.batch;
        for size in Size::ALL {
            let mut speeds = Vec::new();
            for (work, gflops) in rates {
                speeds.push(gflops / self.job(*work, size, 1).gflop_per_image()?.max(1e-9));
            }
            let [pretrain, finetune, predict] = speeds[..] else { continue };
            let pretraining = self.job(Work::Pretrain, size, batch);
            let time = |rate: f64| long(Duration::from_secs_f64(self.images / rate));
            table.row([
                size.name().to_owned(),
                grouped(pretraining.parameters()),
                speed(pretrain),
                speed(finetune),
                speed(predict),
                mib(pretraining.memory_estimate(&Backend::Cpu)?),
                time(pretrain),
                time(finetune),
            ]);
        }
        Ok(format!(
            "\nMeasured: {smallest} at {image}×{image} pixels, {BATCH} images a step. Pre-training is that of the \
             recipe\n{recipe}: {decoder}, {hidden:.0} % of the patches hidden.\n\n\
             Expected from that: images a second; memory of pre-training in batches of {batch};\n\
             time for {images}:\n\n{table}",
            smallest = Size::Atto,
            image = self.image,
            recipe = recipes::FIRST_PRETRAINING,
            decoder = self.recipe.decoder.in_words(),
            hidden = 100.0 * self.recipe.mask.ratio.mean(),
            images = self.images_in_words,
            table = table.text(),
        ))
    }
}
