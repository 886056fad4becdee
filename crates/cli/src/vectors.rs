//! Vectors of pictures: computed with weights, or read from what `fcmae embed` wrote.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;
use fcmae::engine::backend::Backend;
use fcmae::inference::Inference;
use fcmae::inference::embed::{Backbone, Features};
use fcmae::weights::Description;
use fcmae_data::source::printable;
use fcmae_data::{DataError, Input, PictureSet};
use fcmae_vectors::file::{Embeddings, Origin, same_origin};
use fcmae_vectors::neighbours::mean_cosine;
use fcmae_vectors::{VectorError, Vectors};
use fcmae_words::{counted, grouped};

use crate::failure::{Usage, joined};
use crate::options::{DeviceArg, TakenArg};
use crate::output;
use crate::picture_sets::{self, Columns, ColumnsArgs};
use crate::progress::Batches;

/// A mean cosine from which on pictures hardly differ.
const COLLAPSED: f64 = 0.99;

/// What computes vectors, and which.
#[derive(Args)]
pub(crate) struct EmbedderArgs {
    /// What of the network stands for a picture: `pooled`, the last stage's mean, or `stage1` to `stage4`, the mean of
    /// that stage [default: pooled]
    #[arg(long, value_name = "NAME")]
    features: Option<Features>,

    #[command(flatten)]
    columns: ColumnsArgs,

    #[command(flatten)]
    taken: TakenArg,

    #[command(flatten)]
    device: DeviceArg,
}

impl EmbedderArgs {
    fn features(&self) -> Features {
        self.features.unwrap_or(Features::Pooled)
    }

    /// Refuses what is given for vectors that are computed already.
    fn refuse_without_weights(&self) -> Result<()> {
        let given = [
            ("--features", self.features.is_some()),
            ("--label-column", self.columns.label_column.is_some()),
            ("--image-column", self.columns.image_column.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((option, _)) => Err(Usage(format!(
                "{option} is for pictures: give --weights to compute their vectors; files of vectors say themselves \
                 what they hold"
            ))
            .into()),
        }
    }

    /// As options of a command that is called again, with a space before each.
    pub(crate) fn again(&self) -> String {
        let column = |option: &str, name: &Option<String>| {
            let quoted = |name: &String| format!(" {option} {}", output::quoted(Path::new(name)));
            name.as_ref().map_or(String::new(), quoted)
        };
        [
            format!(" --features {}", self.features()),
            column("--label-column", &self.columns.label_column),
            column("--image-column", &self.columns.image_column),
            self.taken.again(),
            self.device.again(),
        ]
        .concat()
    }
}

/// The weights of commands that also read vectors.
#[derive(Args)]
pub(crate) struct VectorsArgs {
    /// Computes the vectors with these weights: a run, an export folder, a checkpoint, a weights file or hf:OWNER/NAME.
    /// Without it pictures are given as files that `fcmae embed` wrote
    #[arg(long, value_name = "RUN|FILE")]
    weights: Option<PathBuf>,

    #[command(flatten)]
    embedder: EmbedderArgs,
}

impl VectorsArgs {
    /// Of weights as they are.
    pub(crate) fn new(weights: &Path, device: &DeviceArg) -> Self {
        let (taken, device) = (TakenArg::default(), device.clone());
        let embedder =
            EmbedderArgs { features: None, columns: ColumnsArgs::default(), taken, device };
        Self { weights: Some(weights.to_owned()), embedder }
    }

    /// What reads the commands' pictures.
    ///
    /// # Errors
    /// Weights or a device that cannot be used.
    pub(crate) fn open(&self, command: &'static str) -> Result<Source<'_>> {
        let Some(weights) = &self.weights else {
            self.embedder.refuse_without_weights()?;
            return Ok(Source { command, embedder: None });
        };
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
        self.embedder.as_ref().map(|embedder| embedder.backbone.description())
    }

    /// The vectors of pictures, or in files: those that can be used, in their order.
    ///
    /// # Errors
    /// Pictures or files that cannot be used.
    pub(crate) fn read(&self, paths: &[PathBuf]) -> Result<Embeddings> {
        Ok(self.read_with_pictures(paths)?.rows)
    }

    /// As [`read`](Self::read), with the pictures where vectors are computed.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn read_with_pictures(&self, paths: &[PathBuf]) -> Result<Read> {
        match &self.embedder {
            Some(embedder) => self.computed(embedder, paths),
            None => Ok(Read { rows: from_files(paths)?, set: None }),
        }
    }

    fn computed(&self, embedder: &Embedder<'_>, paths: &[PathBuf]) -> Result<Read> {
        let (set, found) = embedder.pictures(self.command, paths)?;
        let width = embedder.width();
        let (mut names, mut labels, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let mut batches = Batches::new(self.command);
        let mut failed = 0;
        for (index, row) in embedder.rows(&set, &found, 0..set.len())? {
            match row {
                Some(row) => {
                    names.push(row.name);
                    labels.push(row.label);
                    values.extend(row.vector);
                }
                None => failed += 1,
            }
            batches.done(index as u64 + 1, set.len() as u64);
        }
        batches.finish();
        if names.is_empty() {
            return Err(Usage(format!("none of {} can be used", counted(failed, "picture"))).into());
        }
        if failed > 0 {
            let of = counted(set.len(), "picture");
            output::note(&format!("{} of {of} could not be used", grouped(failed)));
        }
        let origin = Some(embedder.origin(&set));
        let vectors = Vectors::new(values, width)?;
        Ok(Read { rows: Embeddings { names, labels, vectors, origin }, set: Some(set) })
    }

    /// As [`read`](Self::read), of what is compared with `other`.
    ///
    /// # Errors
    /// The same; vectors of other weights, features or picture sizes.
    pub(crate) fn read_beside(&self, other: &Embeddings, paths: &[PathBuf]) -> Result<Embeddings> {
        Ok(self.read_with_pictures_beside(other, paths)?.rows)
    }

    /// As [`read_beside`](Self::read_beside), with the pictures where vectors are computed.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn read_with_pictures_beside(
        &self,
        other: &Embeddings,
        paths: &[PathBuf],
    ) -> Result<Read> {
        let read = self.read_with_pictures(paths)?;
        let found = &read.rows;
        let comparable = match (&other.origin, &found.origin) {
            (Some(one), Some(another)) => same_origin(one, another).map_err(|why| why.to_string()),
            _ if other.vectors.width() == found.vectors.width() => Ok(()),
            _ => Err(format!(
                "the vectors have {} and {} values; make both with the same network",
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
        let read = self.read_with_pictures_beside(data, paths)?.with_direction();
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

/// What `fcmae embed` wrote.
fn from_files(paths: &[PathBuf]) -> Result<Embeddings> {
    Embeddings::open_all(paths).map_err(|error| match paths.iter().find(|path| path.is_dir()) {
        Some(path) => Usage(format!(
            "{} is a folder: give --weights too, to compute the vectors of its pictures, or the files that \
             `fcmae embed` wrote",
            printable(path)
        ))
        .into(),
        None => match paths.iter().find(|path| !path.exists()) {
            Some(path) => Usage(format!("{}: no such file or folder; check the path", printable(path))).into(),
            None => anyhow::Error::new(error)
                .context("no vectors can be read; if these are pictures, give --weights too"),
        },
    })
}

/// A network that gives vectors.
pub(crate) struct Embedder<'a> {
    backbone: Inference<Backbone>,
    /// A hash of the weights' values.
    hash: String,
    args: &'a EmbedderArgs,
}

impl<'a> Embedder<'a> {
    /// Of these weights.
    ///
    /// # Errors
    /// Weights or a device that cannot be used.
    pub(crate) fn open(weights: &Path, args: &'a EmbedderArgs) -> Result<Self> {
        let backend: Backend = args.device.told()?;
        let weights = args.taken.of(weights)?;
        let hash = weights.tensors.hash();
        Ok(Self { backbone: Inference::open(&weights, &backend)?, hash, args })
    }

    /// All pictures, and the labels of those that have any, by what they are called.
    ///
    /// # Errors
    /// Pictures that cannot be used.
    pub(crate) fn pictures(
        &self,
        command: &'static str,
        paths: &[PathBuf],
    ) -> Result<(Arc<PictureSet>, Labelled)> {
        let description = self.backbone.description();
        let columns = self.args.columns.columns(description.pages);
        pictures(command, paths, columns, description)
    }

    /// Values of a vector.
    pub(crate) fn width(&self) -> usize {
        self.args.features().width(&self.backbone.description().model)
    }

    /// Each of these pictures, by its place and in their order: its row, or none where it cannot be used, which is noted.
    ///
    /// # Errors
    /// A description whose settings of transform or normalization are not valid.
    pub(crate) fn rows(
        &self,
        set: &Arc<PictureSet>,
        labels: &Labelled,
        which: Range<usize>,
    ) -> Result<impl Iterator<Item = (usize, Option<Row>)>> {
        let input = |index| Input::Sample { set: Arc::clone(set), index };
        let inputs: Vec<Input> = which.clone().map(input).collect();
        let vectors = self.backbone.vectors(inputs, self.args.features())?;
        let row = move |(index, vector): (usize, fcmae::Result<Vec<f32>>)| match vector {
            Ok(vector) => {
                let name = name(set, index);
                let label = labels.get(&name).cloned();
                (index, Some(Row { name, label, vector }))
            }
            Err(error) => {
                let why = picture_sets::advised(&joined(&error.into()));
                output::note(&format!("no vector: {why}"));
                (index, None)
            }
        };
        Ok(which.zip(vectors).map(row))
    }

    /// What is recorded beside vectors of these pictures.
    pub(crate) fn origin(&self, set: &PictureSet) -> Origin {
        let [height, width] = self.backbone.description().image_size;
        Origin {
            program: concat!("fcmae ", env!("CARGO_PKG_VERSION")).to_owned(),
            weights: self.hash.clone(),
            features: self.args.features().to_string(),
            image_size: [height, width],
            width: self.width(),
            pictures: set.names_fingerprint(),
        }
    }
}

/// A picture with its vector.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) label: Option<String>,
    pub(crate) vector: Vec<f32>,
}

/// All pictures, as weights of this description take them, and the labels of those that have any, by what they are
/// called.
///
/// # Errors
/// Pictures that cannot be used.
pub(crate) fn pictures(
    command: &'static str,
    paths: &[PathBuf],
    columns: Columns<'_>,
    description: &Description,
) -> Result<(Arc<PictureSet>, Labelled)> {
    let set = picture_sets::opened(command, columns, |how| PictureSet::open_all(paths, how))?;
    picture_sets::note_skipped(&set.skipped);
    picture_sets::look(&set, description.format(), &description.limits())?;
    Ok((Arc::new(set), labelled(paths, columns)))
}

/// Labels by what their pictures are called.
pub(crate) type Labelled = HashMap<String, String>;

/// What a picture is called beside its vector.
pub(crate) fn name(set: &PictureSet, index: usize) -> String {
    set.path(index).to_string_lossy().into_owned()
}

/// The labels of the pictures that have one. Pictures without are pictures too, so that what holds up a training on
/// labels is only noted.
fn labelled(paths: &[PathBuf], columns: Columns<'_>) -> Labelled {
    match PictureSet::open_all(paths, columns.labelled()) {
        Ok(set) => {
            let label = |index: usize| {
                let label = set.classes.get(set.samples[index].label?)?;
                Some((name(&set, index), label.clone()))
            };
            (0..set.len()).filter_map(label).collect()
        }
        Err(DataError::TooFewClasses { .. }) => Labelled::new(),
        Err(error) => {
            output::note(&format!("no labels: {error}"));
            Labelled::new()
        }
    }
}

/// Leaves out the rows that are zero throughout, which have no direction, with a note.
pub(crate) fn with_direction(found: Embeddings) -> Embeddings {
    let zero = |row: &[f32]| row.iter().all(|&value| value == 0.0);
    let (without, with): (Vec<usize>, Vec<usize>) =
        (0..found.vectors.len()).partition(|&row| zero(found.vectors.row(row)));
    let Some(&first) = without.first() else { return found };
    output::note(&format!(
        "{} with a vector of zeros left out, such as {}",
        counted(without.len(), "picture"),
        found.names[first]
    ));
    select(&found, &with)
}

/// The rows at these places.
pub(crate) fn select(found: &Embeddings, places: &[usize]) -> Embeddings {
    Embeddings {
        names: places.iter().map(|&place| found.names[place].clone()).collect(),
        labels: places.iter().map(|&place| found.labels[place].clone()).collect(),
        vectors: found.vectors.select(places),
        origin: found.origin.clone(),
    }
}

/// What a page of these files is called.
pub(crate) fn title(paths: &[PathBuf]) -> String {
    const MOST: usize = 3;
    let name = |path: &PathBuf| {
        let real = path.file_name().map(ToOwned::to_owned).or_else(|| {
            path.canonicalize().ok().and_then(|real| real.file_name().map(ToOwned::to_owned))
        });
        real.map_or_else(|| printable(path), |name| printable(Path::new(&name)))
    };
    let mut names: Vec<String> = paths.iter().take(MOST).map(name).collect();
    if paths.len() > MOST {
        names.push(format!("{} more", paths.len() - MOST));
    }
    names.join(", ")
}

/// Where pictures hardly differ, what is said of it.
pub(crate) fn collapsed(vectors: &Vectors) -> Result<Option<String>, VectorError> {
    let mean = mean_cosine(vectors)?;
    Ok((vectors.len() > 2 && mean > COLLAPSED).then(|| {
        format!(
            "the features of all pictures are nearly the same (their mean cosine is {mean:.4}), so that who is near to \
             whom says little: the network has collapsed or was not trained, or all pictures are alike"
        )
    }))
}
