//! Where a tensor's values lie in its storage, and how they come into row-major order.

use super::flaw::{Flaw, shown};
use super::pickle::Tensor;

/// A tensor whose elements all lie in its storage. All numbers are in elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// First element in the storage.
    pub(super) start: usize,
    /// Elements from the first to the last, both included.
    pub(super) span: usize,
    /// Elements of the tensor.
    pub(super) elements: usize,
    pub(super) shape: Vec<usize>,
    strides: Vec<usize>,
}

impl Layout {
    /// `capacity`: elements in the storage; `name` is for the message.
    pub(super) fn check(tensor: Tensor, capacity: u64, name: &str) -> Result<Self, Flaw> {
        let Tensor { offset: start, shape, strides, .. } = tensor;
        let beyond = |shape: &[usize], strides: &[usize]| Flaw::BeyondStorage {
            name: shown(name),
            shape: shape.to_vec(),
            strides: strides.to_vec(),
            offset: start,
            capacity,
        };
        if shape.len() != strides.len() {
            return Err(beyond(&shape, &strides));
        }
        if shape.contains(&0) {
            return Ok(Self { start: 0, span: 0, elements: 0, shape, strides });
        }
        let extents = || {
            let elements =
                shape.iter().try_fold(1usize, |product, &axis| product.checked_mul(axis))?;
            let last = shape.iter().zip(&strides).try_fold(start, |last, (&axis, &stride)| {
                last.checked_add((axis - 1).checked_mul(stride)?)
            })?;
            Some((elements, last))
        };
        let (elements, last) = extents().ok_or_else(|| beyond(&shape, &strides))?;
        if last as u64 >= capacity {
            return Err(beyond(&shape, &strides));
        }
        if elements as u64 > capacity {
            return Err(Flaw::Expanded { name: shown(name), shape, capacity });
        }
        Ok(Self { start, span: last - start + 1, elements, shape, strides })
    }

    /// The values in row-major order. `values` are the storage's, from the first element to the last;
    /// `None` where the result does not fit into memory.
    pub(super) fn gather(&self, values: Vec<f32>) -> Option<Vec<f32>> {
        if self.is_row_major() {
            return Some(values);
        }
        let mut gathered = Vec::new();
        gathered.try_reserve_exact(self.elements).ok()?;
        let mut index = vec![0; self.shape.len()];
        let mut at = 0;
        for _ in 0..self.elements {
            gathered.push(values[at]);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                if index[axis] < self.shape[axis] {
                    at += self.strides[axis];
                    break;
                }
                at -= (self.shape[axis] - 1) * self.strides[axis];
                index[axis] = 0;
            }
        }
        Some(gathered)
    }

    fn is_row_major(&self) -> bool {
        let mut expected = 1;
        // An axis of length 1 is never stepped along; its stride may be anything.
        let steps = self.shape.iter().zip(&self.strides).rev().filter(|(axis, _)| **axis != 1);
        self.elements == 0
            || steps.into_iter().all(|(&axis, &stride)| {
                let row_major = stride == expected;
                expected *= axis;
                row_major
            })
    }
}
