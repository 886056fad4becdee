//! Folders that are to be runs.

use std::path::{Path, PathBuf};

use anyhow::Result;
use fcmae_data::source::printable;
use fcmae_store::durable;
use fcmae_store::run::files::{CONFIG, RUN};
use fcmae_store::run::is_run;
use fcmae_words::grouped;

use crate::failure::Usage;

/// Runs that are named.
const SHOWN: usize = 3;
/// Files and folders that are looked at.
const LOOKED_AT: usize = 10_000;

/// Refuses a path that is no run, and says where one is. What is in part a run is for the library to refuse, which says
/// what is missing. `so`: what cannot be done therefore, with a comma before it, or nothing.
///
/// # Errors
/// A path that is not there, a file, a folder with neither `run.json` nor `config.toml`.
pub(crate) fn refuse_no_run(path: &Path, so: &str) -> Result<()> {
    let name = printable(path);
    let text = match path.metadata() {
        Err(_) => format!("{name}: no such run{so}; check the path"),
        Ok(meta) if !meta.is_dir() => {
            format!("{name} is a file, and a run is a folder{so}{}", near(path))
        }
        Ok(_) if [RUN, CONFIG].iter().any(|file| durable::whole(&path.join(file)).is_file()) => {
            return Ok(());
        }
        Ok(_) => format!("{name} is not a run{so}: it has no {RUN} and no {CONFIG}{}", near(path)),
    };
    Err(Usage(text).into())
}

/// Where a run is, if not at this path, with a sign before it.
fn near(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if let Some(run) = whole.ancestors().skip(1).take(3).find(|above| is_run(above)) {
        return format!("; it is in the run {}", printable(run));
    }
    let entries = path.read_dir().into_iter().flatten().take(LOOKED_AT).flatten();
    let mut runs: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| is_run(path)).collect();
    runs.sort_unstable();
    let named: Vec<String> = runs.iter().take(SHOWN).map(|run| printable(run)).collect();
    match (runs.len(), runs.len().saturating_sub(SHOWN)) {
        (0, _) => {
            "; a run is the folder that `fcmae pretrain` or `fcmae finetune` was given as --out"
                .to_owned()
        }
        (1, _) => format!("; the run in it is {}", named[0]),
        (_, 0) => format!("; the runs in it are {}", named.join(", ")),
        (_, more) => {
            format!("; the runs in it are {} and {} more", named.join(", "), grouped(more))
        }
    }
}
