//! Logs to which whole lines are added.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::input::open;
use crate::{Error, durable};

/// A text file that only grows; every line is one write, from any thread.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    file: Mutex<File>,
    /// Lines already there, where each is wanted once.
    seen: Option<Mutex<HashSet<String>>>,
}

impl Lines {
    /// Opens or creates the file; a last line that was cut short by a crash is removed.
    pub(super) fn open(path: PathBuf) -> Result<Self, Error> {
        if path.is_dir() {
            return Err(Error::NotAFile { path });
        }
        let file = Mutex::new(opened(&path)?);
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
        self.add(&self.file(), line.as_bytes())
    }

    fn add(&self, mut file: &File, bytes: &[u8]) -> Result<(), Error> {
        file.write_all(bytes).map_err(|source| {
            let error = Error::io("write", &self.path)(source);
            durable::disk_full(error, &self.path, bytes.len() as u64)
        })
    }

    fn file(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on in the file that has the name by now, where another one took it, as when an editor saves, or none has
    /// it. Lines that it lacks are added to it: how many.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::NoSpace`]; lines then go where they went before.
    pub(super) fn follow(&self) -> Result<usize, Error> {
        let mut file = self.file();
        if has_name(&file, &self.path).map_err(Error::io("read", &self.path))? {
            return Ok(0);
        }
        // Over a network, what is read under the name may be older than what was written.
        let _ = durable::sync_data(&self.path, &file);
        let new = opened(&self.path)?;
        let (missing, count) = lacking(&file, &new).map_err(Error::io("read", &self.path))?;
        self.add(&new, &missing)?;
        *file = new;
        Ok(count)
    }

    /// Makes the lines so far outlast a power cut, if files can be synced: for before a checkpoint that
    /// stands for them.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sync(&self) -> Result<(), Error> {
        durable::sync_data(&self.path, &self.file())
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

/// Opens or creates a file of lines; a last one that was cut short is removed.
fn opened(path: &Path) -> Result<File, Error> {
    let options = OpenOptions::new().read(true).append(true).create(true).open(path);
    let mut file = options.map_err(Error::io("open", path))?;
    let length = file.metadata().map_err(Error::io("read", path))?.len();
    let whole = whole_lines(&mut file, length).map_err(Error::io("read", path))?;
    if whole < length {
        file.set_len(whole).map_err(Error::io("shorten", path))?;
    }
    Ok(file)
}

/// Whether this very file is found at `path`.
#[cfg(unix)]
fn has_name(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let of = |about: std::fs::Metadata| (about.dev(), about.ino());
    match std::fs::metadata(path) {
        Ok(there) => Ok(of(there) == of(file.metadata()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether any file is found at `path`: an open one can't be replaced here.
#[cfg(not(unix))]
fn has_name(_: &File, path: &Path) -> io::Result<bool> {
    path.try_exists()
}

/// The lines of `old` that `new` has not, or not as often, and how many they are.
fn lacking(old: &File, new: &File) -> io::Result<(Vec<u8>, usize)> {
    fn lines(mut file: &File) -> io::Result<io::Split<BufReader<&File>>> {
        file.seek(SeekFrom::Start(0))?;
        Ok(BufReader::new(file).split(b'\n'))
    }
    let mut known = HashMap::<Vec<u8>, usize>::new();
    for line in lines(new)? {
        *known.entry(line?).or_default() += 1;
    }
    let (mut missing, mut count) = (Vec::new(), 0);
    for line in lines(old)? {
        let line = line?;
        match known.get_mut(&line) {
            Some(left) if *left > 0 => *left -= 1,
            _ => {
                missing.extend(line);
                missing.push(b'\n');
                count += 1;
            }
        }
    }
    Ok((missing, count))
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
