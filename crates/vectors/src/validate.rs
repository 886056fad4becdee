//! How well something was learned: parts to choose settings on, accuracies, and their intervals.

use crate::error::VectorError;
use crate::random::Random;

/// Rows to learn from and rows to choose settings on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Ascending.
    pub fitting: Vec<usize>,
    /// Ascending. Empty where each class has one row alone.
    pub validation: Vec<usize>,
}

/// Puts `share` of each class's rows, chosen at random, into the part for validation: at least one of a class, and
/// never all. A class with one row stays in the part for fitting.
///
/// # Errors
/// No labels, a share that is not between 0 and 1.
pub fn stratified(labels: &[usize], share: f64, seed: u64) -> Result<Split, VectorError> {
    if !(share > 0.0 && share < 1.0) {
        let fix = "give a number between 0 and 1, such as 0.2";
        return Err(VectorError::setting("the share for validation", share, fix));
    }
    if labels.is_empty() {
        return Err(VectorError::Few { what: "labels", found: 0, needed: 1 });
    }
    let mut rows: Vec<usize> = (0..labels.len()).collect();
    rows.sort_by_key(|&row| labels[row]);
    let mut random = Random::new(seed);
    let mut split = Split { fitting: vec![], validation: vec![] };
    for class in rows.chunk_by_mut(|&a, &b| labels[a] == labels[b]) {
        random.shuffle(class);
        let count = match class.len() {
            1 => 0,
            rows => ((rows as f64 * share).round() as usize).clamp(1, rows - 1),
        };
        split.validation.extend(&class[..count]);
        split.fitting.extend(&class[count..]);
    }
    split.fitting.sort_unstable();
    split.validation.sort_unstable();
    Ok(split)
}

/// The share of rows whose predicted class is their label.
///
/// # Errors
/// No rows, another number of labels.
pub fn accuracy(predicted: &[usize], labels: &[usize]) -> Result<f64, VectorError> {
    if predicted.len() != labels.len() {
        let (found, rows) = (labels.len(), predicted.len());
        return Err(VectorError::Lengths { what: "labels", found, rows });
    }
    if labels.is_empty() {
        return Err(VectorError::Few { what: "labels", found: 0, needed: 1 });
    }
    let right =
        predicted.iter().zip(labels).filter(|(predicted, label)| predicted == label).count();
    Ok(right as f64 / labels.len() as f64)
}

/// The normal distribution's 97.5 % quantile.
pub(crate) const Z: f64 = 1.959_963_984_540_054;

/// Wilson's 95 % interval of a share, from `right` of `of`.
///
/// # Errors
/// `of` is 0 or less than `right`.
pub fn wilson(right: usize, of: usize) -> Result<(f64, f64), VectorError> {
    if of == 0 || right > of {
        return Err(VectorError::setting("the number of right ones", right, format!("of {of}")));
    }
    let (right, of) = (right as f64, of as f64);
    let share = right / of;
    let middle = (share + Z * Z / (2.0 * of)) / (1.0 + Z * Z / of);
    let half =
        Z / (1.0 + Z * Z / of) * (share * (1.0 - share) / of + Z * Z / (4.0 * of * of)).sqrt();
    Ok(((middle - half).max(0.0), (middle + half).min(1.0)))
}

/// The place of the highest accuracy; of equal ones, the first.
pub(crate) fn first_best(accuracies: &[f64]) -> Option<usize> {
    (0..accuracies.len()).reduce(|a, b| if accuracies[b] > accuracies[a] { b } else { a })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_class_is_split_and_single_rows_are_kept_for_fitting() {
        // 100 of class 7, 10 of class 0, 2 of class 5, 1 of class 3.
        let labels: Vec<usize> =
            [[7; 100].as_slice(), &[0; 10], &[5; 2], &[3]].into_iter().flatten().copied().collect();
        let split = stratified(&labels, 0.2, 4).unwrap();
        let of = |class| split.validation.iter().filter(|&&row| labels[row] == class).count();
        assert_eq!([of(7), of(0), of(5), of(3)], [20, 2, 1, 0]);
        let mut all = [split.fitting.clone(), split.validation.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..113).collect::<Vec<_>>());
        assert!(split.fitting.is_sorted() && split.validation.is_sorted());
        assert_eq!(stratified(&labels, 0.2, 4).unwrap(), split);
        assert_ne!(stratified(&labels, 0.2, 5).unwrap(), split);
        assert!(stratified(&[1, 2, 3], 0.5, 0).unwrap().validation.is_empty());
        let most = stratified(&labels, 0.99, 0).unwrap();
        assert_eq!(most.fitting.len(), 4);
        assert!(stratified(&[], 0.2, 0).is_err() && stratified(&labels, 1.0, 0).is_err());
    }

    #[test]
    fn intervals_are_those_of_scipy() {
        // binomtest(…).proportion_ci(method="wilson")
        for (right, of, low, high) in WILSON {
            let found = wilson(right, of).unwrap();
            assert!((found.0 - low).abs() < 1e-9 && (found.1 - high).abs() < 1e-9, "{found:?}");
        }
        assert!(wilson(0, 0).is_err() && wilson(3, 2).is_err());
    }

    const WILSON: [(usize, usize, f64, f64); 3] = [
        (0, 10, 0.0, 0.277_532_799_862_889_26),
        (87, 100, 0.790_196_485_599_235_7, 0.922_428_325_727_594_8),
        (500, 500, 0.992_375_659_538_447_9, 1.0),
    ];

    #[test]
    fn accuracy_counts_what_is_right() {
        assert_eq!(accuracy(&[1, 2, 3, 3], &[1, 2, 3, 4]).unwrap(), 0.75);
        assert!(accuracy(&[1], &[]).is_err() && accuracy(&[], &[]).is_err());
        assert_eq!(first_best(&[0.5, 0.7, 0.7]), Some(1));
    }
}
