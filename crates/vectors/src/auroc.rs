//! How well scores tell two kinds apart.

use crate::error::VectorError;
use crate::validate::{Z, wilson};

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

/// The [`auroc`] with its 95 % interval over other pictures of both kinds (DeLong, DeLong and Clarke-Pearson, 1988),
/// taken on the scale of log odds, so that it stays within 0 to 1.
///
/// Where the kinds are told apart without a fault, or always the wrong way round, no variance can be seen. The interval
/// is then Wilson's for as many right ones as there are of the rarer kind.
///
/// `None` in place of the interval where there is one score of a kind alone: it says nothing of how others vary.
///
/// # Errors
/// As [`auroc`].
pub fn auroc_interval(
    scores: &[f32],
    positive: &[bool],
) -> Result<(f64, Option<[f64; 2]>), VectorError> {
    let area = auroc(scores, positive)?;
    let of = |kind: bool| {
        let found = scores.iter().zip(positive).filter(|(_, positive)| **positive == kind);
        let mut found: Vec<f32> = found.map(|(&score, _)| score).collect();
        found.sort_unstable_by(f32::total_cmp);
        found
    };
    let (positives, negatives) = (of(true), of(false));
    let rarer = positives.len().min(negatives.len());
    if rarer < 2 {
        return Ok((area, None));
    }
    if area <= 0.0 || area >= 1.0 {
        let (low, high) = wilson(if area > 0.5 { rarer } else { 0 }, rarer)?;
        return Ok((area, Some([low, high])));
    }
    // Of each score, the part of the other kind's scores that are lower, equal ones half.
    let variance = |scores: &[f32], others: &[f32], mean: f64| {
        let part = |&score: &f32| {
            let lower = others.partition_point(|&other| other < score);
            let up_to = others.partition_point(|&other| other <= score);
            (lower + up_to) as f64 / (2.0 * others.len() as f64)
        };
        let squares: f64 = scores.iter().map(|score| (part(score) - mean).powi(2)).sum();
        let count = scores.len() as f64;
        squares / (count - 1.0) / count
    };
    let all = variance(&positives, &negatives, area) + variance(&negatives, &positives, 1.0 - area);
    let odds = (area / (1.0 - area)).ln();
    let half = Z * all.sqrt() / (area * (1.0 - area));
    let area_at = |odds: f64| 1.0 / (1.0 + (-odds).exp());
    Ok((area, Some([area_at(odds - half), area_at(odds + half)])))
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
        let positive: Vec<bool> = (0..80_usize).map(|place| place.is_multiple_of(3)).collect();
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

    /// pROC's `ci.auc(…, method = "delong")` works on the area itself; its variance, from the definition with all
    /// pairs, is the same as here.
    #[test]
    fn intervals_are_those_of_all_pairs() {
        let (scores, positive) = scores();
        let (area, Some([low, high])) = auroc_interval(&scores, &positive).unwrap() else {
            panic!()
        };
        assert_eq!(area, auroc(&scores, &positive).unwrap());
        let won = |a: f32, b: f32| {
            if a > b {
                1.0
            } else if a == b {
                0.5
            } else {
                0.0
            }
        };
        let of = |kind| (0..80).filter(move |&place| positive_at(place) == kind);
        fn positive_at(place: usize) -> bool {
            place.is_multiple_of(3)
        }
        let spread = |values: Vec<f64>| {
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0) / count
        };
        let by_positive = of(true)
            .map(|p| of(false).map(|n| won(scores[p], scores[n])).sum::<f64>() / 53.0)
            .collect();
        let by_negative = of(false)
            .map(|n| of(true).map(|p| won(scores[p], scores[n])).sum::<f64>() / 27.0)
            .collect();
        let deviation = (spread(by_positive) + spread(by_negative)).sqrt();
        let odds = |area: f64| (area / (1.0 - area)).ln();
        let half = 1.959_963_984_540_054 * deviation / (area * (1.0 - area));
        assert!((odds(low) - (odds(area) - half)).abs() < 1e-9, "{low}");
        assert!((odds(high) - (odds(area) + half)).abs() < 1e-9, "{high}");
        assert!(0.5 < low && low < area && area < high && high < 0.82, "{low} {high}");
        // Wilson's for 2 of 2, and for none of 2.
        let kinds = [false, false, false, true, true];
        let (area, Some([low, high])) = auroc_interval(&[0.0, 0.1, 0.2, 1.0, 2.0], &kinds).unwrap()
        else {
            panic!()
        };
        assert!(area == 1.0 && (low - 0.342_372).abs() < 1e-5 && high == 1.0, "{low}");
        let (area, Some([low, high])) = auroc_interval(&[3.0, 3.1, 3.2, 1.0, 2.0], &kinds).unwrap()
        else {
            panic!()
        };
        assert!(area == 0.0 && low == 0.0 && (high - 0.657_628).abs() < 1e-5, "{high}");
        let one = auroc_interval(&[0.0, 1.0, 0.5], &[false, true, true]).unwrap();
        assert_eq!(one, (1.0, None), "one of a kind allows no interval");
        assert!(auroc_interval(&[1.0; 3], &[true; 3]).is_err());
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
