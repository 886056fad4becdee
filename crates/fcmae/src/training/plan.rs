//! How many epochs and steps a run has, and which batch follows a step.

use fcmae_data::DataError;
use fcmae_words::plural;

use crate::config::OptimConfig;
use crate::training::optim::Schedule;

/// The course of a run: fixed by the number of pictures and the settings.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Epochs.
    pub epochs: u64,
    /// Updates in an epoch.
    pub steps_per_epoch: u64,
    /// Batches to one update.
    pub accumulation: u64,
    /// Pictures in a batch.
    batch: usize,
    schedule: Schedule,
}

impl Plan {
    /// The course over `pictures` pictures. What does not fill a last update of an epoch is left
    /// out of that epoch (every epoch has another order).
    ///
    /// # Errors
    /// Fewer pictures than one update takes.
    pub fn new(pictures: usize, config: &OptimConfig) -> Result<Self, DataError> {
        let update = config.batch.saturating_mul(config.accumulation);
        let steps_per_epoch = pictures.checked_div(update).unwrap_or(0) as u64;
        if steps_per_epoch == 0 && config.accumulation > 1 {
            let remedy = if config.batch <= pictures {
                format!("use optim.accumulation={} or less", (pictures / config.batch).max(1))
            } else {
                format!("use optim.batch={pictures} or less and optim.accumulation=1")
            };
            return Err(DataError::Parameter {
                what: "update",
                value: format!(
                    "{} pictures (optim.batch {} × optim.accumulation {}), more than the {} in the set",
                    update, config.batch, config.accumulation, pictures
                ),
                remedy,
            });
        }
        if steps_per_epoch == 0 {
            return Err(DataError::BatchLargerThanSet { batch: update, set: pictures });
        }
        Ok(Self {
            epochs: config.epochs,
            steps_per_epoch,
            accumulation: config.accumulation as u64,
            batch: config.batch,
            schedule: Schedule {
                peak: config.peak_lr(),
                min: config.min_lr,
                warmup: config.warmup_epochs,
                epochs: config.epochs as f64,
            },
        })
    }

    /// To how many batches such as one of `images` pictures an update adds up: more than [`accumulation`](Self::accumulation)
    /// where some of its pictures cannot be used.
    pub fn parts(&self, images: usize) -> f64 {
        let whole = self.accumulation as f64;
        // A single batch is the whole update, however many there are.
        if self.accumulation == 1 { whole } else { whole * self.batch as f64 / images as f64 }
    }

    /// Updates in all.
    pub fn steps(&self) -> u64 {
        self.epochs.saturating_mul(self.steps_per_epoch)
    }

    /// Epochs done after `step` updates.
    pub fn epoch(&self, step: u64) -> f64 {
        step as f64 / self.steps_per_epoch as f64
    }

    /// The learning rate of the update that follows `step` updates.
    pub fn lr(&self, step: u64) -> f64 {
        self.schedule.at(self.epoch(step))
    }

    /// A warning if more than half of the run lies within the warm-up, or the rate ends above its peak.
    pub(super) fn caveat(&self) -> Option<String> {
        let Schedule { peak, warmup, epochs, min } = self.schedule;
        if min > peak {
            return Some(format!(
                "`optim.min_lr` of {min:.1e} is above the highest learning rate, {peak:.1e} (`optim.base_lr` × \
                 pictures of an update / 256): the rate would end higher than it begins"
            ));
        }
        let remedy = format!("set fewer, such as `optim.warmup_epochs={}`", epochs / 10.0);
        if warmup >= epochs {
            let most = self.lr(self.steps() - 1);
            return Some(format!(
                "the whole run, {}, lies within the warm-up of {warmup} (`optim.warmup_epochs`): the learning \
                 rate reaches {most:.1e} instead of {peak:.1e}; {remedy}",
                plural(epochs, "epoch")
            ));
        }
        (warmup > epochs / 2.0).then(|| {
            format!(
                "{warmup} of {epochs} epochs are warm-up (`optim.warmup_epochs`), so that few remain at the \
                 full learning rate; {remedy}"
            )
        })
    }

    /// Epoch, and number in it, of the batch that follows `step` updates.
    pub fn next_batch(&self, step: u64) -> (u64, u64) {
        (step / self.steps_per_epoch, step % self.steps_per_epoch * self.accumulation)
    }

    /// Whether a batch of this number in its epoch is part of an update.
    pub fn uses(&self, number: u64) -> bool {
        number < self.steps_per_epoch * self.accumulation
    }

    /// Whether `step` updates end an epoch whose count is a multiple of `every`, or the run.
    pub fn is_due(&self, step: u64, every: u64) -> bool {
        step == self.steps() || step.is_multiple_of(self.steps_per_epoch.saturating_mul(every))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::PretrainConfig;

    #[test]
    fn batches_follow_steps_across_epochs() {
        let optim =
            OptimConfig { batch: 4, accumulation: 2, epochs: 3, ..PretrainConfig::default().optim };
        let plan = Plan::new(30, &optim).unwrap();
        assert_eq!((plan.steps_per_epoch, plan.steps()), (3, 9));
        assert_eq!(plan.next_batch(0), (0, 0));
        assert_eq!(plan.next_batch(2), (0, 4));
        assert_eq!(plan.next_batch(3), (1, 0));
        assert!(plan.uses(5) && !plan.uses(6), "the seventh batch is left out");
        assert!(plan.is_due(3, 1) && !plan.is_due(4, 1) && plan.is_due(9, 2));
        assert!(Plan::new(7, &optim).is_err());
    }

    #[test]
    fn an_update_larger_than_the_set_is_told_by_both_of_its_settings() {
        let refused = |pictures, batch, accumulation| {
            let optim = PretrainConfig::default().optim;
            let error = Plan::new(pictures, &OptimConfig { batch, accumulation, ..optim });
            error.err().unwrap().to_string()
        };
        let text = refused(30, 8, 16);
        assert!(
            text.contains("128 pictures (optim.batch 8 × optim.accumulation 16)")
                && text.contains("more than the 30 in the set")
                && text.contains("optim.accumulation=3 or less"),
            "{text}"
        );
        assert!(refused(9, 8, 16).contains("optim.accumulation=1 or less"));
        let text = refused(30, 64, 2);
        assert!(
            text.contains("(optim.batch 64 × optim.accumulation 2)")
                && text.contains("optim.batch=30 or less and optim.accumulation=1"),
            "{text}"
        );
        // Without accumulation the batch is the update.
        let text = refused(30, 64, 1);
        assert!(text.contains("64") && !text.contains("accumulation"), "{text}");
    }

    #[test]
    fn a_warm_up_of_most_of_the_run_is_told() {
        let caveat = |epochs, warmup_epochs| {
            let optim = PretrainConfig::default().optim;
            let optim = OptimConfig { batch: 4, epochs, warmup_epochs, base_lr: 0.064, ..optim };
            Plan::new(8, &optim).unwrap().caveat()
        };
        assert_eq!((caveat(20, 10.0), caveat(2, 0.0)), (None, None));
        let most = caveat(15, 10.0).unwrap();
        assert!(most.contains("10 of 15 epochs") && most.contains("=1.5`"), "{most}");
        // The last of ten updates is made at 4.5 of 10 epochs, with 0.45 of 0.001.
        let all = caveat(5, 10.0).unwrap();
        assert!(
            all.contains("whole run, 5 epochs, lies") && all.contains("4.5e-4 instead of 1.0e-3"),
            "{all}"
        );
        assert!(all.contains("`optim.warmup_epochs=0.5`"), "{all}");
        assert!(caveat(1, 1.0).unwrap().contains("whole run, 1 epoch, lies"));
    }
}
