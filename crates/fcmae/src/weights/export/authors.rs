//! A file for the authors' PyTorch code: the dense network, under `["model"]`.

use fcmae_store::{NamedTensors, pth};
use serde_json::json;

use super::files::{File, grn_of_four_axes, pretty, renamed};
use crate::error::Result;
use crate::weights::Description;
use crate::weights::names::Scheme;

pub(super) fn files(tensors: NamedTensors, description: &Description) -> Result<Vec<File>> {
    let written = renamed(tensors, Scheme::Authors, grn_of_four_axes);
    Ok(vec![
        ("model.pth".to_owned(), pth::to_bytes(&written, "model")?),
        ("config.json".to_owned(), pretty(&json!({ "fcmae": description }))),
    ])
}
