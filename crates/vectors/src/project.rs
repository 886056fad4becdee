//! Principal components.

use fcmae_kernels::linear::{backward_weight, forward};
use rayon::prelude::*;

use crate::covariance::{gram, mean};
use crate::eigen::Tridiagonal;
use crate::error::VectorError;
use crate::vectors::Vectors;

/// A direction whose variance is less than this part of the largest one's is taken for rounding: it becomes zeros.
const LEAST: f64 = 1e-7;

/// Rows or channels, whichever are fewer, at most: a matrix of 512 MiB.
const MOST: usize = 8192;

/// The directions in which rows differ most.
#[derive(Clone, Debug, PartialEq)]
pub struct Pca {
    mean: Vec<f32>,
    components: Vec<f32>,
    variances: Vec<f64>,
    total: f64,
}

impl Pca {
    /// Of the rows less their mean, the `count` directions of the largest variance. They are at right angles, of length
    /// 1, and of each the value that is largest by size is positive. A direction without variance is zero throughout.
    ///
    /// Memory: 12 bytes · min(N, C)², 8 of them twice for a moment, and 8 bytes · `count` · max(N, C).
    ///
    /// # Errors
    /// Fewer than two rows, a `count` that is not 1 to min(N − 1, C), both more than 8,192 rows and channels.
    pub fn fit(vectors: &Vectors, count: usize) -> Result<Self, VectorError> {
        let (rows, width) = (vectors.len(), vectors.width());
        if rows < 2 {
            return Err(VectorError::Few { what: "rows", found: rows, needed: 2 });
        }
        let most = (rows - 1).min(width);
        if count == 0 || count > most {
            let fix = format!("{rows} rows of {width} have 1 to {most}");
            return Err(VectorError::setting("the number of components", count, fix));
        }
        if rows.min(width) > MOST {
            let fix = format!("give rows of at most {MOST}, or at most so many rows");
            return Err(VectorError::setting("the number of channels", width, fix));
        }
        let means: Vec<f32> = mean(vectors).into_iter().map(|mean| mean as f32).collect();
        let (products, n) =
            if rows > width { (scatter(vectors, &means)?, width) } else { gram(vectors, true) };
        let total: f64 = (0..n).map(|k| products[k * n + k]).sum();
        let tridiagonal = Tridiagonal::new(products, n);
        let values = tridiagonal.values();
        let mut directions = tridiagonal.vectors(&values, count);
        if rows <= width {
            directions =
                directions.iter().map(|of_rows| from_rows(vectors, &means, of_rows)).collect();
        }
        let least = LEAST * values[0].max(0.0);
        let mut components = Vec::with_capacity(count * width);
        let mut variances = Vec::with_capacity(count);
        for (direction, &value) in directions.iter_mut().zip(&values) {
            let lives = value > least;
            variances.push(if lives { value / (rows - 1) as f64 } else { 0.0 });
            let largest = direction
                .iter()
                .fold(0.0_f64, |most, &v| if v.abs() > most.abs() { v } else { most });
            let length = direction.iter().map(|v| v * v).sum::<f64>().sqrt().copysign(largest);
            let finished = |v: &f64| if lives { (v / length) as f32 } else { 0.0 };
            components.extend(direction.iter().map(finished));
        }
        Ok(Self { mean: means, components, variances, total: total / (rows - 1) as f64 })
    }

    /// The mean row, `[C]`.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The directions, `[count, C]`.
    pub fn components(&self) -> &[f32] {
        &self.components
    }

    /// Variances along them (divisor N − 1), `[count]`.
    pub fn variances(&self) -> &[f64] {
        &self.variances
    }

    /// Their parts of the whole variance, `[count]`; zeros where all rows are equal.
    pub fn ratios(&self) -> Vec<f64> {
        let part = |variance: &f64| if self.total > 0.0 { variance / self.total } else { 0.0 };
        self.variances.iter().map(part).collect()
    }

    /// Rows as places along the directions, `[N, C]` → `[N, count]`. Memory: a copy of 1,024 rows.
    ///
    /// # Errors
    /// Rows of another width; numbers so large that places are none.
    pub fn project(&self, vectors: &Vectors) -> Result<Vectors, VectorError> {
        let (width, count) = (self.mean.len(), self.variances.len());
        if vectors.width() != width {
            return Err(VectorError::Widths { left: vectors.width(), right: width });
        }
        let mut out = vec![0.0; vectors.len() * count];
        let mut part = vec![];
        for (values, out) in vectors.values().chunks(PART * width).zip(out.chunks_mut(PART * count))
        {
            centre(values, &self.mean, &mut part);
            forward(&part, &self.components, None, width, out)?;
        }
        Vectors::new(out, count)
    }
}

/// Rows at a time.
const PART: usize = 1024;

/// Rows less their mean.
fn centre(values: &[f32], mean: &[f32], out: &mut Vec<f32>) {
    out.resize(values.len(), 0.0);
    let rows = out.par_chunks_exact_mut(mean.len()).zip(values.par_chunks_exact(mean.len()));
    rows.for_each(|(out, values)| {
        out.iter_mut()
            .zip(values.iter().zip(mean))
            .for_each(|(out, (value, mean))| *out = value - mean);
    });
}

/// XᵀX of the rows less their mean, `[C, C]`: products of 1,024 rows in single precision, their sum in double.
fn scatter(vectors: &Vectors, mean: &[f32]) -> Result<Vec<f64>, VectorError> {
    let width = mean.len();
    let mut sums = vec![0.0_f64; width * width];
    let mut product = vec![0.0_f32; width * width];
    let mut part = vec![];
    for values in vectors.values().chunks(PART * width) {
        centre(values, mean, &mut part);
        backward_weight(&part, &part, width, &mut product, None)?;
        sums.par_iter_mut().zip(&product).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    Ok(sums)
}

/// The direction that goes with an eigenvector of XXᵀ: Xᵀ · u, `[C]`.
fn from_rows(vectors: &Vectors, mean: &[f32], of_rows: &[f64]) -> Vec<f64> {
    let mut direction = vec![0.0; mean.len()];
    for (row, factor) in vectors.rows().zip(of_rows) {
        for ((sum, &value), &mean) in direction.iter_mut().zip(row).zip(mean) {
            *sum += factor * (f64::from(value) - f64::from(mean));
        }
    }
    direction
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fill::clouds;

    /// By scikit-learn: rows, width, ratios, the first four values of each component, the last row's place.
    type Case = (usize, usize, [f64; 3], [[f64; 4]; 3], [f64; 3]);
    const SCIKIT_LEARN: [Case; 2] = [
        (
            200,
            12,
            [0.461_967_818, 0.188_154_866, 0.135_597_62],
            [
                [0.212_407_9, -0.154_345_3, -0.424_765_8, -0.318_169_4],
                [-0.178_413_6, -0.284_184_7, 0.009_345_919, 0.204_366_5],
                [0.318_919_7, -0.287_254_2, 0.305_547_1, 0.633_164_8],
            ],
            [0.908_23, 0.802_974_8, 0.778_169_1],
        ),
        (
            9,
            30,
            [0.403_351_65, 0.295_896_419, 0.170_752_427],
            [
                [0.359_479_2, -0.137_748_8, -0.081_881_06, -0.072_797_93],
                [-0.217_298_7, -0.146_904_5, -0.146_598_9, 0.206_501_9],
                [-0.084_673_81, 0.162_369_6, 0.380_953_3, 0.029_847_33],
            ],
            [-2.381_556, 0.640_807_6, 0.677_945_7],
        ),
    ];

    #[test]
    fn components_are_those_of_scikit_learn() {
        for (rows, width, ratios, components, last) in SCIKIT_LEARN {
            let (vectors, _) = clouds("fit", rows, width, 4, 0.5);
            let pca = Pca::fit(&vectors, 3).unwrap();
            let near = |found: f64, expected: f64| {
                assert!((found - expected).abs() < 1e-5, "{rows}: {found} {expected}");
            };
            let projected = pca.project(&vectors).unwrap();
            assert_eq!((projected.len(), projected.width()), (rows, 3));
            for k in 0..3 {
                near(pca.ratios()[k], ratios[k]);
                for (channel, &value) in components[k].iter().enumerate() {
                    near(f64::from(pca.components()[k * width + channel]), value);
                }
                near(f64::from(projected.row(rows - 1)[k]), last[k]);
                let places = projected.rows().map(|row| f64::from(row[k]).powi(2));
                near(places.sum::<f64>() / (rows - 1) as f64, pca.variances()[k]);
            }
        }
    }

    #[test]
    fn rows_on_a_line_or_a_point_have_no_second_component() {
        for rows in [3, 50] {
            let line: Vec<f32> =
                (0..rows).flat_map(|k| [k as f32, -(k as f32), 7.0, 0.0]).collect();
            let pca = Pca::fit(&Vectors::new(line, 4).unwrap(), 2).unwrap();
            assert!((pca.ratios()[0] - 1.0).abs() < 1e-6 && pca.variances()[1] == 0.0);
            let half = 0.5_f32.sqrt();
            assert!((pca.components()[0].abs() - half).abs() < 1e-6);
            assert_eq!(pca.components()[4..], [0.0; 4]);
            let point = Vectors::new([1.0, 2.0, 3.0].repeat(rows), 3).unwrap();
            let pca = Pca::fit(&point, 2).unwrap();
            assert_eq!((pca.ratios(), pca.components()), (vec![0.0; 2], &[0.0; 6][..]));
        }
    }

    #[test]
    fn what_has_no_components_is_refused() {
        let (vectors, _) = clouds("fit", 5, 3, 2, 0.5);
        assert!(Pca::fit(&vectors, 0).is_err() && Pca::fit(&vectors, 4).is_err());
        assert!(Pca::fit(&vectors.select(&[0, 1]), 2).is_err());
        assert!(matches!(Pca::fit(&vectors.select(&[0]), 1), Err(VectorError::Few { .. })));
        let pca = Pca::fit(&vectors, 3).unwrap();
        let other = Vectors::new(vec![1.0; 4], 4).unwrap();
        assert!(matches!(pca.project(&other), Err(VectorError::Widths { left: 4, right: 3 })));
        assert!(pca.project(&Vectors::new(vec![], 3).unwrap()).unwrap().is_empty());
    }
}
