//! Pictures in tar archives, as WebDataset's shards are.
//!
//! An archive is indexed by its headers; pictures are read where they lie. Nothing is unpacked, so a
//! member's name never becomes a path on the disk.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fcmae_words::{grouped, plural};
use serde_json::Value as Json;

use super::container::{Container, Reader};
use super::gathered::Gathered;
use super::kind::{Named, SourceKind, has_picture_extension};
use super::masks::Masks;
use super::others::is_systems;
use super::sample::{Place, Sample, portable_bytes};
use super::splits::{Folders, gaps, missing_parts, one_split};
use super::{alike, companions};
use crate::error::{DataError, DecodeError};
use crate::words::{legible, printable};

mod members;

use members::{Behind, Kind, Member, Members};

/// Most bytes of a `KEY.cls`: a number or a name.
const LABEL_BYTES: u64 = 1024;

/// Most bytes of a `KEY.json`.
const DESCRIPTION_BYTES: u64 = 64 << 10;

/// Names of so many bytes have room in a member's header, whatever stands before them.
const SHORT: usize = 90;

/// What labels are called in a `KEY.json`.
const DESCRIBED: [&str; 5] = ["label", "class", "cls", "label_name", "class_name"];

/// Tar archives.
pub(super) const KIND: SourceKind = SourceKind {
    one: "an archive",
    several: "archives",
    named,
    begins: |start| start.get(257..262) == Some(b"ustar"),
    gather,
    gather_below: Some(gather_below),
};

fn named(name: &OsStr) -> Option<Named> {
    let name = name.to_str()?.to_ascii_lowercase();
    let compressed = [".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst"];
    if name.ends_with(".tar") {
        Some(Named::Usable)
    } else if compressed.iter().any(|end| name.ends_with(end)) {
        Some(Named::Unusable(COMPRESSED))
    } else {
        None
    }
}

const COMPRESSED: &str = "it is compressed, but pictures are read from the middle of an archive; decompress it \
    to .tar first";

/// Adds the pictures of one archive, given by itself.
fn gather(path: &Path, set: &mut Gathered<'_>) -> Result<(), DataError> {
    let mut index = Index::default();
    let refused = |reason| DataError::Archive { path: path.to_path_buf(), reason };
    index.archive(path, set).map_err(refused)?;
    index.finish(path, set)
}

/// Adds the pictures of all these archives, which lie below `root`, as one set. One that cannot be read is a skip.
fn gather_below(root: &Path, paths: &[PathBuf], set: &mut Gathered<'_>) -> Result<(), DataError> {
    let refused = |reason| DataError::Archive { path: root.to_path_buf(), reason };
    one_split(root, paths, false).map_err(refused)?;
    set.notes.extend(missing_parts(paths).or_else(|| gaps(paths)));
    let mut paths = paths.to_vec();
    paths.sort_by_cached_key(|path| portable_bytes(path));
    let mut index = Index::default();
    let mut refused = Vec::new();
    for path in &paths {
        if let Err(reason) = index.archive(path, set) {
            set.lose(path.clone(), reason.clone());
            refused.push(reason);
        }
    }
    if refused.len() == paths.len() {
        let reason = refused.swap_remove(0);
        return Err(DataError::Archive { path: paths.swap_remove(0), reason });
    }
    index.finish(root, set)
}

/// Pictures of one or several archives, whose labels are settled when all are read.
#[derive(Default)]
struct Index {
    samples: Vec<Sample>,
    /// Whether any archive has a `KEY.cls`: then folders are no classes.
    written_labels: bool,
    /// Labels of `KEY.json`, by the samples' positions, for where neither there is one nor folders are classes.
    described: Vec<(usize, usize)>,
    /// Masks and the like beside pictures, and the first of them.
    companions: usize,
    first_companion: Option<PathBuf>,
    /// Pictures of which `KEY.cls` and `KEY.json` have several labels, and the first.
    contradicted: usize,
    first_contradicted: Option<(PathBuf, String, String)>,
}

impl Index {
    /// Reads one archive's headers. `Err` is the reason for which nothing of it can be used; flaws
    /// further in are skips.
    fn archive(&mut self, path: &Path, set: &mut Gathered<'_>) -> Result<(), String> {
        if let Some(Named::Unusable(reason)) = path.file_name().and_then(named) {
            return Err(reason.to_owned());
        }
        let (file, meta) = fcmae_files::open(path).map_err(|error| format!("it {error}"))?;
        let mut members = Members::new(file, meta.len());
        let mut entries = Entries::default();
        let container =
            Container::new(path, meta.len(), Arc::new(Tar)).map_err(|e| e.to_string())?;
        let base = set.base(path, Some(container));
        let modified = meta.modified().ok();
        let first = self.samples.len();
        loop {
            if set.look() {
                return Ok(());
            }
            let member = match members.next() {
                Ok(Some(member)) => member,
                Ok(None) => break,
                Err(_) if members.count() == 0 && members.is_pointer() => {
                    return Err(
                        "it is a pointer of Git LFS: fetch the archive itself, with git lfs pull"
                            .to_owned(),
                    );
                }
                Err(reason) if members.count() == 0 => return Err(reason),
                Err(reason) => {
                    set.skip(
                        path.to_path_buf(),
                        format!("{reason}; everything before that is used"),
                    );
                    break;
                }
            };
            if let Some(name) = entries.place(&member, path, set)
                && let Some((name, again)) = entries.take(name, &member, &mut members, path, set)
            {
                let sample = Sample {
                    path: PathBuf::from(name),
                    label: None,
                    bytes: member.size,
                    modified,
                    place: Place::Byte { base, page: 0, start: member.offset },
                };
                match again {
                    Some(before) => self.samples[first + before] = sample,
                    None => self.samples.push(sample),
                }
            }
        }
        tell_behind(path, members.behind(), set);
        if members.count() > 0 && !members.has_end_mark() {
            let reason = "it has no end mark and may be cut short; its pictures are used";
            set.skip(path.to_path_buf(), reason);
        }
        if members.count() == 0 {
            set.skip(path.to_path_buf(), "an empty archive");
        }
        self.written_labels |= !entries.labels.is_empty();
        let mut kept = self.samples.split_off(first);
        self.leave_out_companions(path, &mut kept, set);
        match set.labelled {
            true => self.give_written(kept, &entries, path, set),
            false => self.samples.append(&mut kept),
        }
        Ok(())
    }

    /// Adds an archive's pictures with the labels that are written in it. One whose label is none is a skip.
    fn give_written(
        &mut self,
        kept: Vec<Sample>,
        entries: &Entries,
        path: &Path,
        set: &mut Gathered<'_>,
    ) {
        let lone: HashSet<String> = kept
            .iter()
            .map(name_of)
            .filter(|name| stem(name) == key(name))
            .map(|name| key(name).to_owned())
            .collect();
        // Of pictures of one key, the one that has no further name is labelled, or else all are.
        let of = |name: &str, labels: &HashMap<String, Label>| {
            let shared = || labels.get(key(name)).filter(|_| !lone.contains(key(name)));
            labels.get(stem(name)).or_else(shared).cloned()
        };
        for mut sample in kept {
            match of(name_of(&sample), &entries.labels) {
                Some(Ok(label)) => {
                    if let Some(Ok(other)) = of(name_of(&sample), &entries.described)
                        && contradict(set.names.text(label), set.names.text(other))
                    {
                        self.contradicted += 1;
                        let [label, other] = [label, other].map(|at| set.names.text(at).to_owned());
                        self.first_contradicted
                            .get_or_insert_with(|| (path.join(&sample.path), label, other));
                    }
                    sample.label = Some(label);
                }
                Some(Err(_)) if set.optional => {}
                Some(Err(reason)) => {
                    set.skip(path.join(&sample.path), reason);
                    continue;
                }
                None => {
                    if let Some(Ok(label)) = of(name_of(&sample), &entries.described) {
                        self.described.push((self.samples.len(), label));
                    }
                }
            }
            self.samples.push(sample);
        }
    }

    /// Leaves out masks, depths and the like that lie beside the picture that they belong to.
    fn leave_out_companions(
        &mut self,
        path: &Path,
        kept: &mut Vec<Sample>,
        set: &mut Gathered<'_>,
    ) {
        let pictures: HashSet<String> = kept
            .iter()
            .map(name_of)
            .filter(|name| stem(name) == key(name))
            .map(|name| key(name).to_owned())
            .collect();
        kept.retain(|sample| {
            let name = name_of(sample);
            let companion = is_companion(name) && pictures.contains(key(name));
            if companion {
                self.companions += 1;
                self.first_companion.get_or_insert_with(|| path.join(name));
                set.passed_over += 1;
            }
            !companion
        });
    }

    /// Gives pictures without a written label that of their folder, where no label is written.
    fn finish(mut self, root: &Path, set: &mut Gathered<'_>) -> Result<(), DataError> {
        set.check_columns(root)?;
        if let Some(first) = &self.first_companion {
            set.notes.push(format!(
                "{} passed over, which lie beside the pictures that they belong to, as masks and depths do; the \
                 first: {}",
                plural(grouped(self.companions), "file"),
                printable(first)
            ));
        }
        let masks = Masks::among(&self.samples, &|at| {
            let sample = &self.samples[at];
            Tar.read(&set.bases[sample.place.base()].path, sample).ok()
        });
        if !self.written_labels {
            set.check_masks(root, &masks)?;
        }
        set.passed_over += masks.certain.len();
        set.notes.extend(masks.leave_out(root, &mut self.samples));
        self.described.retain_mut(|(position, _)| {
            let before = masks.certain.partition_point(|mask| mask < position);
            let kept = masks.certain.get(before) != Some(position);
            *position -= before;
            kept
        });
        if let Some((first, label, other)) = &self.first_contradicted {
            set.notes.push(format!(
                "{} another label in .json than in .cls, such as {} with {other:?} and {label:?}: those of .cls are \
                 used",
                match self.contradicted {
                    1 => "1 picture has".to_owned(),
                    count => format!("{} pictures have", grouped(count)),
                },
                printable(first)
            ));
        }
        let paths = || self.samples.iter().map(|sample| sample.path.as_path());
        let depth = if self.written_labels { 0 } else { leading(paths(), set.expected) };
        if !set.labelled || set.optional {
            set.notes.extend(Folders::of(paths(), depth).mixed(root, true));
        }
        if set.labelled {
            if !self.written_labels {
                let folders = Folders::of(paths(), depth);
                set.checked(folders.check(root, set.expected, true))?;
                let fewest = if set.expected.is_some() { 1 } else { 2 };
                if folders.count() < fewest && !self.described.is_empty() {
                    self.written_labels = true;
                    for (position, label) in self.described.drain(..) {
                        self.samples[position].label = Some(label);
                    }
                } else {
                    for sample in &mut self.samples {
                        sample.label = set.names.folder_of(&sample.path, depth);
                    }
                }
            }
            let reason = if self.written_labels {
                "has no label: there is no file of the same name ending in .cls beside it, nor one in \
                 .json with a label"
            } else {
                "lies outside the class folders, and no .cls file gives its label"
            };
            set.drop_unlabelled(&mut self.samples, reason);
            if self.samples.is_empty() {
                let hint = "in an archive, the label is in KEY.cls or KEY.json beside KEY.jpg, or it is the \
                    folder";
                set.hint = Some(hint.to_owned());
            }
        }
        set.samples.append(&mut self.samples);
        Ok(())
    }
}

/// Says of what stands behind an archive's end mark.
fn tell_behind(path: &Path, behind: Behind, set: &mut Gathered<'_>) {
    match behind {
        Behind::Nothing => {}
        Behind::Members => set.notes.push(format!(
            "{}: there are more members after its end mark, as in concatenated archives; they are read (as by \
             tar --ignore-zeros)",
            printable(path)
        )),
        Behind::Other(at) => set.skip(
            path.to_path_buf(),
            format!("what follows its end mark, from byte {at} on, is not an archive and is not read"),
        ),
    }
}

/// How many folders all pictures lie in, one in the other, before their classes.
fn leading<'a>(mut paths: impl Iterator<Item = &'a Path>, expected: Option<&[String]>) -> usize {
    let folders = |path: &'a Path| path.parent().unwrap_or(Path::new("")).iter();
    let Some(first) = paths.next() else { return 0 };
    let mut shared: Vec<&OsStr> = folders(first).collect();
    let mut several = false;
    let mut last = first.parent();
    for path in paths {
        if path.parent() == last {
            continue;
        }
        last = path.parent();
        several = true;
        let common = shared.iter().zip(folders(path)).take_while(|(a, b)| **a == *b).count();
        shared.truncate(common);
    }
    if !several {
        return 0;
    }
    // A network's class is one, whatever lies in it.
    let class =
        |folder: &&OsStr| expected.is_some_and(|names| names.iter().any(|name| **folder == **name));
    shared.iter().position(class).unwrap_or(shared.len())
}

/// A tar archive. Nothing is known of it: pictures lie in it as they are.
#[derive(Debug)]
struct Tar;

impl Reader for Tar {
    fn read(&self, path: &Path, sample: &Sample) -> Result<Vec<u8>, DecodeError> {
        let Place::Byte { start, .. } = sample.place else {
            unreachable!("members lie nowhere else")
        };
        // Opened for each picture: that costs microseconds, where a picture costs milliseconds, and
        // a set may have more archives than a process may have open files.
        let (mut file, _) = fcmae_files::open(path)?;
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::with_capacity(sample.bytes as usize + 1);
        file.take(sample.bytes).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < sample.bytes {
            let text = format!("the archive ends after {} bytes of it", bytes.len());
            return Err(DecodeError::Changed(text));
        }
        Ok(bytes)
    }

    /// The header before a picture has its name and size.
    fn is_in_place(&self, path: &Path, sample: &Sample) -> io::Result<bool> {
        let Place::Byte { start, .. } = sample.place else { return Ok(true) };
        let (file, meta) = fcmae_files::open(path)?;
        let Some(member) = Members::before(file, meta.len(), start) else { return Ok(false) };
        let name = legible(&member.name);
        let parts = name.split('/').filter(|part| !part.is_empty() && *part != ".");
        let known = sample.file().to_str().unwrap_or_default();
        // Such names stand elsewhere too, and here in another form.
        let elsewhere = known.len() > SHORT || !known.is_ascii();
        let named = elsewhere || known.split('/').eq(parts);
        Ok(named && member.kind == Kind::File && member.size == sample.bytes)
    }

    fn is_direct(&self, _: &Sample) -> bool {
        true
    }
}

/// What is known of an archive's members while it is read.
#[derive(Default)]
struct Entries {
    /// Names taken, with the position among the archive's pictures, of those that are some.
    names: HashMap<String, Option<usize>>,
    pictures: usize,
    /// Labels by key, or why a label is none.
    labels: HashMap<String, Label>,
    /// Those of `KEY.json`.
    described: HashMap<String, Label>,
}

/// A label's position among the names, or why there is none.
type Label = Result<usize, String>;

impl Entries {
    /// The name of a member that may be used, on one line and without `.` parts.
    fn place(&mut self, member: &Member, archive: &Path, set: &mut Gathered<'_>) -> Option<String> {
        let name = legible(&member.name);
        let last = name.rsplit('/').next().unwrap_or_default();
        let picture = has_picture_extension(OsStr::new(last));
        if member.kind == Kind::Folder {
            return None;
        }
        let parts: Vec<&str> =
            name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let hidden =
            |part: &&str| part.starts_with('.') && *part != ".." || is_systems(OsStr::new(part));
        let hidden = parts.iter().any(hidden);
        let described = set.labelled && ends_with(&name, "json") && !hidden;
        if described {
            set.passed_over += 1;
        } else if hidden {
            set.passed_over += 1;
            return None;
        } else if !(picture || is_label(&name)) {
            set.pass_over(OsStr::new(last));
            return None;
        }
        if described
            && (member.kind != Kind::File || name.starts_with('/') || parts.contains(&".."))
        {
            return None;
        }
        let reason = match member.kind {
            _ if name.starts_with('/') => "an absolute path; give the archive relative names",
            _ if parts.contains(&"..") => "its name leads out of the archive",
            Kind::Link => "a link; links inside an archive are not followed",
            Kind::Sparse => "stored with holes, which are not read; store it whole",
            Kind::Other => "not a regular file",
            Kind::File | Kind::Folder => return Some(parts.join("/")),
        };
        set.lose(inside(archive, &name), reason);
        None
    }

    /// The name of a picture, if the member is a usable one, and the position of the one that it takes the place of;
    /// a label is kept.
    fn take(
        &mut self,
        name: String,
        member: &Member,
        members: &mut Members,
        archive: &Path,
        set: &mut Gathered<'_>,
    ) -> Option<(String, Option<usize>)> {
        if ends_with(&name, "json") {
            let text = (member.cut_at.is_none() && member.size <= DESCRIPTION_BYTES)
                .then(|| members.content(member).ok())
                .flatten();
            if let Some(text) = text.and_then(|text| described(&text)) {
                self.described.insert(stem(&name).to_owned(), Ok(set.names.written(&text)));
            }
            return None;
        }
        if let Some(left) = member.cut_at {
            let reason =
                format!("cut short: it claims {} bytes, the archive has {left} left", member.size);
            set.lose(inside(archive, &name), reason);
            return None;
        }
        let again = self.names.get(&name).copied();
        if again.is_some() {
            let reason =
                "another member of this name follows, and the last one is used, as tar does";
            set.skip(inside(archive, &name), reason);
        }
        if !is_label(&name) {
            let before = again.flatten();
            if before.is_none() {
                self.names.insert(name.clone(), Some(self.pictures));
                self.pictures += 1;
            }
            return Some((name, before));
        }
        self.names.insert(name.clone(), None);
        if set.labelled {
            let label = label(member, members)
                .map(|text| set.names.written(&text))
                .map_err(|reason| format!("its label, {name}, {reason}"));
            self.labels.insert(stem(&name).to_owned(), label);
        }
        None
    }
}

/// The text of a `KEY.cls`.
fn label(member: &Member, members: &mut Members) -> Result<String, String> {
    if member.size > LABEL_BYTES {
        return Err(format!("has {} bytes; a number or a name is expected", member.size));
    }
    let bytes = members.content(member).map_err(|error| format!("cannot be read: {error}"))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| "is not UTF-8 text".to_owned())?;
    match printable(Path::new(text.trim())) {
        text if text.is_empty() => Err("is empty".to_owned()),
        text => Ok(text),
    }
}

/// The label that a `KEY.json` gives.
fn described(bytes: &[u8]) -> Option<String> {
    let json: Json = serde_json::from_slice(bytes).ok()?;
    let text = match DESCRIBED.iter().find_map(|field| json.get(*field))? {
        Json::String(text) => printable(Path::new(text.trim())),
        Json::Number(number) if number.is_u64() => number.to_string(),
        Json::Number(number) => {
            number.as_f64().filter(|number| *number >= 0.0 && number.fract() == 0.0)?.to_string()
        }
        Json::Bool(value) => value.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// Whether two labels of a picture are two classes. A name and a number may be the same one.
fn contradict(label: &str, other: &str) -> bool {
    let number = |text: &str| alike::number(text).is_some();
    number(label) == number(other) && alike::folded(label) != alike::folded(other)
}

fn is_label(name: &str) -> bool {
    ends_with(name, "cls")
}

fn ends_with(name: &str, extension: &str) -> bool {
    name.rsplit('/')
        .next()
        .and_then(|last| last.rsplit_once('.'))
        .is_some_and(|(_, end)| end.eq_ignore_ascii_case(extension))
}

/// Whether a picture's name between key and extension says that it belongs to another: `KEY.mask_0.png`.
fn is_companion(name: &str) -> bool {
    companions::is_named(&stem(name)[key(name).len()..])
}

/// A sample's name.
fn name_of(sample: &Sample) -> &str {
    sample.path.to_str().expect("made from a String")
}

/// A member's name up to the first dot of its last part, as WebDataset has it.
fn key(name: &str) -> &str {
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    name[last..].find('.').map_or(name, |dot| &name[..last + dot])
}

/// A member's name without its extension: a picture and its label have the same.
fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// A member's path, for a message: never an absolute one, which would replace the archive's.
fn inside(archive: &Path, name: &str) -> PathBuf {
    archive.join(name.trim_start_matches('/'))
}
