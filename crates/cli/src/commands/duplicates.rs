//! `fcmae duplicates`.

use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use fcmae_report::Gallery;
use fcmae_vectors::Embeddings;
use fcmae_vectors::neighbours::{distinct, mean_cosine};
use fcmae_words::counted;

use crate::output;
use crate::sheet::{SheetArgs, title_of_both};
use crate::thumbnails::Thumbnails;
use crate::vectors::{Read, VectorsArgs};

mod groups;
mod leaks;
mod pairs;
mod rest;
mod shown;

use groups::Groups;
use leaks::Leaks;

/// A mean cosine from which on features are nearly the same, whatever they are of.
const COLLAPSED: f64 = 0.95;

/// Find pictures that occur twice, or in two sets such as training and test
#[derive(Args)]
#[command(after_help = "\
Pictures whose features have a cosine of --threshold or more count as copies, and chains of copies
as a group. With weights that were pre-trained on such pictures, 0.99 finds nearly all files that
were saved again as JPEG, about 8 of 10 that were resized, half of those made brighter or turned a
little, and few mirrored or cropped ones. 0.95 finds most of these too, among many that only look
alike. Series of pictures that hardly differ are found as well: look at --sheet before you delete
anything.

The list has the columns group, path, label and similarity, which is the highest within the group.
With --against it has path, against, similarity, label and against_label, and a line for each pair.
Without --out and --sheet, it is printed.

--rest lists what remains, to be given as --data: the first picture of each group, and all that
have no copy. With --against, it leaves out all pictures that have a copy there. The list has the
columns path and label.

Examples:
  fcmae duplicates --data pictures --weights runs/pretrain --sheet copies.html
  fcmae duplicates --data train --against test --weights runs/pretrain --rest train-clean.csv
  fcmae duplicates --data pictures.parquet --threshold 0.97 --sheet alike.html --pictures pictures")]
pub(crate) struct Duplicates {
    /// Folders of pictures, with any folders below them; or .tar, .csv, .tsv, .txt or .parquet files. Without
    /// --weights, files that `fcmae embed` wrote
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1.., required = true)]
    data: Vec<PathBuf>,

    /// Other pictures, given in the same ways as --data, such as a test set: find the pictures of --data that are
    /// among them
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1..)]
    against: Vec<PathBuf>,

    #[command(flatten)]
    vectors: VectorsArgs,

    /// The lowest cosine between the features of two copies
    #[arg(long, value_name = "COSINE", default_value_t = 0.99, value_parser = cosine)]
    threshold: f32,

    /// Also write a list of --data without the copies, a .csv file
    #[arg(long, value_name = "FILE")]
    rest: Option<PathBuf>,

    #[command(flatten)]
    sheet: SheetArgs,
}

fn cosine(text: &str) -> Result<f32, String> {
    let known = text.parse().ok().filter(|value| (0.0..=1.0).contains(value));
    known.ok_or_else(|| "use a number from 0 to 1, such as 0.99".to_owned())
}

pub(super) fn run(args: &Duplicates) -> Result<()> {
    args.sheet.check([&args.data, &args.against])?;
    if let Some(rest) = &args.rest {
        args.sheet.check_also(rest, "--rest", [&args.data, &args.against])?;
    }
    let source = args.vectors.open("duplicates")?;
    let data = source.read(&args.data)?.with_direction();
    data.check(&args.data)?;
    if args.rest.is_some() {
        rest::check(&data)?;
    }
    refuse_collapsed(&data.rows, args.threshold, &args.data)?;
    let against = source.read_other(&data.rows, &args.against)?;
    if let Some(read) = &against {
        refuse_collapsed(&read.rows, args.threshold, &args.against)?;
    }
    let shown: Vec<&Read> = std::iter::once(&data).chain(&against).collect();
    let thumbnails = args.sheet.thumbnails(&source, &shown)?;
    let found = match &against {
        None => Found::Groups(Groups::of(&data.rows, args.threshold)?),
        Some(against) => Found::Leaks(Leaks::of(&data.rows, &against.rows, args.threshold)?),
    };
    args.sheet.write_page(thumbnails.as_ref(), |thumbnails| {
        found.page(title_of_both(&args.data, &args.against), thumbnails)
    })?;
    let summary = found.summary();
    match args.sheet.write_list(|| found.list(), &summary)? {
        Some(written) => output::print(&written)?,
        None => {
            output::note(&summary);
            output::print(&found.list())?;
        }
    }
    match &args.rest {
        Some(rest) => rest::write(rest, &data.rows, &found.spare(), found.doubt()),
        None => Ok(()),
    }
}

/// Refuses features by which every picture would be a copy of every other.
fn refuse_collapsed(found: &Embeddings, threshold: f32, paths: &[PathBuf]) -> Result<()> {
    // Pictures that are there many times say nothing of the network.
    let others = found.vectors.select(&distinct(&found.vectors).first);
    let mean = mean_cosine(&others)?;
    if others.len() < 3 || mean < f64::from(threshold) {
        return Ok(());
    }
    let paths = output::arguments(paths);
    if mean < COLLAPSED {
        bail!(
            "{paths}: pictures of this set have a mean cosine of {mean:.4}, so that with --threshold {threshold} nearly \
             all would be copies of each other: give a higher one, such as 0.99"
        );
    }
    bail!(
        "{paths}: the features of all pictures are nearly the same (their mean cosine is {mean:.4}), so that all would be \
         copies of each other: the network has collapsed or was not trained. Use other weights or other --features; \
         if the pictures really are that similar, use a --threshold nearer to 1"
    )
}

enum Found<'a> {
    Groups(Groups<'a>),
    Leaks(Leaks<'a>),
}

impl Found<'_> {
    fn summary(&self) -> String {
        match self {
            Self::Groups(groups) => groups.summary(),
            Self::Leaks(leaks) => leaks.summary(["--data", "--against"]),
        }
    }

    /// What is doubtful about a list of what remains.
    fn doubt(&self) -> Option<String> {
        let (contradictions, note) = match self {
            Self::Groups(groups) => (groups.contradictions(), groups.note()),
            Self::Leaks(leaks) => (0, leaks.note()),
        };
        let labels = (contradictions > 0).then(|| {
            let groups = counted(contradictions, "group");
            format!("{groups} with different labels: the first picture of each stays, with its own label")
        });
        let missing = note.map(|_| "there may be copies left, as said above".to_owned());
        labels.into_iter().chain(missing).reduce(|one, other| format!("{one}; {other}"))
    }

    /// The rows of --data that can go.
    fn spare(&self) -> HashSet<usize> {
        match self {
            Self::Groups(groups) => groups.spare(),
            Self::Leaks(leaks) => leaks.spare(),
        }
    }

    fn list(&self) -> String {
        match self {
            Self::Groups(groups) => groups.list(),
            Self::Leaks(leaks) => leaks.list(),
        }
    }

    fn page(&self, title: String, thumbnails: &Thumbnails) -> Gallery {
        match self {
            Self::Groups(groups) => groups.page(title, thumbnails),
            Self::Leaks(leaks) => leaks.page(title, thumbnails),
        }
    }
}
