//! The training loops: pre-training, and fine-tuning or supervised training from scratch.
//!
//! Each loop can be read top to bottom. What they share: the [`Plan`] of epochs and steps, the run
//! folder, and the state that a checkpoint holds.

pub mod events;
pub mod finetune;
mod pictures;
pub mod plan;
pub mod pretrain;
pub mod preview;
mod provenance;
mod records;
mod session;
mod step;

pub use events::{BatchReport, EvaluationReport, Event, Flow, Started, StepReport, Work};
pub use finetune::{FinetuneOutcome, Start, finetune, finetune_on, settled};
pub use plan::Plan;
pub use pretrain::{PretrainOutcome, pretrain, pretrain_on};
pub use preview::{preview_finetuning, preview_pretraining};
pub(crate) use records::record_evaluation;
pub use step::Learner;
pub(crate) use step::plan as step_plan;
