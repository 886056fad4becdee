//! Recipes: built-in ones and files, and which of them suits what comes next.

use std::path::Path;

use anyhow::{Context, Result};
use fcmae::config::{FinetuneConfig, PretrainConfig, from_recipe};
use fcmae_data::Depth;
use fcmae_data::source::printable;
use fcmae_files::Limit;

use crate::failure::Usage;
use crate::output::{self, cannot_read};

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../recipes/", $name, ".toml")))),*]
    };
}

/// Recipes by name, compiled in: the command needs no files beside it.
const BUILT_IN: &[(&str, &str)] = built_in![
    "pretrain-few",
    "pretrain-small",
    "pretrain-tiles",
    "finetune-small",
    "finetune-tiles",
    "pretrain-published",
    "finetune-atto",
    "finetune-femto",
    "finetune-pico",
    "finetune-nano",
    "finetune-tiny",
    "finetune-base",
    "finetune-large",
    "finetune-huge",
    "supervised-100",
    "supervised-300"
];

/// The recipe for a first pre-training.
pub(crate) const FIRST_PRETRAINING: &str = "pretrain-small";

/// A built-in recipe by its name, else a file in `folder`: where it is from, and its text.
///
/// # Errors
/// A name that is neither.
pub(crate) fn built_in_or_beside(name: &str, folder: &Path) -> Result<(String, String)> {
    let beside = folder.join(name);
    find("recipe", if beside.is_file() { &beside } else { Path::new(name) })
}

/// The settings of the recipe that a first pre-training is told to take.
///
/// # Errors
/// Never: a test reads all that are built in.
pub(crate) fn first_pretraining() -> Result<PretrainConfig> {
    let (name, text) = find("recipe", Path::new(FIRST_PRETRAINING))?;
    Ok(from_recipe(Some((&name, &text)), &[])?)
}

/// A built-in recipe by its name, else a file. `option`: what named it.
pub(crate) fn find(option: &str, config: &Path) -> Result<(String, String)> {
    if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| config.as_os_str() == *name) {
        return Ok(((*name).to_owned(), (*text).to_owned()));
    }
    if config.is_file() {
        return read(config);
    }
    let names = BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let text = format!(
        "{option} {}: neither a file nor a built-in recipe; the built-in ones are {names}",
        printable(config)
    );
    Err(Usage(text).into())
}

/// The options of `fcmae finetune` that suit weights pre-trained with these settings: a recipe, and the settings
/// in which it differs. `recipe`: what `--config` named.
pub(crate) fn finetuning(pretrained: &PretrainConfig, recipe: Option<&Path>) -> Result<String> {
    let PretrainConfig { model, data, .. } = pretrained;
    let built_in = |name: &str| BUILT_IN.iter().find(|(known, _)| *known == name);
    let of = |(name, text): &(&str, &str)| from_recipe::<FinetuneConfig>(Some((*name, *text)), &[]);
    let published = built_in(&format!("finetune-{}", model.size))
        .filter(|_| recipe == Some(Path::new("pretrain-published")) && data.depth == Depth::Eight);
    let tiles = built_in("finetune-tiles").filter(|tiles| {
        of(tiles).is_ok_and(|tiles| {
            tiles.model.widths == model.widths && tiles.model.depths == model.depths
        })
    });
    let small = built_in("finetune-small").context("it is built in")?;
    let chosen = published.or(tiles).unwrap_or(small);
    let usual = of(chosen)?.data;
    let mut options = format!("--config {}", chosen.0);
    let [height, width] = data.image_size;
    for (differs, setting) in [
        (usual.image_size != data.image_size, format!("data.image_size=[{height},{width}]")),
        (usual.flip != data.flip, format!("data.flip={}", data.flip)),
    ] {
        if differs {
            options += &format!(" --set {}", output::quoted(Path::new(&setting)));
        }
    }
    Ok(options)
}

/// Of a file of settings.
const LIMIT: Limit = Limit { bytes: 1 << 20, remedy: "check that it is a file of settings" };

/// A file's name, and its text.
pub(crate) fn read(file: &Path) -> Result<(String, String)> {
    let name = printable(file);
    let text = fcmae_files::text(file, LIMIT).map_err(cannot_read(file))?;
    Ok((name, text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn fine_tuning_takes_up_what_pre_training_was_of() {
        let after = |recipe: &str, set: &[&str]| {
            let (_, text) = BUILT_IN.iter().find(|(name, _)| *name == recipe).unwrap();
            let set: Vec<String> = set.iter().map(|&set| set.to_owned()).collect();
            let config = from_recipe(Some((recipe, text)), &set).unwrap();
            finetuning(&config, Some(Path::new(recipe))).unwrap()
        };
        assert_eq!(after("pretrain-small", &[]), "--config finetune-small");
        assert_eq!(after("pretrain-few", &[]), "--config finetune-small");
        assert_eq!(
            after("pretrain-tiles", &["data.flip=0"]),
            "--config finetune-tiles --set data.flip=0"
        );
        assert_eq!(after("pretrain-published", &["model.size=tiny"]), "--config finetune-tiny");
        assert_eq!(
            after("pretrain-small", &["data.image_size=[64,96]", "model.stem_stride=2"]),
            "--config finetune-small --set 'data.image_size=[64,96]'"
        );
    }

    /// `fcmae doctor --help` names it.
    #[test]
    fn a_first_pretraining_takes_pictures_of_128_pixels() {
        assert_eq!(first_pretraining().unwrap().data.image_size, [128, 128]);
    }

    #[test]
    fn built_in_recipes_are_settings() {
        for (name, text) in BUILT_IN {
            let settings = match name.split('-').next().unwrap() {
                "pretrain" => from_recipe::<PretrainConfig>(Some((name, text)), &[]).map(drop),
                _ => from_recipe::<FinetuneConfig>(Some((name, text)), &[]).map(drop),
            };
            settings.unwrap();
        }
    }

    /// One that is damaged ends no run.
    #[test]
    fn runs_of_built_in_recipes_keep_two_checkpoints() {
        for (name, text) in BUILT_IN {
            let recipe = Some((*name, *text));
            let keep = match name.split('-').next().unwrap() {
                "pretrain" => from_recipe::<PretrainConfig>(recipe, &[]).unwrap().save.keep,
                _ => from_recipe::<FinetuneConfig>(recipe, &[]).unwrap().save.keep,
            };
            assert_eq!(keep, 2, "{name}");
        }
    }

    #[test]
    fn an_unknown_recipe_names_the_known_ones() {
        let error = find("--config", Path::new("pretrain-smal")).unwrap_err().to_string();
        for (name, _) in BUILT_IN {
            assert!(error.contains(name), "{error}");
        }
    }
}
