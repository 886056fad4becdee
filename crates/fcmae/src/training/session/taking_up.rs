//! What is looked at before a checkpoint is taken up: whose it is, and what of the run is of a course that is left.

use std::path::Path;

use fcmae_data::source::printable;
use fcmae_store::run::files;
use fcmae_store::run::schema::{self, Facts, Update};
use fcmae_store::{Error as StoreError, ExportName, NamedTensors};
use serde_json::Value;

use super::{Evaluations, LOSS, RUN_ID, Session};
use crate::error::{Error, Result};
use crate::training::records;
use crate::weights::Weights;

/// A setting that changes when a run ends, and none of its numbers.
const PATIENCE: &str = "config.finetune.patience";

impl Session<'_> {
    /// The name that the run alone has. Those of earlier versions have none.
    pub(super) fn id(&self) -> Option<&str> {
        self.record.facts[Facts::ID].as_str()
    }

    /// Refuses a checkpoint of this `state` that another run wrote.
    ///
    /// # Errors
    /// [`Error::Unusable`].
    pub(super) fn check_own(&self, step: u64, state: &Value) -> Result<()> {
        let Some((own, of)) = self.id().zip(state[RUN_ID].as_str()).filter(|(own, of)| own != of)
        else {
            return Ok(());
        };
        let folder = printable(&self.checkpoints.path(step));
        Err(Error::Unusable(format!(
            "{folder} belongs to another run, {}, and this run is {own} (`id` in {}). Move it back to its own \
             run, and this one goes on from its own checkpoints; to train its weights further, start a new run: \
             fcmae {} --from {folder}",
            printable(of.as_ref()),
            files::RUN,
            self.kind.command(),
        )))
    }

    /// Refuses metrics that are not those which led to a checkpoint of this `state`: curves and tables would be of two
    /// runs. Those that are missing are told elsewhere.
    ///
    /// # Errors
    /// [`Error::Unusable`].
    pub(super) fn check_metrics(&self, step: u64, state: &Value) -> Result<()> {
        let Some(loss) = state[LOSS].as_f64() else { return Ok(()) };
        let of_step = |update: &Update| update.step == step;
        let logged = records::updates(self.path()).filter(of_step).last();
        let Some(found) =
            logged.and_then(|update| update.loss).filter(|&found| found as f32 != loss as f32)
        else {
            return Ok(());
        };
        Err(Error::Unusable(format!(
            "{} belongs to another run: it has a loss of {found} at step {step}, and the checkpoint of that step \
             {loss}. Put the run's own file back, or move this one away: the run goes on without its earlier curves",
            printable(&self.path().join(files::METRICS)),
        )))
    }

    /// The evaluations up to a checkpoint of `step`, as far as they count from here on. Where other settings lead to
    /// another course, `export/best` of the one that is left is set aside, and the new one has none yet. So it is where
    /// the best weights are lost, so that nothing is called the best that is not there.
    pub(super) fn evaluations_that_count(
        &mut self,
        step: u64,
        so_far: Evaluations,
    ) -> Result<Evaluations> {
        let anew = Evaluations { due: so_far.due, ..Evaluations::default() };
        // Killed before its next checkpoint, the new course begins here once more.
        let so_far = if self.run.best_set_aside(step).exists() { anew } else { so_far };
        let best = self.path().join(files::EXPORT).join(ExportName::Best.as_str());
        let found = Exported::find(&best, so_far)?;
        let leaves = self.changes.iter().any(|change| change.name != PATIENCE);
        if leaves && matches!(found, Exported::Other) {
            let aside = self.run.set_best_aside(step)?;
            self.note(&format!(
                "{} holds weights from after step {step}. The new settings start from that step, so they were \
                 moved to {}, and the best is chosen from the evaluations that follow",
                printable(&best),
                printable(&aside),
            ))?;
            return Ok(anew);
        }
        let Some(top1) = so_far.best else { return Ok(so_far) };
        let why = match &found {
            Exported::Recorded => return Ok(so_far),
            // The evaluation that they are of was logged, and is made again.
            Exported::Other if self.has_better(step, so_far.due, top1) => return Ok(so_far),
            Exported::Missing => "is missing".to_owned(),
            Exported::Other => "holds other weights than were recorded".to_owned(),
            Exported::Unusable(error) => format!("cannot be used: {error}"),
        };
        let moved = match found {
            Exported::Missing => String::new(),
            _ => {
                format!("; the folder was moved to {}", printable(&self.run.set_best_aside(step)?))
            }
        };
        self.note(&format!(
            "{} {why}: the best weights so far ({:.2} %) are lost, and the best is chosen from the evaluations that \
             follow{moved}",
            printable(&best),
            100.0 * top1,
        ))?;
        Ok(Evaluations { best: None, best_weights: None, ..so_far })
    }

    /// Whether a better evaluation than `top1` was logged after a checkpoint of `step`, or is `due` there and was logged.
    fn has_better(&self, step: u64, due: bool, top1: f64) -> bool {
        let is_later = |scores: &schema::Scores| scores.step > step || due && scores.step == step;
        records::scores(self.path()).filter(is_later).any(|scores| scores.top1 > top1)
    }
}

/// What `export/best` holds.
enum Exported {
    Missing,
    /// The weights that a checkpoint says are the best so far, or, where an earlier version did not say it, any.
    Recorded,
    /// Others than those.
    Other,
    /// Nothing that can be read as weights, and why.
    Unusable(String),
}

impl Exported {
    /// # Errors
    /// What the system refuses: it says nothing of the weights.
    fn find(best: &Path, so_far: Evaluations) -> Result<Self> {
        let unreadable = |source| StoreError::NotReadable { path: best.to_owned(), source };
        if !best.try_exists().map_err(unreadable)? {
            return Ok(Self::Missing);
        }
        if so_far.best.is_none() {
            return Ok(Self::Other);
        }
        let Some(recorded) = so_far.best_weights else { return Ok(Self::Recorded) };
        match Weights::open(best) {
            Ok(found) if short_hash(&found.tensors) == Some(recorded) => Ok(Self::Recorded),
            Ok(_) => Ok(Self::Other),
            Err(error @ Error::Store(StoreError::Io { .. } | StoreError::NotReadable { .. })) => {
                Err(error)
            }
            Err(error) => Ok(Self::Unusable(error.to_string())),
        }
    }
}

/// The beginning of a hash over names and values.
pub(in crate::training) fn short_hash(weights: &NamedTensors) -> Option<u64> {
    u64::from_str_radix(weights.hash().get(..16)?, 16).ok()
}
