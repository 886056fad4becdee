//! Several values as their mean and how far they lie apart.

/// Mean of values, and their standard deviation, of which there is none with one value; `None` without values.
pub fn mean_and_deviation(values: impl Iterator<Item = f64> + Clone) -> Option<(f64, Option<f64>)> {
    let count = values.clone().count() as f64;
    let mean = (count > 0.0).then(|| values.clone().sum::<f64>() / count)?;
    let squares = values.map(|value| (value - mean).powi(2)).sum::<f64>();
    Some((mean, (count > 1.0).then(|| (squares / (count - 1.0)).sqrt())))
}
