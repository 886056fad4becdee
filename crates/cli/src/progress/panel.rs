//! The numbers below the bar of a run: how it learns, how fast, and what it takes.

use std::time::{Duration, Instant};

use fcmae::engine::machine;
use fcmae::training::{EvaluationReport, StepReport, WatchReport};
use fcmae_words::terminal::{duration, percent};

/// Above this share a run would be noticeably faster with its pictures at hand.
const WAITS: f64 = 0.03;
/// What one more step counts in the running means.
const NEW: f64 = 0.1;
/// How long a number of the process's memory is shown: to ask for it takes some 50 µs.
const MEMORY_EVERY: Duration = Duration::from_secs(1);

/// What is known of a run.
#[derive(Default)]
pub(super) struct Panel {
    losses: Curve,
    /// The lines that were shown last.
    shown: String,
    /// Running means.
    pub(super) data_wait: f64,
    rate: f64,
    evaluations: Option<Evaluations>,
    /// The last accuracy on the watched pictures.
    watch: Option<String>,
    /// What the process takes, in bytes, and when that was asked.
    memory: Option<(u64, Instant)>,
}

struct Evaluations {
    last: f64,
    best: f64,
    /// Epochs before the best.
    at: u64,
}

impl Panel {
    pub(super) fn step(&mut self, report: &StepReport) {
        let StepReport { loss, images_per_second, data_wait, .. } = *report;
        let first = self.losses.count == 0;
        let mean = |old: f64, new: f64| if first { new } else { old + NEW * (new - old) };
        self.rate = mean(self.rate, images_per_second);
        self.data_wait = mean(self.data_wait, data_wait);
        self.losses.add(f64::from(loss));
    }

    pub(super) fn evaluated(&mut self, report: &EvaluationReport) {
        let EvaluationReport { top1, epoch, .. } = *report;
        let now = Evaluations { last: top1, best: top1, at: epoch };
        self.evaluations = Some(match self.evaluations.take() {
            Some(before) if before.best >= top1 => Evaluations { last: top1, ..before },
            _ => now,
        });
    }

    pub(super) fn watched(&mut self, report: &WatchReport) {
        let WatchReport { step, scores, start, untrained, .. } = *report;
        let share = |now: f64, before: Option<f64>| match before {
            Some(before) => format!("{} → {}", percent(before, 1), percent(now, 1)),
            None => percent(now, 1),
        };
        let probe = |probe| share(probe, start.and_then(|start| start.probe));
        let probe = scores.probe.map_or(String::new(), |now| format!("   probe {}", probe(now)));
        let since = match (start, step, untrained) {
            (Some(_), _, true) => "   (untrained → now)",
            (Some(_), _, false) => "   (start → now)",
            (None, 0, true) => "   (untrained)",
            (None, 0, false) => "   (at the start)",
            (None, ..) => "",
        };
        let neighbours = share(scores.neighbours, start.map(|start| start.neighbours));
        self.watch = Some(format!("watched: neighbours {neighbours}{probe}{since}"));
    }

    /// Whether loading holds the training up.
    pub(super) fn waits(&self) -> bool {
        self.data_wait >= WAITS
    }

    /// The lines that were shown last, with the accuracy on watched pictures since.
    pub(super) fn again(&self) -> String {
        match &self.watch {
            Some(watch) => with(&self.shown, watch),
            None => self.shown.clone(),
        }
    }

    /// The same, and one line more.
    pub(super) fn with(&self, line: &str) -> String {
        with(&self.again(), line)
    }

    /// Lines of at most 80 columns.
    pub(super) fn text(&mut self, report: &StepReport, epochs: u64, left: Duration) -> String {
        let StepReport { step, steps, epoch, loss, lr, grad_norm, .. } = report;
        if self.memory.is_none_or(|(_, asked)| asked.elapsed() >= MEMORY_EVERY) {
            self.memory = machine::resident_memory().map(|bytes| (bytes, Instant::now()));
        }
        let memory = self
            .memory
            .map_or(String::new(), |(bytes, _)| format!("   memory {} MiB", bytes >> 20));
        let mut text = format!(
            "  epoch {epoch:.2} of {epochs}   step {step} of {steps}   ETA {}\n  \
               loss  {loss:.4}  {}\n  \
               lr {lr:.2e}   gradient {grad_norm:.3}\n  \
               {:.0} images/s   waiting for pictures {}{memory}",
            duration(left),
            self.losses.text(),
            self.rate,
            percent(self.data_wait, 0),
        );
        if let Some(Evaluations { last, best, at }) = self.evaluations {
            text.push_str(&format!(
                "\n  held out: top-1 {:.1}%   best {:.1}% after epoch {at}",
                100.0 * last,
                100.0 * best
            ));
        }
        self.shown = text;
        self.again()
    }
}

/// Lines, and one more.
fn with(lines: &str, line: &str) -> String {
    let separator = if lines.is_empty() { "" } else { "\n" };
    format!("{lines}{separator}  {line}")
}

/// A curve of block letters over all steps so far, each the mean of as many.
#[derive(Default)]
struct Curve {
    means: Vec<f64>,
    /// Steps to a mean: doubled whenever the curve is full.
    each: u64,
    /// Sum and number of the steps of the last mean, which is not full yet.
    open: (f64, u64),
    count: u64,
}

const COLUMNS: usize = 48;
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

impl Curve {
    fn add(&mut self, value: f64) {
        self.count += 1;
        if !value.is_finite() {
            return;
        }
        self.each = self.each.max(1);
        self.open = (self.open.0 + value, self.open.1 + 1);
        if self.open.1 < self.each {
            return;
        }
        self.means.push(self.open.0 / self.open.1 as f64);
        self.open = (0.0, 0);
        if self.means.len() == COLUMNS {
            self.means = self.means.chunks(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect();
            self.each *= 2;
        }
    }

    fn text(&self) -> String {
        let low = self.means.iter().copied().fold(f64::INFINITY, f64::min);
        let high = self.means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let range = (high - low).max(1e-12);
        let block = |&value: &f64| BLOCKS[((value - low) / range * 7.0).round() as usize];
        self.means.iter().map(block).collect()
    }
}

#[cfg(test)]
mod tests {
    use fcmae::training::WatchScores;

    use super::*;

    fn step(number: u64, loss: f32) -> StepReport {
        StepReport {
            step: number,
            steps: 2000,
            epoch: number as f64 / 100.0,
            loss,
            lr: 1e-3,
            grad_norm: 0.5,
            images_per_second: 60.0,
            data_wait: 0.01,
        }
    }

    #[test]
    fn a_curve_of_any_length_fits_and_falls_with_the_loss() {
        let mut panel = Panel::default();
        for number in 1..=2000 {
            panel.step(&step(number, 2.0 - number as f32 / 1000.0));
        }
        let curve = panel.losses.text();
        let letters: Vec<char> = curve.chars().collect();
        assert!((COLUMNS / 2..COLUMNS).contains(&letters.len()), "{curve}");
        assert!(letters.windows(2).all(|pair| pair[0] >= pair[1]), "{curve}");
        assert_eq!((letters[0], letters[letters.len() - 1]), ('█', '▁'));
    }

    #[test]
    fn a_loss_that_is_no_number_leaves_a_gap() {
        let mut curve = Curve::default();
        for value in [1.0, f64::NAN, 2.0] {
            curve.add(value);
        }
        assert_eq!(curve.text(), "▁█");
    }

    #[test]
    fn what_watched_pictures_told_takes_the_place_of_what_they_told_before() {
        let mut panel = Panel::default();
        let scores = WatchScores { neighbours: 0.25, probe: None };
        let look =
            WatchReport { step: 0, epoch: 0, tested: 9, scores, start: None, untrained: true };
        panel.watched(&look);
        assert_eq!(panel.again(), "  watched: neighbours 25.0%   (untrained)");
        panel.text(&step(1, 1.0), 20, Duration::from_secs(73));
        let now = WatchScores { neighbours: 0.5, probe: None };
        panel.watched(&WatchReport { step: 9, scores: now, start: Some(scores), ..look });
        let (lines, again) = (panel.with("looking"), panel.again());
        assert!(again.ends_with("\n  watched: neighbours 25.0% → 50.0%   (untrained → now)"));
        assert_eq!((again.matches("watched").count(), lines), (1, format!("{again}\n  looking")));
    }

    #[test]
    fn the_lines_fit_a_narrow_terminal() {
        let mut panel = Panel::default();
        let evaluation = |epoch, top1| EvaluationReport {
            step: 1,
            epoch,
            pictures: 40,
            top1,
            top5: None,
            loss: 0.5,
        };
        panel.evaluated(&evaluation(5, 0.5));
        panel.evaluated(&evaluation(10, 0.4));
        let start = WatchScores { neighbours: 1.0, probe: Some(1.0) };
        panel.watched(&WatchReport {
            step: 1,
            epoch: 5,
            tested: 9,
            scores: WatchScores { neighbours: 0.5, probe: Some(0.25) },
            start: Some(start),
            untrained: true,
        });
        (1..2000).for_each(|number| panel.step(&step(number, 1.0)));
        let text = panel.text(&step(2000, 1.0), 20, Duration::from_secs(7300));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("   memory "), "{text}");
        let watched = "watched: neighbours 100.0% → 50.0%   probe 100.0% → 25.0%";
        assert!(text.contains(watched), "{text}");
        assert!(text.contains("top-1 40.0%   best 50.0% after epoch 5"), "{text}");
    }
}
