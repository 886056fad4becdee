//! Pictures on their way into the network, in place once they are normalized: `[N, H, W, C]`.

use super::{THREADS, blocks, read, threads, write};
use crate::work::{Command, Launch, Values, int, long};

/// `(value / 255 − mean) / deviation` of bytes, by channel.
pub fn normalize(pixels: &Values, [mean, deviation]: [&Values; 2], out: &Values) -> Command {
    let spans = [read(pixels), read(mean), read(deviation), write(out)];
    let sizes = [int(mean.len()), long(pixels.len())];
    threads("normalize", pixels.len(), [spans.to_vec(), sizes.to_vec()].concat())
}

/// How many numbers a box is told by: picture, top, left, height, width, and where its values begin in the noise.
pub const BOX: usize = 6;

/// `noise` over `boxes [K, 6]`, the largest of which has `most` values.
pub fn erase(
    [boxes, noise]: [&Values; 2],
    most: usize,
    images: &Values,
    [_, height, width, channels]: [usize; 4],
) -> Command {
    let spans = vec![read(boxes), read(noise), write(images)];
    Command::Launch(Launch {
        kernel: "erase".to_owned(),
        grid: [blocks(most, THREADS), blocks(boxes.len(), BOX), 1],
        block: [THREADS as u32, 1, 1],
        arguments: [spans, [height, width, channels].map(int).to_vec()].concat(),
    })
}

/// Each picture times `own` plus its partner times `other`. Partners are the first and the last picture, the second and
/// the last but one, and so on; one in the middle is its own.
pub fn mix_up(images: &Values, count: usize, [own, other]: [f32; 2]) -> Command {
    let picture = images.len() / count;
    let sizes = [long(count), long(picture)];
    let arguments = [vec![write(images)], sizes.to_vec(), vec![own.into(), other.into()]].concat();
    threads("mix_up", count.div_ceil(2) * picture, arguments)
}

/// A box, `[top, left, height, width]` and not empty, exchanged between partners, of whom there are some.
pub fn mix_cut(
    images: &Values,
    [count, height, width, channels]: [usize; 4],
    [top, left, rows, columns]: [usize; 4],
) -> Command {
    let (stride, row) = (width * channels, columns * channels);
    let first = top * stride + left * channels;
    let sizes = [count, height * stride, first, row, rows, stride].map(long);
    threads("mix_cut", count / 2 * rows * row, [vec![write(images)], sizes.to_vec()].concat())
}
