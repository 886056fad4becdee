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
mod step;

pub use events::{BatchReport, EvaluationReport, Event, Flow, Started, StepReport, Work};
pub use finetune::{FinetuneOutcome, Start, StartWeights, finetune, finetune_on, settled};
pub use plan::Plan;
pub use pretrain::{PretrainOutcome, pretrain, pretrain_on};
pub use preview::{preview_finetuning, preview_pretraining};
pub use records::keep_evaluation;
pub use resume::{Resume, may_change};
pub use split::LabelledData;
pub use step::Learner;
