//! `fcmae embed`.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Result, bail};
use clap::Args;
use fcmae_data::PictureSet;
use fcmae_data::source::printable;
use fcmae_vectors::Embeddings;
use fcmae_vectors::file::{FileError, Options, Origin, Writer, same_origin};
use fcmae_words::{counted, grouped};

use crate::failure::{Stopped, Usage};
use crate::interrupt::Interrupt;
use crate::output;
use crate::progress::Counter;
use crate::vectors::{Embedder, EmbedderArgs, Row, name};

/// Rows that are written at a time.
const BLOCK: usize = 256;

/// Turn every picture into a vector, for searches, maps and classifiers of any kind
#[derive(Args)]
#[command(after_help = "\
The file's extension decides its format. `.parquet` has the columns path, label and vector; pandas, polars, DuckDB and \
Arrow read it. `.npy` holds the vectors, with names and labels in a .csv beside it. `.csv` has everything in one table.

Examples:
  fcmae embed --data photos --weights runs/pre --out photos.parquet
  fcmae embed --data photos --weights runs/pre --features stage3 --out photos.npy
  fcmae embed --data photos --weights runs/pre --shard 3/100 --out photos-003.parquet")]
pub(crate) struct Embed {
    /// Folders of pictures, with any folders below them; or .tar, .csv, .tsv, .txt or .parquet files. Labels are
    /// written too, if there are any
    #[arg(long, value_name = "FOLDER|FILE", num_args = 1.., required = true)]
    data: Vec<PathBuf>,

    /// A run, an export folder, a checkpoint, a weights file or hf:OWNER/NAME
    #[arg(long, value_name = "RUN|FILE")]
    weights: PathBuf,

    #[command(flatten)]
    embedder: EmbedderArgs,

    /// The file to write: .parquet, .npy or .csv
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Embed only this part of the pictures, such as 3/100, so that several machines can share the work
    #[arg(long, value_name = "I/N", default_value = "1/1")]
    shard: Shard,

    /// Continue where an interrupted run stopped
    #[arg(long)]
    resume: bool,

    /// Replace the file if it exists
    #[arg(long)]
    overwrite: bool,
}

/// A part of the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shard {
    /// From 1.
    number: usize,
    of: usize,
}

impl Shard {
    /// The places of its pictures among `count`.
    fn range(self, count: usize) -> Range<usize> {
        let end = |number: usize| (count as u128 * number as u128 / self.of as u128) as usize;
        end(self.number - 1)..end(self.number)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let numbers = text
            .split_once('/')
            .and_then(|(number, of)| Some((number.trim().parse().ok()?, of.trim().parse().ok()?)));
        match numbers {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err("use the number of the part and how many there are, such as 3/100".to_owned()),
        }
    }
}

pub(super) fn run(args: &Embed) -> Result<()> {
    match args.resume {
        true => output::refuse_own(&args.out, "--out")?,
        false => output::refuse_existing(&args.out, args.overwrite, "--out")?,
    }
    for written in [args.out.clone(), args.out.with_extension("csv")] {
        output::refuse_input(&written, &args.data, "--out")?;
    }
    let interrupt = Interrupt::listen()?;
    let embedder = Embedder::open(&args.weights, &args.embedder)?;
    let pictures = embedder.pictures("embed", &args.data)?;
    let set = &pictures.set;
    let range = args.shard.range(set.len());
    if range.is_empty() {
        let Shard { number, of } = args.shard;
        let all = counted(set.len(), "picture");
        return Err(
            Usage(format!("--shard {number}/{of}: none of {all} falls into this part")).into()
        );
    }
    let mut origin = embedder.origin(set);
    if args.shard.of > 1 {
        origin.pictures += &format!(", {} to {} of {}", range.start + 1, range.end, set.len());
    }
    let Some(mut writer) = begin(args, &origin)? else {
        output::note(&format!("{} is complete already", printable(&args.out)));
        return Ok(());
    };
    let done = done(&writer, set, &range).ok_or_else(|| {
        let journal = format!("{}.partial", printable(&args.out));
        Usage(format!(
            "{journal} holds rows of pictures under other names: give --data as before, or start again with --overwrite"
        ))
    })?;
    if done > 0 {
        output::note(&format!("resuming after {}", counted(done, "picture")));
    }
    let before = done - writer.rows() as usize;
    let left = range.start + done..range.end;
    let found = embedder.rows(&pictures, left)?;
    let failed = before + write(args, found, &range, &mut writer, &interrupt)?;
    let rows = writer.rows();
    if rows == 0 {
        bail!("none of {} can be used", counted(range.len(), "picture"));
    }
    writer.finish()?;
    output::print(&format!(
        "{}  {} of {} values\n",
        printable(&args.out),
        counted(rows as usize, "vector"),
        grouped(embedder.width())
    ))?;
    if failed > 0 {
        bail!("{failed} of {} could not be used", counted(range.len(), "picture"));
    }
    Ok(())
}

/// Writes the rows of a range's pictures. How many could not be used.
///
/// # Errors
/// A disk that is full; [`Stopped`]; what computes the rows has failed. What there is is kept for --resume.
fn write(
    args: &Embed,
    rows: impl Iterator<Item = Result<(usize, Option<Row>)>>,
    range: &Range<usize>,
    writer: &mut Writer,
    interrupt: &Interrupt,
) -> Result<usize> {
    let mut counter = Counter::new("embed");
    let (mut block, mut failed) = (Rows::default(), 0);
    for row in rows {
        let done = row.map(|(index, row)| {
            match row {
                Some(row) => block.add(row),
                None => failed += 1,
            }
            index + 1 - range.start
        });
        if let Ok(done) = &done {
            counter.done(*done as u64, range.len() as u64);
        }
        let ends = done.is_err() || interrupt.asked();
        if ends || block.len() == BLOCK {
            block.write(writer)?;
        }
        if ends {
            writer.sync()?;
            counter.finish();
            let resume = again(args);
            let step = done.inspect_err(|_| {
                output::note(&format!("what there is so far is kept, and continued by:  {resume}"));
            })? as u64;
            return Err(Stopped { step, unit: "picture", resume }.into());
        }
    }
    block.write(writer)?;
    counter.finish();
    Ok(failed)
}

/// Begins the file, or goes on with it; `None` where it is complete.
fn begin(args: &Embed, origin: &Origin) -> Result<Option<Writer>> {
    let options = Options { resume: args.resume, overwrite: args.overwrite };
    output::create_parent(&args.out)?;
    match Writer::begin(&args.out, origin, options) {
        Err(FileError::Exists { .. }) if args.resume && is_of(&args.out, origin) => Ok(None),
        begun => begun.map(Some).map_err(named),
    }
}

/// Whether a file holds the vectors of these pictures by these weights.
fn is_of(file: &Path, origin: &Origin) -> bool {
    let found = Embeddings::open(file).ok().and_then(|found| found.origin);
    found.is_some_and(|found| {
        same_origin(&found, origin).is_ok() && found.pictures == origin.pictures
    })
}

/// With the option that helps, where there is one.
fn named(error: FileError) -> anyhow::Error {
    let text = match &error {
        FileError::Unfinished { journal } => format!(
            "{} holds rows of a run that did not finish: continue it with --resume, or start again with --overwrite",
            printable(journal)
        ),
        FileError::Exists { path } => {
            format!(
                "{} exists: choose another --out, or replace it with --overwrite",
                printable(path)
            )
        }
        _ => return error.into(),
    };
    Usage(text).into()
}

/// How many of these pictures a resumed run has already looked at: all up to the one of its last row, which must be one
/// of them.
fn done(writer: &Writer, set: &PictureSet, range: &Range<usize>) -> Option<usize> {
    let Some(last) = writer.last_name() else { return Some(0) };
    // Pictures without a row only make it a later one.
    let from = range.start + (writer.rows() as usize).saturating_sub(1);
    let place = (from..range.end).find(|&index| name(set, index) == last)?;
    Some(place + 1 - range.start)
}

/// Rows that are written together.
#[derive(Default)]
struct Rows {
    names: Vec<String>,
    labels: Vec<Option<String>>,
    values: Vec<f32>,
}

impl Rows {
    fn add(&mut self, row: Row) {
        self.names.push(row.name);
        self.labels.push(row.label);
        self.values.extend(row.vector);
    }

    fn len(&self) -> usize {
        self.names.len()
    }

    fn write(&mut self, writer: &mut Writer) -> Result<(), FileError> {
        if self.names.is_empty() {
            return Ok(());
        }
        writer.append(&self.names, &self.labels, &self.values)?;
        *self = Self::default();
        Ok(())
    }
}

/// The command that goes on.
fn again(args: &Embed) -> String {
    let Shard { number, of } = args.shard;
    let shard = if of > 1 { format!(" --shard {number}/{of}") } else { String::new() };
    format!(
        "{} embed --data {} --weights {}{}{shard} --out {} --resume{}",
        output::program(),
        output::arguments(&args.data),
        output::quoted(&args.weights),
        args.embedder.again(),
        output::quoted(&args.out),
        if args.overwrite { " --overwrite" } else { "" },
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn shards_are_all_pictures_once() {
        for (count, of) in [(0, 3), (2, 3), (100, 7), (usize::MAX, 100)] {
            let mut next = 0;
            for number in 1..=of {
                let range = Shard { number, of }.range(count);
                assert_eq!(range.start, next);
                assert!(range.len().abs_diff(count / of) <= 1);
                next = range.end;
            }
            assert_eq!(next, count);
        }
        assert_eq!("3/100".parse::<Shard>().unwrap(), Shard { number: 3, of: 100 });
        for text in ["", "3", "0/4", "5/4", "a/b", "1/0", "-1/2"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
