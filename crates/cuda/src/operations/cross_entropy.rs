//! Cross entropy against probabilities.

use super::rows::scaled_sum;
use super::{of, read, warps, write, write_any};
use crate::work::{Element, Record, Values, int};

/// The mean over images of `−Σ target·log softmax(logits)`, logits and targets `[N, K]`, to `loss [1]`; and `share` of
/// its gradient, where it is wanted.
pub fn cross_entropy(
    record: &mut dyn Record,
    [logits, targets]: [&Values; 2],
    classes: usize,
    loss: Option<&Values>,
    gradient: Option<(&Values, f32)>,
) {
    assert_eq!(targets.len(), logits.len(), "a target for each logit");
    let rows = logits.len() / classes;
    let parts = record.scratch(rows, Element::F64);
    let (by_logits, share) = gradient.map_or((None, 1.0), |(by, share)| (Some(by), share));
    let factor = share / rows as f32;
    let spans = vec![read(logits), read(targets), write(&parts), write_any(by_logits)];
    let arguments = [spans, vec![int(rows), int(classes), factor.into()]].concat();
    record.push(warps(of("cross_entropy", logits.element()), rows, arguments));
    if let Some(loss) = loss {
        scaled_sum(record, &parts, 1.0 / f64::from(share), loss);
    }
}
