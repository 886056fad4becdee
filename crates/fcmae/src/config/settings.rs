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
    settings.clone().try_into().map_err(|error: toml::de::Error| ConfigError::Recipe {
        origin: origin.to_owned(),
        reason: in_words(error.to_string().trim_end()),
    })
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
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
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
    let dot = if prefix.is_empty() { "" } else { "." };
    let nearest = siblings
        .keys()
        .map(|known| (strsim::jaro_winkler(known, key), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.7);
    let nearest = match nearest {
        Some((_, known)) => format!("; did you mean `{prefix}{dot}{known}`?"),
        None => {
            let known: Vec<_> = siblings.keys().map(|k| format!("{prefix}{dot}{k}")).collect();
            format!("; known here: {}", known.join(", "))
        }
    };
    ConfigError::UnknownKey { key: path.to_owned(), nearest }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{MaskRatio, PretrainConfig};

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
        assert!(error.contains("known here: seed, device, precision"), "{error}");
        let error = settings("", &["optim.epochs.x=1"]).unwrap_err().to_string();
        assert!(error.contains("`optim.epochs` is a value"), "{error}");
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
