//! `fcmae choose`.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use fcmae_data::source::{printable, written};
use fcmae_report::{Gallery, Head, Strip};
use fcmae_vectors::choice::{Chosen, farthest_first, representatives};
use fcmae_vectors::{Embeddings, Vectors};
use fcmae_words::{counted, legible};

use crate::list::{List, listed};
use crate::output;
use crate::sheet::{SheetArgs, title};
use crate::thumbnails::{SIDE, Thumbnails};
use crate::vectors::{Source, VectorsArgs, labelled, select};

/// Most pictures of the sheet.
const MOST_SHOWN: usize = 1000;

/// Choose the pictures to label next: each stands for many that have no label
#[derive(Args)]
#[command(after_help = "\
--by clusters  makes as many clusters as there are labelled pictures and pictures to choose
               together, and chooses the most central picture of each cluster without a labelled
               one, the largest clusters first. For training a classifier, it did at least as well
               as a random choice (docs/results.md)
--by spread    chooses, again and again, the picture farthest from all that are labelled or already
               chosen (greedy k-centre): rare and odd pictures come first

The list has the columns path, rank and distance, which is the cosine distance to the nearest of the
labelled pictures and those chosen before. Without --out, it is printed. Of identical pictures, only
one is chosen. --sheet shows them.

Examples:
  fcmae choose --data pictures --weights runs/pretrain --budget 100 --out first.csv
  fcmae choose --data pictures --weights runs/pretrain --labelled first.csv --out second.csv
  fcmae choose --data pictures.parquet --labelled labelled.parquet > next.csv")]
pub(crate) struct Choose {
    /// Folders of pictures, with any folders below them; or .tar, .csv, .tsv, .txt or .parquet files. Without
    /// --weights, files that `fcmae embed` wrote
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1.., required = true)]
    data: Vec<PathBuf>,

    #[command(flatten)]
    vectors: VectorsArgs,

    /// Number of pictures to choose
    #[arg(long, value_name = "N", default_value = "100")]
    budget: NonZeroUsize,

    /// What to choose: pictures that stand for many, or those least like all others
    #[arg(long, value_enum, default_value = "clusters", value_name = "WAY")]
    by: Way,

    /// Seed of the first clusters: another number may give another choice
    #[arg(long, value_name = "N", default_value = "0")]
    seed: u64,

    /// Pictures that are already labelled: pictures or files of vectors, given as --data is; or .csv files whose column
    /// path names pictures of --data, such as lists that this command wrote. If some of them have labels, only those
    /// with a label count
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1..)]
    labelled: Vec<PathBuf>,

    #[command(flatten)]
    sheet: SheetArgs,
}

/// How pictures are chosen.
#[derive(Clone, Copy, ValueEnum)]
enum Way {
    /// The most central picture of each cluster without a labelled one.
    Clusters,
    /// The picture farthest from all labelled or chosen so far (greedy k-centre).
    Spread,
}

pub(super) fn run(args: &Choose) -> Result<()> {
    args.sheet.check([&args.data, &args.labelled])?;
    for path in &args.labelled {
        output::refuse_missing(path, "file or folder")?;
    }
    let source = args.vectors.open("choose")?;
    let read = source.read(&args.data)?.with_direction();
    read.check(&args.data)?;
    let thumbnails = args.sheet.thumbnails(&source, &[&read])?;
    let data = &read.rows;
    let (all, labelled) = with_labelled(&source, data, &args.labelled)?;
    let budget = args.budget.get();
    let chosen = match args.by {
        Way::Clusters => representatives(&all, &labelled, budget, args.seed)?,
        Way::Spread => farthest_first(&all, &labelled, budget)?,
    };
    if chosen.len() < args.budget.get() {
        output::note(&format!(
            "{} chosen, of {} asked for: all others are labelled, or copies of pictures that are labelled or chosen",
            counted(chosen.len(), "picture"),
            args.budget
        ));
    }
    args.sheet
        .write_page(thumbnails.as_ref(), |thumbnails| page(args, data, &chosen, thumbnails))?;
    let list = || list(args.sheet.out(), &data.names, &chosen);
    let written = args.sheet.write_list(list, &summary(&chosen))?;
    output::print(&written.unwrap_or_else(list))
}

/// The chosen pictures in their order.
fn page(args: &Choose, data: &Embeddings, chosen: &[Chosen], thumbnails: &Thumbnails) -> Gallery {
    let shown = &chosen[..chosen.len().min(MOST_SHOWN)];
    let drawn = thumbnails.draw(shown.iter().map(|chosen| data.names[chosen.row].as_str()), SIDE);
    let mut notes: Vec<String> = drawn.note.iter().cloned().collect();
    if shown.len() < chosen.len() {
        notes.push(format!("The first {} of {}.", shown.len(), counted(chosen.len(), "picture")));
    }
    let card = |(rank, chosen): (usize, &Chosen)| {
        let about = match chosen.distance {
            Some(distance) => format!("{rank} · {distance:.3}"),
            None => rank.to_string(),
        };
        drawn.card(data, chosen.row, about)
    };
    Gallery {
        head: Head {
            kind: "Pictures to label next".to_owned(),
            title: title(&args.data),
            lead: format!("{}.", summary(chosen)),
            reading: vec![reading(args.by).to_owned()],
            notes,
            ..Head::default()
        },
        heading: "In their order",
        rows: vec![Strip {
            title: counted(shown.len(), "picture"),
            cards: (1..).zip(shown).map(card).collect(),
            ..Strip::default()
        }],
    }
}

/// How the sheet is read.
fn reading(by: Way) -> &'static str {
    match by {
        Way::Clusters => {
            "Each picture stands for a cluster of pictures like it, the largest cluster first. The number after its rank \
             is the cosine distance to the nearest picture that is labelled or was chosen before it. Where it is small, \
             the two are much alike."
        }
        Way::Spread => {
            "The number after a picture's rank is the cosine distance to the nearest picture that is labelled or was \
             chosen before it. It falls from picture to picture. Where it is small, the pictures have copies or near \
             copies among the others, and more labels add little. The first ones are often odd: leave out those that do \
             not belong."
        }
    }
}

/// How many were chosen, and how far they are at least from each other and from those with a label.
fn summary(chosen: &[Chosen]) -> String {
    let pictures = format!("{} to label", counted(chosen.len(), "picture"));
    match chosen.iter().filter_map(|chosen| chosen.distance).reduce(f32::min) {
        Some(least) => {
            format!(
                "{pictures}; none is nearer than cosine distance {least:.4} to another, or to one that has a label"
            )
        }
        None => pictures,
    }
}

fn has_csv_ending(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"))
}

/// The rows of `data`, then those of other pictures that are labelled; and the places of all that are labelled,
/// ascending.
fn with_labelled(
    source: &Source<'_>,
    data: &Embeddings,
    paths: &[PathBuf],
) -> Result<(Vectors, Vec<usize>)> {
    let places: HashMap<&str, usize> =
        data.names.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
    let known = |list: &Path, name: &str| place(list, name, &places).is_some();
    let (mut labelled, mut others) = (vec![], vec![]);
    for path in paths {
        match named(path)? {
            // A list of other pictures, which can be computed.
            Some(names) if source.computes() && !names.iter().any(|name| known(path, name)) => {
                others.push(path.clone());
            }
            Some(names) => labelled.extend(found(path, &names, &places)?),
            None => others.push(path.clone()),
        }
    }
    let mut values = data.vectors.values().to_vec();
    if !others.is_empty() {
        let others = marked(source.read_beside(data, &others)?.with_direction().rows);
        labelled.extend(data.names.len()..data.names.len() + others.names.len());
        values.extend_from_slice(others.vectors.values());
    }
    labelled.sort_unstable();
    labelled.dedup();
    Ok((Vectors::new(values, data.vectors.width())?, labelled))
}

/// Of pictures of which some have labels, only those.
fn marked(found: Embeddings) -> Embeddings {
    let rows = labelled(&found);
    if rows.is_empty() || rows.len() == found.names.len() {
        return found;
    }
    note_unlabelled(found.names.len() - rows.len());
    select(&found, &rows)
}

fn note_unlabelled(count: usize) {
    let pictures = counted(count, "picture");
    output::note(&format!("{pictures} of --labelled without a label, which may be chosen"));
}

/// The column `path` of a list, of the rows with a label where it has some; `None` of what is no list of paths: it has
/// vectors, or no such column.
///
/// It is not read as a list of pictures: what it names need not be files, as it may lie in an archive or be known by its
/// vector alone. Nor as a file of vectors, which has no other columns than path and label.
fn named(path: &Path) -> Result<Option<Vec<String>>> {
    if !has_csv_ending(path) || !path.is_file() {
        return Ok(None);
    }
    let (file, _) = fcmae_files::open(path).map_err(output::cannot_read(path))?;
    let mut reader = csv::ReaderBuilder::new().from_reader(file);
    let wrong = |error: csv::Error| anyhow::anyhow!("{}: {error}", printable(path));
    let header = reader.byte_headers().map_err(wrong)?.clone();
    let column = header.iter().position(|name| name == b"path");
    let Some(column) = column.filter(|_| header.iter().all(|name| name != b"v0")) else {
        return Ok(None);
    };
    let label = header.iter().position(|name| name == b"label");
    let (mut names, mut unlabelled) = (vec![], vec![]);
    for record in reader.byte_records() {
        let record = record.map_err(wrong)?;
        let text = |column: usize| record.get(column).unwrap_or_default();
        let name = legible(text(column));
        let without = label.is_some_and(|label| text(label).trim_ascii().is_empty());
        if without { unlabelled.push(name) } else { names.push(name) }
    }
    if names.is_empty() {
        return Ok(Some(unlabelled));
    }
    if !unlabelled.is_empty() {
        note_unlabelled(unlabelled.len());
    }
    Ok(Some(names))
}

/// The places of the pictures that a list names.
fn found(list: &Path, names: &[String], places: &HashMap<&str, usize>) -> Result<Vec<usize>> {
    let mut missing = vec![];
    let mut found = vec![];
    for name in names {
        match place(list, name, places) {
            Some(place) => found.push(place),
            None => missing.push(name),
        }
    }
    match missing.first() {
        None => Ok(found),
        Some(first) => {
            let example = places.keys().min().copied().unwrap_or_default();
            bail!(
                "{}: {} of {} are not among --data, such as {first}; write names as `fcmae choose` and `fcmae embed` do, \
                 for example {example}",
                printable(list),
                missing.len(),
                counted(names.len(), "picture")
            )
        }
    }
}

/// The place of a picture that a list names, as it is or relative to the list.
fn place(list: &Path, name: &str, places: &HashMap<&str, usize>) -> Option<usize> {
    let folder = list.parent().unwrap_or(Path::new(""));
    let here = || Path::new(name).strip_prefix(std::env::current_dir().ok()?).ok();
    [Some(Path::new(name)), Some(folder.join(name).as_path()), here()]
        .into_iter()
        .flatten()
        .find_map(|path| places.get(written(path).as_str()).copied())
}

/// As CSV.
fn list(out: Option<&Path>, names: &[String], chosen: &[Chosen]) -> String {
    let path = |name: &String| out.map_or_else(|| name.clone(), |out| listed(name, out));
    let mut list = List::new(["path", "rank", "distance"]);
    for (rank, &Chosen { row, distance }) in (1_usize..).zip(chosen) {
        let distance = distance.map_or(String::new(), |distance| format!("{distance:.6}"));
        list.row([&path(&names[row]), &rank.to_string(), &distance]);
    }
    list.text()
}
