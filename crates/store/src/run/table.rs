//! `metrics.csv`, `evaluations.csv` and `watch.csv`: what `metrics.jsonl` says, for spreadsheets and data frames.
//!
//! `metrics.jsonl` alone is the truth. While a run lives, a row is added with each of its lines; whenever
//! a run is opened or cut back, the tables are written anew from it. So nothing of them needs repair, and
//! runs from before there were tables get whole ones.

use std::fs;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::lines::Lines;
use super::schema::Columns;
use crate::input::open;
use crate::{Error, durable};

impl Columns {
    fn header(self) -> String {
        self.names.join(",")
    }

    /// A line's row, if it has one in this table. What is not a number stays empty: `null` stands for NaN.
    fn row(self, line: &Map<String, Value>) -> Option<String> {
        line.get("step")?.as_u64()?;
        if !self.own.iter().any(|name| line.contains_key(*name)) {
            return None;
        }
        let cell = |name: &&str| match line.get(*name) {
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        // Numbers and nothing: there is nothing to quote.
        Some(self.names.iter().map(cell).collect::<Vec<_>>().join(","))
    }
}

/// A table that follows `metrics.jsonl`.
#[derive(Debug)]
pub(super) struct Table {
    columns: Columns,
    path: PathBuf,
    metrics: PathBuf,
    /// `None` while the table is not there, as it has no row.
    rows: Option<Lines>,
}

impl Table {
    /// Writes the table of the metrics so far into the run's folder.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::NoSpace`].
    pub(super) fn open(run: &Path, columns: Columns, metrics: &Path) -> Result<Self, Error> {
        let path = run.join(columns.file);
        let rows = written(&path, columns, metrics)?;
        Ok(Self { columns, path, metrics: metrics.to_owned(), rows })
    }

    /// Adds the row of a line that is in `metrics.jsonl`, if it has one here.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::NoSpace`]; the row is then missing until the run is opened again.
    pub(super) fn add(&mut self, line: &Map<String, Value>) -> Result<(), Error> {
        let Some(row) = self.columns.row(line) else { return Ok(()) };
        let Some(rows) = &mut self.rows else {
            self.rows = written(&self.path, self.columns, &self.metrics)?;
            return Ok(());
        };
        rows.text(&row).inspect_err(|_| {
            // Takes away the part of a row that may have been written.
            if let Ok(reopened) = Lines::open(self.path.clone()) {
                *rows = reopened;
            }
        })
    }
}

/// Writes the table of all metrics so far, to be added to; none where it would have no row and needs none.
fn written(path: &Path, columns: Columns, metrics: &Path) -> Result<Option<Lines>, Error> {
    let (mut lines, length) = open(metrics)?;
    let (mut line, mut rows) = (Vec::new(), 0);
    durable::write_file(path, length, |out| {
        writeln!(out, "{}", columns.header())?;
        loop {
            line.clear();
            if lines.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            let fields = serde_json::from_slice(&line).ok();
            if let Some(row) = fields.and_then(|fields| columns.row(&fields)) {
                writeln!(out, "{row}")?;
                rows += 1;
            }
        }
    })?;
    if rows > 0 || columns.always {
        return Lines::open(path.to_owned()).map(Some);
    }
    fs::remove_file(path).map_err(Error::io("remove", path))?;
    Ok(None)
}
