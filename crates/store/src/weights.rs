//! Which file a weights argument means.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::checkpoint::{self, Damaged};
use crate::export_folder::MODEL;
use crate::run::files::{CHECKPOINTS, EXPORT, RUN};
use crate::{CheckpointStore, Error, ExportName};

/// Of a checkpoint: the moving average of the weights, where there is one.
const AVERAGE: &str = "ema.safetensors";
/// In folders of Hugging Face before safetensors, and in exports for the authors' code.
const PYTORCH_MODELS: [&str; 2] = ["pytorch_model.bin", "model.pth"];
/// What stands in their place where the weights are in several files.
const INDICES: [&str; 2] = ["model.safetensors.index.json", "pytorch_model.bin.index.json"];
const CONFIG: &str = "config.json";

/// What a weights argument was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightsKind {
    /// A folder with `model.safetensors`, `pytorch_model.bin` or `model.pth`, or the index of such weights in
    /// several files, and as a rule `config.json`.
    Export,
    /// A verified checkpoint of a run.
    Checkpoint,
    /// A single file.
    File,
}

/// The files that a weights argument means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The weights.
    pub model: PathBuf,
    /// `config.json` beside them, if there is one.
    pub config: Option<PathBuf>,
    /// What they come from.
    pub kind: WeightsKind,
    /// The run that they belong to, where they lie in one.
    pub run: Option<PathBuf>,
    /// Newer checkpoints that were passed over: to be reported.
    pub damaged: Vec<Damaged>,
}

/// Finds the weights. The argument is one of
/// - a run: its `export/best`, where there is none `export/last`, else its newest intact checkpoint (as exports do, with
///   the moving average of the weights where there is one);
/// - an export folder, or any with a `model.safetensors`, `pytorch_model.bin` or `model.pth`, or an index of
///   weights in several files;
/// - a checkpoint's folder, or the folder `checkpoints`;
/// - a file of any name: what is in it is told by [`crate::file`].
///
/// # Errors
/// [`Error::Missing`] where nothing is there; [`Error::NoWeights`] with what was looked for;
/// [`Error::Damaged`] or [`Error::AllDamaged`]; [`Error::IncompleteExport`] for an export without its weights, and
/// [`Error::NotReadable`] for one that may not be read; [`Error::Io`] where the path itself cannot be read.
pub fn resolve(path: &Path) -> Result<Resolved, Error> {
    let about = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::Missing { path: path.to_owned() },
        _ => Error::io("read", path)(error),
    })?;
    if !about.is_dir() {
        return Ok(found(path.to_owned(), WeightsKind::File));
    }

    let mut looked_for = Vec::new();
    let is_there = |file: &Path, looked_for: &mut Vec<String>| {
        looked_for.push(file.display().to_string());
        file.is_file()
    };
    let model = path.join(MODEL);
    if is_there(&model, &mut looked_for) {
        if checkpoint::has_manifest(path) {
            checkpoint::verify_folder(path)?;
            return Ok(found(of_checkpoint(path), WeightsKind::Checkpoint));
        }
        return Ok(found(model, WeightsKind::Export));
    }
    for model in PYTORCH_MODELS.map(|name| path.join(name)) {
        if is_there(&model, &mut looked_for) {
            return Ok(found(model, WeightsKind::Export));
        }
    }
    if let Some(index) = INDICES.map(|index| path.join(index)).into_iter().find(|i| i.is_file()) {
        return Ok(found(index, WeightsKind::Export));
    }
    for name in [ExportName::Best, ExportName::Last] {
        if let Some(model) = exported(path, name)? {
            return Ok(found(model, WeightsKind::Export));
        }
        let model = path.join(EXPORT).join(name.as_str()).join(MODEL);
        looked_for.push(model.display().to_string());
    }
    for folder in [path.join(CHECKPOINTS), path.to_owned()] {
        if let Some(latest) = CheckpointStore::open(&folder).latest_folder()? {
            let model = of_checkpoint(&latest.checkpoint);
            if is_there(&model, &mut looked_for) {
                return Ok(Resolved {
                    damaged: latest.damaged,
                    ..found(model, WeightsKind::Checkpoint)
                });
            }
        } else {
            looked_for.push(folder.join("step-*").display().to_string());
        }
    }
    Err(Error::NoWeights { path: path.to_owned(), looked_for })
}

/// The weights of a run's export, if there is one. Others are not taken in their place.
fn exported(run: &Path, name: ExportName) -> Result<Option<PathBuf>, Error> {
    let folder = run.join(EXPORT).join(name.as_str());
    let model = folder.join(MODEL);
    let is_missing = |error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
    };
    match fs::metadata(&model) {
        Ok(about) if about.is_file() => return Ok(Some(model)),
        Err(source) if !is_missing(&source) => {
            return Err(Error::NotReadable { path: model, source });
        }
        _ => {}
    }
    if !folder.is_dir() {
        return Ok(None);
    }
    let other = match name {
        ExportName::Best => folder.with_file_name(ExportName::Last.as_str()),
        _ => run.join(CHECKPOINTS),
    };
    Err(Error::IncompleteExport { folder, file: MODEL, other })
}

/// The weights of a checkpoint that are evaluated and exported.
fn of_checkpoint(folder: &Path) -> PathBuf {
    let average = folder.join(AVERAGE);
    if average.is_file() { average } else { folder.join(MODEL) }
}

fn found(model: PathBuf, kind: WeightsKind) -> Resolved {
    let config = Some(model.with_file_name(CONFIG)).filter(|config| config.is_file());
    // RUN/export/best/model.safetensors, RUN/checkpoints/step-…/model.safetensors
    let run = model.ancestors().nth(3).filter(|run| run.join(RUN).is_file()).map(Path::to_owned);
    Resolved { model, config, kind, run, damaged: Vec::new() }
}
