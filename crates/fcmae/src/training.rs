//! The training loops: pre-training, and fine-tuning or supervised training from scratch.
//!
//! Each loop can be read top to bottom. What they share: the [`Plan`] of epochs and steps, the run
//! folder, and the state that a checkpoint holds.

pub mod events;
pub mod finetune;
pub mod optim;
pub mod plan;
pub mod pretrain;
pub mod preview;
mod provenance;
mod records;
mod resume;
mod session;
mod split;
mod start;
mod step;
mod watch;

pub use events::{
    BatchReport, EvaluationReport, Event, Flow, Started, StepReport, WatchReport, WatchScores, Work,
};
pub use finetune::{FinetuneOutcome, finetune, finetune_on, settled};
pub use plan::Plan;
pub use pretrain::{PretrainOutcome, pretrain, pretrain_on, settled_pretraining};
pub use preview::{preview_finetuning, preview_pretraining};
pub use records::{Test, keep_evaluation};
pub use resume::{Resume, changes_no_number, may_change, recorded_parts};
pub use split::{LabelledData, PretrainData};
pub use start::{Start, StartWeights};
pub use step::Learner;
