//! How well scores tell two kinds apart.

use crate::error::VectorError;

/// The area under the ROC curve: the probability that a positive one has a higher score than a negative one, ties
/// counted half (Mann and Whitney).
///
/// # Errors
/// Another number of `positive` than of scores, a score that is NaN, one kind alone.
pub fn auroc(scores: &[f32], positive: &[bool]) -> Result<f64, VectorError> {
    let (order, positives) = ordered(scores, positive)?;
    let negatives = scores.len() - positives;
    if negatives == 0 {
        return Err(VectorError::Few { what: "negatives", found: 0, needed: 1 });
    }
    // Pairs of a negative and a positive with a lower score count nothing, so from the highest score on: each negative
    // adds the positives above it.
    let (mut above, mut pairs) = (0.0, 0.0);
    for tied in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let found = tied.iter().filter(|&&place| positive[place]).count() as f64;
        pairs += (tied.len() as f64 - found) * (above + 0.5 * found);
        above += found;
    }
    Ok(pairs / (positives as f64 * negatives as f64))
}

/// Average precision: Σ (recall − recall before) · precision, over the thresholds from the highest score on.
///
/// # Errors
/// Another number of `positive` than of scores, a score that is NaN, no positive.
pub fn average_precision(scores: &[f32], positive: &[bool]) -> Result<f64, VectorError> {
    let (order, positives) = ordered(scores, positive)?;
    let (mut above, mut seen, mut sum) = (0.0, 0.0, 0.0);
    for tied in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let found = tied.iter().filter(|&&place| positive[place]).count() as f64;
        above += found;
        seen += tied.len() as f64;
        sum += found * above / seen;
    }
    Ok(sum / positives as f64)
}

/// The places from the highest score on, and how many are positive, which is one at least.
fn ordered(scores: &[f32], positive: &[bool]) -> Result<(Vec<usize>, usize), VectorError> {
    if scores.len() != positive.len() {
        let (found, rows) = (positive.len(), scores.len());
        return Err(VectorError::Lengths { what: "labels", found, rows });
    }
    check(scores)?;
    let positives = positive.iter().filter(|positive| **positive).count();
    if positives == 0 {
        return Err(VectorError::Few { what: "positives", found: 0, needed: 1 });
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    Ok((order, positives))
}

fn check(scores: &[f32]) -> Result<(), VectorError> {
    match scores.iter().position(|score| score.is_nan()) {
        Some(place) => Err(VectorError::Score { place, value: f64::from(scores[place]) }),
        None => Ok(()),
    }
}

/// The value below which a `share` of the scores lies, between two of them in proportion, as NumPy has it: such as the
/// threshold that 99 % of normal scores stay below.
///
/// # Errors
/// No scores, a score that is NaN, a share that is not 0 to 1.
pub fn quantile(scores: &[f32], share: f64) -> Result<f64, VectorError> {
    check(scores)?;
    if !(0.0..=1.0).contains(&share) {
        return Err(VectorError::setting("the share below", share, "give a number from 0 to 1"));
    }
    let Some(last) = scores.len().checked_sub(1) else {
        return Err(VectorError::Few { what: "scores", found: 0, needed: 1 });
    };
    let mut sorted = scores.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let place = share * last as f64;
    let low = place.floor() as usize;
    let [low_score, high_score] = [low, (low + 1).min(last)].map(|place| f64::from(sorted[place]));
    Ok(low_score + (place - low as f64) * (high_score - low_score))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fill::fill;

    /// 80 scores, rounded so that many are equal; every third is of a positive one, which lies 0.3 higher.
    fn scores() -> (Vec<f32>, Vec<bool>) {
        let positive: Vec<bool> = (0..80).map(|place| place % 3 == 0).collect();
        let score = |(r, &positive): (f64, &bool)| {
            ((r + if positive { 0.3 } else { 0.0 }) * 8.0).floor() as f32 / 8.0
        };
        (fill("scores", 80).into_iter().zip(&positive).map(score).collect(), positive)
    }

    #[test]
    fn areas_and_quantiles_are_those_of_scikit_learn_and_numpy() {
        let (scores, positive) = scores();
        assert!((auroc(&scores, &positive).unwrap() - 0.693_570_929_419_986).abs() < 1e-9);
        assert!(
            (average_precision(&scores, &positive).unwrap() - 0.549_256_495_853_835_4).abs() < 1e-9
        );
        for (share, expected) in
            [(0.0, -1.0), (0.33, -0.49125), (0.5, -0.0625), (0.99, 1.125), (1.0, 1.125)]
        {
            assert!((quantile(&scores, share).unwrap() - expected).abs() < 1e-9, "{share}");
        }
    }

    #[test]
    fn what_is_perfect_equal_or_one_kind_is_known() {
        let kinds = [false, true, true];
        assert_eq!(auroc(&[0.0, 1.0, 2.0], &kinds).unwrap(), 1.0);
        assert_eq!(auroc(&[2.0, 1.0, 0.0], &kinds).unwrap(), 0.0);
        assert_eq!(auroc(&[1.0; 3], &kinds).unwrap(), 0.5);
        // Zeros are equal, whatever their sign.
        assert_eq!(auroc(&[0.0, -0.0, 0.0], &kinds).unwrap(), 0.5);
        assert_eq!(average_precision(&[1.0; 3], &kinds).unwrap(), 2.0 / 3.0);
        assert!(auroc(&[1.0; 3], &[true; 3]).is_err() && auroc(&[1.0; 3], &[false; 3]).is_err());
        assert!(auroc(&[1.0; 3], &[true; 2]).is_err() && average_precision(&[], &[]).is_err());
        assert!(matches!(
            auroc(&[1.0, f32::NAN, 1.0], &kinds),
            Err(VectorError::Score { place: 1, .. })
        ));
        assert!(quantile(&[], 0.5).is_err() && quantile(&[1.0], 1.5).is_err());
        assert_eq!(quantile(&[3.0], 0.7).unwrap(), 3.0);
    }
}
