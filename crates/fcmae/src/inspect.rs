//! What a weights argument is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fcmae_store::safetensors;
use serde::Serialize;

use crate::error::{Error, Result};
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
    /// Anything the user should know.
    pub notes: Vec<String>,
}

/// Looks at a run folder, an export or checkpoint folder, or a `.safetensors` file.
///
/// # Errors
/// As [`Weights::open`].
pub fn inspect(path: &Path) -> Result<Inspection> {
    let weights = Weights::open(path)?;
    let header = safetensors::load_header(&weights.path)?;
    let mut dtypes = BTreeMap::new();
    for entry in &header.entries {
        *dtypes.entry(format!("{:?}", entry.dtype)).or_insert(0) += 1;
    }
    let (bytes, blake3) = checksum(&weights.path)
        .map_err(|error| Error::File { path: weights.path.clone(), reason: error.to_string() })?;
    let kind = match (&weights.description.decoder, weights.description.classes.len()) {
        (Some(_), _) => "masked autoencoder (encoder and decoder)",
        (None, 0) => "encoder (features only)",
        (None, _) => "classifier",
    };
    Ok(Inspection {
        file: weights.path,
        bytes,
        blake3,
        kind,
        architecture: weights.description.name(),
        parameters: header.entries.iter().map(|e| e.shape.iter().product::<usize>()).sum(),
        dtypes,
        tensors: header.entries.into_iter().map(|e| (e.name, e.shape)).collect(),
        description: weights.description,
        notes: weights.notes,
    })
}

/// Size and BLAKE3 of a file.
fn checksum(path: &Path) -> std::io::Result<(u64, String)> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path)?)?;
    Ok((hasher.count(), hasher.finalize().to_hex().to_string()))
}
