//! The command line: one definition of each option feeds parsing and help.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use fcmae::backend::{Backend, Precision};
use fcmae::bench::Work;
use fcmae::config::Size;
use fcmae::device::Device;
use fcmae::error::ConfigError;

use crate::output;

const EXIT_CODES: &str = "\
Results go to standard output, progress and notes to standard error.
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C (a run is saved first).

A first look, without any data of your own:  fcmae demo";

/// Masked-autoencoder pre-training for ConvNeXt V2: learn from unlabelled pictures, fine-tune on
/// few labels, predict
#[derive(Parser)]
#[command(name = "fcmae", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Demo(Demo),
    Pretrain(Pretrain),
    Finetune(Finetune),
    Evaluate(Evaluate),
    Predict(Predict),
    Reconstruct(Reconstruct),
    Diversity(Diversity),
    Inspect(Inspect),
    Stats(Stats),
    Report(Report),
    Experiment(Experiment),
    Export(Export),
    Bench(Bench),
    Doctor(Doctor),
    Settings(crate::commands::settings::Settings),
    Completions(Completions),
    Man(Man),
}

/// See it all at work: pre-train, fine-tune and predict on bundled emoji, in minutes
#[derive(Args)]
#[command(after_help = "\
Examples:
  fcmae demo --out /tmp/fcmae-demo
  fcmae demo --first-seed 100 --out /tmp/fcmae-demo-100")]
pub(crate) struct Demo {
    /// Folder for pictures, runs and results; it must not exist yet, or be empty
    #[arg(long, value_name = "FOLDER", default_value = "fcmae-demo")]
    pub(crate) out: PathBuf,

    /// Random seeds for which pre-trained and from scratch are compared
    #[arg(long, value_name = "N", default_value_t = 8,
        value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(crate) seeds: u64,

    /// The first of these seeds, and the seed of the pre-training: another one is another demo
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub(crate) first_seed: u32,

    #[command(flatten)]
    pub(crate) device: DeviceArg,

    /// Only see that everything runs: far too few epochs for numbers that mean anything
    #[arg(long)]
    pub(crate) quick: bool,
}

impl Demo {
    pub(crate) fn first_seed(&self) -> u64 {
        u64::from(self.first_seed)
    }

    /// The seeds that are compared.
    pub(crate) fn seeds(&self) -> Range<u64> {
        self.first_seed()..self.first_seed() + self.seeds
    }
}

/// Pre-train an encoder on pictures without labels
#[derive(Args)]
#[command(
    override_usage = "fcmae pretrain --data <FOLDER|FILE> --out <RUN> [OPTIONS]",
    after_help = "\
Examples:
  fcmae pretrain --data photos --out runs/pre --config pretrain-small
  fcmae pretrain --data photos --out runs/pre --set model.size=tiny --set data.image_size=[160,160]
  fcmae pretrain --data photos more-photos --out runs/pre --batch auto --dry-run
  fcmae pretrain --data photos --out runs/pre --resume"
)]
pub(crate) struct Pretrain {
    #[command(flatten)]
    pub(crate) run: RunArgs,

    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

/// Train a classifier, from pre-trained weights or from scratch
#[derive(Args)]
#[command(
    override_usage = "fcmae finetune --data <FOLDER|FILE> --from <RUN|FILE|scratch> --out <RUN> [OPTIONS]",
    after_help = "\
The pictures of each class lie in a sub-folder of their own, named after the class; or a tar archive
(WebDataset), or a CSV list with the columns path and label, says which class each is of.

Examples:
  fcmae finetune --data photos --from runs/pre --out runs/fine --config finetune-small
  fcmae finetune --data photos --from scratch --out runs/scratch --labels 10%
  fcmae finetune --data photos --from runs/pre --out runs/probe --set finetune.freeze=4"
)]
pub(crate) struct Finetune {
    #[command(flatten)]
    pub(crate) run: RunArgs,

    /// Where the weights start: a pre-training run, a weights file, hf:OWNER/NAME, or the word `scratch`
    #[arg(long, value_name = "RUN|FILE|scratch", required_unless_present = "print_config")]
    pub(crate) from: Option<PathBuf>,

    /// Use the labels of so many pictures only: a share of each class, such as 10%, or a number
    #[arg(long, value_name = "SHARE|N", conflicts_with = "resume")]
    pub(crate) labels: Option<LabelAmount>,

    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

/// Test a classifier: top-1, top-5, accuracy of each class, confusion matrix
#[derive(Args)]
#[command(after_help = "\
Examples:
  fcmae evaluate --data photos/test --weights runs/fine
  fcmae evaluate --data photos/test --weights runs/fine --report
  fcmae evaluate --data photos --held-out-of runs/fine --weights runs/other
  fcmae evaluate --data photos/test --weights runs/fine --json > scores.json")]
pub(crate) struct Evaluate {
    /// Folders with a sub-folder of pictures for each class; or .tar, .csv, .tsv or .parquet files
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1.., required = true)]
    pub(crate) data: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) weights: WeightsArg,

    #[command(flatten)]
    pub(crate) device: DeviceArg,

    /// Pictures that are computed at a time
    #[arg(long, value_name = "N", default_value = "64")]
    pub(crate) batch: NonZeroUsize,

    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,

    /// Take only the pictures that this fine-tuning run kept aside, by its split.csv
    #[arg(long, value_name = "RUN")]
    pub(crate) held_out_of: Option<PathBuf>,

    /// Write it into the run that --weights names, and renew its report.html
    #[arg(long)]
    pub(crate) report: bool,
}

/// Name what is on pictures
#[derive(Args)]
#[command(after_help = "\
Examples:
  fcmae predict cat.jpg dog.png --weights runs/fine
  fcmae predict photos/new --weights runs/fine --top 1 --format csv > answers.csv")]
pub(crate) struct Predict {
    /// Picture files; a folder stands for all pictures in it and below it
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) weights: WeightsArg,

    #[command(flatten)]
    pub(crate) device: DeviceArg,

    /// Classes to name for each picture, most probable first
    #[arg(long, value_name = "N", default_value = "5")]
    pub(crate) top: NonZeroUsize,

    /// Form of the answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For reading
    Table,
    /// One array, an object for each picture
    Json,
    /// A header, then a line for each picture and class
    Csv,
}

/// Draw what a pre-trained net makes of hidden patches: original, masked, reconstruction
#[derive(Args)]
#[command(after_help = "\
Example:
  fcmae reconstruct photos/a.jpg photos/b.jpg --weights runs/pre --out grid.png")]
pub(crate) struct Reconstruct {
    /// Picture files; a folder stands for all pictures in it and below it
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<PathBuf>,

    /// A pre-training run, or one of its checkpoints: the decoder is needed too
    #[arg(long, value_name = "RUN")]
    pub(crate) weights: PathBuf,

    #[command(flatten)]
    pub(crate) device: DeviceArg,

    /// The picture to write, a PNG
    #[arg(long, value_name = "FILE.png")]
    pub(crate) out: PathBuf,

    /// Replace the file if it exists
    #[arg(long)]
    pub(crate) overwrite: bool,

    /// Chooses which patches are hidden
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
}

/// Measure feature collapse: how unlike a layer's channels are, before and after GRN
#[derive(Args)]
#[command(after_help = "\
A low distance means that many channels carry the same map. Without --out the numbers of every
block are printed as CSV, with it the means of each stage.

Examples:
  fcmae diversity --data photos --weights runs/v1 runs/v2 --out diversity
  fcmae diversity --data photos --weights runs/v2 --images 200 > diversity.csv")]
pub(crate) struct Diversity {
    /// Folder of pictures
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: PathBuf,

    /// One or several runs, export folders or weights files
    #[arg(long, value_name = "RUN|FILE", num_args = 1.., required = true)]
    pub(crate) weights: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) device: DeviceArg,

    /// Pictures to average over, evenly spaced through the folder
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) images: NonZeroUsize,

    /// A .csv or .svg file, or a folder for both
    #[arg(long, value_name = "FOLDER|FILE")]
    pub(crate) out: Option<PathBuf>,

    /// Replace files that exist
    #[arg(long, requires = "out")]
    pub(crate) overwrite: bool,
}

/// Say what a weights file, a checkpoint or a run is made of
#[derive(Args)]
#[command(after_help = "\
Examples:
  fcmae inspect runs/fine
  fcmae inspect runs/fine --all
  fcmae inspect model.safetensors --json")]
pub(crate) struct Inspect {
    /// A run, an export folder, a checkpoint, a weights file or hf:OWNER/NAME
    #[arg(value_name = "RUN|FILE")]
    pub(crate) weights: PathBuf,

    /// List every tensor, not only the sums of each part
    #[arg(long, conflicts_with = "json")]
    pub(crate) all: bool,

    /// Print one JSON object, with every tensor, instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// Look at pictures: sizes, kinds of files, their values, and the settings for them
#[derive(Args)]
#[command(after_help = "\
Settings are printed as a recipe, which `fcmae pretrain --config` takes. Photographs do best with the
defaults; pictures of other channels, of more than 8 bits, or of another kind need values of their own.

Examples:
  fcmae stats --data photos
  fcmae stats --data scenes --deep --channels 5 --recipe scenes.toml")]
pub(crate) struct Stats {
    /// Folders of pictures; or .tar, .csv, .tsv, .txt or .parquet files
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1.., required = true)]
    pub(crate) data: Vec<PathBuf>,

    /// Channels that the network is to see
    #[arg(long, value_name = "N", default_value_t = 3,
        value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) channels: u32,

    /// Keep all bits of the pictures, as for satellites and microscopes
    #[arg(long)]
    pub(crate) deep: bool,

    /// Look at so many pictures only, evenly spaced
    #[arg(long, value_name = "N")]
    pub(crate) sample: Option<NonZeroUsize>,

    /// Write the settings to a file, a recipe for --config
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) recipe: Option<PathBuf>,

    /// Replace the file if it exists
    #[arg(long, requires = "recipe")]
    pub(crate) overwrite: bool,

    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show how a run went as one HTML page, or several runs beside each other
#[derive(Args)]
#[command(after_help = "\
A run keeps a report.html of its own; this writes it anew, or a page that compares runs.

Examples:
  fcmae report runs/fine
  fcmae report runs/fine runs/scratch --out compared.html")]
pub(crate) struct Report {
    /// One or several runs
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<PathBuf>,

    /// The page; RUN/report.html where one run is named
    #[arg(long, value_name = "FILE.html")]
    pub(crate) out: Option<PathBuf>,

    /// Replace the file if it exists
    #[arg(long, requires = "out")]
    pub(crate) overwrite: bool,
}

/// Train variants with several seeds from one file, and compare them on pictures kept apart
#[derive(Args)]
#[command(after_help = "\
The file says what is compared: experiments/README.md describes it. Runs go to OUT/runs, results to
OUT/results/NAME: results.jsonl, table.csv, figure.svg, report.html. The same command goes on where it was
stopped or killed, and does again only what has changed in the file.

Examples:
  fcmae experiment experiments/sparse-or-dense.toml --data sets --out runs/experiments --dry-run
  fcmae experiment experiments/sparse-or-dense.toml --data sets --out runs/experiments
  fcmae experiment experiments/queue.toml --data sets --out runs/experiments")]
pub(crate) struct Experiment {
    /// An experiment, or a queue of them
    #[arg(value_name = "FILE.toml")]
    pub(crate) file: PathBuf,

    /// Folder that the pictures named in the file lie in; without it, the file's own
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,

    /// Folder for runs and results
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,

    /// Folder for the results, in place of OUT/results; what it holds already is not done again
    #[arg(long, value_name = "FOLDER")]
    pub(crate) results: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) device: DeviceArg,

    /// Only try a few steps of each kind of run, and say what all would take on this machine
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Write weights for other programs: timm, transformers, the authors' code, ONNX
#[derive(Args)]
#[command(after_help = "\
Weights go in by the names of timm, the authors, transformers or mmpretrain, from .safetensors or .pth
files, and come out by those asked for. The decoder stays behind: no other program knows it.

Examples:
  fcmae export runs/fine --format timm --out fine-timm
  fcmae export runs/fine --format onnx --out fine-onnx
  fcmae export runs/pre --format onnx --output features --dynamic-size --out backbone
  fcmae export convnextv2_atto_1k_224_ema.pt --format transformers --out atto-hf")]
pub(crate) struct Export {
    /// A run, an export folder, a checkpoint, a weights file or hf:OWNER/NAME
    #[arg(value_name = "RUN|FILE")]
    pub(crate) weights: PathBuf,

    /// Whom the weights are for
    #[arg(long, value_enum)]
    pub(crate) format: ExportTo,

    /// Folder to write
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,

    /// What an ONNX network computes; logits where nothing is said
    #[arg(long, value_enum)]
    pub(crate) output: Option<Onnx>,

    /// Let an ONNX network take pictures of any height and width
    #[arg(long)]
    pub(crate) dynamic_size: bool,

    /// Replace the folder if it exists
    #[arg(long)]
    pub(crate) overwrite: bool,
}

/// Whom exported weights are for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportTo {
    /// A folder for timm.create_model("local-dir:FOLDER", pretrained=True)
    Timm,
    /// A folder for from_pretrained("FOLDER") of Hugging Face transformers
    Transformers,
    /// A model.pth for the authors' PyTorch code
    Authors,
    /// A model.onnx for ONNX Runtime, OpenVINO and others
    Onnx,
}

/// What an ONNX network computes.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Onnx {
    /// A score for each class
    Logits,
    /// One vector for each picture
    Embeddings,
    /// The maps of the four stages, for a network on top
    Features,
}

/// Measure how fast this machine pre-trains, fine-tunes, predicts and loads pictures
#[derive(Args)]
#[command(after_help = "\
Without options: every size and kind of work, within two minutes. Weights and pixels are random. Each
row of the table is measured in a process of its own.

Examples:
  fcmae bench
  fcmae bench --size atto,tiny --work pretrain --batch 16 --json speed.json
  fcmae bench --work load --data photos")]
pub(crate) struct Bench {
    /// Networks, one or several, separated by commas; all where none is named
    #[arg(long, value_name = "SIZE", value_delimiter = ',', hide_possible_values = true,
        value_parser = PossibleValuesParser::new(Size::ALL.map(Size::name))
            .try_map(|name| name.parse::<Size>()))]
    pub(crate) size: Vec<Size>,

    /// Kinds of work, one or several, separated by commas; all where none is named
    #[arg(long, value_name = "WORK", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(Work::ALL.map(Work::name))
            .try_map(|name| name.parse::<Work>()))]
    pub(crate) work: Vec<Work>,

    /// Height and width of the images in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 224,
        value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) image: u32,

    /// Images a step; without it, as many as make a step of about a second
    #[arg(long, value_name = "N")]
    pub(crate) batch: Option<NonZeroUsize>,

    /// Share of the patches hidden in pre-training
    #[arg(long, value_name = "SHARE", default_value_t = 0.6)]
    pub(crate) mask_ratio: f64,

    /// Steps that are timed in each row, whatever they take; without it, as many as there is time for
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<NonZeroUsize>,

    /// Steps before those that are timed
    #[arg(long, value_name = "N")]
    pub(crate) warmup: Option<usize>,

    /// Time for all rows together, in seconds; what does not fit is left out, and told
    #[arg(long, value_name = "SECONDS", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: u32,

    #[command(flatten)]
    pub(crate) device: DeviceArg,

    /// Threads that compute; without it, one for each core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,

    /// Folder of pictures to load; without it, some are drawn
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,

    /// Write the numbers to a JSON file as well; `-` prints them in place of the table
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,

    /// Replace the JSON file if it exists
    #[arg(long, requires = "json")]
    pub(crate) overwrite: bool,

    /// Measure one row on command: `matrix` or a number of steps on each line of standard input
    #[arg(long, hide = true)]
    pub(crate) worker: bool,
}

/// Look at this machine: processor, memory, disk, and how long training would take on it
#[derive(Args)]
#[command(after_help = "\
Times are computed from a short measurement of the smallest network here, so they are rough; with
--dry-run `fcmae pretrain` and `fcmae finetune` try the run itself.

Examples:
  fcmae doctor
  fcmae doctor --pictures 50000 --epochs 200 --image 128
  fcmae doctor --check --device cuda")]
pub(crate) struct Doctor {
    /// Pictures for which training is estimated
    #[arg(long, value_name = "N", default_value = "10000")]
    pub(crate) pictures: NonZeroUsize,

    /// Epochs for which training is estimated
    #[arg(long, value_name = "N", default_value = "100")]
    pub(crate) epochs: NonZeroUsize,

    /// Height and width of the images in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 224,
        value_parser = clap::value_parser!(u32).range(64..=4096))]
    pub(crate) image: u32,

    /// Instead compare a device (without --device, the first GPU) with the processor: every operation, and steps
    /// of pre-training
    #[arg(long, conflicts_with_all = ["pictures", "epochs", "image"])]
    pub(crate) check: bool,

    #[command(flatten)]
    pub(crate) device: DeviceArg,

    /// Write the comparison to a JSON file as well; `-` prints it in place of the table
    #[arg(long, value_name = "FILE|-", requires = "check")]
    pub(crate) json: Option<PathBuf>,

    /// Replace the JSON file if it exists
    #[arg(long, requires = "json")]
    pub(crate) overwrite: bool,
}

/// Print what makes a shell complete commands and options
#[derive(Args)]
#[command(after_help = "\
Examples:
  fcmae completions bash > ~/.local/share/bash-completion/completions/fcmae
  fcmae completions zsh > ~/.zfunc/_fcmae
  fcmae completions fish > ~/.config/fish/completions/fcmae.fish")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// Write manual pages, one for each command
#[derive(Args)]
#[command(after_help = "\
Example:
  fcmae man --out ~/.local/share/man/man1")]
pub(crate) struct Man {
    /// Folder for the pages
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,
}

/// What every training run is given.
#[derive(Args)]
pub(crate) struct RunArgs {
    /// Folders of pictures, with any folders below them; or .tar, .csv, .tsv, .txt or .parquet
    /// files. Several are one set
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1.., required_unless_present = "print_config")]
    pub(crate) data: Vec<PathBuf>,

    /// Folder for the run: settings, metrics, checkpoints; it must not exist yet, or be empty
    #[arg(long, value_name = "RUN", required_unless_present = "print_config")]
    pub(crate) out: Option<PathBuf>,

    /// Only try it: say how long the run would take here, what memory, and draw its first pictures
    #[arg(long, conflicts_with_all = ["resume", "print_config"])]
    pub(crate) dry_run: bool,

    /// Go on with the run in --out from its newest checkpoint, with the settings recorded there
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
#[command(next_help_heading = "Settings")]
pub(crate) struct SettingsArgs {
    /// Recipe: a TOML file, or a built-in one by its name, such as pretrain-small
    #[arg(long, value_name = "FILE|NAME")]
    pub(crate) config: Option<PathBuf>,

    /// Sets one value over the recipe's, as in `optim.epochs=50`; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,

    /// Pictures in one forward and backward pass: a number, or `auto` for as many as memory holds.
    /// `auto` keeps the pictures of an update, by adding batches up
    #[arg(long, value_name = "N|auto", conflicts_with = "resume")]
    pub(crate) batch: Option<Batch>,

    #[command(flatten)]
    pub(crate) device: DeviceArg,

    /// Print all settings as they would be used, as TOML, and do nothing else
    #[arg(long)]
    pub(crate) print_config: bool,
}

/// What networks are computed on, for every command that computes with one.
#[derive(Args)]
pub(crate) struct DeviceArg {
    /// What computes: `cpu`, `cuda` (the first GPU), `cuda:1` and so on, or `auto`, the processor for now,
    /// as without it where no recipe says otherwise
    #[arg(long, value_name = "cpu|auto|cuda[:N]")]
    pub(crate) device: Option<String>,

    /// The number type of features on a GPU: `bf16`, `f32`, or `auto` for bf16 where the GPU has it, as without it
    /// where no recipe says otherwise. The processor computes in f32
    #[arg(long, value_name = "auto|bf16|f32")]
    pub(crate) precision: Option<Precision>,
}

impl DeviceArg {
    /// The device that was asked for, or the best where none was.
    ///
    /// # Errors
    /// As [`Device::choose`].
    pub(crate) fn choose(&self) -> Result<Device, ConfigError> {
        Device::choose(self.device.as_deref().unwrap_or("auto"))
    }

    /// The device, ready to compute.
    ///
    /// # Errors
    /// As [`Device::choose`] and [`Backend::open`].
    pub(crate) fn open(&self) -> fcmae::Result<Backend> {
        Backend::open(self.choose()?, self.precision.unwrap_or_default())
    }

    /// The same, told on standard error.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn told(&self) -> fcmae::Result<Backend> {
        self.told_or("auto")
    }

    /// The same, another device where none was asked for.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn told_or(&self, device: &str) -> fcmae::Result<Backend> {
        let device = Device::choose(self.device.as_deref().unwrap_or(device))?;
        let backend = Backend::open(device, self.precision.unwrap_or_default())?;
        output::note(&format!("device  {backend}"));
        Ok(backend)
    }

    /// As `--set` takes them; none where nothing was asked for.
    pub(crate) fn settings(&self) -> Vec<String> {
        // Quoted, so that it is text whatever it looks like.
        let device = self.device.as_ref().map(|name| format!("device={name:?}"));
        let precision = self.precision.map(|precision| format!("precision=\"{precision}\""));
        [device, precision].into_iter().flatten().collect()
    }

    /// As arguments of another process: options, each with its value.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = [String; 2]> {
        let device = self.device.as_ref().map(|name| ["--device".to_owned(), name.clone()]);
        let precision = self.precision.map(|of| ["--precision".to_owned(), of.to_string()]);
        device.into_iter().chain(precision)
    }

    /// What to add to a command that goes on with the work, with a space before it.
    pub(crate) fn again(&self) -> String {
        let quoted = |[option, value]: [String; 2]| {
            format!(" {option} {}", output::quoted(Path::new(&value)))
        };
        self.arguments().map(quoted).collect()
    }
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

/// How many labels are used, as `finetune.labels` says it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LabelAmount(pub(crate) f64);

impl FromStr for LabelAmount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, scale) = match text.strip_suffix('%') {
            Some(percent) => (percent, 0.01),
            None => (text, 1.0),
        };
        match number.trim().parse::<f64>() {
            Ok(number) if number > 0.0 && (scale == 1.0 || number <= 100.0) => {
                Ok(Self(number * scale))
            }
            _ => {
                Err("use a share, such as 10% or 0.1, or a number of pictures, such as 500"
                    .to_owned())
            }
        }
    }
}

#[derive(Args)]
pub(crate) struct WeightsArg {
    /// A fine-tuning run, an export folder, a checkpoint, a weights file or hf:OWNER/NAME
    #[arg(long, value_name = "RUN|FILE")]
    pub(crate) weights: PathBuf,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn label_amounts_are_shares_or_numbers() {
        for (text, amount) in [("10%", 0.1), ("100%", 1.0), ("0.05", 0.05), ("500", 500.0)] {
            assert!((text.parse::<LabelAmount>().unwrap().0 - amount).abs() < 1e-12, "{text}");
        }
        for text in ["", "%", "0", "-3", "101%", "few", "nan"] {
            assert!(text.parse::<LabelAmount>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_definitions_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_that_computes_takes_a_device() {
        let mut without = Vec::new();
        for command in Arguments::command().get_subcommands() {
            match command.get_arguments().find(|argument| argument.get_id() == "device") {
                Some(device) => {
                    assert_eq!(device.get_value_names().unwrap(), ["cpu|auto|cuda[:N]"]);
                }
                None => without.push(command.get_name().to_owned()),
            }
        }
        let others = ["inspect", "stats", "report", "export", "completions", "man"];
        assert_eq!(without, others);
    }

    #[test]
    fn a_device_is_text_as_a_setting_and_the_best_where_none_is_named() {
        let arg = |name: Option<&str>| DeviceArg {
            device: name.map(str::to_owned),
            precision: name.map(|_| Precision::F32),
        };
        let settings = ["device=\"cuda:1\"", "precision=\"f32\""];
        assert_eq!(arg(Some("cuda:1")).settings(), settings);
        assert_eq!(arg(Some("cuda:1")).again(), " --device cuda:1 --precision f32");
        assert_eq!((arg(None).settings(), arg(None).again()), (vec![], String::new()));
        assert_eq!(arg(None).choose().unwrap(), Device::choose("auto").unwrap());
        assert!(arg(Some("1")).choose().is_err());
    }

    #[test]
    fn every_command_has_an_about_of_one_line_and_an_example() {
        for command in Arguments::command().get_subcommands() {
            let name = command.get_name();
            let about = command.get_about().unwrap().to_string();
            assert!(!about.contains('\n') && about.len() <= 90, "{name}: {about}");
            let example = command.get_after_help().unwrap().to_string();
            assert!(example.contains(&format!("\n  fcmae {name} ")), "{name}: {example}");
        }
    }
}
