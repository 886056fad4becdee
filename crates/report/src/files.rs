//! Files of a run that may be missing or damaged: the page then says so and goes on.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A larger JSON file is left out: a confusion of 4,000 classes still fits.
const LARGEST_JSON: u64 = 64 << 20;

/// A longer line is left out.
const LONGEST_LINE: u64 = 64 << 10;

/// Most skipped files that are listed by name.
const MOST_SKIPPED: usize = 50;

/// The file's bytes, at most `most` of them; `None` where there is no file.
///
/// # Errors
/// Why it cannot be used, to follow its name.
pub(crate) fn bytes(path: &Path, most: u64) -> Result<Option<Vec<u8>>, String> {
    let Some(file) = open(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(|e| format!("cannot be read: {e}"))?;
    if bytes.len() as u64 > most {
        return Err(format!("is larger than {} MiB", most >> 20));
    }
    Ok(Some(bytes))
}

fn open(path: &Path) -> Result<Option<File>, String> {
    // Opening a pipe would wait for somebody to write into it.
    match path.metadata() {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return Err("is not a file".to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot be read: {error}")),
    }
    File::open(path).map(Some).map_err(|e| format!("cannot be read: {e}"))
}

/// The value in a JSON file; `None` where there is no file.
///
/// # Errors
/// Why it cannot be used, to follow its name.
pub(crate) fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, String> {
    let Some(bytes) = bytes(path, LARGEST_JSON)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| format!("is damaged: {error}"))
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
        let Some(file) = open(path)? else { return Ok(skipped) };
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
