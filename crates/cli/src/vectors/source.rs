//! Where a command's vectors come from: weights and pictures, or files.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use fcmae::weights::Description;
use fcmae_data::PictureSet;
use fcmae_data::source::printable;
use fcmae_vectors::Vectors;
use fcmae_vectors::file::{Embeddings, Format, same_origin};
use fcmae_words::{counted, grouped};

use super::args::VectorsArgs;
use super::embedder::Embedder;
use super::rows::with_direction;
use crate::failure::Usage;
use crate::output;
use crate::progress::Counter;

impl VectorsArgs {
    /// What reads the commands' pictures.
    ///
    /// # Errors
    /// Weights or a device that cannot be used.
    pub(crate) fn open(&self, command: &'static str) -> Result<Source<'_>> {
        let Some(weights) = &self.weights else {
            self.embedder.refuse_without_weights()?;
            return Ok(Source { command, embedder: None });
        };
        if Embeddings::are_in(weights) {
            let text = "holds vectors, as `fcmae embed` writes them: leave out --weights, and give it in place of the pictures";
            return Err(Usage(format!("--weights: {} {text}", printable(weights))).into());
        }
        Ok(Source { command, embedder: Some(Embedder::open(weights, &self.embedder)?) })
    }
}

/// Where a command's vectors come from.
pub(crate) struct Source<'a> {
    command: &'static str,
    embedder: Option<Embedder<'a>>,
}

impl Source<'_> {
    /// Whether it computes vectors of pictures, instead of reading files of them.
    pub(crate) fn computes(&self) -> bool {
        self.embedder.is_some()
    }

    pub(crate) fn command(&self) -> &'static str {
        self.command
    }

    /// What the network takes, where vectors are computed.
    pub(crate) fn description(&self) -> Option<&Description> {
        self.embedder.as_ref().map(Embedder::description)
    }

    /// The vectors of pictures, or in files: those that can be used, in their order.
    ///
    /// # Errors
    /// Pictures or files that cannot be used.
    pub(crate) fn read(&self, paths: &[PathBuf]) -> Result<Read> {
        self.read_as(paths, false)
    }

    /// `beside`: whether others were read before, which these are compared with.
    fn read_as(&self, paths: &[PathBuf], beside: bool) -> Result<Read> {
        match &self.embedder {
            Some(embedder) => {
                let read = self.computed(embedder, paths);
                let read =
                    read.map_err(|error| vectors_among(paths, beside).map_or(error, Into::into))?;
                // A table of them is a list of pictures too.
                if let Some(path) = paths.iter().find(|path| Embeddings::are_in(path)) {
                    output::note(&format!(
                        "{} holds vectors, but --weights computed new ones for the pictures that it names: leave out \
                         --weights to use those in the file",
                        printable(path)
                    ));
                }
                Ok(read)
            }
            None => Ok(Read { rows: from_files(paths, beside)?, set: None }),
        }
    }

    fn computed(&self, embedder: &Embedder<'_>, paths: &[PathBuf]) -> Result<Read> {
        let pictures = embedder.pictures(self.command, paths)?;
        let all = pictures.set.len();
        let width = embedder.width();
        let (mut names, mut labels, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let mut counter = Counter::new(self.command);
        let mut failed = 0;
        for row in embedder.rows(&pictures, 0..all)? {
            let (index, row) = row?;
            match row {
                Some(row) => {
                    names.push(row.name);
                    labels.push(row.label);
                    values.extend(row.vector);
                }
                None => failed += 1,
            }
            counter.done(index as u64 + 1, all as u64);
        }
        counter.finish();
        if names.is_empty() {
            return Err(Usage(format!("none of {} can be used", counted(failed, "picture"))).into());
        }
        if failed > 0 {
            let of = counted(all, "picture");
            output::note(&format!("{} of {of} could not be used", grouped(failed)));
        }
        let origin = Some(embedder.origin(&pictures.set));
        let vectors = Vectors::new(values, width)?;
        Ok(Read { rows: Embeddings { names, labels, vectors, origin }, set: Some(pictures.set) })
    }

    /// As [`read`](Self::read), of what is compared with `other`.
    ///
    /// # Errors
    /// The same; vectors of other weights, features or picture sizes.
    pub(crate) fn read_beside(&self, other: &Embeddings, paths: &[PathBuf]) -> Result<Read> {
        let read = self.read_as(paths, true)?;
        let found = &read.rows;
        let comparable = match (&other.origin, &found.origin) {
            (Some(one), Some(another)) => same_origin(one, another).map_err(|why| why.to_string()),
            _ if other.vectors.width() == found.vectors.width() => Ok(()),
            _ => Err(format!(
                "the vectors have {} and {} values: make both with the same network",
                other.vectors.width(),
                found.vectors.width()
            )),
        };
        comparable.map_err(|why| Usage(format!("{}: {why}", output::arguments(paths))))?;
        Ok(read)
    }

    /// The other set of a command that compares `data` with one, where it is given; rows of zeros left out.
    ///
    /// # Errors
    /// As [`read_beside`](Self::read_beside); no row that is left.
    pub(crate) fn read_other(&self, data: &Embeddings, paths: &[PathBuf]) -> Result<Option<Read>> {
        if paths.is_empty() {
            return Ok(None);
        }
        let read = self.read_beside(data, paths)?.with_direction();
        read.check(paths)?;
        Ok(Some(read))
    }
}

/// Vectors, and the pictures that they were computed of.
pub(crate) struct Read {
    pub(crate) rows: Embeddings,
    /// None of vectors from files.
    pub(crate) set: Option<Arc<PictureSet>>,
}

impl Read {
    /// Without the rows that are zero throughout: see [`with_direction`].
    pub(crate) fn with_direction(self) -> Self {
        Self { rows: with_direction(self.rows), ..self }
    }

    /// Refuses that nothing is left.
    ///
    /// # Errors
    /// No row.
    pub(crate) fn check(&self, paths: &[PathBuf]) -> Result<()> {
        if self.rows.names.is_empty() {
            bail!("{}: no picture has a vector to compare", output::arguments(paths));
        }
        Ok(())
    }
}

/// Where a file of vectors was given in place of pictures: what to leave out. `beside`: whether pictures were read before.
fn vectors_among(paths: &[PathBuf], beside: bool) -> Option<Usage> {
    let path = paths.iter().find(|path| Embeddings::are_in(path))?;
    let all = paths.iter().all(|path| Embeddings::are_in(path));
    let remedy = match (beside, all) {
        (false, true) => "leave out --weights, and the vectors are used as they are",
        (false, false) => "give pictures alone, or vectors alone and no --weights",
        (true, _) => "give the pictures, or leave out --weights and give the vectors of both",
    };
    let text = "holds vectors, as `fcmae embed` writes them, but --weights is for pictures";
    Some(Usage(format!("{} {text}: {remedy}", printable(path))))
}

/// What `fcmae embed` wrote. `beside`: whether other files were read before.
fn from_files(paths: &[PathBuf], beside: bool) -> Result<Embeddings> {
    Embeddings::open_all(paths).map_err(|error| {
        if let Some(path) = paths.iter().find(|path| !path.exists()) {
            return Usage(format!("{}: no such file or folder; check the path", printable(path))).into();
        }
        let is_other = |path: &&PathBuf| path.is_dir() || Format::of(path).is_err();
        match paths.iter().find(is_other) {
            Some(path) => {
                let kind = if path.is_dir() { "is a folder" } else { "is no file of vectors" };
                let remedy = match beside || paths.iter().any(|path| Embeddings::are_in(path)) {
                    true => {
                        "and the others are files of vectors: compute its vectors with `fcmae embed` and the same \
                         weights, or give only pictures, with --weights"
                    }
                    false => {
                        "and without --weights only files that `fcmae embed` wrote (.parquet, .npy, .csv) can be read: give \
                         --weights too, to compute the vectors of its pictures"
                    }
                };
                Usage(format!("{} {kind}, {remedy}", printable(path))).into()
            }
            None if paths.iter().all(|path| Embeddings::are_in(path)) => error.into(),
            None => anyhow::Error::new(error)
                .context("no vectors can be read; if these are pictures, give --weights too"),
        }
    })
}
