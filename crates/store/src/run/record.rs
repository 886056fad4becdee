//! What a run was started with: `config.toml` and `run.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::files::{CONFIG, RUN};
use crate::input::{DESCRIPTION, cannot_read};
use crate::{Error, durable};

/// In `run.json`, the settings once more: what they were is known though `config.toml` was edited.
const SETTINGS: &str = "settings";

/// What a run was started with.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The resolved config, as TOML text.
    pub config: String,
    /// Version, seed, data fingerprint and whatever else a resumed run must agree on.
    pub facts: Value,
}

/// A value that is another one in two records, as JSON; `None` where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differing {
    /// Its dotted name: `config.` or `run.` and the path in it.
    pub name: String,
    /// The recorded one.
    pub was: Option<String>,
    /// The one of now.
    pub is: Option<String>,
}

impl Differing {
    /// Lines `- config.a.b = 1`, `+ config.a.b = 2`.
    pub fn lines(all: Vec<Self>) -> Vec<String> {
        let of = |Self { name, was, is }| {
            let was = was.map(|value| format!("- {name} = {value}"));
            [was, is.map(|value| format!("+ {name} = {value}"))]
        };
        all.into_iter().flat_map(of).flatten().collect()
    }
}

/// A file's text, also what a killed process left of one that it was replacing; `None` where there is none.
pub(super) fn text(path: &Path) -> Result<Option<String>, Error> {
    let whole = durable::whole(path);
    let found = match fcmae_files::if_there(fcmae_files::text(&whole, DESCRIPTION)) {
        // A run in use has put it in its place in the meantime.
        Ok(None) if whole != path => fcmae_files::if_there(fcmae_files::text(path, DESCRIPTION)),
        found => found,
    };
    found.map_err(cannot_read(path))
}

/// What is wrong with a JSON file that a run cannot go on without.
pub(super) fn lost(error: &serde_json::Error) -> String {
    format!(
        "{error}; restore it from a copy, or start a new run (the weights in export/ and checkpoints/ can \
         still be used)"
    )
}

impl Record {
    /// Reads a run's record, whether or not the run is in use, and also what a killed process left
    /// of one that it was replacing.
    ///
    /// # Errors
    /// [`Error::NotARun`], [`Error::Io`] or [`Error::Malformed`].
    pub fn read(run: &Path) -> Result<Self, Error> {
        let read = |name| {
            text(&run.join(name))?
                .ok_or_else(|| Error::NotARun { path: run.to_owned(), missing: name })
        };
        // run.json is written last: without it the run never started.
        let facts = read(RUN)?;
        let malformed = |flaw: String| Error::Malformed { path: run.join(RUN), flaw };
        let mut facts: Value =
            serde_json::from_str(&facts).map_err(|error| malformed(lost(&error)))?;
        let settings = facts.as_object_mut().and_then(|facts| facts.remove(SETTINGS));
        let config = match (read(CONFIG), &settings) {
            // They are in run.json too.
            (Err(Error::NotARun { .. }), Some(_)) => String::new(),
            (config, _) => config?,
        };
        let config = match settings {
            Some(settings) if toml::from_str::<Value>(&config).ok().as_ref() != Some(&settings) => {
                toml::to_string(&settings).map_err(|error| malformed(error.to_string()))?
            }
            // Nobody edited it, or an earlier version did not write them twice.
            _ => config,
        };
        Ok(Self { config, facts })
    }

    pub(super) fn write(&self, run: &Path) -> Result<(), Error> {
        let mut facts = self.facts.clone();
        if let Some(facts) = facts.as_object_mut() {
            facts.insert(SETTINGS.to_owned(), self.settings(&run.join(CONFIG))?);
        }
        let facts = serde_json::to_vec_pretty(&facts).expect("a JSON value is JSON");
        for (name, bytes) in [(CONFIG, self.config.as_bytes()), (RUN, &facts)] {
            durable::write_file(&run.join(name), bytes.len() as u64, |out| out.write_all(bytes))?;
        }
        Ok(())
    }

    fn settings(&self, path: &Path) -> Result<Value, Error> {
        toml::from_str(&self.config)
            .map_err(|error| Error::Malformed { path: path.to_owned(), flaw: error.to_string() })
    }

    /// Whether the config is TOML; `path` is for the message.
    pub(super) fn check(&self, path: &Path) -> Result<(), Error> {
        self.flatten(path).map(|_| ())
    }

    /// Lines `- config.a.b = 1`, `+ config.a.b = 2` where `now` differs from this record.
    pub(super) fn difference(
        &self,
        now: &Self,
        run: &Path,
        may_differ: &[&str],
    ) -> Result<Vec<String>, Error> {
        Ok(Differing::lines(self.differences(now, run, may_differ)?))
    }

    /// Where `now` differs from this record of `run`, by the values' names such as `config.optim.epochs`, except for the
    /// names in `may_differ` (a table's stands for all in it).
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn differences(
        &self,
        now: &Self,
        run: &Path,
        may_differ: &[&str],
    ) -> Result<Vec<Differing>, Error> {
        let (old, new) = (self.flatten(&run.join(CONFIG))?, now.flatten(Path::new("the config"))?);
        let exempt = |name: &str| may_differ.iter().any(|free| is_of(name, free));
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let differing = names.into_iter().filter_map(|name| {
            let (was, is) = (old.get(name), new.get(name));
            (was != is && !exempt(name)).then(|| Differing {
                name: name.clone(),
                was: was.cloned(),
                is: is.cloned(),
            })
        });
        Ok(differing.collect())
    }

    /// Every value by its dotted name, so that comments and order do not count.
    fn flatten(&self, path: &Path) -> Result<BTreeMap<String, String>, Error> {
        let mut names = BTreeMap::new();
        flatten("config", &self.settings(path)?, &mut names);
        flatten("run", &self.facts, &mut names);
        Ok(names)
    }
}

/// Whether a dotted name is this one, or in the table of this name.
pub fn is_of(name: &str, table: &str) -> bool {
    name.strip_prefix(table).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn flatten(name: &str, value: &Value, names: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                flatten(&format!("{name}.{key}"), value, names);
            }
        }
        leaf => {
            names.insert(name.to_owned(), leaf.to_string());
        }
    }
}
