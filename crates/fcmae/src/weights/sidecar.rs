//! What other programs write beside weights: classes, normalization, the size of the pictures.

use std::path::Path;

use fcmae_data::{Depth, EvalResize};
use fcmae_files::Limit;
use serde_json::Value;

use super::description::Description;
use crate::config::{is_mean_of_pixels, is_std_of_pixels};
use crate::error::{Error, Result};

/// The ConvNeXt picture processor of transformers warps pictures from this side on, and crops smaller
/// ones.
pub(crate) const WARPS_FROM: usize = 384;

const PREPROCESSOR: &str = "preprocessor_config.json";

/// Takes over what the `config.json` of timm or transformers (and the `preprocessor_config.json`
/// beside it) says. Values that do not fit the weights are left out, with a note.
///
/// # Errors
/// Files that are not JSON; a mean, deviation or crop that cannot be.
pub(super) fn read(
    config: &Value,
    path: &Path,
    description: &mut Description,
    notes: &mut Vec<String>,
) -> Result<()> {
    if let Some(pretrained) = config.get("pretrained_cfg") {
        timm(config, pretrained, description, notes).map_err(|reason| cannot(path, reason))?;
    } else if config.get("model_type").is_some() {
        let file = path.with_file_name(PREPROCESSOR);
        let preprocessor = match file.is_file() {
            true => read_json(&file)?,
            false => Value::Null,
        };
        transformers(config, &preprocessor, description, notes)
            .map_err(|reason| cannot(&file, reason))?;
    }
    Ok(())
}

fn cannot(path: &Path, reason: String) -> Error {
    Error::File { path: path.to_owned(), reason }
}

/// Of a file of JSON: the names of 100,000 classes still fit.
const LIMIT: Limit = Limit { bytes: 64 << 20, remedy: "give the one that came with the weights" };

/// A file of JSON.
///
/// # Errors
/// One that cannot be read, is too long, or is none.
pub(super) fn read_json(path: &Path) -> Result<Value> {
    let error = |reason: String| Error::File { path: path.to_owned(), reason };
    let text = fcmae_files::text(path, LIMIT).map_err(|e| error(e.to_string()))?;
    serde_json::from_str(&text).map_err(|e| error(format!("is not JSON: {e}")))
}

fn timm(
    config: &Value,
    pretrained: &Value,
    description: &mut Description,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    if let Some([_, height, width]) = numbers(&pretrained["input_size"]).as_deref() {
        description.image_size = [*height as usize, *width as usize];
    }
    normalize(["mean", "std"], pretrained, description, notes)?;
    let crop = fraction(&pretrained["crop_pct"])?;
    description.resize = match pretrained["crop_mode"].as_str() {
        Some("squash") => Some(EvalResize::Warp),
        _ => crop,
    };
    if let Some(other) = pretrained["interpolation"].as_str().filter(|&kind| kind != "bicubic") {
        notes.push(format!("its pictures were resized by {other}; here they are by bicubic"));
    }
    let labels = [&config["label_names"], &pretrained["label_names"]];
    if let Some(labels) = labels.into_iter().find(|labels| labels.is_array()) {
        let names =
            labels.as_array().into_iter().flatten().map(|name| Some(name.as_str()?.to_owned()));
        label(names.collect(), description, notes);
    }
    Ok(())
}

fn transformers(
    config: &Value,
    preprocessor: &Value,
    description: &mut Description,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    let shortest = &preprocessor["size"]["shortest_edge"];
    let sides = [shortest, &preprocessor["size"], &config["image_size"]];
    if let Some(side) = sides.into_iter().find_map(Value::as_u64) {
        description.image_size = [side as usize; 2];
    }
    normalize(["image_mean", "image_std"], preprocessor, description, notes)?;
    // What it warps, the rule here warps as well.
    let crops = description.image_size[0] < WARPS_FROM;
    description.resize = fraction(&preprocessor["crop_pct"])?.filter(|_| crops);
    if let Some(labels) = config["id2label"].as_object() {
        let name = |class: usize| Some(labels.get(&class.to_string())?.as_str()?.to_owned());
        label((0..labels.len()).map(name).collect(), description, notes);
    }
    Ok(())
}

fn numbers(value: &Value) -> Option<Vec<f64>> {
    value.as_array()?.iter().map(Value::as_f64).collect()
}

/// A share of the picture that is cropped; none where nothing is said.
fn fraction(value: &Value) -> Result<Option<EvalResize>, String> {
    if value.is_null() {
        return Ok(None);
    }
    let fraction = value.as_f64().filter(|fraction| *fraction > 0.0 && *fraction <= 1.0);
    let fraction =
        fraction.ok_or_else(|| format!("its crop_pct is {value}; write a share, such as 0.875"))?;
    Ok(Some(EvalResize::CentreCrop { fraction }))
}

/// The values of a name, one a channel; none where there is no list.
fn of_channels(name: &str, from: &Value) -> Result<Option<Vec<f64>>, String> {
    let value = &from[name];
    match numbers(value) {
        None if value.is_array() || value.is_string() => {
            Err(format!("its {name} is {value}; write a number for each channel"))
        }
        numbers => Ok(numbers),
    }
}

fn normalize(
    names: [&str; 2],
    from: &Value,
    description: &mut Description,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    let [mean, std] = [of_channels(names[0], from)?, of_channels(names[1], from)?];
    if description.depth == Depth::Eight {
        let sound = [is_mean_of_pixels, is_std_of_pixels];
        for ((name, values), sound) in names.into_iter().zip([&mean, &std]).zip(sound) {
            if let Some(values) =
                values.as_ref().filter(|all| !all.iter().all(|&v| sound(v as f32)))
            {
                return Err(format!(
                    "its {name} is {values:?}, but pixels go from 0 to 1; divide values of 0 to 255 by 255"
                ));
            }
        }
    }
    let (Some(mean), Some(std)) = (mean, std) else { return Ok(()) };
    let channels = description.model.channels;
    if mean.len() == channels && std.len() == channels && std.iter().all(|&std| std > 0.0) {
        description.mean = mean.into_iter().map(|v| v as f32).collect();
        description.std = std.into_iter().map(|v| v as f32).collect();
    } else {
        notes.push(format!(
            "mean {mean:?} and std {std:?} beside the weights do not fit {channels} channels; \
             ImageNet's are taken"
        ));
    }
    Ok(())
}

fn label(names: Option<Vec<String>>, description: &mut Description, notes: &mut Vec<String>) {
    let classes = description.classes.len();
    match names {
        // What transformers writes for want of names.
        Some(names)
            if (0..classes).all(|class| names.get(class) == Some(&format!("LABEL_{class}"))) => {}
        Some(names) if names.len() == classes => {
            description.classes = names;
            description.nameless = false;
        }
        // Both programs describe a head that the file may not have.
        _ if classes == 0 => {}
        _ => {
            notes.push(format!("the names beside the weights do not match their {classes} classes"))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_pixels_cannot_have_is_refused() {
        let said = |settings: &str| {
            let all = format!(r#"{{"mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2], {settings}}}"#);
            let mut description = Description::new(&Default::default(), &Default::default());
            let pretrained = serde_json::from_str(&all).unwrap();
            timm(&Value::Null, &pretrained, &mut description, &mut Vec::new())
        };
        assert_eq!(said(r#""crop_pct": 0.9"#), Ok(()));
        for (wrong, says) in [
            (r#""mean": [123.7, 116.3, 103.5]"#, "by 255"),
            (r#""std": [58.4, 57.1, 57.4]"#, "by 255"),
            (r#""std": [0.0001, 0.2, 0.2]"#, "its std"),
            (r#""mean": ["0.5", "0.5", "0.5"]"#, "its mean"),
            (r#""mean": "0.5""#, "its mean"),
            (r#""crop_pct": 1.5"#, "its crop_pct"),
            (r#""crop_pct": "0.9""#, "its crop_pct"),
        ] {
            let said = said(wrong).unwrap_err();
            assert!(said.contains(says), "{wrong}: {said}");
        }
    }

    /// Fault 23.
    #[test]
    fn a_description_that_is_too_long_or_no_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::File::create(&path).unwrap().set_len((64 << 20) + 1).unwrap();
        let said = read_json(&path).unwrap_err().to_string();
        let reason = "has 67108865 bytes, at most 67108864 are read; give the one that came with";
        assert!(said.contains("config.json") && said.contains(reason), "{said}");
        std::fs::write(&path, b"{\n\"a\": \"\xff\"}").unwrap();
        let said = read_json(&path).unwrap_err().to_string();
        assert!(said.contains("not UTF-8 text from byte 7 of line 2 on"), "{said}");
    }
}
