//! What settings mean, for those who set them: the documentation of their structs, by key.

use std::collections::BTreeMap;

use fcmae_words::wrapped;
use serde_json::Value;

use super::settings::Settings;

/// Where a comment breaks.
const WIDTH: usize = 98;

/// A setting, or a table of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Such as `optim.epochs`, or `optim` for the table.
    pub key: String,
    /// What it is.
    pub text: String,
    /// The default, in TOML; `None` for a table.
    pub default: Option<String>,
    /// The words it accepts, each with its meaning; empty for a number or free text.
    pub words: Vec<(String, String)>,
}

/// All settings of a kind of run, in the order of its recipe. A table comes before what is in it.
pub fn reference<T: Settings>() -> Vec<Setting> {
    let known = Documentation::of::<T>();
    let mut all = Vec::new();
    walk(&T::default().to_toml(), |line| match line {
        Line::Table(key) => all.push(known.setting(key, None)),
        Line::Value { key, value, .. } => all.push(known.setting(key, Some(value))),
        Line::Other(_) => {}
    });
    all
}

/// The settings as TOML, each below a comment that says what it is.
pub fn commented<T: Settings>(settings: &T) -> String {
    let known = Documentation::of::<T>();
    let mut out = String::new();
    walk(&settings.to_toml(), |line| {
        let (key, text) = match line {
            Line::Table(key) => (key, format!("[{key}]")),
            Line::Value { key, text, .. } => (key, text.to_owned()),
            Line::Other(text) => return out.extend([text, "\n"]),
        };
        let Setting { text: about, words, .. } = known.setting(key, None);
        comment(&mut out, &about, "");
        for (word, about) in words {
            comment(&mut out, &format!("`{word}`: {about}"), "  ");
        }
        out.extend([&text, "\n"]);
    });
    out
}

/// Adds a comment, of lines that fit.
fn comment(out: &mut String, text: &str, indent: &str) {
    for line in wrapped(text, WIDTH) {
        out.extend(["# ", indent, line.as_str(), "\n"]);
    }
}

/// A line of settings as they are written.
enum Line<'a> {
    /// The head of the table of this key.
    Table(&'a str),
    /// A setting: its whole key, its value, and the line.
    Value {
        key: &'a str,
        value: &'a str,
        text: &'a str,
    },
    Other(&'a str),
}

/// Goes through settings line by line: each has one.
fn walk(toml: &str, mut line: impl FnMut(Line<'_>)) {
    let mut table = String::new();
    for text in toml.lines() {
        if let Some(key) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = key.to_owned();
            line(Line::Table(key));
        } else if let Some((key, value)) = text.split_once(" = ") {
            let key = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
            line(Line::Value { key: &key, value, text });
        } else {
            line(Line::Other(text));
        }
    }
}

/// What is known of keys.
struct Documentation(BTreeMap<String, (String, Vec<(String, String)>)>);

impl Documentation {
    fn of<T: Settings>() -> Self {
        let schema = schemars::schema_for!(T).to_value();
        let mut known = Self(BTreeMap::new());
        known.enter(&schema, &schema, "");
        known
    }

    /// Notes the properties of an object, and those of objects in it.
    fn enter(&mut self, whole: &Value, object: &Value, prefix: &str) {
        let Some(properties) = object["properties"].as_object() else { return };
        for (name, property) in properties {
            let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            let named = property["$ref"].as_str().and_then(|path| whole.pointer(&path[1..]));
            let kind = named.unwrap_or(property);
            let words = kind["oneOf"].as_array().map_or(&[] as &[_], Vec::as_slice).iter();
            let words = words.filter_map(|of| Some((of["const"].as_str()?.to_owned(), text(of))));
            self.0.insert(key.clone(), (text(property), words.collect()));
            self.enter(whole, kind, &key);
        }
    }

    fn setting(&self, key: &str, default: Option<&str>) -> Setting {
        let (text, words) = self.0.get(key).cloned().unwrap_or_default();
        Setting { key: key.to_owned(), text, default: default.map(str::to_owned), words }
    }
}

/// What a schema says of itself, on one line.
fn text(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{FinetuneConfig, PretrainConfig, Size, from_recipe};

    fn check<T: Settings + PartialEq + std::fmt::Debug>(of: fn(&[Setting])) {
        let all = reference::<T>();
        for setting in &all {
            assert!(setting.text.ends_with('.'), "{setting:?}");
            assert!(setting.words.iter().all(|(_, text)| text.ends_with('.')), "{setting:?}");
        }
        of(&all);
        let text = commented(&T::default());
        assert!(text.lines().all(|line| line.chars().count() <= 2 + 2 + WIDTH), "{text}");
        assert_eq!(from_recipe::<T>(Some(("text", &text)), &[]).unwrap().to_toml(), {
            from_recipe::<T>(None, &[]).unwrap().to_toml()
        });
        // Nothing but comments is added.
        let bare: String =
            text.split_inclusive('\n').filter(|line| !line.starts_with('#')).collect();
        assert_eq!(bare, T::default().to_toml());
    }

    #[test]
    fn every_setting_says_what_it_is() {
        check::<PretrainConfig>(|all| {
            let of = |key: &str| all.iter().find(|setting| setting.key == key).unwrap();
            assert_eq!(of("mask.ratio").default.as_deref(), Some("0.6"));
            assert!(of("mask.ratio").text.starts_with("Share of patches"));
            let words: Vec<_> = of("mask.encoder").words.iter().map(|(word, _)| word).collect();
            assert_eq!(words, ["sparse", "dense"]);
            for size in Size::ALL {
                assert!(of("model.size").text.contains(&format!("`{size}`")), "{size}");
            }
            assert!(of("model.grn").default.is_none() && of("model.grn.skip").default.is_some());
        });
        check::<FinetuneConfig>(|all| assert!(all.len() > 50, "{}", all.len()));
    }
}
