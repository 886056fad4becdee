//! What is looked at before a checkpoint is taken up: whose it is, and what of the run is of a course that is left.

use std::path::Path;

use fcmae_data::source::printable;
use fcmae_store::run::files;
use fcmae_store::run::schema::{self, Facts, Update};
use fcmae_store::{ExportName, NamedTensors};
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
            "{} is not the one of this run: it has a loss of {found} at step {step}, and the checkpoint of that step \
             {loss}. Put the run's own file back, or move this one away: the run goes on without its earlier curves",
            printable(&self.path().join(files::METRICS)),
        )))
    }

    /// The evaluations up to a checkpoint of `step`, as far as they count from here on. Where other settings lead to
    /// another course, and `export/best` is of the one that is left, it is set aside, and the new one has none yet.
    pub(super) fn evaluations_that_count(
        &mut self,
        step: u64,
        so_far: Evaluations,
    ) -> Result<Evaluations> {
        let anew = Evaluations { due: so_far.due, ..Evaluations::default() };
        // Killed before its next checkpoint, the new course begins here once more.
        let so_far = if self.run.best_set_aside(step).exists() { anew } else { so_far };
        let best = self.path().join(files::EXPORT).join(ExportName::Best.as_str());
        if self.has_lost_best(&best, step, so_far)? {
            return Ok(anew);
        }
        let leaves = self.changes.iter().any(|change| change.name != PATIENCE);
        if !leaves || !best.exists() || !is_later(&best, so_far) {
            return Ok(so_far);
        }
        let aside = self.run.set_best_aside(step)?;
        self.note(&format!(
            "{} holds weights from after step {step}. The new settings start from that step, so they were \
             moved to {}, and the best is sought anew",
            printable(&best),
            printable(&aside),
        ))?;
        Ok(anew)
    }
}

impl Session<'_> {
    /// Whether the weights that are the best `so_far` are no longer in `best`, which is told. Others that are there are set
    /// aside.
    fn has_lost_best(&mut self, best: &Path, step: u64, so_far: Evaluations) -> Result<bool> {
        let Some(top1) = so_far.best else { return Ok(false) };
        let (folder, lost) = (printable(best), format!("{:.2} %", 100.0 * top1));
        if !best.exists() {
            self.note(&format!(
                "{folder} is missing: the best weights so far ({lost}) are lost, and the best is sought anew"
            ))?;
            return Ok(true);
        }
        let later = |scores: schema::Scores| scores.step > step && scores.top1 > top1;
        // Of an earlier version it is not known, and a better evaluation after this step is made again.
        if so_far.best_weights.is_none() || records::scores(self.path()).any(later) {
            return Ok(false);
        }
        let why = match Weights::open(best) {
            Ok(found) if short_hash(&found.tensors) == so_far.best_weights => return Ok(false),
            Ok(_) => "holds other weights".to_owned(),
            Err(error) => format!("cannot be used: {error}"),
        };
        let aside = self.run.set_best_aside(step)?;
        self.note(&format!(
            "{folder} {why}. The best weights so far ({lost}) are lost: the folder was moved to {}, and the best is \
             sought anew",
            printable(&aside)
        ))?;
        Ok(true)
    }
}

/// Whether the weights in `best` are others than the best `so_far`.
fn is_later(best: &Path, so_far: Evaluations) -> bool {
    match (so_far.best, so_far.best_weights) {
        (None, _) => true,
        // An earlier version did not say it.
        (Some(_), None) => false,
        (Some(_), known) => {
            Weights::open(best).map_or(true, |found| short_hash(&found.tensors) != known)
        }
    }
}

/// The beginning of a hash over names and values.
pub(in crate::training) fn short_hash(weights: &NamedTensors) -> Option<u64> {
    u64::from_str_radix(weights.hash().get(..16)?, 16).ok()
}
