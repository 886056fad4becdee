//! `fcmae duplicates`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use fcmae_report::Gallery;
use fcmae_vectors::Embeddings;
use fcmae_vectors::neighbours::{distinct, mean_cosine};

use crate::output;
use crate::sheet::{SheetArgs, title_of_both};
use crate::thumbnails::Thumbnails;
use crate::vectors::{Read, VectorsArgs};

mod groups;
mod leaks;
mod pairs;
mod shown;

use groups::Groups;
use leaks::Leaks;

/// A mean cosine from which on features are nearly the same, whatever they are of.
const COLLAPSED: f64 = 0.95;

/// Find pictures that are there twice, or in two sets such as training and test
#[derive(Args)]
#[command(after_help = "\
Pictures whose features have a cosine of --threshold or more are taken for copies, and chains of
copies for a group. With weights that were pre-trained on pictures of the kind, 0.99 finds nearly
all files that were saved anew as JPEG, about 8 of 10 of another size, half of those made brighter
or turned a little, and few mirrored or cropped ones; most of these from 0.95 on, among many that
only look alike. Pictures of a series that hardly differ are found too: look at --sheet before you
delete anything.

The list has the columns group, path, label and similarity, that to the most alike of the group;
with --against, path, against, similarity, label and against_label, a line a pair. Without --out
and --sheet it is printed.

Examples:
  fcmae duplicates --data pictures --weights runs/pretrain --sheet copies.html
  fcmae duplicates --data train --against test --weights runs/pretrain --out leaks.csv
  fcmae duplicates --data pictures.parquet --threshold 0.97 --sheet alike.html --pictures pictures")]
pub(crate) struct Duplicates {
    /// Folders of pictures, with any folders below them; or .tar, .csv, .tsv, .txt or .parquet files. Without
    /// --weights, files that `fcmae embed` wrote
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1.., required = true)]
    data: Vec<PathBuf>,

    /// Other pictures, as --data, such as those of a test: which of --data are among them
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1..)]
    against: Vec<PathBuf>,

    #[command(flatten)]
    vectors: VectorsArgs,

    /// The least cosine of the features of two copies
    #[arg(long, value_name = "COSINE", default_value_t = 0.99, value_parser = cosine)]
    threshold: f32,

    #[command(flatten)]
    sheet: SheetArgs,
}

fn cosine(text: &str) -> Result<f32, String> {
    let known = text.parse().ok().filter(|value| (0.0..=1.0).contains(value));
    known.ok_or_else(|| "use a number from 0 to 1, such as 0.99".to_owned())
}

pub(super) fn run(args: &Duplicates) -> Result<()> {
    args.sheet.check([&args.data, &args.against])?;
    let source = args.vectors.open("duplicates")?;
    let data = source.read(&args.data)?.with_direction();
    data.check(&args.data)?;
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
    let told = found.told();
    match args.sheet.write_list(|| found.list(), &told)? {
        Some(written) => output::print(&written),
        None => {
            output::note(&told);
            output::print(&found.list())
        }
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
         copies of each other: the network has collapsed or was not trained; use other weights or other --features, \
         or if the pictures are that much alike, a --threshold nearer to 1"
    )
}

enum Found<'a> {
    Groups(Groups<'a>),
    Leaks(Leaks<'a>),
}

impl Found<'_> {
    fn told(&self) -> String {
        match self {
            Self::Groups(groups) => groups.told(),
            Self::Leaks(leaks) => leaks.told(["--data", "--against"]),
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
