//! `fcmae probe`.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use fcmae_vectors::probe::{Labelled, Linear, NeighbourVote, Probe as Probing};
use fcmae_vectors::validate::{Split, accuracy, stratified};
use fcmae_vectors::vote::Weight;
use fcmae_vectors::{Embeddings, VectorError};
use fcmae_words::terminal::{percent, plain};
use fcmae_words::{counted, grouped};
use serde::Serialize;

use crate::numbers::with_interval;
use crate::output;
use crate::text_table::{Align, Table};
use crate::vectors::{Read, VectorsArgs, labelled, select};

/// The part of each class that is the test, where none is given.
const SHARE: f64 = 0.2;

/// Measure how well frozen features separate the classes, before any training
#[derive(Args)]
#[command(after_help = "\
Two classifiers are fitted to the vectors: a vote of the nearest neighbours, and logistic
regression. Their settings are chosen on a part of --data, and their accuracy on the test pictures
is printed.

Examples:
  fcmae probe --data labelled --weights runs/pretrain
  fcmae probe --data labelled --test test --weights runs/pretrain --features stage3
  fcmae probe --data labelled.parquet")]
pub(crate) struct Probe {
    /// Pictures with labels: folders with a sub-folder for each class; or .tar, .csv, .tsv or .parquet files. Without
    /// --weights, files that `fcmae embed` wrote
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1.., required = true)]
    data: Vec<PathBuf>,

    /// Other labelled pictures, to test on. Without it, a fifth of each class of --data is kept for the test
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1..)]
    test: Vec<PathBuf>,

    #[command(flatten)]
    vectors: VectorsArgs,

    /// Seed of the split: which pictures are tested on, and which ones settings are chosen on
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Probe) -> Result<()> {
    let source = args.vectors.open("probe")?;
    let data = source.read(&args.data)?;
    let test = match args.test.as_slice() {
        [] => None,
        paths => Some(with_labels(source.read_beside(&data.rows, paths)?, paths)?),
    };
    let data = with_labels(data, &args.data)?;
    let classes = classes(&data, test.as_ref());
    let data = Part::of(data, &classes)?;
    data.check()?;
    let (fitting, test) = match test {
        Some(test) => (data, Part::of(test, &classes)?),
        None => data.halves(args.seed)?,
    };
    note_same(&fitting, &test);
    note_unseen(&fitting, &test, &classes);
    let report = Report::of(&fitting, &test, &classes, args.seed)?;
    if args.json {
        return output::print(&output::json(&report)?);
    }
    output::print(&plain(&report.text()))
}

/// The pictures that have a label; how many have none is noted.
fn with_labels(found: Read, paths: &[PathBuf]) -> Result<Embeddings> {
    let found = found.with_direction().rows;
    let rows = labelled(&found);
    let without = found.names.len() - rows.len();
    if rows.is_empty() {
        bail!(
            "{}: labels of at least two classes are needed; put the pictures of each class into its own \
             folder, or give a list with a column label",
            output::arguments(paths)
        );
    }
    if without > 0 {
        output::note(&format!("{} without a label left out", counted(without, "picture")));
        return Ok(select(&found, &rows));
    }
    Ok(found)
}

/// The names of all classes, in order.
fn classes(data: &Embeddings, test: Option<&Embeddings>) -> Vec<String> {
    let labels = data.labels.iter().chain(test.iter().flat_map(|test| &test.labels)).flatten();
    labels.collect::<BTreeSet<_>>().into_iter().cloned().collect()
}

/// Pictures with the places of their classes.
struct Part {
    names: Vec<String>,
    rows: Labelled,
}

impl Part {
    fn of(found: Embeddings, classes: &[String]) -> Result<Self> {
        let place = |label: &String| classes.partition_point(|class| class < label);
        let labels = found.labels.iter().flatten().map(place).collect();
        Ok(Self { names: found.names, rows: Labelled::new(found.vectors, labels)? })
    }

    fn labels(&self) -> &[usize] {
        self.rows.labels()
    }

    fn select(&self, rows: &[usize]) -> Self {
        Self {
            names: rows.iter().map(|&row| self.names[row].clone()).collect(),
            rows: self.rows.select(rows),
        }
    }

    fn classes(&self) -> HashSet<usize> {
        self.labels().iter().copied().collect()
    }

    /// Refuses one class alone.
    fn check(&self) -> Result<()> {
        if self.classes().len() < 2 {
            bail!("all labelled pictures of --data are of one class; at least two are needed");
        }
        Ok(())
    }

    /// What is fitted, and the test.
    fn halves(&self, seed: u64) -> Result<(Self, Self)> {
        let Split { fitting, validation } = stratified(self.labels(), SHARE, seed)?;
        if validation.is_empty() {
            bail!("each class has only one picture, which leaves none to test on: give --test");
        }
        let (fitting, test) = (self.select(&fitting), self.select(&validation));
        let untested = fitting.classes().difference(&test.classes()).count();
        if untested > 0 {
            output::note(&format!(
                "{} with only one picture: learned from, but not in the test",
                counted(untested, "class")
            ));
        }
        Ok((fitting, test))
    }
}

/// Notes the pictures of the test that are learned from too.
fn note_same(fitting: &Part, test: &Part) {
    let known: HashSet<&String> = fitting.names.iter().collect();
    let same = test.names.iter().filter(|name| known.contains(name)).count();
    if same > 0 {
        let pictures = counted(same, "picture");
        output::note(&format!(
            "{pictures} of the test are also in --data and say little about others"
        ));
    }
}

/// Notes the classes of the test that are not learned.
fn note_unseen(fitting: &Part, test: &Part, classes: &[String]) {
    let known = fitting.classes();
    let unseen = |&label: &usize| !known.contains(&label);
    let names: BTreeSet<usize> = test.classes().into_iter().filter(unseen).collect();
    let Some(&first) = names.first() else { return };
    let pictures = test.labels().iter().filter(|label| unseen(label)).count();
    output::note(&format!(
        "{} of the test {} not in --data, such as {}: {} that can only be wrong",
        counted(names.len(), "class"),
        if names.len() == 1 { "is" } else { "are" },
        classes[first],
        counted(pictures, "picture")
    ));
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    classes: usize,
    fitted: usize,
    tested: usize,
    /// Pictures of the test of which a copy is learned from.
    copies: usize,
    seed: u64,
    /// The largest class of what is fitted, and its share of the test.
    largest_class: String,
    largest_share: f64,
    methods: Vec<Method>,
}

#[derive(Serialize)]
#[serde(tag = "method", rename_all = "snake_case")]
enum Method {
    Neighbours {
        k: usize,
        /// `null` for votes that weigh all the same.
        temperature: Option<f64>,
        #[serde(flatten)]
        scores: Scores,
    },
    Logistic {
        c: f64,
        converged: bool,
        #[serde(flatten)]
        scores: Scores,
    },
}

#[derive(Serialize)]
struct Scores {
    /// The accuracy on the part that settings were chosen on; `null` where there is none.
    validation: Option<f64>,
    top1: f64,
    /// 95 %.
    interval: [f64; 2],
}

impl Scores {
    fn of(validation: Option<f64>, predicted: &[usize], test: &Part) -> Result<Self> {
        let top1 = accuracy(predicted, test.labels())?;
        let right = (top1 * predicted.len() as f64).round() as u64;
        let interval = fcmae_report::interval(right, predicted.len() as u64);
        Ok(Self { validation, top1, interval })
    }
}

impl Report {
    fn of(fitting: &Part, test: &Part, classes: &[String], seed: u64) -> Result<Self> {
        // Not the seed of the test, which would make the same choice.
        let probe = Probing::new(&fitting.rows, seed.wrapping_add(1))?;
        if !probe.chooses() {
            output::note("each class has only one picture: no settings can be chosen");
        }
        let neighbours = probe.neighbours(test.rows.vectors())?;
        let copies = neighbours.copies;
        let mut methods = vec![Method::neighbours(&neighbours, test)?];
        match probe.logistic(test.rows.vectors()) {
            Ok(linear) => methods.push(Method::logistic(&linear, test)?),
            Err(error @ VectorError::ManyClasses { .. }) => {
                output::note(&format!("logistic regression is left out: {error}"));
            }
            Err(error) => return Err(error.into()),
        }
        if copies > 0 {
            output::note(&format!(
                "{} of the test are copies of pictures to learn from: the accuracy on others may be lower",
                counted(copies, "picture")
            ));
        }
        let (largest, largest_share) = largest(fitting, test)?;
        Ok(Self {
            classes: classes.len(),
            fitted: fitting.labels().len(),
            tested: test.labels().len(),
            copies,
            seed,
            largest_class: classes[largest].clone(),
            largest_share,
            methods,
        })
    }

    fn text(&self) -> String {
        let mut table = Table::new([
            ("method", Align::Left),
            ("settings", Align::Left),
            ("top-1", Align::Left),
        ]);
        for method in &self.methods {
            let (name, settings, scores) = method.cells();
            let top1 = with_interval(scores.top1, self.tested);
            table.row([name.to_owned(), settings, top1]);
        }
        let largest = percent(self.largest_share, 2);
        table.row(["the largest class".to_owned(), self.largest_class.clone(), largest]);
        format!(
            "{}, {} to learn from, {} in the test\n\n{}",
            counted(self.classes, "class"),
            counted(self.fitted, "picture"),
            grouped(self.tested),
            table.text()
        )
    }
}

impl Method {
    fn neighbours(found: &NeighbourVote, test: &Part) -> Result<Self> {
        let temperature = match found.weight {
            Weight::Equal => None,
            Weight::Softmax { temperature } => Some(temperature),
        };
        let scores = Scores::of(found.validation, &found.predicted, test)?;
        Ok(Self::Neighbours { k: found.k, temperature, scores })
    }

    fn logistic(found: &Linear, test: &Part) -> Result<Self> {
        if !found.converged {
            output::note(&format!(
                "logistic regression had not converged after {}: its accuracy may be a little off",
                counted(found.iterations, "step")
            ));
        }
        let scores = Scores::of(found.validation, &found.predicted, test)?;
        Ok(Self::Logistic { c: found.c, converged: found.converged, scores })
    }

    fn cells(&self) -> (&'static str, String, &Scores) {
        match self {
            Self::Neighbours { k, temperature, scores } => {
                let weight = temperature
                    .map_or("equal votes".to_owned(), |value| format!("temperature {value}"));
                ("nearest neighbours", format!("k {k}, {weight}"), scores)
            }
            Self::Logistic { c, converged, scores } => {
                let ended = if *converged { "" } else { ", not converged" };
                ("logistic regression", format!("C {c}{ended}"), scores)
            }
        }
    }
}

/// The largest class of the fitted pictures, the first of equal ones, and its share of the test.
fn largest(fitting: &Part, test: &Part) -> Result<(usize, f64)> {
    let mut counts = vec![0_usize; fitting.labels().iter().max().map_or(0, |most| most + 1)];
    fitting.labels().iter().for_each(|&label| counts[label] += 1);
    let most = (0..counts.len()).reduce(|a, b| if counts[b] > counts[a] { b } else { a });
    let most = most.unwrap_or(0);
    Ok((most, accuracy(&vec![most; test.labels().len()], test.labels())?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use fcmae_vectors::Vectors;

    use super::*;

    /// Rows that point along the axis of their class, and a little along the next one.
    fn part(labels: &[usize], width: usize) -> Part {
        let mut values = vec![0.0; labels.len() * width];
        for (row, &label) in labels.iter().enumerate() {
            values[row * width + label % width] = 1.0;
            values[row * width + (label + 1) % width] = row as f32 * 0.01;
        }
        Part {
            names: (0..labels.len()).map(|row| row.to_string()).collect(),
            rows: Labelled::new(Vectors::new(values, width).unwrap(), labels.to_vec()).unwrap(),
        }
    }

    #[test]
    fn too_many_classes_leave_the_neighbours() {
        let labels: Vec<usize> = (0..2000).collect();
        let wide = part(&labels, 4200);
        let classes: Vec<String> = labels.iter().map(|label| format!("{label:05}")).collect();
        let test = wide.select(&[0, 1]);
        let report = Report::of(&wide, &test, &classes, 0).unwrap();
        assert_eq!(report.methods.len(), 1);
        assert_eq!(report.copies, 2);
        assert!(report.text().contains("100.00%"), "{}", report.text());
    }

    #[test]
    fn the_largest_class_is_that_of_what_is_fitted() {
        let fitting = part(&[0, 1, 1, 2], 3);
        let test = part(&[0, 0, 1, 2], 3);
        assert_eq!(largest(&fitting, &test).unwrap(), (1, 0.25));
    }
}
