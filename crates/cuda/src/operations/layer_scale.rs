//! V1's layer scale, a factor for each row of a layer's weight.

use super::{block_each, flag, of, read, threads, write};
use crate::work::{Record, Values, int, long};

/// `x [O, ..]` times `scale [O]`, both float32, in the type of `out`; added to what is there where `adds` is set.
pub fn scale(record: &mut dyn Record, x: &Values, scale: &Values, out: &Values, adds: bool) {
    let width = int(x.len() / scale.len());
    let arguments = vec![read(x), read(scale), write(out), width, long(x.len()), flag(adds)];
    record.push(threads(of("scale_rows", out.element()), x.len(), arguments));
}

/// The gradient by the scale: of each row the sum of weight times its gradient, and bias times its own; added to what
/// is there where `adds` is set.
pub fn backward(
    record: &mut dyn Record,
    [weight, by_weight]: [&Values; 2],
    [bias, by_bias]: [&Values; 2],
    by_scale: &Values,
    adds: bool,
) {
    let spans = [weight, by_weight, bias, by_bias].map(read).to_vec();
    let width = int(weight.len() / bias.len());
    let arguments = [spans, vec![write(by_scale), width, flag(adds)]].concat();
    record.push(block_each("scale_rows_sums", bias.len(), arguments));
}
