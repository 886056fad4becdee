//! Checkpoints: `step-00001234/{model,optimizer,ema,…}.safetensors state.json MANIFEST`.
//!
//! A checkpoint counts when its MANIFEST stands and verifies. It is written under a temporary name,
//! synced, and renamed into place; only then may older ones go. Where folders cannot be renamed, its
//! files move into place one by one, the MANIFEST last, and out of the way with the MANIFEST first.

mod damaged;
mod manifest;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use damaged::Damaged;

use crate::durable::{Told, Troubles};
use crate::input::{DESCRIPTION, of};
use crate::safetensors::{self, Encoded, Strings};
use crate::{Error, NamedTensors, durable};
use manifest::{Entry, MANIFEST, Manifest};

const STATE: &str = "state.json";
const EXTENSION: &str = ".safetensors";
const STEP: &str = "step-";

/// All that a run needs to go on as if it had never stopped.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checkpoint {
    /// Tensors by file: `model` is written as `model.safetensors`, and so on.
    pub tensors: BTreeMap<String, NamedTensors>,
    /// The rest: step, random state, data position. Finite float64 numbers come back bit for bit;
    /// JSON has no NaN and no infinity.
    pub state: serde_json::Value,
}

/// The newest checkpoint that can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Latest<T = Checkpoint> {
    /// Its step.
    pub step: u64,
    /// What was asked for of it.
    pub checkpoint: T,
    /// Newer ones that were passed over, newest first: to be reported.
    pub damaged: Vec<Damaged>,
}

/// What a save did.
#[derive(Debug)]
pub struct Saved {
    /// The checkpoint's folder.
    pub folder: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Steps of the older checkpoints that were removed.
    pub removed: Vec<u64>,
    /// Steps beyond this one, renamed to `set-aside-step-…`: damaged ones that were passed over, or
    /// the future of a run that was taken up from an earlier step.
    pub set_aside: Vec<u64>,
    /// Why older checkpoints could not be removed; the new one is durable all the same.
    pub not_removed: Vec<Error>,
    /// What the storage could not do and was gone on without, a sentence each, where that was not told
    /// before.
    pub notes: Vec<String>,
}

/// The folder `checkpoints` of a run.
///
/// Opening and reading change nothing; saving is for the one process that holds the run's lock.
#[derive(Debug, Clone)]
pub struct CheckpointStore {
    folder: PathBuf,
    keep: usize,
    /// What was told of the storage.
    told: Arc<Told>,
}

impl CheckpointStore {
    /// The store in `folder`, which the first save creates. Keeps the newest two until told
    /// otherwise, so that there is one to fall back to.
    pub fn open(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), keep: 2, told: Arc::default() }
    }

    /// Tells no more of the storage than what was not `told` yet.
    pub(crate) fn told(self, told: Arc<Told>) -> Self {
        Self { told, ..self }
    }

    /// Keeps the newest `keep` checkpoints (at least one).
    #[must_use]
    pub fn keep(self, keep: usize) -> Self {
        Self { keep: keep.max(1), ..self }
    }

    /// The folder of a step's checkpoint.
    pub fn path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("{STEP}{step:08}"))
    }

    /// Steps of all checkpoints in place, ascending, whether intact or not.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Dangling`] where the folder cannot be listed; a missing one has none.
    pub fn steps(&self) -> Result<Vec<u64>, Error> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return match fs::read_link(&self.folder) {
                    Ok(target) => Err(Error::Dangling { path: self.folder.clone(), target }),
                    Err(_) => Ok(Vec::new()),
                };
            }
            entries => entries.map_err(Error::io("list", &self.folder))?,
        };
        let mut steps = Vec::new();
        for entry in entries {
            let name = entry.map_err(Error::io("list", &self.folder))?.file_name();
            let step = name.to_str().and_then(|name| name.strip_prefix(STEP)?.parse().ok());
            // `step-7` is no name of ours: reading it would look for `step-00000007`.
            steps.extend(step.filter(|&step| self.path(step).file_name() == Some(&name)));
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// Saves a checkpoint durably, then removes those that are no longer kept.
    ///
    /// Removes leftovers of killed saves first, and sets later steps aside (see
    /// [`Saved::set_aside`]), so that the newest step is always this run's own.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Io`], [`Error::BadTensor`] or [`Error::BadFileName`]; what was
    /// saved before is intact.
    pub fn save(&self, step: u64, checkpoint: &Checkpoint) -> Result<Saved, Error> {
        let none = Strings::new();
        let mut files = Vec::new();
        for (name, tensors) in &checkpoint.tensors {
            durable::check_file_name(name)?;
            files.push((format!("{name}{EXTENSION}"), Encoded::new(tensors, &none)?));
        }
        let state = serde_json::to_vec_pretty(&checkpoint.state).expect("a JSON value is JSON");

        // Of what the run wrote beside its checkpoints since the last save.
        let run = self.folder.parent().unwrap_or(&self.folder);
        let mut notes = Troubles::take().untold(&self.told, run);
        durable::ensure_folder(&self.folder)?;
        durable::remove_leftovers(&self.folder)?;
        let set_aside = self.set_aside_after(step)?;

        let folder = self.path(step);
        let bytes = files.iter().map(|(_, file)| file.length()).sum::<u64>() + state.len() as u64;
        durable::write_folder(&folder, bytes, |new| {
            let mut manifest = Manifest { step, entries: Vec::new() };
            for (name, file) in &files {
                manifest.entries.push(write_hashed(new, name, |out| file.write_to(out))?);
            }
            manifest.entries.push(write_hashed(new, STATE, |out| out.write_all(&state))?);
            new.file(MANIFEST, |out| out.write_all(manifest.to_text().as_bytes()))
        })?;

        let (removed, not_removed) = (Vec::new(), Vec::new());
        let found = Troubles::take();
        // One that may be lost takes nobody's place, until the next one is saved.
        let keep = self.keep + usize::from(found.names_may_be_lost());
        found.put_back();
        let mut saved = Saved { folder, bytes, removed, set_aside, not_removed, notes: Vec::new() };
        let steps = self.steps()?;
        for &old in &steps[..steps.len().saturating_sub(keep)] {
            match durable::remove_folder(&self.path(old), MANIFEST) {
                Ok(()) => saved.removed.push(old),
                Err(error) => saved.not_removed.push(error),
            }
        }
        notes.extend(Troubles::take().untold(&self.told, &self.folder));
        saved.notes = notes;
        Ok(saved)
    }

    fn set_aside_after(&self, step: u64) -> Result<Vec<u64>, Error> {
        let later: Vec<u64> = self.steps()?.into_iter().filter(|&other| other > step).collect();
        for &other in &later {
            let aside = self.folder.join(format!("set-aside-{STEP}{other:08}"));
            durable::rename_folder(&self.path(other), &aside, MANIFEST)?;
        }
        Ok(later)
    }

    /// Reads the newest intact checkpoint; `None` where there is no checkpoint at all.
    ///
    /// # Errors
    /// [`Error::AllDamaged`] where there are some and none is intact; [`Error::NotReadable`] where one is not to be read.
    pub fn latest(&self) -> Result<Option<Latest>, Error> {
        self.newest(read)
    }

    /// The folder of the newest intact checkpoint, verified and not loaded.
    ///
    /// # Errors
    /// As for [`CheckpointStore::latest`].
    pub fn latest_folder(&self) -> Result<Option<Latest<PathBuf>>, Error> {
        self.newest(|folder, step| verify(folder, Some(step)).map(|_| folder.to_owned()))
    }

    fn newest<T>(
        &self,
        take: impl Fn(&Path, u64) -> Result<T, String>,
    ) -> Result<Option<Latest<T>>, Error> {
        let mut damaged = Vec::new();
        for step in self.steps()?.into_iter().rev() {
            let folder = self.path(step);
            refuse_unopened(&folder)?;
            match take(&folder, step) {
                Ok(checkpoint) => return Ok(Some(Latest { step, checkpoint, damaged })),
                Err(reason) => damaged.push(Damaged { folder, reason }),
            }
        }
        if damaged.is_empty() {
            return Ok(None);
        }
        Err(Error::AllDamaged { folder: self.folder.clone(), damaged })
    }

    /// Reads the checkpoint of a step.
    ///
    /// # Errors
    /// [`Error::NoSuchStep`] or [`Error::Damaged`].
    pub fn load(&self, step: u64) -> Result<Checkpoint, Error> {
        let present = self.steps()?;
        if !present.contains(&step) {
            return Err(Error::NoSuchStep { folder: self.folder.clone(), step, present });
        }
        let folder = self.path(step);
        read(&folder, step).map_err(|reason| Error::Damaged(Damaged { folder, reason }))
    }
}

/// Refuses a checkpoint whose files cannot be opened for a reason that is not theirs: it is not damaged, and its work
/// would be done again.
fn refuse_unopened(folder: &Path) -> Result<(), Error> {
    let refused = |path: &Path, source: io::Error| match is_of_the_system(&source) {
        true => Err(Error::NotReadable { path: path.to_owned(), source }),
        false => Ok(()),
    };
    let mut names = vec![MANIFEST.to_owned()];
    if let Ok(manifest) = Manifest::read(folder) {
        names.extend(manifest.entries.into_iter().map(|entry| entry.name));
    }
    for path in names.iter().map(|name| folder.join(name)) {
        if let Err(error) = fcmae_files::open(&path) {
            refused(&path, error.into())?;
        }
    }
    Ok(())
}

/// Whether an error says nothing of the file that could not be opened: no permission, no files left to open, no memory, no
/// connection.
fn is_of_the_system(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let kinds = [
        Kind::NotConnected,
        Kind::OutOfMemory,
        Kind::PermissionDenied,
        Kind::StaleNetworkFileHandle,
        Kind::TimedOut,
        Kind::WouldBlock,
    ];
    kinds.contains(&error.kind()) || fcmae_files::is_out_of_files(error)
}

/// Verifies one checkpoint's folder, whatever its name.
///
/// # Errors
/// [`Error::Damaged`] with the file and what is wrong with it.
pub fn verify_folder(folder: &Path) -> Result<(), Error> {
    let damaged = |reason| Error::Damaged(Damaged { folder: folder.to_owned(), reason });
    verify(folder, None).map(|_| ()).map_err(damaged)
}

/// Whether the folder is meant to be a checkpoint.
pub(crate) fn has_manifest(folder: &Path) -> bool {
    folder.join(MANIFEST).is_file()
}

fn verify(folder: &Path, step: Option<u64>) -> Result<Manifest, String> {
    let manifest = Manifest::read(folder)?;
    if step.is_some_and(|step| step != manifest.step) {
        return Err(format!("its {MANIFEST} is that of step {}", manifest.step));
    }
    for entry in &manifest.entries {
        entry.verify(folder)?;
    }
    Ok(manifest)
}

/// A second pass over verified files, so that only intact bytes are ever interpreted.
fn read(folder: &Path, step: u64) -> Result<Checkpoint, String> {
    let mut checkpoint = Checkpoint::default();
    for Entry { name, .. } in verify(folder, Some(step))?.entries {
        let path = folder.join(&name);
        if let Some(tensors) = name.strip_suffix(EXTENSION) {
            let contents = safetensors::load(&path).map_err(|error| error.to_string())?;
            checkpoint.tensors.insert(tensors.to_owned(), contents.tensors);
        } else if name == STATE {
            let text = fcmae_files::bytes(&path, DESCRIPTION).map_err(of(&name))?;
            checkpoint.state =
                serde_json::from_slice(&text).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    Ok(checkpoint)
}

/// Counts and hashes what passes through.
struct Hashing<'a> {
    out: &'a mut dyn Write,
    hash: blake3::Hasher,
    bytes: u64,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn write_hashed(
    folder: &durable::NewFolder,
    name: &str,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<Entry, Error> {
    let mut entry = Entry { name: name.to_owned(), bytes: 0, hash: String::new() };
    folder.file(name, |out| {
        let mut hashing = Hashing { out, hash: blake3::Hasher::new(), bytes: 0 };
        fill(&mut hashing)?;
        entry.bytes = hashing.bytes;
        entry.hash = hashing.hash.finalize().to_hex().to_string();
        Ok(())
    })?;
    Ok(entry)
}

#[cfg(test)]
mod tests;
