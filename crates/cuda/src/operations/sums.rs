//! Sums over rows in two steps of fixed order: each chunk of rows, then the chunks. Twin of `columns.h`.

use super::{WARP, blocks, flag, read, threads, write};
use crate::work::{Argument, Command, Element, Launch, Record, Values, int};

/// Rows that a block has at a time, `ROWS` of `columns.h`.
const ROWS: usize = 8;
/// About as many blocks as keep a large card busy; fewer sums to add afterwards is all that a smaller number gives.
const BLOCKS: usize = 1024;

/// How the rows of images are cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunks {
    images: usize,
    rows: usize,
    channels: usize,
    pack: usize,
    /// Rows of a chunk.
    each: usize,
    /// Chunks of an image.
    pub(super) count: usize,
}

impl Chunks {
    /// Of `x [images, R, channels]`.
    pub(super) fn of(x: &Values, images: usize, channels: usize) -> Self {
        let pack = if channels.is_multiple_of(x.element().pack()) { x.element().pack() } else { 1 };
        let rows = x.len() / images / channels;
        let beside = images * channels.div_ceil(WARP * pack);
        let most = rows.div_ceil(4 * ROWS);
        let each = rows.div_ceil((BLOCKS / beside).clamp(1, most));
        Self { images, rows, channels, pack, each, count: rows.div_ceil(each) }
    }

    /// Room for `sums` sums of each chunk and channel.
    pub(super) fn parts(&self, record: &mut dyn Record, sums: usize) -> Values {
        record.scratch(self.images * self.count * sums * self.channels, Element::F32)
    }

    /// The launch of a kernel that ends with rows, channels and rows of a chunk.
    pub(super) fn launch(&self, kernel: String, mut arguments: Vec<Argument>) -> Command {
        arguments.extend([self.rows, self.channels, self.each].map(int));
        let grid = [
            blocks(self.channels, WARP * self.pack),
            blocks(self.count, 1),
            blocks(self.images, 1),
        ];
        Command::Launch(Launch { kernel, grid, block: [WARP as u32, ROWS as u32, 1], arguments })
    }
}

/// The sums of `x [images, R, channels]` over the rows of each chunk.
pub(super) fn column_sums(record: &mut dyn Record, x: &Values, chunks: &Chunks) -> Values {
    let parts = chunks.parts(record, 1);
    let kernel = format!("column_sums<{}, {}>", x.element().name(), chunks.pack);
    record.push(chunks.launch(kernel, vec![read(x), write(&parts)]));
    parts
}

/// `out` = the sums over `chunks` of values that begin at `first` of each chunk of `parts`; added to what is there
/// where `adds` is set.
pub(super) fn sum_parts(
    record: &mut dyn Record,
    parts: &Values,
    [chunks, first]: [usize; 2],
    out: &Values,
    adds: bool,
) {
    let stride = parts.len() / chunks;
    let from = parts.part(first, parts.len() - first);
    let sizes = [chunks, out.len(), stride].map(int);
    let arguments = [vec![read(&from), write(out)], sizes.to_vec(), vec![flag(adds)]].concat();
    record.push(threads("sum_parts", out.len(), arguments));
}
