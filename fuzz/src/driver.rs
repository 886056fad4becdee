//! Runs a target over and over, and says what it must not do: panic, take much memory or long.

use std::alloc::System;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use cap::Cap;

use crate::mutator;
use crate::random::Random;
use crate::target::{Outcome, Target};

/// Counts what is allocated. Beyond the limit the process ends, before the machine is out of memory.
#[global_allocator]
static ALLOCATED: Cap<System> = Cap::new(System, 8 << 30);

/// Most bytes that one execution may take at a time. Files are of 256 KiB at most, and the limits that
/// targets set are of 4 MiB.
const MEMORY: usize = 64 << 20;

/// Longest that one execution may take; the fastest of three counts.
const TIME: Duration = Duration::from_secs(2);

/// What does not come back at all ends the process after so many seconds.
const HANGS: u64 = 120;

/// Most changed files that are changed again: a new one then comes in place of another.
const POOL: usize = 2000;

/// Letters by which a refusal is told from others: behind them it may list what is in the file.
const SHAPE: usize = 100;

/// Most findings of a run.
const MOST_FINDINGS: usize = 20;

/// Panics of the workspace and of the standard library are findings even where the library catches them; what
/// comes from elsewhere is the path of a dependency.
const OWN: [&str; 3] = ["crates/", "fuzz/", "/rustc/"];

/// Whether a panic in a file of this path is a finding even where the library catches it.
pub fn is_own(place: &str) -> bool {
    OWN.iter().any(|own| place.starts_with(own))
}

/// Where and with what words something panicked.
#[derive(Clone, Debug)]
struct Panic {
    /// File and line.
    place: String,
    words: String,
}

/// Those since the execution began, of all threads.
static PANICS: Mutex<Vec<Panic>> = Mutex::new(Vec::new());

/// When the execution under way began, in seconds since the first; 0 between two.
static BEGAN: AtomicU64 = AtomicU64::new(0);

/// Held while one is run: memory and panics are those of the process.
static TURN: Mutex<()> = Mutex::new(());

/// What a run came to.
#[derive(Debug, Default)]
pub struct Summary {
    /// Files that were read.
    pub executions: u64,
    /// Of them, accepted.
    pub accepted: u64,
    /// In how many ways the others were refused.
    pub refusals: usize,
    /// Panics in dependencies that the library caught, by their places.
    pub caught: BTreeMap<String, u64>,
    /// What it must not do.
    pub findings: Vec<String>,
    /// All executions together.
    pub time: Duration,
    /// The longest of them.
    pub slowest: Duration,
    /// Most that any took, in bytes; none where it was less than a run before in the same process.
    pub memory: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { executions, accepted, refusals, caught, findings, time, slowest, memory } = self;
        write!(
            f,
            "{executions} executions in {:.1} s, {accepted} accepted, {refusals} ways to be refused, \
             the slowest {:.1} ms, most memory {} KiB, {} findings",
            time.as_secs_f64(),
            slowest.as_secs_f64() * 1e3,
            memory >> 10,
            findings.len()
        )?;
        for (place, count) in caught {
            write!(f, "\n  {count} panics caught at {place}")?;
        }
        Ok(())
    }
}

/// Reads the files to begin with, those kept from earlier findings, and then `executions` changed ones.
///
/// # Panics
/// Where there is no room for files.
pub fn run(target: &Target, kept: &[Vec<u8>], executions: u64, seed: u64) -> Summary {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    watch();
    let hash = u64::from(crc32fast::hash(target.name.as_bytes())) << 32;
    let mut runner = Runner::new(target);
    let corpus = (target.corpus)();
    for bytes in corpus.iter().chain(kept) {
        runner.execute(bytes);
    }
    assert!(runner.summary.accepted > 0, "{}: no file to begin with is accepted", target.name);
    let mut pool = Vec::new();
    for number in 0..executions {
        let mut random = Random::new(seed ^ hash ^ number.wrapping_mul(0xD134_2543_DE82_EF95));
        let other = random.one_of(&corpus);
        let base = if pool.is_empty() || random.one_in(2) {
            small_one(&corpus, &mut random)
        } else {
            small_one(&pool, &mut random)
        };
        let mut bytes = mutator::mutated(base, other, target.words, &mut random);
        if !random.one_in(4) {
            bytes = (target.repair)(base, bytes);
        }
        // What was accepted leads to other files than what was not.
        let is_kept = match runner.execute(&bytes) {
            Read::Anew => true,
            Read::Accepted => random.one_in(16),
            Read::AsBefore => false,
        };
        if runner.summary.findings.len() == MOST_FINDINGS {
            break;
        }
        if is_kept && pool.len() < POOL {
            pool.push(bytes);
        } else if is_kept {
            pool[random.below(POOL)] = bytes;
        }
    }
    runner.summary.refusals = runner.refusals.len();
    let _ = fs::remove_file(&runner.path);
    runner.summary
}

/// The smaller of two, as a rule: more of it is read in the same time.
fn small_one<'a>(files: &'a [Vec<u8>], random: &mut Random) -> &'a [u8] {
    let (one, two) = (random.one_of(files), random.one_of(files));
    let (small, large) = if one.len() <= two.len() { (one, two) } else { (two, one) };
    if random.one_in(4) { large } else { small }
}

/// How a file was read.
enum Read {
    Accepted,
    /// Refused in words that are new.
    Anew,
    /// Refused as others were.
    AsBefore,
}

struct Runner<'a> {
    target: &'a Target,
    summary: Summary,
    /// Hashes of refusals without what differs from file to file.
    refusals: HashSet<u32>,
    /// Places of panics and kinds of other findings: each is told once.
    told: HashSet<String>,
    /// What is read at the moment: where the process ends, it is left.
    path: PathBuf,
    file: File,
}

impl<'a> Runner<'a> {
    fn new(target: &'a Target) -> Self {
        let folder = std::env::temp_dir().join("fcmae-fuzz");
        let path = folder.join(format!("{}-{}", target.name, std::process::id()));
        let file = fs::create_dir_all(&folder).and_then(|()| File::create(&path));
        let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (summary, refusals) = (Summary::default(), HashSet::new());
        Self { target, summary, refusals, told: HashSet::new(), path, file }
    }

    fn execute(&mut self, bytes: &[u8]) -> Read {
        self.save(bytes);
        let (mut outcome, mut time) = self.once(bytes);
        for _ in 0..2 {
            if time > TIME {
                let again = self.once(bytes);
                (outcome, time) = (again.0, time.min(again.1));
            }
        }
        if time > TIME {
            self.finding(bytes, "time", &format!("it takes {time:?}, {TIME:?} at most"));
        }
        self.summary.executions += 1;
        self.summary.slowest = self.summary.slowest.max(time);
        match outcome {
            Ok(()) => {
                self.summary.accepted += 1;
                Read::Accepted
            }
            Err(words) if self.refusals.insert(shape(&words)) => Read::Anew,
            Err(_) => Read::AsBefore,
        }
    }

    fn once(&mut self, bytes: &[u8]) -> (Outcome, Duration) {
        lock(&PANICS).clear();
        let (before, most) = (ALLOCATED.allocated(), ALLOCATED.max_allocated());
        BEGAN.store(seconds(), Ordering::Relaxed);
        let start = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| (self.target.run)(bytes)));
        let time = start.elapsed();
        BEGAN.store(0, Ordering::Relaxed);
        self.summary.time += time;
        // The most of all times: what stays below it was below it before, too.
        let after = ALLOCATED.max_allocated();
        let rise = if after > most { after - before } else { 0 };
        self.summary.memory = self.summary.memory.max(rise);
        if rise > MEMORY {
            let most = MEMORY >> 20;
            let words = format!("it takes {} MiB of memory, {most} at most", rise >> 20);
            self.finding(bytes, "memory", &words);
        }
        let panics = std::mem::take(&mut *lock(&PANICS));
        for Panic { place, words } in &panics {
            if result.is_err() || is_own(place) {
                self.finding(bytes, place, &format!("it panics at {place}: {words}"));
            } else {
                let count = self.summary.caught.entry(place.clone()).or_default();
                *count += 1;
                if *count == 1 {
                    self.keep("caught", bytes);
                }
            }
        }
        (result.unwrap_or_else(|_| Err("panicked".to_owned())), time)
    }

    fn save(&mut self, bytes: &[u8]) {
        let file = &mut self.file;
        let saved = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(bytes));
        let saved = saved.and_then(|()| file.set_len(bytes.len() as u64));
        saved.unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
    }

    fn finding(&mut self, bytes: &[u8], kind: &str, words: &str) {
        if self.told.insert(kind.to_owned()) {
            let (name, path) = (self.target.name, self.keep("found", bytes));
            self.summary.findings.push(format!(
                "{name}: {words}\n  the file: {}; once that is repaired, keep a small one in \
                 fuzz/regressions/{name}",
                path.display()
            ));
        }
    }

    /// Writes a file that is to be looked at; its path.
    fn keep(&self, what: &str, bytes: &[u8]) -> PathBuf {
        let name = format!("{}-{what}-{:08x}", self.target.name, crc32fast::hash(bytes));
        let path = self.path.with_file_name(name);
        fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }
}

/// What a refusal says without numbers and without what it quotes from the file, as a hash.
fn shape(words: &str) -> u32 {
    let quotes = ['`', '"', '\''];
    let (before, after) = match (words.find(quotes), words.rfind(quotes)) {
        (Some(first), Some(last)) => (&words[..first], &words[last..]),
        _ => (words, ""),
    };
    let letters = before.bytes().chain(after.bytes()).filter(u8::is_ascii_alphabetic);
    crc32fast::hash(&letters.take(SHAPE).collect::<Vec<u8>>())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since the first call, from 1 on.
fn seconds() -> u64 {
    static START: Mutex<Option<Instant>> = Mutex::new(None);
    1 + lock(&START).get_or_insert_with(Instant::now).elapsed().as_secs()
}

/// From now on panics during an execution are noted and not printed, and what does not come back ends
/// the process.
fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if BEGAN.load(Ordering::Relaxed) == 0 {
                return usual(info);
            }
            let place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
            let words = info.payload_as_str().unwrap_or("no message").to_owned();
            lock(&PANICS).push(Panic { place: place.unwrap_or_default(), words });
        }));
        std::thread::spawn(|| {
            loop {
                std::thread::sleep(Duration::from_secs(1));
                let began = BEGAN.load(Ordering::Relaxed);
                if began != 0 && seconds() > began + HANGS {
                    let folder = std::env::temp_dir().join("fcmae-fuzz");
                    eprintln!("one file takes more than {HANGS} s; it is in {}", folder.display());
                    std::process::abort();
                }
            }
        });
    });
}
