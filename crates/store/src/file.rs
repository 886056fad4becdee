//! Files of weights in any format that is read here, told apart by what is in them.

use std::fmt;
use std::io::Read;
use std::path::Path;

use crate::input::open;
use crate::safetensors::{Entry, Strings};
use crate::{Error, NamedTensors, pth, safetensors};

/// A format of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// See [`safetensors`].
    Safetensors,
    /// See [`pth`]: a zip, since PyTorch 1.6.
    PyTorch,
    /// See [`pth`]: pickles and storages, before.
    PyTorchLegacy,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safetensors => "safetensors",
            Self::PyTorch => "PyTorch (zip)",
            Self::PyTorchLegacy => "PyTorch before 1.6",
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

/// Reads a file, as [`safetensors::load`] or [`pth::load`] do.
///
/// # Errors
/// Theirs; [`Error::NotWeights`] where the file is neither.
pub fn load(path: &Path) -> Result<Contents, Error> {
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
    if source.others.is_empty() {
        return Vec::new();
    }
    let others: Vec<_> = source.others.iter().map(named).collect();
    let taken = named(&source.taken);
    vec![format!("{taken} was taken; the file holds {} too", others.join(" and "))]
}

/// False for what torch.save wrote.
fn is_safetensors(path: &Path) -> Result<bool, Error> {
    let mut head = Vec::new();
    let (file, _) = open(path)?;
    file.take(pth::HEAD_BYTES as u64).read_to_end(&mut head).map_err(Error::io("read", path))?;
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
