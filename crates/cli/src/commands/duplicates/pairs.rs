//! Pairs of copies, of which there may be too many.

use fcmae_vectors::neighbours::{Distinct, Pairs};
use fcmae_words::grouped;

use crate::output;

/// Most pairs that are kept: the most alike.
pub(super) const MOST_PAIRS: usize = 2_000_000;

/// The cosine from which on two rows are copies. The cosine of equal ones is 1 up to rounding in float32, and
/// `--threshold 1` finds them.
pub(super) fn least(threshold: f32) -> f32 {
    threshold - 2e-6
}

/// A note where there are more pairs than are kept, which is printed too.
pub(super) fn truncated(found: &Pairs) -> Option<String> {
    let least = found.pairs.last().filter(|_| found.truncated)?.cosine;
    let text = format!(
        "More than {} pairs are alike: only those with a cosine of {least:.4} or more are used, and copies may be \
         missing. Give a higher --threshold.",
        grouped(MOST_PAIRS)
    );
    output::note(&text);
    Some(text)
}

/// Each row that is equal to an earlier one, with the first of them.
pub(super) fn repeated(found: &Distinct) -> impl Iterator<Item = (usize, usize)> {
    let first = found.of.iter().map(|&place| found.first[place]);
    first.enumerate().filter(|(row, first)| row != first)
}
