//! `metrics.jsonl`, and the same for other programs: tables and TensorBoard's event files.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::{Map, Value};

use super::files::METRICS;
use super::lines::Lines;
use super::schema::{EVALUATIONS, UPDATES, WATCHES, measured_tag};
use super::table::Table;
use super::tensorboard::Events;
use crate::Error;

/// What a run measures. `metrics.jsonl` is what a resumed run and the commands go by. From each of its
/// lines follow a row of `metrics.csv`, `evaluations.csv` or `watch.csv` and points of TensorBoard's curves.
#[derive(Debug)]
pub struct Metrics {
    lines: Lines,
    views: Mutex<Views>,
    /// Of views that are gone, until they are told.
    troubles: Mutex<Vec<String>>,
}

/// What follows from `metrics.jsonl`. One that cannot be written is `None` from then on: no training
/// ends for it.
#[derive(Debug)]
struct Views {
    tables: [Option<Table>; 3],
    events: Option<Events>,
}

impl Metrics {
    /// Opens or creates the files. `resumed_at`: the step from which a run is taken up again.
    pub(super) fn open(run: &Path, resumed_at: Option<u64>) -> Result<Self, Error> {
        let lines = Lines::open(run.join(METRICS))?;
        let events = Some(Events::new(run, resumed_at));
        let mut views = Views { tables: [None, None, None], events };
        let mut troubles = Vec::new();
        for (table, columns) in views.tables.iter_mut().zip([UPDATES, EVALUATIONS, WATCHES]) {
            *table = less_full_disk(Table::open(run, columns, lines.path()), &mut troubles)?;
        }
        Ok(Self { lines, views: Mutex::new(views), troubles: Mutex::new(troubles) })
    }

    /// What is to be told of files that cannot be written any more, a sentence each; nothing that was taken before.
    pub(super) fn take_troubles(&self) -> Vec<String> {
        std::mem::take(&mut *self.troubles())
    }

    /// Keeps what is to be told, less what was told of it.
    pub(super) fn keep_troubles(&self, mut troubles: Vec<String>, told: &[String]) {
        let mut own = self.troubles();
        troubles.append(&mut own);
        for trouble in troubles {
            if !told.contains(&trouble) && !own.contains(&trouble) {
                own.push(trouble);
            }
        }
    }

    fn troubles(&self) -> MutexGuard<'_, Vec<String>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Lines::follow`]; what is derived from the lines stays as it is.
    pub(super) fn follow(&self) -> Result<usize, Error> {
        // No line is added meanwhile.
        let _views = self.views();
        self.lines.follow()
    }

    /// `metrics.jsonl`.
    pub fn path(&self) -> &Path {
        self.lines.path()
    }

    /// Adds a value as one line of JSON. NaN and infinities become `null`.
    ///
    /// The numbers in an object with a `step` become points in TensorBoard, and a row of the table that
    /// has columns for them. Where that fails for another reason than a full disk, the next
    /// [`Run::look`](super::Run::look) says so, and the run goes on without that file.
    ///
    /// # Errors
    /// [`Error::Io`] where `metrics.jsonl` cannot be written, [`Error::NoSpace`] for any of the files;
    /// [`Error::Malformed`] for a value that JSON cannot hold.
    pub fn json(&self, value: &impl Serialize) -> Result<(), Error> {
        let line = self.lines.encode(value)?;
        // Held from here, so that all files have their lines in one order.
        let mut views = self.views();
        self.lines.text(&line)?;
        let Ok(fields) = serde_json::from_str::<Map<_, _>>(&line) else { return Ok(()) };
        let Views { tables, events } = &mut *views;
        let mut result = Ok(());
        for table in tables {
            result = result.and(self.write(table, |table| table.add(&fields)));
        }
        if let Some((step, scalars)) = scalars(&fields) {
            result = result.and(self.write(events, |events| events.scalars(step, &scalars)));
        }
        result
    }

    /// As [`Run::picture`](super::Run::picture).
    pub(super) fn picture(&self, tag: &str, step: u64, png: &[u8]) -> Result<(), Error> {
        self.write(&mut self.views().events, |events| events.picture(tag, step, png))
    }

    /// Makes the metrics so far outlast a power cut: for before a checkpoint that stands for them. The
    /// tables are left out, since they are written anew when the run is resumed.
    ///
    /// # Errors
    /// [`Error::Io`] where `metrics.jsonl` cannot be synced.
    pub fn sync(&self) -> Result<(), Error> {
        self.lines.sync()?;
        self.write(&mut self.views().events, |events| events.sync())
    }

    fn views(&self) -> MutexGuard<'_, Views> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes to a view that is still there.
    fn write<T>(
        &self,
        view: &mut Option<T>,
        write: impl FnOnce(&mut T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(open) = view else { return Ok(()) };
        match write(open) {
            Err(error @ Error::NotPng { .. }) => Err(error),
            result => {
                if less_full_disk(result, &mut self.troubles())?.is_none() {
                    *view = None;
                }
                Ok(())
            }
        }
    }
}

/// `None`, and a sentence for the user, for a failure that only takes a view away.
fn less_full_disk<T>(
    result: Result<T, Error>,
    troubles: &mut Vec<String>,
) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error @ Error::NoSpace { .. }) => Err(error),
        Err(error) => {
            troubles.push(format!("{error}; going on without this file"));
            Ok(None)
        }
    }
}

/// Whether a line is of held-out or watched pictures.
pub(super) fn is_evaluation(fields: &Map<String, Value>) -> bool {
    fields.keys().any(|key| measured_tag(key).is_some())
}

/// A line's step and its points, if it has any.
fn scalars(fields: &Map<String, Value>) -> Option<(u64, Vec<(String, f32)>)> {
    let step = fields.get("step")?.as_u64()?;
    let evaluation = is_evaluation(fields);
    let points = fields.iter().filter_map(|(key, value)| {
        // An evaluation repeats the epoch of the update that it follows.
        if key == "step" || (key == "epoch" && evaluation) {
            return None;
        }
        let tag = measured_tag(key).map_or_else(|| format!("train/{key}"), str::to_owned);
        Some((tag, value.as_f64()? as f32))
    });
    let points: Vec<_> = points.collect();
    (!points.is_empty()).then_some((step, points))
}
