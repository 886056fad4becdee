//! Runs as HTML: one document each, with its style, charts and pictures in it.

mod classes;
mod compare;
mod curves;
mod data;
mod document;
mod experiment;
mod facts;
mod features;
mod gallery;
mod map;
mod pictures;
mod rows;
mod summary;
mod trials;
mod watch;

use std::path::{Path, PathBuf};

use fcmae_store::durable;
use fcmae_store::run::files::REPORT;

pub use compare::compare;
pub use gallery::{Card, Gallery, Strip};
pub use trials::Trials;

use crate::error::ReportError;
use crate::run_folder::Report;
use document::{document, section};

impl Report {
    /// The page: a whole HTML document with all pictures in it.
    pub fn to_html(&self) -> String {
        let sections = [
            section("look", "What to look at", Some(summary::findings(self))),
            section("watched", "Watched pictures", watch::of_one(self)),
            section("curves", "Curves", curves::of_one(self)),
            section("reconstructions", "Reconstructions", pictures::reconstructions(self)),
            section("features", "Features", features::of_one(self)),
            section("classes", "Class by class", classes::results(self)),
            section("confusions", "What is taken for what", classes::confusions(self)),
            section("mistakes", "Most confident mistakes", pictures::mistakes(self)),
            section("data", "Pictures", data::pictures(self)),
            section("skipped", "Pictures left out", data::skipped(self)),
            section("run", "How it was run", Some(data::how_it_was_run(self))),
        ];
        let title = format!("{} · fcmae", self.name);
        document(&title, &summary::header(self), sections.into_iter().flatten().collect())
    }

    /// Writes `report.html` into the run's folder, or replaces it as a whole; returns its path.
    ///
    /// # Errors
    /// [`ReportError::Store`]; a former page then stays.
    pub fn write(&self, run: &Path) -> Result<PathBuf, ReportError> {
        let (path, page) = (run.join(REPORT), self.to_html());
        durable::write_file(&path, page.len() as u64, |out| out.write_all(page.as_bytes()))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests;
