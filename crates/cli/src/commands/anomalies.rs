//! `fcmae anomalies`.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use fcmae::inference::Inference;
use fcmae::inference::embed::Backbone;
use fcmae_data::PictureSet;
use fcmae_data::source::printable;
use fcmae_vectors::anomaly::Sampling;
use fcmae_words::counted;

use crate::options::{DeviceArg, TakenArg};
use crate::output;
use crate::picture_sets::ColumnsArgs;
use crate::vectors::WithLabels;

mod drawn;
mod kinds;
mod maps;
mod scored;
mod scorer;

use drawn::Drawing;
use kinds::Kinds;
use scored::{summary, table};
use scorer::{Kept, Scorer};

/// Find what does not look like your normal pictures, such as defects
#[derive(Args)]
#[command(after_help = "\
Each picture is cut into patches, and each patch is compared with patches of the normal pictures. A
picture's score is the distance of its strangest patch to the nearest normal one (as in PatchCore).

normal_share is the share of normal pictures that can be expected to score as high or higher: at
0.01, one good picture in a hundred looks as odd. To estimate it, each normal picture is scored too,
against the normal pictures of other folds (five in all), so it is never below
1 / (1 + normal pictures). It holds for pictures taken in the same way as the normal ones. Series of
nearly equal pictures make it too small.

Examples:
  fcmae anomalies --normal good --data new --weights runs/pre > scores.csv
  fcmae anomalies --normal good --data new --weights runs/pre --out found
  fcmae anomalies --normal train.tar --normal-label ok --data test.tar --weights runs/pre")]
pub(crate) struct Anomalies {
    /// Pictures in which nothing is wrong: folders, with any folders below them; or .tar, .csv, .tsv, .txt or .parquet
    /// files
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1.., required = true)]
    normal: Vec<PathBuf>,

    /// Pictures to inspect, given in the same ways. If they have labels of both kinds, the AUROC is reported
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1.., required = true)]
    data: Vec<PathBuf>,

    /// A run, an export folder, a checkpoint, a weights file or hf:OWNER/NAME
    #[arg(long, value_name = "RUN|FILE")]
    weights: PathBuf,

    /// The labels of normal pictures. If --normal has labels, only its pictures with these are used; in --data, all
    /// other labels are anomalous. Without it, all of --normal is used, and if both sets have exactly one label in
    /// common, that one is normal
    #[arg(long, value_name = "NAME", num_args = 1..)]
    normal_label: Vec<String>,

    /// The stage of the network whose features are compared. Lower stages see finer detail, higher ones larger parts:
    /// try 4 if defects change a large part of the picture
    #[arg(long, value_name = "1|2|3|4", default_value_t = 3,
        value_parser = clap::value_parser!(u8).range(1..=4))]
    stage: u8,

    /// How many patches of normal pictures to compare with, at most, however many pictures there are. Fewer take less
    /// memory and time, but may miss fine differences
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    patches: usize,

    /// How these patches are chosen: `random`, or `greedy`, those farthest from each other, which is slow for many
    /// patches and may be better for few
    #[arg(long, value_name = "random|greedy", default_value = "random", value_parser = sampling)]
    sampling: Sampling,

    /// Seed of --sampling
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// A new folder for scores.csv, sheet.png and heat maps. Without it, the scores are printed
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,

    /// How many pictures get a heat map, the most anomalous first, or `all` [default: 50]
    #[arg(long, value_name = "N|all", requires = "out")]
    maps: Option<Maps>,

    #[command(flatten)]
    columns: ColumnsArgs,

    #[command(flatten)]
    taken: TakenArg,

    #[command(flatten)]
    device: DeviceArg,
}

fn sampling(name: &str) -> Result<Sampling, String> {
    match name {
        "random" => Ok(Sampling::Random),
        "greedy" => Ok(Sampling::Greedy),
        _ => Err("use random or greedy".to_owned()),
    }
}

/// How many heat maps are drawn.
#[derive(Clone, Copy, Debug)]
enum Maps {
    Most(usize),
    All,
}

impl FromStr for Maps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            _ => text.parse().map(Self::Most).map_err(|_| "use a number or all".to_owned()),
        }
    }
}

pub(super) fn run(args: &Anomalies) -> Result<()> {
    if let Some(out) = &args.out {
        output::new_folder(out)?;
    }
    let backend = args.device.told()?;
    let weights = args.taken.of(&args.weights)?;
    let backbone = Inference::<Backbone>::open(&weights, &backend)?;
    let scorer = Scorer { backbone: &backbone, stage: args.stage };
    let normal = pictures(args, &args.normal, &backbone)?;
    let data = pictures(args, &args.data, &backbone)?;
    let whole = only_folder(&normal, &args.normal);
    let kinds = Kinds::of(&args.normal_label, &normal.labels, whole.as_deref(), &data.labels)?;
    kinds.notes.iter().for_each(|note| output::note(note));
    let normal = some(&normal.set, &kinds.taken);
    let same = note_same(&data.set, &normal, &backbone);

    let kept = Kept { most: args.patches, sampling: args.sampling, seed: args.seed };
    let learned = scorer.learn(&kept, &normal)?;
    let compared = scorer.compare(&learned, &normal)?;
    let found = scorer.find(&learned, &compared, &data)?;
    let summary = summary(&found, [compared.len(), same], &kinds, &data.labels)?;
    let Some(out) = &args.out else {
        summary.iter().for_each(|line| output::note(line));
        return output::print(&table(&found));
    };
    output::write_file(&out.join("scores.csv"), table(&found).as_bytes())?;
    let count = match args.maps.unwrap_or(Maps::Most(50)) {
        Maps::Most(most) => most.min(found.len()),
        Maps::All => found.len(),
    };
    let scores: Vec<f32> = found.iter().map(|row| row.score).collect();
    let scale = drawn::scale(&compared, &scores)?;
    let drawing = Drawing::new(backbone.preparation(), &data.set, scale);
    maps::draw(&scorer, &learned, &drawing, &found, out, count)?;
    let lines: String = summary.iter().map(|line| format!("{line}\n")).collect();
    let line = |what: &str| format!("{}\n", printable(&out.join(what)));
    let drawn = if count > 0 { line("maps") } else { String::new() };
    output::print(&format!("{lines}{}{}{drawn}", line("scores.csv"), line("sheet.png")))
}

/// Pictures as the network takes them, each of the only class where there is one alone.
fn pictures(
    args: &Anomalies,
    paths: &[PathBuf],
    backbone: &Inference<Backbone>,
) -> Result<WithLabels> {
    let description = backbone.description();
    let columns = args.columns.columns(description.pages);
    let mut found = WithLabels::open("anomalies", paths, columns, description)?;
    if let Some(class) = found.only_class.take() {
        found.labels.fill(Some(class));
    }
    Ok(found)
}

/// What a folder without classes is called, which may be the class of all its pictures.
fn only_folder(found: &WithLabels, paths: &[PathBuf]) -> Option<String> {
    let [path] = paths else { return None };
    let path = path.canonicalize().ok().filter(|path| path.is_dir())?;
    let unlabelled = found.labels.iter().all(Option::is_none);
    unlabelled.then(|| path.file_name()?.to_str().map(str::to_owned))?
}

/// The pictures at these places.
fn some(set: &Arc<PictureSet>, places: &[usize]) -> Arc<PictureSet> {
    if places.len() == set.len() {
        return Arc::clone(set);
    }
    let mut some = PictureSet::clone(set);
    some.samples = places.iter().map(|&place| set.samples[place].clone()).collect();
    Arc::new(some)
}

/// Notes the pictures that are among the normal ones too; how many they are.
fn note_same(data: &PictureSet, normal: &PictureSet, backbone: &Inference<Backbone>) -> usize {
    let (same, passed_over) = data.copies_of(normal, &backbone.description().limits());
    if passed_over > 0 {
        output::note(&format!(
            "{} of --data have the same size as normal ones and were not compared with them, as that would take long: \
             some may be copies",
            counted(passed_over, "picture")
        ));
    }
    let Some(&first) = same.first() else { return 0 };
    output::note(&format!(
        "{} of --data {} among the normal ones too, byte for byte, such as {}: their scores say nothing, and make the \
         others' look worse; leave them out",
        counted(same.len(), "picture"),
        if same.len() == 1 { "is" } else { "are" },
        printable(&data.path(first))
    ));
    same.len()
}
