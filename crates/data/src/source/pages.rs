//! Pages of files as pictures of their own.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::SystemTime;

use fcmae_words::{grouped, plural};

use super::container::Base;
use super::gathered::Gathered;
use super::sample::{PAGE, Place, Sample};
use crate::decode::{self, Bytes, Limits, Stretch};
use crate::error::DecodeError;
use crate::words::printable;

/// Bytes by which a TIFF file is told.
const START: u64 = 4;

/// Puts each page of a file of several in the place of the file.
pub(super) fn spread(set: &mut Gathered<'_>) {
    let samples = std::mem::take(&mut set.samples);
    let mut spread = Vec::with_capacity(samples.len());
    let (mut files, mut first) = (0, None);
    for sample in samples {
        if set.look() {
            break;
        }
        let found = listed(&set.bases[sample.place.base()], &sample);
        // What cannot be read is told when it is decoded.
        let Some(decode::Pages { numbers, flaw }) = found else {
            spread.push(sample);
            continue;
        };
        let path = set.bases[sample.place.base()].path.join(&sample.path);
        // A file that lacks some is told of here, and called as one of several.
        let several = numbers.len() > 1 || flaw.is_some();
        if let Some(flaw) = flaw {
            let used = match numbers.len() {
                1 => "its first page is used".to_owned(),
                count => format!("{} of its pages are used", grouped(count)),
            };
            set.skip(path.clone(), format!("{flaw}; {used}"));
        }
        let name = sample.path.to_str().filter(|_| several);
        let Some(name) = name else {
            if several {
                set.skip(
                    path,
                    "its name is no text, so that its pages have none; its first is used",
                );
            }
            spread.push(sample);
            continue;
        };
        files += 1;
        first.get_or_insert(path);
        for (&number, count) in numbers.iter().zip(1..) {
            let path = PathBuf::from(format!("{name}{PAGE}{count}"));
            spread.push(Sample { path, place: sample.place.of_page(number), ..sample.clone() });
        }
    }
    let pages = spread.iter().filter(|sample| sample.is_page()).count();
    set.samples = spread;
    if let Some(first) = first {
        set.notes.push(format!(
            "{} of {} are pictures of their own (data.pages=all), such as those of {}",
            plural(grouped(pages), "page"),
            plural(grouped(files), "file"),
            printable(&first)
        ));
    }
}

/// The pages of a sample's file; `None` of what is no TIFF file, or cannot be read.
fn listed(base: &Base, sample: &Sample) -> Option<decode::Pages> {
    match source(base, sample)? {
        Ok(mut stretch) => decode::pages(&mut stretch),
        Err(container) => {
            let start = Sample { bytes: sample.bytes.min(START), ..sample.clone() };
            let start = container.reader.read(&base.path, &start).ok()?;
            if !decode::is_tiff(&start) {
                return None;
            }
            let bytes = container.reader.read(&base.path, sample).ok()?;
            decode::pages(&mut bytes.as_slice())
        }
    }
}

/// A page as a file of its own.
pub(super) fn read(
    base: &Base,
    sample: &Sample,
    number: u16,
    limits: &Limits,
) -> Result<Vec<u8>, DecodeError> {
    let gone = || DecodeError::Changed("it cannot be opened".to_owned());
    match source(base, sample).ok_or_else(gone)? {
        Ok(mut stretch) => {
            let path = base.path.join(sample.file());
            let modified = stretch.file.metadata().and_then(|meta| meta.modified()).ok();
            let file = File { path, start: stretch.start, length: stretch.length, modified };
            let known = DIRECTORIES.lock().ok().and_then(|all| all.of.get(&file).cloned());
            let mut places = known.as_deref().cloned().unwrap_or_default();
            let before = places.len();
            let page = decode::alone(&mut stretch, number, limits, &mut places);
            // The places of a few are soon found again.
            if places.len() > before.max(FEW)
                && let Ok(mut all) = DIRECTORIES.lock()
            {
                all.keep(file, places);
            }
            page
        }
        Err(container) => {
            let bytes = container.reader.read(&base.path, sample)?;
            let mut bytes: &[u8] = &bytes;
            decode::alone(&mut bytes as &mut dyn Bytes, number, limits, &mut Vec::new())
        }
    }
}

/// Where the directories of files of many pages lie: each names the next, so that the last of `n` is otherwise found
/// through all others, for each page anew.
static DIRECTORIES: LazyLock<Mutex<Directories>> = LazyLock::new(Mutex::default);

/// So many are passed over each time.
const FEW: usize = 16;

/// Of so many pages places are kept at most: some tens of megabytes.
const KEPT: usize = 1 << 21;

#[derive(Default)]
struct Directories {
    of: HashMap<File, Arc<Vec<u64>>>,
    count: usize,
}

/// A file, or a part of one, as it is now.
#[derive(PartialEq, Eq, Hash)]
struct File {
    path: PathBuf,
    start: u64,
    length: u64,
    modified: Option<SystemTime>,
}

impl Directories {
    fn keep(&mut self, file: File, places: Vec<u64>) {
        if self.count + places.len() > KEPT {
            self.of.clear();
            self.count = 0;
        }
        let known = self.of.get(&file).map_or(0, |known| known.len());
        if places.len() > known {
            self.count += places.len() - known;
            self.of.insert(file, Arc::new(places));
        }
    }
}

/// The pages of a file that has several, by their names and the numbers of their directories.
pub(crate) fn pages_of(path: &Path) -> Vec<(PathBuf, u16)> {
    let name = path.to_str();
    let found = whole(path).ok().and_then(|mut file| decode::pages(&mut file));
    match (found, name) {
        (Some(decode::Pages { numbers, .. }), Some(name)) if numbers.len() > 1 => {
            let called = |count: usize| PathBuf::from(format!("{name}{PAGE}{count}"));
            (1..).map(called).zip(numbers).collect()
        }
        _ => Vec::new(),
    }
}

/// A page of a file, as a file of its own.
pub(crate) fn read_page(path: &Path, number: u16, limits: &Limits) -> Result<Vec<u8>, DecodeError> {
    decode::alone(&mut whole(path)?, number, limits, &mut Vec::new())
}

fn whole(path: &Path) -> Result<Stretch, DecodeError> {
    let (file, meta) = fcmae_files::open(path)?;
    Ok(Stretch { file, start: 0, length: meta.len() })
}

/// A sample's file as a part of one on the disk, where it is one.
fn source<'a>(
    base: &'a Base,
    sample: &Sample,
) -> Option<Result<Stretch, &'a super::container::Container>> {
    let (path, start) = match (sample.place, &base.container) {
        (Place::File { .. }, _) => (base.path.join(sample.file()), 0),
        (Place::Byte { start, .. }, _) => (base.path.clone(), start),
        (Place::Part { .. }, container) => return container.as_ref().map(Err),
    };
    let (file, _) = fcmae_files::open(&path).ok()?;
    Some(Ok(Stretch { file, start, length: sample.bytes }))
}
