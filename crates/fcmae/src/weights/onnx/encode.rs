//! From graph and constants to the bytes of files. A constant's values go from where they lie
//! straight into the file: nothing of the weights is held twice.

use std::borrow::Cow;

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use super::protobuf::{
    EXTERNAL, FLOAT32, GRAPH, Graph, INITIALIZER, INT64, Model, RAW_DATA, StringStringEntry, Tensor,
};

/// Longest message that protobuf's own libraries read, in bytes.
pub(super) const LONGEST_MESSAGE: usize = i32::MAX as usize;

/// The file that holds the weights where one message cannot.
pub(super) const DATA_FILE: &str = "model.onnx.data";

/// Where values in the second file begin: at multiples of a page, so that they can be mapped.
/// Shorter ones stay in the first.
const PAGE: usize = 4096;

/// A constant of the graph.
pub(super) struct Constant<'a> {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) values: Values<'a>,
}

/// A constant's values.
pub(super) enum Values<'a> {
    /// As they lie.
    Floats(Cow<'a, [f32]>),
    /// Each row of a matrix times its factor.
    Scaled { matrix: &'a [f32], factors: &'a [f32] },
    /// Axes.
    Integers(Vec<i64>),
}

impl Values<'_> {
    fn bytes(&self) -> usize {
        match self {
            Self::Floats(values) => 4 * values.len(),
            Self::Scaled { matrix, .. } => 4 * matrix.len(),
            Self::Integers(values) => 8 * values.len(),
        }
    }

    /// Appends the values, little-endian.
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Floats(values) => write_floats(out, values.iter().copied(), values.len()),
            Self::Scaled { matrix, factors } => {
                let rows = matrix.chunks_exact(matrix.len() / factors.len()).zip(*factors);
                for (row, factor) in rows {
                    write_floats(out, row.iter().map(|value| factor * value), row.len());
                }
            }
            Self::Integers(values) => out.extend(values.iter().flat_map(|v| v.to_le_bytes())),
        }
    }
}

/// Appends `count` values: room first, so that the rest is a plain copy.
fn write_floats(out: &mut Vec<u8>, values: impl Iterator<Item = f32>, count: usize) {
    let from = out.len();
    out.resize(from + 4 * count, 0);
    for (bytes, value) in out[from..].as_chunks_mut().0.iter_mut().zip(values) {
        *bytes = value.to_le_bytes();
    }
}

/// The model's file; and the file of its weights, where a message of at most `longest` bytes cannot
/// hold them.
pub(super) fn encode(
    model: &Model,
    graph: &Graph,
    constants: &[Constant],
    longest: usize,
) -> (Vec<u8>, Option<Vec<u8>>) {
    let inline: Vec<Placed> = constants.iter().map(Placed::inline).collect();
    if message_length(model, graph, &inline) <= longest {
        return (message(model, graph, &inline), None);
    }
    let mut data = Vec::new();
    data.reserve_exact(constants.iter().map(|c| c.values.bytes().next_multiple_of(PAGE)).sum());
    let place = |constant| Placed::within(constant, &mut data);
    let placed: Vec<Placed> = constants.iter().map(place).collect();
    (message(model, graph, &placed), Some(data))
}

/// A constant, and where its values are.
struct Placed<'a> {
    tensor: Tensor,
    inline: Option<&'a Values<'a>>,
}

impl<'a> Placed<'a> {
    fn inline(constant: &'a Constant) -> Self {
        let integers = matches!(constant.values, Values::Integers(_));
        let tensor = Tensor {
            // A tensor in memory has fewer elements than an i64 can count.
            dims: constant.shape.iter().map(|&length| length as i64).collect(),
            data_type: if integers { INT64 } else { FLOAT32 },
            name: constant.name.clone(),
            ..Tensor::default()
        };
        Self { tensor, inline: Some(&constant.values) }
    }

    /// Puts longer values into `data`.
    fn within(constant: &'a Constant, data: &mut Vec<u8>) -> Self {
        let mut placed = Self::inline(constant);
        let length = constant.values.bytes();
        if length >= PAGE {
            data.resize(data.len().next_multiple_of(PAGE), 0);
            placed.tensor.external_data = vec![
                StringStringEntry::new("location", DATA_FILE),
                StringStringEntry::new("offset", data.len().to_string()),
                StringStringEntry::new("length", length.to_string()),
            ];
            placed.tensor.data_location = EXTERNAL;
            placed.inline = None;
            constant.values.write(data);
        }
        placed
    }

    fn length(&self) -> usize {
        let values = self.inline.map_or(0, |values| field_length(RAW_DATA, values.bytes()));
        self.tensor.encoded_len() + values
    }

    fn write(&self, out: &mut Vec<u8>) {
        append(&self.tensor, out);
        if let Some(values) = self.inline {
            open_field(RAW_DATA, values.bytes(), out);
            values.write(out);
        }
    }
}

fn graph_length(graph: &Graph, constants: &[Placed]) -> usize {
    let constants = constants.iter().map(|c| field_length(INITIALIZER, c.length()));
    graph.encoded_len() + constants.sum::<usize>()
}

fn message_length(model: &Model, graph: &Graph, constants: &[Placed]) -> usize {
    model.encoded_len() + field_length(GRAPH, graph_length(graph, constants))
}

/// Fields may come in any order, so what holds weights comes after the rest of its message.
fn message(model: &Model, graph: &Graph, constants: &[Placed]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message_length(model, graph, constants));
    append(model, &mut out);
    open_field(GRAPH, graph_length(graph, constants), &mut out);
    append(graph, &mut out);
    for constant in constants {
        open_field(INITIALIZER, constant.length(), &mut out);
        constant.write(&mut out);
    }
    out
}

fn append(message: &impl Message, out: &mut Vec<u8>) {
    message.encode(out).expect("a Vec takes every write");
}

/// Bytes of a field that holds `length` bytes.
fn field_length(field: u32, length: usize) -> usize {
    key_len(field) + encoded_len_varint(length as u64) + length
}

/// Key and length of a field that holds `length` bytes.
fn open_field(field: u32, length: usize, out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
}
