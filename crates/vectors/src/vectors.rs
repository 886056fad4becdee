//! Rows of equal width.

use crate::error::VectorError;

/// Vectors of equal width, `[N, C]`, one a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    values: Vec<f32>,
    width: usize,
}

impl Vectors {
    /// Rows of `width` values, all of them finite.
    ///
    /// # Errors
    /// A width of 0, values that are no whole rows, a value that is not a number.
    pub fn new(values: Vec<f32>, width: usize) -> Result<Self, VectorError> {
        if width == 0 || !values.len().is_multiple_of(width) {
            return Err(VectorError::Ragged { values: values.len(), width });
        }
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            return Err(VectorError::NotFinite { row: place / width, value: values[place] });
        }
        Ok(Self { values, width })
    }

    /// Number of rows, N.
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Values of a row, C.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All values, row after row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// A row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.width..][..self.width]
    }

    /// All rows in their order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }

    /// The rows at these places, in this order.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn select(&self, places: &[usize]) -> Self {
        let values = places.iter().flat_map(|&place| self.row(place)).copied().collect();
        Self { values, width: self.width }
    }

    /// Each column multiplied by its scale.
    pub(crate) fn scaled(mut self, scales: &[f32]) -> Self {
        for row in self.values.chunks_exact_mut(self.width) {
            row.iter_mut().zip(scales).for_each(|(value, scale)| *value *= scale);
        }
        self
    }

    /// Every row divided by its length, so that products of rows are cosines.
    ///
    /// # Errors
    /// A row of zeros.
    pub fn normalized(mut self) -> Result<Self, VectorError> {
        for (row, values) in self.values.chunks_exact_mut(self.width).enumerate() {
            let square: f64 = values.iter().map(|&value| f64::from(value).powi(2)).sum();
            if square == 0.0 {
                return Err(VectorError::Zero { row });
            }
            let length = square.sqrt();
            values.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rows_are_whole_and_finite() {
        let three = Vectors::new(vec![3.0, 4.0, 0.0, -2.0], 2).unwrap();
        assert_eq!((three.len(), three.width(), three.row(1)), (2, 2, &[0.0, -2.0][..]));
        assert_eq!(three.select(&[1, 0, 1]).values(), [0.0, -2.0, 3.0, 4.0, 0.0, -2.0]);
        assert_eq!(three.normalized().unwrap().values(), [0.6, 0.8, 0.0, -1.0]);
        assert!(matches!(Vectors::new(vec![1.0; 3], 2), Err(VectorError::Ragged { .. })));
        assert!(matches!(Vectors::new(vec![], 0), Err(VectorError::Ragged { .. })));
        let bad = Vectors::new(vec![1.0, 1.0, 1.0, f32::NAN], 2);
        assert!(matches!(bad, Err(VectorError::NotFinite { row: 1, .. })));
        let zero = Vectors::new(vec![1.0, 1.0, 0.0, 0.0], 2).unwrap().normalized();
        assert!(matches!(zero, Err(VectorError::Zero { row: 1 })));
    }
}
