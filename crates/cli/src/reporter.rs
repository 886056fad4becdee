//! The report that every run keeps of itself.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fcmae::training::Event;
use fcmae_report::Report as Page;

use crate::output;

/// Between reports of a run that goes on.
const EVERY: Duration = Duration::from_secs(60);

/// Keeps a run's `report.html` up to date.
pub(crate) struct Reporter {
    run: PathBuf,
    last: Instant,
    begun: bool,
}

impl Reporter {
    pub(crate) fn of(run: &Path) -> Self {
        Self { run: run.to_owned(), last: Instant::now(), begun: false }
    }

    /// Renews the report with a save, once in a while.
    pub(crate) fn observe(&mut self, event: &Event<'_>) {
        self.begun |= matches!(event, Event::Started(_));
        if matches!(event, Event::Saved { .. }) && self.last.elapsed() > EVERY {
            self.write();
            self.last = Instant::now();
        }
    }

    /// Whether the run has begun, so that its folder is its own.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Writes the report; its path. Where that fails it is no reason to fail a run: it is told.
    pub(crate) fn write(&self) -> Option<PathBuf> {
        match Page::read(&self.run).and_then(|page| page.write(&self.run)) {
            Ok(path) => Some(path),
            Err(error) => {
                output::note(&format!("no report: {error}"));
                None
            }
        }
    }
}
