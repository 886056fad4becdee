//! The mean over sites.

use super::sums::{Chunks, column_sums};
use super::{of, packs, read, threads, write};
use crate::work::{Record, Values, int, long};

/// `x [N, S, C]` to `out [N, C]`.
pub fn forward(record: &mut dyn Record, x: &Values, images: usize, out: &Values) {
    let channels = out.len() / images;
    let chunks = Chunks::of(x, images, channels);
    let parts = column_sums(record, x, &chunks);
    let sizes = [images, chunks.count, channels, x.len() / out.len()].map(int);
    let arguments = [vec![read(&parts), write(out)], sizes.to_vec()].concat();
    record.push(threads(of("pool_means", x.element()), out.len(), arguments));
}

/// `gradient [N, C]` to `by_x [N, S, C]`.
pub fn backward(record: &mut dyn Record, gradient: &Values, images: usize, by_x: &Values) {
    let channels = gradient.len() / images;
    let sites = int(by_x.len() / gradient.len());
    let arguments = vec![read(gradient), write(by_x), sites, int(channels), long(by_x.len())];
    record.push(threads(of("pool_backward", by_x.element()), packs(by_x, channels), arguments));
}
