//! TensorBoard's event files: the curves, the settings and pictures of a run.
//!
//! A file is a sequence of records, little-endian:
//! ```text
//! length u64, masked CRC-32C of these 8 bytes u32, data, masked CRC-32C of the data u32
//! ```
//! The data is a message `Event`. TensorBoard reads the files of a folder in the order of their names,
//! keeps its place, and never comes back to a file once it has gone on to the next. So a file is only
//! ever added to, and each life of a run writes one of its own; a record that a crash cut short stays
//! at the end of a file that nobody adds to any more. What a resumed run logs again is taken back by a
//! message at the head of its file.

mod event;
mod message;

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use event::{At, PngHeader};
use message::Event;

use super::files::CONFIG;
use crate::input::DESCRIPTION;
use crate::{Error, durable};

pub(super) const PREFIX: &str = "events.out.tfevents.";

/// What one life of a run shows in TensorBoard. The file is made with the first of it.
#[derive(Debug)]
pub(super) struct Events {
    run: PathBuf,
    /// The step of the checkpoint that this life went on from.
    resumed_at: Option<u64>,
    file: Option<EventFile>,
}

impl Events {
    pub(super) fn new(run: &Path, resumed_at: Option<u64>) -> Self {
        Self { run: run.to_owned(), resumed_at, file: None }
    }

    /// Adds a point to each curve.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::NoSpace`]; the file is then as it was.
    pub(super) fn scalars(&mut self, step: u64, scalars: &[(String, f32)]) -> Result<(), Error> {
        let scalars = scalars.iter().map(|(tag, value)| (tag.as_str(), *value));
        self.add(&At { time: now(), step }.scalars(scalars))
    }

    /// Adds a picture, given as a PNG file.
    ///
    /// # Errors
    /// As for [`Events::scalars`]; [`Error::NotPng`].
    pub(super) fn picture(&mut self, tag: &str, step: u64, png: &[u8]) -> Result<(), Error> {
        let header = PngHeader::read(png).ok_or_else(|| Error::NotPng { tag: tag.to_owned() })?;
        self.add(&At { time: now(), step }.picture(tag, header, png))
    }

    /// Makes what was added outlast a power cut.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn sync(&self) -> Result<(), Error> {
        let Some(EventFile { path, file, .. }) = &self.file else { return Ok(()) };
        durable::sync_data(path, file)
    }

    fn add(&mut self, event: &Event) -> Result<(), Error> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.begin()?,
        };
        self.file.insert(file).add(&[event])
    }

    /// Creates this life's file, with what stands before all else.
    fn begin(&self) -> Result<EventFile, Error> {
        let newest = newest_stamp(&self.run)?;
        let start = At { time: now(), step: 0 };
        let mut head = vec![start.file_version()];
        // The first such message of a run takes nothing back, whatever its step: part of TensorBoard
        // counts only the later ones as restarts. So the first file has one too.
        let step = match self.resumed_at {
            Some(step) => Some(step.saturating_add(1)),
            None => newest.is_none().then_some(0),
        };
        head.extend(step.map(|step| At { step, ..start }.start()));
        if newest.is_none()
            && let Ok(config) = fcmae_files::text(&self.run.join(CONFIG), DESCRIPTION)
        {
            head.push(start.text("config", &code_block(&config)));
        }
        // A name beyond all others, whatever the clock says and however short the last life was.
        let stamp = newest.map_or(0, |newest| newest.saturating_add(1)).max(start.time as u64);
        let name = format!("{PREFIX}{stamp:010}.{}.{}", host(), std::process::id());
        let mut file = EventFile::create(self.run.join(name))?;
        if let Err(error) = file.add(&head.iter().collect::<Vec<_>>()) {
            // A file without its head would be taken for one of the oldest form.
            let _ = fs::remove_file(&file.path);
            return Err(error);
        }
        Ok(file)
    }
}

#[derive(Debug)]
struct EventFile {
    path: PathBuf,
    file: File,
    /// Bytes of whole records.
    length: u64,
}

impl EventFile {
    fn create(path: PathBuf) -> Result<Self, Error> {
        let file = File::create_new(&path);
        let file = file.map_err(|source| {
            durable::disk_full(
                Error::io("create", &path)(source),
                path.parent().unwrap_or(&path),
                0,
            )
        })?;
        Ok(Self { path, file, length: 0 })
    }

    /// Adds records in one write, so that a process that is killed leaves whole ones.
    fn add(&mut self, events: &[&Event]) -> Result<(), Error> {
        let mut records = Vec::new();
        for event in events {
            event::add_record(event, &mut records);
        }
        if let Err(source) = self.file.write_all(&records) {
            // Half a record would hide all that comes after it.
            let _ = self.file.set_len(self.length);
            let _ = self.file.seek(SeekFrom::Start(self.length));
            let error = Error::io("write", &self.path)(source);
            return Err(durable::disk_full(error, &self.path, records.len() as u64));
        }
        self.length += records.len() as u64;
        Ok(())
    }
}

/// The largest time in the names of the run's event files.
fn newest_stamp(run: &Path) -> Result<Option<u64>, Error> {
    let mut newest = None;
    for entry in fs::read_dir(run).map_err(Error::io("list", run))? {
        let name = entry.map_err(Error::io("list", run))?.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        let stamp = rest.split('.').next().and_then(|stamp| stamp.parse().ok());
        newest = newest.max(stamp);
    }
    Ok(newest)
}

/// Text that Markdown leaves as it is.
fn code_block(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// Seconds since 1970.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_secs_f64()
}

/// This machine's name, as far as it can be part of a file's.
fn host() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
    let name: String = name.chars().map(plain).take(64).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}
