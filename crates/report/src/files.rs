//! Files of a run that may be missing or damaged: the page then says so and goes on.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use fcmae_files::{Limit, if_there};
use fcmae_store::run::schema::Change;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Of a JSON file: a confusion of 4,000 classes still fits.
const JSON: Limit = Limit { bytes: 64 << 20, remedy: LEFT_OUT };

/// What becomes of a longer file.
pub(crate) const LEFT_OUT: &str = "it is left out";

/// A longer line is left out.
const LONGEST_LINE: u64 = 64 << 10;

/// Most skipped files that are listed by name.
const MOST_SKIPPED: usize = 50;

/// The file's bytes; `None` where there is no file.
///
/// # Errors
/// Why it cannot be used, to follow its name.
pub(crate) fn bytes(path: &Path, limit: Limit) -> Result<Option<Vec<u8>>, String> {
    if_there(fcmae_files::bytes(path, limit)).map_err(|error| error.to_string())
}

/// The value in a JSON file; `None` where there is no file.
///
/// # Errors
/// Why it cannot be used, to follow its name.
pub(crate) fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, String> {
    let Some(bytes) = bytes(path, JSON)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| format!("is damaged: {error}"))
}

/// `changes.jsonl`, of which lines that are none are left out; none there is an empty list.
///
/// # Errors
/// Why it cannot be used, to follow its name.
pub(crate) fn changes(path: &Path) -> Result<Vec<Change>, String> {
    let bytes = bytes(path, JSON)?.unwrap_or_default();
    let lines = bytes.split(|&byte| byte == b'\n');
    Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

/// `skipped.jsonl`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Skipped {
    pub(crate) count: u64,
    /// The first of them.
    pub(crate) first: Vec<SkippedFile>,
}

/// A picture that was left out.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct SkippedFile {
    pub(crate) path: String,
    pub(crate) reason: String,
}

impl Skipped {
    /// Reads the list; none there is an empty one.
    ///
    /// # Errors
    /// Why it cannot be used, to follow its name.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let mut skipped = Self::default();
        let file = if_there(fcmae_files::open(path)).map_err(|error| error.to_string())?;
        let Some((file, _)) = file else { return Ok(skipped) };
        let mut input = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
            if read.map_err(|error| format!("cannot be read: {error}"))? == 0 {
                return Ok(skipped);
            }
            if !line.ends_with(b"\n") {
                input.skip_until(b'\n').map_err(|error| format!("cannot be read: {error}"))?;
            }
            skipped.count += 1;
            if skipped.first.len() < MOST_SKIPPED
                && let Ok(file) = serde_json::from_slice(&line)
            {
                skipped.first.push(file);
            }
        }
    }
}

/// `environment.json`, name and value, what is most looked for first.
///
/// # Errors
/// Why it cannot be used, to follow its name.
pub(crate) fn environment(path: &Path) -> Result<Vec<(String, String)>, String> {
    const FIRST: [&str; 4] = ["command", "started", "version", "os"];
    let values: serde_json::Map<String, Value> = json(path)?.unwrap_or_default();
    let mut values: Vec<_> = values.into_iter().collect();
    values
        .sort_by_key(|(key, _)| FIRST.iter().position(|first| first == key).unwrap_or(usize::MAX));
    Ok(values.into_iter().map(|(key, value)| (key.replace('_', " "), in_words(&value))).collect())
}

fn in_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "unknown".to_owned(),
        Value::Array(items) => items.iter().map(in_words).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Fault 23.
    #[test]
    fn a_file_that_is_too_long_is_left_out_and_a_missing_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("evaluation.json");
        assert!(json::<Value>(&path).unwrap().is_none());
        std::fs::File::create(&path).unwrap().set_len((64 << 20) + 1).unwrap();
        let said = "has 67108865 bytes, at most 67108864 are read; it is left out";
        assert_eq!(json::<Value>(&path).unwrap_err(), said);
        assert_eq!(json::<Value>(folder.path()).unwrap_err(), "is not a file");
        assert_eq!(Skipped::read(folder.path()).unwrap_err(), "is not a file");
    }
}
