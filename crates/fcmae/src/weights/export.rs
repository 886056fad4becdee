//! Weights as other programs want them: a folder with what each of them loads as it is.

mod authors;
mod card;
mod files;
mod format;
mod timm;
mod transformers;

use std::path::Path;

use fcmae_store::{HostTensor, NamedTensors};

use crate::config::GrnConfig;
use crate::error::{Error, Result};
use crate::weights::onnx;
use crate::weights::{Description, Weights};

pub use files::File;
pub use format::ExportFormat;

/// The files of an export.
///
/// All but the folder of a run hold the encoder and the head alone: no other program knows the
/// decoder. Where there is no head, timm and transformers are given a final norm that changes
/// nothing (weight 1, bias 0), as they would start with one.
///
/// # Errors
/// A network that the other program cannot build: a variant of GRN (all but ONNX), a stem of stride 2
/// (timm), logits of weights without a head (ONNX).
pub fn files(
    tensors: &NamedTensors,
    description: &Description,
    about: &str,
    format: ExportFormat,
) -> Result<Vec<File>> {
    if !matches!(format, ExportFormat::Onnx(_)) && description.model.grn != GrnConfig::default() {
        return Err(Error::Unusable(
            "only ONNX can hold variants of GRN, since other programs know only the published one; export with \
             --format onnx"
                .to_owned(),
        ));
    }
    if format == ExportFormat::Timm && description.model.stem_stride == 2 {
        return Err(Error::Unusable(
            "timm cannot build this network: after a stem of stride 2 it adds another downsampling; export \
             with --format transformers, authors or onnx"
                .to_owned(),
        ));
    }
    let description = &Description { decoder: None, ..description.clone() };
    // Copied where the tensors are renamed, not for ONNX, which takes of them what it needs.
    let network = || -> NamedTensors {
        let without = tensors.iter().filter(|(name, _)| !name.starts_with("decoder."));
        without.map(|(name, tensor)| (name.clone(), tensor.clone())).collect()
    };
    let mut files = match format {
        ExportFormat::Timm => timm::files(with_norm(network(), description), description)?,
        ExportFormat::Transformers => {
            transformers::files(with_norm(network(), description), description)?
        }
        ExportFormat::Authors => authors::files(network(), description)?,
        ExportFormat::Onnx(options) => onnx::files(tensors, description, &options)?,
    };
    files.push(("README.md".to_owned(), card::text(description, about, format).into_bytes()));
    Ok(files)
}

/// What whoever uses an export must know of how its pictures are prepared, where no program does it by itself.
pub fn preparation_note(description: &Description) -> Option<String> {
    card::preparation_note(description)
}

/// Writes the files of an export into a folder, or replaces the folder as a whole; its parent must
/// exist. Returns the files' names and sizes in bytes.
///
/// # Errors
/// As [`files`], and a folder that cannot be written.
pub fn write(
    weights: &Weights,
    folder: &Path,
    format: ExportFormat,
) -> Result<Vec<(String, usize)>> {
    weights.check_values()?;
    let about = format!("Exported from weights with the names of {}.", weights.scheme.name());
    let files = files(&weights.tensors, &weights.description, &about, format)?;
    let borrowed: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    fcmae_store::export_folder::write(folder, &borrowed)?;
    Ok(files.into_iter().map(|(name, bytes)| (name, bytes.len())).collect())
}

/// The files that a run keeps in its folder `export/`: timm's, with the decoder where there is one.
///
/// # Errors
/// Never for tensors of a module.
pub fn run_files(
    tensors: &NamedTensors,
    description: &Description,
    about: &str,
) -> Result<Vec<File>> {
    let mut files = timm::files(tensors.clone(), description)?;
    let card = card::text(description, about, ExportFormat::Timm);
    files.push(("README.md".to_owned(), card.into_bytes()));
    Ok(files)
}

/// With a final norm, where there is none, that leaves the pooled features' direction as it is.
fn with_norm(mut network: NamedTensors, description: &Description) -> NamedTensors {
    let features = description.model.features();
    for (name, value) in [("head.norm.weight", 1.0), ("head.norm.bias", 0.0)] {
        if network.get(name).is_none() {
            let tensor = HostTensor { shape: vec![features], data: vec![value; features] };
            network.insert(name, tensor);
        }
    }
    network
}
