//! What a run tells while it runs, on standard error: a bar on a terminal, plain lines otherwise.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use fcmae::training::{
    BatchReport, EvaluationReport, Event, Flow, Started, StepReport, WatchReport, Work,
};
use fcmae_data::source::printable;
use fcmae_words::terminal::{duration, percent, plain};
use fcmae_words::{counted, grouped};
use indicatif::{ProgressBar, ProgressStyle};

use crate::interrupt::Interrupt;

mod panel;

use panel::Panel;

/// Plain lines: the most that a reader waits for news, and the least between ends of epochs.
const LINE_EVERY: Duration = Duration::from_secs(10);
const EPOCH_LINE_AFTER: Duration = Duration::from_secs(2);

/// Skipped pictures that are told one by one; the rest is counted.
const SKIPPED_SHOWN: usize = 10;

/// Follows one run.
pub(crate) struct Progress {
    label: String,
    listing: Option<ProgressBar>,
    bar: Option<ProgressBar>,
    started: Instant,
    /// Updates that a former process had made.
    first_step: u64,
    epochs: u64,
    steps_per_epoch: u64,
    last_line: Instant,
    skipped: usize,
    panel: Panel,
    interrupt: Option<Interrupt>,
    stopping: bool,
}

impl Progress {
    /// Follows the run that `label` names, for example `pretrain`.
    pub(crate) fn new(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            listing: None,
            bar: None,
            started: Instant::now(),
            first_step: 0,
            epochs: 0,
            steps_per_epoch: 1,
            last_line: Instant::now(),
            skipped: 0,
            panel: Panel::default(),
            interrupt: None,
            stopping: false,
        }
    }

    /// The same for a run that ends when it is asked to.
    pub(crate) fn until(self, interrupt: Interrupt) -> Self {
        Self { interrupt: Some(interrupt), ..self }
    }

    /// Tells one event. The answer is to go on, unless the run was asked to end.
    pub(crate) fn observe(&mut self, event: &Event<'_>) -> Flow {
        if !matches!(event, Event::Listing(_)) {
            self.listing_is_done();
        }
        match event {
            Event::Listing(looked_at) => {
                self.listing(*looked_at);
                // Nothing is done yet that could be saved.
                let asked = self.interrupt.as_ref().is_some_and(Interrupt::asked);
                return if asked { Flow::Stop } else { Flow::Continue };
            }
            Event::Started(started) => self.start(started),
            Event::Batch(batch) => self.batch(batch),
            Event::Step(step) => self.step(step),
            Event::Evaluated(report) => {
                self.panel.evaluated(report);
                self.say(&describe_evaluation(report));
            }
            Event::Watched(report) => {
                self.panel.watched(report);
                if let Some(bar) = &self.bar {
                    bar.set_message(self.panel.again());
                }
                self.say(&describe_watch(report));
            }
            // Checkpoints come often and are what everyone expects; the run's log has them.
            Event::Saved { .. } => {}
            Event::Skipped(skipped) => {
                self.skipped += 1;
                if self.skipped <= SKIPPED_SHOWN {
                    self.say(&format!("skipped {}: {}", printable(&skipped.path), skipped.reason));
                }
            }
            Event::LeftOut(kind) => {
                self.skipped += kind.count;
                self.say(&kind.to_string());
            }
            Event::Note(note) => self.say(note),
        }
        if !self.interrupt.as_ref().is_some_and(Interrupt::asked) {
            return Flow::Continue;
        }
        if !self.stopping {
            self.stopping = true;
            self.say("stopping: saving first; press Ctrl-C again to end at once");
        }
        Flow::Stop
    }

    /// Tells how far listing is.
    fn listing(&mut self, looked_at: usize) {
        if draws_a_bar() {
            let bar = self.listing.get_or_insert_with(|| listing_bar(&self.label));
            bar.set_message(listed(looked_at));
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.say(&listed(looked_at));
            self.last_line = Instant::now();
        }
    }

    fn listing_is_done(&mut self) {
        if let Some(bar) = self.listing.take() {
            bar.finish_and_clear();
        }
    }

    /// Ends the bar, and counts what was skipped. Also right after a failure.
    pub(crate) fn finish(&mut self) {
        self.listing_is_done();
        if self.skipped > SKIPPED_SHOWN {
            let all = self.skipped;
            self.say(&format!("skipped {all} pictures in all; skipped.jsonl lists them"));
        }
        if let Some(bar) = self.bar.take() {
            bar.abandon();
            // The bar leaves the cursor at its end.
            let _ = writeln!(io::stderr());
        }
    }

    fn start(&mut self, started: &Started) {
        self.started = Instant::now();
        self.last_line = self.started;
        self.first_step = started.resumed_at.unwrap_or(0);
        (self.epochs, self.steps_per_epoch) = (started.epochs, started.steps_per_epoch.max(1));
        self.say(&describe_start(started));
        if let Some(step) = started.resumed_at {
            self.say(&format!("resuming after step {step} of {}", started.steps));
        }
        if draws_a_bar() {
            let bar = panel_bar(&self.label, started.steps);
            bar.set_position(self.first_step);
            self.bar = Some(bar);
        }
    }

    /// Tells of an update or an evaluation that takes long.
    fn batch(&mut self, report: &BatchReport) {
        let text = describe_batch(report);
        match &self.bar {
            Some(bar) => bar.set_message(self.panel.with(&text)),
            None if self.last_line.elapsed() >= LINE_EVERY => {
                self.say(&text);
                self.last_line = Instant::now();
            }
            None => {}
        }
    }

    fn step(&mut self, report: &StepReport) {
        self.panel.step(report);
        let made = report.step.saturating_sub(self.first_step).max(1);
        let to_go = report.steps.saturating_sub(report.step);
        let left = self.started.elapsed().mul_f64(to_go as f64 / made as f64);
        if let Some(bar) = &self.bar {
            bar.set_message(self.panel.text(report, self.epochs, left));
            bar.set_position(report.step);
            return;
        }
        let StepReport { step, steps, epoch, loss, lr, grad_norm, images_per_second, .. } = report;
        let mut text = format!(
            "step {step}/{steps}  epoch {epoch:.2}/{}  loss {loss:.4}  lr {lr:.2e}  \
             gradient {grad_norm:.3}  {images_per_second:.0} images/s  ETA {}",
            self.epochs,
            duration(left),
        );
        if self.panel.waits() {
            text.push_str(&format!("  waiting for pictures {}", percent(self.panel.data_wait, 0)));
        }
        let waited = self.last_line.elapsed();
        let epoch_ends = report.step.is_multiple_of(self.steps_per_epoch);
        let due = waited >= LINE_EVERY || epoch_ends && waited >= EPOCH_LINE_AFTER;
        if due || report.step == report.steps {
            self.say(&text);
            self.last_line = Instant::now();
        }
    }

    /// One line, above the bar where there is one.
    fn say(&self, text: &str) {
        let line = plain(&format!("{}  {text}", self.label));
        match &self.bar {
            Some(bar) => bar.println(line),
            // Nobody may be reading there, which is no reason to stop a run.
            None => drop(writeln!(io::stderr(), "{line}")),
        }
    }
}

/// A bar of a run's `length` steps with a panel of numbers below it.
fn panel_bar(label: &str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(PANEL).expect("a test parses the template");
    let style = style.progress_chars("━╸─");
    ProgressBar::new(length).with_style(style).with_prefix(label.to_owned())
}

const PANEL: &str = "{prefix:.bold}  {wide_bar:.cyan/dim}  {percent:>3}%\n{msg}";

/// A bar of `length` that `label` names.
pub(crate) fn bar(label: &str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix}  {wide_bar}  {msg}")
        .expect("the template is a constant that a test parses");
    ProgressBar::new(length).with_style(style).with_prefix(label.to_owned())
}

/// What is told while pictures are listed.
fn listed(looked_at: usize) -> String {
    format!("listing … {}", counted(looked_at, "file"))
}

/// A line that changes.
fn listing_bar(label: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(LISTING).expect("a test parses the template");
    ProgressBar::no_length().with_style(style).with_prefix(label.to_owned())
}

const LISTING: &str = "{prefix}  {msg}";

/// How far listing is, for commands that only look: on a terminal alone.
pub(crate) struct Listing {
    label: &'static str,
    bar: Option<ProgressBar>,
}

impl Listing {
    /// Of the command that `label` names.
    pub(crate) fn new(label: &'static str) -> Self {
        Self { label, bar: None }
    }

    /// Takes what a run tells while its pictures are listed.
    pub(crate) fn observe(&mut self, event: &Event<'_>) -> Flow {
        if let Event::Listing(looked_at) = event {
            self.told(*looked_at);
        }
        Flow::Continue
    }

    /// Tells how many files were looked at. Nothing ends it but the program's end.
    pub(crate) fn told(&mut self, looked_at: usize) -> bool {
        if draws_a_bar() {
            let bar = self.bar.get_or_insert_with(|| listing_bar(self.label));
            bar.set_message(listed(looked_at));
        }
        true
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// How many pictures are done of many: a bar on a terminal, otherwise a line once in a while.
pub(crate) struct Counter {
    label: &'static str,
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Counter {
    /// Of the work that `label` names.
    pub(crate) fn new(label: &'static str) -> Self {
        Self { label, bar: None, last_line: Instant::now() }
    }

    /// Tells that `done` pictures of `all` are done.
    pub(crate) fn done(&mut self, done: u64, all: u64) {
        let text = format!("{} of {}", grouped(done), counted(all, "picture"));
        if draws_a_bar() {
            let bar = self.bar.get_or_insert_with(|| bar(self.label, all));
            bar.set_message(text);
            bar.set_position(done);
        } else if self.last_line.elapsed() >= LINE_EVERY {
            // Nobody may be reading there, which is no reason to stop.
            let _ = writeln!(io::stderr(), "{}  {text}", self.label);
            self.last_line = Instant::now();
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Whether standard error is a terminal that can draw.
pub(crate) fn draws_a_bar() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn describe_start(started: &Started) -> String {
    let Started { device, pictures, held_out, classes, parameters, epochs, steps, .. } = started;
    let mut text = counted(*pictures, "picture");
    if !classes.is_empty() {
        text.push_str(&format!(" of {} classes", classes.len()));
    }
    if *held_out > 0 {
        text.push_str(&format!(" ({held_out} more held out)"));
    }
    let (epochs, steps) = (counted(*epochs as usize, "epoch"), counted(*steps as usize, "step"));
    text + &format!(", {}, {epochs}, {steps}, on {device}", counted(*parameters, "parameter"))
}

fn describe_batch(report: &BatchReport) -> String {
    let BatchReport { work, done, all } = report;
    match work {
        Work::Update => format!("{done} of the {all} batches of this update are in"),
        Work::Evaluation => format!("evaluating the held-out pictures: batch {done} of {all}"),
        Work::Watch => format!("looking at the watched pictures: {done} of {all}"),
    }
}

fn describe_evaluation(report: &EvaluationReport) -> String {
    let EvaluationReport { epoch, top1, top5, loss, .. } = report;
    let top5 = top5.map_or(String::new(), |top5| format!(", top-5 {:.1}%", 100.0 * top5));
    let top1 = 100.0 * top1;
    format!("epoch {epoch}: on the held-out pictures top-1 {top1:.1}%{top5}, loss {loss:.4}")
}

/// The accuracy on the watched pictures, now and at the start.
fn describe_watch(report: &WatchReport) -> String {
    let WatchReport { epoch, scores, start, untrained, .. } = report;
    let start = start.as_ref();
    let share = |now: f64, before: Option<f64>| {
        let before = before.map_or(String::new(), |before| {
            format!(" ({} {})", begun(*untrained), percent(before, 1))
        });
        percent(now, 1) + &before
    };
    let neighbours = share(scores.neighbours, start.map(|start| start.neighbours));
    let probe = scores.probe.map_or(String::new(), |probe| {
        format!(", linear probe {}", share(probe, start.and_then(|start| start.probe)))
    });
    let when = match (report.step, untrained) {
        (0, true) => "before training".to_owned(),
        (0, false) => "at the start".to_owned(),
        _ => format!("epoch {epoch}"),
    };
    format!("{when}: accuracy on watched pictures: neighbours {neighbours}{probe}")
}

/// What a run began with.
fn begun(untrained: bool) -> &'static str {
    if untrained { "untrained" } else { "at the start" }
}

#[cfg(test)]
mod tests {
    use fcmae::training::WatchScores;

    use super::*;

    #[test]
    fn watched_pictures_are_told_beside_the_start() {
        let start = WatchScores { neighbours: 0.22, probe: Some(0.251) };
        let scores = WatchScores { neighbours: 0.41, probe: Some(0.5) };
        let report = WatchReport {
            step: 9,
            epoch: 3,
            tested: 80,
            scores,
            start: Some(start),
            untrained: true,
        };
        assert_eq!(
            describe_watch(&report),
            "epoch 3: accuracy on watched pictures: neighbours 41.0% (untrained 22.0%), linear \
             probe 50.0% (untrained 25.1%)"
        );
        let scores = WatchScores { probe: None, ..start };
        let first = WatchReport { step: 0, epoch: 0, scores, start: None, ..report };
        assert_eq!(
            describe_watch(&first),
            "before training: accuracy on watched pictures: neighbours 22.0%"
        );
    }

    #[test]
    fn top_5_is_told_where_it_says_anything() {
        let report =
            |top5| EvaluationReport { step: 9, epoch: 3, pictures: 8, top1: 0.5, top5, loss: 1.25 };
        let told = describe_evaluation(&report(Some(0.75)));
        assert!(told.ends_with("top-1 50.0%, top-5 75.0%, loss 1.2500"), "{told}");
        assert!(describe_evaluation(&report(None)).ends_with("top-1 50.0%, loss 1.2500"));
    }

    #[test]
    fn the_bar_has_a_template() {
        assert!(ProgressStyle::with_template("{prefix}  {wide_bar}  {msg}").is_ok());
        assert!(ProgressStyle::with_template(PANEL).is_ok());
        assert!(ProgressStyle::with_template(LISTING).is_ok());
    }
}
