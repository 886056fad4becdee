//! The end of a block: `shortcut + scale[n]·branch`.

use super::{of, packs, read, read_any, threads, write};
use crate::work::{Record, Values, long};

/// Features of `images` images; factors 1 where there is no `scale [N]`.
pub fn forward(
    record: &mut dyn Record,
    [shortcut, branch]: [&Values; 2],
    scale: Option<&Values>,
    images: usize,
    out: &Values,
) {
    let of_image = out.len() / images;
    let spans = vec![read(shortcut), read(branch), read_any(scale), write(out)];
    let arguments = [spans, vec![long(out.len()), long(of_image)]].concat();
    record.push(threads(of("residual_forward", out.element()), packs(out, of_image), arguments));
}

/// The gradient by the branch, from that by the result.
pub fn backward(record: &mut dyn Record, gradient: &Values, scale: &Values, by_branch: &Values) {
    let of_image = gradient.len() / scale.len();
    let spans = vec![read(gradient), read(scale), write(by_branch)];
    let arguments = [spans, vec![long(gradient.len()), long(of_image)]].concat();
    let kernel = of("residual_backward", gradient.element());
    record.push(threads(kernel, packs(gradient, of_image), arguments));
}
