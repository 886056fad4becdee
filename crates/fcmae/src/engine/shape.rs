//! Shapes of tensors and parameters, and of what a result's values are on a card.

use std::fmt;
use std::ops::Deref;

use fcmae_cuda::work::Element;

/// The most dimensions a tensor has.
const MOST_DIMENSIONS: usize = 4;

/// `values` and what follows them to the end of their last cache line, so that what comes next shares none.
/// Saturates at `usize::MAX`.
pub(crate) fn padded(values: usize) -> usize {
    values.checked_next_multiple_of(16).unwrap_or(usize::MAX)
}

/// The sides of a tensor, the last varying fastest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    sides: [usize; MOST_DIMENSIONS],
    dimensions: usize,
}

impl Shape {
    /// How many values there are.
    ///
    /// # Panics
    /// Where they are more than memory can address.
    pub fn count(&self) -> usize {
        match self.iter().try_fold(1usize, |count, &side| count.checked_mul(side)) {
            Some(count) => count,
            None => panic!("{self:?} has more values than memory can address"),
        }
    }

    /// The last side: channels.
    pub fn last(&self) -> usize {
        *self.deref().last().unwrap_or(&1)
    }

    /// The same with another last side.
    pub fn with_last(mut self, side: usize) -> Self {
        if let Some(last) = self.sides[..self.dimensions].last_mut() {
            *last = side;
        }
        self
    }

    /// Of float32 values on a card too: statistics, losses, gradients of weights.
    pub(crate) fn floats(self) -> Form {
        Form { shape: self, element: Some(Element::F32) }
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.sides[..self.dimensions]
    }
}

impl<const D: usize> From<[usize; D]> for Shape {
    fn from(sides: [usize; D]) -> Self {
        const { assert!(D <= MOST_DIMENSIONS) };
        let mut shape = Self { sides: [1; MOST_DIMENSIONS], dimensions: D };
        shape.sides[..D].copy_from_slice(&sides);
        shape
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// A result's shape, and of what its values are on a card: features, unless it says something else. On the processor
/// all are float32.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) shape: Shape,
    pub(crate) element: Option<Element>,
}

impl<S: Into<Shape>> From<S> for Form {
    fn from(shape: S) -> Self {
        Self { shape: shape.into(), element: None }
    }
}
