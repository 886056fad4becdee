//! The inner loops.

use std::ops::Range;

use super::operands::{Factors, Left, Rows};
use crate::simd::{Cell, LANES, Lanes, Simd};

/// sums = or += (where `depth` doesn't start at 0) rows · panel, for a panel of `vectors` vectors of
/// which `cells` are the rows `depth`.
#[inline(always)]
pub(super) fn product_of_rows<S: Simd>(
    simd: S,
    left: Left<'_>,
    rows: Rows,
    depth: Range<usize>,
    vectors: usize,
    cells: &[Cell],
    sums: &mut [Cell],
) {
    let first = &left.values[rows.first * left.stride..];
    let left = Left { values: first, ..left };
    match (vectors, rows.count) {
        (2, count) => pairs_of_rows(simd, left, count, depth, [cells], [sums]),
        // Three vectors of more than four rows don't fit the registers.
        (3, 5 | 6) => {
            let (upper, lower) = sums.split_at_mut(3 * 3);
            by_rows::<S, 3, 3>(simd, left, depth.clone(), cells, upper);
            let left = Left { values: &left.values[3 * left.stride..], ..left };
            if rows.count == 6 {
                by_rows::<S, 3, 3>(simd, left, depth, cells, lower);
            } else {
                by_rows::<S, 2, 3>(simd, left, depth, cells, lower);
            }
        }
        (3, 4) => by_rows::<S, 4, 3>(simd, left, depth, cells, sums),
        (3, 3) => by_rows::<S, 3, 3>(simd, left, depth, cells, sums),
        // Rare: the few sites of a small image, or very narrow networks.
        (3, _) => one_by_one::<S, 3>(simd, left, depth, cells, sums),
        _ => one_by_one::<S, 1>(simd, left, depth, cells, sums),
    }
}

/// As [`product_of_rows`], for two panels of two vectors each: more sums at once than the registers of
/// most instruction sets hold.
#[inline(always)]
pub(super) fn product_of_rows_with_two<S: Simd>(
    simd: S,
    left: Left<'_>,
    rows: Rows,
    depth: Range<usize>,
    cells: [&[Cell]; 2],
    sums: [&mut [Cell]; 2],
) {
    let first = &left.values[rows.first * left.stride..];
    let left = Left { values: first, ..left };
    pairs_of_rows(simd, left, rows.count, depth, cells, sums);
}

/// `count` rows with P panels of two vectors.
#[inline(always)]
fn pairs_of_rows<S: Simd, const P: usize>(
    simd: S,
    left: Left<'_>,
    count: usize,
    depth: Range<usize>,
    cells: [&[Cell]; P],
    sums: [&mut [Cell]; P],
) {
    match count {
        6 => by_pairs::<S, 6, P>(simd, left, depth, cells, sums),
        5 => by_pairs::<S, 5, P>(simd, left, depth, cells, sums),
        4 => by_pairs::<S, 4, P>(simd, left, depth, cells, sums),
        3 => by_pairs::<S, 3, P>(simd, left, depth, cells, sums),
        2 => by_pairs::<S, 2, P>(simd, left, depth, cells, sums),
        _ => by_pairs::<S, 1, P>(simd, left, depth, cells, sums),
    }
}

/// R rows with P panels of two vectors; the loops are as in [`by_rows`].
#[expect(clippy::needless_range_loop, reason = "unrolled; see `by_rows`")]
#[inline(always)]
fn by_pairs<S: Simd, const R: usize, const P: usize>(
    simd: S,
    left: Left<'_>,
    depth: Range<usize>,
    cells: [&[Cell]; P],
    out: [&mut [Cell]; P],
) {
    let out = out.map(|out| {
        let (pairs, _) = out.as_chunks_mut::<2>();
        pairs.first_chunk_mut::<R>().expect("a pair for every row")
    });
    let cells = cells.map(|cells| cells.as_chunks::<2>().0);
    let mut sums = [[simd.splat_pair(0.0); P]; R];
    if depth.start > 0 {
        for row in 0..R {
            for p in 0..P {
                sums[row][p] = simd.load_pair(&out[p][row]);
            }
        }
    }
    let whole = depth.len() / LANES * LANES;
    left.check(R, &depth);
    for start in (0..whole).step_by(LANES) {
        let k = depth.start + start;
        let at = k / 16 * left.block + k % 16;
        let left: [&Lanes; R] = std::array::from_fn(|row| {
            // SAFETY: `check` found R rows' whole depth within `values`, and eight values from a multiple
            // of eight on are within it and follow each other.
            unsafe { &*left.values.as_ptr().add(row * left.stride + at).cast() }
        });
        let cells: [&[[Cell; 2]; LANES]; P] = std::array::from_fn(|p| {
            cells[p][start..].first_chunk().expect("panels of as many rows as the depth")
        });
        for k in 0..LANES {
            let right: [S::Pair; P] = std::array::from_fn(|p| simd.load_pair(&cells[p][k]));
            for row in 0..R {
                let value = simd.splat_pair(left[row][k]);
                for p in 0..P {
                    sums[row][p] = simd.mul_add_pair(value, right[p], sums[row][p]);
                }
            }
        }
    }
    for rest in whole..depth.len() {
        let k = depth.start + rest;
        let at = k / 16 * left.block + k % 16;
        for row in 0..R {
            let value = simd.splat_pair(left.values[row * left.stride + at]);
            for p in 0..P {
                let right = simd.load_pair(&cells[p][rest]);
                sums[row][p] = simd.mul_add_pair(value, right, sums[row][p]);
            }
        }
    }
    for row in 0..R {
        for p in 0..P {
            simd.store_pair(sums[row][p], &mut out[p][row]);
        }
    }
}

#[inline(always)]
fn one_by_one<S: Simd, const V: usize>(
    simd: S,
    left: Left<'_>,
    depth: Range<usize>,
    cells: &[Cell],
    sums: &mut [Cell],
) {
    for (row, sums) in sums.chunks_exact_mut(V).enumerate() {
        let left = Left { values: &left.values[row * left.stride..], ..left };
        by_rows::<S, 1, V>(simd, left, depth.clone(), cells, sums);
    }
}

/// R rows with V vectors of columns.
///
/// The loops over sums are plain ones with constant bounds, which the compiler unrolls entirely so
/// that the sums stay in registers.
#[expect(clippy::needless_range_loop, reason = "unrolled, see above")]
#[inline(always)]
fn by_rows<S: Simd, const R: usize, const V: usize>(
    simd: S,
    left: Left<'_>,
    depth: Range<usize>,
    cells: &[Cell],
    out: &mut [Cell],
) {
    let mut sums =
        if depth.start == 0 { [[simd.splat(0.0); V]; R] } else { load::<S, R, V>(simd, out) };
    let whole = depth.len() / LANES * LANES;
    left.check(R, &depth);
    let (eights, rest) = cells[..depth.len() * V].split_at(whole * V);
    for (eight, cells) in eights.chunks_exact(LANES * V).enumerate() {
        let k = depth.start + eight * LANES;
        let at = k / 16 * left.block + k % 16;
        let left: [&Lanes; R] = std::array::from_fn(|row| {
            // SAFETY: `check` found R rows' whole depth within `values`, and eight values from a multiple
            // of eight on are within it and follow each other.
            unsafe { &*left.values.as_ptr().add(row * left.stride + at).cast() }
        });
        for k in 0..LANES {
            let right: [S::Vector; V] = std::array::from_fn(|v| simd.load(&cells[k * V + v].0));
            for row in 0..R {
                let value = simd.splat(left[row][k]);
                for v in 0..V {
                    sums[row][v] = simd.mul_add(value, right[v], sums[row][v]);
                }
            }
        }
    }
    for (k, cells) in rest.chunks_exact(V).enumerate() {
        let k = depth.start + whole + k;
        let at = k / 16 * left.block + k % 16;
        for row in 0..R {
            let value = simd.splat(left.values[row * left.stride + at]);
            for v in 0..V {
                sums[row][v] = simd.mul_add(value, simd.load(&cells[v].0), sums[row][v]);
            }
        }
    }
    store::<S, R, V>(simd, sums, out);
}

/// sums += leftᵀ · right for T strips from number `strip` on, each of `columns` columns.
#[inline(always)]
pub(super) fn product_of_strips<S: Simd, const T: usize>(
    simd: S,
    factors: &[Factors<'_>],
    strip: usize,
    columns: usize,
    sums: &mut [Cell],
) {
    match columns {
        6 => by_strips::<S, 6, T>(simd, factors, strip, sums),
        5 => by_strips::<S, 5, T>(simd, factors, strip, sums),
        4 => by_strips::<S, 4, T>(simd, factors, strip, sums),
        3 => by_strips::<S, 3, T>(simd, factors, strip, sums),
        2 => by_strips::<S, 2, T>(simd, factors, strip, sums),
        _ => by_strips::<S, 1, T>(simd, factors, strip, sums),
    }
}

/// As [`by_pairs`], the left-hand matrix transposed.
#[expect(clippy::needless_range_loop, reason = "unrolled; see `by_rows`")]
#[inline(always)]
fn by_strips<S: Simd, const R: usize, const T: usize>(
    simd: S,
    factors: &[Factors<'_>],
    strip: usize,
    out: &mut [Cell],
) {
    // The sums are far away: asked for now, they are there when they are needed.
    for cell in out.iter().step_by(2) {
        simd.prefetch(&cell.0);
    }
    let mut sums = [[simd.splat_pair(0.0); R]; T];
    for Factors { left, right } in factors {
        let (right, _) = right.as_chunks::<2>();
        let left: [&[Cell]; T] =
            std::array::from_fn(|t| &left[(strip + t) * right.len()..][..right.len()]);
        for (k, right) in right.iter().enumerate() {
            let right = simd.load_pair(right);
            for t in 0..T {
                for row in 0..R {
                    let value = simd.splat_pair(left[t][k].0[row]);
                    sums[t][row] = simd.mul_add_pair(value, right, sums[t][row]);
                }
            }
        }
    }
    let (out, _) = out.as_chunks_mut::<2>();
    for (sums, out) in sums.into_iter().zip(out.chunks_exact_mut(R)) {
        for (sum, out) in sums.into_iter().zip(out) {
            simd.store_pair(simd.add_pair(sum, simd.load_pair(out)), out);
        }
    }
}

#[inline(always)]
fn load<S: Simd, const R: usize, const V: usize>(simd: S, from: &[Cell]) -> [[S::Vector; V]; R] {
    std::array::from_fn(|row| std::array::from_fn(|v| simd.load(&from[row * V + v].0)))
}

#[inline(always)]
fn store<S: Simd, const R: usize, const V: usize>(
    simd: S,
    sums: [[S::Vector; V]; R],
    to: &mut [Cell],
) {
    for (row, sums) in sums.into_iter().enumerate() {
        for (v, sum) in sums.into_iter().enumerate() {
            simd.store(sum, &mut to[row * V + v].0);
        }
    }
}
