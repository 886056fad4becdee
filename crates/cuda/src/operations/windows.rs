//! Windows of k × k sites as rows, and a convolution's weight in their order.

use super::{read, threads, write};
use crate::work::{Element, Record, Values, int, long};

/// The plane before it is cut into windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plane {
    /// Sites of a line.
    pub width: usize,
    /// Values of a site.
    pub channels: usize,
}

/// `x [P, H, W, C]` to `out [P, H/k, W/k, k·k·C]`.
pub fn space_to_depth(record: &mut dyn Record, x: &Values, plane: Plane, k: usize, out: &Values) {
    rearrange(record, x, plane, k, out, false);
}

/// The inverse.
pub fn depth_to_space(record: &mut dyn Record, x: &Values, plane: Plane, k: usize, out: &Values) {
    rearrange(record, x, plane, k, out, true);
}

fn rearrange(
    record: &mut dyn Record,
    x: &Values,
    plane: Plane,
    k: usize,
    out: &Values,
    back: bool,
) {
    let kernel = format!("space_to_depth<{}, {back}>", x.element().name());
    let sizes = [plane.width, plane.channels, k].map(int);
    let arguments = [vec![read(x), write(out)], sizes.to_vec(), vec![long(x.len())]].concat();
    record.push(threads(kernel, x.len(), arguments));
}

/// A weight `[O, I, k, k]` as a matrix `[O, k·k·I]`, in the type of `out`.
pub fn weight(record: &mut dyn Record, weight: &Values, inputs: usize, taps: usize, out: &Values) {
    transposed(record, weight, [inputs, taps], out);
}

/// From the gradient by the matrix, float32, to that by the weight; added to what is there where `adds` is set.
pub fn weight_backward(
    record: &mut dyn Record,
    by_matrix: &Values,
    inputs: usize,
    taps: usize,
    by_weight: &Values,
    adds: bool,
) {
    if !adds {
        return transposed(record, by_matrix, [taps, inputs], by_weight);
    }
    let more = record.scratch(by_weight.len(), Element::F32);
    transposed(record, by_matrix, [taps, inputs], &more);
    super::update::accumulate(record, by_weight, &more);
}

fn transposed(record: &mut dyn Record, x: &Values, [rows, columns]: [usize; 2], out: &Values) {
    if rows == 1 || columns == 1 {
        // The same order: copied where the type is the same too.
        return record.push(super::converted(x, out));
    }
    let kernel = format!("transposed<{}, {}>", x.element().name(), out.element().name());
    let sizes = [rows, columns].map(int);
    let arguments = [vec![read(x), write(out)], sizes.to_vec(), vec![long(x.len())]].concat();
    record.push(threads(kernel, x.len(), arguments));
}
