//! Files that `torch.save` writes (`.pth`, `.pt`, `.bin`, `.ckpt`), read without running anything.
//!
//! ```text
//! zip:    TOP/data.pkl, TOP/byteorder, TOP/data/0, TOP/data/1, …      since PyTorch 1.6
//! before: five pickles, then the storages
//! ```
//! The pickle describes the tensors: storage, first element, shape and strides. A small machine reads
//! it; it knows the operations that torch.save uses and some forty names. What others would make is passed
//! over, and an error where no tensors are left. Written as a zip that `torch.load(…, weights_only=True)` reads, names in
//! order, so that equal tensors give equal bytes.

mod archive;
mod choice;
mod flaw;
mod globals;
mod layout;
mod legacy;
mod pickle;
mod trouble;
mod write;

use std::io::{Cursor, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use ::safetensors::tensor::Dtype;

pub use archive::MAX_DIRECTORY_BYTES;
pub use flaw::{Flaw, MAX_GROWTH};
pub use pickle::{MAX_DEPTH, MAX_MEMO, MAX_PICKLE_BYTES, MAX_TENSORS, MAX_VALUES};
pub use write::{save, to_bytes};

use crate::element::Decoder;
use crate::input::open;
use crate::safetensors::Entry;
use crate::{Error, HostTensor, NamedTensors};
use archive::Archive;
use flaw::shown;
use layout::Layout;
use trouble::Trouble;

/// In which way a file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A zip, since PyTorch 1.6.
    Zip,
    /// Pickles followed by storages, before.
    Legacy,
}

/// Which of a file's dictionaries was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its keys from the top, joined by dots; empty for the top itself.
    pub taken: String,
    /// Others that hold tensors by name, in the same form: to be reported.
    pub others: Vec<String>,
    /// What stands among the tensors and is none, by names that are not known here: to be reported.
    pub passed_over: Vec<String>,
}

/// A file's tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents {
    /// The tensors, in float32.
    pub tensors: NamedTensors,
    /// Where in the file they stood.
    pub source: Source,
    /// How the file is laid out.
    pub form: Form,
}

/// What a file says of its tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The tensors, in the order of their dictionary.
    pub entries: Vec<Entry>,
    /// Where in the file they stand.
    pub source: Source,
    /// How the file is laid out.
    pub form: Form,
}

/// Reads a file. F16 and BF16 become float32 exactly; F64 is rounded to float32. A moving average is
/// taken before the weights that it is of; [`Source`] says so. What is no tensor is passed over.
///
/// # Errors
/// [`Error::Io`], or [`Error::Pth`] with the flaw; tensors of integers are one.
pub fn load(path: &Path) -> Result<Contents, Error> {
    let (mut file, length) = open(path)?;
    read(&mut file, length).map_err(|trouble| trouble.at(path))
}

/// Reads names, element types and shapes alone.
///
/// # Errors
/// As for [`load`]; element types that [`load`] refuses are described.
pub fn load_header(path: &Path) -> Result<Header, Error> {
    let (mut file, length) = open(path)?;
    let Plan { tensors, source, form } =
        plan(&mut file, length).map_err(|trouble| trouble.at(path))?;
    let entries = tensors.into_iter().map(|planned| Entry {
        name: planned.name,
        dtype: planned.dtype,
        shape: planned.layout.shape,
    });
    Ok(Header { entries: entries.collect(), source, form })
}

/// Reads the bytes of a file; `path` is for messages.
///
/// # Errors
/// [`Error::Pth`] with the flaw.
pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Contents, Error> {
    read(&mut Cursor::new(bytes), bytes.len() as u64).map_err(|trouble| trouble.at(path))
}

/// How a file is laid out, by its first bytes; `None` where torch.save did not write it.
pub(crate) fn form_of(head: &[u8]) -> Option<Form> {
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Some(Form::Zip);
    }
    let is_magic = |bytes: &[u8]| bytes == legacy::MAGIC;
    let is_legacy = head.first() == Some(&0x80) && head.windows(legacy::MAGIC.len()).any(is_magic);
    is_legacy.then_some(Form::Legacy)
}

/// Whether the first bytes are those of a tar.
pub(crate) fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

/// Bytes of a file that [`form_of`] and [`is_tar`] look at.
pub(crate) const HEAD_BYTES: usize = 512;

/// A tensor that is in the file as a whole.
struct Planned {
    name: String,
    dtype: Dtype,
    layout: Layout,
    /// Byte of its first element in the file.
    start: u64,
}

/// All that a file holds of the dictionary taken, checked and not read.
struct Plan {
    tensors: Vec<Planned>,
    source: Source,
    form: Form,
}

fn plan(file: &mut (impl Read + Seek), length: u64) -> Result<Plan, Trouble> {
    let mut head = Vec::new();
    file.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    let form = form_of(&head).ok_or(if is_tar(&head) { Flaw::Tar } else { Flaw::Unknown })?;
    let (source, tensors) = match form {
        Form::Zip => {
            let archive = Archive::open(file, length)?;
            let bytes = archive.pickle(file)?;
            let pickle = pickle::read(&bytes, 0)?;
            let place = |number: usize| archive.storage(pickle.storages[number].key);
            check(&pickle, place, length)?
        }
        Form::Legacy => {
            let bytes = legacy::beginning(file)?;
            let legacy::Parts { object, places } = legacy::open(file, length, &bytes)?;
            check(&object, |number| places[number].clone(), length)?
        }
    };
    Ok(Plan { tensors, source, form })
}

/// Chooses a dictionary and holds its tensors against their storages. `place`: where a storage's
/// bytes are; `length`: the file's.
fn check(
    pickle: &pickle::Pickle,
    place: impl Fn(usize) -> Option<Range<u64>>,
    length: u64,
) -> Result<(Source, Vec<Planned>), Flaw> {
    let choice::Choice { taken, others, tensors, passed_over } = choice::choose(pickle)?;
    let mut planned = Vec::new();
    let mut bytes = 0u64;
    for (name, number) in tensors {
        let tensor = pickle.tensors[number].clone();
        let storage = pickle.storages[tensor.storage];
        let (dtype, width) = (tensor.dtype, tensor.dtype.bitsize() as u64 / 8);
        let place = place(tensor.storage)
            .filter(|place| storage.bytes() == Some(place.end - place.start))
            .ok_or_else(|| Flaw::Storage { key: shown(storage.key) })?;
        let layout = Layout::check(tensor, (place.end - place.start) / width, name)?;
        let values = layout.elements.max(layout.span) as u64;
        bytes = bytes.saturating_add(values.saturating_mul(4));
        if bytes > length.saturating_mul(MAX_GROWTH) {
            return Err(Flaw::Growth { bytes });
        }
        let start = place.start + layout.start as u64 * width;
        planned.push(Planned { name: name.to_owned(), dtype, layout, start });
    }
    Ok((Source { taken, others, passed_over }, planned))
}

fn read(file: &mut (impl Read + Seek), length: u64) -> Result<Contents, Trouble> {
    let Plan { mut tensors, source, form } = plan(file, length)?;
    // Forwards through the file.
    tensors.sort_by_key(|planned| planned.start);
    let mut contents = Contents { tensors: NamedTensors::new(), source, form };
    for Planned { name, dtype, layout, start } in tensors {
        let Some(decoder) = Decoder::of(dtype) else {
            return Err(Flaw::ElementType { name: shown(&name), dtype }.into());
        };
        file.seek(SeekFrom::Start(start))?;
        let values = decoder.read(file, layout.span)?;
        let Some(data) = values.and_then(|values| layout.gather(values)) else {
            return Err(Flaw::TooLarge { name: shown(&name), shape: layout.shape }.into());
        };
        contents.tensors.insert(name, HostTensor { shape: layout.shape, data });
    }
    Ok(contents)
}
