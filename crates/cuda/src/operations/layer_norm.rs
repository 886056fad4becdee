//! Layer norm over the last dimension.

use super::sums::{Chunks, sum_parts};
use super::{of, packs, read, warps, write};
use crate::work::{Element, Record, Values, int};

/// `x [.., C]` to `out`.
pub fn forward(
    record: &mut dyn Record,
    x: &Values,
    [gamma, beta]: [&Values; 2],
    eps: f32,
    out: &Values,
) {
    let channels = gamma.len();
    assert_eq!(beta.len(), channels, "gamma and beta are of as many channels");
    packs(x, channels);
    let rows = x.len() / channels;
    let spans = vec![read(x), read(gamma), read(beta), write(out)];
    let numbers = vec![int(rows), int(channels), eps.into()];
    record.push(warps(of("layer_norm", x.element()), rows, [spans, numbers].concat()));
}

/// The gradients, from that by the result. Those by gamma and beta are added to what is there where `adds` is set.
pub fn backward(
    record: &mut dyn Record,
    [x, gamma, gradient]: [&Values; 3],
    eps: f32,
    by_x: &Values,
    [by_gamma, by_beta]: [&Values; 2],
    adds: bool,
) {
    let channels = gamma.len();
    packs(x, channels);
    let rows = x.len() / channels;
    let moments = record.scratch(2 * rows, Element::F32);
    let spans = vec![read(x), read(gamma), read(gradient), write(by_x), write(&moments)];
    let numbers = vec![int(rows), int(channels), eps.into()];
    record.push(warps(of("layer_norm_input", x.element()), rows, [spans, numbers].concat()));
    let chunks = Chunks::of(x, 1, channels);
    let parts = chunks.parts(record, 2);
    let spans = vec![read(x), read(gradient), read(&moments), write(&parts)];
    record.push(chunks.launch(of("layer_norm_weights", x.element()), spans));
    sum_parts(record, &parts, [chunks.count, 0], by_gamma, adds);
    sum_parts(record, &parts, [chunks.count, channels], by_beta, adds);
}
