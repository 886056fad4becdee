//! Files of weights in any format that is read here, told apart by what is in them.

use std::collections::HashSet;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::input::open;
use crate::safetensors::{Entry, Strings};
use crate::{Error, NamedTensors, index, pth, safetensors};

/// A format of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// See [`safetensors`].
    Safetensors,
    /// See [`pth`]: a zip, since PyTorch 1.6.
    PyTorch,
    /// See [`pth`]: pickles and storages, before.
    PyTorchLegacy,
    /// Several files of these, named by an index.
    Several,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safetensors => "safetensors",
            Self::PyTorch => "PyTorch (zip)",
            Self::PyTorchLegacy => "PyTorch before 1.6",
            Self::Several => "several files, by their index",
        })
    }
}

impl From<pth::Form> for Format {
    fn from(form: pth::Form) -> Self {
        match form {
            pth::Form::Zip => Self::PyTorch,
            pth::Form::Legacy => Self::PyTorchLegacy,
        }
    }
}

/// A file's tensors, and what stands beside them.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents {
    /// The file's format.
    pub format: Format,
    /// The tensors, in float32.
    pub tensors: NamedTensors,
    /// `__metadata__` of a safetensors file.
    pub metadata: Strings,
    /// What the user should know: which of several dictionaries was taken.
    pub notes: Vec<String>,
}

/// What a file says of its tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The file's format.
    pub format: Format,
    /// The tensors, in the order of the file.
    pub entries: Vec<Entry>,
    /// `__metadata__` of a safetensors file.
    pub metadata: Strings,
    /// What the user should know: which of several dictionaries was taken.
    pub notes: Vec<String>,
}

/// Reads a file, as [`safetensors::load`] or [`pth::load`] do, or all files that an index names.
///
/// # Errors
/// Theirs; [`Error::NotWeights`] where the file is neither; [`Error::Index`].
pub fn load(path: &Path) -> Result<Contents, Error> {
    if !is_index(path)? {
        return load_one(path);
    }
    let mut whole = Contents {
        format: Format::Several,
        tensors: NamedTensors::new(),
        metadata: Strings::new(),
        notes: Vec::new(),
    };
    for part in index::parts(path)? {
        let Contents { tensors, metadata, notes, .. } = load_one(&part)?;
        for (name, tensor) in tensors {
            if whole.tensors.get(&name).is_some() {
                return Err(twice(path, &name));
            }
            whole.tensors.insert(name, tensor);
        }
        whole.metadata.extend(metadata);
        whole.notes.extend(notes);
    }
    Ok(whole)
}

fn twice(path: &Path, name: &str) -> Error {
    let shown: String = name.chars().take(80).flat_map(char::escape_debug).collect();
    let reason = format!("two of its files hold `{shown}`");
    Error::Index { path: path.to_owned(), reason }
}

/// The files that hold the tensors of this one: itself, or those that it names.
///
/// # Errors
/// [`Error::Io`] or [`Error::Index`].
pub fn parts(path: &Path) -> Result<Vec<PathBuf>, Error> {
    if is_index(path)? { index::parts(path) } else { Ok(vec![path.to_owned()]) }
}

fn load_one(path: &Path) -> Result<Contents, Error> {
    if is_safetensors(path)? {
        let safetensors::Contents { tensors, metadata } = safetensors::load(path)?;
        return Ok(Contents { format: Format::Safetensors, tensors, metadata, notes: Vec::new() });
    }
    let pth::Contents { tensors, source, form } = pth::load(path)?;
    let (metadata, notes) = (Strings::new(), notes(&source));
    Ok(Contents { format: form.into(), tensors, metadata, notes })
}

/// Reads names, element types and shapes alone.
///
/// # Errors
/// As for [`load`].
pub fn load_header(path: &Path) -> Result<Header, Error> {
    if !is_index(path)? {
        return load_one_header(path);
    }
    let (entries, metadata, notes) = (Vec::new(), Strings::new(), Vec::new());
    let mut whole = Header { format: Format::Several, entries, metadata, notes };
    let mut names = HashSet::new();
    for part in index::parts(path)? {
        let Header { entries, metadata, notes, .. } = load_one_header(&part)?;
        if let Some(entry) = entries.iter().find(|entry| !names.insert(entry.name.clone())) {
            return Err(twice(path, &entry.name));
        }
        whole.entries.extend(entries);
        whole.metadata.extend(metadata);
        whole.notes.extend(notes);
    }
    Ok(whole)
}

fn load_one_header(path: &Path) -> Result<Header, Error> {
    if is_safetensors(path)? {
        let safetensors::Header { entries, metadata } = safetensors::load_header(path)?;
        return Ok(Header { format: Format::Safetensors, entries, metadata, notes: Vec::new() });
    }
    let pth::Header { entries, source, form } = pth::load_header(path)?;
    let (metadata, notes) = (Strings::new(), notes(&source));
    Ok(Header { format: form.into(), entries, metadata, notes })
}

fn notes(source: &pth::Source) -> Vec<String> {
    let named = |key: &String| match key.as_str() {
        "" => "the tensors at the top".to_owned(),
        key => format!("`{key}`"),
    };
    let mut notes = Vec::new();
    if !source.passed_over.is_empty() {
        let what = source.passed_over.join(", ");
        notes.push(format!("what is not a tensor was passed over: {what}"));
    }
    if source.others.is_empty() {
        return notes;
    }
    let others: Vec<_> = source.others.iter().map(named).collect();
    let taken = named(&source.taken);
    notes.push(format!("{taken} was taken; the file holds {} too", others.join(" and ")));
    notes
}

fn head(path: &Path) -> Result<Vec<u8>, Error> {
    let mut head = Vec::new();
    let (file, _) = open(path)?;
    file.take(pth::HEAD_BYTES as u64).read_to_end(&mut head).map_err(Error::io("read", path))?;
    Ok(head)
}

/// Whether a file names others that hold the weights.
fn is_index(path: &Path) -> Result<bool, Error> {
    Ok(index::is_json(&head(path)?))
}

/// False for what torch.save wrote.
fn is_safetensors(path: &Path) -> Result<bool, Error> {
    let head = head(path)?;
    if pth::form_of(&head).is_some() {
        return Ok(false);
    }
    // The brace that opens the header, behind its length.
    if head.get(8) == Some(&b'{') {
        return Ok(true);
    }
    if pth::is_tar(&head) {
        return Ok(false);
    }
    let found = match other_kind(&head) {
        Some(found) => found.to_owned(),
        // What only its name says to be safetensors is left to that format's reader, which tells what
        // is wrong.
        None if path.extension().is_some_and(|extension| extension == "safetensors") => {
            return Ok(true);
        }
        None => format!(
            "it is neither a safetensors file nor one of torch.save; it begins with {:?}",
            String::from_utf8_lossy(&head[..head.len().min(16)])
        ),
    };
    Err(Error::NotWeights { path: path.to_owned(), found })
}

/// What lies in the place of weights by accident.
fn other_kind(head: &[u8]) -> Option<&'static str> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let begins = |with: &str| {
        text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()))
    };
    if begins("<!doctype") || begins("<html") || begins("<?xml") {
        return Some("it is a web page; download the file that the page is about");
    }
    if begins("version https://git-lfs.github.com/spec/") {
        return Some("it is a pointer of Git LFS; fetch the file itself with `git lfs pull`");
    }
    let plain_pickle = head.len() > 2 && head[0] == 0x80 && (2..=5).contains(&head[1]);
    if plain_pickle {
        return Some(
            "it is a pickle that torch.save did not write; load it with Python if you trust it, and \
             save the weights with torch.save",
        );
    }
    None
}
