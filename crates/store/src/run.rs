//! One training run's folder:
//! ```text
//! RUN/  config.toml  run.json  log.txt  metrics.jsonl  skipped.jsonl  .lock
//!       metrics.csv  evaluations.csv  watch.csv  events.out.tfevents.…
//!       checkpoints/step-00001234/…  export/{last,best,set-aside-best-step-00001234}/…
//! ```

pub mod confusion;
pub mod files;
pub mod hits;
mod lines;
pub mod lock;
mod metrics;
mod own;
mod record;
pub mod schema;
mod table;
mod tensorboard;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use lines::Lines;
pub use metrics::Metrics;
pub use own::{is_run, owner};
pub use record::{Differing, Record, is_of};

use files::{
    CHANGES, CHECKPOINTS, CONFIG, DATA, DIVERGED, END, EVALUATION, EXPORT, FEATURES, LOG, METRICS,
    RUN, SKIPPED,
};

use schema::{Change, Data, End, Evaluation, Features};

use crate::durable::{Told, Troubles};
use crate::export_folder::{self, ExportName};
use crate::input::{DESCRIPTION, cannot_read};
use crate::{CheckpointStore, Error, durable};

/// What a run says of its pictures, `data.json`; `None` where there is none. A run that goes on depends on it, so a
/// damaged one is an error.
///
/// # Errors
/// [`Error::Io`], [`Error::Malformed`].
pub fn data(run: &Path) -> Result<Option<Data>, Error> {
    let path = run.join(DATA);
    let Some(text) = record::text(&path)? else { return Ok(None) };
    let data = serde_json::from_str(&text);
    data.map(Some).map_err(|error| Error::Malformed { path, flaw: record::lost(&error) })
}

/// What its last evaluation found, `evaluation.json`; `None` where there is none that can be read.
pub fn evaluation(run: &Path) -> Option<Evaluation> {
    read(&run.join(EVALUATION))
}

/// The features inside its blocks, `features.json`; `None` where there are none that can be read.
pub fn features(run: &Path) -> Option<Features> {
    read(&run.join(FEATURES))
}

/// How the work on it ended, `end.json`; `None` where there is none that can be read.
pub fn end(run: &Path) -> Option<End> {
    read(&run.join(END))
}

fn read<T: DeserializeOwned>(file: &Path) -> Option<T> {
    let file = durable::whole(file);
    serde_json::from_slice(&fcmae_files::bytes(&file, DESCRIPTION).ok()?).ok()
}

/// The most steps whose diverged batches are kept: five updates in a row may be passed over before one ends
/// the run, and all that led to it are there.
pub const DIVERGED_KEPT: usize = 6;
/// The most bytes of diverged batches that are kept, but for those of the last one: a batch of a thousand
/// pictures of 224×224 in float32 takes 600 MB, and a run may pass over any number of updates.
pub const DIVERGED_BYTES: u64 = 1 << 30;

/// A run that this process alone writes, for as long as this value lives.
#[derive(Debug)]
pub struct Run {
    path: PathBuf,
    metrics: Metrics,
    skipped: Lines,
    log: Lines,
    /// What was written of `run.json`.
    record: Vec<u8>,
    notes: Vec<String>,
    /// What was told of the storage.
    told: Arc<Told>,
    place: Place,
    /// Held, not read. `None` where the file system has no locks.
    lock: Option<lock::Lock>,
}

impl Run {
    /// Starts a run in a folder that is not there yet, or is empty. Folders above it are made.
    ///
    /// # Errors
    /// Before anything is written: [`Error::NotEmpty`], [`Error::NotAFolder`], [`Error::NotWritable`],
    /// [`Error::Unsuited`], [`Error::InUse`], [`Error::Malformed`] where the record's config is not
    /// TOML. What a failed call wrote is removed again.
    pub fn create(path: impl Into<PathBuf>, record: &Record) -> Result<Self, Error> {
        let path = path.into();
        record.check(&path.join(CONFIG))?;
        let created = Created::make(&path)?;
        let lock = claim_empty(&path)?;
        // From here on the folder is this process's, and all that is in it its own.
        let run = Self::fill(&path, record, lock).inspect_err(|_| {
            // The folder itself, where it is new, is removed with those above it.
            let _ = clear(&path);
        })?;
        created.keep();
        Ok(run)
    }

    fn fill(path: &Path, record: &Record, lock: Result<lock::Lock, String>) -> Result<Self, Error> {
        let troubles = durable::probe(path).map_err(|error| error.of_folder(path))?;
        for folder in [CHECKPOINTS, EXPORT] {
            durable::ensure_folder(&path.join(folder))?;
        }
        record.write(path)?;
        Self::open(path, lock, troubles)
    }

    /// Takes a run up again. `record` must equal what the run was started with, except for the
    /// names in `may_differ` (`config.loader.workers`, `run.version`; a table's name stands for all
    /// in it). Clears what a killed process left.
    ///
    /// # Errors
    /// [`Error::OtherSettings`] with the differing lines, [`Error::NotARun`], [`Error::InUse`],
    /// [`Error::NotWritable`], [`Error::Unsuited`], [`Error::Malformed`].
    pub fn resume(
        path: impl Into<PathBuf>,
        record: &Record,
        may_differ: &[&str],
    ) -> Result<Self, Error> {
        let path = path.into();
        let recorded = Record::read(&path)?;
        Self::resume_recorded(path, &recorded, record, may_differ)
    }

    /// As [`Run::resume`], with the run's record given: one of an earlier version, brought to the form
    /// of today.
    ///
    /// # Errors
    /// The same.
    pub fn resume_recorded(
        path: impl Into<PathBuf>,
        recorded: &Record,
        record: &Record,
        may_differ: &[&str],
    ) -> Result<Self, Error> {
        let path = path.into();
        let lock = lock::take(&path)?;
        let diff = recorded.difference(record, &path, may_differ)?;
        if !diff.is_empty() {
            return Err(Error::OtherSettings { path, diff });
        }
        let troubles = durable::probe(&path).map_err(|error| error.of_folder(&path))?;
        let config = path.join(CONFIG);
        if !durable::whole(&config).exists() {
            let text = recorded.config.as_bytes();
            durable::write_file(&config, text.len() as u64, |out| out.write_all(text))?;
        }
        durable::remove_leftovers(&path)?;
        for folder in [CHECKPOINTS, EXPORT].map(|name| path.join(name)) {
            durable::ensure_folder(&folder)?;
            durable::remove_leftovers(&folder)?;
        }
        Self::open(&path, lock, troubles)
    }

    fn open(
        path: &Path,
        lock: Result<lock::Lock, String>,
        troubles: Troubles,
    ) -> Result<Self, Error> {
        let told = Told::default();
        let mut notes = troubles.untold(&told, path);
        let metrics = Metrics::open(path, None)?;
        notes.extend(metrics.take_troubles());
        Ok(Self {
            metrics,
            skipped: Lines::open_unique(path.join(SKIPPED))?,
            log: Lines::open(path.join(LOG))?,
            record: own_record(path)?,
            path: path.to_owned(),
            told: Arc::new(told),
            place: Place::default(),
            lock: lock.map_err(|reason| notes.push(reason)).ok(),
            notes,
        })
    }

    /// Records settings that are other ones from here on: a line for each, and all settings as they are now.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::NoSpace`].
    pub fn change(&mut self, changes: &[Change], record: &Record) -> Result<(), Error> {
        let lines = Lines::open(self.path.join(CHANGES))?;
        changes.iter().try_for_each(|change| lines.json(change))?;
        lines.sync()?;
        record.write(&self.path)?;
        self.record = own_record(&self.path)?;
        Ok(())
    }

    /// What was found out about the storage that a run has to go without, and what follows, a sentence
    /// each: to be told when it starts.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The run's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `metrics.jsonl`, with its tables and TensorBoard's curves. Log a step's lines before its
    /// checkpoint is saved: on resume they stay.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Shows a picture in TensorBoard. `tag`: its name, such as `held_out/reconstructions`; `png`: a PNG
    /// file's bytes, of which only the header is looked at. Where the file cannot be written for another
    /// reason than a full disk, the next [`look`](Self::look) says so, and the run goes on without it.
    ///
    /// # Errors
    /// [`Error::NotPng`] or [`Error::NoSpace`].
    pub fn picture(&self, tag: &str, step: u64, png: &[u8]) -> Result<(), Error> {
        self.metrics.picture(tag, step, png)
    }

    /// `skipped.jsonl`: a line that is there already is not written twice, so that a resumed run's
    /// list stays exact.
    pub fn skipped(&self) -> &Lines {
        &self.skipped
    }

    /// Looks whether the run's folder is where it was, and its files are those that are written: to be called every now
    /// and then. Where another file has the name of one, as after an editor saved it, the lines go there from now on,
    /// with those that it lacks.
    pub fn look(&mut self) -> Look {
        let (there, shown) = (self.is_there(), self.path.display());
        let mut look = Look::default();
        let has_checkpoints = self.path.join(CHECKPOINTS).is_dir();
        if there {
            look.notes = self.follow();
            look.notes.extend(self.put_record_back());
            if !has_checkpoints && self.place.has_checkpoints {
                look.notes.push(format!(
                    "{} was removed during the run: it is made again, with a checkpoint",
                    self.path.join(CHECKPOINTS).display()
                ));
                look.save = true;
            }
            self.place.has_checkpoints = has_checkpoints;
        }
        match (self.place.there, there) {
            (true, false) => look.notes.push(format!(
                "the run's folder {shown} is gone: it was moved, renamed or removed during the run. Put it back under \
                 this name before the next checkpoint, or the run ends then"
            )),
            (false, true) => look.notes.push(format!("the run's folder {shown} is back")),
            _ => {}
        }
        self.place.there = there;
        look.notes.extend(self.metrics.take_troubles());
        look
    }

    /// Whether the folder is this run's: another run's may have got its name.
    fn is_there(&self) -> bool {
        let lost = self.lock.as_ref().is_some_and(|lock| lock.is_lost(&self.path));
        self.path.join(CONFIG).exists() && !lost
    }

    /// Says how it ended, where its folder is still there.
    ///
    /// # Errors
    /// [`Error::Gone`], [`Error::Io`] or [`Error::NoSpace`].
    pub fn end(&self, end: &End) -> Result<(), Error> {
        if !self.is_there() {
            return Err(Error::Gone { path: self.path.clone() });
        }
        let text = serde_json::to_string_pretty(end).expect("plain texts and numbers") + "\n";
        durable::write_file(&self.path.join(END), text.len() as u64, |out| {
            out.write_all(text.as_bytes())
        })
    }

    /// Writes `run.json` again where it is no longer what it was, since without it nobody can go on with the run; what is
    /// to be told of that.
    fn put_record_back(&self) -> Option<String> {
        let path = self.path.join(RUN);
        // What cannot be read now may be whole.
        let found = fcmae_files::if_there(fcmae_files::bytes(&path, DESCRIPTION)).ok()?;
        // Without a lock nobody knows whether the folder is another run's by now.
        let is_others = found.is_some() && self.lock.is_none();
        if is_others || found.as_ref() == Some(&self.record) {
            return None;
        }
        // Where that fails it is tried again, and a resume tells for good.
        let length = self.record.len() as u64;
        durable::write_file(&path, length, |out| out.write_all(&self.record)).ok()?;
        Some(format!(
            "{} was changed or removed during the run: it is written again as it was",
            path.display()
        ))
    }

    /// What was done about files that others took the names of, a sentence each.
    fn follow(&self) -> Vec<String> {
        let followed = [
            (self.metrics.path(), self.metrics.follow()),
            (self.skipped.path(), self.skipped.follow()),
            (self.log.path(), self.log.follow()),
        ];
        let told = followed.into_iter().filter_map(|(path, followed)| match followed {
            Ok(0) => None,
            Ok(count) => Some(format!(
                "{} was replaced or removed during the run: the file that is there now is continued, and lines that it \
                 lacks are added ({count})",
                path.display()
            )),
            // It is tried again, and a save tells for good.
            Err(_) => None,
        });
        told.collect()
    }

    /// Makes sure before a save that what is logged so far is in the run's folder, and outlasts a power cut.
    ///
    /// # Errors
    /// [`Error::Gone`], [`Error::Io`] or [`Error::NoSpace`].
    pub fn settle(&self) -> Result<Vec<String>, Error> {
        if !self.is_there() {
            return Err(Error::Gone { path: self.path.clone() });
        }
        let mut notes = self.follow();
        notes.extend(self.put_record_back());
        notes.extend(self.metrics.take_troubles());
        // What could not be done is an error now.
        self.metrics.follow()?;
        self.metrics.sync()?;
        Ok(notes)
    }

    /// `log.txt`.
    pub fn log(&self) -> &Lines {
        &self.log
    }

    /// The run's checkpoints.
    pub fn checkpoints(&self) -> CheckpointStore {
        CheckpointStore::open(self.path.join(CHECKPOINTS)).told(Arc::clone(&self.told))
    }

    /// Writes or replaces `export/last` or `export/best`.
    ///
    /// # Errors
    /// As for [`export_folder::write`].
    pub fn export(&self, name: ExportName, files: &[(&str, &[u8])]) -> Result<PathBuf, Error> {
        let folder = self.path.join(EXPORT).join(name.as_str());
        export_folder::write(&folder, files)?;
        Ok(folder)
    }

    /// Where the best weights are kept of a course that was left for another one after `step` updates.
    pub fn best_set_aside(&self, step: u64) -> PathBuf {
        self.path.join(EXPORT).join(format!("set-aside-best-step-{step:08}"))
    }

    /// Moves `export/best` there, or beside what was moved there before.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn set_best_aside(&self, step: u64) -> Result<PathBuf, Error> {
        let best = self.path.join(EXPORT).join(ExportName::Best.as_str());
        let (first, mut aside) = (self.best_set_aside(step), self.best_set_aside(step));
        let mut number = 1;
        while aside.exists() {
            number += 1;
            aside = first.with_extension(number.to_string());
        }
        // Without its weights it is no export.
        durable::rename_folder(&best, &aside, export_folder::MODEL)?;
        Ok(aside)
    }

    /// Keeps the batches of a step whose loss or gradient was no number, and removes older ones beyond
    /// [`DIVERGED_KEPT`] and [`DIVERGED_BYTES`]: the folder, and the steps of those that were removed.
    ///
    /// # Errors
    /// As for [`export_folder::write`].
    pub fn keep_diverged(
        &self,
        step: u64,
        files: &[(&str, &[u8])],
    ) -> Result<(PathBuf, Vec<u64>), Error> {
        let parent = self.path.join(DIVERGED);
        durable::ensure_folder(&parent)?;
        let folder = |step: u64| parent.join(format!("step-{step:08}"));
        export_folder::write(&folder(step), files)?;
        let mut steps = Vec::new();
        for entry in fs::read_dir(&parent).map_err(Error::io("list", &parent))? {
            let name = entry.map_err(Error::io("list", &parent))?.file_name();
            let of = name.to_str().and_then(|name| name.strip_prefix("step-")?.parse().ok());
            steps.extend(of.filter(|&of| folder(of).file_name() == Some(&name)));
        }
        // The one of now counts as the newest, though the run may have been taken up from before others.
        steps.sort_unstable_by_key(|&of| (of != step, std::cmp::Reverse(of)));
        let (mut bytes, mut removed) = (0, Vec::new());
        for (place, &of) in steps.iter().enumerate() {
            bytes += length(&folder(of));
            if of != step && (place >= DIVERGED_KEPT || bytes > DIVERGED_BYTES) {
                // One that cannot be removed is no reason to end a run.
                removed.extend(fs::remove_dir_all(folder(of)).map(|()| of));
            }
        }
        removed.sort_unstable();
        Ok((folder(step), removed))
    }

    /// Cuts off metrics that a resumed run will log again: every line with a `step` beyond this
    /// one, what follows such a line and has no `step`, and lines that are not JSON. Returns how
    /// many. The tables are written anew; TensorBoard is told to forget what it read of later steps
    /// with the first point or picture that is added.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::NoSpace`]; `metrics.jsonl` is then as it was, or cut as a whole.
    pub fn truncate_metrics_after(&mut self, step: u64) -> Result<usize, Error> {
        self.truncate(step, |_| true)
    }

    /// As [`truncate_metrics_after`](Self::truncate_metrics_after), and the evaluations that follow the
    /// step go too.
    ///
    /// # Errors
    /// The same.
    pub fn truncate_metrics_after_update(&mut self, step: u64) -> Result<usize, Error> {
        self.truncate(step, |fields| !metrics::is_evaluation(fields))
    }

    /// `keep`: whether a line of this very step stays.
    fn truncate(
        &mut self,
        step: u64,
        keep: impl Fn(&Map<String, Value>) -> bool,
    ) -> Result<usize, Error> {
        let path = self.path.join(METRICS);
        let cut = lines::cut_after(&path, step, keep)?;
        let untold = self.metrics.take_troubles();
        self.metrics = Metrics::open(&self.path, Some(step))?;
        self.metrics.keep_troubles(untold, &self.notes);
        Ok(cut)
    }
}

/// What [`Run::look`] found.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Look {
    /// To be told, a sentence each; nothing that was told before.
    pub notes: Vec<String>,
    /// Whether a checkpoint is to be saved soon, since there is none any more.
    pub save: bool,
}

/// What was there when the run was last looked at.
#[derive(Debug)]
struct Place {
    there: bool,
    has_checkpoints: bool,
}

impl Default for Place {
    fn default() -> Self {
        Self { there: true, has_checkpoints: true }
    }
}

/// The bytes of `run.json`.
fn own_record(run: &Path) -> Result<Vec<u8>, Error> {
    let path = run.join(RUN);
    fcmae_files::bytes(&durable::whole(&path), DESCRIPTION).map_err(cannot_read(&path))
}

/// Bytes of the files in a folder.
fn length(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.metadata().ok()).map(|about| about.len()).sum()
}

/// Folders that were made for a run, the outermost first. Unless they are [kept](Created::keep), they are
/// removed again, if nobody has put something else into them.
struct Created(Vec<PathBuf>);

impl Created {
    /// Creates the run's folder and those above it that are missing.
    fn make(path: &Path) -> Result<Self, Error> {
        let mut missing: Vec<&Path> = path
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
            .collect();
        missing.reverse();
        let mut created = Self(Vec::new());
        for folder in missing {
            match fs::create_dir(folder) {
                Ok(()) => created.0.push(folder.to_owned()),
                // By another process in the meantime, or a link to nowhere.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory
                    ) =>
                {
                    let above =
                        folder.ancestors().find(|above| fs::symlink_metadata(above).is_ok());
                    return Err(Error::NotAFolder { path: above.unwrap_or(folder).to_owned() });
                }
                Err(error) => return Err(Error::io("create", folder)(error).of_folder(path)),
            }
        }
        match path.is_dir() {
            true => Ok(created),
            false => Err(Error::NotAFolder { path: path.to_owned() }),
        }
    }

    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Created {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Locks a folder that is empty, but for what a run leaves that was killed while it started.
fn claim_empty(path: &Path) -> Result<Result<lock::Lock, String>, Error> {
    if occupied(path)? {
        lock::refuse_if_held(path)?;
        return Err(Error::NotEmpty { path: path.to_owned() });
    }
    let lock = lock::take(path)?;
    // Another process may have started and ended a run since the look before.
    if occupied(path)? {
        return Err(Error::NotEmpty { path: path.to_owned() });
    }
    durable::remove_leftovers(path)?;
    Ok(lock)
}

/// Whether something is in a folder that a run must not begin over. Without `run.json` no run has begun: its settings
/// and folders without files are left of a start, if there is a lock too.
fn occupied(path: &Path) -> Result<bool, Error> {
    let entries = fs::read_dir(path).map_err(|e| Error::io("list", path)(e).of_folder(path))?;
    // An entry that cannot be listed may be anything.
    let names = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>();
    let names = names.map_err(Error::io("list", path))?;
    let was_locked = names.iter().any(|name| name == lock::LOCK);
    let is_left = |name: &std::ffi::OsString| {
        let has_no_file = |folder: &Path| {
            fs::read_dir(folder).is_ok_and(|mut entries| {
                entries
                    .all(|entry| entry.is_ok_and(|entry| durable::is_leftover(&entry.file_name())))
            })
        };
        name == lock::LOCK
            || was_locked && (name == CONFIG || durable::is_leftover(name))
            || was_locked
                && [CHECKPOINTS, EXPORT].iter().any(|folder| name == folder)
                && has_no_file(&path.join(name))
    };
    Ok(!names.iter().all(is_left))
}

/// Removes what a failed start wrote into a folder that was empty.
fn clear(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
