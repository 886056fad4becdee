//! Fine-tuning on labels from pre-trained weights, or supervised training from scratch.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use fcmae_data::sampler::Order;
use fcmae_data::{ImageFolder, Labels, Loader, LoaderOptions, Normalization, PixelFormat, Split};
use fcmae_store::ExportName;

use super::events::{EvaluationReport, Event, Started, Work};
use super::plan::Plan;
use super::records::DataSummary;
use super::session::{self, Course, Evaluations, Observer, Session};
use super::step::Learner;
use crate::config::{DataConfig, FinetuneConfig, GrnChange, Settings};
use crate::error::Result;
use crate::evaluate::EvaluationSet;
use crate::loss;
use crate::memory;
use crate::model::{Classifier, DropPath, Encoder, init};
use crate::network::Network;
use crate::ops;
use crate::optim::LayerDecay;
use crate::weights::{Description, Weights};

/// What the encoder starts from.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// Random weights.
    Scratch,
    /// A run folder, an export folder or a file.
    Weights(&'a Path),
}

/// How a fine-tuning ended.
#[derive(Clone, Copy, Debug)]
pub struct FinetuneOutcome {
    /// Updates made.
    pub step: u64,
    /// Whether the whole run is done.
    pub finished: bool,
    /// The last evaluation on the pictures kept aside.
    pub last: Option<EvaluationReport>,
    /// The best accuracy on the pictures kept aside; `export/best` has its weights.
    pub best_top1: Option<f64>,
}

/// Trains a classifier on the labelled pictures in `data` (folders with a sub-folder for each class,
/// archives, lists: see [`ImageFolder::open`]) into the run folder `out`.
///
/// With pre-trained weights, the network is theirs whatever `config.model` says, but for what
/// `config.finetune.grn` changes.
///
/// # Errors
/// As [`pretrain`](super::pretrain()), and weights that cannot be used.
pub fn finetune(
    config: &FinetuneConfig,
    data: &[PathBuf],
    start: Start<'_>,
    out: &Path,
    resume: bool,
    observer: Observer<'_>,
) -> Result<FinetuneOutcome> {
    let device = config.device()?;
    let pretrained = match start {
        Start::Scratch => None,
        Start::Weights(path) => Some(Weights::open(path)?.with_grn(config.finetune.grn)?),
    };
    let config = settle(config, pretrained.as_ref())?;
    let options = &config.finetune;

    memory::check(&config)?;
    let folder = ImageFolder::open_all(data, Labels::Required)?;
    let unreadable = folder.skipped.clone();
    let fingerprint = folder.fingerprint();
    let (training, held_out) = if options.held_out > 0.0 {
        let (training, held_out) = folder.split(options.held_out, config.seed)?;
        (training, Some(Arc::new(held_out)))
    } else {
        (folder.clone(), None)
    };
    let training = Arc::new(training.take_labels(config.labels(), config.seed)?);
    let plan = Plan::new(training.len(), &config.optim)?;
    let mut batches = Loader::new(
        Arc::clone(&training),
        config.train_transform()?,
        config.data.normalization(),
        &LoaderOptions {
            order: if options.balanced { Order::Balanced } else { Order::Shuffled },
            ..config.data.train_options(config.optim.batch, config.seed)
        },
    )?;

    let mut description = Description::new(&config.model, &config.data);
    description.classes.clone_from(&training.classes);
    let course = Course {
        kind: "finetune",
        config: &config,
        save: &config.save,
        on_nan: config.optim.on_nan,
        fingerprint,
        plan,
        description: description.clone(),
    };
    let mut session = Session::open(out, resume, course, observer)?;
    for note in pretrained.iter().flat_map(|weights| &weights.notes) {
        session.note(note)?;
    }

    let classes = training.classes.len();
    let mut network = Network::new(|names| Classifier::new(names, &config.model, classes));
    init::initialize(network.weights_mut(), config.seed, options.head_std);
    if let Some(weights) = &pretrained {
        let note = weights.fill_classifier(&mut network, &training.classes)?;
        note.map_or(Ok(()), |note| session.note(&note))?;
    }
    let mut learner = Learner::new(network, &config.optim)
        .freezing(|name| Encoder::part(name).is_some_and(|part| part < options.freeze));
    if options.ema > 0.0 {
        learner = learner.averaging(options.ema);
    }
    let restored = if resume { session.restore(&mut learner)? } else { None };
    let resumed = restored.is_some();
    let mut evaluations = restored.unwrap_or_default();
    session.describe(&DataSummary::of(&folder, &training, held_out.as_deref()), device)?;
    session.record_split(&Split::new(&folder, &training, held_out.as_deref())?)?;
    session.list_skipped(unreadable)?;
    session.tell(Event::Started(&Started {
        device,
        steps: plan.steps(),
        steps_per_epoch: plan.steps_per_epoch,
        epochs: plan.epochs,
        resumed_at: resumed.then_some(learner.updates()),
        parameters: learner.network().layout().count(),
        pictures: training.len(),
        held_out: held_out.as_ref().map_or(0, |folder| folder.len()),
        classes: training.classes.clone(),
    }));

    let layers = LayerDecay::new(options.layer_decay, &config.model);
    let blocks = config.model.total_depth();
    let frozen = config.model.depths.iter().take(options.freeze).sum();
    let mix = config.mix();
    let weights = options.class_weights.weights(&training.class_counts());
    let about = format!(
        "Classifier {} on {} pictures for {} epochs.",
        if pretrained.is_some() { "fine-tuned" } else { "trained from scratch" },
        training.len(),
        plan.epochs
    );
    let (epoch, number) = plan.next_batch(learner.updates());
    batches.seek(epoch, number);
    let mut held_out = held_out
        .map(|folder| EvaluationSet::new(folder, &description, config.optim.batch))
        .transpose()?;
    let mut last = None;
    let gave_up = |so_far: &Evaluations| {
        options.patience > 0 && so_far.since_best >= options.patience && !so_far.due
    };
    if evaluations.due
        && let Some(held_out) = &mut held_out
    {
        last = evaluate(&mut session, &learner, held_out, &mut evaluations, &about)?;
        if last.is_some() {
            session.save(&learner, evaluations)?;
        }
    }
    'training: while learner.updates() < plan.steps()
        && !session.stopped()
        && !gave_up(&evaluations)
    {
        let since = Instant::now();
        let mut images = 0;
        for part in 1..=plan.accumulation {
            let mut batch = session.next_batch(&mut batches)?;
            if batch.is_empty() {
                continue;
            }
            let drop =
                DropPath::new(options.drop_path, blocks, config.seed, batch.epoch, &batch.indices);
            let drop = drop.map(|drop| drop.sparing(frozen));
            let mut targets = mix.apply(&mut batch, classes, config.seed)?;
            if let Some(weights) = &weights {
                loss::weigh(&mut targets, weights);
            }
            images += batch.len();
            let pixels = session::images(batch);
            learner.learn(plan.accumulation, |network, pass| {
                let logits = network.forward(pass, pixels.clone(), drop.as_ref());
                ops::cross_entropy(pass, logits, &targets)
            });
            if session.leaves_update(part) {
                break 'training;
            }
        }
        let outcome = learner.update(plan.lr(learner.updates()), |name| layers.scale(name));
        let step = learner.updates();
        session.attempted(outcome, &mut batches, step)?;
        session.report(step, outcome, images, since)?;
        session.list_skipped(batches.skipped())?;

        if let Some(held_out) = &mut held_out
            && plan.is_due(step, options.evaluate_every)
        {
            evaluations.due = true;
            last = evaluate(&mut session, &learner, held_out, &mut evaluations, &about)?.or(last);
        }
        let due = plan.is_due(step, config.save.every_epochs);
        if due || gave_up(&evaluations) {
            session.save(&learner, evaluations)?;
        }
    }
    session.save_if_asked(&learner, evaluations)?;

    let over = learner.updates() == plan.steps() || gave_up(&evaluations);
    let finished = over && !evaluations.due;
    if learner.updates() < plan.steps() && finished {
        session.note(&format!(
            "no better top-1 in {} evaluations: training ends; export/best has the best weights",
            evaluations.since_best
        ))?;
    }
    if finished {
        session.export(ExportName::Last, &learner.averaged().to_named(), &about)?;
    }
    Ok(FinetuneOutcome { step: learner.updates(), finished, last, best_top1: evaluations.best })
}

/// Makes the evaluation that is due, unless the run is asked to stop before it is done.
fn evaluate(
    session: &mut Session<'_>,
    learner: &Learner<Classifier>,
    held_out: &mut EvaluationSet,
    evaluations: &mut Evaluations,
    about: &str,
) -> Result<Option<EvaluationReport>> {
    if session.stopped() {
        return Ok(None);
    }
    let network = learner.averaged();
    let go_on = |done, all| !session.leaves(Work::Evaluation, done, all);
    let Some(found) = held_out.evaluate(&network, go_on)? else { return Ok(None) };
    session.list_skipped(found.skipped.clone())?;
    let report = session.evaluated(learner.updates(), &found, held_out.folder())?;
    if evaluations.take(report.top1) {
        session.export(ExportName::Best, &network.to_named(), about)?;
    }
    Ok(Some(report))
}

/// The settings with what follows from the weights filled in.
fn settle(config: &FinetuneConfig, pretrained: Option<&Weights>) -> Result<FinetuneConfig> {
    let mut config = config.clone();
    let mut size = DataConfig::default().image_size;
    if let Some(weights) = pretrained {
        let description = &weights.description;
        config.model = description.model.clone();
        let Normalization { mean, std } = match config.finetune.channels {
            0 => {
                config.data.depth = description.depth;
                description.normalization()
            }
            channels => {
                config.model.channels = channels;
                description.normalization_for(channels)
            }
        };
        if !config.data.has_own_normalization() || config.data.mean.len() != mean.len() {
            (config.data.mean, config.data.std) = (mean, std);
        }
        let channels = config.model.channels as u32;
        PixelFormat { channels, depth: config.data.depth }.check()?;
        size = description.image_size;
    } else if config.finetune.grn != GrnChange::Keep {
        let reason = "there are no weights to change; from scratch `model.block` says it: `v2` with GRN, \
                      `v1` without";
        return Err(config.finetune.grn.refused(reason.to_owned()).into());
    }
    if config.data.image_size == [0, 0] {
        config.data.image_size = size;
    }
    let [height, width] = config.data.image_size;
    config.model.patch_grid(height, width)?;
    Ok(config)
}
