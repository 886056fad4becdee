//! Errors.

/// What vectors, labels or numbers cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VectorError {
    /// Values that are no whole rows.
    #[error("{values} values are not rows of {width}")]
    Ragged {
        /// Values given.
        values: usize,
        /// Values of a row.
        width: usize,
    },
    /// A row that holds NaN or an infinity.
    #[error("row {row} holds a value that is not a number ({value}): make the vectors again")]
    NotFinite {
        /// Counted from 0.
        row: usize,
        /// The first such value.
        value: f32,
    },
    /// A row of zeros has no direction.
    #[error("row {row} is all zeros and has no direction: leave it out")]
    Zero {
        /// Counted from 0.
        row: usize,
    },
    /// Rows of two widths cannot be compared.
    #[error(
        "rows of {left} values cannot be compared with rows of {right}: take both from one network"
    )]
    Widths {
        /// Values of a row.
        left: usize,
        /// Values of a row of the other vectors.
        right: usize,
    },
    /// Something that each row has one of.
    #[error("{found} {what} for {rows} rows: give each row one")]
    Lengths {
        /// What there is one of, in the plural.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        rows: usize,
    },
    /// Too little to compute with.
    #[error("{found} {what}, but at least {needed} are needed")]
    Few {
        /// What there is too little of, in the plural.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        needed: usize,
    },
    /// A setting beyond its range.
    #[error("{what} is {value}: {fix}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        fix: String,
    },
    /// A place beyond the last row.
    #[error("there is no row {row}: there are {rows} rows, counted from 0")]
    NoRow {
        /// Named.
        row: usize,
        /// Number of rows.
        rows: usize,
    },
    /// A score that is not a number.
    #[error("score {place} is not a number ({value})")]
    Score {
        /// Counted from 0.
        place: usize,
        /// The first such score.
        value: f64,
    },
    /// More classes than logistic regression is fitted to.
    #[error(
        "{found} classes are too many for logistic regression on {width} values: it takes at most {most}"
    )]
    ManyClasses {
        /// Classes given.
        found: usize,
        /// Values of a row.
        width: usize,
        /// The most that are possible.
        most: usize,
    },
    /// From the kernels.
    #[error(transparent)]
    Kernel(#[from] fcmae_kernels::KernelError),
}

impl VectorError {
    pub(crate) fn setting(
        what: &'static str,
        value: impl std::fmt::Display,
        fix: impl Into<String>,
    ) -> Self {
        Self::Setting { what, value: value.to_string(), fix: fix.into() }
    }
}
