//! A process that measures one row when it is told to, so that nothing but the row's own work counts
//! into its memory.
//!
//! It is this program with `--worker`. It reads a line, does what it says, and answers with a line of
//! JSON; then it waits, without computing, until there is another or its input ends:
//! - `matrix`: `{"matrix_gflops": 131.2}`;
//! - a number of steps: `{"seconds": [0.41, 0.42], "images": 16, "gflop_per_image": 2.19,
//!   "peak_memory_bytes": 320110592}`. The network is made, untimed, before the first.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use fcmae::engine::backend::Backend;
use fcmae::engine::machine;
use fcmae::measure::bench::{Bench, Job, LOADED_AT_ONCE, Work};
use serde::{Deserialize, Serialize};

use crate::failure::Usage;
use crate::options::DeviceArg;
use crate::output;

/// Batches that the loader makes of the pictures in one step: enough that all threads have work.
const LOADED_BATCHES: usize = 2;

/// The answer to a number of steps.
#[derive(Serialize, Deserialize)]
pub(super) struct Timed {
    /// Of each step.
    pub(super) seconds: Vec<f64>,
    /// Images of one step.
    pub(super) images: usize,
    /// What has to be computed; none in loading.
    pub(super) gflop_per_image: Option<f64>,
    /// The most that the process has had so far, where the system tells.
    pub(super) peak_memory_bytes: Option<u64>,
    /// What was told beforehand; 0 for loading.
    pub(super) memory_estimate_bytes: u64,
}

/// The answer to `matrix`.
#[derive(Serialize, Deserialize)]
struct Matrix {
    matrix_gflops: f64,
}

/// Pictures that are loaded in a step, for so many threads.
pub(super) fn loaded(threads: usize) -> usize {
    LOADED_AT_ONCE * LOADED_BATCHES.max(threads)
}

/// The worker's side, until its input ends.
pub(super) fn serve(
    job: &Job,
    backend: &Backend,
    data: Option<&Path>,
    threads: usize,
) -> Result<()> {
    let has_network = job.work != Work::Load;
    let gflop_per_image = if has_network { Some(job.gflop_per_image()?) } else { None };
    let mut bench = None;
    for line in io::stdin().lock().lines() {
        let line = line.context("cannot read standard input")?;
        if line == "matrix" {
            answer(&Matrix { matrix_gflops: machine::matrix_gflops()? })?;
            continue;
        }
        let Ok(steps) = line.parse::<usize>() else {
            let text = format!("`{line}` is neither `matrix` nor a number of steps");
            return Err(Usage(text).into());
        };
        let bench = match &mut bench {
            Some(bench) => bench,
            none => none.insert(make(job, backend, data, threads)?),
        };
        let seconds = (0..steps).map(|_| bench.step()).collect::<fcmae::Result<_>>()?;
        // The process's own memory says nothing of a GPU's.
        let on_processor = matches!(backend, Backend::Cpu);
        let peak_memory_bytes = machine::peak_memory().filter(|_| on_processor);
        let images = bench.images();
        answer(&Timed {
            seconds,
            images,
            gflop_per_image,
            peak_memory_bytes,
            memory_estimate_bytes: job.memory_estimate(backend)?,
        })?;
    }
    Ok(())
}

fn make(job: &Job, backend: &Backend, data: Option<&Path>, threads: usize) -> Result<Bench> {
    if job.work != Work::Load {
        return Ok(Bench::network(job, backend)?);
    }
    let folder = data.ok_or_else(|| Usage("--worker --work load needs --data".to_owned()))?;
    Ok(Bench::load(folder, loaded(threads), job.image, threads)?)
}

fn answer(value: &impl Serialize) -> Result<()> {
    output::print(&(serde_json::to_string(value)? + "\n"))
}

/// The other side: a worker that was started.
pub(super) struct Worker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Worker {
    pub(super) fn start(
        job: &Job,
        device: &DeviceArg,
        threads: usize,
        data: Option<&Path>,
    ) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut command = Command::new(program);
        command.args(["bench", "--worker", "--work", job.work.name(), "--size", job.size.name()]);
        for (option, value) in [
            ("--image", job.image.to_string()),
            ("--batch", job.batch.to_string()),
            ("--mask-ratio", job.mask_ratio.to_string()),
            ("--threads", threads.to_string()),
        ] {
            command.args([option, &value]);
        }
        for setting in device.arguments() {
            command.args(setting);
        }
        if let Some(data) = data.filter(|_| job.work == Work::Load) {
            command.arg("--data").arg(data);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start another process of this program")?;
        let pipes = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(output)) = pipes else { bail!("the new process has no pipes") };
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    pub(super) fn matrix(&mut self) -> Result<f64> {
        Ok(self.ask::<Matrix>("matrix")?.matrix_gflops)
    }

    pub(super) fn steps(&mut self, steps: usize) -> Result<Timed> {
        self.ask(&steps.to_string())
    }

    /// Tells it that there is no more, and waits for its end.
    pub(super) fn end(mut self) -> Result<()> {
        drop(self.input);
        self.child.wait().context("cannot wait for the process to end")?;
        Ok(())
    }

    fn ask<T: for<'a> Deserialize<'a>>(&mut self, line: &str) -> Result<T> {
        let mut answer = String::new();
        let asked = writeln!(self.input, "{line}")
            .and_then(|()| self.input.flush())
            .and_then(|()| self.output.read_line(&mut answer));
        match asked {
            Ok(length) if length > 0 => Ok(serde_json::from_str(&answer)?),
            _ => Err(self.ended()),
        }
    }

    /// Why there is no answer.
    fn ended(&mut self) -> anyhow::Error {
        match self.child.wait() {
            Ok(status) if status.code().is_none() => {
                anyhow!("its process was ended ({status}); was there too little memory?")
            }
            Ok(status) => anyhow!("its process ended early ({status})"),
            Err(error) => anyhow!("its process is lost: {error}"),
        }
    }
}
