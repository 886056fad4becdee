//! What can be wrong with a file, and the remedy.

use ::safetensors::tensor::Dtype;

/// Most bytes of float32 that a file's tensors may become, in file lengths: twice for half precision,
/// twice for tensors under two names. What lies between a tensor's elements counts with them.
pub const MAX_GROWTH: u64 = 4;

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// The zip around the values is malformed.
    #[error("{0}")]
    Archive(&'static str),
    /// An entry is compressed or encrypted.
    #[error("its entry `{name}` is compressed or encrypted; torch.save stores entries as they are")]
    Compressed {
        /// The entry.
        name: String,
    },
    /// An entry's name would lead out of a folder.
    #[error("its entry `{name}` has a name that torch.save does not write")]
    EntryName {
        /// The entry.
        name: String,
    },
    /// An entry's own header contradicts the directory, or the entry lies over another.
    #[error("its entry `{name}` is not where or what the directory says")]
    Entry {
        /// The entry.
        name: String,
    },
    /// A stored entry with two sizes.
    #[error("its entry `{name}` claims {claimed} bytes and stores {found}")]
    Size {
        /// The entry.
        name: String,
        /// Bytes of its contents.
        claimed: u64,
        /// Bytes in the file.
        found: u64,
    },
    /// Written on a big-endian machine.
    #[error("it was written on a big-endian machine; load and save it with PyTorch on another")]
    BigEndian,
    /// A TorchScript archive.
    #[error(
        "it is a TorchScript archive, with code; save its weights alone: \
         torch.save(torch.jit.load(file).state_dict(), \"weights.pth\")"
    )]
    TorchScript,
    /// The format before PyTorch 0.2.
    #[error("it is a tar of PyTorch before 0.2; load and save it with a later PyTorch")]
    Tar,
    /// The parts of a file before PyTorch 1.6 contradict each other.
    #[error("{0}")]
    Legacy(&'static str),
    /// Neither a zip nor one of the older formats.
    #[error("torch.save does not write files that begin like this")]
    Unknown,
    /// The pickle is malformed, or describes a tensor as torch.save does not.
    #[error("its pickle is wrong at byte {at}: {what}")]
    Pickle {
        /// Where reading stopped.
        at: usize,
        /// What was found there.
        what: &'static str,
    },
    /// An operation of pickles that torch.save does not use.
    #[error(
        "its pickle asks for operation 0x{opcode:02x} at byte {at}, which torch.save does not use"
    )]
    Opcode {
        /// The operation.
        opcode: u8,
        /// Where it stands.
        at: usize,
    },
    /// A name from a Python module that no tensor needs.
    #[error(
        "its pickle names `{name}`, which weights do not need (nothing was run); if you trust the \
         file, load it with PyTorch and save the weights alone: \
         torch.save(model.state_dict(), \"weights.pth\")"
    )]
    Global {
        /// Module and name.
        name: String,
    },
    /// More of something than a checkpoint has.
    #[error("it has more {what} than the {limit} that are read; save the state dict alone")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many are read.
        limit: usize,
    },
    /// A storage is missing, or has another length than the pickle says.
    #[error("the values under `{key}` are missing or have another length than its pickle says")]
    Storage {
        /// The storage's key.
        key: String,
    },
    /// A tensor's elements lie beyond its storage.
    #[error(
        "tensor `{name}` of shape {shape:?}, strides {strides:?} and offset {offset} reaches beyond \
         its storage of {capacity} values"
    )]
    BeyondStorage {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Elements between neighbours of each axis.
        strides: Vec<usize>,
        /// Its first element.
        offset: usize,
        /// Elements in the storage.
        capacity: u64,
    },
    /// A tensor has more elements than its storage.
    #[error(
        "tensor `{name}` of shape {shape:?} repeats a storage of {capacity} values; save a copy of it \
         (tensor.clone())"
    )]
    Expanded {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Elements in the storage.
        capacity: u64,
    },
    /// The tensors would become more than [`MAX_GROWTH`] times as long as the file.
    #[error("its tensors would take {bytes} bytes, more than {MAX_GROWTH} times the file's length")]
    Growth {
        /// Bytes in float32.
        bytes: u64,
    },
    /// An element type other than F32, F16, BF16 and F64.
    #[error("tensor `{name}` is {dtype}; F32, F16, BF16 and F64 are read")]
    ElementType {
        /// The tensor.
        name: String,
        /// Its element type.
        dtype: Dtype,
    },
    /// Two tensors or entries of one name.
    #[error("`{name}` is there twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// No dictionary with tensors where training programs put it.
    #[error(
        "it holds no dictionary of tensors by name (keys: {}); save the weights alone: \
         torch.save(model.state_dict(), \"weights.pth\")",
        keys.join(", ")
    )]
    NoTensors {
        /// Keys at the top.
        keys: Vec<String>,
    },
    /// More values than memory.
    #[error("tensor `{name}` of shape {shape:?} does not fit into memory")]
    TooLarge {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
}

/// A text from the file as it may stand in a message: of bounded length, control characters escaped.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}
