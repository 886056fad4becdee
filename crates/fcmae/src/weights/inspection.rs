//! What a weights argument is.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use fcmae_store::HostTensor;
use serde::Serialize;

use crate::config::DecoderConfig;
use crate::engine::parameters::{Layout, Names};
use crate::error::{Error, Result};
use crate::network::autoencoder::Autoencoder;
use crate::network::model::{Classifier, Encoder};
use crate::weights::names::Scheme;
use crate::weights::{Description, Weights};

/// A summary of weights.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The file that the argument means.
    pub file: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// BLAKE3 of its content.
    pub blake3: String,
    /// What kind of file it is.
    pub format: String,
    /// Whose names its tensors have.
    pub scheme: Scheme,
    /// What the weights are of.
    pub kind: &'static str,
    /// timm's name of the network, or `convnextv2_custom`.
    pub architecture: String,
    /// The network and how its pictures are prepared.
    pub description: Description,
    /// Number of parameters.
    pub parameters: usize,
    /// Data types, with how many tensors have them.
    pub dtypes: BTreeMap<String, usize>,
    /// Names and shapes.
    pub tensors: BTreeMap<String, Vec<usize>>,
    /// The network's parts, from the pixels on.
    pub parts: Vec<Part>,
    /// What the weights can be used for, and what they lack for it.
    pub uses: Vec<Use>,
    /// Tensors that belong to nothing that is known here, by the file's names.
    pub unknown: Vec<String>,
    /// Anything the user should know.
    pub notes: Vec<String>,
}

/// A part of a network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// `stem`, `stages.0` to `stages.3`, `head`, `decoder`, or `others` for what is not known here.
    pub name: String,
    /// Its tensors.
    pub tensors: usize,
    /// Their parameters.
    pub parameters: usize,
}

/// A use of weights.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Use {
    /// Such as `predict, evaluate`.
    pub what: &'static str,
    /// Tensors that are missing, have another shape or hold NaN; with none, the weights are ready for it.
    pub missing: Vec<String>,
}

/// Looks at a run folder, an export or checkpoint folder, or a file of weights.
///
/// # Errors
/// As [`Weights::open`].
pub fn inspect(path: &Path) -> Result<Inspection> {
    let mut weights = Weights::open(path)?;
    // What every use of them would say.
    weights.notes.extend(weights.check_values().err().map(|error| error.to_string()));
    let header = fcmae_store::file::load_header(&weights.path)?;
    let mut dtypes = BTreeMap::new();
    for entry in &header.entries {
        *dtypes.entry(format!("{:?}", entry.dtype)).or_insert(0) += 1;
    }
    let (bytes, blake3) = checksum(&fcmae_store::file::parts(&weights.path)?)
        .map_err(|error| Error::File { path: weights.path.clone(), reason: error.to_string() })?;
    let (uses, unknown) = uses(&weights);
    let parts = parts(&weights);
    let kind = match (&weights.description.decoder, weights.description.classes.len()) {
        (Some(_), _) => "masked autoencoder (encoder and decoder)",
        (None, 0) => "encoder (features only)",
        (None, _) => "classifier",
    };
    Ok(Inspection {
        file: weights.path,
        bytes,
        blake3,
        format: weights.format.to_string(),
        scheme: weights.scheme,
        kind,
        architecture: weights.description.name(),
        parameters: header.entries.iter().map(|e| e.shape.iter().product::<usize>()).sum(),
        dtypes,
        tensors: header.entries.into_iter().map(|e| (e.name, e.shape)).collect(),
        parts,
        uses,
        unknown,
        description: weights.description,
        notes: weights.notes,
    })
}

/// What the weights consist of, by timm's names, whatever the file's are.
fn parts(weights: &Weights) -> Vec<Part> {
    const OTHERS: &str = "others";
    let stages = (0..4).map(|stage| format!("stages.{stage}"));
    let names = std::iter::once("stem".to_owned()).chain(stages);
    let names = names.chain(["head", "decoder", OTHERS].map(str::to_owned));
    let empty = |name| Part { name, tensors: 0, parameters: 0 };
    let mut parts: Vec<Part> = names.map(empty).collect();
    for (name, tensor) in weights.tensors.iter() {
        let of =
            |part: &Part| name.strip_prefix(&part.name).is_some_and(|rest| rest.starts_with('.'));
        let place = parts.iter().position(of).unwrap_or(parts.len() - 1);
        parts[place].tensors += 1;
        parts[place].parameters += tensor.data.len();
    }
    parts.retain(|part| part.tensors > 0);
    parts
}

/// What the weights can be used for, and the tensors that no use wants.
fn uses(weights: &Weights) -> (Vec<Use>, Vec<String>) {
    let description = &weights.description;
    let model = &description.model;
    let decoder = description.decoder.as_ref().map_or_else(DecoderConfig::default, |d| d.0.clone());
    let classes = description.classes.len().max(1);
    let wanted = [
        ("features, fine-tuning", shapes(|names| Encoder::new(names, model))),
        ("reconstruct, diversity", shapes(|names| Autoencoder::new(names, model, &decoder))),
        ("predict, evaluate", shapes(|names| Classifier::new(names, model, classes))),
    ];
    let known = |name: &str| wanted.iter().any(|(_, names)| names.iter().any(|(n, _)| n == name));
    let unknown = weights.tensors.names().filter(|name| !known(name)).map(str::to_owned).collect();
    let is_spoilt = |tensor: &HostTensor| tensor.data.iter().any(|value| !value.is_finite());
    let spoilt = weights.tensors.iter().filter(|(_, tensor)| is_spoilt(tensor));
    let spoilt: HashSet<&str> = spoilt.map(|(name, _)| name.as_str()).collect();
    let uses = wanted.iter().map(|(what, names)| {
        let mismatch = weights.tensors.difference(names);
        let missing = mismatch.missing.into_iter().map(|(name, _)| name);
        let wrong = mismatch.wrong_shape.into_iter().map(|wrong| wrong.name);
        let spoilt = names.iter().filter(|(name, _)| spoilt.contains(name.as_str()));
        let spoilt = spoilt.map(|(name, _)| format!("{name} (NaN or infinite)"));
        Use { what, missing: missing.chain(wrong).chain(spoilt).collect() }
    });
    (uses.collect(), unknown)
}

/// Names and shapes of a network's parameters.
fn shapes<M>(build: impl FnOnce(&mut Names) -> M) -> Vec<(String, Vec<usize>)> {
    Layout::of(build).1.shapes()
}

/// Size and BLAKE3 of a file, of several one after the other.
fn checksum(paths: &[PathBuf]) -> std::io::Result<(u64, String)> {
    let mut hasher = blake3::Hasher::new();
    for path in paths {
        hasher.update_reader(fcmae_files::open(path)?.0)?;
    }
    Ok((hasher.count(), hasher.finalize().to_hex().to_string()))
}
