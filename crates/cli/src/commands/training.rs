//! What `fcmae pretrain` and `fcmae finetune` are given and do alike: options, from `--config` and `--set` to checked
//! settings, a run that is only tried ([`dry_run`]), one that is watched, and how a stopped one goes on.

mod agreement;
mod dry_run;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Result;
use clap::{Arg, Args};
use fcmae::config::{OptimConfig, Settings, commented, over_defaults};
use fcmae::engine::backend::Backend;
use fcmae::error::ConfigError;
use fcmae::network::memory::{Footprint, Memory};
use fcmae::training::{Event, Flow, Resume, Start, StartWeights};
use fcmae_data::source::printable;
use fcmae_store::Record;
use fcmae_store::run::files;
use fcmae_store::run::schema::{Facts, Kind};
use fcmae_words::counted;

use crate::failure::{Stopped, Usage};
use crate::interrupt::Interrupt;
use crate::options::DeviceArg;
use crate::output;
use crate::progress::Progress;
use crate::recipes;
use crate::reporter::Reporter;
use crate::runs::refuse_no_run;

pub(super) use agreement::{Asked, agree_with};
pub(super) use dry_run::try_out;

/// The word that stands for no weights at all. A run of that name is `./scratch`.
const SCRATCH: &str = "scratch";

/// The weights that `--from` names, if any.
pub(super) fn named(from: Option<&Path>) -> Option<&Path> {
    from.filter(|weights| *weights != Path::new(SCRATCH))
}

/// What a run begins from: these weights of `--from`, or those that a run recorded which goes on without it.
pub(super) fn start<'a>(
    from: Option<&Path>,
    weights: Option<&'a StartWeights>,
    run: &RunArgs,
) -> Start<'a> {
    match weights {
        Some(weights) => Start::Read(weights),
        None if from.is_none() && run.resume => Start::Recorded,
        None => Start::Scratch,
    }
}

/// `--from` as the command that goes on with a run is given it, with a space before it.
pub(super) fn again_from(from: Option<&Path>) -> String {
    from.map_or(String::new(), |from| format!(" --from {}", output::quoted(from)))
}

/// What every training run is given.
#[derive(Args)]
pub(crate) struct RunArgs {
    /// Folders of pictures, with any folders inside them; or .tar, .csv, .tsv, .txt or .parquet files. Several form
    /// one set
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1.., required_unless_present = "print_config")]
    pub(crate) data: Vec<PathBuf>,

    /// Folder for the run: settings, metrics, checkpoints. It must be new or empty
    #[arg(long, value_name = "RUN", required_unless_present = "print_config")]
    pub(crate) out: Option<PathBuf>,

    /// Only try a few steps: show how long the run would take, how much memory it would need, and its
    /// first pictures
    #[arg(long, conflicts_with_all = ["resume", "print_config"])]
    pub(crate) dry_run: bool,

    /// Resume the run in --out from its newest checkpoint, with its recorded settings. With --set, some settings can
    /// be changed for the remaining steps, such as optim.base_lr and optim.epochs
    #[arg(long)]
    pub(crate) resume: bool,
}

impl RunArgs {
    /// The pictures and the folder of a run that is not only to be printed.
    pub(crate) fn folders(&self) -> (&[PathBuf], &Path) {
        let required = "the command line is refused without it, except with --print-config";
        (&self.data, self.out.as_deref().expect(required))
    }
}

/// Where settings come from: the defaults, then a recipe, then single values.
#[derive(Args)]
#[command(next_help_heading = "Settings", mut_args(with_its_setting_as_default))]
pub(crate) struct SettingsArgs {
    /// Recipe: a TOML file, or the name of a built-in one, such as pretrain-small
    #[arg(long, value_name = "FILE|NAME")]
    pub(crate) config: Option<PathBuf>,

    /// Set one value, overriding the recipe, as in `optim.epochs=50`. Can be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,

    /// Pictures in one forward and backward pass: a number, or `auto` for as many as memory allows. With
    /// `auto`, batches are accumulated so that an update keeps its size
    #[arg(long, value_name = "N|auto")]
    pub(crate) batch: Option<Batch>,

    #[command(flatten)]
    pub(crate) device: DeviceArg,

    /// Print all settings as they would be used, as TOML, and exit
    #[arg(long)]
    pub(crate) print_config: bool,
}

/// An option, whose default is the setting of the same name where other commands have `auto`.
fn with_its_setting_as_default(option: Arg) -> Arg {
    let help = option.get_help().map_or_else(String::new, ToString::to_string);
    let setting = format!("[default: the setting `{}`]", option.get_id());
    option.help(help.replace("[default: auto]", &setting))
}

/// How many pictures are computed at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batch {
    /// As many as memory holds.
    Auto,
    Of(NonZeroUsize),
}

impl FromStr for Batch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text.parse().map(Self::Of).map_err(|_| "use a number or `auto`".to_owned()),
        }
    }
}

/// Settings, as `key=value`, that follow from what a command is given besides recipe and `--set`.
#[derive(Clone, Copy, Default)]
pub(super) struct Own<'a> {
    /// In place of defaults.
    pub(super) defaults: &'a [String],
    /// Over all others.
    pub(super) over_all: &'a [String],
}

/// The settings of a run.
///
/// Without `--config`, a run that is resumed keeps the settings recorded in its folder. `own` are values from what the
/// command is given besides: some in place of defaults, others over all. `whole` fills in what is not known before
/// weights are read, so that memory can be planned.
pub(super) fn settings<T: Settings + Footprint>(
    kind: Kind,
    run: &RunArgs,
    given: &SettingsArgs,
    own: Own<'_>,
    whole: impl Fn(&T) -> fcmae::Result<T>,
) -> Result<T> {
    if let Some(out) = &run.out {
        output::refuse_tilde(out, "--out")?;
    }
    if let (true, Some(out)) = (run.resume, &run.out) {
        refuse_no_run(out, ", so there is nothing to resume")?;
        refuse_other_kind(out, kind)?;
    }
    let recipe = match (&given.config, &run.out) {
        (Some(config), _) => Some(recipes::find("--config", config)?),
        (None, Some(out)) if run.resume => {
            let recorded = fcmae_store::durable::whole(&out.join(files::CONFIG));
            // Where there is none the library says what is missing for a run to be resumed.
            match recorded.is_file() {
                true => Some(recipes::read(&recorded)?),
                false => Record::read(out).ok().map(|record| (files::RUN.into(), record.config)),
            }
        }
        _ => None,
    };
    let recipe = recipe.as_ref().map(|(origin, text)| (origin.as_str(), text.as_str()));
    let mut set = given.set.clone();
    let sets_batch = |given: &String| given.split('=').next().map(str::trim) == Some("optim.batch");
    if matches!(given.batch, Some(Batch::Of(_))) && set.iter().any(sets_batch) {
        let text = "--batch and --set optim.batch give the same setting: leave one of them out";
        return Err(Usage(text.to_owned()).into());
    }
    if let Some(Batch::Of(batch)) = given.batch {
        set.push(format!("optim.batch={batch}"));
    }
    set.extend(given.device.settings());
    set.extend_from_slice(own.over_all);
    let mut settings: T =
        over_defaults(own.defaults, recipe, &set).map_err(|error| at(error, recipe, &set))?;
    if !run.resume {
        settings.check_new()?;
    }
    if given.batch == Some(Batch::Auto) {
        let backend = settings.backend()?;
        let memory = whole(&settings)?.memory(&backend).map_err(fcmae::Error::from)?;
        fit(settings.optim_mut(), memory, &backend)?;
    }
    // Before pictures are looked at, which may take long. Settings may be printed for another machine.
    if !given.print_config {
        settings.device()?;
    }
    Ok(settings)
}

/// Prints settings as a recipe: `--print-config`.
///
/// # Errors
/// As [`output::print`].
pub(super) fn print<T: Settings>(settings: &T) -> Result<()> {
    output::print(&commented(settings))
}

/// Refuses a run that is taken up by the command for the other kind of run.
fn refuse_other_kind(out: &Path, kind: Kind) -> Result<()> {
    // Where it is no run at all, the library says what is missing.
    let recorded = Record::read(out).ok().and_then(|record| Facts::read(&record.facts).ok());
    let name = |kind| match kind {
        Kind::Pretraining => "pre-training",
        Kind::Finetuning => "fine-tuning",
    };
    match recorded {
        Some(facts) if facts.kind != kind => {
            let (name, command) = (name(facts.kind), facts.kind.command());
            let out = printable(out);
            Err(Usage(format!(
                "{out} is a {name} run: continue it with `fcmae {command} --resume`"
            ))
            .into())
        }
        _ => Ok(()),
    }
}

/// The settings that are given beside `--resume`, which may be others than the recorded ones.
pub(super) fn changing(given: &SettingsArgs) -> Vec<String> {
    let key = |assignment: &String| assignment.split('=').next().map(|key| key.trim().to_owned());
    let batch = ["optim.batch", "optim.accumulation"].map(str::to_owned);
    let batch = given.batch.iter().flat_map(|_| batch.clone());
    given.set.iter().filter_map(key).chain(batch).collect()
}

/// How the run of these options begins. `changing`: the settings that [`changing`] found.
pub(super) fn resume<'a>(run: &RunArgs, changing: &'a [String]) -> Resume<'a> {
    if run.resume { Resume::Yes { changing } } else { Resume::No }
}

/// Makes the batch as large as memory holds, and the updates what they were.
fn fit(optim: &mut OptimConfig, memory: Memory, backend: &Backend) -> Result<()> {
    let Some(free) = backend.free_memory() else {
        let text = "--batch auto: free memory is unknown on this system; give a number";
        return Err(Usage(text.to_owned()).into());
    };
    let (batch, accumulation) = memory.fitting_batch(optim.batch * optim.accumulation, free);
    (optim.batch, optim.accumulation) = (batch, accumulation);
    output::note(&format!(
        "batch  {} at a time, {} per update: about {} MiB of {} free",
        counted(batch, "picture"),
        counted(accumulation, "pass"),
        memory.with(batch) >> 20,
        free >> 20
    ));
    Ok(())
}

/// Says where an unknown setting was given; the other errors say it themselves.
fn at(error: ConfigError, recipe: Option<(&str, &str)>, set: &[String]) -> anyhow::Error {
    let ConfigError::UnknownKey { key, .. } = &error else { return error.into() };
    let assigned = |given: &&String| given.split('=').next().is_some_and(|name| name.trim() == key);
    let origin = match (set.iter().find(assigned), recipe) {
        (Some(given), _) => format!("--set {given}"),
        (None, Some((origin, _))) => origin.to_owned(),
        (None, None) => return error.into(),
    };
    anyhow::Error::new(error).context(origin)
}

/// Runs `train`, shows its progress, and keeps the run's report. Gives what it came to, and where the report is.
///
/// # Errors
/// Those of `train`.
pub(super) fn watched<T>(
    command: &str,
    out: &Path,
    train: impl FnOnce(&mut dyn FnMut(Event<'_>) -> Flow) -> fcmae::Result<T>,
) -> Result<(T, Option<PathBuf>)> {
    let mut reporter = Reporter::of(out);
    let mut progress = Progress::new(command).until(Interrupt::listen()?);
    let outcome = train(&mut |event| {
        reporter.observe(&event);
        progress.observe(&event)
    });
    progress.finish();
    // Of a run that failed, the report says why.
    let report = if reporter.has_begun() { reporter.write() } else { None };
    Ok((outcome?, report))
}

/// A run that was stopped after `step`, and the command that goes on with it. `start`: what the command is told of
/// where the run began, with a space before it.
pub(super) fn stopped(
    command: &str,
    run: &RunArgs,
    start: &str,
    device: &DeviceArg,
    step: u64,
) -> Stopped {
    let (data, out) = run.folders();
    let (data, out) = (output::arguments(data), output::quoted(out));
    let (fcmae, device) = (output::program(), device.again());
    let resume = format!("{fcmae} {command} --data {data}{start} --out {out} --resume{device}");
    Stopped { step, unit: "step", resume }
}
