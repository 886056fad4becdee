//! A look at some of a set's pictures before they are used: whether they are what a network can learn from.

use fcmae_data::source::printable;
use fcmae_data::{DataError, Input, Limits, PictureSet, PixelFormat, Statistics};

/// Pictures looked at, at most.
const MOST: usize = 64;
/// Of large files fewer: so many bytes of them take less than a second.
const BYTES: u64 = 32 << 20;
const FEWEST: usize = 4;

/// What was noticed of them, each with a count and an example; nothing of ordinary pictures.
///
/// # Errors
/// Threads that cannot be started.
pub fn survey(
    set: &PictureSet,
    format: PixelFormat,
    limits: &Limits,
) -> Result<Vec<String>, DataError> {
    let each = set.mean_bytes().max(1);
    let count = usize::try_from(BYTES / each).unwrap_or(MOST).clamp(FEWEST, MOST);
    let found = Statistics::of(set, format, Some(count), rayon::current_num_threads(), limits)?;
    Ok(told(found))
}

/// The same of pictures that are no set: of some, where they are many.
///
/// # Errors
/// As [`survey`].
pub fn survey_inputs(
    inputs: &[Input],
    format: PixelFormat,
    limits: &Limits,
) -> Result<Vec<String>, DataError> {
    let workers = rayon::current_num_threads();
    Ok(told(Statistics::of_inputs(inputs, format, Some(MOST), workers, limits)?))
}

fn told(found: Statistics) -> Vec<String> {
    let told = found.remarks.into_iter().map(|remarked| {
        let (of, first) = (found.looked_at, printable(&remarked.first));
        format!(
            "{} of {of} pictures looked at, such as {first}: {}",
            remarked.pictures, remarked.text
        )
    });
    told.collect()
}
