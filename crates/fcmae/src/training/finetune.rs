//! Fine-tuning on labels from pre-trained weights, or supervised training from scratch.

use std::path::Path;
use std::time::Instant;

use fcmae_data::sampler::Order;
use fcmae_data::{Batch, LoaderOptions, Mix, Mixing, PictureSet};
use fcmae_store::ExportName;
use fcmae_store::run::schema::{Ended, Kind};
use fcmae_words::plural;
use fcmae_words::terminal::percent;

use super::events::{EvaluationReport, Work};
use super::plan::Plan;
use super::records;
use super::resume::{self, Resume};
use super::session::{self, Batches, Evaluations, Observer, RunSpec, Session};
use super::split::{LabelledData, Pictures};
use super::start::{self, Beginning, Start};
use super::step::Learner;
use crate::config::{DataConfig, FinetuneConfig, FinetuneOptions, GrnChange, Settings};
use crate::engine::backend::Backend;
use crate::engine::feed::Images;
use crate::engine::module::Network;
use crate::engine::ops;
use crate::error::Result;
use crate::inference::evaluate::EvaluationSet;
use crate::network::loss;
use crate::network::memory::{self, MemoryCheck};
use crate::network::model::{Classifier, DropPath, Encoder, init};
use crate::training::optim::LayerDecay;
use crate::weights::{Description, Weights};

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

/// Trains a classifier on the labelled pictures in `data` into the run folder `out`.
///
/// With pre-trained weights, the network is theirs whatever `config.model` says, but for what
/// `config.finetune.grn` changes.
///
/// # Errors
/// As [`pretrain`](super::pretrain()), and weights that cannot be used, or are others than the run that goes on
/// began with.
pub fn finetune<'a, 'r>(
    config: &FinetuneConfig,
    data: impl Into<LabelledData<'a>>,
    start: Start<'_>,
    out: &Path,
    resume: impl Into<Resume<'r>>,
    observer: Observer<'_>,
) -> Result<FinetuneOutcome> {
    finetune_on(&config.backend()?, config, data, start, out, resume, observer)
}

/// The same computed by `backend`, whatever device the settings ask for.
///
/// # Errors
/// As [`finetune`].
pub fn finetune_on<'a, 'r>(
    backend: &Backend,
    config: &FinetuneConfig,
    data: impl Into<LabelledData<'a>>,
    start: Start<'_>,
    out: &Path,
    resume: impl Into<Resume<'r>>,
    observer: Observer<'_>,
) -> Result<FinetuneOutcome> {
    // Settings of a program's own may not have been checked.
    let config = &config.clone().resolve()?;
    let resume = resume.into();
    resume::has_its_checkpoints::<FinetuneConfig>(out, Kind::Finetuning, resume)?;
    let Beginning { weights: pretrained, origin, note, taken_up } =
        Beginning::of(start, resume, out, |weights| weights.with_grn(config.finetune.grn))?;
    // The network that is recorded is that of the weights.
    let config = if taken_up { config.clone() } else { settle(config, pretrained.as_ref())? };
    let options = &config.finetune;
    if !resume.goes_on() {
        config.check_new()?;
    }
    config.model.check_on(backend, None)?;
    resume::same_settings(out, &config, resume)?;
    let MemoryCheck { kept, note: scarce } = memory::check(&config, backend)?;
    let (data, mut recorded) = (data.into(), None);
    if resume.goes_on() {
        recorded = resume::recorded_split(out)?;
        resume::same_held_out(out, !data.held_out.is_empty())?;
    }
    let pictures = Pictures::labelled(data, &config, recorded.as_ref(), observer)?;
    let training = &pictures.training;
    let plan = Plan::new(training.len(), &config.optim)?;
    let loading = LoaderOptions {
        cache_bytes: kept,
        order: if options.balanced { Order::Balanced } else { Order::Shuffled },
        ..config.data.train_options(config.optim.batch, config.seed)
    };
    let transform = config.train_transform()?;
    let mut batches = session::batches(backend, training, transform, &config.data, &loading)?;

    let mut description = Description::new(&config.model, &config.data);
    description.classes.clone_from(&training.classes);
    let spec = RunSpec {
        kind: Kind::Finetuning,
        config: &config,
        device: backend.to_string(),
        pictures: &pictures.all,
        fingerprints: pictures.fingerprints(),
        start: origin.clone(),
        plan,
        description: description.clone(),
    };
    let mut session = Session::open(out, resume, spec, observer)?;
    session.guarded(|session| {
        note.iter().chain(&scarce).try_for_each(|note| session.note(note))?;
        pictures.check_split(out)?;
        let (network, notes) = initialized(&config, &training.classes, pretrained.as_ref())?;
        drop(pretrained);
        let mut learner = learner(network, &config).on(backend)?;
        let restored = if resume.goes_on() { session.restore(&mut learner)? } else { None };
        session.record_split(&pictures)?;
        session.start(&learner, restored.is_some(), &pictures)?;

        if restored.is_none() {
            let caveats = [average_caveat(options, plan.steps()), mixing_caveat(&config)];
            let idle = config.settings_without_effect(pictures.held_out.is_some());
            let notes = notes.into_iter().chain(caveats.into_iter().flatten()).chain(idle);
            notes.into_iter().try_for_each(|text| session.note(&text))?;
        }
        let about = about(&config, origin.is_some(), training.len());
        let evaluated = |set| EvaluationSet::new(set, &description, config.optim.batch, backend);
        let mut held_out = HeldOut {
            set: pictures.held_out.clone().map(evaluated).transpose()?,
            so_far: restored.unwrap_or_default(),
            patience: options.patience,
            max_bad_fraction: config.data.max_bad_fraction,
            about: &about,
            last: restored.and_then(|_| records::last_evaluation(out, learner.updates())),
        };
        let trained = train(session, &mut learner, &mut batches, &config, &mut held_out);
        session.ended(trained, &learner, held_out.so_far)?;
        let finished = held_out.is_finished(&learner, plan);
        match held_out.early_end(&learner, plan) {
            _ if !finished => session.record_end(Ended::Stopped, "it was asked to stop"),
            None => session.record_end(Ended::Finished, "all epochs are done"),
            Some(reason) => session.record_end(Ended::Finished, &reason),
        }
        let HeldOut { last, so_far: Evaluations { best: best_top1, .. }, .. } = held_out;
        Ok(FinetuneOutcome { step: learner.updates(), finished, last, best_top1 })
    })
}

/// The classifier with what it takes to train it, before its first update.
fn learner(network: Network<Classifier>, config: &FinetuneConfig) -> Learner<Classifier> {
    let options = &config.finetune;
    let mut learner = Learner::new(network, &config.optim)
        .freezing(|name| Encoder::part(name).is_some_and(|part| part < options.freeze));
    if options.ema > 0.0 {
        learner = learner.averaging(options.ema);
    }
    if options.ema_warmup {
        learner = learner.warming_up();
    }
    learner
}

/// Makes the updates that are left, with their evaluations, and exports what they came to.
fn train(
    session: &mut Session<'_>,
    learner: &mut Learner<Classifier>,
    batches: &mut Batches,
    config: &FinetuneConfig,
    held_out: &mut HeldOut<'_>,
) -> Result<()> {
    let (plan, options) = (session.plan(), &config.finetune);
    let layers = LayerDecay::new(options.layer_decay, &config.model);
    let blocks = config.model.total_depth();
    let frozen = config.model.depths.iter().take(options.freeze).sum();
    let targets = Targets::new(config, batches.folder());
    if held_out.so_far.due && held_out.evaluate(session, learner)? {
        session.save(learner, held_out.so_far)?;
    }
    let (epoch, number) = plan.next_batch(learner.updates());
    batches.seek(epoch, number);
    'training: while learner.updates() < plan.steps() && !session.stopped() && !held_out.gave_up() {
        let since = Instant::now();
        let mut images = 0;
        for part in 1..=plan.accumulation {
            let next = session.next_batch(batches);
            let batch = session.settling(next, learner, batches)?;
            if batch.is_empty() {
                continue;
            }
            let drop =
                DropPath::new(options.drop_path, blocks, config.seed, batch.epoch, &batch.indices);
            let drop = drop.map(|drop| drop.sparing(frozen));
            let (mixing, targets) = targets.of(&batch)?;
            images += batch.len();
            let parts = plan.parts(batch.len());
            let learned = session::images(batch, &mixing).and_then(|pixels| {
                Ok(learner.accumulate(parts, |network, pass| {
                    let logits = network.forward(pass, pixels.clone(), drop.as_ref());
                    ops::cross_entropy(pass, logits, &targets)
                })?)
            });
            session.settling(learned, learner, batches)?;
            if session.should_stop_update(learner, batches, part)? {
                break 'training;
            }
        }
        let step = learner.updates() + 1;
        let [evaluates, saves] = [options.evaluate_every, config.save.every_epochs]
            .map(|every| plan.is_due(step, every));
        let saves = saves || session.saves_by_time();
        let (scale, waits) = (|name: &str| layers.scale(name), evaluates || saves);
        if !session.update(learner, batches, scale, images, since, waits)? {
            break;
        }
        if evaluates && held_out.set.is_some() {
            held_out.so_far.due = true;
            if session.has_much_unsaved() {
                session.save(learner, held_out.so_far)?;
            }
            held_out.evaluate(session, learner)?;
        }
        if saves || held_out.gave_up() {
            session.save(learner, held_out.so_far)?;
        }
    }
    session.settle(learner, batches, 0)?;
    session.save_if_asked(learner, held_out.so_far)?;
    if held_out.is_finished(learner, plan) {
        if let Some(reason) = held_out.early_end(learner, plan) {
            session.note(&format!("{reason}: training ends; export/best has the best weights"))?;
        }
        session.export(ExportName::Last, &learner.averaged()?.to_named()?, held_out.about)?;
    }
    Ok(())
}

/// A note on a moving average that is, at the end, still mostly what it began as.
fn average_caveat(options: &FinetuneOptions, steps: u64) -> Option<String> {
    let left = options.ema.powf(steps as f64);
    (!options.ema_warmup && left > 0.5).then(|| {
        format!(
            "`finetune.ema={}` over {} leaves {} of the moving average at its start, and this average is \
             evaluated and exported: set `finetune.ema_warmup=true`, or `finetune.ema=0`",
            options.ema,
            plural(steps, "step"),
            percent(left, 0),
        )
    })
}

/// A note on mixing where a batch has nothing to mix with.
fn mixing_caveat(config: &FinetuneConfig) -> Option<String> {
    let mixes = config.finetune.mixup > 0.0 || config.finetune.cutmix > 0.0;
    (mixes && config.optim.batch == 1).then(|| {
        "`finetune.mixup` and `finetune.cutmix` mix the pictures of a batch, but `optim.batch=1` leaves none \
         to mix with: set a larger batch, or both to 0"
            .to_owned()
    })
}

/// What the weights of a run are.
fn about(config: &FinetuneConfig, from_weights: bool, pictures: usize) -> String {
    let how = if from_weights { "fine-tuned" } else { "trained from scratch" };
    let (pictures, epochs) = (plural(pictures, "picture"), plural(config.optim.epochs, "epoch"));
    format!("Classifier {how} on {pictures} for {epochs}.")
}

/// What the network is to say of a batch.
struct Targets {
    mix: Mix,
    /// Of each class, where they are not all the same.
    weights: Option<Vec<f64>>,
    classes: usize,
    seed: u64,
}

impl Targets {
    fn new(config: &FinetuneConfig, training: &PictureSet) -> Self {
        Self {
            mix: config.mix(),
            weights: config.finetune.class_weights.weights(&training.class_counts()),
            classes: training.classes.len(),
            seed: config.seed,
        }
    }

    /// How the batch's images are to be mixed, and the targets of them then, `[N, classes]`.
    fn of(&self, batch: &Batch<Images>) -> Result<(Mixing, Vec<f32>)> {
        let (mixing, mut targets) = self.mix.plan(batch, self.classes, self.seed)?;
        if let Some(weights) = &self.weights {
            loss::weigh(&mut targets, weights);
        }
        Ok((mixing, targets))
    }
}

/// The classifier before its first update, and what is to be told of the weights that it begins from.
fn initialized(
    config: &FinetuneConfig,
    classes: &[String],
    pretrained: Option<&Weights>,
) -> Result<(Network<Classifier>, Vec<String>)> {
    if let Some(weights) = pretrained {
        weights.check_encoder()?;
    }
    let mut network = Network::new(|names| Classifier::new(names, &config.model, classes.len()));
    init::initialize(network.weights_mut(), config.seed, config.finetune.head_std);
    let mut notes = Vec::new();
    if let Some(weights) = pretrained {
        notes.extend(weights.notes.iter().cloned());
        notes.extend(weights.fill_classifier(&mut network, classes)?);
        notes.extend(start::repeated_normalization(weights, &config.data));
    }
    Ok((network, notes))
}

/// The pictures kept aside, and how the network has done on them.
struct HeldOut<'a> {
    /// `None` where all pictures are trained on.
    set: Option<EvaluationSet>,
    so_far: Evaluations,
    /// Of more pictures missing, an evaluation is no result.
    max_bad_fraction: f64,
    /// Training ends after as many evaluations of which none was better than one before; 0: it does not.
    patience: u64,
    /// What the exported weights are.
    about: &'a str,
    last: Option<EvaluationReport>,
}

impl HeldOut<'_> {
    /// Whether training ends because nothing gets better.
    fn gave_up(&self) -> bool {
        self.patience > 0 && self.so_far.since_best >= self.patience && !self.so_far.due
    }

    /// Whether all is done.
    fn is_finished(&self, learner: &Learner<Classifier>, plan: Plan) -> bool {
        let complete = learner.updates() == plan.steps();
        (complete || self.gave_up()) && !self.so_far.due
    }

    /// Why a run that is done did not come to its last epoch.
    fn early_end(&self, learner: &Learner<Classifier>, plan: Plan) -> Option<String> {
        let evaluations = plural(self.so_far.since_best, "evaluation");
        (learner.updates() < plan.steps())
            .then(|| format!("no better top-1 in {evaluations} (`finetune.patience`)"))
    }

    /// Makes the evaluation that is due, unless the run is asked to stop before it is done; whether it
    /// was made. Exports the weights where they are the best so far.
    fn evaluate(
        &mut self,
        session: &mut Session<'_>,
        learner: &Learner<Classifier>,
    ) -> Result<bool> {
        let Some(set) = self.set.as_mut().filter(|_| !session.stopped()) else { return Ok(false) };
        let network = learner.averaged()?;
        let go_on = |done, all| !session.should_stop_after(Work::Evaluation, done, all);
        let Some(found) = set.evaluate(&network, go_on)? else { return Ok(false) };
        session.list_skipped(found.skipped.clone())?;
        if let Err(error) = found.check_missing(self.max_bad_fraction, 0) {
            self.so_far.due = false;
            let step = learner.updates();
            session.note(&format!("the evaluation after step {step} has no result: {error}"))?;
            return Ok(true);
        }
        let report = session.evaluated(learner.updates(), &found, set.pictures())?;
        if let Some(caveat) = found.caveat() {
            session.note(&format!("the evaluation after step {}: {caveat}", report.step))?;
        }
        // Where that fails, the evaluation is still due.
        let mut hash = None;
        if self.so_far.is_better(report.top1) {
            let weights = network.to_named()?;
            session.export(ExportName::Best, &weights, self.about)?;
            hash = session::short_hash(&weights);
        }
        self.so_far.take(report.top1, hash);
        self.last = Some(report);
        Ok(true)
    }
}

/// The settings that [`finetune`] runs by: with the network, image size, channels, mean and deviation of
/// the weights where the settings leave them to these.
///
/// # Errors
/// Weights that cannot be used, or settings that do not fit them.
pub fn settled(config: &FinetuneConfig, start: Start<'_>) -> Result<FinetuneConfig> {
    match start {
        Start::Recorded => Ok(config.clone()),
        Start::Read(weights) if config.finetune.grn == GrnChange::Keep => {
            weights.with(|weights| settle(config, Some(weights)))
        }
        _ => settle(config, start.open(|weights| weights.with_grn(config.finetune.grn))?.as_ref()),
    }
}

/// The settings with what follows from the weights filled in.
fn settle(config: &FinetuneConfig, pretrained: Option<&Weights>) -> Result<FinetuneConfig> {
    let mut config = config.clone();
    let mut size = DataConfig::default().image_size;
    if let Some(weights) = pretrained {
        let channels = config.finetune.channels;
        config.model = start::network_of(weights, channels, &mut config.data)?;
        size = weights.description.image_size;
    } else if config.finetune.grn != GrnChange::Keep {
        let reason = "there are no weights to change; from scratch, use `model.block`: `v2` has GRN, `v1` has \
            none";
        return Err(config.finetune.grn.refused(reason.to_owned()).into());
    } else {
        let channels = config.finetune.channels;
        start::nothing_to_adapt("finetune.channels", channels, &config.model)?;
    }
    if config.data.image_size == [0, 0] {
        config.data.image_size = size;
    }
    let [height, width] = config.data.image_size;
    config.model.patch_grid(height, width)?;
    Ok(config)
}
