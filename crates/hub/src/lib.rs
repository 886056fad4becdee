//! Weights by their names on the Hugging Face Hub: `hf:timm/convnextv2_atto.fcmae_ft_in1k`.
//!
//! Files are kept in the Hub's own cache, which Python programs share, so that nothing is downloaded twice. The
//! variables of huggingface_hub set its place, the server and the token: `HF_HUB_CACHE` and `HF_HOME`, `HF_ENDPOINT`,
//! `HF_TOKEN`, `HF_HUB_OFFLINE`.
//!
//! ```
//! use fcmae_hub::Hub;
//!
//! let cache = tempfile::tempdir()?;
//! let hub = Hub::at("https://huggingface.co", cache.path())?;
//! // A name is checked before anything is downloaded.
//! let error = hub.fetch("hf:no-owner").unwrap_err();
//! assert!(error.to_string().contains("hf:"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod checksum;
mod environment;
mod error;
mod transfer;

use std::cell::Cell;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hf_hub::{Cache, CacheRepo, Repo, RepoType};

use checksum::Differing;
use environment::Environment;
pub use error::Error;
use transfer::{About, Transfer, Trouble, is_part};

/// What a name on the Hub begins with.
pub const PREFIX: &str = "hf:";

/// What is said of weights and pictures, where a repository has it.
const BESIDE: [&str; 2] = ["config.json", "preprocessor_config.json"];
/// Weights, in the order in which they are looked for.
const MODELS: [&str; 4] = [
    "model.safetensors",
    "pytorch_model.bin",
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
];
/// What the name ends in of a file that names the files of weights in several.
const INDEX: &str = ".index.json";

/// Where files come from and where they are kept.
#[derive(Clone)]
pub struct Hub {
    transfer: Transfer,
    cache: Cache,
    server: String,
    cache_variable: &'static str,
    offline: Option<&'static str>,
    tell: Arc<dyn Fn(&str) + Send + Sync>,
}

/// Without the token.
impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("server", &self.server)
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

impl Hub {
    /// The Hub, cache and token that the environment names, with a bar on standard error while
    /// something is fetched.
    ///
    /// # Errors
    /// [`Error::Settings`] or [`Error::Home`] for an environment that cannot be used.
    pub fn from_env() -> Result<Self, Error> {
        let environment = Environment::of(|name| std::env::var_os(name), std::env::home_dir())?;
        Ok(Self::new(environment, true))
    }

    /// As [`from_env`](Self::from_env), by what `variable` says instead of the process's environment, for a user
    /// without a home, and without a bar.
    ///
    /// # Errors
    /// As there.
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        Ok(Self::new(Environment::of(variable, None)?, false))
    }

    /// Another server and cache folder, and no token.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn at(endpoint: &str, cache: &Path) -> Result<Self, Error> {
        Self::from_variables(|name| match name {
            "HF_ENDPOINT" => Some(endpoint.into()),
            "HF_HUB_CACHE" => Some(cache.into()),
            "HF_HUB_DISABLE_IMPLICIT_TOKEN" => Some("1".into()),
            _ => None,
        })
    }

    fn new(environment: Environment, bar: bool) -> Self {
        let Environment { endpoint, cache, cache_variable, token, patience, offline } = environment;
        let (server, cache) = (environment::shown(&endpoint), Cache::new(cache));
        let transfer = Transfer::new(endpoint, token, patience, bar);
        // Without standard error it is waited for all the same.
        let tell = Arc::new(|note: &str| drop(writeln!(io::stderr(), "{note}")));
        Self { transfer, cache, server, cache_variable, offline, tell }
    }

    /// Tells by `tell`, instead of standard error, that another program is waited for.
    #[must_use]
    pub fn telling(self, tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { tell: Arc::new(tell), ..self }
    }

    /// The path of the weights of `name`, `hf:OWNER/NAME[@REVISION][:FILE]`, in the cache: fetched
    /// where they are not there yet, with the files that describe them beside them. Of weights in several files it is
    /// that of their index, with all of them beside it.
    ///
    /// Where another program is fetching a file, it is waited for.
    ///
    /// # Errors
    /// [`Error`], with what to do.
    pub fn fetch(&self, name: &str) -> Result<PathBuf, Error> {
        let Name { repository, revision, file } = Name::parse(name)?;
        let repo = Repo::with_revision(repository.to_owned(), RepoType::Model, revision.to_owned());
        let asked = Asked { hub: self, name, url: format!("{}/{repository}", self.server) };
        let source = Source {
            hub: self,
            place: format!("{}/resolve/{}", repo.url(), repo.url_revision()),
            cache: self.cache.repo(repo),
            revision,
            patience: Cell::new(Patience::default()),
        };

        let models = file.map_or_else(|| MODELS.to_vec(), |file| vec![file]);
        // What is there is not looked for in the network.
        let kept = models.iter().find(|model| source.kept(model).is_some());
        for model in kept.map_or(models.clone(), |kept| vec![kept]) {
            let was_cached = source.kept(model).is_some();
            let path = match source.get(model) {
                Ok(path) => path,
                Err(error) if error.is_missing() => continue,
                Err(error) => return Err(asked.problem(error)),
            };
            for beside in BESIDE {
                match source.get(beside) {
                    Err(error) if !was_cached && !error.is_missing() => {
                        return Err(asked.problem(error));
                    }
                    // There is none; or no network, where it was looked for before.
                    _ => {}
                }
            }
            if model.ends_with(INDEX) {
                for part in parts(model, &path).map_err(|reason| asked.index(reason))? {
                    source.get(&part).map_err(|error| asked.problem(error))?;
                }
            }
            return Ok(path);
        }
        let what = format!("no such repository, or none with {}", models.join(" or "));
        Err(Error::NotFound { name: name.to_owned(), what, url: asked.url })
    }
}

/// The files that an index in the cache names, by their names in the repository.
fn parts(model: &str, index: &Path) -> Result<Vec<String>, String> {
    let paths = fcmae_store::file::parts(index).map_err(|error| error.to_string())?;
    // It stands for itself.
    if paths.iter().any(|path| path == index) {
        return Err(format!("{model} names no files: it is not JSON"));
    }
    let names = paths.iter().filter_map(|path| path.file_name());
    names
        .map(|name| {
            let name = name.to_str().filter(|name| is_part(name)).ok_or_else(|| {
                format!(
                    "{model} names the file {name:?}, which cannot be downloaded: names may have letters, digits \
                     and `-_.`; download all files yourself and give the path of their folder"
                )
            })?;
            Ok(match model.rsplit_once('/') {
                Some((folder, _)) => format!("{folder}/{name}"),
                None => name.to_owned(),
            })
        })
        .collect()
}

/// What was asked for, for errors.
struct Asked<'a> {
    hub: &'a Hub,
    name: &'a str,
    /// The repository's page.
    url: String,
}

impl Asked<'_> {
    fn index(&self, reason: String) -> Error {
        Error::Index { name: self.name.to_owned(), reason, url: self.url.clone() }
    }

    fn problem(&self, problem: Problem) -> Error {
        let Self { hub, name, url } = self;
        let (name, url, cache) = ((*name).to_owned(), url.clone(), hub.cache.path().clone());
        let unreachable = |reason| Error::Unreachable {
            name: name.clone(),
            server: hub.server.clone(),
            reason,
            url: url.clone(),
        };
        match problem {
            Problem::Offline(variable) => Error::Offline { name, cache, variable, url },
            Problem::Cache(reason) => {
                Error::Cache { name, cache, reason, variable: hub.cache_variable, url }
            }
            Problem::Busy(wait) => {
                Error::Busy { name, server: hub.server.clone(), wait: Some(wait) }
            }
            Problem::Damaged { file, reason, remedy } => {
                Error::Damaged { name, file, reason, remedy }
            }
            Problem::Server(Trouble::Status(status, _)) => match status {
                // It does not say whether a repository that needs a login is there.
                401 | 404 => {
                    Error::NotFound { name, what: "no such repository or file".to_owned(), url }
                }
                403 => Error::Refused { name, url },
                429 => Error::Busy { name, server: hub.server.clone(), wait: None },
                status => unreachable(format!("answers with the status {status}")),
            },
            Problem::Server(Trouble::File(error)) => {
                let (reason, variable) = (error.to_string(), hub.cache_variable);
                Error::Cache { name, cache, reason, variable, url }
            }
            Problem::Server(Trouble::Broken(error)) => unreachable(format!(
                "broke off in the middle of a file ({error}); the part that arrived is kept, so try again"
            )),
            Problem::Server(Trouble::Answer(what)) => {
                unreachable(format!("does not answer as one: {what}"))
            }
            Problem::Server(Trouble::Request(error)) => {
                unreachable(format!("cannot be reached: {error}"))
            }
        }
    }
}

/// Why a file cannot be had.
enum Problem {
    Server(Trouble),
    /// The Hub wants to be asked again only after so many seconds.
    Busy(u64),
    /// What forbids the network.
    Offline(&'static str),
    /// What the cache's disk does not do.
    Cache(String),
    /// As [`Error::Damaged`].
    Damaged {
        file: String,
        reason: String,
        remedy: String,
    },
}

impl Problem {
    fn is_missing(&self) -> bool {
        matches!(self, Self::Server(Trouble::Status(404, _)))
    }
}

struct Source<'a> {
    hub: &'a Hub,
    /// Of its files on the server.
    place: String,
    cache: CacheRepo,
    revision: &'a str,
    patience: Cell<Patience>,
}

/// How much was waited already because the Hub asked for it.
#[derive(Clone, Copy, Debug, Default)]
struct Patience {
    times: u32,
    seconds: u64,
}

impl Patience {
    /// So often, for all files of a repository together.
    const TIMES: u32 = 5;
    const SECONDS: u64 = 60;

    /// With a wait of so many seconds more, unless that is too much.
    fn after(self, seconds: u64) -> Option<Self> {
        let more = Self { times: self.times + 1, seconds: self.seconds.saturating_add(seconds) };
        (more.times <= Self::TIMES && more.seconds <= Self::SECONDS).then_some(more)
    }
}

impl Source<'_> {
    /// The path of a file that is in the cache.
    fn kept(&self, file: &str) -> Option<PathBuf> {
        // A commit is its own name; Python's programs write no reference for it.
        let of_commit = || {
            let is_commit = self.revision.len() == 40
                && self.revision.bytes().all(|byte| byte.is_ascii_hexdigit());
            let path = self.cache.pointer_path(self.revision).join(file);
            (is_commit && path.exists()).then_some(path)
        };
        self.cache.get(file).or_else(of_commit)
    }

    /// A file's path, fetched where it is not in the cache.
    fn get(&self, file: &str) -> Result<PathBuf, Problem> {
        if let Some(path) = self.kept(file) {
            return Ok(path);
        }
        if let Some(variable) = self.hub.offline {
            return Err(Problem::Offline(variable));
        }
        let path = loop {
            match self.fetched(file) {
                Err(Problem::Server(Trouble::Status(status @ (429 | 503), Some(seconds)))) => {
                    self.wait_as_asked(status, seconds)?;
                }
                found => break found?,
            }
        };
        self.check(file, &path)?;
        Ok(path)
    }

    /// Waits for so many seconds, as the Hub asks for that answered with `status`, unless that is too long.
    ///
    /// # Errors
    /// That it is too long.
    fn wait_as_asked(&self, status: u16, seconds: u64) -> Result<(), Problem> {
        let before = self.patience.get();
        let Some(after) = before.after(seconds) else {
            let refused = Problem::Server(Trouble::Status(status, Some(seconds)));
            return Err(if status == 429 { Problem::Busy(seconds) } else { refused });
        };
        if before.seconds == 0 && seconds > 0 {
            (self.hub.tell)(&format!(
                "the Hub at {} asks to wait {seconds} s; waiting, {} s in all at most",
                self.hub.server,
                Patience::SECONDS
            ));
        }
        self.patience.set(after);
        std::thread::sleep(Duration::from_secs(seconds));
        Ok(())
    }

    /// The path of a file that was not in the cache.
    fn fetched(&self, file: &str) -> Result<PathBuf, Problem> {
        let place = format!("{}/{file}", self.place);
        let transfer = &self.hub.transfer;
        loop {
            let about = transfer.about(&place).map_err(Problem::Server)?;
            let written = |error| Problem::Server(Trouble::File(error));
            let blob = self.cache.blob_path(&about.etag);
            // The names that other programs give them.
            let [lock, part] = ["lock", "part"].map(|extension| blob.with_extension(extension));
            if let Some(folder) = blob.parent() {
                fs::create_dir_all(folder).map_err(written)?;
            }
            let held = fs::File::create(&lock).map_err(written)?;
            match held.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let path = self.wait(file, &lock).map_err(|error| unlockable(&lock, &error))?;
                    if let Some(path) = path {
                        return Ok(path);
                    }
                    continue;
                }
                Err(TryLockError::Error(error)) => return Err(unlockable(&lock, &error)),
            }
            // As long as nobody else may fetch it.
            if let Some(path) = self.kept(file) {
                return Ok(path);
            }
            transfer.fetch(&place, about.size, &part).map_err(Problem::Server)?;
            fs::rename(&part, &blob).map_err(written)?;
            return self.named(file, &blob, &about).map_err(written);
        }
    }

    /// Waits until the file is there, or nobody holds its lock any more.
    fn wait(&self, file: &str, lock: &Path) -> io::Result<Option<PathBuf>> {
        /// From the lock's end to where the file has its name.
        const NAMED_WITHIN: u32 = 5;
        const PAUSE: Duration = Duration::from_millis(200);
        let (began, mut next, mut free) = (Instant::now(), Duration::ZERO, 0);
        loop {
            if let Some(path) = self.kept(file) {
                return Ok(Some(path));
            }
            let held = is_held(lock)?;
            let waited = began.elapsed();
            if held && waited >= next {
                let long = match waited.as_secs() {
                    0 => String::new(),
                    seconds => format!(" for {seconds} s"),
                };
                let lock = lock.display();
                (self.hub.tell)(&format!(
                    "waiting{long} for another program, which is fetching {file} ({lock})"
                ));
                next = waited + waited.max(Duration::from_secs(30));
            }
            free = if held { 0 } else { free + 1 };
            if free > NAMED_WITHIN {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Removes a file whose hash, which is its name among the blobs, is another.
    fn check(&self, file: &str, path: &Path) -> Result<(), Problem> {
        let blob = fs::read_link(path).ok();
        let etag = match blob.as_ref().and_then(|blob| blob.file_name()?.to_str()) {
            Some(etag) => etag.to_owned(),
            // Without links only the Hub knows; it was there a moment ago.
            None => match self.hub.transfer.about(&format!("{}/{file}", self.place)) {
                Ok(about) => about.etag,
                Err(_) => return Ok(()),
            },
        };
        let compared = checksum::compare(path, &etag)
            .map_err(|error| Problem::Cache(format!("{} {error}", path.display())))?;
        let Some(Differing { hash, found }) = compared else { return Ok(()) };
        let blob = self.cache.blob_path(&etag);
        let removed = [path, &blob].into_iter().try_for_each(|path| match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(format!("remove {} ({error}) and try again", path.display()))
            }
            _ => Ok(()),
        });
        let reason = format!("its {hash} is {found}, but the Hub gives {etag}");
        let remedy = removed.err().unwrap_or_else(|| "it was removed; try again".to_owned());
        Err(Problem::Damaged { file: file.to_owned(), reason, remedy })
    }

    /// Gives a blob the name of its file, by a link where the disk of the cache has links.
    fn named(&self, file: &str, blob: &Path, about: &About) -> io::Result<PathBuf> {
        let path = self.cache.pointer_path(&about.commit).join(file);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        if !path.exists() {
            // From the snapshot's folder, as the whole cache may be moved.
            let up = 1 + file.split('/').count();
            let target: PathBuf =
                (0..up).map(|_| "..").chain(["blobs", about.etag.as_str()]).collect();
            link(&target, &path)
                .or_else(|_| fs::rename(blob, &path))
                .or_else(|_| fs::copy(blob, &path).map(drop))?;
        }
        self.cache.create_ref(&about.commit)?;
        Ok(path)
    }
}

#[cfg(unix)]
fn link(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(windows)]
fn link(target: &Path, path: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, path)
}

#[cfg(not(any(unix, windows)))]
fn link(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn unlockable(lock: &Path, error: &io::Error) -> Problem {
    Problem::Cache(format!("{} cannot be locked ({error})", lock.display()))
}

/// Whether another program holds a lock. An error where that cannot be told, as on a disk without locks.
fn is_held(lock: &Path) -> io::Result<bool> {
    // Over NFS only who may write has a file for himself.
    let lock = match OpenOptions::new().write(true).open(lock) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match lock.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The parts of `hf:OWNER/NAME[@REVISION][:FILE]`.
struct Name<'a> {
    repository: &'a str,
    revision: &'a str,
    file: Option<&'a str>,
}

impl<'a> Name<'a> {
    fn parse(name: &'a str) -> Result<Self, Error> {
        let wrong = || Error::Name(name.to_owned());
        let rest = name.strip_prefix(PREFIX).ok_or_else(wrong)?;
        let (rest, file) = match rest.split_once(':') {
            Some((rest, file)) => (rest, Some(file)),
            None => (rest, None),
        };
        let (repository, revision) = rest.split_once('@').unwrap_or((rest, "main"));
        // They become parts of paths and addresses.
        let is_path = |path: &str| path.split('/').all(is_part);
        let sound = repository.split('/').count() == 2
            && is_path(repository)
            && is_path(revision)
            && file.is_none_or(is_path);
        if sound { Ok(Self { repository, revision, file }) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_have_a_repository_a_revision_and_a_file() {
        let name = Name::parse("hf:timm/convnextv2_atto.fcmae").unwrap();
        assert_eq!((name.repository, name.revision), ("timm/convnextv2_atto.fcmae", "main"));
        assert_eq!(name.file, None);
        let name = Name::parse("hf:a/b@refs/pr/1:weights/old.pth").unwrap();
        assert_eq!((name.repository, name.revision), ("a/b", "refs/pr/1"));
        assert_eq!(name.file, Some("weights/old.pth"));
        for wrong in [
            "timm/atto",
            "hf:",
            "hf:atto",
            "hf:a/b/c",
            "hf:a/..",
            "hf:a/b:../../etc/passwd",
            "hf:a/b@",
            "hf:a/b c",
            "hf:a//b",
        ] {
            assert!(matches!(Name::parse(wrong), Err(Error::Name(_))), "{wrong}");
        }
    }

    #[test]
    fn a_lock_is_held_by_who_has_it_and_not_where_there_can_be_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert!(!is_held(&path).unwrap());
        let lock = fs::File::create(&path).unwrap();
        assert!(!is_held(&path).unwrap());
        lock.lock().unwrap();
        assert!(is_held(&path).unwrap());
        lock.unlock().unwrap();
        assert!(!is_held(&path).unwrap());
        assert!(is_held(folder.path()).is_err());
    }

    #[test]
    fn what_cannot_be_locked_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let hub = Hub::at("http://127.0.0.1:1", folder.path()).unwrap();
        let repo = Repo::model("a/b".to_owned());
        let (place, cache) = (String::new(), hub.cache.repo(repo));
        let source =
            Source { hub: &hub, place, cache, revision: "main", patience: Cell::default() };
        assert!(source.wait("model.safetensors", folder.path()).is_err());
    }
}
