//! A folder for Hugging Face transformers: `config.json`, `model.safetensors`,
//! `preprocessor_config.json`.

use fcmae_data::{Depth, EvalResize};
use fcmae_store::{NamedTensors, safetensors};
use serde_json::{Map, Value, json};

use super::files::{File, grn_of_four_axes, pretty, renamed};
use crate::config::BlockKind;
use crate::error::Result;
use crate::network::model::NORM_EPS;
use crate::weights::names::Scheme;
use crate::weights::{Description, WARPS_FROM, decimals};

pub(super) fn files(tensors: NamedTensors, description: &Description) -> Result<Vec<File>> {
    let model = &description.model;
    let (kind, class) = match model.block {
        BlockKind::V1 => ("convnext", "ConvNext"),
        BlockKind::V2 => ("convnextv2", "ConvNextV2"),
    };
    let classifies = !description.classes.is_empty();
    let task = if classifies { "ForImageClassification" } else { "Model" };
    let mut config = json!({
        "architectures": [format!("{class}{task}")],
        "model_type": kind,
        "num_channels": model.channels,
        "patch_size": model.stem_stride,
        "num_stages": model.depths.len(),
        "hidden_sizes": model.widths,
        "depths": model.depths,
        "hidden_act": "gelu",
        "initializer_range": 0.02,
        "layer_norm_eps": NORM_EPS,
        "drop_path_rate": 0.0,
        "image_size": description.image_size[0].min(description.image_size[1]),
        "dtype": "float32",
        "fcmae": description,
    });
    if model.block == BlockKind::V1 {
        config["layer_scale_init_value"] = json!(1e-6);
    }
    if classifies {
        let classes = description.classes.iter().enumerate();
        let names: Map<String, Value> =
            classes.clone().map(|(class, name)| (class.to_string(), json!(name))).collect();
        let numbers: Map<String, Value> =
            classes.map(|(class, name)| (name.clone(), json!(class))).collect();
        config["id2label"] = Value::Object(names);
        config["label2id"] = Value::Object(numbers);
    }

    // The network alone has no prefix; with a head, all but the head has one.
    let short = renamed(tensors, Scheme::Transformers, grn_of_four_axes);
    let prefix = |name: String| match classifies && !name.starts_with("classifier.") {
        true => format!("{kind}.{name}"),
        false => name,
    };
    let written: NamedTensors =
        short.into_iter().map(|(name, tensor)| (prefix(name), tensor)).collect();
    let mut files = vec![
        ("config.json".to_owned(), pretty(&config)),
        ("model.safetensors".to_owned(), safetensors::to_bytes(&written, &Default::default())?),
    ];
    files.extend(preprocessor(description));
    Ok(files)
}

/// How pictures are prepared, in the words of transformers. Its ConvNeXt processor knows square
/// pictures alone, of which it warps those from 384 pixels on; a general one says the rest. What none
/// can say is a crop that is not square from pictures of any shape: that is cut from a larger one, so
/// that nothing is padded.
///
/// None for deep pictures: those processors read 8-bit ones alone, and divide by one number whatever kind a file is
/// of.
pub(super) fn preprocessor(description: &Description) -> Option<File> {
    if description.depth == Depth::Deep {
        return None;
    }
    let [height, width] = description.image_size;
    let mut settings = json!({
        "do_resize": true,
        "resample": 3,
        "do_rescale": true,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": true,
        "image_mean": decimals(&description.mean),
        "image_std": decimals(&description.std),
    });
    match description.transform().resize {
        EvalResize::CentreCrop { fraction } if height == width && height < WARPS_FROM => {
            settings["image_processor_type"] = json!("ConvNextImageProcessor");
            settings["size"] = json!({ "shortest_edge": height });
            settings["crop_pct"] = json!(fraction);
        }
        EvalResize::CentreCrop { fraction } => {
            let short = (height.max(width) as f64 / fraction).floor() as usize;
            settings["image_processor_type"] = json!("BitImageProcessor");
            settings["size"] = json!({ "shortest_edge": short });
            settings["do_center_crop"] = json!(true);
            settings["crop_size"] = json!({ "height": height, "width": width });
        }
        EvalResize::Warp => {
            settings["image_processor_type"] = json!("ViTImageProcessor");
            settings["size"] = json!({ "height": height, "width": width });
        }
    }
    Some(("preprocessor_config.json".to_owned(), pretty(&settings)))
}
