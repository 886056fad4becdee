//! A file that `torch.load(…, weights_only=True)` reads as `{key: OrderedDict(name → tensor)}`.

use std::io::{self, Write};
use std::path::Path;

use super::archive::{CENTRAL, CENTRAL_BYTES, END, END_BYTES, LOCAL, LOCAL_BYTES};
use crate::element::CHUNK;
use crate::{Error, HostTensor, NamedTensors, durable};

const TOP: &str = "archive";
/// Values begin at multiples of this, so that PyTorch can map them into memory.
const ALIGNMENT: u64 = 64;
/// The extra field in which PyTorch pads too.
const PADDING: u16 = u16::from_le_bytes(*b"FB");
/// The first day that a zip can name: equal tensors give equal bytes.
const DATE: u16 = 1 << 5 | 1;
/// The version of the format that made 64-bit sizes and UTF-8 names known.
const ZIP_VERSION: u16 = 45;
const UTF8_NAMES: u16 = 1 << 11;

/// The bytes of a file with these tensors under `key`.
///
/// # Errors
/// [`Error::BadTensor`] where values do not fill their shape; [`Error::TooLong`] from 4 GiB on.
pub fn to_bytes(tensors: &NamedTensors, key: &str) -> Result<Vec<u8>, Error> {
    let encoded = Encoded::new(tensors, key)?;
    let mut bytes = Vec::with_capacity(encoded.length as usize);
    encoded.write_to(&mut bytes).expect("a Vec takes every write");
    Ok(bytes)
}

/// Writes a file with these tensors under `key`, or replaces it as a whole.
///
/// # Errors
/// [`Error::BadTensor`], [`Error::TooLong`], [`Error::Io`] or [`Error::NoSpace`].
pub fn save(path: &Path, tensors: &NamedTensors, key: &str) -> Result<(), Error> {
    let encoded = Encoded::new(tensors, key)?;
    durable::write_file(path, encoded.length.into(), |out| encoded.write_to(out))
}

/// A file ready to be written.
struct Encoded<'a> {
    records: Vec<Record<'a>>,
    directory: Vec<u8>,
    length: u32,
}

/// An entry of the zip, with its header.
struct Record<'a> {
    header: Vec<u8>,
    content: Content<'a>,
}

enum Content<'a> {
    Bytes(Vec<u8>),
    Values(&'a [f32]),
}

impl Content<'_> {
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Values(values) => 4 * values.len() as u64,
        }
    }

    fn write_to(&self, mut out: impl Write) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => out.write_all(bytes),
            Self::Values(values) => {
                let mut bytes = Vec::with_capacity(4 * values.len().min(CHUNK));
                values.chunks(CHUNK).try_for_each(|values| {
                    bytes.clear();
                    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                    out.write_all(&bytes)
                })
            }
        }
    }

    fn checksum(&self) -> u32 {
        struct Checksum(crc32fast::Hasher);
        impl Write for Checksum {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.update(bytes);
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut checksum = Checksum(crc32fast::Hasher::new());
        self.write_to(&mut checksum).expect("a checksum takes every write");
        checksum.0.finalize()
    }
}

impl<'a> Encoded<'a> {
    fn new(tensors: &'a NamedTensors, key: &str) -> Result<Self, Error> {
        tensors.iter().try_for_each(|(name, tensor)| tensor.check(name))?;
        let mut contents = vec![
            ("data.pkl".to_owned(), Content::Bytes(pickle(tensors, key))),
            ("byteorder".to_owned(), Content::Bytes(b"little".to_vec())),
        ];
        for (number, (_, HostTensor { data, .. })) in tensors.iter().enumerate() {
            contents.push((format!("data/{number}"), Content::Values(data)));
        }
        contents.push(("version".to_owned(), Content::Bytes(b"3\n".to_vec())));

        // Refused before the checksums, which take a pass over all values. An entry has two headers
        // with its name, and padding.
        let bytes = contents.iter().map(|(name, content)| {
            let headers = LOCAL_BYTES + CENTRAL_BYTES + 2 * (TOP.len() + 1 + name.len()) + 4;
            content.length() + headers as u64 + ALIGNMENT
        });
        let bytes = bytes.sum::<u64>() + END_BYTES as u64;
        let entries = u16::try_from(contents.len()).ok().filter(|&entries| entries < u16::MAX);
        let (Some(entries), true) = (entries, bytes < u32::MAX.into()) else {
            return Err(Error::TooLong { tensors: tensors.len(), bytes });
        };

        let (mut records, mut directory, mut length) = (Vec::new(), Vec::new(), 0u32);
        for (name, content) in contents {
            let (header, entry) = headers(&format!("{TOP}/{name}"), &content, length);
            // Less than the bound that was just checked.
            length += header.len() as u32 + content.length() as u32;
            directory.extend(entry);
            records.push(Record { header, content });
        }
        let directory_bytes = directory.len() as u32;
        let end = [
            &END.to_le_bytes()[..],
            // Numbers of two disks, entries on this one and in all.
            &[0; 4],
            &entries.to_le_bytes(),
            &entries.to_le_bytes(),
            &directory_bytes.to_le_bytes(),
            &length.to_le_bytes(),
            // No comment.
            &[0; 2],
        ];
        directory.extend(end.concat());
        length += directory.len() as u32;
        Ok(Self { records, directory, length })
    }

    fn write_to(&self, mut out: impl Write) -> io::Result<()> {
        for Record { header, content } in &self.records {
            out.write_all(header)?;
            content.write_to(&mut out)?;
        }
        out.write_all(&self.directory)
    }
}

/// The header before an entry's contents, and the one in the directory. `at`: where the first begins.
fn headers(name: &str, content: &Content, at: u32) -> (Vec<u8>, Vec<u8>) {
    let length = (content.length() as u32).to_le_bytes();
    // What both have: flags, method (stored), time, date, checksum, two sizes, length of the name.
    let both = [
        &UTF8_NAMES.to_le_bytes()[..],
        &[0; 4],
        &DATE.to_le_bytes(),
        &content.checksum().to_le_bytes(),
        &length,
        &length,
        &(name.len() as u16).to_le_bytes(),
    ]
    .concat();
    let unpadded = u64::from(at) + (LOCAL_BYTES + name.len() + 4) as u64;
    let padding = (unpadded.next_multiple_of(ALIGNMENT) - unpadded) as u16;
    let local = [
        &LOCAL.to_le_bytes()[..],
        &ZIP_VERSION.to_le_bytes(),
        &both,
        &(4 + padding).to_le_bytes(),
        name.as_bytes(),
        &PADDING.to_le_bytes(),
        &padding.to_le_bytes(),
        &vec![0; padding.into()],
    ];
    let central = [
        &CENTRAL.to_le_bytes()[..],
        &ZIP_VERSION.to_le_bytes(),
        &ZIP_VERSION.to_le_bytes(),
        &both,
        // No extra field, no comment; disk and attributes.
        &[0; 12],
        &at.to_le_bytes(),
        name.as_bytes(),
    ];
    (local.concat(), central.concat())
}

/// Protocol 2, without a memo: what repeats is short.
fn pickle(tensors: &NamedTensors, key: &str) -> Vec<u8> {
    let mut out = Pickle(b"\x80\x02}".to_vec());
    out.text(key).raw(b"ccollections\nOrderedDict\n)R(");
    for (number, (name, HostTensor { shape, data })) in tensors.iter().enumerate() {
        out.text(name).raw(b"ctorch._utils\n_rebuild_tensor_v2\n((").text("storage");
        out.raw(b"ctorch\nFloatStorage\n").text(&number.to_string()).text("cpu");
        // The storage ends here; the tensor's first element is its first.
        out.integer(data.len()).raw(b"tQK\x00");
        let mut stride = data.len();
        let strides = shape.iter().map(|&axis| {
            stride /= axis.max(1);
            stride
        });
        let strides: Vec<_> = strides.collect();
        for numbers in [shape, &strides] {
            out.raw(b"(");
            numbers.iter().for_each(|&number| _ = out.integer(number));
            out.raw(b"t");
        }
        // No gradient, no hooks.
        out.raw(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    out.raw(b"us.");
    out.0
}

struct Pickle(Vec<u8>);

impl Pickle {
    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend(bytes);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        // A text of 4 GiB is refused with the file.
        self.raw(b"X").raw(&(text.len() as u32).to_le_bytes()).raw(text.as_bytes())
    }

    fn integer(&mut self, value: usize) -> &mut Self {
        match i32::try_from(value) {
            Ok(value) => self.raw(b"J").raw(&value.to_le_bytes()),
            // Nine bytes, so that the sign bit is clear.
            Err(_) => self.raw(b"\x8a\x09").raw(&(value as u64).to_le_bytes()).raw(&[0]),
        }
    }
}
