//! Rows of a matrix: chosen ones, standardized ones, and how far those of two are apart, by value and by direction.

use super::sums::sum_parts;
use super::{THREADS, block_each, blocks, of, packs, read, read_any, threads, write, write_any};
use crate::work::{Command, Element, Launch, Record, Values, int, long};

/// The rows of `x [R, D]` that `chosen [K]` lists, to `out [K, D]`; row R is `filler [D]`, in float32.
pub fn select(
    record: &mut dyn Record,
    x: &Values,
    chosen: &Values,
    filler: Option<&Values>,
    out: &Values,
) {
    let (count, width) = (chosen.len(), out.len() / chosen.len());
    let spans = vec![read(x), read(chosen), read_any(filler), write(out)];
    let sizes = [x.len() / width, count, width].map(int);
    let arguments = [spans, sizes.to_vec()].concat();
    record.push(threads(of("select_rows", out.element()), packs(out, width), arguments));
}

/// Which chosen rows come from where: those that are row r of the matrix are `sources[starts[r]..starts[r + 1]]`, and
/// what follows the last are those of the filler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// `[R + 1]`
    pub starts: Vec<i32>,
    /// `[K]`
    pub sources: Vec<i32>,
}

impl Sources {
    /// Of the list `chosen`, of rows of a matrix of `rows` rows.
    ///
    /// # Panics
    /// Where a row is beyond the filler's, or there are more than 2³¹ − 1.
    pub fn of(chosen: &[u32], rows: usize) -> Self {
        let number = |place: usize| i32::try_from(place).expect("rows that a kernel can count");
        let mut starts = vec![0; rows + 2];
        chosen.iter().for_each(|&row| starts[row as usize + 1] += 1);
        for row in 0..=rows {
            starts[row + 1] += starts[row];
        }
        let mut next: Vec<i32> = starts[..=rows].to_vec();
        let mut sources = vec![0; chosen.len()];
        for (place, &row) in chosen.iter().enumerate() {
            let at = &mut next[row as usize];
            sources[*at as usize] = number(place);
            *at += 1;
        }
        starts.truncate(rows + 1);
        Self { starts, sources }
    }
}

/// The gradient by the matrix, from `gradient [K, D]`; `starts [R + 1]` and `sources [K]` are [`Sources`].
pub fn select_backward(
    record: &mut dyn Record,
    gradient: &Values,
    [starts, sources]: [&Values; 2],
    by_x: &Values,
) {
    let rows = starts.len() - 1;
    let width = by_x.len() / rows;
    let spans = vec![read(gradient), read(starts), read(sources), write(by_x)];
    let arguments = [spans, [rows, width].map(int).to_vec()].concat();
    record.push(threads(of("select_rows_backward", by_x.element()), packs(by_x, width), arguments));
}

/// The gradient by the filler, the sum of the rows of `gradient [K, D]` that `sources` lists from `first` on; added to
/// what is there where `adds` is set.
pub fn filler_backward(
    record: &mut dyn Record,
    gradient: &Values,
    sources: &Values,
    first: usize,
    by_filler: &Values,
    adds: bool,
) {
    // So many that the last step has few sums for each column.
    const EACH: usize = 64;
    let (count, width) = (sources.len() - first, by_filler.len());
    let chunks = count.div_ceil(EACH).max(1);
    let parts = record.scratch(chunks * width, Element::F32);
    let spans = vec![read(gradient), read(sources), write(&parts)];
    record.push(Command::Launch(Launch {
        kernel: of("filler_sums", gradient.element()),
        grid: [blocks(width, THREADS), blocks(chunks, 1), 1],
        block: [THREADS as u32, 1, 1],
        arguments: [spans, [first, count, width, EACH].map(int).to_vec()].concat(),
    }));
    sum_parts(record, &parts, [chunks, 0], by_filler, adds);
}

/// Each row of `x [R, D]`, float32, minus its mean over `√(unbiased variance + eps)`.
pub fn standardize(record: &mut dyn Record, x: &Values, width: usize, eps: f32, out: &Values) {
    let arguments = vec![read(x), write(out), int(width), eps.into()];
    record.push(block_each("standardize_rows", x.len() / width, arguments));
}

/// The mean of `(a − b)²` to `loss [1]`, and `share` of its gradient by `a`, which may lie where `a` does: whichever is
/// wanted. `b` is float32.
pub fn squared_difference(
    record: &mut dyn Record,
    [a, b]: [&Values; 2],
    loss: Option<&Values>,
    gradient: Option<(&Values, f32)>,
) {
    // A block's sum is of some thousand values: few enough for float32.
    const EACH: usize = 16 * THREADS;
    let values = a.len();
    let count = values.div_ceil(EACH).min(4096);
    let parts = record.scratch(count, Element::F64);
    let (by_a, share) = gradient.map_or((None, 0.0), |(by, share)| (Some(by), share));
    let factor = (2.0 * f64::from(share) / values as f64) as f32;
    let spans = vec![read(a), read(b), write(&parts), write_any(by_a)];
    record.push(Command::Launch(Launch {
        kernel: of("squared_difference", a.element()),
        grid: [blocks(count, 1), 1, 1],
        block: [THREADS as u32, 1, 1],
        arguments: [spans, vec![long(values), factor.into()]].concat(),
    }));
    if let Some(loss) = loss {
        scaled_sum(record, &parts, 1.0 / values as f64, loss);
    }
}

/// The mean of `1 − cos` over the rows of `a` and `b [R, width]` to `loss [1]`, and `share` of its gradient by `a`, which
/// may lie where `a` does: whichever is wanted. `b` is float32.
pub fn cosine_distance(
    record: &mut dyn Record,
    [a, b]: [&Values; 2],
    width: usize,
    loss: Option<&Values>,
    gradient: Option<(&Values, f32)>,
) {
    let rows = a.len() / width;
    let parts = record.scratch(rows, Element::F64);
    let (by_a, share) = gradient.map_or((None, 0.0), |(by, share)| (Some(by), share));
    let factor = (f64::from(share) / rows as f64) as f32;
    let spans = vec![read(a), read(b), write(&parts), write_any(by_a)];
    let arguments = [spans, vec![int(width), factor.into()]].concat();
    record.push(block_each(of("cosine_distance", a.element()), rows, arguments));
    if let Some(loss) = loss {
        scaled_sum(record, &parts, 1.0 / rows as f64, loss);
    }
}

/// `factor` times the sum of `parts` to `out [1]`.
pub(super) fn scaled_sum(record: &mut dyn Record, parts: &Values, factor: f64, out: &Values) {
    let arguments = vec![read(parts), write(out), int(parts.len()), factor.into()];
    record.push(Command::Launch(Launch {
        kernel: "scaled_sum".to_owned(),
        grid: [1; 3],
        block: [1; 3],
        arguments,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_know_who_chose_them() {
        let sources = Sources::of(&[2, 0, 3, 2, 3], 3);
        assert_eq!(sources.starts, [0, 1, 1, 3]);
        assert_eq!(sources.sources, [1, 0, 3, 2, 4]);
    }
}
