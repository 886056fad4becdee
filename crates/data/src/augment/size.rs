//! Sizes in whole pixels.

use crate::error::DataError;

/// Largest height or width of an input.
pub const MAX_SIDE: u32 = 16_384;

pub(super) fn check_size(height: u32, width: u32) -> Result<(), DataError> {
    let range = 1..=MAX_SIDE;
    if range.contains(&height) && range.contains(&width) {
        return Ok(());
    }
    Err(DataError::Parameter {
        what: "image size (height × width)",
        value: format!("{height}×{width}"),
        remedy: format!("sides from 1 to {MAX_SIDE} are possible"),
    })
}

/// Rounds as Python's `round`: halves to the even neighbour.
pub(super) fn round_half_even(value: f64) -> f64 {
    value.round_ties_even()
}
