//! What is told and written when a run begins, or goes on.

use fcmae_data::source::printable;
use fcmae_data::{PictureSet, Sample};
use fcmae_store::ExportName;
use fcmae_store::run::schema::{Change, Ended, Facts, Kind, SHORT_PRETRAINING, USUAL_PRETRAINING};
use fcmae_store::run::{Differing, files};
use fcmae_words::{grouped, plural};

use super::Session;
use crate::error::{Error, Result};
use crate::inference::survey::{survey_for_training, survey_held_out};
use crate::training::events::{Event, Started};
use crate::training::records;
use crate::training::split::Pictures;
use crate::training::step::Learner;
use crate::weights::Description;

impl Session<'_> {
    /// Writes what the run is made of and on (`data.json`, `environment.json`), lists pictures that
    /// cannot be read, reports that training begins and, unless it is resumed, what is unusual about it.
    pub(in crate::training) fn start<M>(
        &mut self,
        learner: &Learner<M>,
        resumed: bool,
        pictures: &Pictures,
    ) -> Result<()> {
        let finished = resumed && self.was_finished(learner.updates());
        self.record_changes(learner.updates())?;
        // It has not ended any more.
        let _ = std::fs::remove_file(self.path().join(files::END));
        let remarks = if finished { Vec::new() } else { self.describe(resumed, pictures)? };
        self.list_left_out(&pictures.all)?;
        if let Some(held_out) = pictures.apart() {
            self.list_left_out(held_out)?;
        }
        let Pictures { training, held_out, .. } = pictures;
        self.tell(Event::Started(&Started {
            device: self.device.clone(),
            steps: self.plan.steps(),
            steps_per_epoch: self.plan.steps_per_epoch,
            epochs: self.plan.epochs,
            resumed_at: resumed.then_some(learner.updates()),
            parameters: learner.network().layout().count(),
            pictures: training.len(),
            held_out: held_out.as_ref().map_or(0, |set| set.len()),
            classes: training.classes.clone(),
        }));
        for note in self.run.notes().to_vec() {
            self.note(&note)?;
        }
        if resumed {
            self.note_written_since(&pictures.all)?;
            pictures.apart().map_or(Ok(()), |held_out| self.note_written_since(held_out))?;
        }
        if finished {
            let early = match self.kind {
                Kind::Pretraining => "",
                Kind::Finetuning => {
                    "; if it ended before its last epoch, add `--set finetune.patience=0`"
                }
            };
            self.note(&format!(
                "the run is finished; to train longer, use --resume with `--set optim.epochs=…`{early}"
            ))?;
        }
        if resumed {
            // As at a start: its settings may be others now, and whoever goes on may not have seen the beginning.
            let caveat = self.plan.caveat().filter(|_| !finished);
            return caveat.iter().try_for_each(|caveat| self.note(caveat));
        }
        remarks.iter().try_for_each(|remark| self.note(remark))?;
        self.note_caveats(&pictures.notes)
    }

    /// Notes pictures that were written to since the newest checkpoint, under their names and in as many bytes.
    fn note_written_since(&mut self, set: &PictureSet) -> Result<()> {
        let Some(step) = self.saved else { return Ok(()) };
        let left = std::fs::metadata(self.checkpoints.path(step)).and_then(|meta| meta.modified());
        let Ok(left) = left else { return Ok(()) };
        let since = |sample: &&Sample| sample.modified.is_some_and(|time| time > left);
        let count = set.samples.iter().filter(since).count();
        let Some(first) = set.samples.iter().find(since) else { return Ok(()) };
        self.note(&format!(
            "{} of {} {} written since the run stopped, such as {}: {} used as now",
            grouped(count),
            plural(grouped(set.len()), "picture"),
            if count == 1 { "was" } else { "were" },
            printable(&first.path),
            if count == 1 { "it is" } else { "they are" },
        ))
    }

    /// Whether all was done when `step` updates were, and nothing is changed that would add to it.
    fn was_finished(&self, step: u64) -> bool {
        let end = fcmae_store::run::end(self.path());
        if self.changes.is_empty()
            && end.is_some_and(|end| end.how == Ended::Finished && end.step == step)
        {
            return true;
        }
        let exported = self.path().join(files::EXPORT).join(ExportName::Last.as_str());
        step == self.plan.steps() && exported.exists()
    }

    /// Writes what the run is made of and on; what is unusual about its pictures.
    fn describe(&self, resumed: bool, pictures: &Pictures) -> Result<Vec<String>> {
        // A run that is taken up again was surveyed when it began.
        let before = if resumed { fcmae_store::run::data(self.path())? } else { None };
        let remarks = match before {
            Some(data) => data.remarks,
            None => {
                let mut remarks = survey_for_training(&pictures.training, &self.description)?;
                if let Some(held_out) = pictures.apart() {
                    remarks.extend(survey_held_out(held_out, &self.description)?);
                }
                remarks
            }
        };
        records::write(self.path(), files::DATA, &records::data(pictures, &self.split, &remarks))?;
        records::write(self.path(), files::ENVIRONMENT, &records::environment(&self.device))?;
        Ok(remarks)
    }

    /// Tells and records settings that are other ones after `step` updates.
    fn record_changes(&mut self, step: u64) -> Result<()> {
        let steps = self.plan.steps();
        if step > steps {
            return Err(Error::Unusable(format!(
                "the run has already made {step} updates, but would only have {steps} with these settings: \
                 raise `optim.epochs`"
            )));
        }
        let changes: Vec<Change> = std::mem::take(&mut self.changes)
            .into_iter()
            .map(|Differing { name, was, is }| Change {
                step,
                setting: name.strip_prefix("config.").unwrap_or(&name).to_owned(),
                was: was.unwrap_or_default(),
                is: is.unwrap_or_default(),
            })
            .collect();
        if changes.is_empty() {
            return Ok(());
        }
        if step == steps {
            let names: Vec<&str> = changes.iter().map(|change| change.setting.as_str()).collect();
            return Err(Error::Unusable(format!(
                "no step is left that {} could change: all {steps} are done; add --set optim.epochs=…, a larger number",
                names.join(", ")
            )));
        }
        for Change { setting, was, is, .. } in &changes {
            self.note(&format!("from step {} on, {setting} is {is}; it was {was}", step + 1))?;
        }
        Ok(self.run.change(&changes, &self.record)?)
    }

    /// That a pre-training from random weights makes too few updates to be worth its time.
    fn short(&self) -> Option<String> {
        let start = Facts::read(&self.record.facts).ok()?.start;
        let steps = self.plan.steps();
        let is_short =
            self.kind == Kind::Pretraining && start.is_none() && steps < SHORT_PRETRAINING;
        is_short.then(|| {
            format!(
                "this run makes only {}, after which features are little better than untrained ones; plan for about {}, \
                 with `optim.epochs={}`",
                plural(grouped(steps), "update"),
                grouped(USUAL_PRETRAINING),
                USUAL_PRETRAINING.div_ceil(self.plan.steps_per_epoch.max(1)),
            )
        })
    }

    /// Notes settings whose effect is not the one they name.
    fn note_caveats(&mut self, of_pictures: &[String]) -> Result<()> {
        let Description { model, decoder, image_size: [height, width], .. } = &self.description;
        let hidden = match decoder {
            Some((_, mask)) => {
                let [rows, cols] = model.patch_grid(*height, *width)?;
                mask.caveat(rows * cols)?
            }
            None => None,
        };
        let caveats: Vec<String> =
            hidden.into_iter().chain(self.plan.caveat()).chain(self.short()).collect();
        of_pictures.iter().chain(&caveats).try_for_each(|text| self.note(text))
    }
}
