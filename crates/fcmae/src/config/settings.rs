//! From defaults, a recipe file and `--set` to checked settings.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::training::{OptimConfig, SaveConfig};
use crate::engine::backend::{Backend, Precision};
use crate::engine::device::Device;
use crate::error::ConfigError;

/// Settings of one kind of run: all keys exist in the default's TOML form, so that an unknown one
/// can be told from a known one.
pub trait Settings: Default + Serialize + DeserializeOwned + JsonSchema {
    /// Checks values against each other and fills in what follows from others.
    ///
    /// # Errors
    /// A value that cannot be run, with the remedy.
    fn resolve(self) -> Result<Self, ConfigError>;

    /// Refuses what no new run begins with. A run of an earlier version that was begun with it goes on.
    ///
    /// # Errors
    /// Settings that undo each other, with the remedy.
    fn check_new(&self) -> Result<(), ConfigError> {
        Ok(())
    }

    /// The device that the settings ask for, which must be there.
    ///
    /// # Errors
    /// As [`Device::choose`].
    fn device(&self) -> Result<Device, ConfigError>;

    /// The number type of features.
    fn precision(&self) -> Precision;

    /// The device, ready to compute.
    ///
    /// # Errors
    /// As [`Device::choose`] and [`Backend::open`].
    fn backend(&self) -> crate::error::Result<Backend> {
        Backend::open(self.device()?, self.precision())
    }

    /// How the weights are changed.
    fn optim(&self) -> &OptimConfig;

    /// What is kept of the run while it goes on.
    fn save(&self) -> &SaveConfig;

    /// The settings as TOML, every key present: what a run records.
    fn to_toml(&self) -> String {
        toml::to_string(self).expect("settings are plain tables of plain values")
    }
}

/// Settings from a recipe (its origin for messages, and its text), then `key=value` overrides.
///
/// # Errors
/// A recipe that is not TOML, an unknown key (with the nearest known one), a value of the wrong
/// kind, or settings that cannot be run.
pub fn from_recipe<T: Settings>(
    recipe: Option<(&str, &str)>,
    overrides: &[String],
) -> Result<T, ConfigError> {
    over_defaults(&[], recipe, overrides)
}

/// As [`from_recipe`], with `key=value` in place of some defaults.
///
/// # Errors
/// As [`from_recipe`].
pub fn over_defaults<T: Settings>(
    defaults: &[String],
    recipe: Option<(&str, &str)>,
    overrides: &[String],
) -> Result<T, ConfigError> {
    let mut settings =
        Table::try_from(T::default()).expect("settings are plain tables of plain values");
    assign_all::<T>(&mut settings, defaults)?;
    let mut origin = "settings".to_owned();
    if let Some((file, text)) = recipe {
        let table = text.parse::<Table>().map_err(|error| ConfigError::Recipe {
            origin: file.to_owned(),
            reason: error.to_string(),
        })?;
        if let Some((table, command)) = other_command(&settings, &table) {
            let own = if command == PRETRAIN { "finetune" } else { PRETRAIN };
            let reason = format!(
                "this recipe is for `fcmae {command}`, since it has [{table}]: give `fcmae {own}` a recipe of its own, such \
                 as {own}-small"
            );
            return Err(ConfigError::Recipe { origin: file.to_owned(), reason });
        }
        merge(&mut settings, table, "")?;
        origin = file.to_owned();
    }
    assign_all::<T>(&mut settings, overrides)?;
    check::<T>(&settings, &origin)?.resolve()
}

/// Sets each `key=value`.
fn assign_all<T: Settings>(
    settings: &mut Table,
    assignments: &[String],
) -> Result<(), ConfigError> {
    for assignment in assignments {
        let Some((key, value)) = assignment.split_once('=') else {
            return Err(ConfigError::Value {
                key: "--set".to_owned(),
                value: assignment.clone(),
                reason: "give it as key=value, for example optim.epochs=50".to_owned(),
            });
        };
        let (key, value) = (key.trim(), value.trim());
        assign(settings, key, parse(value))?;
        check::<T>(settings, &format!("--set {key}={value}"))?;
    }
    Ok(())
}

fn check<T: Settings>(settings: &Table, origin: &str) -> Result<T, ConfigError> {
    settings.clone().try_into().map_err(|error: toml::de::Error| {
        let defaults = Table::try_from(T::default()).unwrap_or_default();
        let reason = other_kind(&defaults, settings, "");
        let reason = reason.unwrap_or_else(|| in_words(error.to_string().trim_end()));
        ConfigError::Recipe { origin: origin.to_owned(), reason }
    })
}

/// What is wrong where something else stands in place of a group of settings, a list of numbers or a text, and what to
/// write.
fn other_kind(defaults: &Table, given: &Table, prefix: &str) -> Option<String> {
    given.iter().find_map(|(key, value)| {
        let path = within(prefix, key);
        match (defaults.get(key)?, value) {
            (Value::Table(inner), Value::Table(given)) => other_kind(inner, given, &path),
            (Value::Table(inner), value) => {
                let one = inner.keys().next().map_or(String::new(), |key| within(&path, key));
                Some(format!("`{path}` is a group of settings, not {value}: set one of them, such as `{one}`"))
            }
            (Value::String(_), value) if !value.is_str() => Some(format!(
                "`{path}` is a text, not {value}: `fcmae settings {path}` explains which"
            )),
            (Value::Array(list), value) if is_of_numbers(list) && !value.is_array() => {
                if ["data.mean", "data.std"].contains(&path.as_str()) {
                    return Some(format!(
                        "`{path}` is a list with a number for each channel, not {value}: write it as [0.5] for one channel, [0.5,0.5,0.5] for three"
                    ));
                }
                let count = list.len();
                let write = as_list(value, count);
                Some(format!(
                    "`{path}` is a list of {count} numbers, not {value}: write it as [{write}]"
                ))
            }
            _ => None,
        }
    })
}

/// The numbers that a value may mean: those of a text such as `64x64`, or one number for all.
fn as_list(value: &Value, count: usize) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let parts: Vec<&str> =
        text.split([',', ';', 'x', '×', ' ']).filter(|part| !part.is_empty()).collect();
    let numbers = parts.iter().all(|part| part.parse::<f64>().is_ok());
    match parts.len() {
        1 if numbers => vec![parts[0]; count].join(","),
        found if numbers && found == count => parts.join(","),
        _ => vec!["NUMBER"; count].join(","),
    }
}

fn is_of_numbers(list: &[Value]) -> bool {
    list.len() > 1 && list.iter().all(is_number)
}

fn is_number(value: &Value) -> bool {
    value.is_integer() || value.is_float()
}

/// The name of a setting in a table.
fn within(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

const PRETRAIN: &str = "pretrain";

/// Tables that only one command has, by its name.
const OWN: [(&str, &[&str]); 2] = [
    (PRETRAIN, &["decoder", "mask", "start", "teacher", "figures", "watch"]),
    ("finetune", &["finetune"]),
];

/// The command that has a table of this name, where only one has.
fn owner(table: &str) -> Option<&'static str> {
    OWN.into_iter().find(|(_, tables)| tables.contains(&table)).map(|(command, _)| command)
}

/// A table of a recipe that another command than these settings' has, and that command.
fn other_command<'a>(settings: &Table, recipe: &'a Table) -> Option<(&'a str, &'static str)> {
    let mut others = recipe.keys().filter(|key| !settings.contains_key(*key));
    others.find_map(|key| Some((key.as_str(), owner(key)?)))
}

/// What the parser says, with the names of Rust's types in words.
fn in_words(reason: &str) -> String {
    let types = [
        ("expected u64", "expected a whole number"),
        ("expected u32", "expected a whole number"),
        ("expected usize", "expected a whole number"),
        ("expected i64", "expected a whole number"),
        ("expected f64", "expected a number"),
        ("expected f32", "expected a number"),
        ("expected a boolean", "expected true or false"),
        ("expected a string", "expected text"),
        ("expected an array of length ", "expected a list of length "),
        ("expected a sequence", "expected a list"),
        ("invalid type: ", "found "),
        ("invalid value: ", "found "),
        ("\nin `", ", in `"),
    ];
    types.iter().fold(reason.to_owned(), |text, (name, word)| text.replace(name, word))
}

/// A TOML value where the text is one, else the text itself: `--set model.size=tiny` needs no
/// quotes.
fn parse(text: &str) -> Value {
    let document = format!("value = {text}");
    let parsed = document.parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn merge(settings: &mut Table, recipe: Table, prefix: &str) -> Result<(), ConfigError> {
    for (key, value) in recipe {
        let path = within(prefix, &key);
        match (settings.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(given)) => merge(inner, given, &path)?,
            (Some(slot), value) => *slot = value,
            (None, _) => return Err(unknown(settings, &path, &key, prefix)),
        }
    }
    Ok(())
}

fn assign(settings: &mut Table, path: &str, value: Value) -> Result<(), ConfigError> {
    let mut table = settings;
    let mut prefix = String::new();
    let mut parts = path.split('.').peekable();
    while let Some(key) = parts.next() {
        if !table.contains_key(key) {
            return Err(unknown(table, path, key, &prefix));
        }
        let slot = table.get_mut(key).expect("the key was just found");
        if parts.peek().is_none() {
            *slot = value;
            return Ok(());
        }
        if !prefix.is_empty() {
            prefix.push('.');
        }
        prefix.push_str(key);
        table = match slot {
            Value::Table(inner) => inner,
            _ => {
                return Err(ConfigError::UnknownKey {
                    key: path.to_owned(),
                    nearest: format!("; `{prefix}` is a value and has no settings inside"),
                });
            }
        };
    }
    Ok(())
}

/// Names the known key nearest to `key` among its siblings.
fn unknown(siblings: &Table, path: &str, key: &str, prefix: &str) -> ConfigError {
    if let Some(command) = owner(key).filter(|_| prefix.is_empty()) {
        let nearest = format!("; it is a setting of `fcmae {command}`");
        return ConfigError::UnknownKey { key: path.to_owned(), nearest };
    }
    let nearest = siblings
        .keys()
        .map(|known| (strsim::jaro_winkler(known, key), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.7);
    let nearest = match nearest {
        Some((_, known)) => format!("; did you mean `{}`?", within(prefix, known)),
        None => {
            let known: Vec<_> = siblings.keys().map(|key| within(prefix, key)).collect();
            format!("; there are {}", known.join(", "))
        }
    };
    ConfigError::UnknownKey { key: path.to_owned(), nearest }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{FinetuneConfig, MaskRatio, PretrainConfig};

    fn settings(recipe: &str, overrides: &[&str]) -> Result<PretrainConfig, ConfigError> {
        let overrides: Vec<_> = overrides.iter().map(|&s| s.to_owned()).collect();
        from_recipe(Some(("recipe.toml", recipe)), &overrides)
    }

    #[test]
    fn overrides_win_over_the_recipe_and_the_recipe_over_defaults() {
        let config =
            settings("[optim]\nepochs = 7\nbatch = 8\n[model]\nsize = 'tiny'", &["optim.batch=16"])
                .unwrap();
        assert_eq!((config.optim.epochs, config.optim.batch), (7, 16));
        assert_eq!(config.model.widths, [96, 192, 384, 768]);
        assert_eq!(config.mask.ratio, MaskRatio::Fixed(0.6));
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = settings("[optim]\nepoch = 7", &[]).unwrap_err().to_string();
        assert_eq!(error, "unknown setting `optim.epoch`; did you mean `optim.epochs`?");
        let error = settings("", &["mask.ratoi=0.5"]).unwrap_err().to_string();
        assert!(error.contains("`mask.ratio`"), "{error}");
        let error = settings("", &["zzzz=0.5"]).unwrap_err().to_string();
        assert!(error.contains("there are seed, device, precision"), "{error}");
        let error = settings("", &["optim.epochs.x=1"]).unwrap_err().to_string();
        assert!(error.contains("`optim.epochs` is a value"), "{error}");
    }

    #[test]
    fn a_recipe_of_the_other_command_says_so() {
        let said = |error: ConfigError| error.to_string();
        let text = "[optim]\nepochs = 3\n[finetune]\nlabels = 0.1";
        let error = said(settings(text, &[]).unwrap_err());
        assert!(error.starts_with("recipe.toml: this recipe is for `fcmae finetune`"), "{error}");
        assert!(error.contains("such as pretrain-small"), "{error}");
        let recipe = |text| from_recipe::<FinetuneConfig>(Some(("recipe.toml", text)), &[]);
        let error = said(recipe("[decoder]\nwidth = 256").unwrap_err());
        assert!(
            error.contains("recipe is for `fcmae pretrain`, since it has [decoder]"),
            "{error}"
        );
        assert!(error.contains("such as finetune-small"), "{error}");
        // What both have tells nothing of it, and what neither has is unknown.
        assert!(recipe("[optim]\nepochs = 3").is_ok());
        assert!(said(recipe("[decodre]\nwidth = 256").unwrap_err()).contains("unknown setting"));
        let error = said(settings("", &["finetune.labels=0.1"]).unwrap_err());
        assert!(
            error.ends_with("`finetune.labels`; it is a setting of `fcmae finetune`"),
            "{error}"
        );
    }

    #[test]
    fn what_only_one_command_has_is_known() {
        let tables = |settings: Table| settings.into_iter().filter(|(_, value)| value.is_table());
        let pretrain = Table::try_from(PretrainConfig::default()).unwrap();
        let finetune = Table::try_from(FinetuneConfig::default()).unwrap();
        for (command, of, other) in
            [("pretrain", &pretrain, &finetune), ("finetune", &finetune, &pretrain)]
        {
            let own: Vec<_> = tables(of.clone()).map(|(name, _)| name).collect();
            let own: Vec<_> = own.iter().filter(|name| !other.contains_key(*name)).collect();
            let known = OWN.iter().find(|(name, _)| *name == command).unwrap().1;
            assert_eq!(own, known, "{command}");
        }
    }

    #[test]
    fn what_is_no_group_or_text_is_told_in_words() {
        for (set, expected) in [
            ("optim=3", "`optim` is a group of settings, not 3: set one of them, such as `optim."),
            ("model.grn=true", "`model.grn` is a group of settings, not true: set one"),
            ("data.pages=2", "`data.pages` is a text, not 2: `fcmae settings data.pages` explains"),
            ("device=0", "`device` is a text, not 0"),
            (
                "data.mean=0.5",
                "not 0.5: write it as [0.5] for one channel, [0.5,0.5,0.5] for three",
            ),
        ] {
            let error = settings("", &[set]).unwrap_err().to_string();
            assert!(error.contains(expected), "{set}: {error}");
        }
        let blended = |set: &str| {
            let error = from_recipe::<FinetuneConfig>(None, &[set.to_owned()]).unwrap_err();
            error.to_string()
        };
        assert!(blended("finetune.mixup=-1").starts_with("`finetune.mixup` cannot be `-1`: "));
        assert!(
            blended("finetune.cutmix=2e6").starts_with("`finetune.cutmix` cannot be `2000000`")
        );
    }

    #[test]
    fn a_list_is_written_for_whoever_gives_a_number() {
        for (set, expected) in [
            ("data.image_size=64", "not 64: write it as [64,64]"),
            ("data.crop_scale=0.5", "not 0.5: write it as [0.5,0.5]"),
            ("model.depths=2", "is a list of 4 numbers, not 2: write it as [2,2,2,2]"),
            ("data.image_size=64x96", "not \"64x96\": write it as [64,96]"),
            ("data.image_size=large", "not \"large\": write it as [NUMBER,NUMBER]"),
            ("data.image_size=[64]", "expected a list of length 2"),
        ] {
            let error = settings("", &[set]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("--set {set}")), "{error}");
            assert!(error.contains(expected), "{error}");
        }
        let error = settings("[data]\nimage_size = 64", &[]).unwrap_err().to_string();
        assert!(error.starts_with("recipe.toml: `data.image_size` is a list of 2"), "{error}");
        // A share may be a number or two.
        assert!(settings("[mask]\nratio = [0.5, 0.7]", &["mask.ratio=0.6"]).is_ok());
    }

    #[test]
    fn a_wrong_value_names_its_origin() {
        let error = settings("", &["optim.epochs=many"]).unwrap_err().to_string();
        assert!(error.starts_with("--set optim.epochs=many"), "{error}");
        let error = settings("[optim]\nepochs = ", &[]).unwrap_err().to_string();
        assert!(error.starts_with("recipe.toml"), "{error}");
        let error = settings("", &["model.size=attoo"]).unwrap_err().to_string();
        assert!(error.contains("atto, femto"), "{error}");
        assert!(settings("", &["optim.epochs"]).is_err());
    }

    #[test]
    fn resolved_settings_read_back_as_they_were_written() {
        let config = settings(
            "",
            &[
                "model.size=custom",
                "model.depths=[1,1,2,1]",
                "model.widths=[8,16,24,32]",
                "model.stem_stride=2",
                "data.image_size=[64,64]",
            ],
        )
        .unwrap();
        let again: PretrainConfig = from_recipe(Some(("x", &config.to_toml())), &[]).unwrap();
        assert_eq!(config, again);
    }
}
