//! `metrics.jsonl`, thinned while it is read: of a million updates a page shows some hundred points.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use fcmae_files::if_there;
use fcmae_store::run::schema::{Line, Scores, Update, Watch};

use crate::error::ReportError;

/// A longer line is none that a run wrote.
const LONGEST_LINE: u64 = 64 << 10;

/// Most points of a curve; at twice as many, neighbours become one.
const MOST_POINTS: usize = 200;

/// What a run logged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    /// Updates logged.
    pub(crate) updates: u64,
    /// Updates whose loss or gradient was no number; no weight was changed.
    pub(crate) not_numbers: u64,
    /// Number of the last update, and passes over the pictures by then.
    pub(crate) last: Option<(u64, f64)>,
    /// Seconds that the updates took, by their images a second, for one image an update.
    seconds_per_image: f64,
    /// The same, weighted by the share of it spent waiting for pictures.
    waiting_per_image: Option<f64>,
    pub(crate) loss: Curve,
    pub(crate) lr: Curve,
    pub(crate) grad_norm: Curve,
    pub(crate) images_per_second: Curve,
    pub(crate) data_wait: Curve,
    pub(crate) top1: Curve,
    pub(crate) top5: Curve,
    pub(crate) held_out_loss: Curve,
    /// Evaluations logged.
    pub(crate) evaluations: u64,
    /// The highest top-1.
    pub(crate) best: Option<Scored>,
    /// The last evaluation.
    pub(crate) latest: Option<Scored>,
    /// The evaluation with the lowest loss on held-out pictures, and how many came after it.
    pub(crate) lowest: Option<(Scored, u64)>,
    /// What features told of watched pictures, as shares of those that were tested.
    pub(crate) neighbours: Curve,
    pub(crate) probe: Curve,
    /// The same of the network that the run began with, and of the last one.
    pub(crate) watch_start: Option<Watch>,
    pub(crate) watch_last: Option<Watch>,
    /// Lines that could not be read.
    pub(crate) unreadable: u64,
}

/// One evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scored {
    pub(crate) epoch: f64,
    /// Shares of the held-out pictures.
    pub(crate) top1: f64,
    pub(crate) top5: Option<f64>,
    pub(crate) loss: Option<f64>,
}

impl Metrics {
    /// Reads the file; none there is a run without updates.
    ///
    /// # Errors
    /// [`ReportError::Io`]. A line that is no JSON, such as one cut short by a crash, is counted.
    pub(crate) fn read(path: &Path) -> Result<Self, ReportError> {
        let mut metrics = Self::default();
        let file = if_there(fcmae_files::open(path))
            .map_err(|error| ReportError::io("open", path)(error.into()))?;
        let Some((file, _)) = file else { return Ok(metrics) };
        let mut input = BufReader::new(file);
        let mut bytes = Vec::new();
        let failed = || ReportError::io("read", path);
        loop {
            bytes.clear();
            input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes).map_err(failed())?;
            if bytes.is_empty() {
                return Ok(metrics);
            }
            if !bytes.ends_with(b"\n") && bytes.len() as u64 == LONGEST_LINE {
                input.skip_until(b'\n').map_err(failed())?;
                metrics.unreadable += 1;
            } else if bytes.iter().any(|byte| !byte.is_ascii_whitespace()) {
                match serde_json::from_slice(&bytes) {
                    Ok(line) => metrics.add(&line),
                    Err(_) => metrics.unreadable += 1,
                }
            }
        }
    }

    fn add(&mut self, line: &Line) {
        match line {
            line if line.place().1 < 0.0 => self.unreadable += 1,
            Line::Scores(scores) => self.add_evaluation(scores),
            Line::Update(update) => self.add_update(update),
            Line::Watch(watch) => self.add_watch(watch),
        }
    }

    fn add_update(&mut self, update: &Update) {
        let epoch = update.epoch;
        self.last = Some((update.step, epoch));
        self.updates += 1;
        // What is not a number is written as null. Runs of earlier releases have no norm at all.
        if update.loss.is_none() || (update.grad_norm.is_none() && self.grad_norm.holds_any()) {
            self.not_numbers += 1;
        }
        self.loss.add(epoch, update.loss);
        self.lr.add(epoch, Some(update.lr));
        self.grad_norm.add(epoch, update.grad_norm);
        self.images_per_second.add(epoch, update.images_per_second);
        self.data_wait.add(epoch, update.data_wait);
        if let Some(rate) = update.images_per_second.filter(|rate| *rate > 0.0) {
            self.seconds_per_image += 1.0 / rate;
            if let Some(share) = update.data_wait {
                *self.waiting_per_image.get_or_insert_default() += share / rate;
            }
        }
    }

    fn add_evaluation(&mut self, scores: &Scores) {
        let &Scores { epoch, top1, top5, held_out_loss: loss, .. } = scores;
        let scored = Scored { epoch, top1, top5, loss };
        self.evaluations += 1;
        self.top1.add(scored.epoch, Some(scored.top1));
        self.top5.add(scored.epoch, scored.top5);
        self.held_out_loss.add(scored.epoch, scored.loss);
        if self.best.is_none_or(|best| scored.top1 > best.top1) {
            self.best = Some(scored);
        }
        match (&mut self.lowest, scored.loss) {
            (Some((lowest, since)), Some(loss)) if lowest.loss.is_some_and(|low| low <= loss) => {
                *since += 1;
            }
            (lowest, Some(_)) => *lowest = Some((scored, 0)),
            (_, None) => {}
        }
        self.latest = Some(scored);
    }

    fn add_watch(&mut self, watch: &Watch) {
        if watch.step == 0 {
            self.watch_start = Some(*watch);
        } else if self.watch_last.is_none_or(|last| last.step < watch.step) {
            self.watch_last = Some(*watch);
        }
        // The start is measured late where a run is watched from a later step on.
        if watch.step == 0 && self.neighbours.holds_any() {
            return;
        }
        self.neighbours.add(watch.epoch, Some(watch.neighbours));
        self.probe.add(watch.epoch, watch.probe);
    }

    /// Seconds spent on updates of `images` pictures each, evaluations and saving not counted.
    pub(crate) fn seconds(&self, images: f64) -> f64 {
        self.seconds_per_image * images
    }

    /// The share of that time spent waiting for pictures; `None` where the run did not measure it.
    pub(crate) fn waiting(&self) -> Option<f64> {
        self.waiting_per_image.map(|waiting| waiting / self.seconds_per_image)
    }

    /// Updates in an epoch, as far as the last one tells.
    pub(crate) fn steps_per_epoch(&self) -> Option<f64> {
        self.last.filter(|(_, epoch)| *epoch > 0.0).map(|(step, epoch)| step as f64 / epoch)
    }
}

/// A curve of bounded length: each point stands for as many values as any other.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    points: Vec<Point>,
    /// Values in a point, the last one possibly not full.
    per_point: u64,
}

/// Values next to each other.
#[derive(Clone, Copy, Debug)]
struct Point {
    /// Values, whether numbers or not.
    all: u64,
    /// Those that are numbers.
    count: u64,
    epochs: f64,
    sum: f64,
    lowest: f64,
    highest: f64,
}

impl Default for Curve {
    fn default() -> Self {
        Self { points: Vec::new(), per_point: 1 }
    }
}

impl Curve {
    fn add(&mut self, epoch: f64, value: Option<f64>) {
        let value = value.filter(|value| value.is_finite());
        let one = Point {
            all: 1,
            count: u64::from(value.is_some()),
            epochs: epoch,
            sum: value.unwrap_or(0.0),
            lowest: value.unwrap_or(f64::INFINITY),
            highest: value.unwrap_or(f64::NEG_INFINITY),
        };
        match self.points.last_mut() {
            Some(last) if last.all < self.per_point => *last = last.with(one),
            _ => {
                if self.points.len() == 2 * MOST_POINTS {
                    self.points = self.points.chunks(2).map(Point::of_all).collect();
                    self.per_point *= 2;
                }
                self.points.push(one);
            }
        }
    }

    fn numbers(&self) -> impl DoubleEndedIterator<Item = &Point> {
        self.points.iter().filter(|point| point.count > 0)
    }

    pub(crate) fn holds_any(&self) -> bool {
        self.numbers().next().is_some()
    }

    /// Whether a point stands for more than one value.
    pub(crate) fn is_thinned(&self) -> bool {
        self.per_point > 1
    }

    /// `(epoch, mean)`, NaN where there are no numbers, so that a line breaks there.
    pub(crate) fn means(&self) -> Vec<(f64, f64)> {
        self.points.iter().map(|point| (point.epoch(), point.mean())).collect()
    }

    /// `(epoch, lowest, highest)`.
    pub(crate) fn band(&self) -> Vec<(f64, f64, f64)> {
        self.points.iter().map(|point| (point.epoch(), point.lowest, point.highest)).collect()
    }

    /// The mean of the first hundredth of the values, of the first at least.
    pub(crate) fn start(&self) -> Option<f64> {
        Self::part(self.count() / 100, self.numbers())
    }

    /// The mean of the last hundredth of the values, of the last at least.
    pub(crate) fn end(&self) -> Option<f64> {
        Self::part(self.count() / 100, self.numbers().rev())
    }

    /// The mean of the first tenth of the values, of the first at least.
    pub(crate) fn first_tenth(&self) -> Option<f64> {
        Self::part(self.count() / 10, self.numbers())
    }

    /// The mean of the last tenth of the values, of the last at least.
    pub(crate) fn last_tenth(&self) -> Option<f64> {
        Self::part(self.count() / 10, self.numbers().rev())
    }

    /// The mean of the tenth of the values that ends nearest to an epoch.
    pub(crate) fn tenth_before(&self, epoch: f64) -> Option<f64> {
        let before = self.numbers().rev().filter(|point| point.epoch() <= epoch);
        Self::part(self.count() / 10, before)
    }

    /// How many of the values are numbers.
    pub(crate) fn count(&self) -> u64 {
        self.numbers().map(|point| point.count).sum()
    }

    /// The mean of `count` values, or fewer where the points do not add up to it; of a point at least.
    fn part<'a>(count: u64, points: impl Iterator<Item = &'a Point>) -> Option<f64> {
        let mut taken = Point::NONE;
        for point in points {
            if taken.count > 0 && taken.count + point.count > count {
                break;
            }
            taken = taken.with(*point);
        }
        (taken.count > 0).then(|| taken.mean())
    }
}

impl Point {
    const NONE: Self = Self {
        all: 0,
        count: 0,
        epochs: 0.0,
        sum: 0.0,
        lowest: f64::INFINITY,
        highest: f64::NEG_INFINITY,
    };

    fn with(self, other: Self) -> Self {
        Self {
            all: self.all + other.all,
            count: self.count + other.count,
            epochs: self.epochs + other.epochs,
            sum: self.sum + other.sum,
            lowest: self.lowest.min(other.lowest),
            highest: self.highest.max(other.highest),
        }
    }

    fn of_all(points: &[Self]) -> Self {
        points.iter().copied().fold(Self::NONE, Self::with)
    }

    fn epoch(&self) -> f64 {
        self.epochs / self.all as f64
    }

    /// NaN where none of the values is a number.
    fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

#[cfg(test)]
mod tests;
