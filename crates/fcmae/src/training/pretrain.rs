//! Pre-training: hide patches, predict them (ConvNeXt V2, section 3.1).

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use fcmae_data::sampler::evenly;
use fcmae_data::source::printable;
use fcmae_data::{Input, Mixing, PictureSet};
use fcmae_store::ExportName;
use fcmae_store::run::files;
use fcmae_store::run::schema::{Ended, Kind, StepFeatures};
use fcmae_words::plural;

use super::plan::Plan;
use super::records;
use super::resume::{self, Resume};
use super::session::{self, Batches, Evaluations, Observer, RunSpec, Session};
use super::split::{Pictures, PretrainData};
use super::start::{self, Beginning, Start};
use super::step::Learner;
use super::watch::{self, Opened, Watch};
use crate::config::{PretrainConfig, Settings};
use crate::engine::backend::Backend;
use crate::engine::module::Network;
use crate::engine::tensor::Tensor;
use crate::error::{ConfigError, Error, Result};
use crate::inference::diversity;
use crate::inference::reconstruct::{self, Reconstructor};
use crate::network::autoencoder::Autoencoder;
use crate::network::mask::Mask;
use crate::network::memory::{self, MemoryCheck};
use crate::network::model::{Encoder, init};
use crate::weights::{Description, Weights, drop_projection};

/// A note on what a teacher costs.
const TAUGHT: &str = "the weights of --from are the teacher of this run (`teacher.weight`): they see each \
    picture whole, and a step takes up to twice as long";

/// How a pre-training ended.
#[derive(Clone, Copy, Debug)]
pub struct PretrainOutcome {
    /// Updates made.
    pub step: u64,
    /// Whether the whole run is done.
    pub finished: bool,
    /// Mean loss over the last epoch's updates of this call, or over all if they are fewer; of a call that made none,
    /// over the last ones that are logged.
    pub loss: f32,
}

/// Pre-trains a masked autoencoder on the pictures in `data` (folders, archives, lists: see
/// [`PictureSet::open`]), labels ignored, into the run folder `out`. With [`PretrainData::watched`] pictures the run
/// tells how its features separate their classes.
///
/// From given weights, with a decoder or without, the network is theirs whatever `config.model` says, but for what
/// `config.start` changes; with `config.teacher` they teach it besides.
///
/// # Errors
/// Pictures, settings, weights or folders that cannot be used, before anything is written; later a full
/// disk, too many bad pictures, or a loss that is not a number: what was done before is saved, if it can be.
pub fn pretrain<'a, 'r>(
    config: &PretrainConfig,
    data: impl Into<PretrainData<'a>>,
    start: Start<'_>,
    out: &Path,
    resume: impl Into<Resume<'r>>,
    observer: Observer<'_>,
) -> Result<PretrainOutcome> {
    pretrain_on(&config.backend()?, config, data, start, out, resume, observer)
}

/// The same computed by `backend`, whatever device the settings ask for.
///
/// # Errors
/// As [`pretrain`].
pub fn pretrain_on<'a, 'r>(
    backend: &Backend,
    config: &PretrainConfig,
    data: impl Into<PretrainData<'a>>,
    start: Start<'_>,
    out: &Path,
    resume: impl Into<Resume<'r>>,
    observer: Observer<'_>,
) -> Result<PretrainOutcome> {
    // Settings of a program's own may not have been checked.
    let config = &config.clone().resolve()?;
    let (data, resume) = (data.into(), resume.into());
    resume::has_its_checkpoints::<PretrainConfig>(out, Kind::Pretraining, resume)?;
    let Beginning { weights, mut origin, note, taken_up } = Beginning::of(start, resume, out, Ok)?;
    // The network that is recorded is that of the weights.
    let config = &if taken_up { config.clone() } else { settle(config, weights.as_ref())? };
    config.model.check_on(backend, Some(&config.decoder))?;
    let [height, width] = config.data.image_size;
    config.model.patch_grid(height, width)?;
    resume::same_settings(out, config, resume)?;
    let MemoryCheck { kept, note: scarce } = memory::check(config, backend)?;
    let mut pictures = Pictures::unlabelled(data.training, &config.data, observer)?;
    let (knows_start, untrained) = (weights.is_some() || origin.is_none(), origin.is_none());
    let Opened { watch, record, unwatched } =
        Opened::of(data.watched, config, out, (resume.goes_on(), untrained), observer)?;
    pictures.watched = record;
    let set = &pictures.training;
    let plan = Plan::new(set.len(), &config.optim)?;
    let mut watch = watch.map(|watch| watch.paced(config, &plan, set.len()));
    let options = config.data.train_options(config.optim.batch, config.seed).keeping(kept);
    let transform = config.data.train_transform();
    let mut batches = session::batches(backend, set, transform, &config.data, &options)?;

    let taught = Teacher::encoder_of(config, weights.as_ref())?;
    if let (Some(origin), Some(encoder)) = (&mut origin, &taught) {
        origin.teacher = Some(encoder.to_named()?.hash());
    }
    let hash = origin.as_ref().and_then(|origin| origin.teacher.clone());
    let mut description = Description::new(&config.model, &config.data);
    description.decoder = Some((config.decoder.clone(), config.mask.clone()));
    let spec = RunSpec {
        kind: Kind::Pretraining,
        config,
        device: backend.to_string(),
        pictures: set,
        fingerprints: pictures.fingerprints(),
        start: origin,
        plan,
        description,
    };
    let mut session = Session::open(out, resume, spec, observer)?;
    session.guarded(|session| {
        note.iter().chain(&scarce).try_for_each(|note| session.note(note))?;
        let teacher = Teacher::of(config, taught, hash, session, backend)?;
        let (network, notes) = initialized(config, weights.as_ref())?;
        drop(weights);
        let mut learner = Learner::new(network, &config.optim).on(backend)?;
        if let Some(watch) = watch.as_mut().filter(|_| knows_start) {
            watch.begin(&learner)?;
        }
        let resumed = resume.goes_on() && session.restore(&mut learner)?.is_some();
        if let Some(why) = &unwatched {
            let epoch = learner.updates() / plan.steps_per_epoch;
            watch::go_on_without(session, &mut pictures.watched, why, epoch)?;
        }
        session.start(&learner, resumed, &pictures)?;
        if !resumed {
            let idle = config.settings_without_effect(!data.watched.is_empty());
            notes.iter().chain(&idle).try_for_each(|note| session.note(note))?;
        }
        if teacher.is_some() && !resumed {
            session.note(TAUGHT)?;
        }

        let besides = (teacher.as_ref(), watch.as_mut());
        let trained = train(session, &mut learner, &mut batches, config, besides);
        session.ended(trained, &learner, Evaluations::default())?;
        let finished = learner.updates() == plan.steps();
        match finished {
            true => session.record_end(Ended::Finished, "all epochs are done"),
            false => session.record_end(Ended::Stopped, "it was asked to stop"),
        }
        Ok(PretrainOutcome { step: learner.updates(), finished, loss: session.mean_loss() })
    })
}

/// Makes the updates that are left, and exports what they came to. `besides`: what teaches the network, and what is
/// watched.
fn train(
    session: &mut Session<'_>,
    learner: &mut Learner<Autoencoder>,
    batches: &mut Batches,
    config: &PretrainConfig,
    (teacher, mut watch): (Option<&Teacher>, Option<&mut Watch>),
) -> Result<()> {
    if let Some(watch) = &mut watch {
        watch.catch_up(session, learner)?;
    }
    let plan = session.plan();
    let [height, width] = config.data.image_size;
    let grid = config.model.patch_grid(height, width)?;
    let (epoch, number) = plan.next_batch(learner.updates());
    batches.seek(epoch, number);
    'training: while learner.updates() < plan.steps() && !session.stopped() {
        let since = Instant::now();
        let mut images = 0;
        let ratio = config.mask.ratio.at(config.seed, learner.updates());
        for part in 1..=plan.accumulation {
            let next = session.next_batch(batches);
            let batch = session.settling(next, learner, batches)?;
            if batch.is_empty() {
                continue;
            }
            let mask = Mask::random(grid, ratio, config.seed, batch.epoch, &batch.indices)?;
            images += batch.len();
            let parts = plan.parts(batch.len());
            let learned = session::images(batch, &Mixing::Unmixed).and_then(|pixels| {
                let lesson = teacher.map(|teacher| teacher.lesson(&pixels)).transpose()?;
                let (mask, normalizes) = (&mask, config.mask.norm_pix_loss);
                Ok(learner.accumulate(parts, |network, pass| match &lesson {
                    None => network.loss(pass, pixels.clone(), mask, normalizes),
                    Some((taught, weight)) => {
                        let lesson = (taught, *weight);
                        network.taught_loss(pass, pixels.clone(), mask, normalizes, lesson)
                    }
                })?)
            });
            session.settling(learned, learner, batches)?;
            if session.should_stop_update(learner, batches, part)? {
                break 'training;
            }
        }
        let step = learner.updates() + 1;
        let every = config.figures.every_epochs;
        let draws = every > 0 && plan.is_due(step, every);
        let saves = plan.is_due(step, config.save.every_epochs) || session.saves_by_time();
        let watch = watch.as_mut().filter(|watch| watch.is_due(&plan, step));
        let waits = draws || saves || watch.is_some();
        if !session.update(learner, batches, |_| 1.0, images, since, waits)? {
            break;
        }
        if saves || (draws || watch.is_some()) && session.has_much_unsaved() {
            session.save(learner, Evaluations::default())?;
        }
        if draws {
            draw(session, learner, config, batches.folder())?;
        }
        if let Some(watch) = watch {
            watch.measure(session, learner)?;
        }
    }
    session.settle(learner, batches, 0)?;
    session.save_if_asked(learner, Evaluations::default())?;
    if learner.updates() == plan.steps() {
        let about = format!(
            "Masked autoencoder (encoder and decoder), pre-trained for {} on {}.",
            plural(plan.epochs, "epoch"),
            plural(batches.folder().len(), "picture")
        );
        let mut network = learner.network().to_named()?;
        drop_projection(&mut network);
        session.export(ExportName::Last, &network, &about)?;
    }
    Ok(())
}

/// The autoencoder before its first update, and what is to be told of the weights that it begins from.
fn initialized(
    config: &PretrainConfig,
    weights: Option<&Weights>,
) -> Result<(Network<Autoencoder>, Vec<String>)> {
    if let Some(weights) = weights {
        weights.check_encoder()?;
    }
    let mut network = Network::new(|names| {
        let network = Autoencoder::new(names, &config.model, &config.decoder);
        let network = network.encoding(config.mask.encoder);
        network.taught(names, &config.model, config.teacher.weight > 0.0)
    });
    init::initialize(network.weights_mut(), config.seed, init::WEIGHT_STD);
    let Some(weights) = weights else { return Ok((network, Vec::new())) };
    let mut notes = weights.notes.clone();
    weights.fill_encoder(network.weights_mut())?;
    let path = printable(&weights.path);
    match weights.description.decoder {
        None => notes.push(format!("{path} has no decoder: a new one starts from random weights")),
        Some(_) if weights.fill_decoder(network.weights_mut(), config.model.channels)? => {}
        Some(_) => notes.push(format!(
            "{path} is for {}: the last layer of the decoder, which predicts pixels, starts from random \
             weights",
            plural(weights.description.model.channels, "channel")
        )),
    }
    notes.extend(start::repeated_normalization(weights, &config.data));
    Ok((network, notes))
}

/// The weights that a run began from, frozen: what they see in whole pictures, it is to see in the visible patches
/// (arXiv 2302.04476).
struct Teacher {
    encoder: Network<Encoder>,
    weight: f32,
}

impl Teacher {
    /// Of the weights that the run begins from, if they teach it.
    fn encoder_of(
        config: &PretrainConfig,
        weights: Option<&Weights>,
    ) -> Result<Option<Network<Encoder>>> {
        let Some(weights) = weights.filter(|_| config.teacher.weight > 0.0) else {
            return Ok(None);
        };
        weights.check_encoder()?;
        let mut encoder = Network::new(|names| Encoder::new(names, &config.model));
        weights.fill_encoder(encoder.weights_mut())?;
        Ok(Some(encoder))
    }

    /// With the encoder of the weights that the run begins from, which is kept in its folder; later with that one, of
    /// this `hash`.
    fn of(
        config: &PretrainConfig,
        encoder: Option<Network<Encoder>>,
        hash: Option<String>,
        session: &Session<'_>,
        backend: &Backend,
    ) -> Result<Option<Self>> {
        if config.teacher.weight == 0.0 {
            return Ok(None);
        }
        let kept = session.path().join(files::EXPORT).join(ExportName::Teacher.as_str());
        let encoder = match encoder {
            Some(encoder) => {
                if !kept.exists() {
                    let description = Description::new(&config.model, &config.data);
                    let about = "The encoder that is the teacher of a pre-training.";
                    let named = encoder.to_named()?;
                    session.export_of(ExportName::Teacher, &named, &description, about)?;
                }
                encoder
            }
            None if kept.exists() => {
                let weights = Weights::open(&kept)?;
                if hash.is_some_and(|hash| hash != weights.tensors.hash()) {
                    return Err(Error::Unusable(format!(
                        "{} is not the teacher that this run has had so far: put the right weights back, or \
                         give those that the run started from, with --from",
                        printable(&kept)
                    )));
                }
                weights.encoder()?
            }
            None => {
                return Err(Error::Unusable(format!(
                    "{}, the teacher of this run, is missing: put it back, or give the weights that the run \
                     started from, with --from",
                    printable(&kept)
                )));
            }
        };
        Ok(Some(Self { encoder: encoder.on(backend)?, weight: config.teacher.weight as f32 }))
    }

    /// The last stage's features of whole images, `[N, L, C]`, and how much the distance from them counts.
    fn lesson(&self, images: &Tensor) -> Result<(Tensor, f32)> {
        let features =
            self.encoder.infer(|encoder, pass| encoder.forward_grid(pass, images.clone(), None))?;
        Ok((features, self.weight))
    }
}

/// The settings that [`pretrain`] runs by: with the network, decoder, channels, mean and deviation of the weights
/// where the settings leave them to these.
///
/// # Errors
/// Weights that cannot be used, or settings that do not fit them.
pub fn settled_pretraining(config: &PretrainConfig, start: Start<'_>) -> Result<PretrainConfig> {
    match start {
        Start::Recorded => Ok(config.clone()),
        Start::Read(weights) => weights.with(|weights| settle(config, Some(weights))),
        _ => settle(config, start.open(Ok)?.as_ref()),
    }
}

/// The settings with what follows from the weights filled in.
fn settle(config: &PretrainConfig, weights: Option<&Weights>) -> Result<PretrainConfig> {
    let mut config = config.clone();
    let Some(weights) = weights else {
        if config.teacher.weight > 0.0 {
            return Err(ConfigError::Value {
                key: "teacher.weight".to_owned(),
                value: config.teacher.weight.to_string(),
                reason: "the teacher is the weights that a run starts from: give them with --from"
                    .to_owned(),
            }
            .into());
        }
        start::nothing_to_adapt("start.channels", config.start.channels, &config.model)?;
        return Ok(config);
    };
    config.model = start::network_of(weights, config.start.channels, &mut config.data)?;
    if let Some((decoder, _)) = &weights.description.decoder {
        config.decoder = decoder.clone();
    }
    let [height, width] = config.data.image_size;
    let [rows, columns] = config.model.patch_grid(height, width)?;
    config.mask.ratio.check(rows * columns)?;
    Ok(config)
}

/// Pictures that features are measured on, at most.
const FEATURE_PICTURES: usize = 32;

/// Records what the network makes of a few pictures of the set, always the same ones with the same masks, and what the
/// features inside its blocks are like.
fn draw(
    session: &mut Session<'_>,
    learner: &Learner<Autoencoder>,
    config: &PretrainConfig,
    set: &Arc<PictureSet>,
) -> Result<()> {
    let description = session.description();
    let reconstructor =
        Reconstructor::new(learner.averaged()?, config.mask.clone(), description.clone())?;
    // Nobody wants to lose a run for a picture of it.
    if let Err(error) =
        draw_reconstructions(session, &reconstructor, config, set, learner.updates())
    {
        session.note(&format!("a figure is left out: {error}"))?;
    }
    if let Err(error) = measure_features(session, &reconstructor, set, learner.updates()) {
        session.note(&format!("the features could not be measured: {error}"))?;
    }
    Ok(())
}

fn draw_reconstructions(
    session: &Session<'_>,
    reconstructor: &Reconstructor,
    config: &PretrainConfig,
    set: &Arc<PictureSet>,
    step: u64,
) -> Result<()> {
    // One that cannot be read is listed where it is trained on.
    let rows = evenly(config.figures.pictures, set.len())
        .filter_map(|index| reconstructor.sample(set, index, config.seed).ok());
    let sheet = reconstruct::sheet(&rows.collect::<Vec<_>>())?;
    session.figure(&format!("reconstruction-step-{step:08}"), "reconstructions", step, &sheet)
}

fn measure_features(
    session: &Session<'_>,
    reconstructor: &Reconstructor,
    set: &Arc<PictureSet>,
    step: u64,
) -> Result<()> {
    let pictures: Vec<Input> = evenly(FEATURE_PICTURES, set.len())
        .map(|index| Input::Sample { set: Arc::clone(set), index })
        .collect();
    let network = reconstructor.autoencoder();
    let Some(found) = diversity::of_encoder(network, |network| &network.encoder, pictures)? else {
        return Ok(());
    };
    let last = StepFeatures { step, images: found.images, blocks: found.blocks };
    records::features(session.path(), last)
}
