//! Logs to which whole lines are added.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::input::open;
use crate::{Error, durable};

/// A text file that only grows; every line is one write, from any thread.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    file: File,
    /// Lines already there, where each is wanted once.
    seen: Option<Mutex<HashSet<String>>>,
}

impl Lines {
    /// Opens or creates the file; a last line that was cut short by a crash is removed.
    pub(super) fn open(path: PathBuf) -> Result<Self, Error> {
        if path.is_dir() {
            return Err(Error::NotAFile { path });
        }
        let options = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let mut file = options.map_err(Error::io("open", &path))?;
        let length = file.metadata().map_err(Error::io("read", &path))?.len();
        let whole = whole_lines(&mut file, length).map_err(Error::io("read", &path))?;
        if whole < length {
            file.set_len(whole).map_err(Error::io("shorten", &path))?;
        }
        Ok(Self { path, file, seen: None })
    }

    /// As [`Lines::open`]; a line that is there already is not written again.
    pub(super) fn open_unique(path: PathBuf) -> Result<Self, Error> {
        let lines = Self::open(path)?;
        let (file, _) = open(&lines.path)?;
        let seen = file.lines().collect::<Result<_, _>>();
        let seen = Some(Mutex::new(seen.map_err(Error::io("read", &lines.path))?));
        Ok(Self { seen, ..lines })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line of text; line breaks in it become spaces.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::NoSpace`].
    pub fn text(&self, text: &str) -> Result<(), Error> {
        let mut line = text.replace(['\n', '\r'], " ");
        if let Some(seen) = &self.seen {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            if !seen.insert(line.clone()) {
                return Ok(());
            }
        }
        line.push('\n');
        (&self.file).write_all(line.as_bytes()).map_err(|source| {
            let error = Error::io("write", &self.path)(source);
            durable::disk_full(error, &self.path, line.len() as u64)
        })
    }

    /// Makes the lines so far outlast a power cut, if files can be synced: for before a checkpoint that
    /// stands for them.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sync(&self) -> Result<(), Error> {
        durable::sync_data(&self.path, &self.file)
    }

    /// Adds a value as one line of JSON. NaN and infinities become `null`.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::NoSpace`]; [`Error::Malformed`] for a value that JSON cannot hold.
    pub fn json(&self, value: &impl Serialize) -> Result<(), Error> {
        self.text(&self.encode(value)?)
    }

    /// The line that [`Lines::json`] adds.
    pub(super) fn encode(&self, value: &impl Serialize) -> Result<String, Error> {
        serde_json::to_string(value)
            .map_err(|error| Error::Malformed { path: self.path.clone(), flaw: error.to_string() })
    }
}

/// Bytes up to and with the last line break.
fn whole_lines(file: &mut File, length: u64) -> std::io::Result<u64> {
    let mut end = length;
    let mut block = vec![0; 4096];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let bytes = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(bytes)?;
        if let Some(at) = bytes.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Rewrites a log without what a run resumed at `step` writes again; how many lines went. `keep`:
/// whether a line of this very step stays.
pub(super) fn cut_after(
    path: &Path,
    step: u64,
    keep: impl Fn(&Map<String, Value>) -> bool,
) -> Result<usize, Error> {
    let (mut input, length) = open(path)?;
    let (mut cut, mut beyond, mut line) = (0, false, Vec::new());
    durable::write_file(path, length, |out| {
        loop {
            line.clear();
            if input.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            let keep = match serde_json::from_slice::<Map<_, _>>(&line) {
                Err(_) => false,
                Ok(fields) => {
                    if let Some(at) = fields.get("step").and_then(Value::as_u64) {
                        beyond = at > step || at == step && !keep(&fields);
                    }
                    !beyond
                }
            };
            if keep && line.ends_with(b"\n") {
                out.write_all(&line)?;
            } else {
                cut += 1;
            }
        }
    })?;
    Ok(cut)
}
