//! What a pickle becomes.

use ::safetensors::tensor::Dtype;

use crate::pth::globals::Global;

/// A value; what does not fit into it lies in one of the lists of [`Pickle`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::pth) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Text(&'a str),
    Global(Global),
    Object(usize),
    Storage(usize),
    Tensor(usize),
    /// Something that no tensor needs.
    Opaque,
    /// A name that is not known here, or what was made by it; its number in [`Pickle::foreign`].
    Foreign(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tuple,
    List,
    Dictionary,
}

#[derive(Debug)]
pub(super) struct Object<'a> {
    pub(super) kind: Kind,
    /// A dictionary's are key, value, key, value, …
    pub(super) items: Vec<Value<'a>>,
    /// Levels of objects, itself included.
    pub(super) depth: usize,
}

/// A storage as the pickle describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pth) struct Storage<'a> {
    /// The name of its values within the file.
    pub(in crate::pth) key: &'a str,
    /// `None` for a storage of bytes.
    pub(in crate::pth) dtype: Option<Dtype>,
    /// Elements; bytes in a storage of bytes.
    pub(in crate::pth) length: u64,
}

impl Storage<'_> {
    /// `None` where 64 bits do not hold the number.
    pub(in crate::pth) fn bytes(&self) -> Option<u64> {
        self.length.checked_mul(self.dtype.map_or(1, |dtype| dtype.bitsize() as u64 / 8))
    }
}

/// A tensor as the pickle describes it; nothing is checked yet against its storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pth) struct Tensor {
    /// Number in [`Pickle::storages`].
    pub(in crate::pth) storage: usize,
    pub(in crate::pth) dtype: Dtype,
    /// First element.
    pub(in crate::pth) offset: usize,
    pub(in crate::pth) shape: Vec<usize>,
    /// In elements.
    pub(in crate::pth) strides: Vec<usize>,
}

/// A pickle that was read.
#[derive(Debug)]
pub(in crate::pth) struct Pickle<'a> {
    pub(in crate::pth) root: Value<'a>,
    /// Where the bytes after it begin.
    pub(in crate::pth) end: usize,
    pub(in crate::pth) storages: Vec<Storage<'a>>,
    pub(in crate::pth) tensors: Vec<Tensor>,
    /// Module and name of what is passed over.
    pub(in crate::pth) foreign: Vec<[&'a str; 2]>,
    pub(super) objects: Vec<Object<'a>>,
}

impl<'a> Pickle<'a> {
    /// Keys and values of a dictionary.
    pub(in crate::pth) fn dictionary(
        &self,
        value: Value<'a>,
    ) -> Option<impl Iterator<Item = (Value<'a>, Value<'a>)>> {
        let items = self.items(value, Kind::Dictionary)?;
        Some(items.as_chunks::<2>().0.iter().map(|&[key, value]| (key, value)))
    }

    /// The value of a key; of the last one where several are equal, as in Python.
    pub(in crate::pth) fn get(&self, dictionary: Value<'a>, key: &str) -> Option<Value<'a>> {
        let pairs = self.dictionary(dictionary)?.filter(|(k, _)| *k == Value::Text(key));
        pairs.last().map(|(_, value)| value)
    }

    /// The values of a list.
    pub(in crate::pth) fn list(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        self.items(value, Kind::List)
    }

    pub(super) fn items(&self, value: Value<'a>, kind: Kind) -> Option<&[Value<'a>]> {
        match value {
            Value::Object(object) if self.objects[object].kind == kind => {
                Some(&self.objects[object].items)
            }
            _ => None,
        }
    }
}
