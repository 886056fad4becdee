//! Errors.

/// What vectors, labels or numbers cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VectorError {
    /// Values that are no whole rows.
    #[error("{values} values are no rows of {width}")]
    Ragged {
        /// Values given.
        values: usize,
        /// Values of a row.
        width: usize,
    },
    /// A row that holds NaN or an infinity.
    #[error("row {row} holds a value that is no number ({value}): make the vectors again")]
    NotFinite {
        /// Counted from 0.
        row: usize,
        /// The first such value.
        value: f32,
    },
    /// A row of zeros has no direction.
    #[error("row {row} is zero throughout, so that it has no direction: leave it out")]
    Zero {
        /// Counted from 0.
        row: usize,
    },
}
