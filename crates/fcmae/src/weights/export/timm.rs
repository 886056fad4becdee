//! A folder for timm: `config.json`, `model.safetensors`, `preprocessor_config.json`.

use fcmae_data::EvalResize;
use fcmae_store::{NamedTensors, safetensors};
use serde_json::json;

use super::files::{File, pretty, renamed};
use super::transformers;
use crate::config::{BlockKind, Size};
use crate::error::Result;
use crate::weights::names::Scheme;
use crate::weights::{Description, decimals};

pub(super) fn files(tensors: NamedTensors, description: &Description) -> Result<Vec<File>> {
    let [height, width] = description.image_size;
    let model = &description.model;
    let convolutions = linear_as_convolution(description);
    let written = renamed(tensors, Scheme::Timm, |name, shape| match shape {
        [outputs, inputs] if convolutions && is_block_linear(name) => vec![*outputs, *inputs, 1, 1],
        _ => shape.to_vec(),
    });
    let mut arguments = json!({ "in_chans": model.channels, "patch_size": model.stem_stride });
    if built_as(description) != description.name() {
        arguments["depths"] = json!(model.depths);
        arguments["dims"] = json!(model.widths);
    }
    let (fraction, mode) = match description.transform().resize {
        EvalResize::CentreCrop { fraction } => (fraction, "center"),
        EvalResize::Warp => (1.0, "squash"),
    };
    let config = json!({
        "architecture": built_as(description),
        "num_classes": description.classes.len(),
        "num_features": model.features(),
        "model_args": arguments,
        "pretrained_cfg": {
            "input_size": [model.channels, height, width],
            "fixed_input_size": false,
            "interpolation": "bicubic",
            "crop_pct": fraction,
            "crop_mode": mode,
            "mean": decimals(&description.mean),
            "std": decimals(&description.std),
            "num_classes": description.classes.len(),
            "label_names": description.classes,
            "first_conv": "stem.0",
            "classifier": "head.fc",
        },
        "fcmae": description,
    });
    Ok(vec![
        ("config.json".to_owned(), pretty(&config)),
        ("model.safetensors".to_owned(), safetensors::to_bytes(&written, &Default::default())?),
        transformers::preprocessor(description),
    ])
}

fn is_block_linear(name: &str) -> bool {
    name.starts_with("stages.") && name.contains(".mlp.fc") && name.ends_with(".weight")
}

/// The name by which timm builds the network: one of other depths and widths is the smallest
/// published one, with the depths and widths given beside it. V1 has no huge size in timm.
fn built_as(description: &Description) -> String {
    let own = Size::ALL.iter().any(|size| size.name() == description.model.size)
        && !(description.model.block == BlockKind::V1 && description.model.size == "huge");
    let size = if own { &description.model.size } else { Size::Atto.name() };
    format!("{}_{size}", description.family())
}

/// Whether timm keeps the block's linear layers as 1×1 convolutions: in its sizes up to nano, of
/// which one other sizes are built.
fn linear_as_convolution(description: &Description) -> bool {
    let built = built_as(description);
    !["tiny", "base", "large", "huge"].iter().any(|size| built.ends_with(size))
}
