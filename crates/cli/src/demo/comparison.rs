//! What the demo found, whichever way it came out.

use std::time::Duration;

use fcmae::inference::evaluate::Evaluation;
use fcmae::training::StepReport;
use fcmae_report::paired::{self, Paired};
use fcmae_report::plots::{Chart, EstimationPlot, SeedScores, Series};
use fcmae_words::terminal::percent;
use fcmae_words::{grouped, signed};
use serde::Serialize;

use crate::text_table::{Align, Table};

/// Names of the two sides.
const PRETRAINED: &str = "pre-trained";
const SCRATCH: &str = "from scratch";

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

/// Mean over curves of the same epochs, with a band from the lowest to the highest.
fn averaged<'a>(name: &str, curves: impl Iterator<Item = &'a Curve>) -> Series {
    let losses: Vec<Vec<f64>> = curves.map(Curve::losses).collect();
    let epochs = losses.iter().map(Vec::len).min().unwrap_or(0);
    let (mut means, mut band) = (Vec::new(), Vec::new());
    for index in 0..epochs {
        let epoch = index as f64 + 1.0;
        let of_epoch = || losses.iter().map(|losses| losses[index]);
        let (low, high) = of_epoch()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        means.push((epoch, of_epoch().sum::<f64>() / losses.len() as f64));
        band.push((epoch, low, high));
    }
    Series::new(name, means).band(band)
}

/// A classifier trained with few labels.
pub(super) struct FewLabels {
    pub(super) curve: Curve,
    /// Labelled pictures it was trained on.
    pub(super) pictures: usize,
    /// On the held-out pictures.
    pub(super) evaluation: Evaluation,
    /// Whether each held-out picture was recognized.
    pub(super) right: Vec<bool>,
}

/// Both classifiers of one seed.
pub(super) struct Comparison {
    pub(super) seed: u64,
    pub(super) pretrained: FewLabels,
    pub(super) scratch: FewLabels,
}

impl Comparison {
    fn top1(&self) -> Top1 {
        Top1 { pretrained: self.pretrained.evaluation.top1, scratch: self.scratch.evaluation.top1 }
    }
}

pub(super) fn pretraining_chart(curve: &Curve) -> Chart {
    Chart::new("Pre-training without labels", "epoch", "loss at hidden patches")
        .series(Series::new("training loss", curve.points()))
}

/// What the demo found.
pub(super) struct Findings {
    comparisons: Vec<Comparison>,
    counts: Counts,
    mean: Top1,
    /// The difference of both sides; `None` with a single seed, which says nothing about others.
    difference: Option<Paired>,
    /// Whether far too few epochs were trained for the numbers to mean anything.
    quick: bool,
}

/// Shares of the held-out pictures that were recognized.
#[derive(Clone, Copy, Serialize)]
struct Top1 {
    pretrained: f64,
    scratch: f64,
}

/// What a difference of two scores says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Helped,
    DidNotHelp,
    CannotBeToldApart,
}

impl Verdict {
    fn of(paired: &Paired) -> Self {
        if !paired.is_clear() {
            Self::CannotBeToldApart
        } else if paired.mean > 0.0 {
            Self::Helped
        } else {
            Self::DidNotHelp
        }
    }
}

impl Findings {
    pub(super) fn new(comparisons: Vec<Comparison>, quick: bool) -> Self {
        let side = |side: fn(&Comparison) -> &FewLabels| -> Vec<Vec<bool>> {
            comparisons.iter().map(|comparison| side(comparison).right.clone()).collect()
        };
        let pretrained = side(|comparison| &comparison.pretrained);
        let scratch = side(|comparison| &comparison.scratch);
        Self {
            counts: Counts::of(&comparisons),
            mean: mean(&comparisons),
            difference: paired::compare(&pretrained, &scratch).filter(|paired| paired.seeds > 1),
            comparisons,
            quick,
        }
    }

    /// `results.json`.
    pub(super) fn results(&self, pretraining: &Curve, time: Duration) -> Results {
        Results {
            quick: self.quick,
            seconds: time.as_secs_f64(),
            test_pictures: self.counts.test,
            labelled_pictures: self.counts.labelled,
            largest_group: self.counts.largest_group,
            mean: self.mean,
            difference: self.difference.as_ref().map(|paired| Difference {
                mean: paired.mean,
                standard_error: paired.standard_error,
                degrees: paired.degrees,
                p: paired.p,
                verdict: Verdict::of(paired),
            }),
            seeds: self
                .comparisons
                .iter()
                .map(|comparison| Seed {
                    seed: comparison.seed,
                    top1: comparison.top1(),
                    pretrained_loss: comparison.pretrained.curve.losses(),
                    scratch_loss: comparison.scratch.curve.losses(),
                })
                .collect(),
            pretraining_loss: pretraining.losses(),
        }
    }

    pub(super) fn finetuning_chart(&self) -> Chart {
        let curves = |side: fn(&Comparison) -> &FewLabels| {
            self.comparisons.iter().map(move |comparison| &side(comparison).curve)
        };
        let pretrained = averaged(PRETRAINED, curves(|comparison| &comparison.pretrained));
        let scratch = averaged(SCRATCH, curves(|comparison| &comparison.scratch));
        Chart::new("Training with few labels", "epoch", "training loss")
            .series(pretrained.colour(0))
            .series(scratch.colour(1).dashed())
    }

    /// Both scores of each seed, and what lies between them.
    pub(super) fn scores(&self) -> EstimationPlot {
        let pairs = self.comparisons.iter().map(|comparison| {
            let Top1 { pretrained, scratch } = comparison.top1();
            let scores = [scratch, pretrained].map(|share| 100.0 * share);
            SeedScores { seed: comparison.seed, scores }
        });
        EstimationPlot {
            title: format!("Held-out emoji recognized, {} labels", self.counts.labelled),
            score: "top-1, %".to_owned(),
            difference: "difference, points".to_owned(),
            names: [SCRATCH, PRETRAINED].map(str::to_owned),
            pairs: pairs.collect(),
            standard_error: self.difference.as_ref().map(|paired| 100.0 * paired.standard_error),
        }
    }

    /// The table, and in words what it says.
    pub(super) fn text(&self) -> String {
        let mut table = Table::new([
            ("seed", Align::Left),
            (PRETRAINED, Align::Right),
            (SCRATCH, Align::Right),
            ("difference", Align::Right),
        ]);
        let mut row = |name: String, Top1 { pretrained, scratch }| {
            let difference = signed(100.0 * (pretrained - scratch));
            table.row([name, percent(pretrained, 1), percent(scratch, 1), difference]);
        };
        for comparison in &self.comparisons {
            row(comparison.seed.to_string(), comparison.top1());
        }
        row("mean".to_owned(), self.mean);
        let grounds = self.grounds();
        let mut parts = vec![self.setting(), table.text().trim_end().to_owned()];
        parts.extend((!grounds.is_empty()).then(|| grounds.join("\n")));
        parts.push(self.answer());
        format!("\n{}\n", parts.join("\n\n"))
    }

    /// What the scores are of.
    pub(super) fn setting(&self) -> String {
        let counts = &self.counts;
        format!(
            "Top-1 on {} held-out emoji of {} groups, after training with {} labelled ones.\n\
             Always naming the largest group would reach {}.",
            grouped(counts.test),
            counts.groups,
            grouped(counts.labelled),
            percent(counts.largest_group, 1),
        )
    }

    /// Whether pre-training pays, in a sentence.
    pub(super) fn answer(&self) -> String {
        if self.quick {
            return "This was --quick: far too few epochs, so these numbers mean nothing."
                .to_owned();
        }
        let Some(paired) = &self.difference else {
            return "One seed cannot tell whether pre-training helps: use --seeds 2 or more."
                .to_owned();
        };
        let Top1 { pretrained, scratch } = self.mean;
        match Verdict::of(paired) {
            Verdict::Helped => format!(
                "Pre-training without labels helped: {} of the held-out emoji right instead of {}.",
                percent(pretrained, 1),
                percent(scratch, 1)
            ),
            Verdict::DidNotHelp => format!(
                "Pre-training without labels did not help: {} of the held-out emoji right, and {} from \
                 scratch.",
                percent(pretrained, 1),
                percent(scratch, 1)
            ),
            Verdict::CannotBeToldApart => "Pre-trained and from scratch cannot be told apart: the \
                 difference is at most twice its standard error."
                .to_owned(),
        }
    }

    /// What the answer rests on, a sentence or two each.
    pub(super) fn grounds(&self) -> Vec<String> {
        let Some(paired) = self.difference.as_ref().filter(|_| !self.quick) else {
            return Vec::new();
        };
        vec![
            format!(
                "Difference: {} ± {:.1} points, mean ± standard error over seeds and held-out emoji.",
                signed(100.0 * paired.mean),
                100.0 * paired.standard_error
            ),
            chance(paired.p),
            "All seeds share one pre-training: how far another one would differ is not in the ±."
                .to_owned(),
        ]
    }
}

/// A p-value in words.
fn chance(p: f64) -> String {
    let (share, p) = if p < 0.001 {
        ("fewer than 1".to_owned(), "p < 0.001".to_owned())
    } else {
        (format!("about {:.0}", 1000.0 * p), format!("p = {p:.3}"))
    };
    format!(
        "If pre-training changed nothing, {share} of 1,000 such comparisons would differ as much by \
         chance ({p})."
    )
}

fn mean(comparisons: &[Comparison]) -> Top1 {
    let mean = |score: fn(Top1) -> f64| {
        comparisons.iter().map(Comparison::top1).map(score).sum::<f64>() / comparisons.len() as f64
    };
    Top1 { pretrained: mean(|top1| top1.pretrained), scratch: mean(|top1| top1.scratch) }
}

/// `results.json`. Scores and differences are shares of the held-out pictures.
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
    difference: Option<Difference>,
    seeds: Vec<Seed>,
    pretraining_loss: Vec<f64>,
}

/// Pre-trained less from scratch, over seeds and held-out pictures.
#[derive(Serialize)]
struct Difference {
    mean: f64,
    standard_error: f64,
    /// Degrees of freedom of the t distribution that `p` is from.
    degrees: f64,
    p: f64,
    verdict: Verdict,
}

#[derive(Serialize)]
struct Seed {
    seed: u64,
    top1: Top1,
    pretrained_loss: Vec<f64>,
    scratch_loss: Vec<f64>,
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
        let groups = evaluation.confusion.classes().into_iter().map(|class| class.pictures);
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
    fn curves_are_averaged_epoch_by_epoch() {
        let curves: Vec<Curve> = [[4.0, 2.0], [2.0, 1.0]]
            .map(|losses| Curve { epochs: losses.map(|loss| (loss, 1)).to_vec() })
            .into();
        let svg = |series: Series| Chart::new("", "", "").series(series).to_svg();
        let expected = Series::new("both", vec![(1.0, 3.0), (2.0, 1.5)])
            .band(vec![(1.0, 2.0, 4.0), (2.0, 1.0, 2.0)]);
        assert_eq!(svg(averaged("both", curves.iter())), svg(expected));
    }

    #[test]
    fn chance_is_told_in_thousands() {
        assert!(
            chance(0.0123).contains("about 12 of 1,000") && chance(0.0123).contains("(p = 0.012)")
        );
        assert!(chance(0.000_4).contains("fewer than 1 of 1,000"));
    }

    /// A classifier that recognizes the first `right` of ten pictures of two classes.
    fn labelled(right: usize) -> FewLabels {
        FewLabels {
            curve: Curve::default(),
            pictures: 4,
            evaluation: Evaluation {
                classes: vec!["a".into(), "b".into()],
                images: 10,
                top1: right as f64 / 10.0,
                top5: 1.0,
                loss: 1.0,
                confusion: vec![vec![6, 0], vec![0, 4]].into(),
                answers: Vec::new(),
                mistakes: Vec::new(),
                skipped: Vec::new(),
                says_nothing: false,
            },
            right: (0..10).map(|picture| picture < right).collect(),
        }
    }

    fn findings(scores: &[(usize, usize)]) -> Findings {
        let comparisons = scores.iter().zip(7..).map(|(&(pretrained, scratch), seed)| Comparison {
            seed,
            pretrained: labelled(pretrained),
            scratch: labelled(scratch),
        });
        Findings::new(comparisons.collect(), false)
    }

    #[test]
    fn findings_say_the_same_on_the_terminal_and_in_the_file() {
        let found = findings(&[(9, 3), (9, 2), (8, 3)]);
        let text = found.text();
        assert!(text.contains("7           90.0%         30.0%       +60.0"), "{text}");
        assert!(text.contains("mean        86.7%         26.7%       +60.0"), "{text}");
        assert!(text.contains("largest group would reach 60.0%"), "{text}");
        assert!(text.contains("Difference: +60.0 ± "), "{text}");
        assert!(
            text.contains("helped: 86.7% of the held-out emoji right instead of 26.7%"),
            "{text}"
        );
        let results =
            serde_json::to_value(found.results(&Curve::default(), Duration::from_secs(1)))
                .unwrap_or_default();
        assert_eq!(results["difference"]["verdict"], "helped", "{results}");
        assert_eq!(found.scores().pairs[1].scores, [20.0, 90.0]);

        let worse = findings(&[(3, 9), (2, 9), (3, 8)]);
        assert!(worse.answer().contains("did not help: 26.7%"), "{}", worse.answer());
        let close = findings(&[(5, 4), (4, 5), (5, 5)]);
        assert!(close.answer().contains("cannot be told apart"), "{}", close.answer());
        let one = findings(&[(9, 1)]);
        assert!(one.answer().contains("--seeds 2"), "{}", one.answer());
    }
}
