//! Multinomial logistic regression: a linear probe.

use fcmae_kernels::linear::{Prepared, backward_weight, forward_prepared};
use rayon::prelude::*;

use crate::error::VectorError;
use crate::validate::{accuracy, first_best};
use crate::vectors::Vectors;

mod lbfgs;

use lbfgs::{Stop, minimize};

/// Weights and intercepts together, at most: what is kept of the last steps takes 120 bytes of each.
const MOST_PARAMETERS: usize = 1 << 23;

/// How it is fitted.
#[derive(Clone, Debug, PartialEq)]
pub struct LogisticSettings {
    /// Whether channels are divided by their standard deviation, so that all are penalized alike. Off, as in
    /// scikit-learn, a channel of small values is penalized more.
    pub standardize: bool,
    /// The largest element of the mean loss's gradient at which it is done.
    pub tolerance: f64,
    /// Steps after which it ends, done or not.
    pub iterations: usize,
}

impl Default for LogisticSettings {
    /// Standardized, to 10⁻⁵, 1,000 steps at most.
    fn default() -> Self {
        Self { standardize: true, tolerance: 1e-5, iterations: 1000 }
    }
}

/// A fitted classifier: the class of a row x is that of the largest W · x + b.
#[derive(Clone, Debug, PartialEq)]
pub struct Logistic {
    weight: Vec<f32>,
    bias: Vec<f32>,
    width: usize,
    classes: Vec<usize>,
}

/// A classifier and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The classifier.
    pub logistic: Logistic,
    /// The inverse strength of the penalty.
    pub c: f64,
    /// What was minimized: C · Σ losses + penalty, as scikit-learn has it.
    pub loss: f64,
    /// Steps made.
    pub iterations: usize,
    /// Whether it was done before it had to end.
    pub converged: bool,
}

impl Logistic {
    /// Fits one classifier for each of `cs`, in their order, each beginning where the last one ended, so that they
    /// should ascend. `labels` are the classes of the rows; those that none has are never predicted.
    ///
    /// Minimized is C · Σ cross-entropies + |W|² / 2, the intercepts without penalty, over all rows at once by L-BFGS.
    /// With two classes the penalty is |w₁ − w₀|² / 2, as scikit-learn's form with one vector has it, which is
    /// twice |W|² / 2. Centring doesn't change what is found, and is always done on the way.
    ///
    /// Memory: 120 bytes · (C + 1) · classes, some 100 MiB at most for tiles. No copy of the vectors is made.
    ///
    /// # Errors
    /// Another number of labels than rows, one class alone, a C that is not above 0, more than 8 million weights.
    pub fn fit(
        vectors: &Vectors,
        labels: &[usize],
        cs: &[f64],
        settings: &LogisticSettings,
    ) -> Result<Vec<Fit>, VectorError> {
        let mut problem = Problem::new(vectors, labels, settings)?;
        if let Some(c) = cs.iter().find(|c| !(**c > 0.0 && c.is_finite())) {
            return Err(VectorError::setting("C", c, "give a number above 0, such as 1"));
        }
        let mut parameters = vec![0.0; problem.parameters()];
        cs.iter()
            .map(|&c| {
                problem.c = c;
                let stop = Stop { tolerance: settings.tolerance, iterations: settings.iterations };
                let found =
                    minimize(&mut parameters, &stop, |at, gradient| problem.loss(at, gradient))?;
                Ok(Fit {
                    logistic: problem.classifier(&parameters),
                    c,
                    loss: found.value * c * vectors.len() as f64,
                    iterations: found.iterations,
                    converged: found.converged,
                })
            })
            .collect()
    }

    /// The classes, ascending, `[K]`.
    pub fn classes(&self) -> &[usize] {
        &self.classes
    }

    /// The weights, `[K, C]`, those of a channel already divided by its standard deviation.
    pub fn weight(&self) -> &[f32] {
        &self.weight
    }

    /// The intercepts, `[K]`.
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// The probability of each class, `[N, K]`, in the order of [`Self::classes`].
    ///
    /// # Errors
    /// Rows of another width.
    pub fn probabilities(&self, vectors: &Vectors) -> Result<Vec<f32>, VectorError> {
        let mut out = self.logits(vectors)?;
        out.par_chunks_mut(self.classes.len()).for_each(|row| {
            softmax(row);
        });
        Ok(out)
    }

    /// The most probable class of each row, `[N]`; of equal ones, the lowest.
    ///
    /// # Errors
    /// Rows of another width.
    pub fn predict(&self, vectors: &Vectors) -> Result<Vec<usize>, VectorError> {
        // Some rows at a time, so that many classes take little memory.
        let rows = tile_rows(self.classes.len());
        let mut classes = Vec::with_capacity(vectors.len());
        for first in (0..vectors.len()).step_by(rows) {
            let places: Vec<usize> = (first..(first + rows).min(vectors.len())).collect();
            let logits = self.logits(&vectors.select(&places))?;
            let best = |row: &[f32]| {
                let best = (0..row.len()).reduce(|a, b| if row[b] > row[a] { b } else { a });
                self.classes[best.unwrap_or(0)]
            };
            classes.extend(logits.chunks_exact(self.classes.len()).map(best));
        }
        if vectors.is_empty() {
            self.logits(vectors)?;
        }
        Ok(classes)
    }

    fn logits(&self, vectors: &Vectors) -> Result<Vec<f32>, VectorError> {
        if vectors.width() != self.width {
            return Err(VectorError::Widths { left: vectors.width(), right: self.width });
        }
        let mut out = vec![0.0; vectors.len() * self.classes.len()];
        let weight = Prepared::new(&self.weight, self.width)?;
        forward_prepared(vectors.values(), &weight, Some(&self.bias), &mut out)?;
        Ok(out)
    }
}

/// Fits a classifier for each of `cs` and takes the one with the highest accuracy on other rows; of equal ones, the
/// first. Returns its place among `cs`, its accuracy, and the fit.
///
/// # Errors
/// As [`Logistic::fit`], no `cs`, no rows to choose on.
pub fn choose(
    fitting: (&Vectors, &[usize]),
    validation: (&Vectors, &[usize]),
    cs: &[f64],
    settings: &LogisticSettings,
) -> Result<(usize, f64, Fit), VectorError> {
    let mut fits = Logistic::fit(fitting.0, fitting.1, cs, settings)?;
    let accuracies: Vec<f64> = fits
        .iter()
        .map(|fit| accuracy(&fit.logistic.predict(validation.0)?, validation.1))
        .collect::<Result<_, _>>()?;
    let best = first_best(&accuracies);
    let best = best.ok_or(VectorError::Few { what: "values of C", found: 0, needed: 1 })?;
    Ok((best, accuracies[best], fits.swap_remove(best)))
}

/// Rows of a tile: 16 MiB of logits at most, but 64 rows.
fn tile_rows(classes: usize) -> usize {
    ((1 << 22) / classes.max(1)).clamp(64, 2048)
}

/// Logits to probabilities; returns the logarithm of the sum of their exponentials.
fn softmax(row: &mut [f32]) -> f64 {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0_f64;
    for value in row.iter_mut() {
        *value = (*value - most).exp();
        sum += f64::from(*value);
    }
    let inverse = (1.0 / sum) as f32;
    row.iter_mut().for_each(|value| *value *= inverse);
    sum.ln() + f64::from(most)
}

/// What is minimized: the mean cross-entropy and the penalty on standardized rows.
struct Problem<'a> {
    vectors: &'a Vectors,
    /// Each row's class as its place among `classes`.
    labels: Vec<u32>,
    classes: Vec<usize>,
    mean: Vec<f32>,
    /// 1 / standard deviation, or 1.
    scale: Vec<f32>,
    c: f64,
}

impl<'a> Problem<'a> {
    fn new(
        vectors: &'a Vectors,
        labels: &[usize],
        settings: &LogisticSettings,
    ) -> Result<Self, VectorError> {
        if labels.len() != vectors.len() {
            let (found, rows) = (labels.len(), vectors.len());
            return Err(VectorError::Lengths { what: "labels", found, rows });
        }
        let mut classes = labels.to_vec();
        classes.sort_unstable();
        classes.dedup();
        if classes.len() < 2 {
            return Err(VectorError::Few { what: "classes", found: classes.len(), needed: 2 });
        }
        if classes.len() * (vectors.width() + 1) > MOST_PARAMETERS {
            let most = MOST_PARAMETERS / (vectors.width() + 1);
            let (found, width) = (classes.len(), vectors.width());
            return Err(VectorError::ManyClasses { found, width, most });
        }
        let place = |label| classes.partition_point(|class| class < label) as u32;
        let labels = labels.iter().map(place).collect();
        let (mean, deviation) = moments(vectors);
        let scale = match settings.standardize {
            true => deviation.iter().map(|&deviation| inverse_or_one(deviation)).collect(),
            false => vec![1.0; mean.len()],
        };
        let mean = mean.into_iter().map(|mean| mean as f32).collect();
        Ok(Self { vectors, labels, classes, mean, scale, c: 1.0 })
    }

    /// Weights `[K, C]`, then intercepts `[K]`.
    fn parameters(&self) -> usize {
        self.classes.len() * (self.vectors.width() + 1)
    }

    /// The mean loss with the penalty at `at`; writes its gradient.
    fn loss(&self, at: &[f64], gradient: &mut [f64]) -> Result<f64, VectorError> {
        let (width, classes, rows) = (self.vectors.width(), self.classes.len(), self.vectors.len());
        let to_f32 =
            |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<f32>>();
        let (weight, bias) = at.split_at(classes * width);
        let prepared = Prepared::new(&to_f32(weight), width)?;
        let bias = to_f32(bias);
        let mut loss = 0.0;
        gradient.fill(0.0);
        let tile = tile_rows(classes);
        let mut x = vec![0.0_f32; tile * width];
        let mut logits = vec![0.0_f32; tile * classes];
        let mut part = vec![0.0_f32; gradient.len()];
        let values = self.vectors.values().chunks(tile * width);
        for (values, labels) in values.zip(self.labels.chunks(tile)) {
            let x = &mut x[..values.len()];
            let rows = x.par_chunks_exact_mut(width).zip(values.par_chunks_exact(width));
            rows.for_each(|(x, values)| {
                let channels = values.iter().zip(&self.mean).zip(&self.scale);
                x.iter_mut()
                    .zip(channels)
                    .for_each(|(x, ((value, mean), scale))| *x = (value - mean) * scale);
            });
            let logits = &mut logits[..labels.len() * classes];
            forward_prepared(x, &prepared, Some(&bias), logits)?;
            let losses: Vec<f64> = logits
                .par_chunks_exact_mut(classes)
                .zip(labels)
                .map(|(row, &label)| {
                    let right = f64::from(row[label as usize]);
                    let loss = softmax(row) - right;
                    row[label as usize] -= 1.0;
                    loss
                })
                .collect();
            loss += losses.iter().sum::<f64>();
            let (weight_part, bias_part) = part.split_at_mut(classes * width);
            backward_weight(x, logits, classes, weight_part, Some(bias_part))?;
            gradient.par_iter_mut().zip(&part).for_each(|(sum, &part)| *sum += f64::from(part));
        }
        // As a penalty on the mean loss. Two classes have a penalty of twice the strength.
        let strength = if classes == 2 { 2.0 } else { 1.0 } / (self.c * rows as f64);
        for value in gradient.iter_mut() {
            *value /= rows as f64;
        }
        let mut square = 0.0;
        for (gradient, weight) in gradient.iter_mut().zip(weight) {
            *gradient += strength * weight;
            square += weight * weight;
        }
        Ok(loss / rows as f64 + 0.5 * strength * square)
    }

    /// The classifier of rows as they are given.
    fn classifier(&self, parameters: &[f64]) -> Logistic {
        let width = self.vectors.width();
        let (weight, bias) = parameters.split_at(self.classes.len() * width);
        let scaled: Vec<f64> =
            weight.iter().zip(self.scale.iter().cycle()).map(|(w, &s)| w * f64::from(s)).collect();
        let shift = |row: &[f64]| -> f64 {
            row.iter().zip(&self.mean).map(|(weight, &mean)| weight * f64::from(mean)).sum()
        };
        let rows = scaled.chunks_exact(width);
        Logistic {
            bias: rows.zip(bias).map(|(row, bias)| (bias - shift(row)) as f32).collect(),
            weight: scaled.iter().map(|&weight| weight as f32).collect(),
            width,
            classes: self.classes.clone(),
        }
    }
}

/// 1 / deviation, or 1 for a channel that is the same throughout.
fn inverse_or_one(deviation: f64) -> f32 {
    let inverse = (1.0 / deviation) as f32;
    if inverse.is_finite() { inverse } else { 1.0 }
}

/// Mean and standard deviation of each channel, over all rows.
fn moments(vectors: &Vectors) -> (Vec<f64>, Vec<f64>) {
    let rows = vectors.len() as f64;
    let mut mean = vec![0.0_f64; vectors.width()];
    for row in vectors.rows() {
        mean.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    mean.iter_mut().for_each(|sum| *sum /= rows);
    let mut square = vec![0.0_f64; vectors.width()];
    for row in vectors.rows() {
        for ((sum, &value), mean) in square.iter_mut().zip(row).zip(&mean) {
            *sum += (f64::from(value) - mean).powi(2);
        }
    }
    (mean, square.into_iter().map(|square| (square / rows).sqrt()).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fill::clouds;

    /// Classes, width, whether channels are scaled and standardized, C; then scikit-learn's loss, its right ones of 60
    /// others, and its probability that the first of them is of class 0.
    const SCIKIT_LEARN: [(usize, usize, bool, f64, f64, usize, f32); 9] = [
        (2, 5, false, 0.01, 0.789_325_976, 55, 0.744_966_4),
        (2, 5, false, 1.0, 29.776_74, 55, 0.996_392_8),
        (2, 5, false, 100.0, 2_448.148_27, 55, 0.999_610_5),
        (5, 8, false, 0.01, 2.047_503_28, 43, 0.366_395_8),
        (5, 8, false, 1.0, 105.682_756, 45, 0.621_924),
        (5, 8, false, 100.0, 9_643.850_07, 46, 0.651_596_7),
        (5, 8, true, 0.01, 2.077_918_58, 41, 0.361_932_6),
        (5, 8, true, 1.0, 106.590_758, 45, 0.628_747_4),
        (5, 8, true, 100.0, 9_645.281_72, 46, 0.651_678_8),
    ];

    /// As reference/vectors.py has it: moved by 1, and channel j scaled by 3ʲ.
    fn data(
        name: &str,
        rows: usize,
        classes: usize,
        width: usize,
        scaled: bool,
    ) -> (Vectors, Vec<usize>) {
        let (vectors, labels) = clouds(name, rows, width, classes, 1.6);
        let value = |(place, &value): (usize, &f32)| {
            let scale = if scaled { 3.0_f64.powi((place % width) as i32) } else { 1.0 };
            ((f64::from(value) + 1.0) * scale) as f32
        };
        let values = vectors.values().iter().enumerate().map(value).collect();
        (Vectors::new(values, width).unwrap(), labels)
    }

    #[test]
    fn losses_and_classes_are_those_of_scikit_learn() {
        for (classes, width, scaled, c, loss, right, first) in SCIKIT_LEARN {
            let (vectors, labels) = data("fit", 150, classes, width, scaled);
            let (test, expected) = data("test", 60, classes, width, scaled);
            let settings = LogisticSettings { standardize: scaled, ..Default::default() };
            // Alone and after another one.
            for cs in [vec![c], vec![c / 10.0, c]] {
                let fit = Logistic::fit(&vectors, &labels, &cs, &settings).unwrap().pop().unwrap();
                assert!(fit.converged && fit.c == c);
                assert!((fit.loss / loss - 1.0).abs() < 1e-5, "{} {loss}", fit.loss);
                let predicted = fit.logistic.predict(&test).unwrap();
                let found = predicted.iter().zip(&expected).filter(|(a, b)| a == b).count();
                assert_eq!(found, right, "{classes} {c}");
                let probabilities = fit.logistic.probabilities(&test).unwrap();
                assert!((probabilities[0] - first).abs() < 2e-3, "{} {first}", probabilities[0]);
            }
        }
    }

    #[test]
    fn more_rows_than_a_tile_change_no_optimum() {
        // The same rows 40 times with a fortieth of C.
        let (vectors, labels) = data("fit", 150, 5, 8, false);
        let settings = LogisticSettings { standardize: false, ..Default::default() };
        let one = Logistic::fit(&vectors, &labels, &[1.0], &settings).unwrap().remove(0);
        let many = Vectors::new(vectors.values().repeat(40), 8).unwrap();
        let forty =
            Logistic::fit(&many, &labels.repeat(40), &[1.0 / 40.0], &settings).unwrap().remove(0);
        assert!((one.loss / forty.loss - 1.0).abs() < 1e-5, "{} {}", one.loss, forty.loss);
    }

    #[test]
    fn classes_keep_their_numbers_and_the_best_c_is_chosen() {
        let (vectors, labels) = data("fit", 150, 5, 8, false);
        let (test, expected) = data("test", 60, 5, 8, false);
        let named = |labels: &[usize]| labels.iter().map(|label| 3 * label + 7).collect::<Vec<_>>();
        let (labels, expected) = (named(&labels), named(&expected));
        let settings = LogisticSettings { standardize: false, ..Default::default() };
        let cs = [0.01, 1.0, 100.0];
        let (place, accuracy, fit) =
            choose((&vectors, &labels), (&test, &expected), &cs, &settings).unwrap();
        assert_eq!((place, accuracy, fit.c), (2, 46.0 / 60.0, 100.0));
        assert_eq!(fit.logistic.classes(), [7, 10, 13, 16, 19]);
        let empty = Vectors::new(vec![], 8).unwrap();
        assert!(choose((&vectors, &labels), (&empty, &[]), &cs, &settings).is_err());
        assert!(choose((&vectors, &labels), (&test, &expected), &[], &settings).is_err());
    }

    #[test]
    fn what_cannot_be_fitted_is_refused() {
        let (vectors, labels) = data("fit", 150, 5, 8, false);
        let fit = |vectors: &Vectors, labels: &[usize], c| {
            Logistic::fit(vectors, labels, &[c], &LogisticSettings::default())
        };
        assert!(matches!(fit(&vectors, &[3; 150], 1.0), Err(VectorError::Few { found: 1, .. })));
        assert!(matches!(fit(&vectors, &[], 1.0), Err(VectorError::Lengths { .. })));
        for c in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(fit(&vectors, &labels, c).is_err(), "{c}");
        }
        let many: Vec<usize> = (0..20_000).collect();
        let wide = Vectors::new(vec![0.5; 20_000 * 500], 500).unwrap();
        assert!(matches!(fit(&wide, &many, 1.0), Err(VectorError::ManyClasses { .. })));
        let fit = fit(&vectors, &labels, 1.0).unwrap().remove(0);
        assert!(fit.logistic.predict(&Vectors::new(vec![], 9).unwrap()).is_err());
        // A channel that is the same throughout tells nothing and spoils nothing; a class may have one row.
        let flat = Vectors::new(vec![1.0, 5.0, 2.0, 5.0, 4.0, 5.0], 2).unwrap();
        let fitted =
            Logistic::fit(&flat, &[0, 0, 1], &[1.0], &LogisticSettings::default()).unwrap();
        assert_eq!(fitted[0].logistic.predict(&flat).unwrap(), [0, 0, 1]);
    }
}
