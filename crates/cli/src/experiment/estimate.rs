//! `--dry-run`: what is still to be done, and what it would take on this machine.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use fcmae::config::{
    BlockKind, FinetuneConfig, GrnChange, ModelConfig, OptimConfig, PretrainConfig, Settings,
};
use fcmae::training::Start;
use fcmae_words::grouped;
use fcmae_words::terminal::duration;

use super::outcome::Kind;
use super::places::{OUTCOME, Places};
use super::plan::{Job, Plan, Work};
use crate::text_table::{Align, Table};
use crate::trial::Trial;

/// How much longer a step takes with a teacher, roughly: it looks at the whole picture.
const TEACHER: f64 = 2.0;

/// What steps of a kind of run take. Runs whose settings differ in what costs no time are of one kind.
#[derive(Default)]
pub(super) struct Speeds {
    known: BTreeMap<String, Speed>,
}

#[derive(Clone, Copy)]
struct Speed {
    step_seconds: f64,
    steps_per_epoch: u64,
}

/// Runs of an experiment that differ in their seed, or in the candidate that they try.
#[derive(Default)]
struct Row {
    what: String,
    runs: usize,
    done: usize,
    /// Of one run that is left.
    steps: u64,
    /// Of all that are left.
    seconds: f64,
}

impl Speeds {
    /// What an experiment's jobs take, as a table, and the seconds of those that are not done.
    ///
    /// # Errors
    /// Pictures or settings that cannot be used.
    pub(super) fn table(
        &mut self,
        plan: &Plan,
        jobs: &[Job],
        done: &dyn Fn(&Job) -> bool,
        places: &Places,
    ) -> Result<(String, f64)> {
        let mut rows: Vec<Row> = Vec::new();
        for job in jobs {
            let what = plan.describe(job);
            // What is done needs no trial.
            let left = !done(job);
            let (steps, seconds) = if left { self.of(jobs, job, places)? } else { (0, 0.0) };
            let row = match rows.iter().position(|row| row.what == what) {
                Some(place) => &mut rows[place],
                None => {
                    rows.push(Row { what, ..Row::default() });
                    rows.last_mut().expect("one was just added")
                }
            };
            row.runs += 1;
            row.done += usize::from(!left);
            row.steps = row.steps.max(steps);
            row.seconds += seconds;
        }
        let mut table = Table::new([
            ("what", Align::Left),
            ("runs", Align::Right),
            ("done", Align::Right),
            ("steps each", Align::Right),
            ("time left", Align::Right),
        ]);
        let time = |seconds: f64| match seconds > 0.0 {
            true => duration(Duration::from_secs_f64(seconds)),
            false => "-".to_owned(),
        };
        let mut left = 0.0;
        for row in rows {
            left += row.seconds;
            table.row([
                row.what,
                row.runs.to_string(),
                row.done.to_string(),
                if row.steps > 0 { grouped(row.steps as usize) } else { "-".to_owned() },
                time(row.seconds),
            ]);
        }
        Ok((table.text(), left))
    }

    /// Steps and seconds of a job.
    fn of(&mut self, jobs: &[Job], job: &Job, places: &Places) -> Result<(u64, f64)> {
        let data = places.pictures(&job.trained_on);
        let mut slower = 1.0;
        let (class, epochs, trial): (String, u64, Box<dyn FnOnce() -> Result<Trial>>) =
            match &job.work {
                Work::Diversity { .. } => return Ok((0, 0.0)),
                Work::Pretrain { config, from } => {
                    let mut alike = alike_pretraining(&places.pretraining(config));
                    let class = format!("pretrain {data:?}\n{}", alike.to_toml());
                    // Weights decide over the network, and a teacher cannot be without them.
                    let base = from.as_ref().map(|key| places.run(Kind::Pretrain, key));
                    let base = base.filter(|run| run.join(OUTCOME).exists());
                    if base.is_none() {
                        if std::mem::take(&mut alike.teacher.weight) > 0.0 {
                            slower = TEACHER;
                        }
                        adapt(&mut alike.model, std::mem::take(&mut alike.start.channels));
                    }
                    let trial = move || {
                        Trial::of(|run, observer| {
                            fcmae::training::pretrain(
                                &alike,
                                &data,
                                base.as_deref().map_or(Start::Scratch, Start::Weights),
                                run,
                                false,
                                observer,
                            )
                            .map(drop)
                        })
                    };
                    (class, config.optim.epochs, Box::new(trial))
                }
                Work::Finetune { config, from } => {
                    let mut alike = alike_finetuning(&places.finetuning(config));
                    // Random weights take as long as trained ones of the same network.
                    let start = jobs.iter().find(|job| Some(&job.key) == from.as_ref());
                    if let Some(Job { work: Work::Pretrain { config: start, .. }, .. }) = start {
                        alike.model = start.model.clone();
                        adapt(&mut alike.model, start.start.channels);
                    }
                    adapt(&mut alike.model, std::mem::take(&mut alike.finetune.channels));
                    alike.model.block = match std::mem::take(&mut alike.finetune.grn) {
                        GrnChange::Keep => alike.model.block,
                        GrnChange::Drop => BlockKind::V1,
                        GrnChange::Add => BlockKind::V2,
                    };
                    let class = format!("finetune {data:?}\n{}", alike.to_toml());
                    let trial = move || {
                        Trial::of(|run, observer| {
                            fcmae::training::finetune(
                                &alike,
                                &data,
                                Start::Scratch,
                                run,
                                false,
                                observer,
                            )
                            .map(drop)
                        })
                    };
                    (class, config.optim.epochs, Box::new(trial))
                }
            };
        let speed = match self.known.get(&class) {
            Some(speed) => *speed,
            None => {
                let trial = trial()?;
                let started = trial.started.as_ref();
                let speed = Speed {
                    step_seconds: slower * trial.step_seconds().unwrap_or_default(),
                    steps_per_epoch: started.map_or(0, |started| started.steps_per_epoch),
                };
                self.known.insert(class, speed);
                speed
            }
        };
        let steps = speed.steps_per_epoch * epochs;
        Ok((steps, speed.step_seconds * steps as f64))
    }
}

/// Gives the network the channels that weights would be adapted to, if there were any yet.
fn adapt(model: &mut ModelConfig, channels: usize) {
    if channels > 0 {
        model.channels = channels;
    }
}

/// The settings with those evened out that cost no time. Enough epochs stay for a trial's steps.
fn alike_pretraining(config: &PretrainConfig) -> PretrainConfig {
    let mut alike = config.clone();
    let usual = PretrainConfig::default();
    alike.seed = 0;
    even_out(&mut alike.optim, &usual.optim);
    alike
}

fn alike_finetuning(config: &FinetuneConfig) -> FinetuneConfig {
    let mut alike = config.clone();
    let usual = FinetuneConfig::default();
    alike.seed = 0;
    even_out(&mut alike.optim, &usual.optim);
    alike.finetune.layer_decay = usual.finetune.layer_decay;
    alike.finetune.label_smoothing = usual.finetune.label_smoothing;
    alike.finetune.head_std = usual.finetune.head_std;
    alike
}

fn even_out(optim: &mut OptimConfig, usual: &OptimConfig) {
    (optim.epochs, optim.warmup_epochs) = (100, 1.0);
    (optim.base_lr, optim.min_lr) = (usual.base_lr, usual.min_lr);
    optim.weight_decay = usual.weight_decay;
}
