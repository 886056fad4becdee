//! `fcmae bench`.
//!
//! - [`budget`]: what each row may cost;
//! - [`worker`]: the process that measures a row;
//! - [`measured`]: what was measured, as a table and as JSON.

mod budget;
mod measured;
mod worker;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use fcmae::config::{DecoderConfig, Size};
use fcmae::engine::backend::Backend;
use fcmae::engine::{machine, threads};
use fcmae::measure::bench::{Job, Work, write_pictures};
use fcmae_data::{Labels, PictureSet};
use indicatif::ProgressBar;
use tempfile::TempDir;

use crate::failure::joined;
use crate::options::DeviceArg;
use crate::{output, progress};
use budget::{Cost, Rates};
use measured::{Report, Row, Skipped};
use worker::Worker;

/// Steps beyond which the median gains nothing.
const MOST_STEPS: usize = 50;
/// A warm-up step that takes less than this share of the row's time gets a second one, which is
/// nearer to what is timed after it.
const SHORT: f64 = 0.1;

/// Measure how fast this machine pre-trains, fine-tunes, predicts and loads pictures
#[derive(Args)]
#[command(after_help = "\
Without options, it measures every size and kind of work within two minutes. Weights and pixels are random. Each row runs \
in its own process.

Examples:
  fcmae bench
  fcmae bench --size atto,tiny --work pretrain --batch 16 --json speed.json
  fcmae bench --work load --data photos")]
pub(crate) struct Bench {
    /// Network sizes, separated by commas [default: all]
    #[arg(long, value_name = "SIZE", value_delimiter = ',', hide_possible_values = true,
        value_parser = PossibleValuesParser::new(Size::ALL.map(Size::name))
            .try_map(|name| name.parse::<Size>()))]
    size: Vec<Size>,

    /// Kinds of work, separated by commas [default: all]
    #[arg(long, value_name = "WORK", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(Work::ALL.map(Work::name))
            .try_map(|name| name.parse::<Work>()))]
    work: Vec<Work>,

    /// Height and width of the images in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 224,
        value_parser = clap::value_parser!(u32).range(1..=4096))]
    image: u32,

    /// Images per step [default: as many as take about a second]
    #[arg(long, value_name = "N")]
    batch: Option<NonZeroUsize>,

    /// Share of patches hidden in pre-training
    #[arg(long, value_name = "SHARE", default_value_t = 0.6)]
    mask_ratio: f64,

    /// Timed steps per row [default: as many as there is time for]
    #[arg(long, value_name = "N")]
    steps: Option<NonZeroUsize>,

    /// Steps before the timed ones
    #[arg(long, value_name = "N")]
    warmup: Option<usize>,

    /// Seconds for all rows together. Rows that do not fit are left out and listed
    #[arg(long, value_name = "SECONDS", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    #[command(flatten)]
    device: DeviceArg,

    /// Threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Folder of pictures to load [default: generated ones]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,

    /// Also write the numbers to a JSON file; `-` prints them instead of the table
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,

    /// Replace the JSON file if it exists
    #[arg(long, requires = "json")]
    overwrite: bool,

    /// Measure one row on command: `matrix` or a number of steps on each line of standard input
    #[arg(long, hide = true)]
    worker: bool,
}

pub(super) fn run(args: &Bench) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let threads = args.threads.map_or(cores, usize::from);
    threads::start(Some(threads)).iter().for_each(|note| output::note(note));
    let threads = rayon::current_num_threads();
    let backend = args.device.open()?;
    let jobs = jobs(args)?;
    if let Some(folder) = &args.data {
        PictureSet::open(folder, Labels::Ignored)?;
    }
    if args.worker {
        return worker::serve(&jobs[0], &backend, args.data.as_deref(), threads);
    }
    let file = args.json.as_deref().filter(|file| *file != Path::new("-"));
    if let Some(file) = file {
        output::refuse_existing(file, args.overwrite, "--json")?;
        output::refuse_input(file, args.data.as_slice(), "--json")?;
    }

    let report = Measurement { args, backend, threads, began: Instant::now() }.measure(&jobs)?;
    if let Some(file) = file {
        output::create_parent(file)?;
        output::write_file(file, output::json(&report.numbers())?.as_bytes())?;
    }
    let alone = args.json.is_some() && file.is_none();
    output::print(&if alone { output::json(&report.numbers())? } else { report.text() })?;
    if report.numbers().results.is_empty() {
        bail!("nothing could be measured");
    }
    Ok(())
}

/// The rows asked for, in the table's order.
fn jobs(args: &Bench) -> Result<Vec<Job>> {
    let sizes = if args.size.is_empty() { &Size::ALL[..] } else { &args.size };
    let works = if args.work.is_empty() { &Work::ALL[..] } else { &args.work };
    let job = |work, size| Job {
        work,
        size,
        image: args.image as usize,
        batch: args.batch.map_or(1, |batch| batch.get()),
        mask_ratio: args.mask_ratio,
        decoder: DecoderConfig::default(),
    };
    let networks = works.iter().filter(|&&work| work != Work::Load);
    let mut jobs: Vec<Job> =
        sizes.iter().flat_map(|&size| networks.clone().map(move |&work| job(work, size))).collect();
    // The pictures are the same for every network.
    jobs.extend(works.iter().filter(|&&work| work == Work::Load).map(|&work| job(work, sizes[0])));
    for job in &jobs {
        let Bench { image, mask_ratio, .. } = args;
        job.check().with_context(|| format!("--image {image} --mask-ratio {mask_ratio}"))?;
    }
    Ok(jobs)
}

/// All rows while they are measured.
struct Measurement<'a> {
    args: &'a Bench,
    backend: Backend,
    threads: usize,
    began: Instant,
}

impl Measurement<'_> {
    fn measure(&self, jobs: &[Job]) -> Result<Report> {
        let mut rates = Rates::new(machine::matrix_gflops()?);
        let pictures = match jobs.iter().any(|job| job.work == Work::Load) {
            true => Some(self.pictures()?),
            false => None,
        };
        let bar = progress::draws_a_bar().then(|| progress::bar("bench", jobs.len() as u64));
        let mut report = Report::new(self.args.image as usize, &self.backend, self.threads);
        for (index, job) in jobs.iter().enumerate() {
            self.tell(bar.as_ref(), index, jobs.len(), &measured::title(job));
            let row = match self.fit(&jobs[index..], &rates)? {
                Ok((job, seconds)) => {
                    let pictures = pictures.as_ref().map(Pictures::path);
                    let row = self.row(&job, seconds, pictures);
                    if let Ok(row) = &row {
                        rates.learn(&job, row.median_seconds)?;
                    }
                    row.map_err(|error| Skipped::new(&job, joined(&error)))
                }
                Err(skipped) => Err(skipped),
            };
            let line = match &row {
                Ok(row) => row.line(),
                Err(skipped) => skipped.line(),
            };
            self.done(bar.as_ref(), index, jobs.len(), &line);
            report.rows.push(row);
        }
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        Ok(report)
    }

    fn tell(&self, bar: Option<&ProgressBar>, index: usize, rows: usize, title: &str) {
        if let Some(bar) = bar {
            bar.set_message(format!("{}/{rows}  {title}", index + 1));
            bar.tick();
        }
    }

    fn done(&self, bar: Option<&ProgressBar>, index: usize, rows: usize, line: &str) {
        match bar {
            Some(bar) => bar.inc(1),
            None => output::note(&format!("bench  {}/{rows}  {line}", index + 1)),
        }
    }

    /// The first of the rows that are left with its batch, and the seconds that it may take; or why
    /// it must be left out.
    fn fit(&self, left: &[Job], rates: &Rates) -> Result<Result<(Job, f64), Skipped>> {
        let threads = self.threads;
        let batch = |job: &Job| match self.args.batch {
            Some(batch) => Ok(batch.get()),
            None => budget::batch(job, threads),
        };
        let mut job = Job { batch: batch(&left[0])?, ..left[0].clone() };
        if let Some(free) = self.backend.free_memory() {
            while self.args.batch.is_none()
                && job.batch > 1
                && job.memory_estimate(&self.backend)? > free
            {
                job.batch /= 2;
            }
            let needed = job.memory_estimate(&self.backend)?;
            if needed > free {
                return Ok(Err(Skipped::memory(&job, needed, free)));
            }
        }
        if self.args.steps.is_some() {
            return Ok(Ok((job, f64::INFINITY)));
        }
        let (fixed, warmup) = (self.args.batch.is_some(), self.args.warmup.unwrap_or(1));
        let costs = left
            .iter()
            .map(|job| Cost::new(&Job { batch: batch(job)?, ..job.clone() }, fixed, warmup, rates))
            .collect::<Result<Vec<_>>>()?;
        let time = f64::from(self.args.seconds) - self.began.elapsed().as_secs_f64();
        let Some(seconds) = budget::allot(&costs, time)[0] else {
            return Ok(Err(Skipped::time(&job, costs[0], self.args.seconds, &self.others())));
        };
        while self.args.batch.is_none()
            && job.batch > 1
            && budget::seconds(&job, rates, budget::FEW_STEPS)? > seconds
        {
            job.batch /= 2;
        }
        Ok(Ok((job, seconds)))
    }

    /// Options that a row takes with it where it is measured alone.
    fn others(&self) -> String {
        let args = self.args;
        let mut others = String::new();
        let given = [
            (args.image != 224).then(|| format!(" --image {}", args.image)),
            (args.mask_ratio != 0.6).then(|| format!(" --mask-ratio {}", args.mask_ratio)),
            args.batch.map(|batch| format!(" --batch {batch}")),
            args.warmup.map(|warmup| format!(" --warmup {warmup}")),
            args.threads.map(|threads| format!(" --threads {threads}")),
            args.data.as_ref().map(|data| format!(" --data {}", output::quoted(data))),
        ];
        others.extend(given.into_iter().flatten());
        others + &args.device.again()
    }

    /// Measures one row in a process of its own.
    fn row(&self, job: &Job, seconds: f64, pictures: Option<&Path>) -> Result<Row> {
        let began = Instant::now();
        let mut worker = Worker::start(job, &self.args.device, self.threads, pictures)?;
        // What a GPU could do at best is no product of the processor.
        let has_rate = job.work != Work::Load && matches!(self.backend, Backend::Cpu);
        let before = if has_rate { Some(worker.matrix()?) } else { None };

        let first = worker.steps(self.args.warmup.unwrap_or(1))?;
        let mut step = first.seconds.last().copied().unwrap_or(0.0);
        if self.args.warmup.is_none() && step < SHORT * seconds {
            step = worker.steps(1)?.seconds.first().copied().unwrap_or(step);
        }
        let left = seconds - began.elapsed().as_secs_f64() - budget::MATRIX_SECONDS;
        let fitting = ((left / step.max(1e-6)) as usize).clamp(1, MOST_STEPS);
        let timed = worker.steps(self.args.steps.map_or(fitting, |steps| steps.get()))?;
        let after = if has_rate { Some(worker.matrix()?) } else { None };
        worker.end()?;
        // The median of two.
        let matrix = before.zip(after).map(|(before, after)| (before + after) / 2.0);
        Row::new(job, &timed, matrix)
    }

    /// The folder of pictures to load.
    fn pictures(&self) -> Result<Pictures> {
        if let Some(folder) = &self.args.data {
            return Ok(Pictures::Given(folder.clone()));
        }
        let folder = tempfile::Builder::new()
            .prefix("fcmae-bench-")
            .tempdir()
            .context("cannot create a folder for pictures to load")?;
        write_pictures(folder.path(), worker::loaded(self.threads))?;
        Ok(Pictures::Drawn(folder))
    }
}

/// Where the pictures to load are; drawn ones are removed with it.
enum Pictures {
    Given(PathBuf),
    Drawn(TempDir),
}

impl Pictures {
    fn path(&self) -> &Path {
        match self {
            Self::Given(folder) => folder,
            Self::Drawn(folder) => folder.path(),
        }
    }
}
