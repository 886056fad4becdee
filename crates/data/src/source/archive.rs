//! Pictures in tar archives, as WebDataset's shards are.
//!
//! An archive is indexed by its headers; pictures are read where they lie. Nothing is unpacked, so a
//! member's name never becomes a path on the disk.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::container::{Container, Reader};
use super::gathered::Gathered;
use super::kind::{Named, SourceKind, has_picture_extension};
use super::sample::{Place, Sample, portable_bytes};
use crate::error::{DataError, DecodeError};
use crate::words::{legible, printable};

mod members;

use members::{Kind, Member, Members};

/// Most bytes of a `KEY.cls`: a number or a name.
const LABEL_BYTES: u64 = 1024;

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

const COMPRESSED: &str = "it is compressed, and pictures are read from the middle of an archive; \
                          decompress it to .tar first";

/// Adds the pictures of one archive, given by itself.
fn gather(path: &Path, set: &mut Gathered) -> Result<(), DataError> {
    let mut index = Index::default();
    let refused = |reason| DataError::Archive { path: path.to_path_buf(), reason };
    index.archive(path, set).map_err(refused)?;
    index.finish(set);
    Ok(())
}

/// Adds the pictures of all these archives as one set. One that cannot be read is a skip.
fn gather_below(_: &Path, paths: &[PathBuf], set: &mut Gathered) -> Result<(), DataError> {
    let mut paths = paths.to_vec();
    paths.sort_by_cached_key(|path| portable_bytes(path));
    let mut index = Index::default();
    let mut refused = Vec::new();
    for path in &paths {
        if let Err(reason) = index.archive(path, set) {
            set.skip(path.clone(), reason.clone());
            refused.push(reason);
        }
    }
    if refused.len() == paths.len() {
        let reason = refused.swap_remove(0);
        return Err(DataError::Archive { path: paths.swap_remove(0), reason });
    }
    index.finish(set);
    Ok(())
}

/// Pictures of one or several archives, whose labels are settled when all are read.
#[derive(Default)]
struct Index {
    samples: Vec<Sample>,
    /// Whether any archive has a `KEY.cls`: then folders are no classes.
    written_labels: bool,
}

impl Index {
    /// Reads one archive's headers. `Err` is the reason for which nothing of it can be used; flaws
    /// further in are skips.
    fn archive(&mut self, path: &Path, set: &mut Gathered) -> Result<(), String> {
        if let Some(Named::Unusable(reason)) = path.file_name().and_then(named) {
            return Err(reason.to_owned());
        }
        let (file, meta) = fcmae_files::open(path).map_err(|error| format!("it {error}"))?;
        let mut members = Members::new(file, meta.len());
        let mut entries = Entries::default();
        let container = Container { bytes: meta.len(), reader: Arc::new(Tar) };
        let base = set.base(path, Some(container));
        let modified = meta.modified().ok();
        let first = self.samples.len();
        loop {
            let member = match members.next() {
                Ok(Some(member)) => member,
                Ok(None) => break,
                Err(reason) if members.count() == 0 => return Err(reason),
                Err(reason) => {
                    set.skip(path.to_path_buf(), format!("{reason}; what stands before is used"));
                    break;
                }
            };
            if let Some(name) = entries.place(&member, path, set)
                && let Some(name) = entries.take(name, &member, &mut members, path, set)
            {
                self.samples.push(Sample {
                    path: PathBuf::from(name),
                    label: None,
                    bytes: member.size,
                    modified,
                    place: Place::Byte { base, start: member.offset },
                });
            }
        }
        if members.count() > 0 && !members.has_end_mark() {
            let reason = "it has no end mark and may be cut short; what it holds is used";
            set.skip(path.to_path_buf(), reason);
        }
        if members.count() == 0 {
            set.skip(path.to_path_buf(), "an empty archive");
        }
        self.written_labels |= !entries.labels.is_empty();
        if set.labelled {
            let mut kept = self.samples.split_off(first);
            kept.retain_mut(|sample| {
                let name = sample.path.to_str().expect("made from a String");
                match entries.labels.get(stem(name)) {
                    Some(Ok(label)) => sample.label = Some(*label),
                    Some(Err(reason)) => set.skip(path.join(name), reason.clone()),
                    None => return true,
                }
                sample.label.is_some()
            });
            self.samples.append(&mut kept);
        }
        Ok(())
    }

    /// Gives pictures without a written label that of their folder, where no label is written.
    fn finish(mut self, set: &mut Gathered) {
        if set.labelled {
            if !self.written_labels {
                for sample in &mut self.samples {
                    sample.label = set.names.folder_of(&sample.path);
                }
            }
            let reason = if self.written_labels {
                "has no label: there is no file of the same name ending in .cls beside it"
            } else {
                "lies outside the class folders, and no file ending in .cls gives its label"
            };
            set.drop_unlabelled(&mut self.samples, reason);
        }
        set.samples.append(&mut self.samples);
    }
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
}

/// What is known of an archive's members while it is read.
#[derive(Default)]
struct Entries {
    /// Names taken.
    names: HashSet<String>,
    /// Labels by key, or why a label is none.
    labels: HashMap<String, Result<usize, String>>,
}

impl Entries {
    /// The name of a member that may be used, on one line and without `.` parts.
    fn place(&mut self, member: &Member, archive: &Path, set: &mut Gathered) -> Option<String> {
        let name = legible(&member.name);
        let last = name.rsplit('/').next().unwrap_or_default();
        let picture = has_picture_extension(OsStr::new(last));
        if member.kind == Kind::Folder {
            return None;
        }
        let parts: Vec<&str> =
            name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let hidden = parts.iter().any(|part| part.starts_with('.') && *part != "..");
        if hidden || !(picture || is_label(&name)) {
            set.passed_over += 1;
            return None;
        }
        let reason = match member.kind {
            _ if name.starts_with('/') => "an absolute path; give the archive relative names",
            _ if parts.contains(&"..") => "its name leads out of the archive",
            Kind::Link => "a link, and links inside an archive are not followed",
            Kind::Sparse => "stored with holes, which are not read; store it whole",
            Kind::Other => "not a regular file",
            Kind::File | Kind::Folder => return Some(parts.join("/")),
        };
        set.skip(inside(archive, &name), reason);
        None
    }

    /// The name of a picture, if the member is a usable one; a label is kept.
    fn take(
        &mut self,
        name: String,
        member: &Member,
        members: &mut Members,
        archive: &Path,
        set: &mut Gathered,
    ) -> Option<String> {
        if let Some(left) = member.cut_at {
            let reason =
                format!("cut short: it claims {} bytes, the archive has {left} left", member.size);
            set.skip(inside(archive, &name), reason);
            return None;
        }
        if !self.names.insert(name.clone()) {
            set.skip(inside(archive, &name), "a second member of this name; the first is used");
            return None;
        }
        if !is_label(&name) {
            return Some(name);
        }
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
    let text = std::str::from_utf8(&bytes).map_err(|_| "is no UTF-8 text".to_owned())?;
    match printable(Path::new(text.trim())) {
        text if text.is_empty() => Err("is empty".to_owned()),
        text => Ok(text),
    }
}

fn is_label(name: &str) -> bool {
    name.rsplit('/')
        .next()
        .and_then(|last| last.rsplit_once('.'))
        .is_some_and(|(_, end)| end == "cls")
}

/// A member's name without its extension: a picture and its label have the same.
fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// A member's path, for a message: never an absolute one, which would replace the archive's.
fn inside(archive: &Path, name: &str) -> PathBuf {
    archive.join(name.trim_start_matches('/'))
}
