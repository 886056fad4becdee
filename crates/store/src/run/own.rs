//! Which files of a folder are a run's.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::files;
use super::lock::LOCK;
use super::schema::{EVALUATIONS, UPDATES, WATCHES};
use super::tensorboard::PREFIX;

/// Names of files and folders that a run writes.
const OWN: [&str; 21] = [
    files::CONFIG,
    files::RUN,
    files::CHANGES,
    files::END,
    files::METRICS,
    files::SKIPPED,
    files::LOG,
    files::CHECKPOINTS,
    files::EXPORT,
    files::DIVERGED,
    files::DATA,
    files::SPLIT,
    files::ENVIRONMENT,
    files::EVALUATION,
    files::FEATURES,
    files::FIGURES,
    files::REPORT,
    UPDATES.file,
    EVALUATIONS.file,
    WATCHES.file,
    LOCK,
];

/// Whether a folder has what makes it a run.
pub fn is_run(folder: &Path) -> bool {
    [files::RUN, files::CONFIG].iter().all(|file| folder.join(file).is_file())
}

/// The run that this file or folder is of, or would be: one of those that runs write, or in one of them. What somebody
/// else has put into a run's folder is of none.
pub fn owner(path: &Path) -> Option<PathBuf> {
    // A link is replaced itself, not what it leads to.
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let whole = parent.unwrap_or(Path::new(".")).canonicalize().ok()?.join(path.file_name()?);
    whole.ancestors().skip(1).zip(whole.ancestors()).find_map(|(run, below)| {
        let is_own = |name: &OsStr| {
            OWN.iter().any(|own| name == *own)
                || name.to_str().is_some_and(|n| n.starts_with(PREFIX))
        };
        (below.file_name().is_some_and(is_own) && is_run(run)).then(|| run.to_owned())
    })
}
