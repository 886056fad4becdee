//! `fcmae experiment`: variants of a training, each with several seeds, from one file.
//!
//! ```text
//! FILE.toml ─ definition ─▶ plan ─▶ jobs in order ─ job ─▶ outcomes ─ outcome ─▶ results.jsonl
//!                            ▲                                │                  table.csv, figure.svg, report.html
//!                            └─ settings chosen by the search ┘
//! ```
//! A job is a normal run of pre-training or fine-tuning in a folder named after a hash of all that its result
//! follows from. So a pre-training that several fine-tunings start from is made once, whatever stops the
//! program costs at most a save interval, and a table depends on the outcomes alone.

mod definition;
mod estimate;
mod job;
mod outcome;
mod places;
mod plan;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use fcmae_data::source::printable;
use fcmae_store::run::lock;

use crate::failure::{Stopped, Usage, joined};
use crate::interrupt::Interrupt;
use crate::options::DeviceArg;
use crate::output;
use crate::progress::Progress;
use crate::text_table::{Align, Table};
use definition::Part;
use estimate::Speeds;
use fcmae_words::counted;
use fcmae_words::terminal::duration;
use job::Ended;
use outcome::{Kind, Outcome};
use places::Places;
use plan::{Job, Outcomes, Plan};

/// Train variants with several seeds each, and compare them on separate test pictures
#[derive(Args)]
#[command(after_help = "\
experiments/README.md describes the file. Runs go to OUT/runs. Results go to OUT/results/NAME: results.jsonl, \
table.csv, figure.svg, report.html. After a stop, the same command continues where it stopped. Only what a \
change in the file affects is done again.

Examples:
  fcmae experiment experiments/sparse-or-dense.toml --data sets --out runs/experiments --dry-run
  fcmae experiment experiments/sparse-or-dense.toml --data sets --out runs/experiments
  fcmae experiment experiments/queue.toml --data sets --out runs/experiments")]
pub(crate) struct Experiment {
    /// An experiment, or a queue of experiments
    #[arg(value_name = "FILE.toml")]
    file: PathBuf,

    /// Folder of the pictures that the file names [default: the folder of the file]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,

    /// Folder for runs and results
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,

    /// Folder for the results [default: OUT/results]. Results that are already there are not computed again
    #[arg(long, value_name = "FOLDER")]
    results: Option<PathBuf>,

    #[command(flatten)]
    device: DeviceArg,

    /// Only try a few steps of each kind of run, and estimate the time of all
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &Experiment) -> Result<()> {
    args.device.choose()?;
    let entries = definition::entries(&args.file)?;
    if let Some(data) = &args.data {
        output::refuse_missing(data, "folder")?;
    }
    // All are read first: a mistake in the last one is told before the first one has run for days.
    let mut plans: Vec<(Plan, Part)> = entries
        .iter()
        .map(|entry| Ok((Plan::read(&entry.file)?, entry.part)))
        .collect::<Result<_>>()?;
    for (place, (plan, _)) in plans.iter().enumerate() {
        let Plan { experiment, .. } = plan;
        let same = |(other, _): &&(Plan, Part)| {
            other.experiment.name == experiment.name && other.experiment.path != experiment.path
        };
        if let Some((other, _)) = plans[..place].iter().find(same) {
            let (one, other) = (printable(&other.experiment.path), printable(&experiment.path));
            let text = "have the same name, and so the same folder of results; rename one";
            return Err(Usage(format!("{one} and {other} {text}")).into());
        }
    }
    let beside = args.file.parent().unwrap_or(Path::new("")).to_owned();
    let bench = Bench {
        places: Places {
            runs: args.out.join("runs"),
            data: args.data.clone().unwrap_or(beside),
            device: args.device.device.clone(),
            precision: args.device.precision,
        },
        results: args.results.clone().unwrap_or_else(|| args.out.join("results")),
        again: again(args),
    };
    if args.dry_run {
        return bench.estimate(&mut plans);
    }
    for folder in [&bench.places.runs, &bench.results] {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", printable(folder)))?;
    }
    let locks = [lock::take(&args.out)?, lock::take(&bench.results)?];
    let without: BTreeSet<&String> = locks.iter().filter_map(|lock| lock.as_ref().err()).collect();
    without.into_iter().for_each(|reason| output::note(reason));
    let interrupt = Interrupt::listen()?;
    let mut failed = Vec::new();
    let single = plans.len() == 1;
    for (plan, part) in &mut plans {
        match bench.work_off(plan, *part, &interrupt) {
            Ok(()) => {}
            Err(error) if error.is::<Stopped>() || single => return Err(error),
            Err(error) => {
                let name = &plan.experiment.name;
                output::note(&format!(
                    "{name} cannot continue; trying the next: {}",
                    joined(&error)
                ));
                failed.push(name.clone());
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(anyhow!("of {} experiments these could not be done: {}", plans.len(), failed.join(", ")))
}

/// The command that goes on.
fn again(args: &Experiment) -> String {
    let mut command = format!("{} experiment {}", output::program(), output::quoted(&args.file));
    let options =
        [("--data", &args.data), ("--out", &Some(args.out.clone())), ("--results", &args.results)];
    for (option, path) in options {
        if let Some(path) = path {
            command += &format!(" {option} {}", output::quoted(path));
        }
    }
    command + &args.device.again()
}

/// Where experiments are made.
struct Bench {
    places: Places,
    results: PathBuf,
    /// The command that goes on after a stop.
    again: String,
}

impl Bench {
    /// Makes all jobs of an experiment that are not done, and tells what it found.
    fn work_off(&self, plan: &mut Plan, part: Part, interrupt: &Interrupt) -> Result<()> {
        plan.look(&self.places)?;
        let mut outcomes = self.recorded(plan)?;
        self.write(plan, &mut outcomes)?;
        self.places.clear_done(outcomes.keys());
        while let Some((job, place, all)) = self.next(plan, part, &mut outcomes)? {
            let name = &plan.experiment.name;
            output::note(&format!("{name}  {} of {all}: {}", place + 1, plan.describe_one(&job)));
            let mut progress = Progress::new(name).until(interrupt.clone());
            let ended = job::make(&self.places, &job, &mut |event| progress.observe(&event));
            progress.finish();
            let about =
                || format!("{}, {}", printable(&plan.experiment.path), plan.describe_one(&job));
            match ended.with_context(about)? {
                Ended::Stopped { step } => {
                    return Err(Stopped { step, unit: "step", resume: self.again.clone() }.into());
                }
                Ended::Done(outcome) => {
                    output::note(&format!("{name}  {}", told(&outcome)));
                    outcomes.insert(job.key.clone(), *outcome);
                    self.write(plan, &mut outcomes)?;
                    self.places.clear_done([&job.key]);
                }
            }
        }
        self.write(plan, &mut outcomes)?;
        self.tell(plan, &outcomes)
    }

    /// What is known of an experiment from an earlier call, here or elsewhere.
    fn recorded(&self, plan: &Plan) -> Result<Outcomes> {
        let mut outcomes: Outcomes = outcome::read(&self.results_of(plan))?
            .into_iter()
            .map(|line| (line.outcome.key.clone(), line.outcome))
            .collect();
        let jobs = self.adopt(plan, Part::WHOLE, &mut outcomes)?;
        let other = outcomes.keys().filter(|key| !jobs.iter().any(|job| job.key == **key)).count();
        if other > 0 {
            output::note(&format!(
                "{}: {} {} from other settings or pictures than the present ones: kept, but not counted",
                plan.experiment.name,
                counted(other, "result"),
                if other == 1 { "is" } else { "are" },
            ));
        }
        Ok(outcomes)
    }

    /// Takes over what runs here have come to. What settings are chosen decides which jobs there are, so it
    /// is looked at again until nothing is new.
    fn adopt(&self, plan: &Plan, part: Part, outcomes: &mut Outcomes) -> Result<Vec<Job>> {
        loop {
            let jobs = plan.jobs(outcomes, part)?;
            let mut news = false;
            for job in jobs.iter().filter(|job| !job.undecided) {
                if !outcomes.contains_key(&job.key)
                    && let Some(outcome) = self.places.outcome(job.kind(), &job.key)?
                {
                    outcomes.insert(job.key.clone(), outcome);
                    news = true;
                }
            }
            if !news {
                return Ok(jobs);
            }
        }
    }

    /// The next job to be made, its place, and how many there are.
    fn next(
        &self,
        plan: &Plan,
        part: Part,
        outcomes: &mut Outcomes,
    ) -> Result<Option<(Job, usize, usize)>> {
        loop {
            let jobs = self.adopt(plan, part, outcomes)?;
            let undone = |job: &Job| !outcomes.contains_key(&job.key);
            let Some(place) = jobs.iter().position(undone) else { return Ok(None) };
            let mut job = &jobs[place];
            loop {
                let ready = Ok(Some((job.clone(), place, jobs.len())));
                let Some(from) = job.from() else { return ready };
                let start = self.places.outcome(Kind::Pretrain, from)?;
                match start.as_ref().or_else(|| outcomes.get(from)) {
                    Some(Outcome { failed: Some(why), .. }) => {
                        let why = format!("its pre-training failed: {why}");
                        let outcome = Outcome { failed: Some(why), ..Outcome::of(job) };
                        outcomes.insert(job.key.clone(), outcome);
                        break;
                    }
                    // Its result may be known from another machine, and its weights not be here.
                    _ if start.is_none() => {
                        let start = jobs.iter().find(|job| job.key == from);
                        job = start.context("a job's pre-training is among the jobs")?;
                    }
                    _ => return ready,
                }
            }
        }
    }

    fn results_of(&self, plan: &Plan) -> PathBuf {
        self.results.join(&plan.experiment.name).join("results.jsonl")
    }

    /// Writes the results so far. What the file holds beside them stays: results that others added meanwhile,
    /// which count from now on, and those of other settings.
    fn write(&self, plan: &Plan, outcomes: &mut Outcomes) -> Result<()> {
        let file = self.results_of(plan);
        let held = outcome::read(&file)?;
        for line in &held {
            let Outcome { key, .. } = &line.outcome;
            outcomes.entry(key.clone()).or_insert_with(|| line.outcome.clone());
        }
        let jobs = plan.jobs(outcomes, Part::WHOLE)?;
        let mut lines = plan.lines(&jobs, outcomes);
        let known: BTreeSet<String> = lines.iter().map(|line| line.outcome.key.clone()).collect();
        lines.extend(held.into_iter().filter(|line| !known.contains(&line.outcome.key)));
        if lines.is_empty() {
            return Ok(());
        }
        let folder = self.results.join(&plan.experiment.name);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", printable(&folder)))?;
        outcome::write(&file, &lines)?;
        let findings = plan.findings(&jobs, outcomes);
        output::write_file(&folder.join("table.csv"), findings.to_csv().as_bytes())?;
        output::write_file(&folder.join("figure.svg"), findings.figure().to_svg().as_bytes())?;
        output::write_file(&folder.join("report.html"), findings.to_html().as_bytes())?;
        if let Some(chart) = findings.distance_chart() {
            output::write_file(&folder.join("distance.svg"), chart.to_svg().as_bytes())?;
        }
        Ok(())
    }

    /// Prints the table.
    fn tell(&self, plan: &Plan, outcomes: &Outcomes) -> Result<()> {
        let findings = plan.findings(&plan.jobs(outcomes, Part::WHOLE)?, outcomes);
        let folder = self.results.join(&plan.experiment.name);
        output::print(&format!(
            "{}\n\n{}\nreport  {}\n\n",
            findings.title,
            table(&findings),
            printable(&folder.join("report.html"))
        ))
    }

    /// Says what is to be done, in what order, and how long it would take.
    fn estimate(&self, plans: &mut [(Plan, Part)]) -> Result<()> {
        let mut speeds = Speeds::default();
        let (mut all, mut failed) = (0.0, 0);
        let mut planned = BTreeSet::new();
        for (plan, part) in &mut *plans {
            let name = plan.experiment.name.clone();
            match self.estimate_one(plan, *part, &mut speeds, &mut planned) {
                Ok(seconds) => all += seconds,
                Err(error) => {
                    failed += 1;
                    output::print(&format!("{name} cannot be run: {}\n\n", joined(&error)))?;
                }
            }
        }
        let some = if failed > 0 { " for those that can be run" } else { "" };
        output::print(&match (all > 0.0, failed == plans.len()) {
            (true, _) => format!(
                "about {} in all{some}, without evaluations, while nothing else runs on this machine\n",
                duration(Duration::from_secs_f64(all))
            ),
            (false, true) => "nothing was measured\n".to_owned(),
            (false, false) => format!("no training is left{some}\n"),
        })?;
        match failed {
            0 => Ok(()),
            _ => Err(anyhow!("{failed} of {} cannot be run", counted(plans.len(), "experiment"))),
        }
    }

    /// Prints what is left of an experiment; the seconds of it.
    fn estimate_one(
        &self,
        plan: &mut Plan,
        part: Part,
        speeds: &mut Speeds,
        planned: &mut BTreeSet<Planned>,
    ) -> Result<f64> {
        plan.look(&self.places)?;
        let mut outcomes = self.recorded(plan)?;
        let jobs = self.adopt(plan, part, &mut outcomes)?;
        let name = &plan.experiment.name;
        let all_seeds = plan.experiment.seeds.len();
        // What an entry before this one makes is done when this one's turn comes. Runs that several
        // experiments share are known by their keys.
        let planned_as = |job: &Job| match job.undecided {
            true => Planned::Undecided(name.clone(), job.variant, job.budget, job.seed),
            false => Planned::Run(job.key.clone()),
        };
        let known = |job: &Job| !job.undecided && outcomes.contains_key(&job.key);
        let done = |job: &Job| known(job) || planned.contains(&planned_as(job));
        let (table, left) = speeds.table(plan, &jobs, &done, &self.places)?;
        let time = match left > 0.0 {
            true => format!("about {}", duration(Duration::from_secs_f64(left))),
            false => "no training".to_owned(),
        };
        output::print(&format!(
            "{name}: {}\n{time} left for {} of {}\n\n{table}\n",
            plan.experiment.title,
            part.seeds.min(all_seeds),
            counted(all_seeds, "seed"),
        ))?;
        planned.extend(jobs.iter().map(planned_as));
        Ok(left)
    }
}

/// A job that a dry run has counted.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Planned {
    /// By its key.
    Run(String),
    /// Whose settings are still to be chosen, and so has no key yet: experiment, variant, budget, seed.
    Undecided(String, usize, usize, u64),
}

/// What a job came to, in a line.
fn told(outcome: &Outcome) -> String {
    let time = duration(Duration::from_secs_f64(outcome.seconds));
    match (&outcome.test, &outcome.failed, outcome.loss) {
        (_, Some(why), _) => format!("no result: {why}"),
        (Some(test), ..) => format!("top-1 {:.2}% in {time}", 100.0 * test.top1),
        (None, None, Some(loss)) => format!("loss {loss:.4} in {time}"),
        (None, None, None) => format!("measured in {time}"),
    }
}

/// The table for a terminal.
fn table(findings: &fcmae_report::Experiment) -> String {
    let mut table = Table::new([
        ("budget", Align::Left),
        ("variant", Align::Left),
        ("seeds", Align::Right),
        ("top-1 %", Align::Right),
        ("std", Align::Right),
        ("difference", Align::Right),
        ("std. error", Align::Right),
        ("p", Align::Right),
    ]);
    let share =
        |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{:.1}", 100.0 * value));
    for budget in &findings.budgets {
        for (variant, cell) in budget.cells.iter().enumerate() {
            let paired = budget.difference(variant, findings.baseline);
            table.row([
                budget.name.clone(),
                findings.variants[variant].clone(),
                format!("{} of {}", cell.scores.len(), findings.seeds),
                share(cell.mean()),
                share(cell.std()),
                paired.map_or("-".to_owned(), |paired| format!("{:+.1}", 100.0 * paired.mean)),
                share(paired.map(|paired| paired.standard_error)),
                paired.map_or("-".to_owned(), |paired| paired.p_in_words().replace("= ", "")),
            ]);
        }
    }
    table.text()
}
