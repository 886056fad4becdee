//! A few steps of a run, thrown away, to tell what the whole would take.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fcmae::training::{Event, Flow, Started, StepReport};

/// Steps that are timed, after one that warms up; fewer where they take long.
const STEPS: u64 = 5;
const ENOUGH: Duration = Duration::from_secs(20);

/// What a few steps of a run told.
#[derive(Default)]
pub(crate) struct Trial {
    pub(crate) started: Option<Started>,
    /// After the first step.
    began: Option<Instant>,
    /// Steps and images since then, and their time.
    pub(crate) timed: u64,
    pub(crate) images: f64,
    pub(crate) waited: f64,
    pub(crate) seconds: f64,
    pub(crate) skipped: usize,
    /// What else was told.
    pub(crate) notes: Vec<String>,
}

impl Trial {
    /// Tries `train`, which gets a folder for its run and an observer that ends it early.
    ///
    /// # Errors
    /// Those of `train`, and a folder that cannot be made.
    pub(crate) fn of(
        train: impl FnOnce(&Path, &mut dyn FnMut(Event<'_>) -> Flow) -> fcmae::Result<()>,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("fcmae-dry-run-")
            .tempdir()
            .context("cannot create a folder for the trial")?;
        let mut trial = Self::default();
        train(&folder.path().join("run"), &mut |event| trial.observe(&event))?;
        Ok(trial)
    }

    /// Seconds a step; `None` where the run had a single one, or none.
    pub(crate) fn step_seconds(&self) -> Option<f64> {
        (self.timed > 0).then(|| self.seconds / self.timed as f64)
    }

    fn observe(&mut self, event: &Event<'_>) -> Flow {
        match event {
            Event::Started(started) => self.started = Some((*started).clone()),
            Event::Skipped(_) => self.skipped += 1,
            Event::LeftOut(kind) => {
                self.skipped += kind.count;
                self.notes.push(kind.to_string());
            }
            Event::Note(note) => self.notes.push((*note).to_owned()),
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
}
