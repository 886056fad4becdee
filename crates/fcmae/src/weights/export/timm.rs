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
    let built = built_as(description);
    let convolutions = built.in_timm().linear_as_convolution;
    let written = renamed(tensors, Scheme::Timm, |name, shape| match shape {
        [outputs, inputs] if convolutions && is_block_linear(name) => vec![*outputs, *inputs, 1, 1],
        _ => shape.to_vec(),
    });
    let mut arguments = json!({ "in_chans": model.channels, "patch_size": model.stem_stride });
    let architecture = format!("{}_{built}", description.family());
    if architecture != description.name() {
        arguments["depths"] = json!(model.depths);
        arguments["dims"] = json!(model.widths);
    }
    let (fraction, mode) = match description.transform().resize {
        EvalResize::CentreCrop { fraction } => (fraction, "center"),
        EvalResize::Warp => (1.0, "squash"),
    };
    let config = json!({
        "architecture": architecture,
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
    let mut files = vec![
        ("config.json".to_owned(), pretty(&config)),
        ("model.safetensors".to_owned(), safetensors::to_bytes(&written, &Default::default())?),
    ];
    files.extend(transformers::preprocessor(description));
    Ok(files)
}

fn is_block_linear(name: &str) -> bool {
    name.starts_with("stages.") && name.contains(".mlp.fc") && name.ends_with(".weight")
}

/// The size by which timm builds the network: one that timm does not have is its smallest, with the depths and
/// widths given beside it.
fn built_as(description: &Description) -> Size {
    let model = &description.model;
    let has = |size: &Size| match model.block {
        BlockKind::V1 => size.in_timm().v1,
        BlockKind::V2 => size.in_timm().v2,
    };
    model.size.parse().ok().filter(has).unwrap_or(Size::Atto)
}
