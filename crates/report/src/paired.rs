//! Whether one classifier is better than another, tested on the same pictures with the same seeds.
//!
//! A difference between two scores has two causes beside a true one: the seeds (which labels were drawn, how
//! the network began, in which order it saw the pictures) and the pictures it was tested on. Both are taken
//! as drawn at random, crossed with each other: a picture's result depends on the seed and the other way
//! round. This is a two-way analysis of variance with one value in a cell, as it is used where several
//! readers judge the same cases (Obuchowski and Rockette 1995, Hillis 2007). The degrees of freedom are
//! Satterthwaite's, of those of the two whose mean square stands above the interaction's: Hillis's are others.
//! `reference/paired.py --simulate` shows how often the test errs.

use special::Beta;

/// The mean difference between two classifiers, and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// Seeds that both were trained with.
    pub seeds: usize,
    /// Pictures that both were tested on.
    pub pictures: usize,
    /// Mean over seeds and pictures of the first classifier's hits minus the second's: a difference of
    /// shares, -1 to 1.
    pub mean: f64,
    /// Standard deviation of the seeds' differences; `None` with one seed.
    pub std: Option<f64>,
    /// Standard error of the mean difference over seeds and pictures. With one seed it knows the pictures
    /// alone.
    pub standard_error: f64,
    /// Degrees of freedom of the standard error, by Satterthwaite's formula.
    pub degrees: f64,
    /// Two-sided p-value: how often a difference this large comes about where there is none. With one seed it is
    /// McNemar's exact one, of the pictures that one of both alone was right about: they may be very few.
    pub p: f64,
}

impl Paired {
    /// Whether there is a difference: larger than twice its standard error, and with p below 0.05. With few
    /// seeds the standard error is itself a guess, and twice of it is not enough.
    pub fn is_clear(&self) -> bool {
        self.mean.abs() > 2.0 * self.standard_error && self.p < 0.05
    }

    /// The p-value for reading, with its sign: `= 0.012`, `< 0.001`.
    pub fn p_in_words(&self) -> String {
        if self.p < 0.001 { "< 0.001".to_owned() } else { format!("= {:.3}", self.p) }
    }
}

/// Compares two classifiers: `a[seed][picture]` and `b[seed][picture]` say whether a picture was named right.
/// A positive difference means that `a` is better.
///
/// `None` where they were not tested on the same seeds and pictures, or on fewer than two pictures.
///
/// The variance of the mean over S seeds and P pictures is `(S² + P² − SP²) / (S·P)` with the mean squares of
/// seeds, pictures and their interaction. A mean square below that of the interaction, which then is all there
/// is to it, counts as the interaction's: the standard error is never below what the other source alone says.
pub fn compare(a: &[Vec<bool>], b: &[Vec<bool>]) -> Option<Paired> {
    let (seeds, pictures) = (a.len(), a.first()?.len());
    let alike = a.len() == b.len() && a.iter().chain(b).all(|seed| seed.len() == pictures);
    if !alike || pictures < 2 {
        return None;
    }
    let difference = |seed: usize, picture: usize| {
        f64::from(i8::from(a[seed][picture]) - i8::from(b[seed][picture]))
    };
    let (s, p) = (seeds as f64, pictures as f64);
    let of_seed: Vec<f64> = (0..seeds)
        .map(|seed| (0..pictures).map(|picture| difference(seed, picture)).sum::<f64>() / p)
        .collect();
    let of_picture: Vec<f64> = (0..pictures)
        .map(|picture| (0..seeds).map(|seed| difference(seed, picture)).sum::<f64>() / s)
        .collect();
    let mean = of_seed.iter().sum::<f64>() / s;
    let squares = |means: &[f64]| means.iter().map(|x| (x - mean).powi(2)).sum::<f64>();

    let by_picture = Spread { square: s * squares(&of_picture) / (p - 1.0), degrees: p - 1.0 };
    let (variance, degrees, std) = if seeds == 1 {
        (by_picture.square / p, by_picture.degrees, None)
    } else {
        let spread = squares(&of_seed) / (s - 1.0);
        let by_seed = Spread { square: p * spread, degrees: s - 1.0 };
        let rest: f64 = (0..seeds)
            .flat_map(|seed| (0..pictures).map(move |picture| (seed, picture)))
            .map(|(i, j)| (difference(i, j) - of_seed[i] - of_picture[j] + mean).powi(2))
            .sum();
        let degrees = by_seed.degrees * by_picture.degrees;
        let interaction = Spread { square: rest / degrees, degrees };
        let (square, degrees) = combined(by_seed, by_picture, interaction);
        (square / (s * p), degrees, Some(spread.sqrt()))
    };
    let standard_error = variance.sqrt();
    let p = if seeds == 1 {
        let count = |won: f64| of_picture.iter().filter(|&&found| found == won).count() as u64;
        sign_test(count(1.0), count(-1.0))
    } else {
        two_sided(mean, standard_error, degrees)
    };
    Some(Paired { seeds, pictures, mean, std, standard_error, degrees, p })
}

/// A mean square and its degrees of freedom.
#[derive(Clone, Copy)]
struct Spread {
    square: f64,
    degrees: f64,
}

/// Seeds' and pictures' mean squares minus the interaction's, which both hold, and the degrees of freedom of
/// the sum.
fn combined(seeds: Spread, pictures: Spread, interaction: Spread) -> (f64, f64) {
    let above = |spread: &Spread| spread.square > interaction.square;
    match (above(&seeds), above(&pictures)) {
        (false, false) => (interaction.square, interaction.degrees),
        (true, false) => (seeds.square, seeds.degrees),
        (false, true) => (pictures.square, pictures.degrees),
        (true, true) => {
            let sum = seeds.square + pictures.square - interaction.square;
            let uncertain = [seeds, pictures, interaction]
                .map(|spread| spread.square.powi(2) / spread.degrees)
                .iter()
                .sum::<f64>();
            (sum, sum.powi(2) / uncertain)
        }
    }
}

/// Two-sided p-value of so many wins and losses where both are equally likely, by the binomial distribution: the chance of
/// as few of the rarer is the regularized incomplete beta function I(more, less + 1) at 1/2.
fn sign_test(wins: u64, losses: u64) -> f64 {
    if wins == losses {
        return 1.0;
    }
    let (less, more) = (wins.min(losses) as f64, wins.max(losses) as f64);
    (2.0 * 0.5_f64.inc_beta(more, less + 1.0, more.ln_beta(less + 1.0))).min(1.0)
}

/// Two-sided p-value of Student's t-test: the regularized incomplete beta function I(ν/2, 1/2) at
/// ν / (ν + t²), with t = mean / standard error and ν degrees of freedom.
fn two_sided(mean: f64, standard_error: f64, degrees: f64) -> f64 {
    if mean == 0.0 {
        return 1.0;
    }
    if standard_error == 0.0 {
        return 0.0;
    }
    let t = mean / standard_error;
    let (a, b) = (degrees / 2.0, 0.5);
    (degrees / (degrees + t * t)).inc_beta(a, b, a.ln_beta(b))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn right(rows: &[&str]) -> Vec<Vec<bool>> {
        rows.iter().map(|row| row.chars().map(|c| c == '1').collect()).collect()
    }

    fn is_close(value: f64, expected: f64) -> bool {
        (value - expected).abs() <= 1e-9 * expected.abs().max(1e-6)
    }

    /// Expected values from `reference/paired.py`: mean, standard deviation over seeds, standard error,
    /// degrees of freedom, p-value.
    #[test]
    fn values_are_those_of_scipy() {
        let cases: [(&[&str], &[&str], [f64; 5]); 6] = [
            (
                &["1111111010111111", "1111001111011100", "1111111111111111"],
                &["1010000010000011", "0010001011011100", "1110010010000011"],
                [
                    0.4583333333333333,
                    0.18042195912175804,
                    0.11334558757279535,
                    2.653272175205116,
                    0.03418897906033862,
                ],
            ),
            (
                &["1111101011", "1111001111", "0111101110"],
                &["1010100010", "0010001011", "0110000010"],
                [0.4, 0.0, 0.10886621079036346, 9.0, 0.00512107276427264],
            ),
            (
                &["11111111", "11001100", "11111111"],
                &["00110011", "11000011", "11001100"],
                [
                    0.3333333333333333,
                    0.2886751345948129,
                    0.16666666666666669,
                    2.0,
                    0.183503419072274,
                ],
            ),
            (
                &["1001", "0110", "1010"],
                &["0000", "0000", "0000"],
                [0.5, 0.0, 0.19245008972987526, 6.0, 0.04076740686322287],
            ),
            (&["1111101011"], &["1010100010"], [0.4, f64::NAN, 0.1632993161855452, 9.0, 0.125]),
            (
                &["1111111111100000"],
                &["0000000001111110"],
                [0.3125, f64::NAN, 0.21830311495716226, 15.0, 0.266845703125],
            ),
        ];
        for (a, b, expected) in cases {
            let (a, b) = (right(a), right(b));
            let found = compare(&a, &b).unwrap();
            assert_eq!((found.seeds, found.pictures), (a.len(), a[0].len()));
            let std = found.std.unwrap_or(f64::NAN);
            let values = [found.mean, std, found.standard_error, found.degrees, found.p];
            for (value, expected) in values.into_iter().zip(expected) {
                let same = is_close(value, expected) || value.is_nan() && expected.is_nan();
                assert!(same, "{value} is not {expected} in {found:?}");
            }
            let turned = compare(&b, &a).unwrap();
            assert!(is_close(turned.mean, -found.mean) && is_close(turned.p, found.p));
        }
    }

    /// Three seeds that scatter more than the pictures can account for leave two degrees of freedom.
    #[test]
    fn twice_an_uncertain_standard_error_is_no_difference() {
        let a = right(&["1111111111111111", "1111111111110000", "1111000000000000"]);
        let b = right(&["0000000000000000", "0000000000000000", "0000000000000000"]);
        let found = compare(&a, &b).unwrap();
        assert!(found.mean > 2.0 * found.standard_error, "{found:?}");
        assert!(found.p > 0.05 && !found.is_clear(), "{found:?}");
        assert_eq!(found.p_in_words(), format!("= {:.3}", found.p));
    }

    #[test]
    fn equal_classifiers_cannot_be_told_apart() {
        let a = right(&["1100", "1010"]);
        let found = compare(&a, &a).unwrap();
        assert_eq!((found.mean, found.standard_error, found.p), (0.0, 0.0, 1.0));
        assert!(!found.is_clear());
    }

    #[test]
    fn a_difference_in_every_picture_is_certain() {
        let found = compare(&right(&["11", "11"]), &right(&["00", "00"])).unwrap();
        assert_eq!((found.mean, found.standard_error, found.p), (1.0, 0.0, 0.0));
        assert!(found.is_clear());
    }

    /// Four pictures, all in favour of one, come about in one of eight cases where both are equally good. Student's t would
    /// call them a difference.
    #[test]
    fn few_pictures_of_one_seed_are_no_difference() {
        for pictures in [4, 1000] {
            let [mut a, b] = [vec![true; pictures], vec![false; pictures]];
            a[4..].fill(false);
            let found = compare(&[a], &[b]).unwrap();
            assert!(is_close(found.p, 0.125) && !found.is_clear(), "{found:?}");
        }
    }

    #[test]
    fn what_is_not_paired_is_not_compared() {
        let two = right(&["110", "101"]);
        assert_eq!(compare(&two, &right(&["110"])), None);
        assert_eq!(compare(&two, &right(&["110", "10"])), None);
        assert_eq!(compare(&[], &[]), None);
        assert_eq!(compare(&right(&["1"]), &right(&["0"])), None);
    }
}
