//! Errors of this crate: each names the file or value, and the remedy.

use std::path::{Path, PathBuf};

use fcmae_files::{Unusable, is_out_of_files};
use fcmae_words::plural;

use crate::advice::Advice;
use crate::channels::MAX_CHANNELS;
use crate::remark::Axes;
use crate::words::printable;

/// Why one file did not become a picture. In a run it is a skip; for a single picture it is
/// wrapped into [`DataError::Picture`], which names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The file could not be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// A directory, FIFO, socket or device.
    #[error("not a regular file")]
    NotAFile,
    /// No byte in it.
    #[error("the file is empty")]
    Empty,
    /// The first bytes belong to no known picture format.
    #[error("not a picture: it does not begin like a JPEG, PNG, WebP, GIF, BMP or TIFF file")]
    UnknownFormat,
    /// Something else than a picture of these formats, by its first bytes.
    #[error("it is {what}; {remedy}")]
    Other {
        /// What it is.
        what: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// The file ends before its picture does.
    #[error("cut short: the file ends before the picture does")]
    Truncated,
    /// Header or file beyond [`Limits`](crate::decode::Limits); nothing was decoded.
    #[error(
        "too large: {what} is {value}, the limit is {limit}; shrink the picture, or set data.max_pixels \
         to {enough} or more (--max-pixels {enough})"
    )]
    TooLarge {
        /// What was measured.
        what: &'static str,
        /// Its value in this file.
        value: u64,
        /// The limit.
        limit: u64,
        /// The number of pixels to allow for all of it.
        enough: u64,
    },
    /// Recognised, but of a kind that is not decoded.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// Values of more than 8 bits, where pictures of 8 bits are asked for and these cannot become them.
    #[error("unsupported: {what}, which 8 bits cannot hold; {remedy}")]
    BeyondEight {
        /// What they are.
        what: String,
        /// What to do about it.
        remedy: &'static str,
        /// What can be changed.
        advice: Advice,
    },
    /// Not as many channels as asked for, and none that could become them.
    #[error(
        "the file has {}, and {} asked for; {}",
        plural(.found, "channel"),
        asked_for(.wanted),
        .advice.channels(*.found)
    )]
    Channels {
        /// Channels of the file.
        found: u32,
        /// Channels asked for.
        wanted: u32,
        /// What can be changed.
        advice: Advice,
    },
    /// A stack whose pages are not as many as channels are asked for.
    #[error(
        "the file is a stack of {pages} pages{}, and {wanted} channels are asked for; {}",
        told_axes(.axes),
        .advice.stack(*.as_channels, *.wanted)
    )]
    Stack {
        /// Its pages.
        pages: u64,
        /// What they are.
        axes: Axes,
        /// For how many channels they can be taken, where they may be channels.
        as_channels: Option<u32>,
        /// Channels asked for.
        wanted: u32,
        /// What can be changed.
        advice: Advice,
    },
    /// Values that no network can learn from.
    #[error(
        "{count} of {of} values are NaN, infinite or beyond ±1e30{}; {}",
        .declared.map_or(String::new(), |number| format!(" (its GDAL_NODATA is {number}, which these are not)")),
        .advice.not_finite()
    )]
    NotFinite {
        /// How many.
        count: u64,
        /// Values of the picture.
        of: u64,
        /// The number that the file declares to mean that there is no data.
        declared: Option<f64>,
        /// What can be changed.
        advice: Advice,
    },
    /// All of it means that there is no data.
    #[error(
        "no data in any pixel: all of it is NaN, or what the file declares as GDAL_NODATA or hides with a mask; leave it out"
    )]
    NoData,
    /// The bytes break the rules of their format.
    #[error("damaged: {0}")]
    Malformed(String),
    /// The file is no longer the one that was found when the set was read.
    #[error("changed since the set was read: {0}")]
    Changed(String),
    /// The decoder panicked on it. The panic was caught.
    #[error("damaged: the decoder failed on it ({0})")]
    Panicked(String),
}

impl From<Unusable> for DecodeError {
    fn from(error: Unusable) -> Self {
        match error {
            Unusable::NotAFile => Self::NotAFile,
            other => Self::Io(other.into()),
        }
    }
}

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The data folder, archive or list is not there.
    #[error("{}: no such folder, archive or list; check the path", printable(.0))]
    Missing(PathBuf),
    /// The data path is a file, and neither an archive, nor a Parquet file, nor a list.
    #[error(
        "{}: not a folder, nor a .tar archive, nor a .parquet file, nor a list of files (.csv, .tsv, \
         .txt); give the folder that holds the pictures",
        printable(.0)
    )]
    NotAFolder(PathBuf),
    /// The data folder cannot be listed, or the file not opened.
    #[error("{}: cannot be read: {source}", printable(.path))]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A folder below it that cannot be listed, or a link or other entry without an extension that may be one.
    #[error(
        "{}: this folder of the set cannot be listed ({source}), so an unknown number of pictures is missing: {}, or \
         move it out of the set",
        printable(.path), to_list(.path, .source)
    )]
    Unlisted {
        /// The folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// An archive of which nothing can be used.
    #[error("{}: cannot be used as an archive: {reason}", printable(.path))]
    Archive {
        /// The archive.
        path: PathBuf,
        /// The reason, and the remedy.
        reason: String,
    },
    /// A Parquet file, or a folder of them, of which nothing can be used.
    #[error("{}: cannot be used as Parquet: {reason}", printable(.path))]
    Parquet {
        /// The file or folder.
        path: PathBuf,
        /// The reason, and the remedy.
        reason: String,
    },
    /// A list of which nothing can be used.
    #[error("{}: cannot be used as a list of pictures: {reason}", printable(.path))]
    List {
        /// The list.
        path: PathBuf,
        /// The reason, and the remedy.
        reason: String,
    },
    /// A recorded split that cannot be used.
    #[error(
        "{}: cannot be used as a recorded split: {reason}; give the split.csv of a run as it is",
        printable(.path)
    )]
    Split {
        /// The table.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// Pictures of a recorded split that the set does not have.
    #[error(
        "{}: {missing} of {recorded} recorded pictures are not in it ({}); give the data that was \
         recorded",
        printable(.path),
        first_names(.first)
    )]
    NotInSet {
        /// The set.
        path: PathBuf,
        /// Pictures that are missing.
        missing: usize,
        /// Pictures that the part has.
        recorded: usize,
        /// The first few that are missing.
        first: Vec<String>,
    },
    /// A file that cannot be written.
    #[error("{}: cannot be written: {source}", printable(.path))]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// Nothing with a picture's extension.
    #[error(
        "{}: no picture in it (no {extensions}){}; {remedy}",
        printable(.path),
        instead(*.passed_over, *.skipped, .others)
    )]
    NoPictures {
        /// The folder.
        path: PathBuf,
        /// Extensions that were looked for.
        extensions: String,
        /// Files with other extensions, and hidden ones.
        passed_over: usize,
        /// Entries with a picture's extension that are no regular files.
        skipped: usize,
        /// The other files by their kinds, and pictures of this program's own; may be empty.
        others: String,
        /// What to do.
        remedy: String,
    },
    /// Labels are needed and there are not two classes.
    #[error(
        "{}: {}{}; a classifier needs at least two classes: put the pictures of each class into a \
         sub-folder of their own, or name their labels in a list{hint}",
        printable(.path),
        if .classes.is_empty() { "no classes".to_owned() } else { format!("only one class, {:?}", .classes[0]) },
        if *.outside > 0 { format!(", and {} that belong to none", plural(.outside, "picture")) } else { String::new() }
    )]
    TooFewClasses {
        /// The folder.
        path: PathBuf,
        /// The classes found: none or one.
        classes: Vec<String>,
        /// Pictures that have no class.
        outside: usize,
        /// What else could be given, with a separator before it; may be empty.
        hint: String,
    },
    /// Folders or files that are parts of a data set, where classes or one part are to be.
    #[error("{}: it holds {what}, which are splits, not classes; {remedy}", printable(.path))]
    Splits {
        /// The folder or archive.
        path: PathBuf,
        /// The splits.
        what: String,
        /// What to give.
        remedy: String,
    },
    /// Labels that could both be meant by one class.
    #[error(
        "{}: the labels {:?} and {:?} would both be the class {class:?}; write them in one way",
        printable(.path),
        .labels[0],
        .labels[1]
    )]
    TwoForOne {
        /// The data.
        path: PathBuf,
        /// The labels.
        labels: [String; 2],
        /// The class.
        class: String,
    },
    /// Classes of a network that has no names for them, and others than it has.
    #[error(
        "{}: the weights have {} without names, and these pictures have {found}; give pictures of all classes, \
         in the same order, or name folders or labels by their numbers, 0 to {}",
        printable(.path),
        plural(.classes, "class"),
        .classes.saturating_sub(1)
    )]
    Nameless {
        /// The data.
        path: PathBuf,
        /// Classes found.
        found: usize,
        /// Classes of the network.
        classes: usize,
    },
    /// The system opens no more files: nothing is wrong with the pictures.
    #[error(
        "{} cannot be opened: too many files are open; raise the limit (`ulimit -n 4096`), or use fewer \
         threads (data.workers)",
        printable(.0)
    )]
    OpenFiles(PathBuf),
    /// Listing was ended by who asked for it.
    #[error("stopped while the pictures were listed")]
    Stopped,
    /// Too large a share of what was listed is not there, or cannot be opened.
    #[error(
        "{}: {lost} of {} could not be used, more than the allowed share of {limit}: {first}; repair the list or \
         the folder, or raise `data.max_bad_fraction`",
        printable(.path),
        plural(.of, "picture")
    )]
    TooManyLost {
        /// The data.
        path: PathBuf,
        /// Those that cannot be used.
        lost: usize,
        /// All that were listed.
        of: usize,
        /// Largest allowed share.
        limit: f64,
        /// The first, with its reason.
        first: String,
    },
    /// A class that the given class list does not name.
    #[error(
        "{}: class {class:?} is not one of the {} classes expected ({}); rename or remove it, or use weights \
         trained with that class",
        printable(.path),
        .expected.len(),
        first_names(.expected)
    )]
    UnknownClass {
        /// The data folder.
        path: PathBuf,
        /// The class's name.
        class: String,
        /// The class list.
        expected: Vec<String>,
    },
    /// More samples than an index can count.
    #[error("{}: {count} pictures; at most {} are supported, split the set", printable(.path), u32::MAX)]
    TooManyPictures {
        /// The folder.
        path: PathBuf,
        /// Pictures in it.
        count: usize,
    },
    /// A share or a count that cannot be taken.
    #[error("{what} is {value}; {remedy}")]
    Parameter {
        /// The setting's name.
        what: &'static str,
        /// The value given.
        value: String,
        /// What it may be.
        remedy: String,
    },
    /// One batch needs more pictures than there are.
    #[error(
        "batch size {batch} is larger than the set of {}; use a batch size of {set} or less",
        plural(.set, "picture")
    )]
    BatchLargerThanSet {
        /// Pictures a batch.
        batch: usize,
        /// Pictures in the set.
        set: usize,
    },
    /// Too large a share of the set cannot be decoded.
    #[error(
        "{bad} of {} could not be used{}, more than the allowed share of {limit}: {first}; {}",
        plural(.set, "picture"),
        beside(*.lost),
        bad_remedy(*.bad, *.set, *.by_settings)
    )]
    TooManyBad {
        /// Bad files so far.
        bad: usize,
        /// Pictures in the set.
        set: usize,
        /// The share of those that were lost before, when the set was listed.
        lost: f64,
        /// Largest allowed share.
        limit: f64,
        /// The first few, with their reasons.
        first: String,
        /// Whether another setting would make some of these usable.
        by_settings: bool,
    },
    /// One picture, asked for by name, cannot be used.
    #[error("{}: {source}", printable(.path))]
    Picture {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: DecodeError,
    },
    /// A worker thread could not be started, or ended by a fault of this crate.
    #[error("a loading thread failed: {0}")]
    Worker(String),
}

/// What a folder without pictures holds instead.
fn instead(passed_over: usize, skipped: usize, others: &str) -> String {
    let mut parts = Vec::new();
    if passed_over > 0 {
        parts.push(plural(passed_over, "other file"));
    }
    if skipped > 0 {
        parts.push(format!("{} that cannot be read", plural(skipped, "item")));
    }
    if !others.is_empty() {
        parts.push(others.to_owned());
    }
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join("; ")) }
}

/// What to do about pictures that cannot be used.
fn bad_remedy(bad: usize, set: usize, by_settings: bool) -> &'static str {
    match (by_settings, bad >= set) {
        (true, true) => "none can be used with these settings, so change what the reasons name",
        (true, false) => "change the settings that the reasons name, or remove the pictures",
        (false, true) => "none can be used, so give other pictures, or do what the reasons say",
        (false, false) => "repair or remove them, or raise `data.max_bad_fraction`",
    }
}

/// What helps where a folder cannot be listed.
fn to_list(path: &Path, source: &std::io::Error) -> String {
    match (std::fs::read_link(path), source.kind()) {
        (Ok(target), std::io::ErrorKind::NotFound) => {
            format!(
                "it is a link to {}, which is not there: mount it or put it back",
                printable(&target)
            )
        }
        (_, std::io::ErrorKind::PermissionDenied) => {
            "give yourself permission to read it".to_owned()
        }
        (Ok(target), _) => {
            format!(
                "it is a link to {}, which cannot be followed: correct or remove it",
                printable(&target)
            )
        }
        _ if is_out_of_files(source) => {
            "raise the limit of open files (`ulimit -n`) and try again".to_owned()
        }
        _ => "try again, and check the disk or the connection to it".to_owned(),
    }
}

impl DecodeError {
    /// Whether the system had no file left to open for it, of the process (EMFILE) or of all (ENFILE).
    pub(crate) fn is_out_of_files(&self) -> bool {
        matches!(self, Self::Io(error) if is_out_of_files(error))
    }

    /// Whether another depth, or another number of channels, would make it usable.
    pub(crate) fn is_of_settings(&self) -> bool {
        match self {
            Self::BeyondEight { advice, .. } | Self::Stack { advice, .. } => {
                *advice == Advice::Settings
            }
            Self::Channels { advice, found, .. } => {
                *advice == Advice::Settings && *found <= MAX_CHANNELS
            }
            _ => false,
        }
    }
}

impl DataError {
    /// Whether it helps to allow a larger share of bad files.
    pub fn is_of_share(&self) -> bool {
        match self {
            Self::TooManyBad { bad, set, by_settings, .. } => bad < set && !by_settings,
            Self::TooManyLost { .. } => true,
            _ => false,
        }
    }
}

/// The share of what was lost before.
fn beside(lost: f64) -> String {
    match lost > 0.0 {
        true => format!(", beside the {:.1} % of the listed ones that are missing", 100.0 * lost),
        false => String::new(),
    }
}

fn asked_for(channels: &u32) -> String {
    if *channels == 1 { "1 is".to_owned() } else { format!("{channels} are") }
}

fn told_axes(axes: &Axes) -> String {
    if axes.are_told() { format!(" ({axes})") } else { String::new() }
}

/// The first few of a list of names, for a message.
fn first_names(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text =
        names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(", …");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn too_many_open_files_are_no_fault_of_a_picture() {
        let io = |code| DecodeError::Io(std::io::Error::from_raw_os_error(code));
        assert!(io(23).is_out_of_files() && io(24).is_out_of_files());
        assert!(!io(2).is_out_of_files() && !DecodeError::Empty.is_out_of_files());
        let said = DataError::OpenFiles(PathBuf::from("a.png")).to_string();
        assert!(said.contains("a.png") && said.contains("ulimit -n"), "{said}");
    }
}
