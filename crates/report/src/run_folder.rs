//! A run as its folder tells it.

use std::path::Path;

use fcmae_store::Record;
use fcmae_store::run::files::{
    CHANGES, CONFIG, DATA, END, ENVIRONMENT, EVALUATION, FEATURES, METRICS, RUN, SKIPPED,
};
pub(crate) use fcmae_store::run::schema::Kind;
use fcmae_store::run::schema::{
    self, Answers, Change, Data, End, Ended, Evaluation, Facts, Features, LeftOut, Origin,
};

use crate::embedded::{Album, Picture, Reconstruction, noted};
use crate::error::ReportError;
use crate::evaluation::{self, Mistake};
use crate::files::{self, Skipped};
use crate::metrics::Metrics;
use crate::settings::Settings;

/// Most mistakes that are shown.
const MOST_MISTAKES: usize = 24;

/// A run, finished or not, as far as a page shows it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The folder's name.
    pub(crate) name: String,
    /// The name of the folder that it is in.
    pub(crate) parent: Option<String>,
    pub(crate) kind: Kind,
    /// Of fcmae.
    pub(crate) version: String,
    /// The network's size, such as `atto`.
    pub(crate) model: String,
    /// Of the pictures.
    pub(crate) fingerprint: String,
    /// The weights that it began with; none of random ones, and of runs of earlier versions.
    pub(crate) start: Option<Origin>,
    /// Whether the run is of a version that records what it began with.
    pub(crate) knows_start: bool,
    pub(crate) settings: Settings,
    pub(crate) metrics: Metrics,
    pub(crate) data: Option<Data>,
    pub(crate) evaluation: Option<Evaluation>,
    pub(crate) mistakes: Vec<Mistake>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) skipped: Skipped,
    pub(crate) reconstructions: Vec<Reconstruction>,
    /// What the features inside the blocks are like.
    pub(crate) features: Option<Features>,
    /// What the network was fed first.
    pub(crate) first_batch: Option<Picture>,
    /// How it ended, if it did.
    pub(crate) end: Option<End>,
    /// Settings that were changed on the way.
    pub(crate) changes: Vec<Change>,
    /// What is in the folder and cannot be shown, with the reason.
    pub(crate) unshown: Vec<String>,
}

impl Report {
    /// Reads a run, whether or not it is finished or in use. What is missing of it is left out of the
    /// page; what is there and damaged is left out too, and the page says so.
    ///
    /// # Errors
    /// [`ReportError::Store`] where `run` is no run (no `config.toml` or `run.json`),
    /// [`ReportError::Malformed`] where one of these is damaged, [`ReportError::Io`] where
    /// `metrics.jsonl` cannot be read.
    pub fn read(run: &Path) -> Result<Self, ReportError> {
        let record = Record::read(run)?;
        let malformed = |file: &str, flaw: String| {
            let path = run.join(file);
            ReportError::Malformed { path, flaw }
        };
        let settings = Settings::parse(&record.config)
            .map_err(|error| malformed(CONFIG, error.to_string()))?;
        let facts = Facts::read(&record.facts).map_err(|flaw| malformed(RUN, flaw))?;
        let metrics = Metrics::read(&run.join(METRICS))?;

        let mut unshown = Vec::new();
        let data = files::json(&run.join(DATA));
        let evaluation = files::json(&run.join(EVALUATION));
        let environment = files::environment(&run.join(ENVIRONMENT));
        let skipped = Skipped::read(&run.join(SKIPPED));
        let data = noted(&mut unshown, DATA, data).flatten();
        let evaluation = noted(&mut unshown, EVALUATION, evaluation).flatten();
        let environment = noted(&mut unshown, ENVIRONMENT, environment);
        let end = noted(&mut unshown, END, files::json(&run.join(END))).flatten();
        let features = noted(&mut unshown, FEATURES, files::json(&run.join(FEATURES))).flatten();
        // A run that was taken up at an earlier step has not measured these.
        let features: Option<Features> = features.filter(|found: &Features| {
            metrics.last.is_some_and(|(step, _)| found.last.step <= step)
        });
        let changes = noted(&mut unshown, CHANGES, files::changes(&run.join(CHANGES)));
        let skipped = noted(&mut unshown, SKIPPED, skipped);
        if metrics.unreadable > 0 {
            let lines = metrics.unreadable;
            unshown.push(format!("{METRICS} has {lines} lines that are not of a run"));
        }

        let mut album = Album::new(run);
        let reconstructions = album.reconstructions(&mut unshown);
        let first_batch = album.picture("figures/first-batch.png");
        let first_batch = noted(&mut unshown, "figures/first-batch.png", first_batch).flatten();
        let evaluation = evaluation.and_then(|evaluation| sound(evaluation, &mut unshown));
        let mistakes = evaluation
            .iter()
            .flat_map(|evaluation| evaluation.mistakes.iter().take(MOST_MISTAKES))
            .map(|mistake| illustrated(mistake, &mut album, &mut unshown))
            .collect();

        // `.` and `runs/a/..` have names too.
        let place = run.canonicalize().unwrap_or_else(|_| run.to_owned());
        Ok(Self {
            name: name(&place),
            parent: place.parent().map(name),
            kind: facts.kind,
            model: facts.size(),
            version: facts.version,
            fingerprint: facts.data,
            knows_start: facts.start.is_some() || facts.id.is_some(),
            start: facts.start,
            settings,
            metrics,
            data,
            evaluation,
            mistakes,
            environment: environment.unwrap_or_default(),
            skipped: skipped.unwrap_or_default(),
            reconstructions,
            features,
            first_batch,
            end,
            changes: changes.unwrap_or_default(),
            unshown,
        })
    }

    /// Passes over the pictures that were planned.
    pub(crate) fn planned_epochs(&self) -> Option<f64> {
        self.settings.number("optim.epochs")
    }

    /// Passes over the pictures that were made.
    pub(crate) fn epochs(&self) -> f64 {
        self.metrics.last.map_or(0.0, |(_, epoch)| epoch)
    }

    /// Whether all was done: all planned epochs were trained, or it ended of itself before.
    pub(crate) fn is_finished(&self) -> bool {
        let ended = self.end.as_ref().is_some_and(|end| end.how == Ended::Finished);
        ended || self.planned_epochs().is_some_and(|planned| self.epochs() >= planned - 1e-6)
    }

    /// Pictures in an update.
    pub(crate) fn images_per_update(&self) -> f64 {
        let number = |name| self.settings.number(name).unwrap_or(1.0);
        number("optim.batch") * number("optim.accumulation")
    }

    /// Pictures trained on in a second, evaluating and saving not counted.
    pub(crate) fn images_per_second(&self) -> Option<f64> {
        let images = self.images_per_update();
        let seconds = self.metrics.seconds(images);
        (seconds > 0.0).then(|| images * self.metrics.updates as f64 / seconds)
    }

    /// The watched pictures of a run that went on without them.
    pub(crate) fn watch_left_out(&self) -> Option<&LeftOut> {
        self.data.as_ref()?.watched.as_ref()?.left_out.as_ref()
    }

    /// Pictures that could not be read.
    pub(crate) fn skipped_count(&self) -> u64 {
        self.data.as_ref().map_or(0, |data| data.skipped).max(self.skipped.count)
    }

    /// The evaluation, if it is of the pictures that the run held out.
    pub(crate) fn held_out_evaluation(&self) -> Option<&Evaluation> {
        self.evaluation.as_ref().filter(|evaluation| evaluation.of.is_none())
    }

    /// The evaluation, if it is a test on other pictures.
    pub(crate) fn test(&self) -> Option<&Evaluation> {
        self.evaluation.as_ref().filter(|evaluation| evaluation.of.is_some())
    }

    /// How each picture fared that the run held out.
    pub(crate) fn held_out_answers(&self) -> Option<&Answers> {
        let evaluation = self.evaluation.as_ref()?;
        match evaluation.of {
            None => evaluation.answers.as_ref(),
            Some(_) => evaluation.held_out_answers.as_ref(),
        }
    }

    /// Share of the held-out pictures that were recognized at the end, and how many pictures these
    /// are, as far as is known.
    pub(crate) fn final_top1(&self) -> Option<(f64, Option<u64>)> {
        let held_out = self.data.as_ref().map(|data| data.held_out).filter(|&count| count > 0);
        match (self.held_out_evaluation(), self.metrics.latest) {
            (Some(evaluation), _) => Some((evaluation.top1, Some(evaluation.images))),
            (None, Some(latest)) => Some((latest.top1, held_out)),
            (None, None) => None,
        }
    }
}

/// The evaluation, if its numbers agree with each other.
fn sound(evaluation: Evaluation, unshown: &mut Vec<String>) -> Option<Evaluation> {
    match evaluation::flaw(&evaluation) {
        None => Some(evaluation),
        Some(flaw) => {
            unshown.push(format!("{EVALUATION} {flaw}"));
            None
        }
    }
}

/// A mistake with its picture, as far as that can be shown.
fn illustrated(
    mistake: &schema::Mistake,
    album: &mut Album<'_>,
    unshown: &mut Vec<String>,
) -> Mistake {
    let file = mistake.picture.as_ref();
    let picture = file.and_then(|file| noted(unshown, file, album.picture(file)).flatten());
    Mistake { record: mistake.clone(), picture }
}

/// A path's last part, or the whole of it where there is none.
fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
