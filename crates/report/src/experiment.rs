//! What an experiment found: variants of a training tested on the same pictures with the same seeds.

use crate::mean_and_deviation;
use crate::paired::{self, Paired};

/// Of the table of [`Experiment::to_csv`].
const COLUMNS: [&str; 11] = [
    "budget",
    "variant",
    "seeds",
    "top1",
    "std",
    "difference",
    "difference_std",
    "standard_error",
    "degrees",
    "p",
    "chosen",
];

/// The results of an experiment so far.
#[derive(Clone, Debug, Default)]
pub struct Experiment {
    /// What is asked.
    pub title: String,
    /// What is known from elsewhere, such as a row of the paper; may be empty.
    pub paper: String,
    /// What was done, in a few sentences; may be empty.
    pub about: String,
    /// Position in [`variants`](Self::variants) of the one that the others are compared with.
    pub baseline: usize,
    /// Seeds that each variant is to be trained with.
    pub seeds: usize,
    /// Names.
    pub variants: Vec<String>,
    /// What each variant had of labels or time.
    pub budgets: Vec<Budget>,
    /// How unlike the channels of each pre-trained network are; empty where it was not measured.
    pub distances: Vec<Distances>,
    /// Settings, the program and the machine: a name and what it was.
    pub facts: Vec<(String, String)>,
}

/// All variants with one budget.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    /// Such as `10 % of the labels`; empty where there is only one.
    pub name: String,
    /// A cell for each variant.
    pub cells: Vec<Cell>,
}

/// One variant with one budget.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// A score for each seed so far, in the order of the seeds.
    pub scores: Vec<Score>,
    /// Why a seed has no score and will get none.
    pub failures: Vec<(u64, String)>,
    /// Settings that were chosen on other pictures; empty where nothing was to be chosen.
    pub chosen: Vec<String>,
}

/// One classifier's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Score {
    /// What it was trained with.
    pub seed: u64,
    /// Whether each test picture was named right.
    pub right: Vec<bool>,
}

impl Score {
    /// Share of the test pictures that were named right.
    pub fn top1(&self) -> f64 {
        self.right.iter().filter(|&&right| right).count() as f64 / self.right.len().max(1) as f64
    }
}

/// The feature distance of one pre-trained network, layer by layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Distances {
    /// Position in [`Experiment::variants`].
    pub variant: usize,
    /// What it was trained with.
    pub seed: u64,
    /// `(depth, distance)`: depth from 0 (first block) to 1 (last), distance after the block's last
    /// non-linearity.
    pub points: Vec<(f64, f64)>,
}

impl Cell {
    /// Mean score; `None` before there is one.
    pub fn mean(&self) -> Option<f64> {
        self.mean_and_deviation().map(|(mean, _)| mean)
    }

    /// Standard deviation of the scores over seeds; `None` before there are two.
    pub fn std(&self) -> Option<f64> {
        self.mean_and_deviation().and_then(|(_, deviation)| deviation)
    }

    fn mean_and_deviation(&self) -> Option<(f64, Option<f64>)> {
        mean_and_deviation(self.scores.iter().map(Score::top1))
    }
}

impl Budget {
    /// How much better a variant is than the baseline, over the seeds that both have; `None` for the
    /// baseline itself and where there is no such seed.
    pub fn difference(&self, variant: usize, baseline: usize) -> Option<Paired> {
        if variant == baseline {
            return None;
        }
        let (own, others) = (&self.cells[variant].scores, &self.cells[baseline].scores);
        let pairs = own.iter().filter_map(|score| {
            let other = others.iter().find(|other| other.seed == score.seed)?;
            Some((score.right.clone(), other.right.clone()))
        });
        let (own, others): (Vec<_>, Vec<_>) = pairs.unzip();
        paired::compare(&own, &others)
    }
}

impl Experiment {
    /// Pictures that the classifiers were tested on; `None` before the first score.
    pub fn test_pictures(&self) -> Option<usize> {
        let cells = self.budgets.iter().flat_map(|budget| &budget.cells);
        cells.flat_map(|cell| &cell.scores).next().map(|score| score.right.len())
    }

    /// The table as CSV: a line for each budget and variant, shares from 0 to 1.
    pub fn to_csv(&self) -> String {
        let mut csv = csv::Writer::from_writer(Vec::new());
        let mut add = |row: [&str; 11]| csv.write_record(row).expect("a Vec takes every write");
        add(COLUMNS);
        let number =
            |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.6}"));
        for budget in &self.budgets {
            for (variant, cell) in budget.cells.iter().enumerate() {
                let paired = budget.difference(variant, self.baseline);
                let of = |value: fn(&Paired) -> f64| number(paired.as_ref().map(value));
                let fields = [
                    budget.name.clone(),
                    self.variants[variant].clone(),
                    cell.scores.len().to_string(),
                    number(cell.mean()),
                    number(cell.std()),
                    of(|paired| paired.mean),
                    number(paired.and_then(|paired| paired.std)),
                    of(|paired| paired.standard_error),
                    of(|paired| paired.degrees),
                    of(|paired| paired.p),
                    cell.chosen.join(" "),
                ];
                add(fields.each_ref().map(String::as_str));
            }
        }
        let csv = csv.into_inner().expect("a Vec takes every write");
        String::from_utf8(csv).expect("made of strings")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn score(seed: u64, right: &str) -> Score {
        Score { seed, right: right.chars().map(|c| c == '1').collect() }
    }

    fn experiment() -> Experiment {
        let cell = |scores| Cell { scores, ..Cell::default() };
        Experiment {
            baseline: 1,
            seeds: 3,
            variants: vec!["with, \"much\"".to_owned(), "without".to_owned()],
            budgets: vec![Budget {
                name: "1 %".to_owned(),
                cells: vec![
                    cell(vec![score(0, "1110"), score(2, "1111")]),
                    cell(vec![score(0, "1000"), score(1, "1100"), score(2, "1100")]),
                ],
            }],
            ..Experiment::default()
        }
    }

    #[test]
    fn a_difference_is_over_the_seeds_that_both_have() {
        let experiment = experiment();
        let budget = &experiment.budgets[0];
        let paired = budget.difference(0, 1).unwrap();
        assert_eq!((paired.seeds, paired.pictures, paired.mean), (2, 4, 0.5));
        assert_eq!(budget.difference(1, 1), None);
        assert_eq!(experiment.test_pictures(), Some(4));
        // 0.75 and 1.
        assert_eq!(budget.cells[0].mean(), Some(0.875));
        assert!((budget.cells[0].std().unwrap() - 0.125 * 2f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn csv_has_a_line_for_each_cell_and_quotes_names() {
        let csv = experiment().to_csv();
        let lines: Vec<_> = csv.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].starts_with("1 %,\"with, \"\"much\"\"\",2,0.875000,0.176777,0.500000,"));
        assert_eq!(lines[2], "1 %,without,3,0.416667,0.144338,,,,,,");
        let mut none = experiment();
        none.budgets[0].cells[0].scores.clear();
        assert!(none.to_csv().contains("\",0,,,,,,,,"), "{}", none.to_csv());
    }
}
