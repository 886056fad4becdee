//! One file of named tensors, in the safetensors format.
//!
//! Layout: the header's length (8 bytes, little-endian), the header (JSON: name → element type,
//! shape, byte range; `__metadata__` → strings), the values. Written as F32, names in order, so
//! that equal tensors give equal bytes.

mod flaw;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;

use ::safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};

pub use flaw::{Flaw, MAX_HEADER_BYTES};

use crate::durable;
use crate::element::{CHUNK, Decoder};
use crate::input::open;
use crate::{Error, HostTensor, NamedTensors};

/// Bytes of the header's length.
const PREFIX: u64 = 8;
const METADATA_KEY: &str = "__metadata__";

/// Strings stored beside the tensors.
pub type Strings = BTreeMap<String, String>;

/// A file's tensors and strings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contents {
    /// The tensors, in float32.
    pub tensors: NamedTensors,
    /// `__metadata__`.
    pub metadata: Strings,
}

/// What the header says of one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Element type as in the file.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// A file's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The tensors, in the order of the file.
    pub entries: Vec<Entry>,
    /// `__metadata__`.
    pub metadata: Strings,
}

/// Reads a file. F16 and BF16 become float32 exactly; F64 is rounded to float32.
///
/// # Errors
/// [`Error::Io`], or [`Error::Safetensors`] with the flaw.
pub fn load(path: &Path) -> Result<Contents, Error> {
    let (mut file, length) = open(path)?;
    read(&mut file, length, path)
}

/// Reads a file's header alone.
///
/// # Errors
/// As for [`load`].
pub fn load_header(path: &Path) -> Result<Header, Error> {
    let (mut file, length) = open(path)?;
    let header = read_header(&mut file, length).map_err(|f| f.at("read", path))?;
    let entries = header.offset_keys().into_iter().map(|name| {
        let TensorInfo { dtype, shape, .. } = info(&header, &name).clone();
        Entry { name, dtype, shape }
    });
    Ok(Header { entries: entries.collect(), metadata: strings(&header) })
}

/// Reads the bytes of a file; `path` is for messages.
///
/// # Errors
/// [`Error::Safetensors`] with the flaw.
pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Contents, Error> {
    read(&mut &bytes[..], bytes.len() as u64, path)
}

/// The bytes of a file with these tensors and strings; `format` is `pt` unless given.
///
/// # Errors
/// [`Error::BadTensor`] where values do not fill their shape.
pub fn to_bytes(tensors: &NamedTensors, metadata: &Strings) -> Result<Vec<u8>, Error> {
    let encoded = Encoded::new(tensors, metadata)?;
    let mut bytes = Vec::with_capacity(usize::try_from(encoded.length()).unwrap_or(0));
    encoded.write_to(&mut bytes).expect("a Vec takes every write");
    Ok(bytes)
}

/// Writes a file, or replaces it as a whole; `format` is `pt` unless given.
///
/// # Errors
/// [`Error::BadTensor`], [`Error::Io`] or [`Error::NoSpace`].
pub fn save(path: &Path, tensors: &NamedTensors, metadata: &Strings) -> Result<(), Error> {
    let encoded = Encoded::new(tensors, metadata)?;
    durable::write_file(path, encoded.length(), |out| encoded.write_to(out))
}

/// A file ready to be written: its header, and the tensors by reference.
pub(crate) struct Encoded<'a> {
    header: Vec<u8>,
    tensors: &'a NamedTensors,
}

impl<'a> Encoded<'a> {
    pub(crate) fn new(tensors: &'a NamedTensors, metadata: &Strings) -> Result<Self, Error> {
        for (name, tensor) in tensors {
            tensor.check(name)?;
            if name == METADATA_KEY {
                let (shape, values) = (tensor.shape.clone(), tensor.data.len());
                return Err(Error::BadTensor { name: name.clone(), shape, values });
            }
        }
        // The crate's own writer keeps the strings in a hash map: their order changes from run to run.
        let mut header = serde_json::to_vec(&HeaderOut { tensors, metadata })
            .expect("strings and numbers are JSON");
        header.resize(header.len().next_multiple_of(8), b' ');
        Ok(Self { header, tensors })
    }

    /// Bytes of the file.
    pub(crate) fn length(&self) -> u64 {
        PREFIX + self.header.len() as u64 + 4 * self.tensors.elements() as u64
    }

    pub(crate) fn write_to(&self, mut out: impl Write) -> io::Result<()> {
        out.write_all(&(self.header.len() as u64).to_le_bytes())?;
        out.write_all(&self.header)?;
        let mut bytes = Vec::with_capacity(4 * CHUNK);
        for (_, tensor) in self.tensors {
            for values in tensor.data.chunks(CHUNK) {
                bytes.clear();
                bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                out.write_all(&bytes)?;
            }
        }
        Ok(())
    }
}

struct HeaderOut<'a> {
    tensors: &'a NamedTensors,
    metadata: &'a Strings,
}

impl serde::Serialize for HeaderOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut metadata = self.metadata.clone();
        metadata.entry("format".to_owned()).or_insert_with(|| "pt".to_owned());
        let mut map = serializer.serialize_map(Some(1 + self.tensors.len()))?;
        map.serialize_entry(METADATA_KEY, &metadata)?;
        let mut start = 0;
        for (name, tensor) in self.tensors {
            let end = start + 4 * tensor.data.len();
            let shape = tensor.shape.clone();
            let info = TensorInfo { dtype: Dtype::F32, shape, data_offsets: (start, end) };
            map.serialize_entry(name, &info)?;
            start = end;
        }
        map.end()
    }
}

/// A flaw of the file, or a failure to read it.
enum Trouble {
    Flaw(Flaw),
    Io(io::Error),
}

impl Trouble {
    fn at(self, action: &'static str, path: &Path) -> Error {
        match self {
            Self::Flaw(flaw) => Error::Safetensors { path: path.to_owned(), flaw },
            Self::Io(source) => Error::io(action, path)(source),
        }
    }
}

impl From<Flaw> for Trouble {
    fn from(flaw: Flaw) -> Self {
        Self::Flaw(flaw)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn read(input: &mut dyn Read, length: u64, path: &Path) -> Result<Contents, Error> {
    let mut contents = Contents::default();
    let mut fill = || -> Result<(), Trouble> {
        let header = read_header(input, length)?;
        // In the order of the file, without gaps: `Metadata` has checked that.
        for name in header.offset_keys() {
            let tensor = read_tensor(input, &name, info(&header, &name))?;
            contents.tensors.insert(name, tensor);
        }
        contents.metadata = strings(&header);
        Ok(())
    };
    fill().map_err(|trouble| trouble.at("read", path))?;
    Ok(contents)
}

fn info<'a>(header: &'a Metadata, name: &str) -> &'a TensorInfo {
    header.info(name).expect("the name comes from this header")
}

fn strings(header: &Metadata) -> Strings {
    header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn read_header(input: &mut dyn Read, length: u64) -> Result<Metadata, Trouble> {
    let left = length.checked_sub(PREFIX).ok_or(Flaw::TooShort(length))?;
    let mut prefix = [0; PREFIX as usize];
    input.read_exact(&mut prefix)?;
    let claimed = u64::from_le_bytes(prefix);
    if claimed > MAX_HEADER_BYTES {
        return Err(Flaw::HeaderTooLong(claimed).into());
    }
    let found = left.checked_sub(claimed).ok_or(Flaw::HeaderCut { claimed, left })?;
    let mut header = vec![0; claimed as usize];
    input.read_exact(&mut header)?;
    let text = std::str::from_utf8(&header).map_err(Flaw::NotUtf8)?;
    // The crate takes the last of two equal names; which one was meant nobody knows.
    serde_json::from_str::<UniqueKeys>(text).map_err(Flaw::Header)?;
    let header: Metadata = serde_json::from_str(text).map_err(Flaw::Header)?;
    let described = header.data_len() as u64;
    if described != found {
        return Err(Flaw::Length { described, found }.into());
    }
    Ok(header)
}

fn read_tensor(input: &mut dyn Read, name: &str, info: &TensorInfo) -> Result<HostTensor, Trouble> {
    let (dtype, shape) = (info.dtype, info.shape.clone());
    let Some(decoder) = Decoder::of(dtype) else {
        return Err(Flaw::ElementType { name: name.to_owned(), dtype }.into());
    };
    let bytes = info.data_offsets.1 - info.data_offsets.0;
    match decoder.read(input, 8 * bytes / dtype.bitsize())? {
        Some(data) => Ok(HostTensor { shape, data }),
        None => Err(Flaw::TooLarge { name: name.to_owned(), shape }.into()),
    }
}

/// Any JSON in which no object has the same key twice.
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueKeys)
    }
}

impl<'de> Visitor<'de> for UniqueKeys {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            map.next_value::<UniqueKeys>()?;
            if let Some(key) = keys.replace(key) {
                return Err(serde::de::Error::custom(format!("duplicate key `{key}`")));
            }
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<UniqueKeys>()?.is_some() {}
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
}
