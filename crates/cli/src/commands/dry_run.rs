//! `--dry-run`: a few steps of the run as it would be, thrown away, and what follows from them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fcmae::config::Settings;
use fcmae::machine;
use fcmae::memory::Footprint;
use fcmae::train::{Event, Flow, Started, StepReport};
use fcmae_data::source::printable;
use image::RgbImage;

use crate::output;
use crate::progress::{duration, grouped};

/// Steps that are timed, after one that warms up; fewer where they take long.
const STEPS: u64 = 5;
const ENOUGH: Duration = Duration::from_secs(20);

/// Tries `train`, which gets a folder for its run and an observer, and tells what it found.
pub(super) fn tell<T: Settings + Footprint>(
    config: &T,
    out: &Path,
    first_batch: &RgbImage,
    train: impl FnOnce(&Path, &mut dyn FnMut(Event<'_>) -> Flow) -> fcmae::Result<()>,
) -> Result<()> {
    let picture = beside(out);
    output::create_parent(&picture)?;
    output::write_png(&picture, first_batch)?;
    let folder = tempfile::Builder::new()
        .prefix("fcmae-dry-run-")
        .tempdir()
        .context("cannot create a folder for the trial")?;
    let mut trial = Trial::default();
    train(&folder.path().join("run"), &mut |event| trial.observe(&event))?;
    output::print(&trial.text(config, &picture)?)
}

/// `runs/pre-first-batch.png` for the run `runs/pre`, which itself must not exist before it begins.
fn beside(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push("-first-batch.png");
    out.with_file_name(name)
}

#[derive(Default)]
struct Trial {
    started: Option<Started>,
    /// After the first step.
    began: Option<Instant>,
    /// Steps and images since then, and their time.
    timed: u64,
    images: f64,
    waited: f64,
    seconds: f64,
    skipped: usize,
}

impl Trial {
    fn observe(&mut self, event: &Event<'_>) -> Flow {
        match event {
            Event::Started(started) => self.started = Some((*started).clone()),
            Event::Skipped(_) => self.skipped += 1,
            Event::Step(report) => return self.step(report),
            _ => {}
        }
        Flow::Continue
    }

    fn step(&mut self, report: &StepReport) -> Flow {
        let Some(began) = self.began else {
            self.began = Some(Instant::now());
            // Where there is only one step it is all there is to know.
            return if report.steps == 1 { Flow::Abandon } else { Flow::Continue };
        };
        let before = std::mem::replace(&mut self.seconds, began.elapsed().as_secs_f64());
        let step = self.seconds - before;
        self.timed += 1;
        self.images += report.images_per_second * step;
        self.waited += report.data_wait * step;
        if self.timed == STEPS || began.elapsed() > ENOUGH { Flow::Abandon } else { Flow::Continue }
    }

    fn text<T: Settings + Footprint>(&self, config: &T, picture: &Path) -> Result<String> {
        let Some(Started {
            steps, steps_per_epoch, epochs, parameters, pictures, held_out, ..
        }) = self.started
        else {
            return Ok("nothing was tried\n".to_owned());
        };
        let optim = config.optim();
        let memory = config.memory().map_err(fcmae::Error::from)?.with(optim.batch);
        let mib = |bytes: u64| format!("{} MiB", grouped((bytes >> 20) as usize));
        let mut lines = vec![
            ("network", format!("{} parameters", grouped(parameters))),
            (
                "pictures",
                match (held_out, self.skipped) {
                    (0, 0) => grouped(pictures),
                    (0, bad) => format!("{}, {bad} skipped so far", grouped(pictures)),
                    (aside, bad) => {
                        format!(
                            "{}, {} more kept aside, {bad} skipped so far",
                            grouped(pictures),
                            grouped(aside)
                        )
                    }
                },
            ),
            ("an update", format!("{} pictures × {}", optim.batch, optim.accumulation)),
            (
                "the run",
                format!(
                    "{epochs} epochs of {} steps, {} steps",
                    grouped(steps_per_epoch as usize),
                    grouped(steps as usize)
                ),
            ),
            (
                "memory",
                format!(
                    "about {}{}{}",
                    mib(memory),
                    machine::peak_memory()
                        .map_or(String::new(), |peak| format!("; the trial took {}", mib(peak))),
                    machine::available_memory()
                        .map_or(String::new(), |free| format!("; {} are free", mib(free))),
                ),
            ),
        ];
        let kept = config.data().cache_mib;
        if kept > 0 {
            let text = format!("and up to {} MiB of decoded pictures", grouped(kept));
            lines.push(("", text));
        }
        if self.timed > 0 {
            let step = self.seconds / self.timed as f64;
            lines.push((
                "speed",
                format!(
                    "{:.3} s a step, {:.1} images/s, {:.0}% of it waiting for pictures",
                    step,
                    self.images / self.seconds,
                    100.0 * self.waited / self.seconds
                ),
            ));
            let all = Duration::from_secs_f64(step * steps as f64);
            lines.push((
                "time",
                format!("about {} from {} steps, without evaluations", duration(all), self.timed),
            ));
        }
        lines.push(("first batch", printable(picture)));
        let lines = lines.into_iter().map(|(what, text)| format!("{what:11}  {text}\n"));
        Ok(lines.collect())
    }
}
