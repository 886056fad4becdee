//! Float32 tensors in host memory, by name.

use std::collections::{BTreeMap, btree_map};
use std::fmt;

use crate::Error;

/// A float32 tensor, row-major; `data` has as many values as the product of `shape` says.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    /// Length of each axis; empty for a scalar.
    pub shape: Vec<usize>,
    /// Values, the last axis fastest.
    pub data: Vec<f32>,
}

impl HostTensor {
    /// # Errors
    /// [`Error::BadTensor`] where the values do not fill the shape.
    pub fn new(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Result<Self, Error> {
        let tensor = Self { shape: shape.into(), data };
        tensor.check("")?;
        Ok(tensor)
    }

    /// Whether the values fill the shape; `name` is for the message.
    pub(crate) fn check(&self, name: &str) -> Result<(), Error> {
        let elements =
            self.shape.iter().try_fold(1usize, |product, &axis| product.checked_mul(axis));
        if elements == Some(self.data.len()) {
            return Ok(());
        }
        Err(Error::BadTensor {
            name: name.to_owned(),
            shape: self.shape.clone(),
            values: self.data.len(),
        })
    }
}

/// Tensors by name, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NamedTensors(BTreeMap<String, HostTensor>);

impl NamedTensors {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a tensor in; returns the one that had the name before.
    pub fn insert(&mut self, name: impl Into<String>, tensor: HostTensor) -> Option<HostTensor> {
        self.0.insert(name.into(), tensor)
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&HostTensor> {
        self.0.get(name)
    }

    /// Takes the tensor of that name out, without a copy.
    pub fn remove(&mut self, name: &str) -> Option<HostTensor> {
        self.0.remove(name)
    }

    /// Names and tensors, in the order of the names.
    pub fn iter(&self) -> btree_map::Iter<'_, String, HostTensor> {
        self.0.iter()
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// How many tensors.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Values in all tensors together.
    pub fn elements(&self) -> usize {
        self.0.values().map(|tensor| tensor.data.len()).sum()
    }

    /// A hash, in hexadecimal, over names, shapes and values.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (name, HostTensor { shape, data }) in &self.0 {
            hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
            hasher.update(&(shape.len() as u64).to_le_bytes());
            for &extent in shape {
                hasher.update(&(extent as u64).to_le_bytes());
            }
            for values in data.chunks(1 << 14) {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                hasher.update(&bytes);
            }
        }
        hasher.finalize().to_hex().to_string()
    }

    /// How these tensors differ from the names and shapes that a model expects.
    pub fn difference(&self, expected: &[(String, Vec<usize>)]) -> Mismatch {
        let expected: BTreeMap<_, _> = expected.iter().map(|(name, shape)| (name, shape)).collect();
        let mut mismatch = Mismatch::default();
        for (&name, &shape) in &expected {
            match self.0.get(name) {
                None => mismatch.missing.push((name.clone(), shape.clone())),
                Some(found) if found.shape != *shape => mismatch.wrong_shape.push(WrongShape {
                    name: name.clone(),
                    expected: shape.clone(),
                    found: found.shape.clone(),
                }),
                Some(_) => {}
            }
        }
        let unexpected = self.0.iter().filter(|(name, _)| !expected.contains_key(name));
        mismatch.unexpected.extend(unexpected.map(|(name, t)| (name.clone(), t.shape.clone())));
        mismatch
    }
}

impl FromIterator<(String, HostTensor)> for NamedTensors {
    fn from_iter<I: IntoIterator<Item = (String, HostTensor)>>(tensors: I) -> Self {
        Self(tensors.into_iter().collect())
    }
}

impl IntoIterator for NamedTensors {
    type Item = (String, HostTensor);
    type IntoIter = btree_map::IntoIter<String, HostTensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a NamedTensors {
    type Item = (&'a String, &'a HostTensor);
    type IntoIter = btree_map::Iter<'a, String, HostTensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A tensor that has the right name and the wrong shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongShape {
    /// Its name.
    pub name: String,
    /// The model's shape.
    pub expected: Vec<usize>,
    /// The file's shape.
    pub found: Vec<usize>,
}

/// How the weights in hand differ from those of a model. Its text lists every name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Expected and not there, with the expected shapes.
    pub missing: Vec<(String, Vec<usize>)>,
    /// There and not expected, with the shapes found.
    pub unexpected: Vec<(String, Vec<usize>)>,
    /// There with another shape.
    pub wrong_shape: Vec<WrongShape>,
}

impl Mismatch {
    /// Whether all names and shapes agree.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.wrong_shape.is_empty()
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the weights do not fit the model: {} missing, {} unexpected, {} of another shape",
            self.missing.len(),
            self.unexpected.len(),
            self.wrong_shape.len()
        )?;
        for (title, names) in [("missing", &self.missing), ("unexpected", &self.unexpected)] {
            if !names.is_empty() {
                write!(f, "\n{title}:")?;
            }
            for (name, shape) in names {
                write!(f, "\n  {name} {shape:?}")?;
            }
        }
        if !self.wrong_shape.is_empty() {
            write!(f, "\nof another shape:")?;
        }
        for WrongShape { name, expected, found } in &self.wrong_shape {
            write!(f, "\n  {name}: the model has {expected:?}, the weights have {found:?}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mismatch {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn difference_lists_every_name_by_group() {
        let zeros =
            |shape: &[usize]| HostTensor::new(shape, vec![0.0; shape.iter().product()]).unwrap();
        let tensors: NamedTensors =
            [("a", zeros(&[2, 3])), ("b", zeros(&[4])), ("extra", zeros(&[]))]
                .map(|(name, tensor)| (name.to_owned(), tensor))
                .into_iter()
                .collect();
        assert_eq!(tensors.elements(), 11);
        let expected = |list: &[(&str, &[usize])]| -> Vec<(String, Vec<usize>)> {
            list.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())).collect()
        };
        assert!(
            tensors
                .difference(&expected(&[("b", &[4]), ("a", &[2, 3]), ("extra", &[])]))
                .is_empty()
        );

        let mismatch =
            tensors.difference(&expected(&[("a", &[3, 2]), ("b", &[4]), ("gone", &[1, 7])]));
        assert_eq!(
            mismatch.to_string(),
            "the weights do not fit the model: 1 missing, 1 unexpected, 1 of another shape\n\
             missing:\n  gone [1, 7]\n\
             unexpected:\n  extra []\n\
             of another shape:\n  a: the model has [3, 2], the weights have [2, 3]"
        );
    }

    #[test]
    fn values_must_fill_the_shape() {
        assert!(HostTensor::new([2, 2], vec![0.0; 4]).is_ok());
        assert!(HostTensor::new([2, 2], vec![0.0; 5]).is_err());
        assert!(HostTensor::new([usize::MAX, 2], vec![]).is_err());
    }
}
