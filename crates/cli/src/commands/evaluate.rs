//! `fcmae evaluate`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use fcmae::inference::evaluate::{Confusion, Evaluation, Evaluator, Mistake, telling_top5};
use fcmae::training::{Test, keep_evaluation};
use fcmae_data::source::printable;
use fcmae_data::{Limits, Part, PictureSet};
use fcmae_store::Record;
use fcmae_store::run::confusion::{Confused, Fate};
use fcmae_store::run::files::SPLIT;
use fcmae_words::terminal::{percent, plain};
use fcmae_words::{counted, grouped};
use serde::Serialize;

use crate::failure::{Usage, joined};
use crate::numbers::with_interval;
use crate::options::{DeviceArg, TakenArg, WeightsArg};
use crate::output;
use crate::picture_sets::{self, ColumnsArgs};
use crate::progress::Counter;
use crate::reporter::Reporter;
use crate::text_table::{Align, Table};

mod seen;

use seen::OfRun;

/// Up to this many columns of text the confusion matrix is printed with classes' names above.
const NAMED_MATRIX_WIDTH: usize = 110;
/// Above this many classes the matrix gives way to the most frequent confusions.
const MATRIX_CLASSES: usize = 30;
const CONFUSIONS_SHOWN: usize = 20;

/// Test a classifier: top-1, top-5, accuracy of each class, confusion matrix
#[derive(Args)]
#[command(after_help = "\
Examples:
  fcmae evaluate --data photos/test --weights runs/fine
  fcmae evaluate --data photos/test --weights runs/fine --report
  fcmae evaluate --data photos --held-out-of runs/fine --weights runs/other
  fcmae evaluate --data photos/test --weights runs/fine --json > scores.json")]
pub(crate) struct Evaluate {
    /// Folders with one sub-folder of pictures per class; or .tar, .csv, .tsv or .parquet files
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1.., required = true)]
    data: Vec<PathBuf>,

    #[command(flatten)]
    weights: WeightsArg,

    #[command(flatten)]
    taken: TakenArg,

    #[command(flatten)]
    device: DeviceArg,

    /// Pictures to compute at a time
    #[arg(long, value_name = "N", default_value = "64")]
    batch: NonZeroUsize,

    #[command(flatten)]
    columns: ColumnsArgs,

    /// Largest share of pictures that may be missing or broken. If more are, the command fails
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = share)]
    max_bad_fraction: f64,

    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,

    /// Use only the pictures that this fine-tuning run held out (its split.csv)
    #[arg(long, value_name = "RUN")]
    held_out_of: Option<PathBuf>,

    /// Add the result to the run that --weights names, and update its report.html
    #[arg(long)]
    report: bool,
}

pub(super) fn run(args: &Evaluate) -> Result<()> {
    let (weights, batch) = (&args.weights.weights, args.batch.get());
    if let Some(other) = &args.held_out_of {
        output::refuse_missing(&other.join(SPLIT), "record of what a fine-tuning run held out")?;
    }
    if args.report && Record::read(weights).is_err() {
        return Err(Usage(format!(
            "--report writes into a run, but {} is not one: give the run's folder as --weights",
            printable(weights)
        ))
        .into());
    }
    let backend = args.device.told()?;
    let mut opened = args.weights.open(&TakenArg::default())?;
    let trained_pages = opened.description.pages;
    args.taken.apply(&mut opened);
    let evaluator = Evaluator::of(&opened, &backend)?;
    let description = evaluator.description();
    let columns = args.columns.columns(description.pages);
    let mut set =
        picture_sets::opened("evaluate", columns, |how| evaluator.labelled_by(&args.data, how))?;
    // `None` where it cannot be told what the run knows.
    let known = match OfRun::of(weights, &set, trained_pages) {
        Ok(known) => Some(known),
        Err(why) => {
            let why = joined(&why);
            output::note(&format!("cannot tell whether these pictures were trained on: {why}"));
            None
        }
    };
    if let Some(other) = &args.held_out_of {
        set = set.select(&fcmae::training::recorded_parts(other)?, Part::HeldOut)?;
    }
    if args.report {
        let known = known.as_ref().and_then(Option::as_ref);
        refuse_held_out(weights, known, &set, &description.limits())?;
    }
    let seen = |known: OfRun| known.note_trained_on(&set, &description.limits());
    let trained_on = known.map(|known| known.map_or(0, seen));
    picture_sets::look(&set, description)?;
    let set = Arc::new(set);
    let mut counter = Counter::new("evaluate");
    let evaluation = evaluator.evaluate_telling(&set, batch, |done, _| {
        let pictures = done.saturating_mul(batch as u64).min(set.len() as u64);
        counter.done(pictures, set.len() as u64);
    })?;
    counter.finish();
    output::note_skipped(&evaluation.skipped);
    evaluation.caveat().iter().for_each(|caveat| output::note(caveat));
    // Of a part it is not known how many of those that were lost belong to it.
    let lost = if args.held_out_of.is_some() { 0 } else { set.lost };
    evaluation.check_missing(args.max_bad_fraction, lost)?;
    if args.report {
        let mut test = Test::on(&set, trained_on);
        if let Some(other) = &args.held_out_of {
            test.pictures += &format!(", held out of {}", printable(other));
        }
        keep_evaluation(weights, &evaluation, &set, evaluator.description(), test)?;
        if let Some(report) = Reporter::of(weights).write() {
            output::note(&format!("report  {}", printable(&report)));
        }
    }
    if args.json {
        output::print(&output::json(&report(&evaluation))?)
    } else {
        output::print(&plain(&text(&evaluation)))
    }
}

/// Refuses to call a test what the run held out itself.
fn refuse_held_out(
    run: &Path,
    known: Option<&OfRun>,
    set: &PictureSet,
    limits: &Limits,
) -> Result<()> {
    let held_out = known.map_or(0, |known| known.held_out(set, limits));
    if held_out > 0 && held_out == set.len() {
        return Err(Usage(format!(
            "--report adds a test to the run, but {} held out these pictures itself and chose its best weights on them: \
             leave out --report, or test on other pictures",
            printable(run)
        ))
        .into());
    }
    if held_out > 0 {
        output::note(&format!(
            "{} of these {} were held out by the run, which chose its best weights on them: the accuracy is too high",
            grouped(held_out),
            counted(set.len(), "picture"),
        ));
    }
    Ok(())
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "use a share, 0 to 1".to_owned())
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    images: usize,
    top1: f64,
    top5: f64,
    loss: f64,
    classes: Vec<Class<'a>>,
    /// Rows: the true class; columns: the predicted one; both in the order of `classes`.
    confusion: &'a Confusion,
    /// The surest wrong answers.
    mistakes: &'a [Mistake],
    skipped: &'a [fcmae_data::Skipped],
}

#[derive(Serialize)]
struct Class<'a> {
    name: &'a str,
    images: u64,
    correct: u64,
    /// `null` for a class without a picture.
    accuracy: Option<f64>,
}

fn report(evaluation: &Evaluation) -> Report<'_> {
    Report {
        images: evaluation.images,
        top1: evaluation.top1,
        top5: evaluation.top5,
        loss: evaluation.loss,
        classes: classes(evaluation),
        confusion: &evaluation.confusion,
        mistakes: &evaluation.mistakes,
        skipped: &evaluation.skipped,
    }
}

fn classes(evaluation: &Evaluation) -> Vec<Class<'_>> {
    let classes = evaluation.classes.iter().zip(evaluation.confusion.classes());
    classes
        .map(|(name, Fate { pictures, right, .. })| {
            let accuracy = (pictures > 0).then(|| right as f64 / pictures as f64);
            Class { name, images: pictures, correct: right, accuracy }
        })
        .collect()
}

fn text(evaluation: &Evaluation) -> String {
    let classes = classes(evaluation);
    let mut table = Table::new([
        ("class", Align::Left),
        ("pictures", Align::Right),
        ("right", Align::Right),
        ("accuracy", Align::Right),
    ]);
    for class in &classes {
        let accuracy = class.accuracy.map_or("-".to_owned(), |share| percent(share, 1));
        table.row([
            class.name.to_owned(),
            class.images.to_string(),
            class.correct.to_string(),
            accuracy,
        ]);
    }
    let mut text = format!(
        "top-1  {}\n{}loss   {:.4}\n{}, {} classes\n\n{}\n",
        with_interval(evaluation.top1, evaluation.images),
        telling_top5(evaluation.top5, classes.len())
            .map_or(String::new(), |top5| format!("top-5  {:.2}%\n", 100.0 * top5)),
        evaluation.loss,
        counted(evaluation.images, "picture"),
        classes.len(),
        table.text(),
    );
    if classes.len() <= MATRIX_CLASSES {
        text.push_str("confusion matrix (rows: true class, columns: predicted)\n");
        text.push_str(&matrix(evaluation));
    } else {
        text.push_str("most frequent confusions (--json has all of them)\n");
        text.push_str(&confusions(evaluation));
    }
    text
}

/// The matrix with names above its columns, or numbers where names take too much room.
fn matrix(evaluation: &Evaluation) -> String {
    let named = matrix_under(evaluation, &|_, name| name.to_owned(), &|_, name| name.to_owned());
    if named.width() <= NAMED_MATRIX_WIDTH {
        return named.text();
    }
    matrix_under(evaluation, &|index, _| index.to_string(), &|index, name| {
        format!("{index} {name}")
    })
    .text()
}

fn matrix_under(
    evaluation: &Evaluation,
    column: &dyn Fn(usize, &str) -> String,
    row: &dyn Fn(usize, &str) -> String,
) -> Table {
    let names = || evaluation.classes.iter().enumerate();
    let mut columns = vec![(String::new(), Align::Left)];
    columns.extend(names().map(|(index, name)| (column(index, name), Align::Right)));
    let mut table = Table::with_columns(columns);
    for ((index, name), counts) in names().zip(evaluation.confusion.table()) {
        table.row(std::iter::once(row(index, name)).chain(counts.iter().map(u64::to_string)));
    }
    table
}

fn confusions(evaluation: &Evaluation) -> String {
    let names = &evaluation.classes;
    let mut table = Table::new([
        ("true class", Align::Left),
        ("predicted", Align::Left),
        ("pictures", Align::Right),
    ]);
    for Confused { truth, predicted, count, .. } in
        evaluation.confusion.most_frequent(CONFUSIONS_SHOWN)
    {
        table.row([names[truth].clone(), names[predicted].clone(), count.to_string()]);
    }
    table.text()
}
