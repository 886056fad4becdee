//! What can go wrong, with the file, the value and the remedy.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::checkpoint::Damaged;
use crate::{pth, safetensors};

/// An error of this crate. Paths are shown as they were given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: "create", "sync", …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The reason given.
        source: io::Error,
    },
    /// The folder of a run that goes on has not its name any more.
    #[error(
        "the run's folder {} is gone: it was moved, renamed or removed during the run. Put it back, or give its new \
         path, and continue with --resume from its newest checkpoint",
        path.display()
    )]
    Gone {
        /// The folder.
        path: PathBuf,
    },
    /// The disk is full. Nothing that was saved before is touched.
    #[error(
        "no space left to write {}: {} MiB needed, {} free; {} and try again (what was saved before is intact)",
        path.display(),
        needed.div_ceil(1 << 20),
        free.map_or("an unknown number".to_owned(), |free| format!("{} MiB", free >> 20)),
        match free {
            Some(free) if free > needed => {
                "what is used up is a quota (`quota -s`) or the number of files (`df -i`): free some of that"
            }
            _ => "free some space",
        }
    )]
    NoSpace {
        /// The file that could not be written.
        path: PathBuf,
        /// Bytes that the whole save needs.
        needed: u64,
        /// Bytes free on that file system once the unfinished save was removed.
        free: Option<u64>,
    },
    /// What this user may write on the disk is used up. Nothing that was saved before is touched.
    #[error(
        "your disk quota is used up, so {} cannot be written: remove some of your files (`quota -s` shows the limit) \
         and try again (what was saved before is intact)",
        path.display()
    )]
    Quota {
        /// The file that could not be written.
        path: PathBuf,
    },
    /// Larger than files may be.
    #[error(
        "{} would exceed the largest size of a file there, which the process's limit (`ulimit -f`) or the file system \
         (FAT32: 4 GiB) sets; raise the limit, or write to another disk (what was saved before is intact)",
        path.display()
    )]
    TooLarge {
        /// The file that could not be written.
        path: PathBuf,
    },
    /// A safetensors file is malformed.
    #[error("{} is not a usable safetensors file: {flaw}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        flaw: safetensors::Flaw,
    },
    /// A PyTorch file is malformed, or holds more than weights.
    #[error("{} is not a usable PyTorch file: {flaw}", path.display())]
    Pth {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        flaw: pth::Flaw,
    },
    /// A file is something else than weights.
    #[error("{} holds no weights: {found}", path.display())]
    NotWeights {
        /// The file.
        path: PathBuf,
        /// What it is, and the remedy.
        found: String,
    },
    /// An index of weights in several files that is none, or does not fit the files.
    #[error("{} is not an index of weights in several files: {reason}", path.display())]
    Index {
        /// The index.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// More than a PyTorch file that this crate writes can hold.
    #[error(
        "{tensors} tensors of {bytes} bytes are more than a PyTorch file is written with here \
         (65,000 tensors, 4 GiB); write a safetensors file instead"
    )]
    TooLong {
        /// How many tensors.
        tensors: usize,
        /// About how long the file would be.
        bytes: u64,
    },
    /// A tensor's values do not fill its shape, or its name is reserved.
    #[error("tensor `{name}` of shape {shape:?} with {values} values cannot be written")]
    BadTensor {
        /// Its name.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// How many values it holds.
        values: usize,
    },
    /// A file name that is empty, hidden, reserved or has other characters than `A-Za-z0-9._-`.
    #[error("`{name}` cannot be the name of a file here: use letters, digits, `-`, `_` and `.`")]
    BadFileName {
        /// The name.
        name: String,
    },
    /// Bytes that should be a picture in TensorBoard are no PNG file.
    #[error("the picture `{tag}` is no PNG file; encode it as one")]
    NotPng {
        /// The picture's name.
        tag: String,
    },
    /// A JSON or TOML text cannot be read.
    #[error("{} cannot be read: {flaw}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        flaw: String,
    },
    /// A checkpoint asked for by its step is damaged.
    #[error("{0}; choose another checkpoint")]
    Damaged(Damaged),
    /// There are checkpoints and all of them are damaged.
    #[error(
        "no checkpoint in {} can be used:{}\nput back intact ones, or begin a new run{}",
        folder.display(), list(damaged), from_export(folder)
    )]
    AllDamaged {
        /// The folder of checkpoints.
        folder: PathBuf,
        /// Each with its reason, newest first.
        damaged: Vec<Damaged>,
    },
    /// A link where a folder or file of a run is needed, and nothing that it leads to.
    #[error(
        "{} is a link to {}, which is not there: mount it or put it back, or remove the link",
        path.display(), target.display()
    )]
    Dangling {
        /// The link.
        path: PathBuf,
        /// What it leads to.
        target: PathBuf,
    },
    /// A folder where a run has a file.
    #[error("{} is a folder, and a run has a file of that name: move it away", path.display())]
    NotAFile {
        /// The folder.
        path: PathBuf,
    },
    /// No checkpoint of that step.
    #[error("no checkpoint of step {step} in {}; there are {present:?}", folder.display())]
    NoSuchStep {
        /// The folder of checkpoints.
        folder: PathBuf,
        /// The step asked for.
        step: u64,
        /// The steps there are.
        present: Vec<u64>,
    },
    /// The folder for a new run holds something already.
    #[error(
        "{} exists and is not empty; choose another --out, or, if it is a run, continue it with --resume",
        path.display()
    )]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// Files in a folder cannot be written as a run needs it.
    #[error(
        "{} cannot hold a run: files there cannot be {what}: {source}; give a folder on a local disk \
         as --out, and copy it afterwards",
        folder.display()
    )]
    Unsuited {
        /// The folder.
        folder: PathBuf,
        /// What files need to be, and cannot: "appended to".
        what: &'static str,
        /// The reason given.
        source: io::Error,
    },
    /// A folder is needed and something else is there.
    #[error("{} is not a folder; choose another path", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// The run's folder cannot be written to.
    #[error(
        "{} cannot be written to: {source}; choose another --out or change its permissions",
        path.display()
    )]
    NotWritable {
        /// The folder.
        path: PathBuf,
        /// The reason given.
        source: io::Error,
    },
    /// Another process is writing this run.
    #[error("{} is in use by process {process}; wait for it or choose another --out", path.display())]
    InUse {
        /// The run's folder.
        path: PathBuf,
        /// Its number, as it wrote it into the lock.
        process: String,
    },
    /// A file that is there and cannot be opened, for a reason that is not its own.
    #[error("{} cannot be opened ({source}), but may be intact: {}", path.display(), to_open(source))]
    NotReadable {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// An export without its weights.
    #[error(
        "{} has no {file}: put it back, resume the run, or name the weights to use, such as {}",
        folder.display(), other.display()
    )]
    IncompleteExport {
        /// Its folder.
        folder: PathBuf,
        /// What is missing.
        file: &'static str,
        /// Where other weights of the run may be.
        other: PathBuf,
    },
    /// A folder that should be a run is none.
    #[error(
        "{} is not a run that can be resumed: it has no {missing}; put that file back, or start a new run in another \
         folder (with --from and its weights, if it has any)",
        path.display()
    )]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// The file that is missing.
        missing: &'static str,
    },
    /// A run is resumed with other settings or data than it was started with.
    #[error(
        "{} was started with other settings (- recorded, + given now):{}\n\
         give the recorded ones, or start a new run in another folder",
        path.display(), list(diff)
    )]
    OtherSettings {
        /// The run's folder.
        path: PathBuf,
        /// Lines `- config.a.b = 1` and `+ config.a.b = 2`.
        diff: Vec<String>,
    },
    /// A weights argument that names nothing.
    #[error(
        "{}: no such run, folder or file of weights; check the path (weights on the Hugging Face Hub are \
         named hf:OWNER/NAME)",
        path.display()
    )]
    Missing {
        /// The argument.
        path: PathBuf,
    },
    /// Nothing under a weights argument holds weights.
    #[error("no weights in {}; looked for:{}", path.display(), list(looked_for))]
    NoWeights {
        /// The argument.
        path: PathBuf,
        /// What was looked for, in order.
        looked_for: Vec<String>,
    },
}

impl Error {
    /// For `map_err`: names what was tried and on which path.
    pub(crate) fn io<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// Names the run's folder rather than the file that was tried in it, where writing is not allowed.
    pub(crate) fn of_folder(self, folder: &Path) -> Self {
        use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        match self {
            Self::Io { source, .. }
                if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem) =>
            {
                Self::NotWritable { path: folder.to_owned(), source }
            }
            other => other,
        }
    }
}

/// What helps where a file cannot be opened.
fn to_open(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "give yourself permission to read it, and try again",
        _ if fcmae_files::is_out_of_files(error) => {
            "raise the limit of open files (`ulimit -n`), and try again"
        }
        _ => "try again",
    }
}

/// Where a run whose checkpoints are in `folder` has exported its weights, what a new one can begin from.
fn from_export(folder: &Path) -> String {
    let export = folder.with_file_name("export").join("last");
    match export.is_dir() {
        true => format!(" from its last export (--from {})", export.display()),
        false => String::new(),
    }
}

fn list<T: std::fmt::Display>(items: &[T]) -> String {
    items.iter().fold(String::new(), |mut text, item| {
        let _ = write!(text, "\n  {item}");
        text
    })
}
