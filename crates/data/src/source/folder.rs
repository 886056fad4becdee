//! A folder of picture files.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use super::gathered::Gathered;
use super::kind::{Named, has_picture_extension};
use super::kinds::KINDS;
use super::masks::Masks;
use super::others::is_systems;
use super::sample::{Place, Sample};
use super::splits::Folders;
use crate::decode::{self, Limits};
use crate::drawn::is_drawn;
use crate::error::DataError;
use crate::words::printable;

/// Adds what lies below a folder: its pictures, or where there are none, those of the first of [`KINDS`]
/// that it has files of.
pub(super) fn gather(root: &Path, set: &mut Gathered<'_>) -> Result<(), DataError> {
    let base = set.base(root, None);
    let mut walk = Walk { base, ..Walk::new(set) };
    walk.run(root)?;
    let Walk { mut samples, files, top_folders, runs, hidden, tables, .. } = walk;
    if set.stopped() {
        return Ok(());
    }
    if let Some(first) = runs.first() {
        let first = printable(first);
        set.notes.push(match runs.len() {
            1 => format!("the folder of a run is passed over: {first}"),
            count => format!("{count} folders of runs are passed over; the first: {first}"),
        });
    }
    if let Some(first) = hidden.first() {
        set.notes.push(format!(
            "{} passed over, with the pictures in it; to use them, rename it without the dot; the first: {}",
            match hidden.len() {
                1 => "a hidden folder is".to_owned(),
                count => format!("{count} hidden folders are each"),
            },
            printable(first)
        ));
    }
    leave_out_drawn(root, &mut samples, set);
    let first = files.iter().position(|files| !files.usable.is_empty());
    let read = first.filter(|_| samples.is_empty());
    let mut before = vec!["pictures"];
    for (position, (kind, files)) in KINDS.iter().zip(&files).enumerate() {
        if Some(position) == read {
            for (path, reason) in &files.unusable {
                set.skip(path.clone(), *reason);
            }
        } else {
            for (path, _) in &files.unusable {
                set.pass_over(path.file_name().unwrap_or_default());
            }
            for path in &files.usable {
                let (one, before) = (kind.one, before.join(" or "));
                let remedy = "give such files a folder of their own";
                set.skip(path.clone(), format!("{one} beside {before}; {remedy}"));
            }
        }
        before.push(kind.several);
    }
    if let Some(read) = read
        && let Some(gather) = KINDS[read].gather_below
    {
        return gather(root, &files[read].usable, set);
    }
    if !samples.is_empty() {
        set.check_columns(root)?;
    }
    let masks = Masks::among(&samples, &|at| {
        decode::read_file(&root.join(&samples[at].path), &Limits::default()).ok()
    });
    set.check_masks(root, &masks)?;
    set.passed_over += masks.certain.len();
    set.notes.extend(masks.leave_out(root, &mut samples));
    let folders = Folders::of(samples.iter().map(|sample| sample.path.as_path()), 0);
    if !set.labelled || set.optional {
        set.notes.extend(folders.mixed(root, false));
    }
    if set.labelled {
        set.checked(folders.check(root, set.expected, false))?;
        if set.expected.is_none() {
            set.notes.extend(folders.alike());
        }
        set.tables.extend(tables);
        set.top_folders.extend(top_folders);
        for sample in &mut samples {
            sample.label = set.names.folder_of(&sample.path, 0);
        }
        set.drop_unlabelled(&mut samples, "lies outside the class folders");
    }
    set.samples.append(&mut samples);
    Ok(())
}

/// Lists in a folder of pictures that are looked into.
const TABLES: usize = 4;

fn has_extension(name: &OsStr, known: &[&str]) -> bool {
    let extension = Path::new(name).extension();
    extension.is_some_and(|end| known.iter().any(|known| end.eq_ignore_ascii_case(known)))
}

/// Hidden folders that programs keep, whose pictures nobody asks for.
const KEPT: [&str; 10] = [
    ".cache",
    ".git",
    ".huggingface",
    ".ipynb_checkpoints",
    ".thumbnails",
    ".thumbs",
    ".tmb",
    ".dvc",
    ".appledouble",
    ".picasaoriginals",
];

/// Whether a hidden folder, which no program keeps, holds pictures itself.
fn holds_pictures(path: &Path) -> bool {
    const LOOKED_AT: usize = 1000;
    let name = path.file_name().unwrap_or_default();
    let kept = KEPT.iter().any(|kept| name.eq_ignore_ascii_case(kept));
    let kept = kept || name.as_encoded_bytes().starts_with(b".Trash") || is_systems(name);
    let entries = || fs::read_dir(path).into_iter().flatten().flatten().take(LOOKED_AT);
    !kept && entries().any(|entry| has_picture_extension(&entry.file_name()))
}

/// Of up to so many PNG files all are looked into: of more it would take long.
const LOOKED_INTO: usize = 4096;

/// What `--dry-run` draws is called so.
const FIRST_BATCH: &str = "-first-batch.png";

/// Leaves out what this program has drawn. Of many pictures only those are looked into that are called like such.
fn leave_out_drawn(root: &Path, samples: &mut Vec<Sample>, set: &mut Gathered<'_>) {
    let png = |sample: &Sample| {
        sample.path.extension().is_some_and(|end| end.eq_ignore_ascii_case("png"))
    };
    let mut drawn: Vec<usize> = (0..samples.len()).filter(|&index| png(&samples[index])).collect();
    if drawn.len() > LOOKED_INTO {
        let called = |index: &usize| {
            samples[*index].path.as_os_str().to_string_lossy().ends_with(FIRST_BATCH)
        };
        drawn.retain(called);
    }
    drawn.retain(|&index| is_drawn(&root.join(&samples[index].path)));
    let Some(&first) = drawn.first() else { return };
    let first = printable(&root.join(&samples[first].path));
    set.passed_over += drawn.len();
    set.notes.push(match drawn.len() {
        1 => format!("a picture that fcmae drew is passed over: {first}"),
        count => format!("{count} pictures that fcmae drew are passed over; the first: {first}"),
    });
    let mut index = 0;
    samples.retain(|_| {
        index += 1;
        drawn.binary_search(&(index - 1)).is_err()
    });
}

struct Walk<'s, 'a> {
    set: &'s mut Gathered<'a>,
    /// The root's position among the set's bases.
    base: u32,
    samples: Vec<Sample>,
    /// Folders of runs.
    runs: Vec<PathBuf>,
    /// Hidden folders with pictures, and lists, directly in the root.
    hidden: Vec<PathBuf>,
    tables: Vec<PathBuf>,
    /// Of each of [`KINDS`].
    files: [Files; KINDS.len()],
    /// Folders directly in the root.
    top_folders: BTreeSet<String>,
    /// Real paths of linked folders already followed: each is entered once, so that links that
    /// point at each other cannot multiply.
    followed: HashSet<PathBuf>,
}

/// Files of a kind.
#[derive(Default)]
struct Files {
    usable: Vec<PathBuf>,
    /// Each with the reason.
    unusable: Vec<(PathBuf, &'static str)>,
}

/// A folder still to read.
struct Pending {
    /// Relative to the root.
    relative: PathBuf,
    /// With every link resolved, to see a link that leads to a folder it lies in.
    real: PathBuf,
}

/// What tells the folder of a run.
const RUN: [&str; 2] = ["config.toml", "run.json"];

fn is_run(names: &[OsString]) -> bool {
    RUN.iter()
        .all(|name| names.binary_search_by(|other| other.as_os_str().cmp(OsStr::new(name))).is_ok())
}

impl<'s, 'a> Walk<'s, 'a> {
    fn new(set: &'s mut Gathered<'a>) -> Self {
        Self {
            set,
            base: 0,
            samples: Vec::new(),
            runs: Vec::new(),
            hidden: Vec::new(),
            tables: Vec::new(),
            files: Default::default(),
            top_folders: BTreeSet::new(),
            followed: HashSet::new(),
        }
    }

    fn run(&mut self, root: &Path) -> Result<(), DataError> {
        let unreadable = |source| DataError::Unreadable { path: root.to_path_buf(), source };
        let real = fs::canonicalize(root).map_err(unreadable)?;
        let mut entries = sorted_names(root).map_err(unreadable)?;
        let mut here = Pending { relative: PathBuf::new(), real };
        // A stack, not recursion: the depth is the file system's to choose. Links wait until no
        // other folder is left, so that a file is found by its own path rather than by a link's.
        let mut pending = Vec::new();
        let mut links = VecDeque::new();
        loop {
            for name in entries {
                if self.set.look() {
                    return Ok(());
                }
                self.entry(root, &here, &name, &mut pending, &mut links)?;
            }
            loop {
                let Some(next) = pending.pop().or_else(|| links.pop_front()) else { return Ok(()) };
                let path = root.join(&next.relative);
                match sorted_names(&path) {
                    Ok(names) if is_run(&names) => {
                        self.top_folders.remove(&printable(&next.relative));
                        self.runs.push(path);
                    }
                    Ok(names) => {
                        entries = names;
                        here = next;
                        break;
                    }
                    Err(source) if was_removed(&path, &source) => self.set.passed_over += 1,
                    // Nobody knows how many pictures are in it.
                    Err(source) => return Err(DataError::Unlisted { path, source }),
                }
            }
        }
    }

    fn entry(
        &mut self,
        root: &Path,
        here: &Pending,
        name: &OsStr,
        pending: &mut Vec<Pending>,
        links: &mut VecDeque<Pending>,
    ) -> Result<(), DataError> {
        if name.as_encoded_bytes().starts_with(b".") || is_systems(name) {
            self.set.passed_over += 1;
            if here.relative.as_os_str().is_empty() && holds_pictures(&root.join(name)) {
                self.hidden.push(root.join(name));
            }
            return Ok(());
        }
        let relative = here.relative.join(name);
        let path = root.join(&relative);
        let picture_name = has_picture_extension(name);
        // Follows links.
        let meta = match fs::metadata(&path) {
            Ok(meta) => meta,
            Err(source) => {
                let is_link = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_symlink());
                if picture_name || is_link && is_set(name) {
                    self.set.lose(path, format!("cannot be opened: {source}"));
                } else if Path::new(name).extension().is_none() && !was_removed(&path, &source) {
                    // What has no extension may be a folder.
                    return Err(DataError::Unlisted { path, source });
                } else {
                    self.set.pass_over(name);
                }
                return Ok(());
            }
        };
        if meta.is_dir() {
            if picture_name {
                self.set.skip(path, "a folder named like a picture");
                return Ok(());
            }
            let linked = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_symlink());
            let real = if linked {
                let Some(real) = self.follow(here, &path)? else { return Ok(()) };
                real
            } else {
                here.real.join(name)
            };
            if here.relative.as_os_str().is_empty() {
                self.top_folders.insert(printable(Path::new(name)));
            }
            let next = Pending { relative, real };
            if linked { links.push_back(next) } else { pending.push(next) }
        } else if !picture_name {
            let mut kinds = KINDS.iter().zip(&mut self.files);
            let found = kinds.find_map(|(kind, files)| {
                kind.gather_below?;
                Some((files, (kind.named)(name)?))
            });
            match found {
                Some((files, Named::Usable)) if meta.is_file() => files.usable.push(path),
                Some((files, Named::Unusable(reason))) => files.unusable.push((path, reason)),
                _ => {
                    let table = has_extension(name, &["csv", "tsv"]) && meta.is_file();
                    if table && here.relative.as_os_str().is_empty() && self.tables.len() < TABLES {
                        self.tables.push(path);
                    }
                    self.set.pass_over(name);
                }
            }
        } else if meta.is_file() {
            self.samples.push(Sample {
                path: relative,
                label: None,
                bytes: meta.len(),
                modified: meta.modified().ok(),
                place: Place::File { base: self.base, page: 0 },
            });
        } else {
            self.set.lose(path, "not a regular file");
        }
        Ok(())
    }

    /// Where a link to a folder leads, or `None` (recorded) for one not to follow.
    fn follow(&mut self, here: &Pending, path: &Path) -> Result<Option<PathBuf>, DataError> {
        let unlisted = |source| DataError::Unlisted { path: path.to_owned(), source };
        let real = fs::canonicalize(path).map_err(unlisted)?;
        if here.real.starts_with(&real) {
            self.set.skip(path.to_path_buf(), "link to a folder it lies in");
            return Ok(None);
        }
        if !self.followed.insert(real.clone()) {
            self.set.skip(path.to_path_buf(), "link to a folder already followed");
            return Ok(None);
        }
        Ok(Some(real))
    }
}

/// Whether nothing has this name any more, not even a link.
fn was_removed(path: &Path, error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err()
}

/// Names in a folder, sorted, so that which of two links is followed does not depend on the file
/// system.
fn sorted_names(path: &Path) -> std::io::Result<Vec<OsString>> {
    let mut names = fs::read_dir(path)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<std::io::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

/// Whether a file of this name is a set of pictures that is read from folders.
fn is_set(name: &OsStr) -> bool {
    KINDS.iter().any(|kind| kind.gather_below.is_some() && (kind.named)(name).is_some())
}
