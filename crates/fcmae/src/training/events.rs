//! What a training loop tells its observer.

use std::path::Path;

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// End and save. An update of which not all batches are in, or an evaluation under way, is left and
    /// made from its beginning when the run is resumed, which changes no number of it.
    Stop,
    /// End without saving: for a trial.
    Abandon,
}

/// Something that happened in a run.
#[derive(Debug)]
pub enum Event<'a> {
    /// Pictures are being listed: so many files were looked at. Where the answer is not to go on, the run does not
    /// begin.
    Listing(usize),
    /// Training is about to begin.
    Started(&'a Started),
    /// A batch of an update or of an evaluation is done, and others are to come.
    Batch(&'a BatchReport),
    /// One update was made.
    Step(&'a StepReport),
    /// The pictures kept aside were evaluated.
    Evaluated(&'a EvaluationReport),
    /// Labelled pictures were looked at that a pre-training is watched with.
    Watched(&'a WatchReport),
    /// A checkpoint is durable.
    Saved {
        /// Updates made.
        step: u64,
        /// Its folder.
        path: &'a Path,
    },
    /// A picture cannot be read and is left out.
    Skipped(&'a fcmae_data::Skipped),
    /// Pictures that were found to be of no use when they were listed, for one reason.
    LeftOut(&'a fcmae_data::Alike<'a>),
    /// Something worth knowing, such as a damaged checkpoint that was passed over.
    Note(&'a str),
}

/// What is about to be trained.
#[derive(Clone, Debug)]
pub struct Started {
    /// What computes.
    pub device: String,
    /// Updates in the whole run.
    pub steps: u64,
    /// Updates in an epoch.
    pub steps_per_epoch: u64,
    /// Epochs in the whole run.
    pub epochs: u64,
    /// The update after which a resumed run goes on.
    pub resumed_at: Option<u64>,
    /// Parameters of the network.
    pub parameters: usize,
    /// Pictures trained on.
    pub pictures: usize,
    /// Pictures kept aside to watch the accuracy.
    pub held_out: usize,
    /// Class names; none in pre-training.
    pub classes: Vec<String>,
}

/// What takes several batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// An update, where batches are accumulated.
    Update,
    /// An evaluation on the pictures kept aside.
    Evaluation,
    /// A look at watched pictures, each of which counts as a batch.
    Watch,
}

/// How far an update, an evaluation or a look is.
#[derive(Clone, Copy, Debug)]
pub struct BatchReport {
    /// Which of them.
    pub work: Work,
    /// Batches done.
    pub done: u64,
    /// Batches in all.
    pub all: u64,
}

/// One update.
#[derive(Clone, Copy, Debug)]
pub struct StepReport {
    /// Its number, from 1.
    pub step: u64,
    /// Updates in the whole run.
    pub steps: u64,
    /// Epochs done after it.
    pub epoch: f64,
    /// Mean loss over its images.
    pub loss: f32,
    /// Learning rate.
    pub lr: f64,
    /// The norm of all gradients together, before clipping.
    pub grad_norm: f64,
    /// Images trained on in a second, over this update.
    pub images_per_second: f64,
    /// Share of the update's time, 0 to 1, that was spent waiting for pictures.
    pub data_wait: f64,
}

/// An evaluation during fine-tuning.
#[derive(Clone, Copy, Debug)]
pub struct EvaluationReport {
    /// Updates made before it.
    pub step: u64,
    /// Epochs done before it.
    pub epoch: u64,
    /// Pictures kept aside that could be read.
    pub pictures: usize,
    /// Share of pictures whose class was the most likely one.
    pub top1: f64,
    /// Share of pictures whose class was among the five most likely ones; `None` of five classes or fewer.
    pub top5: Option<f64>,
    /// Mean cross entropy.
    pub loss: f64,
}

/// How well a pre-training's frozen features separate the classes of watched pictures.
#[derive(Clone, Copy, Debug)]
pub struct WatchReport {
    /// Updates made before it; 0 for the network that the run began with.
    pub step: u64,
    /// Epochs done before it.
    pub epoch: u64,
    /// Pictures that were tested.
    pub tested: usize,
    /// What was measured.
    pub scores: WatchScores,
    /// The same of the network that the run began with, where this is a later one and that is known.
    pub start: Option<WatchScores>,
    /// Whether that was untrained, not weights.
    pub untrained: bool,
}

/// Shares of tested pictures whose class was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WatchScores {
    /// By the vote of weighted nearest neighbours.
    pub neighbours: f64,
    /// By logistic regression; `None` of too many classes for it.
    pub probe: Option<f64>,
}
