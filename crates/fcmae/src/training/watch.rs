//! Labelled pictures that tell, while a pre-training runs, whether its features get anywhere: the accuracy of nearest
//! neighbours and of logistic regression on the encoder's frozen features, beside what it was at the start.
//!
//! It only looks. Nothing of the training depends on it, and what fails here is noted and left out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fcmae_data::{Amount, DataError, Labels, PictureSet, Skipped};
use fcmae_store::run::schema::{self, LeftOut, Watched};
use fcmae_vectors::probe::{Labelled, Probe};
use fcmae_vectors::validate::accuracy;
use fcmae_vectors::{VectorError, Vectors};
use fcmae_words::terminal::{measured, percent};
use fcmae_words::{counted, grouped};

use super::events::{WatchReport, WatchScores, Work};
use super::plan::Plan;
use super::records;
use super::session::{Observer, Session};
use super::split;
use super::start::place;
use super::step::Learner;
use crate::config::PretrainConfig;
use crate::engine::module::Network;
use crate::error::{ConfigError, Error, Result};
use crate::inference::Inference;
use crate::network::autoencoder::Autoencoder;

/// The part of each class that is tested: few pictures tell little, so that both parts get the same.
const TESTED: f64 = 0.5;
/// Which pictures are taken, and which of them are tested, is the same in all runs.
const SEED: u64 = 0;
/// Measurements of a run whose settings ask for no other number.
const MEASUREMENTS: u64 = 20;
/// Pictures that are trained on for each that is watched, where the settings ask for no other rhythm.
const TRAINED_FOR_ONE: u64 = 20;

/// What was found to watch a run with.
#[derive(Default)]
pub(super) struct Opened {
    pub(super) watch: Option<Watch>,
    /// What the run records of it, also while it cannot be watched.
    pub(super) record: Option<Watched>,
    /// Why a run that was watched goes on without.
    pub(super) unwatched: Option<String>,
}

impl Opened {
    /// Of pictures in `given`, or, where a run `goes_on` without any, in those places that it recorded. `untrained`:
    /// whether it begins, or began, with an untrained network.
    ///
    /// # Errors
    /// Given pictures that cannot be used, or are others than those that the run was watched with; a damaged
    /// `data.json`.
    pub(super) fn of(
        given: &[PathBuf],
        config: &PretrainConfig,
        out: &Path,
        (goes_on, untrained): (bool, bool),
        observer: Observer<'_>,
    ) -> Result<Self> {
        let recorded = if goes_on { fcmae_store::run::data(out)? } else { None };
        let recorded = recorded.and_then(|data| data.watched);
        let logged = if goes_on { records::watched(out) } else { Vec::new() };
        let known: Vec<PathBuf> = match &recorded {
            Some(recorded) if given.is_empty() => recorded.roots.iter().map(Into::into).collect(),
            _ => given.to_vec(),
        };
        if known.is_empty() {
            return Ok(Self::default());
        }
        let before = recorded.as_ref().filter(|_| !logged.is_empty());
        let opened = Watch::of(&known, config, logged, observer).and_then(|watch| match before {
            Some(before) if before.names != watch.record.names => {
                Err(other(before, &watch, !given.is_empty()))
            }
            _ => Ok(watch),
        });
        match opened {
            Ok(mut watch) => {
                // Until they are looked at again.
                watch.record.left_out = recorded.and_then(|recorded| recorded.left_out);
                let record = Some(watch.record.clone());
                Ok(Self { watch: Some(Watch { untrained, ..watch }), record, unwatched: None })
            }
            Err(error @ Error::Data(DataError::Stopped)) => Err(error),
            Err(error) if given.is_empty() => {
                let unwatched = Some(error.to_string());
                Ok(Self { watch: None, record: recorded, unwatched })
            }
            Err(error) => Err(of_option(error)),
        }
    }
}

/// Notes why a run goes on without its watched pictures, and since when: after this epoch, or since before.
///
/// # Errors
/// A log that cannot be written.
pub(super) fn go_on_without(
    session: &mut Session<'_>,
    record: &mut Option<Watched>,
    why: &str,
    epoch: u64,
) -> Result<()> {
    if let Some(record) = record {
        record.left_out.get_or_insert(LeftOut { epoch, why: why.to_owned() });
    }
    session.note(&format!(
        "{why}; the run goes on without its watched pictures, until it is resumed with them"
    ))
}

/// Says of an error that it is of watched pictures.
pub(super) fn of_option(error: Error) -> Error {
    match error {
        Error::Config(_) | Error::Data(DataError::Stopped) => error,
        error => Error::Unusable(format!("--watch: {error}")),
    }
}

/// The error that a run is to be watched with other pictures from here on. `given`: whether they were asked for.
fn other(before: &Watched, watch: &Watch, given: bool) -> Error {
    let pictures = |of: &Watched| {
        let all = counted(of.fitted + of.tested, "picture");
        format!("{all} of {}", counted(of.classes, "class"))
    };
    Error::Unusable(format!(
        "the watched pictures have changed: {} now, {} in {} when the run began. A curve takes the same pictures \
         throughout: {}give a folder that holds those (a copy, if you add labels to the first), with the same \
         `watch.pictures`",
        pictures(&watch.record),
        pictures(before),
        before.roots.join(", "),
        if given { "leave the option out, or " } else { "" },
    ))
}

/// Pictures that a run is watched with.
pub(super) struct Watch {
    /// Learned from, and tested.
    parts: [Arc<PictureSet>; 2],
    record: Watched,
    /// What the user should know of them.
    notes: Vec<String>,
    every: u64,
    /// Whether the run began with an untrained network, not with weights.
    untrained: bool,
    /// What was logged before.
    logged: Vec<schema::Watch>,
    /// The network that the run began with, until it is measured.
    begun: Option<Network<Autoencoder>>,
    /// Share of the pictures that may be unreadable: without more of them, what is left is no longer what the curve began
    /// with.
    max_bad_fraction: f64,
    told: Told,
}

/// What was told, and is not told again.
#[derive(Default)]
struct Told {
    /// How many pictures cannot be read.
    unreadable: usize,
    /// That there are too many classes.
    classes: bool,
    /// Why the pictures are left out.
    left_out: String,
}

/// What came of a measurement.
struct Found {
    scores: WatchScores,
    tested: usize,
    notes: Vec<String>,
}

impl Watch {
    /// Of pictures in these places. `logged`: what was measured before.
    ///
    /// # Errors
    /// Pictures that cannot be used: without labels, of one class, too many classes for `watch.pictures`.
    pub(super) fn of(
        roots: &[PathBuf],
        config: &PretrainConfig,
        logged: Vec<schema::Watch>,
        observer: Observer<'_>,
    ) -> Result<Self> {
        let all = split::listed(roots, &config.data, Labels::Required, observer)?;
        let mut notes: Vec<String> =
            Skipped::alike(&all.skipped).iter().map(ToString::to_string).collect();
        notes.extend(all.notes.iter().cloned());
        let counts = all.class_counts();
        let classes = counts.iter().filter(|&&count| count > 0).count();
        let most = config.watch.pictures;
        let taken = if all.len() <= most {
            all
        } else if most >= 2 * classes {
            all.take_labels(Amount::Count(most), SEED)?
        } else {
            return Err(ConfigError::Value {
                key: "watch.pictures".to_owned(),
                value: most.to_string(),
                reason: format!(
                    "{} are watched, and each needs two pictures: set {} or more",
                    counted(classes, "class"),
                    2 * classes
                ),
            }
            .into());
        };
        let copies = taken.copies(&config.data.limits());
        let grouping = config.data.grouping()?;
        let (fitted, tested, _) = split::sides(&taken, TESTED, SEED, grouping.as_ref(), &copies)?;
        let learned = fitted.class_counts().iter().filter(|&&count| count > 0).count();
        if learned < 2 {
            let text = "the watched pictures to learn from have only one class, since the others are copies or \
                belong together: give more pictures, of at least two classes";
            return Err(Error::Unusable(text.to_owned()));
        }
        notes.extend(split::unseen(&taken, Some(&tested)));
        let record = Watched {
            roots: roots.iter().map(|root| place(root)).collect(),
            fitted: fitted.len() as u64,
            tested: tested.len() as u64,
            classes: classes as u64,
            names: format!("{}+{}", fitted.names_fingerprint(), tested.names_fingerprint()),
            left_out: None,
        };
        let parts = [fitted, tested].map(Arc::new);
        Ok(Self {
            parts,
            record,
            notes,
            every: 1,
            untrained: true,
            logged,
            begun: None,
            max_bad_fraction: config.data.max_bad_fraction,
            told: Told::default(),
        })
    }

    /// In the rhythm of this run.
    pub(super) fn paced(mut self, config: &PretrainConfig, plan: &Plan, pictures: usize) -> Self {
        self.every = match config.watch.every_epochs {
            0 => {
                let watched = TRAINED_FOR_ONE * (self.record.fitted + self.record.tested);
                let most = plan.epochs.div_ceil(MEASUREMENTS);
                most.max(watched.div_ceil(pictures.max(1) as u64)).max(1)
            }
            every => every,
        };
        self
    }

    /// Takes the network that the run begins with, if it is to be measured still.
    ///
    /// # Errors
    /// What a card says.
    pub(super) fn begin(&mut self, learner: &Learner<Autoencoder>) -> Result<()> {
        if self.start().is_none() {
            self.begun = Some(learner.averaged()?);
        }
        Ok(())
    }

    /// Whether pictures are looked at after this step.
    pub(super) fn is_due(&self, plan: &Plan, step: u64) -> bool {
        plan.is_due(step, self.every)
    }

    /// What the network that the run began with came to.
    fn start(&self) -> Option<WatchScores> {
        let start = self.logged.iter().find(|line| line.step == 0)?;
        Some(WatchScores { neighbours: start.neighbours, probe: start.probe })
    }

    /// Measures what a run begins with, and what a run that goes on has left out.
    ///
    /// # Errors
    /// Pictures that cannot be evaluated, where the run has not begun; a log that cannot be written.
    pub(super) fn catch_up(
        &mut self,
        session: &mut Session<'_>,
        learner: &Learner<Autoencoder>,
    ) -> Result<()> {
        let (plan, step) = (session.plan(), learner.updates());
        if step == 0 || self.begun.is_some() {
            std::mem::take(&mut self.notes)
                .iter()
                .try_for_each(|note| session.note(&format!("watched pictures: {note}")))?;
        }
        if let Some(network) = self.begun.take() {
            let since = Instant::now();
            match self.found(session, network) {
                Ok(Some(found)) => {
                    self.tell_cost(session, since.elapsed())?;
                    self.log(session, 0, found)?;
                }
                Ok(None) => {}
                Err(error) if step == 0 => {
                    let text =
                        format!("--watch: {error}; start without it, or with other pictures");
                    return Err(Error::Unusable(text));
                }
                Err(error) => self.leave_out(session, 0, &error)?,
            }
        }
        let left_out = !self.logged.iter().any(|line| line.step == step);
        if step > 0 && left_out && self.is_due(&plan, step) {
            self.measure(session, learner)?;
        }
        Ok(())
    }

    /// Says what is watched, and what that takes: `each` time.
    fn tell_cost(&self, session: &mut Session<'_>, each: Duration) -> Result<()> {
        let Watched { fitted, tested, classes, .. } = self.record;
        let plan = session.plan();
        let looks = 1 + plan.epochs.div_ceil(self.every);
        session.note(&format!(
            "watching {} of {}, {fitted} to learn from and {tested} to test on: {} of {} each, before the first step{} \
             and at the end; training never uses their labels",
            counted(fitted + tested, "picture"),
            counted(classes, "class"),
            counted(looks, "measurement"),
            measured(each.as_secs_f64()),
            match self.every {
                every if every >= plan.epochs => String::new(),
                1 => ", after every epoch".to_owned(),
                every => format!(", after every {}", counted(every, "epoch")),
            },
        ))
    }

    /// Measures the network of now, and logs it. Where the run is to stop meanwhile, it is left for when it goes on.
    ///
    /// # Errors
    /// A log that cannot be written.
    pub(super) fn measure(
        &mut self,
        session: &mut Session<'_>,
        learner: &Learner<Autoencoder>,
    ) -> Result<()> {
        if session.stopped() {
            return Ok(());
        }
        let step = learner.updates();
        let network = learner.averaged().map_err(Error::from);
        match network.and_then(|network| self.found(session, network)) {
            Ok(Some(found)) => self.log(session, step, found),
            Ok(None) => Ok(()),
            Err(error) => self.leave_out(session, step, &error),
        }
    }

    /// Notes that pictures cannot be looked at after this step, and records it for the run's report.
    fn leave_out(&mut self, session: &mut Session<'_>, step: u64, error: &Error) -> Result<()> {
        if self.record.left_out.is_none() {
            let epoch = step / session.plan().steps_per_epoch;
            self.record.left_out = Some(LeftOut { epoch, why: error.to_string() });
            records::rewrite_watched(session.path(), &self.record)?;
        }
        let why = error.to_string();
        if self.told.left_out == why {
            return Ok(());
        }
        session.note(&format!(
            "the watched pictures are left out after step {step}, and until they can be used again: {why}"
        ))?;
        self.told.left_out = why;
        Ok(())
    }

    fn log(&mut self, session: &mut Session<'_>, step: u64, found: Found) -> Result<()> {
        found.notes.iter().try_for_each(|note| session.note(note))?;
        self.told.left_out.clear();
        if self.record.left_out.take().is_some() {
            records::rewrite_watched(session.path(), &self.record)?;
        }
        let WatchScores { neighbours, probe } = found.scores;
        let epoch = step / session.plan().steps_per_epoch;
        let tested = found.tested as u64;
        self.logged.push(schema::Watch { epoch: epoch as f64, neighbours, probe, step, tested });
        session.watched(&WatchReport {
            step,
            epoch,
            tested: found.tested,
            scores: found.scores,
            start: self.start().filter(|_| step > 0),
            untrained: self.untrained,
        })
    }

    /// What the network's features tell; `None` where the observer asked to stop.
    fn found(
        &mut self,
        session: &mut Session<'_>,
        network: Network<Autoencoder>,
    ) -> Result<Option<Found>> {
        let inference = Inference::new(network, session.description().clone());
        let width = session.description().model.features();
        let all = self.parts.iter().map(|set| set.len() as u64).sum();
        let (mut done, mut failed, mut rows) = (0, Vec::new(), Vec::new());
        for set in &self.parts {
            let (mut values, mut labels) = (Vec::new(), Vec::new());
            for (vector, sample) in inference.vectors(Arc::clone(set))?.zip(&set.samples) {
                match vector {
                    Ok(vector) => {
                        values.extend(vector);
                        labels.extend(sample.label);
                    }
                    Err(error) if error.is_of_picture() => failed.push(error),
                    Err(error) => return Err(error),
                }
                done += 1;
                if session.should_stop_after(Work::Watch, done, all) {
                    return Ok(None);
                }
            }
            if labels.is_empty() {
                let why = failed.pop().map_or(String::new(), |error| format!(": {error}"));
                let text = format!("none of {} can be read{why}", counted(set.len(), "picture"));
                return Err(Error::Unusable(text));
            }
            rows.push(Labelled::new(Vectors::new(values, width)?, labels)?);
        }
        let mut notes = Vec::new();
        if let Some(first) = failed.first() {
            let pictures = counted(failed.len(), "watched picture");
            if failed.len() as f64 > self.max_bad_fraction * all as f64 {
                return Err(Error::Unusable(format!(
                    "{pictures} of {} cannot be read, more than `data.max_bad_fraction` ({}) allows: {first}",
                    grouped(all as usize),
                    percent(self.max_bad_fraction, 0),
                )));
            }
            if failed.len() > std::mem::replace(&mut self.told.unreadable, failed.len()) {
                let are = if failed.len() == 1 { "is" } else { "are" };
                notes.push(format!("{pictures} cannot be read and {are} left out: {first}"));
            }
        }
        let (fitted, tested) = (&rows[0], &rows[1]);
        let probe = Probe::new(fitted, SEED)?;
        let right = |predicted: &[usize]| accuracy(predicted, tested.labels());
        let neighbours = right(&probe.neighbours(tested.vectors())?.predicted)?;
        let probe = match probe.logistic(tested.vectors()) {
            Ok(linear) => Some(right(&linear.predicted)?),
            Err(error @ VectorError::ManyClasses { .. }) => {
                if !std::mem::replace(&mut self.told.classes, true) {
                    notes.push(format!(
                        "watched pictures: logistic regression is left out: {error}"
                    ));
                }
                None
            }
            Err(error) => return Err(error.into()),
        };
        let scores = WatchScores { neighbours, probe };
        Ok(Some(Found { scores, tested: tested.labels().len(), notes }))
    }
}
