//! Classes by the vote of nearest neighbours.

use crate::error::VectorError;
use crate::neighbours::Neighbours;
use crate::validate::{accuracy, first_best};

/// What a neighbour's voice weighs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weight {
    /// One, whatever its distance.
    Equal,
    /// exp(cosine / temperature), as in DINO and instance discrimination, which take 0.07.
    Softmax {
        /// Above 0. The lower, the more the nearest decide.
        temperature: f64,
    },
}

/// What the neighbours of a row voted for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Voted {
    /// The class with most of the weight; of equal ones, the lowest.
    pub class: usize,
    /// Its share of the weight, above 0 to 1.
    pub share: f64,
}

/// The vote of each query's `k` nearest neighbours; `labels` are the classes of the database's rows.
///
/// # Errors
/// A `k` of 0 or above the neighbours', a temperature that is not above 0, a neighbour without a label.
pub fn vote(
    neighbours: &Neighbours,
    labels: &[usize],
    k: usize,
    weight: Weight,
) -> Result<Vec<Voted>, VectorError> {
    if k == 0 || k > neighbours.k() {
        let fix = format!("{} neighbours are known of each, so give 1 to that", neighbours.k());
        return Err(VectorError::setting("k", k, fix));
    }
    if let Weight::Softmax { temperature } = weight
        && !(temperature > 0.0 && temperature.is_finite())
    {
        let fix = "give a number above 0, such as 0.07";
        return Err(VectorError::setting("the temperature", temperature, fix));
    }
    let mut votes: Vec<(usize, f64)> = vec![];
    (0..neighbours.len())
        .map(|query| {
            let cosines = &neighbours.cosines(query)[..k];
            votes.clear();
            for (&row, &cosine) in neighbours.places(query)[..k].iter().zip(cosines) {
                let row = row as usize;
                let Some(&class) = labels.get(row) else {
                    return Err(VectorError::NoRow { row, rows: labels.len() });
                };
                votes.push((
                    class,
                    match weight {
                        Weight::Equal => 1.0,
                        // In proportion to the nearest one's, so that no temperature leads beyond numbers.
                        Weight::Softmax { temperature } => {
                            (f64::from(cosine - cosines[0]) / temperature).exp()
                        }
                    },
                ));
            }
            Ok(winner(&mut votes))
        })
        .collect()
}

/// Of votes, of which there is one at least.
fn winner(votes: &mut [(usize, f64)]) -> Voted {
    let total: f64 = votes.iter().map(|vote| vote.1).sum();
    // Stable, so that a class's weights are added from the nearest on.
    votes.sort_by_key(|vote| vote.0);
    let mut best = Voted { class: votes[0].0, share: f64::NEG_INFINITY };
    for class in votes.chunk_by(|a, b| a.0 == b.0) {
        let share = class.iter().map(|vote| vote.1).sum::<f64>() / total;
        if share > best.share {
            best = Voted { class: class[0].0, share };
        }
    }
    best
}

/// What was best on rows held out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VoteChoice {
    /// Neighbours asked.
    pub k: usize,
    /// What they weigh.
    pub weight: Weight,
    /// The accuracy on the rows held out.
    pub accuracy: f64,
}

/// Of all pairs of `ks` and `weights`, the one with the highest accuracy on queries whose classes are known,
/// `expected`; of equal ones, the first, by k and then by weight.
///
/// # Errors
/// As [`vote`], and no candidates or another number of expected classes.
pub fn choose(
    neighbours: &Neighbours,
    labels: &[usize],
    expected: &[usize],
    ks: &[usize],
    weights: &[Weight],
) -> Result<VoteChoice, VectorError> {
    let mut choices = vec![];
    for &k in ks {
        for &weight in weights {
            let voted = vote(neighbours, labels, k, weight)?;
            let classes: Vec<usize> = voted.iter().map(|voted| voted.class).collect();
            choices.push(VoteChoice { k, weight, accuracy: accuracy(&classes, expected)? });
        }
    }
    let accuracies: Vec<f64> = choices.iter().map(|choice| choice.accuracy).collect();
    let best = first_best(&accuracies);
    let best =
        best.ok_or(VectorError::Few { what: "settings to choose from", found: 0, needed: 1 })?;
    Ok(choices[best])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Vectors;
    use crate::fill::clouds;
    use crate::neighbours::nearest;

    const EQUAL: &str = "012240321401214034000132401230032300140401231012220120401224";
    const SOFT: &str = "022240121401214024040122403220032330114201231013340120401224";

    #[test]
    fn votes_are_those_of_scikit_learn() {
        let (database, labels) = clouds("fit", 150, 8, 5, 1.6);
        let (queries, _) = clouds("test", 60, 8, 5, 1.6);
        let neighbours = nearest(&database, &queries, 12).unwrap();
        let classes = |k, weight| -> String {
            let voted = vote(&neighbours, &labels, k, weight).unwrap();
            assert!(voted.iter().all(|voted| voted.share > 0.0 && voted.share <= 1.0));
            voted.iter().map(|voted| voted.class.to_string()).collect()
        };
        assert_eq!(classes(9, Weight::Equal), EQUAL);
        assert_eq!(classes(12, Weight::Softmax { temperature: 0.1 }), SOFT);
        assert_ne!(EQUAL, SOFT);
        // A temperature so low that the nearest decides alone.
        assert_eq!(classes(12, Weight::Softmax { temperature: 1e-9 }), classes(1, Weight::Equal));
    }

    #[test]
    fn the_best_setting_is_the_first_of_the_best() {
        let (database, labels) = clouds("fit", 150, 8, 5, 1.6);
        let (queries, expected) = clouds("test", 60, 8, 5, 1.6);
        let neighbours = nearest(&database, &queries, 12).unwrap();
        let weights = [Weight::Equal, Weight::Softmax { temperature: 0.1 }];
        let chosen = choose(&neighbours, &labels, &expected, &[1, 5, 12, 5], &weights).unwrap();
        for k in [1, 5, 12] {
            for weight in weights {
                let one = choose(&neighbours, &labels, &expected, &[k], &[weight]).unwrap();
                assert!(one.accuracy <= chosen.accuracy);
            }
        }
        assert!(choose(&neighbours, &labels, &expected, &[], &weights).is_err());
        assert!(choose(&neighbours, &labels, &expected[1..], &[1], &weights).is_err());
    }

    #[test]
    fn twenty_thousand_classes_and_one_class_are_both_possible() {
        let values = (0..40_000).map(|value| value as f32 + 1.0).collect();
        let database = Vectors::new(values, 2).unwrap();
        let neighbours = nearest(&database, &database.select(&[0, 19_999]), 1).unwrap();
        let labels: Vec<usize> = (0..20_000).collect();
        let voted = vote(&neighbours, &labels, 1, Weight::Equal).unwrap();
        assert_eq!(voted[0], Voted { class: 0, share: 1.0 });
        let one = vote(&neighbours, &[4; 20_000], 1, Weight::Equal).unwrap();
        assert_eq!(one[1], Voted { class: 4, share: 1.0 });
        assert!(vote(&neighbours, &labels, 2, Weight::Equal).is_err());
        assert!(vote(&neighbours, &labels, 0, Weight::Equal).is_err());
        assert!(matches!(vote(&neighbours, &[], 1, Weight::Equal), Err(VectorError::NoRow { .. })));
        for temperature in [0.0, -1.0, f64::NAN] {
            assert!(vote(&neighbours, &labels, 1, Weight::Softmax { temperature }).is_err());
        }
    }
}
