//! What was measured, as a table and as JSON.

use anyhow::{Context, Result};
use fcmae::engine::backend::Backend;
use fcmae::engine::machine::{self, Machine};
use fcmae::measure::bench::{Job, Work};
use fcmae_words::counted;
use fcmae_words::terminal::{measured, memory, percent, short};
use serde::Serialize;

use super::budget::{self, Cost};
use super::worker::Timed;
use crate::text_table::{Align, Table};

/// All rows, in the order in which they were asked for.
pub(super) struct Report {
    machine: Machine,
    device: String,
    precision: &'static str,
    image: usize,
    pub(super) rows: Vec<Result<Row, Skipped>>,
}

/// What `--json` holds.
#[derive(Serialize)]
pub(super) struct Numbers<'a> {
    machine: &'a Machine,
    /// What computed.
    device: &'a str,
    version: &'static str,
    pub(super) results: Vec<&'a Row>,
    /// Rows that could not be measured, and why.
    skipped: Vec<&'a Skipped>,
}

/// One row. Loading has neither network nor operations.
#[derive(Serialize)]
pub(super) struct Row {
    size: Option<&'static str>,
    work: Work,
    image: usize,
    /// Images of one step.
    batch: usize,
    /// Patches that the encoder sees, and patches in an image; in pre-training only.
    visible: Option<[usize; 2]>,
    /// Steps timed.
    steps: usize,
    pub(super) median_seconds: f64,
    min_seconds: f64,
    images_per_second: f64,
    gflop_per_image: Option<f64>,
    gflops: Option<f64>,
    /// The machine's own rate while this row was measured.
    matrix_gflops: Option<f64>,
    /// `gflops / matrix_gflops`.
    share: Option<f64>,
    /// The most memory that the row's process had, where the system tells.
    peak_memory_bytes: Option<u64>,
    /// What a step was told to take beforehand; 0 for loading.
    memory_estimate_bytes: u64,
}

/// A row that was left out.
#[derive(Serialize)]
pub(super) struct Skipped {
    size: Option<&'static str>,
    work: Work,
    reason: String,
}

impl Report {
    pub(super) fn new(image: usize, backend: &Backend, threads: usize) -> Self {
        let machine = machine::here(threads);
        let precision = match backend {
            Backend::Cpu => ", float32",
            // Its name says it.
            Backend::Card(_) => "",
        };
        Self { machine, device: backend.to_string(), precision, image, rows: Vec::new() }
    }

    pub(super) fn numbers(&self) -> Numbers<'_> {
        Numbers {
            machine: &self.machine,
            device: &self.device,
            version: env!("CARGO_PKG_VERSION"),
            results: self.rows.iter().filter_map(|row| row.as_ref().ok()).collect(),
            skipped: self.rows.iter().filter_map(|row| row.as_ref().err()).collect(),
        }
    }

    /// For reading.
    pub(super) fn text(&self) -> String {
        let Numbers { machine, device, version, results, skipped } = self.numbers();
        let Machine { cpu, threads, simd, os, .. } = machine;
        let threads = counted(*threads, "thread");
        let mut text = format!("{cpu}, {threads}, {simd}, {os}; on {device}; fcmae {version}\n");
        let mut rates: Vec<f64> = results.iter().filter_map(|row| row.matrix_gflops).collect();
        if !rates.is_empty() {
            let rate = median(&mut rates);
            text.push_str(&format!("matrix products reach {rate:.0} GFLOP/s; "));
        }
        text.push_str(&format!("images of {0}×{0} pixels{1}\n\n", self.image, self.precision));
        text.push_str(&self.table().text());

        let mut notes = Vec::new();
        if let Some([visible, patches]) = results.iter().find_map(|row| row.visible) {
            notes.push(format!("pretrain: the encoder sees {visible} of {patches} patches"));
        }
        notes.extend(few_steps(&results));
        notes.extend(skipped.iter().map(|skipped| skipped.line()));
        if !notes.is_empty() {
            text.push_str(&format!("\n{}\n", notes.join("\n")));
        }
        text
    }

    fn table(&self) -> Table {
        let mut table = Table::new([
            ("size", Align::Left),
            ("work", Align::Left),
            ("batch", Align::Right),
            ("step", Align::Right),
            ("images/s", Align::Right),
            ("GFLOP/image", Align::Right),
            ("GFLOP/s", Align::Right),
            ("of matrix", Align::Right),
            ("memory", Align::Right),
        ]);
        let number = |value: Option<f64>| value.map_or(String::new(), short);
        for row in &self.rows {
            let row = match row {
                Ok(row) => row,
                Err(Skipped { size, work, .. }) => {
                    let names = [size.unwrap_or_default().to_owned(), work.to_string()];
                    table.row(names.into_iter().chain((0..7).map(|_| "–".to_owned())));
                    continue;
                }
            };
            table.row([
                row.size.unwrap_or_default().to_owned(),
                row.work.to_string(),
                row.batch.to_string(),
                measured(row.median_seconds),
                short(row.images_per_second),
                number(row.gflop_per_image),
                number(row.gflops),
                row.share.map_or(String::new(), |share| percent(share, 0)),
                row.peak_memory_bytes.map_or(String::new(), memory),
            ]);
        }
        table
    }
}

impl Row {
    /// From the steps of a worker and the machine's own rate meanwhile.
    pub(super) fn new(job: &Job, timed: &Timed, matrix_gflops: Option<f64>) -> Result<Self> {
        let mut seconds = timed.seconds.clone();
        let min_seconds = seconds.iter().copied().reduce(f64::min).context("no step was timed")?;
        let median_seconds = median(&mut seconds);
        let images_per_second = timed.images as f64 / median_seconds.max(1e-9);
        let gflop_per_image = timed.gflop_per_image;
        let gflops = gflop_per_image.map(|gflop| gflop * images_per_second);
        Ok(Self {
            size: gflop_per_image.map(|_| job.size.name()),
            work: job.work,
            image: job.image,
            batch: timed.images,
            visible: if job.work == Work::Pretrain { Some(job.visible()?) } else { None },
            steps: seconds.len(),
            median_seconds,
            min_seconds,
            images_per_second,
            gflop_per_image,
            gflops,
            matrix_gflops,
            share: gflops.zip(matrix_gflops).map(|(gflops, matrix)| gflops / matrix),
            peak_memory_bytes: timed.peak_memory_bytes,
            memory_estimate_bytes: timed.memory_estimate_bytes,
        })
    }

    /// For those who watch.
    pub(super) fn line(&self) -> String {
        let rate = short(self.images_per_second);
        format!("{}  {rate} images/s", label(self.size, self.work))
    }
}

impl Skipped {
    pub(super) fn new(job: &Job, reason: String) -> Self {
        let size = (job.work != Work::Load).then(|| job.size.name());
        Self { size, work: job.work, reason }
    }

    /// There is too little time for it.
    /// `others`: the options that it is given besides, with a space before each.
    pub(super) fn time(job: &Job, cost: Cost, seconds: u32, others: &str) -> Self {
        // What a step takes is a guess.
        let enough = (1.5 * cost.wanted / 10.0).ceil() * 10.0;
        let size = if job.work == Work::Load { "" } else { &format!(" --size {}", job.size) };
        let reason = format!(
            "needs {:.0} s or more, which do not fit into --seconds {seconds}; alone: fcmae bench{size} \
             --work {}{others} --seconds {enough:.0}",
            cost.least.ceil(),
            job.work,
        );
        Self::new(job, reason)
    }

    /// There is too little memory for it.
    pub(super) fn memory(job: &Job, needed: u64, free: u64) -> Self {
        let (needed, free) = (memory(needed), memory(free));
        let reason = format!(
            "would take about {needed} of memory, and {free} are free; smaller images (--image) or \
             batches (--batch) take less"
        );
        Self::new(job, reason)
    }

    pub(super) fn line(&self) -> String {
        format!("{}: {}", label(self.size, self.work), self.reason)
    }
}

/// Says which rows are of too few steps to say much.
fn few_steps(rows: &[&Row]) -> Option<String> {
    let few = rows.iter().filter(|row| (row.steps as f64) < budget::FEW_STEPS);
    let few: Vec<String> = few.map(|row| label(row.size, row.work)).collect();
    (!few.is_empty()).then(|| {
        format!(
            "timed in one or two steps: {}; more --seconds (or --steps), or a smaller --batch, give more",
            few.join(", ")
        )
    })
}

/// What a row is called.
pub(super) fn title(job: &Job) -> String {
    label((job.work != Work::Load).then(|| job.size.name()), job.work)
}

fn label(size: Option<&str>, work: Work) -> String {
    size.map_or(String::new(), |size| format!("{size} ")) + work.name()
}

/// The middle one, or the mean of the two in the middle; of at least one value.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        0.5 * (values[middle - 1] + values[middle])
    } else {
        values[middle]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0]), 2.5);
    }
}
