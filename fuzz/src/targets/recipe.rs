//! Recipes, and settings from the command line.

use fcmae::config::{FinetuneConfig, PretrainConfig, Settings, from_recipe};

use crate::target::{Outcome, Target};
use crate::{corpus, repair};

/// Behind it, each line is a setting of the command line.
const SET: &str = "\n#--set\n";

pub(super) const TARGET: Target = Target {
    name: "recipe",
    run: target,
    corpus: files,
    words: &[
        b"\n#--set\n",
        b"[model]\n",
        b"[optim]\n",
        b"[data]\n",
        b"[mask]\n",
        b"size = \"custom\"\n",
        b"depths = [1, 1, 1, 1]\n",
        b"widths = [8, 16, 32, 64]\n",
        b"stem_stride = 4\n",
        b"channels = 1\n",
        b"image_size = [32, 32]\n",
        b"mean = [0.5]\n",
        b"std = [0.5]\n",
        b"epochs = 1\n",
        b"batch = 1\n",
        b"accumulate = 1\n",
        b"ratio = 0.6\n",
        b"model.size=tiny\n",
        b"optim.lr=1e-3\n",
        b"seed=",
        b"nan",
        b"inf",
        b"-inf",
        b"1e308",
        b"9223372036854775807",
        b"-9223372036854775808",
        b"[",
        b"]",
        b"{",
        b"}",
        b"\"",
        b"'''",
        b"=",
        b".",
        b"\n",
        b"#",
        b"1979-05-27T07:32:00Z",
        b"true",
    ],
    repair: repair::nothing,
    short: 1_500,
};

fn files() -> Vec<Vec<u8>> {
    let mut files = corpus::files("recipes", ".toml");
    for recipe in &mut files {
        // What is said of each setting is long, and skipped at once.
        let text = String::from_utf8_lossy(recipe).into_owned();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        *recipe = lines.flat_map(|line| [line, "\n"]).collect::<String>().into_bytes();
        recipe.extend(SET.as_bytes());
        recipe.extend(b"seed=3\noptim.epochs = 2");
    }
    files.push(
        b"[model]\nsize = 'custom'\ndepths = [1, 1, 2, 1]\nwidths = [8, 16, 24, 32]".to_vec(),
    );
    files
}

/// Reads settings of both kinds of runs. Those that are taken can be written, and are read as the same.
pub(super) fn target(bytes: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(bytes);
    let (recipe, set) = text.split_once(SET).unwrap_or((&text, ""));
    let set: Vec<String> = set.lines().map(str::to_owned).collect();
    let pretraining = read::<PretrainConfig>(recipe, &set);
    let finetuning = read::<FinetuneConfig>(recipe, &set);
    pretraining.or(finetuning)
}

fn read<T: Settings + PartialEq>(recipe: &str, set: &[String]) -> Outcome {
    let settings: T =
        from_recipe(Some(("recipe.toml", recipe)), set).map_err(|error| error.to_string())?;
    let written = settings.to_toml();
    let again = from_recipe(Some(("written", &written)), &[]).expect("what was written is read");
    assert!(settings == again, "settings are no longer what they were once they are written");
    Ok(())
}
