//! `fcmae anomalies`.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;
use fcmae::inference::Inference;
use fcmae::inference::embed::Backbone;
use fcmae_data::source::printable;
use fcmae_data::{DataError, Input, PictureSet};
use fcmae_vectors::Vectors;
use fcmae_vectors::anomaly::{PatchScores, Sampling, averaged};
use fcmae_vectors::auroc::auroc_interval;
use fcmae_vectors::normal::{Gathering, Normal, share_as_high};
use fcmae_words::{counted, grouped};

use crate::failure::{Usage, joined};
use crate::options::{DeviceArg, TakenArg};
use crate::output;
use crate::picture_sets::{self, Columns, ColumnsArgs};
use crate::progress::Batches;
use crate::vectors::{name, pictures};

mod drawn;
mod kinds;

use drawn::{Drawing, Mapped, SHOWN};
use kinds::Kinds;

/// Normal pictures that are scored too, at most.
const COMPARED: usize = 1000;
/// Below this many normal pictures, the smallest possible share is noted.
const FEW: usize = 100;
/// Patches that are scored at a time, about.
const TOGETHER: usize = 2048;

/// Find what does not look like your normal pictures: defects, without an example of any
#[derive(Args)]
#[command(after_help = "\
Each picture is cut into patches, and each patch compared with patches of the normal pictures. A
picture's score is the distance of its strangest patch to the nearest normal one (as PatchCore).

normal_share is the share of normal pictures that can be expected to score as high or higher: with
0.01 one good picture in a hundred looks as odd. For it the normal pictures are scored too, each
against others alone, in five folds; it is never below 1 / (1 + normal pictures). It holds for
pictures that were taken as the normal ones were. Series of nearly equal pictures make it too small.

Examples:
  fcmae anomalies --normal good --data new --weights runs/pre > scores.csv
  fcmae anomalies --normal good --data new --weights runs/pre --out found
  fcmae anomalies --normal train.tar --normal-label ok --data test.tar --weights runs/pre")]
pub(crate) struct Anomalies {
    /// Pictures in which nothing is wrong: folders, with any folders below them; or .tar, .csv, .tsv, .txt or .parquet
    /// files
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1.., required = true)]
    normal: Vec<PathBuf>,

    /// Pictures to look at, likewise. Where they have labels of both kinds, the AUROC is reported
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1.., required = true)]
    data: Vec<PathBuf>,

    /// A run, an export folder, a checkpoint, a weights file or hf:OWNER/NAME
    #[arg(long, value_name = "RUN|FILE")]
    weights: PathBuf,

    /// The labels of normal pictures. Of --normal, where it has labels, pictures of these alone are taken; of --data
    /// they are the normal ones, and all others anomalous. Without it all of --normal is taken, and the one label that
    /// both have, if it is one, is that of normal pictures
    #[arg(long, value_name = "NAME", num_args = 1..)]
    normal_label: Vec<String>,

    /// The stage of the network whose features are compared. A lower one sees finer, a higher one more at a time: try
    /// 4 where a defect changes a large part of the picture
    #[arg(long, value_name = "1|2|3|4", default_value_t = 3,
        value_parser = clap::value_parser!(u8).range(1..=4))]
    stage: u8,

    /// Patches of normal pictures to compare with: a sample of so many at most, however many the pictures. Fewer take
    /// less memory and time, and may miss finer differences
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    patches: usize,

    /// Which patches these are: `random`, or `greedy`, those farthest from each other, which takes long where they are
    /// many and may be better where they are few
    #[arg(long, value_name = "random|greedy", default_value = "random", value_parser = sampling)]
    sampling: Sampling,

    /// Chooses the patches
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// A new folder for scores.csv, sheet.png and heat maps. Without it the scores are printed
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,

    /// Heat maps of so many pictures, the most anomalous, or of `all` [default: 50]
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
    let scorer = Scorer { backbone: &backbone, stage: usize::from(args.stage) - 1 };
    let normal = Labelled::open(args, &args.normal, &backbone)?;
    let data = Labelled::open(args, &args.data, &backbone)?;
    let whole = normal.whole(&args.normal);
    let kinds = Kinds::of(&args.normal_label, &normal.labels, whole.as_deref(), &data.labels)?;
    kinds.notes.iter().for_each(|note| output::note(note));
    let normal = normal.some(&kinds.taken);
    let same = note_same(&data.set, &normal, &backbone);

    let learned = scorer.learn(args, &normal)?;
    let compared = scorer.compare(&learned, &normal)?;
    let found = scorer.find(&learned, &compared, &data)?;
    let summary = summary(&found, [compared.len(), same], &kinds, &data.labels)?;
    let Some(out) = &args.out else {
        summary.iter().for_each(|line| output::note(line));
        return output::print(&table(&found)?);
    };
    output::write_file(&out.join("scores.csv"), table(&found)?.as_bytes())?;
    let maps = match args.maps.unwrap_or(Maps::Most(50)) {
        Maps::Most(most) => most.min(found.len()),
        Maps::All => found.len(),
    };
    let scores: Vec<f32> = found.iter().map(|row| row.score).collect();
    let scale = drawn::scale(&compared, &scores)?;
    let drawing = Drawing::new(backbone.preparation(), &data.set, scale);
    scorer.draw(&learned, &drawing, &found, out, maps)?;
    let lines: String = summary.iter().map(|line| format!("{line}\n")).collect();
    let told = |what: &str| format!("{}\n", printable(&out.join(what)));
    let drawn = if maps > 0 { told("maps") } else { String::new() };
    output::print(&format!("{lines}{}{}{drawn}", told("scores.csv"), told("sheet.png")))
}

/// Pictures, with the label of each that has one.
struct Labelled {
    set: Arc<PictureSet>,
    labels: Vec<Option<String>>,
}

impl Labelled {
    fn open(args: &Anomalies, paths: &[PathBuf], backbone: &Inference<Backbone>) -> Result<Self> {
        let description = backbone.description();
        let columns = args.columns.columns(description.pages);
        let (set, found) = pictures("anomalies", paths, columns, description)?;
        let labels = match found.is_empty() {
            true => vec![only_class(paths, columns); set.len()],
            false => (0..set.len()).map(|index| found.get(&name(&set, index)).cloned()).collect(),
        };
        Ok(Self { set, labels })
    }

    /// What a folder without classes is called, which may be that of all its pictures.
    fn whole(&self, paths: &[PathBuf]) -> Option<String> {
        let [path] = paths else { return None };
        let path = path.canonicalize().ok().filter(|path| path.is_dir())?;
        self.labels
            .iter()
            .all(Option::is_none)
            .then(|| path.file_name()?.to_str().map(str::to_owned))?
    }

    /// The pictures at these places.
    fn some(&self, places: &[usize]) -> Arc<PictureSet> {
        if places.len() == self.set.len() {
            return Arc::clone(&self.set);
        }
        let mut set = PictureSet::clone(&self.set);
        set.samples = places.iter().map(|&place| self.set.samples[place].clone()).collect();
        Arc::new(set)
    }
}

/// The class of all pictures, where there is one alone.
fn only_class(paths: &[PathBuf], columns: Columns<'_>) -> Option<String> {
    match PictureSet::open_all(paths, columns.labelled()) {
        Err(DataError::TooFewClasses { mut classes, outside: 0, .. }) => classes.pop(),
        _ => None,
    }
}

/// Notes the pictures that are among the normal ones too; how many they are.
fn note_same(data: &PictureSet, normal: &PictureSet, backbone: &Inference<Backbone>) -> usize {
    let (same, passed_over) = data.copies_of(normal, &backbone.description().limits());
    if passed_over > 0 {
        output::note(&format!(
            "{} of --data have the size of normal ones, and were not compared with them, which would take long: some \
             may be copies",
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

/// A picture's patches, row-major, and the rows and columns of their grid; none where it cannot be used.
type Patches = Option<(Vectors, [usize; 2])>;

/// What compares patches.
struct Scorer<'a> {
    backbone: &'a Inference<Backbone>,
    stage: usize,
}

/// What normal pictures look like, and which of them could be used.
struct Learned {
    normal: Normal,
    /// By their places, each with its fold.
    usable: Vec<(usize, usize)>,
}

/// A picture of --data.
struct Row {
    index: usize,
    name: String,
    label: Option<String>,
    score: f32,
    /// None where no normal picture has a score.
    share: Option<f64>,
}

impl Scorer<'_> {
    /// Patches of these pictures, in their order, each averaged with those around it, and their grid. None of what
    /// cannot be used, which is noted.
    fn patches(
        &self,
        set: &Arc<PictureSet>,
        which: Vec<usize>,
    ) -> Result<impl Iterator<Item = Result<Patches>>> {
        let input = |index| Input::Sample { set: Arc::clone(set), index };
        let inputs: Vec<Input> = which.into_iter().map(input).collect();
        let patches = self.backbone.patches(inputs, self.stage)?;
        Ok(patches.map(|found| match found {
            Ok(map) => {
                let [_, rows, columns, width] = map.dims();
                let patches = Vectors::new(map.values().to_vec(), width)?;
                Ok(Some((averaged(&patches, rows, columns)?, [rows, columns])))
            }
            Err(error) => {
                output::note(&format!(
                    "no score: {}",
                    picture_sets::advised(&joined(&error.into()))
                ));
                Ok(None)
            }
        }))
    }

    /// Gathers patches of the normal pictures.
    fn learn(&self, args: &Anomalies, normal: &Arc<PictureSet>) -> Result<Learned> {
        let mut gathering = Gathering::new(normal.len(), args.patches, args.sampling, args.seed)
            .map_err(|error| Usage(format!("--patches: {error}")))?;
        let folds = gathering.folds();
        let mut batches = Batches::new("normal");
        let (mut usable, mut seen) = (vec![], 0);
        let mut sites = 0;
        for (index, patches) in self.patches(normal, (0..normal.len()).collect())?.enumerate() {
            if let Some((patches, grid)) = patches? {
                let fold = usable.len() % folds;
                gathering.add(&patches, fold)?;
                usable.push((index, fold));
                seen += patches.len();
                sites = grid[0] * grid[1];
            }
            batches.done(index as u64 + 1, normal.len() as u64);
        }
        batches.finish();
        if usable.is_empty() {
            bail!("none of {} of --normal can be used", counted(normal.len(), "picture"));
        }
        let normal = gathering.finish()?;
        output::note(&format!(
            "normal  {} of {} patches each, stage {}; {} of {} patches kept",
            counted(usable.len(), "picture"),
            grouped(sites),
            args.stage,
            grouped(normal.patches()),
            grouped(seen)
        ));
        Ok(Learned { normal, usable })
    }

    /// The scores of normal pictures, each against those of other folds, ascending: of some, where they are many.
    fn compare(&self, learned: &Learned, normal: &Arc<PictureSet>) -> Result<Vec<f32>> {
        let usable = &learned.usable;
        if usable.len() < 2 {
            output::note(
                "one normal picture cannot be compared with another: there is no normal_share",
            );
            return Ok(vec![]);
        }
        let count = usable.len().min(COMPARED);
        let mut which: Vec<(usize, Option<usize>)> = (0..count)
            .map(|place| usable[place * usable.len() / count])
            .map(|(index, fold)| (index, Some(fold)))
            .collect();
        // Fold by fold, so that many are compared at a time.
        which.sort_by_key(|(index, fold)| (*fold, *index));
        let mut scores = vec![];
        self.score(&learned.normal, normal, &which, |_, found, _| scores.extend(found.pictures))?;
        scores.sort_unstable_by(f32::total_cmp);
        if scores.len() < FEW {
            output::note(&format!(
                "with {} no normal_share is below {:.3}",
                counted(scores.len(), "normal picture"),
                share_as_high(&scores, f32::INFINITY)
            ));
        }
        Ok(scores)
    }

    /// The pictures of --data, the most anomalous first.
    fn find(&self, learned: &Learned, compared: &[f32], data: &Labelled) -> Result<Vec<Row>> {
        let which: Vec<_> = (0..data.set.len()).map(|index| (index, None)).collect();
        let mut rows = vec![];
        self.score(&learned.normal, &data.set, &which, |index, found, _| {
            let score = found.pictures[0];
            rows.push(Row {
                index,
                name: name(&data.set, index),
                label: data.labels[index].clone(),
                score,
                share: (!compared.is_empty()).then(|| share_as_high(compared, score)),
            });
        })?;
        if rows.is_empty() {
            bail!("none of {} of --data can be used", counted(data.set.len(), "picture"));
        }
        rows.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.index.cmp(&b.index)));
        Ok(rows)
    }

    /// Scores pictures, each with the fold that it is not compared with, and tells `each` its place, its scores and
    /// its grid.
    fn score(
        &self,
        normal: &Normal,
        set: &Arc<PictureSet>,
        which: &[(usize, Option<usize>)],
        mut each: impl FnMut(usize, PatchScores, [usize; 2]),
    ) -> Result<()> {
        let mut batches = Batches::new("anomalies");
        let indices = which.iter().map(|(index, _)| *index).collect();
        let mut waiting: Vec<(usize, [usize; 2])> = vec![];
        let mut values = vec![];
        let mut patches = self.patches(set, indices)?;
        for (place, (index, fold)) in which.iter().enumerate() {
            if let Some((found, grid)) = patches.next().transpose()?.flatten() {
                values.extend_from_slice(found.values());
                waiting.push((*index, grid));
            }
            let last = which.get(place + 1).is_none_or(|(_, next)| next != fold);
            let sites = waiting.first().map_or(1, |(_, [rows, columns])| rows * columns);
            if !waiting.is_empty() && (last || waiting.len() * sites >= TOGETHER) {
                let width = values.len() / (waiting.len() * sites);
                let together = Vectors::new(std::mem::take(&mut values), width)?;
                let found = normal.score(&together, sites, *fold)?;
                let of_each = found.patches.chunks_exact(sites).zip(&found.pictures);
                for ((index, grid), (patches, score)) in waiting.drain(..).zip(of_each) {
                    let scores = PatchScores { patches: patches.to_vec(), pictures: vec![*score] };
                    each(index, scores, grid);
                }
            }
            batches.done(place as u64 + 1, which.len() as u64);
        }
        batches.finish();
        Ok(())
    }

    /// Draws the maps of the `maps` most anomalous pictures, and the sheet.
    fn draw(
        &self,
        learned: &Learned,
        drawing: &Drawing<'_>,
        found: &[Row],
        out: &Path,
        maps: usize,
    ) -> Result<()> {
        let most = found.len().div_ceil(2).min(SHOWN);
        let least = (found.len() - most).min(SHOWN);
        let folder = out.join("maps");
        if maps > 0 {
            output::new_folder(&folder)?;
        }
        let drawn = |rank: &usize| *rank < maps.max(most) || *rank >= found.len() - least;
        let ranks: Vec<usize> = (0..found.len()).filter(drawn).collect();
        let which: Vec<_> = ranks.iter().map(|&rank| (found[rank].index, None)).collect();
        let (mut high, mut low) = (vec![], vec![]);
        let (mut ranks, mut failed) = (ranks.into_iter(), None);
        self.score(&learned.normal, drawing.set, &which, |index, scores, grid| {
            let Some(rank) = ranks.find(|&rank| found[rank].index == index) else { return };
            let Row { score, share, label, .. } = &found[rank];
            let (score, share, label) = (*score, *share, label.clone());
            let patches = scores.patches;
            let mapped = Mapped { index, rank: rank + 1, score, share, label, patches, grid };
            let mut draw = || -> Result<()> {
                let card = drawing.card(&mapped)?;
                if rank < maps {
                    drawing.write(&folder, &mapped, &card)?;
                }
                if rank < most {
                    high.push(card);
                } else if rank >= found.len() - least {
                    low.push(card);
                }
                Ok(())
            };
            if let Err(error) = draw() {
                failed.get_or_insert(error);
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        low.reverse();
        drawing.write_sheet(&out.join("sheet.png"), &high, &low)
    }
}

/// How many pictures look odd, and how well that tells the kinds apart where they are known.
fn summary(
    found: &[Row],
    [compared, same]: [usize; 2],
    kinds: &Kinds,
    labels: &[Option<String>],
) -> Result<Vec<String>> {
    let mut lines = vec![];
    let within = |percent: usize| {
        let share = percent as f64 / 100.0;
        let count =
            found.iter().filter(|row| row.share.is_some_and(|found| found <= share)).count();
        format!("{} with a normal_share of at most {percent}%", grouped(count))
    };
    // With fewer normal pictures no share is so small.
    let reachable = [1, 5].into_iter().filter(|percent| percent * (compared + 1) >= 100);
    let within: Vec<String> = reachable.map(within).collect();
    if !within.is_empty() {
        lines.push(format!("{}: {}", counted(found.len(), "picture"), within.join(", ")));
    }
    let Some(normal) = &kinds.normal else { return Ok(lines) };
    let known = found.iter().filter_map(|row| Some((row.score, row.label.as_ref()?)));
    let (scores, anomalous): (Vec<f32>, Vec<bool>) =
        known.map(|(score, label)| (score, !normal.contains(label))).unzip();
    if same > 0 {
        lines.push("no AUROC: pictures of --data are among the normal ones".to_owned());
        return Ok(lines);
    }
    let positives = anomalous.iter().filter(|anomalous| **anomalous).count();
    let negatives = scores.len() - positives;
    if scores.is_empty() && labels.iter().any(Option::is_some) {
        lines.push("no AUROC: no labelled picture of --data has a score".to_owned());
        return Ok(lines);
    }
    if positives == 0 || negatives == 0 {
        if labels.iter().any(Option::is_some) {
            let kind = if positives == 0 { "normal" } else { "anomalous" };
            lines.push(format!("no AUROC: all labelled pictures of --data are {kind}"));
        }
        return Ok(lines);
    }
    let (area, interval) = auroc_interval(&scores, &anomalous)?;
    let interval = match interval {
        Some([low, high]) => format!("95% interval {low:.3} to {high:.3}"),
        None => "one picture of a kind allows no interval".to_owned(),
    };
    lines.push(format!(
        "AUROC {area:.3} ({interval}), {} and {} normal",
        counted(positives, "anomalous picture"),
        grouped(negatives)
    ));
    Ok(lines)
}

/// The scores as CSV.
fn table(found: &[Row]) -> Result<String> {
    let mut rows = csv::Writer::from_writer(vec![]);
    rows.write_record(["path", "label", "score", "normal_share"])?;
    for Row { name, label, score, share, .. } in found {
        let share = share.map_or(String::new(), |share| format!("{share:.6}"));
        let label = label.as_deref().unwrap_or_default();
        rows.write_record([name.as_str(), label, &score.to_string(), &share])?;
    }
    Ok(String::from_utf8(rows.into_inner()?)?)
}
