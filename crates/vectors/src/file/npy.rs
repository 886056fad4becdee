//! NumPy's `.npy`: a matrix of numbers.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use half::f16;

use super::error::FileError;

const MARK: &[u8] = b"\x93NUMPY";

/// Most bytes of a header: one of a plain matrix has 118.
const HEADER: usize = 64 << 10;

/// Bytes that are read at a time.
const BLOCK: usize = 64 << 10;

/// A number's type in a file; all little endian.
#[derive(Clone, Copy)]
enum Kind {
    F16,
    F32,
    F64,
}

impl Kind {
    fn bytes(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    fn read(self, bytes: &[u8], to: &mut Vec<f32>) {
        match self {
            Self::F16 => {
                to.extend(bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()))
            }
            Self::F32 => to.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
            Self::F64 => {
                to.extend(bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32))
            }
        }
    }
}

/// A matrix as it was read.
pub(super) struct Matrix {
    pub(super) values: Vec<f32>,
    pub(super) rows: usize,
    pub(super) width: usize,
}

/// Whether a file is one of NumPy's.
pub(super) fn begins(path: &Path) -> bool {
    let mut start = [0; MARK.len()];
    fcmae_files::open(path)
        .is_ok_and(|(mut file, _)| file.read_exact(&mut start).is_ok() && start == MARK)
}

/// Reads a matrix of float16, float32 or float64.
pub(super) fn read(path: &Path) -> Result<Matrix, FileError> {
    let malformed = |reason: String| FileError::malformed(path, reason);
    let (file, about) = fcmae_files::open(path).map_err(FileError::unusable(path))?;
    let mut file = BufReader::with_capacity(BLOCK, file);
    let header = header(&mut file).map_err(malformed)?;
    let (kind, rows, width) = described(&header.text).map_err(malformed)?;
    let there = about.len().saturating_sub(header.bytes);
    let claimed = rows.checked_mul(width).and_then(|values| values.checked_mul(kind.bytes()));
    let claimed = claimed.filter(|bytes| *bytes as u64 == there).ok_or_else(|| {
        malformed(format!(
            "its shape is ({rows}, {width}) of {} bytes each, but {there} bytes follow: it was cut short or \
             changed; write or fetch it again",
            kind.bytes()
        ))
    })?;
    // No more than the file has.
    let mut values = Vec::with_capacity(rows * width);
    let mut block = vec![0; BLOCK];
    let mut left = claimed;
    while left > 0 {
        let block = &mut block[..left.min(BLOCK)];
        file.read_exact(block).map_err(FileError::io("read", path))?;
        kind.read(block, &mut values);
        left -= block.len();
    }
    Ok(Matrix { values, rows, width })
}

struct Header {
    text: String,
    /// With all that comes before the numbers.
    bytes: u64,
}

fn header(file: &mut BufReader<File>) -> Result<Header, String> {
    let cut = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "its header is cut short; write or fetch it again".to_owned()
        }
        _ => format!("cannot be read: {error}"),
    };
    let mut start = [0; 8];
    file.read_exact(&mut start).map_err(cut)?;
    if !start.starts_with(MARK) {
        return Err("it is not a .npy file; write it with numpy.save".to_owned());
    }
    let (length, width) = match start[6] {
        1 => {
            let mut bytes = [0; 2];
            file.read_exact(&mut bytes).map_err(cut)?;
            (usize::from(u16::from_le_bytes(bytes)), 2)
        }
        2 | 3 => {
            let mut bytes = [0; 4];
            file.read_exact(&mut bytes).map_err(cut)?;
            (u32::from_le_bytes(bytes) as usize, 4)
        }
        version => {
            return Err(format!(
                "it is of version {version} of the format; 1, 2 and 3 are read: write it again with numpy.save"
            ));
        }
    };
    if length > HEADER {
        return Err(format!("its header claims {length} bytes, at most {HEADER} are read"));
    }
    let mut text = vec![0; length];
    file.read_exact(&mut text).map_err(cut)?;
    let text = String::from_utf8(text).map_err(|_| unclear("it is no text"))?;
    Ok(Header { text, bytes: (8 + width + length) as u64 })
}

fn unclear(what: &str) -> String {
    format!("its header is damaged: {what}; write it again with numpy.save")
}

/// The type, rows and columns that a header tells, which is a dictionary as Python writes it.
fn described(text: &str) -> Result<(Kind, usize, usize), String> {
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    let mut rest = text.trim().strip_prefix('{').ok_or_else(|| unclear("it is no dictionary"))?;
    loop {
        rest = rest.trim_start();
        if let Some(end) = rest.strip_prefix('}') {
            if !end.trim().is_empty() {
                return Err(unclear("something follows its dictionary"));
            }
            break;
        }
        let (key, after) = quoted(rest).ok_or_else(|| unclear("a key is missing"))?;
        let after =
            after.trim_start().strip_prefix(':').ok_or_else(|| unclear("a value is missing"))?;
        let value = after.trim_start();
        rest = match key {
            "descr" if value.starts_with('[') => return Err(
                "it holds records of several fields; save one matrix of float32: numpy.save(name, array.astype('<f4'))"
                    .to_owned(),
            ),
            "descr" => {
                let (name, rest) = quoted(value).ok_or_else(|| unclear("its type is no text"))?;
                descr = Some(name);
                rest
            }
            "fortran_order" => {
                let (word, rest) = value.split_at(value.find([',', '}']).unwrap_or(value.len()));
                fortran = Some(match word.trim() {
                    "True" => true,
                    "False" => false,
                    _ => return Err(unclear("fortran_order is neither True nor False")),
                });
                rest
            }
            "shape" => {
                let inner = value.strip_prefix('(').and_then(|inner| inner.split_once(')'));
                let (inner, rest) = inner.ok_or_else(|| unclear("its shape is no tuple"))?;
                shape = Some(inner);
                rest
            }
            _ => return Err(unclear("it has an unknown key")),
        };
        rest = rest.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    let (Some(descr), Some(fortran), Some(shape)) = (descr, fortran, shape) else {
        return Err(unclear("it lacks descr, fortran_order or shape"));
    };
    let kind = kind(descr)?;
    let (rows, width) = sides(shape)?;
    if fortran {
        return Err(
            "its numbers lie column by column (Fortran order); save numpy.ascontiguousarray(array)"
                .to_owned(),
        );
    }
    Ok((kind, rows, width))
}

/// A text in single or double quotes, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    text[1..].split_once(quote)
}

fn kind(descr: &str) -> Result<Kind, String> {
    let shown = super::shortened::shortened(descr);
    Err(match descr {
        "<f2" => return Ok(Kind::F16),
        "<f4" => return Ok(Kind::F32),
        "<f8" => return Ok(Kind::F64),
        ">f2" | ">f4" | ">f8" => {
            format!("its numbers are big endian ({shown}); save array.astype('<f4')")
        }
        "|O" | "O" => {
            "it holds Python objects, which are not read; save array.astype('<f4')".to_owned()
        }
        _ => format!(
            "its type is {shown}; float16, float32 and float64 are read: save array.astype('<f4')"
        ),
    })
}

/// Rows and columns.
fn sides(shape: &str) -> Result<(usize, usize), String> {
    let sides: Option<Vec<usize>> = shape
        .split(',')
        .map(|side| side.trim().trim_end_matches('L'))
        .filter(|side| !side.is_empty())
        .map(|side| side.parse().ok())
        .collect();
    match sides.as_deref() {
        Some([_, 0]) => Err("its rows have no values (a shape of (N, 0))".to_owned()),
        Some([rows, width]) => Ok((*rows, *width)),
        Some(sides) => Err(format!(
            "it has {} dimensions; 2 are needed, pictures and values: save array.reshape(pictures, -1)",
            sides.len()
        )),
        None => Err(unclear("its shape holds no numbers")),
    }
}

/// What stands before `rows` × `width` numbers in float32.
pub(super) fn write_header(out: &mut impl Write, rows: u64, width: usize) -> io::Result<()> {
    const ALIGNED: usize = 64;
    let mut text =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}");
    // As numpy does: the numbers begin at a multiple of 64, after an end of line.
    let before = MARK.len() + 4;
    let padded = (before + text.len() + 1).next_multiple_of(ALIGNED) - before;
    text.push_str(&" ".repeat(padded - 1 - text.len()));
    text.push('\n');
    out.write_all(MARK)?;
    out.write_all(&[1, 0])?;
    out.write_all(&(text.len() as u16).to_le_bytes())?;
    out.write_all(text.as_bytes())
}
