//! What the demo found, whichever way it came out.

use std::time::Duration;

use fcmae::evaluate::Evaluation;
use fcmae::plots::{Chart, Series};
use fcmae::train::StepReport;
use serde::Serialize;

use crate::progress::grouped;
use crate::table::{Align, Table};

/// Mean loss of each epoch.
#[derive(Default)]
pub(super) struct Curve {
    /// Sum and number of the losses of each epoch.
    epochs: Vec<(f64, u64)>,
}

impl Curve {
    pub(super) fn add(&mut self, step: &StepReport) {
        // The step that ends an epoch belongs to it.
        let epoch = (step.epoch.ceil() as usize).max(1);
        if self.epochs.len() < epoch {
            self.epochs.resize(epoch, (0.0, 0));
        }
        let (sum, count) = &mut self.epochs[epoch - 1];
        *sum += f64::from(step.loss);
        *count += 1;
    }

    fn points(&self) -> Vec<(f64, f64)> {
        let numbered = self.epochs.iter().enumerate();
        numbered.map(|(n, (sum, count))| (n as f64 + 1.0, sum / *count as f64)).collect()
    }

    fn losses(&self) -> Vec<f64> {
        self.points().into_iter().map(|(_, loss)| loss).collect()
    }
}

/// A classifier trained with few labels.
pub(super) struct Labelled {
    pub(super) curve: Curve,
    /// Labelled pictures it was trained on.
    pub(super) pictures: usize,
    /// On the held-out pictures.
    pub(super) evaluation: Evaluation,
}

/// Both classifiers of one seed.
pub(super) struct Comparison {
    pub(super) seed: u64,
    pub(super) pretrained: Labelled,
    pub(super) scratch: Labelled,
}

impl Comparison {
    fn top1(&self) -> (f64, f64) {
        (self.pretrained.evaluation.top1, self.scratch.evaluation.top1)
    }
}

pub(super) fn pretraining_chart(curve: &Curve) -> Chart {
    Chart::new("Pre-training without labels", "epoch", "loss at hidden patches")
        .series(Series::new("training loss", curve.points()))
}

pub(super) fn finetuning_chart(comparisons: &[Comparison]) -> Chart {
    let empty = Chart::new("Training with few labels", "epoch", "training loss");
    comparisons.iter().fold(empty, |chart, Comparison { seed, pretrained, scratch }| {
        let line = |name: &str, net: &Labelled, colour| {
            Series::new(format!("{name}, seed {seed}"), net.curve.points()).colour(colour)
        };
        chart
            .series(line("pre-trained", pretrained, 0))
            .series(line("from scratch", scratch, 1).dashed())
    })
}

/// `results.json`.
#[derive(Serialize)]
pub(super) struct Results {
    /// Whether far too few epochs were trained for the numbers to mean anything.
    quick: bool,
    seconds: f64,
    test_pictures: usize,
    labelled_pictures: usize,
    /// Top-1 of always naming the largest group.
    largest_group: f64,
    mean: Top1,
    seeds: Vec<Seed>,
    pretraining_loss: Vec<f64>,
}

#[derive(Serialize)]
struct Top1 {
    pretrained: f64,
    scratch: f64,
}

#[derive(Serialize)]
struct Seed {
    seed: u64,
    top1: Top1,
    pretrained_loss: Vec<f64>,
    scratch_loss: Vec<f64>,
}

pub(super) fn results(
    comparisons: &[Comparison],
    pretraining: &Curve,
    time: Duration,
    quick: bool,
) -> Results {
    let counts = Counts::of(comparisons);
    Results {
        quick,
        seconds: time.as_secs_f64(),
        test_pictures: counts.test,
        labelled_pictures: counts.labelled,
        largest_group: counts.largest_group,
        mean: mean(comparisons),
        seeds: comparisons
            .iter()
            .map(|comparison| {
                let (pretrained, scratch) = comparison.top1();
                Seed {
                    seed: comparison.seed,
                    top1: Top1 { pretrained, scratch },
                    pretrained_loss: comparison.pretrained.curve.losses(),
                    scratch_loss: comparison.scratch.curve.losses(),
                }
            })
            .collect(),
        pretraining_loss: pretraining.losses(),
    }
}

/// The table and, in a sentence, what it says.
pub(super) fn text(comparisons: &[Comparison], quick: bool) -> String {
    let counts = Counts::of(comparisons);
    let mut table = Table::new([
        ("seed", Align::Left),
        ("pre-trained", Align::Right),
        ("from scratch", Align::Right),
        ("difference", Align::Right),
    ]);
    let percent = |share: f64| format!("{:.1}%", 100.0 * share);
    let mut row = |name: String, (pretrained, scratch): (f64, f64)| {
        let difference = format!("{:+.1}", 100.0 * (pretrained - scratch));
        table.row([name, percent(pretrained), percent(scratch), difference]);
    };
    for comparison in comparisons {
        row(comparison.seed.to_string(), comparison.top1());
    }
    let Top1 { pretrained, scratch } = mean(comparisons);
    row("mean".to_owned(), (pretrained, scratch));
    let differences: Vec<f64> = comparisons
        .iter()
        .map(Comparison::top1)
        .map(|(pretrained, scratch)| pretrained - scratch)
        .collect();
    format!(
        "\nTop-1 on {} held-out emoji of {} groups, after training with {} labelled ones\n\
         (always naming the largest group: {}):\n\n{}\n{}\n",
        grouped(counts.test),
        counts.groups,
        grouped(counts.labelled),
        percent(counts.largest_group),
        table.text(),
        if quick {
            "This was --quick: far too few epochs, so these numbers mean nothing.".to_owned()
        } else {
            verdict(&differences, counts.test)
        },
    )
}

/// Only what all seeds agree on, and what is more than the held-out pictures can blur, is called a
/// result: a share `p` of `n` pictures has a standard error of √(p·(1−p)/n), at most √(1/4n).
fn verdict(differences: &[f64], pictures: usize) -> String {
    let error = (0.25 / pictures.max(1) as f64).sqrt();
    let mean = differences.iter().sum::<f64>() / differences.len().max(1) as f64;
    if differences.iter().any(|difference| difference * mean <= 0.0) {
        "The seeds disagree: too close to tell.".to_owned()
    } else if mean.abs() < error {
        format!(
            "Less than the standard error of so few pictures ({:.1}%): too close to tell.",
            100.0 * error
        )
    } else if mean > 0.0 {
        "Pre-training without labels helped with every seed.".to_owned()
    } else {
        "Pre-training without labels did not help here: from scratch was better with every seed."
            .to_owned()
    }
}

fn mean(comparisons: &[Comparison]) -> Top1 {
    let mean = |score: fn((f64, f64)) -> f64| {
        comparisons.iter().map(Comparison::top1).map(score).sum::<f64>() / comparisons.len() as f64
    };
    Top1 { pretrained: mean(|(pretrained, _)| pretrained), scratch: mean(|(_, scratch)| scratch) }
}

/// What is the same for all seeds.
#[derive(Default)]
struct Counts {
    groups: usize,
    test: usize,
    labelled: usize,
    largest_group: f64,
}

impl Counts {
    fn of(comparisons: &[Comparison]) -> Self {
        let Some(Comparison { pretrained, .. }) = comparisons.first() else {
            return Self::default();
        };
        let evaluation = &pretrained.evaluation;
        let groups = evaluation.confusion.iter().map(|row| row.iter().sum::<u64>());
        let largest = groups.max().unwrap_or(0);
        Self {
            groups: evaluation.classes.len(),
            test: evaluation.images,
            labelled: pretrained.pictures,
            largest_group: largest as f64 / evaluation.images.max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(epoch: f64, loss: f32) -> StepReport {
        StepReport {
            step: 1,
            steps: 4,
            epoch,
            loss,
            lr: 0.1,
            grad_norm: 1.0,
            images_per_second: 1.0,
            data_wait: 0.0,
        }
    }

    #[test]
    fn a_curve_holds_the_mean_of_each_epoch() {
        let mut curve = Curve::default();
        for (epoch, loss) in [(0.5, 4.0), (1.0, 2.0), (1.5, 1.0), (2.0, 0.5)] {
            curve.add(&step(epoch, loss));
        }
        assert_eq!(curve.points(), [(1.0, 3.0), (2.0, 0.75)]);
    }

    #[test]
    fn a_verdict_needs_all_seeds_and_more_than_chance() {
        assert!(verdict(&[0.1, 0.02], 400).contains("helped with every seed"));
        assert!(verdict(&[-0.1, -0.02], 400).contains("did not help"));
        assert!(verdict(&[0.1, -0.02], 400).contains("disagree"));
        assert!(verdict(&[0.1, 0.0], 400).contains("disagree"));
        assert!(verdict(&[0.02, 0.01], 400).contains("so few pictures (2.5%)"));
    }
}
