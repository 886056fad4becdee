//! When a run is saved, and how it ends.

use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use fcmae_data::source::printable;
use fcmae_store::run::Look;
use fcmae_store::run::schema::{End, Ended};
use fcmae_store::{Checkpoint, CheckpointStore};
use fcmae_words::panic_text;
use serde_json::json;

use super::{COMPUTED_BY, Evaluations, LOSS, PRODUCTS, RUN_ID, Session};
use crate::error::{Error, Result};
use crate::training::events::{Event, Flow};
use crate::training::provenance::{self, Provenance};
use crate::training::step::Learner;

/// Over a network a look takes longer than some steps.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So much time is much to lose.
const MUCH: Duration = Duration::from_secs(60);

impl Session<'_> {
    /// Saves the learner where a run that was asked to stop has not done so yet. Before the first update
    /// there is nothing to save.
    pub(in crate::training) fn save_if_asked<M>(
        &mut self,
        learner: &Learner<M>,
        evaluations: Evaluations,
    ) -> Result<()> {
        match self.flow == Flow::Stop && self.has_unsaved() {
            true => self.save(learner, evaluations),
            false => Ok(()),
        }
    }

    /// Whether there is anything to lose: updates that are passed over are so again.
    fn has_unsaved(&self) -> bool {
        self.made && self.done > self.saved.unwrap_or(0)
    }

    /// Whether the update that is made next is to be saved because the last save was long ago.
    pub(in crate::training) fn saves_by_time(&self) -> bool {
        self.save_soon || self.save_every.is_some_and(|every| self.last_save.elapsed() >= every)
    }

    /// Looks, once in a while, whether the run's folder and files are still there.
    ///
    /// # Errors
    /// A log that cannot be written.
    pub(super) fn look(&mut self) -> Result<()> {
        if self.looked.elapsed() < LOOK_EVERY {
            return Ok(());
        }
        self.looked = Instant::now();
        let Look { notes, save } = self.run.look();
        self.save_soon |= save;
        notes.iter().try_for_each(|note| self.note(note))
    }

    /// Whether so much is not saved that it is before something else is done, which may fail or be killed.
    pub(in crate::training) fn has_much_unsaved(&self) -> bool {
        self.has_unsaved() && self.last_save.elapsed() >= MUCH
    }

    /// Ends the training that came to `trained`. Where it failed, what was done before is saved, if it can be: weights
    /// and moments are those of the last whole update.
    ///
    /// # Errors
    /// The error of `trained`.
    pub(in crate::training) fn ended<M>(
        &mut self,
        trained: Result<()>,
        learner: &Learner<M>,
        evaluations: Evaluations,
    ) -> Result<()> {
        let Err(error) = trained else { return Ok(()) };
        // Of an update that was handed to a card and never heard of again nothing is known.
        let told = if self.pending.is_none() && self.has_unsaved() {
            let step = self.done;
            // It may be of use to nobody, so it takes no other one's place.
            let store = self.checkpoints.clone().keep(self.keep + 1);
            Some(match self.save_into(&store, learner, evaluations) {
                Ok(()) => format!("everything before the error is saved: step {step}"),
                Err(also) => format!("the work before the error cannot be saved: {also}"),
            })
        } else {
            matches!(error, Error::Diverged { .. }).then(|| self.way_back()).flatten()
        };
        // A full disk may refuse this line too.
        let _ = told.map(|told| self.note(&told));
        self.record_end(Ended::Failed, &error.to_string());
        Err(error)
    }

    /// Does the work of an open run. Where that panics, as where the system gives no memory, the run says why.
    pub(in crate::training) fn guarded<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        panic::catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|panic| {
            // Weights may be half changed: nothing is saved.
            self.record_end(Ended::Failed, &panic_text(panic.as_ref()));
            panic::resume_unwind(panic)
        })
    }

    /// What to do where the updates after the newest checkpoint diverge at once: its weights may be spoilt already.
    fn way_back(&self) -> Option<String> {
        let newest = self.saved?;
        let path = printable(&self.checkpoints.path(newest));
        let before = self.checkpoints.steps().ok()?.into_iter().rfind(|&step| step < newest);
        Some(match before {
            Some(step) => format!(
                "the weights of step {newest} may already be damaged: remove {path} to continue from step {step}"
            ),
            None => format!(
                "the weights of step {newest} may already be damaged, and there is no earlier checkpoint: if no \
                 setting helps, start a new run"
            ),
        })
    }

    /// Keeps why the run ended, or was left, in its log and for its report.
    pub(in crate::training) fn record_end(&mut self, how: Ended, reason: &str) {
        if self.flow == Flow::Abandon {
            return;
        }
        let end = End { step: self.done, how, reason: reason.to_owned() };
        let looked = self.run.look().notes;
        let noted = looked.iter().try_for_each(|note| self.note(note));
        let log = self.run.log().text(&format!("ended after step {}: {reason}", self.done));
        let log = noted.and(log.map_err(Error::from));
        let recorded = self.run.end(&end).map_err(Error::from);
        // An end is not held up by what is said of it.
        for error in [log, recorded].into_iter().filter_map(Result::err) {
            self.tell(Event::Note(&format!("how the run ended cannot be recorded: {error}")));
        }
    }

    /// Saves all that a resumed run needs. Order, augmentation, masks, drop path and schedule
    /// follow from the step and the settings.
    pub(in crate::training) fn save<M>(
        &mut self,
        learner: &Learner<M>,
        evaluations: Evaluations,
    ) -> Result<()> {
        let store = self.checkpoints.clone();
        self.save_into(&store, learner, evaluations)
    }

    fn save_into<M>(
        &mut self,
        store: &CheckpointStore,
        learner: &Learner<M>,
        evaluations: Evaluations,
    ) -> Result<()> {
        if self.flow == Flow::Abandon {
            return Ok(());
        }
        let step = self.done;
        let (epoch, batch) = self.plan.next_batch(step);
        let state = json!({
            "step": step,
            "next_epoch": epoch,
            "next_batch": batch,
            "best_top1": evaluations.best,
            "best_weights": evaluations.best_weights,
            "evaluations_since_best": evaluations.since_best,
            "evaluation_due": evaluations.due,
            COMPUTED_BY: Provenance::of(learner.network().backend()),
            PRODUCTS: provenance::products(learner.network().backend()),
            RUN_ID: self.id(),
            LOSS: self.last_loss,
        });
        // What is logged up to here must be there when the checkpoint is.
        for note in self.run.settle()? {
            self.note(&note)?;
        }
        let saved = store.save(step, &Checkpoint { tensors: learner.state()?, state })?;
        for error in &saved.not_removed {
            self.note(&format!("an old checkpoint stays: {error}"))?;
        }
        saved.notes.iter().try_for_each(|note| self.note(note))?;
        (self.saved, self.last_save, self.made) = (Some(step), Instant::now(), false);
        self.save_soon = false;
        self.tell(Event::Saved { step, path: &saved.folder });
        Ok(())
    }
}
