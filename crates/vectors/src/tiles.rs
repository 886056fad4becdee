//! Products of all rows with all rows, a tile at a time.

use fcmae_kernels::linear::{Prepared, forward_prepared};
use rayon::prelude::*;

use crate::error::VectorError;
use crate::vectors::Vectors;

/// Rows of a tile on either side: 4 MiB of scores.
const TILE: usize = 1024;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Measure {
    /// Score: the cosine.
    Cosine,
    /// Score: the half of |q|² − |q − x|², so that the nearest row has the highest.
    Euclidean,
}

/// One side of the products.
struct Side<'a> {
    vectors: &'a Vectors,
    /// What each row is multiplied by; empty for 1.
    scales: Vec<f32>,
    /// What is subtracted from each row first; empty for nothing.
    shift: Vec<f32>,
}

impl<'a> Side<'a> {
    fn new(vectors: &'a Vectors, measure: Measure, shift: &[f32]) -> Result<Self, VectorError> {
        let scales = match measure {
            Measure::Cosine => inverse_lengths(vectors)?,
            Measure::Euclidean => vec![],
        };
        Ok(Self { vectors, scales, shift: shift.to_vec() })
    }

    /// Rows from `first` on, at most a tile of them, as they are multiplied.
    fn tile(&self, first: usize, out: &mut Vec<f32>) {
        let width = self.vectors.width();
        let values = &self.vectors.values()[first * width..];
        let values = &values[..values.len().min(TILE * width)];
        out.resize(values.len(), 0.0);
        let rows = out.par_chunks_exact_mut(width).zip(values.par_chunks_exact(width));
        rows.enumerate().for_each(|(row, (out, values))| match self.scales.get(first + row) {
            Some(scale) => out.iter_mut().zip(values).for_each(|(out, value)| *out = value * scale),
            None => {
                let values = values.iter().zip(&self.shift);
                out.iter_mut().zip(values).for_each(|(out, (value, shift))| *out = value - shift);
            }
        });
    }
}

/// 1 divided by the length of each row.
fn inverse_lengths(vectors: &Vectors) -> Result<Vec<f32>, VectorError> {
    let inverse = |row: &[f32]| {
        let square: f64 = row.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
        (1.0 / square.sqrt()) as f32
    };
    let inverse: Vec<f32> =
        vectors.values().par_chunks_exact(vectors.width()).map(inverse).collect();
    match inverse.iter().position(|inverse| !inverse.is_finite()) {
        Some(row) => Err(VectorError::Zero { row }),
        None => Ok(inverse),
    }
}

/// The mean row.
fn mean(vectors: &Vectors) -> Vec<f32> {
    let mut sums = vec![0.0_f64; vectors.width()];
    for row in vectors.rows() {
        sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    let rows = vectors.len().max(1) as f64;
    sums.into_iter().map(|sum| (sum / rows) as f32).collect()
}

/// The scores of a tile of queries with a tile of the database.
pub(crate) struct Tile<'a> {
    /// The first query.
    pub(crate) query: usize,
    /// The first row of the database.
    pub(crate) row: usize,
    /// Rows of the database, the number of columns of `scores`.
    pub(crate) rows: usize,
    /// `[queries, rows]`.
    pub(crate) scores: &'a [f32],
}

/// Gives all scores of `queries` with `database` to `visit`, tile after tile: the database's rows ascend, and for each
/// tile of them the queries. With `upper`, tiles below the diagonal are left out.
///
/// Memory: two tiles of 1,024 rows, one of them twice, and 4 MiB.
pub(crate) fn products(
    database: &Vectors,
    queries: &Vectors,
    measure: Measure,
    upper: bool,
    mut visit: impl FnMut(Tile<'_>),
) -> Result<(), VectorError> {
    let width = database.width();
    if queries.width() != width {
        return Err(VectorError::Widths { left: queries.width(), right: width });
    }
    if database.len().max(queries.len()) > u32::MAX as usize {
        let rows = database.len().max(queries.len());
        return Err(VectorError::setting(
            "the number of rows",
            rows,
            "at most 2³² can be compared",
        ));
    }
    // Distances don't change where both move; around their mean they are computed most exactly.
    let shift = match measure {
        Measure::Cosine => vec![],
        Measure::Euclidean => mean(database),
    };
    let database = Side::new(database, measure, &shift)?;
    let queries = Side::new(queries, measure, &shift)?;
    let (mut right, mut left, mut scores) = (vec![], vec![], vec![]);
    for row in (0..database.vectors.len()).step_by(TILE) {
        database.tile(row, &mut right);
        let rows = right.len() / width;
        let prepared = Prepared::new(&right, width)?;
        let bias = (measure == Measure::Euclidean).then(|| half_squares(&right, width));
        let end =
            if upper { (row + rows).min(queries.vectors.len()) } else { queries.vectors.len() };
        for query in (0..end).step_by(TILE) {
            queries.tile(query, &mut left);
            scores.resize(left.len() / width * rows, 0.0);
            forward_prepared(&left, &prepared, bias.as_deref(), &mut scores)?;
            visit(Tile { query, row, rows, scores: &scores });
        }
    }
    Ok(())
}

/// −|x|² / 2 of each row.
fn half_squares(values: &[f32], width: usize) -> Vec<f32> {
    let half = |row: &[f32]| {
        (-0.5 * row.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>()) as f32
    };
    values.par_chunks_exact(width).map(half).collect()
}

/// The rows with the highest scores, of each query.
#[derive(Debug)]
pub(crate) struct Best {
    /// `[queries, k]`, the best first.
    pub(crate) places: Vec<u32>,
    /// Their scores, `[queries, k]`.
    pub(crate) scores: Vec<f32>,
}

/// The `k` rows of `database` with the highest scores with each query; of equal ones, those that come first. With
/// `others`, `queries` are the database, and no row is its own.
pub(crate) fn best(
    database: &Vectors,
    queries: &Vectors,
    measure: Measure,
    k: usize,
    others: bool,
) -> Result<Best, VectorError> {
    let most = database.len() - usize::from(others && !database.is_empty());
    if k == 0 || k > most {
        return Err(VectorError::setting(
            "the number of neighbours",
            k,
            format!("there are {most} rows to choose from, so give 1 to {most}"),
        ));
    }
    let mut best = Best {
        places: vec![0; queries.len() * k],
        scores: vec![f32::NEG_INFINITY; queries.len() * k],
    };
    products(database, queries, measure, false, |tile| {
        let start = tile.query * k;
        let places = best.places[start..].par_chunks_mut(k);
        let scores = best.scores[start..].par_chunks_mut(k);
        let rows = tile.scores.par_chunks(tile.rows);
        places.zip(scores).zip(rows).enumerate().for_each(|(query, ((places, scores), row))| {
            let own = if others { tile.query + query } else { usize::MAX };
            keep_best(places, scores, row, tile.row, own);
        });
    })?;
    Ok(best)
}

/// Puts those of `row`, whose first place is `first`, among the best that belong there.
fn keep_best(places: &mut [u32], scores: &mut [f32], row: &[f32], first: usize, own: usize) {
    // Sixteen at a time, since most rows have none that is better.
    const TOGETHER: usize = 16;
    let last = scores.len() - 1;
    for (block, values) in row.chunks(TOGETHER).enumerate() {
        let worst = scores[last];
        if !values.iter().fold(false, |any, &value| any | (value > worst)) {
            continue;
        }
        for (lane, &value) in values.iter().enumerate() {
            let place = first + block * TOGETHER + lane;
            if value > scores[last] && place != own {
                let at = scores.partition_point(|&score| score >= value);
                scores.copy_within(at..last, at + 1);
                places.copy_within(at..last, at + 1);
                scores[at] = value;
                places[at] = place as u32;
            }
        }
    }
}

/// Squared distances of each query to the rows that [`best`] found, `[queries, k]`, computed anew in double precision.
pub(crate) fn squared_distances(
    database: &Vectors,
    queries: &Vectors,
    best: &Best,
    k: usize,
) -> Vec<f64> {
    let distance = |(place, &row): (usize, &u32)| {
        let pairs = queries.row(place / k).iter().zip(database.row(row as usize));
        pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
    };
    best.places.par_iter().enumerate().map(distance).collect()
}
