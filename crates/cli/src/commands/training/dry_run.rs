//! `--dry-run`: a few steps of the run as it would be, thrown away, and what follows from them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use fcmae::config::Settings;
use fcmae::engine::backend::Backend;
use fcmae::engine::machine;
use fcmae::network::memory::Footprint;
use fcmae::training::{Event, Flow, Started};
use fcmae_data::drawn::is_drawn;
use fcmae_data::source::printable;
use fcmae_words::terminal::{duration, mib, plain};
use fcmae_words::{counted, grouped};
use image::RgbImage;

use crate::failure::Usage;
use crate::output;
use crate::trial::Trial;

/// Tries `train`, which gets a folder for its run and an observer, and tells what it found. `network`: its size, and its
/// decoder in pre-training.
pub(in crate::commands) fn try_out<T: Settings + Footprint>(
    config: &T,
    network: &str,
    out: &Path,
    first_batch: &RgbImage,
    train: impl FnOnce(&Path, &mut dyn FnMut(Event<'_>) -> Flow) -> fcmae::Result<()>,
) -> Result<()> {
    let picture = beside(out);
    if picture.symlink_metadata().is_ok() && !is_drawn(&picture) {
        let text = "exists and was not drawn by fcmae; move it, or choose another --out";
        return Err(Usage(format!("{} {text}", printable(&picture))).into());
    }
    // Nothing is left of what fails.
    let trial = Trial::of(train)?;
    trial.notes.iter().for_each(|note| output::note(note));
    output::create_parent(&picture)?;
    output::write_png(&picture, first_batch)?;
    output::print(&plain(&text(&trial, config, network, &picture)?))
}

/// `runs/pre-first-batch.png` for the run `runs/pre`, which itself must not exist before it begins.
fn beside(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push("-first-batch.png");
    out.with_file_name(name)
}

/// What the trial found, a line each.
fn text<T: Settings + Footprint>(
    trial: &Trial,
    config: &T,
    network: &str,
    picture: &Path,
) -> Result<String> {
    let Some(started) = &trial.started else { return Ok("nothing was tried\n".to_owned()) };
    let Started { device, steps, steps_per_epoch, epochs, parameters, .. } = started;
    let optim = config.optim();
    let [height, width] = config.data().image_size;
    let mut lines = vec![
        ("device", device.to_string()),
        ("network", format!("{network}: {}", counted(*parameters, "parameter"))),
        ("image size", format!("{height}×{width} pixels")),
        ("pictures", pictures(started, trial.skipped)),
        ("classes", classes(&started.classes)),
        ("an update", format!("{} × {}", counted(optim.batch, "picture"), optim.accumulation)),
        (
            "the run",
            format!(
                "{} of {}, {}",
                counted(*epochs as usize, "epoch"),
                counted(*steps_per_epoch as usize, "step"),
                counted(*steps as usize, "step")
            ),
        ),
        ("memory", memory(config)?),
    ];
    let kept = config.data().cache_mib;
    if kept > 0 {
        let text = format!("and up to {} MiB of decoded pictures", grouped(kept));
        lines.push(("", text));
    }
    if let Some(step) = trial.step_seconds() {
        lines.push((
            "speed",
            format!(
                "{:.3} s a step, {:.1} images/s, {:.0}% of the time waiting for pictures",
                step,
                trial.images / trial.seconds,
                100.0 * trial.waited / trial.seconds
            ),
        ));
        let all = Duration::from_secs_f64(step * *steps as f64);
        lines.push((
            "time",
            format!(
                "about {} from {}, without evaluations",
                duration(all),
                counted(trial.timed as usize, "step")
            ),
        ));
    }
    lines.push(("first batch", printable(picture)));
    lines.retain(|(what, text)| *what != "classes" || !text.is_empty());
    let lines = lines.into_iter().map(|(what, text)| format!("{what:11}  {text}\n"));
    Ok(lines.collect())
}

/// How many there are, and the first names; nothing in pre-training.
fn classes(names: &[String]) -> String {
    const SHOWN: usize = 5;
    if names.is_empty() {
        return String::new();
    }
    let more = if names.len() > SHOWN { ", …" } else { "" };
    let shown = names[..names.len().min(SHOWN)].join(", ");
    format!("{}: {shown}{more}", grouped(names.len()))
}

/// How many there are, kept aside and bad so far.
fn pictures(Started { pictures, held_out, .. }: &Started, skipped: usize) -> String {
    let pictures = grouped(*pictures);
    match (*held_out, skipped) {
        (0, 0) => pictures,
        (0, bad) => format!("{pictures}, {bad} skipped so far"),
        (aside, bad) => {
            format!("{pictures}, {} more held out, {bad} skipped so far", grouped(aside))
        }
    }
}

/// As planned, as the trial took it, and what is free.
fn memory(config: &impl Footprint) -> Result<String> {
    let backend = config.backend()?;
    // The process's own memory says nothing of a GPU's.
    let peak = machine::peak_memory().filter(|_| matches!(backend, Backend::Cpu));
    let planned = config.memory(&backend).map_err(fcmae::Error::from)?.with(config.optim().batch);
    let took = |peak| format!("; the trial took {}", mib(peak));
    let left = |free| format!("; {} are free", mib(free));
    Ok(format!(
        "about {}{}{}",
        mib(planned),
        peak.map_or(String::new(), took),
        backend.free_memory().map_or(String::new(), left),
    ))
}
