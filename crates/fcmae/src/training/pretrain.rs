//! Pre-training: hide patches, predict them (ConvNeXt V2, section 3.1).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use fcmae_data::{Mixing, PictureSet};
use fcmae_store::ExportName;
use fcmae_store::run::schema::{Ended, Kind};
use fcmae_words::plural;
use image::RgbImage;

use super::plan::Plan;
use super::resume::{self, Resume};
use super::session::{self, Batches, Evaluations, Observer, RunSpec, Session};
use super::split::Pictures;
use super::step::Learner;
use crate::config::{PretrainConfig, Settings};
use crate::engine::backend::Backend;
use crate::engine::module::Network;
use crate::error::Result;
use crate::inference::reconstruct::{self, Reconstructor};
use crate::network::autoencoder::Autoencoder;
use crate::network::mask::Mask;
use crate::network::memory;
use crate::network::model::init;
use crate::weights::Description;

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
/// [`PictureSet::open`]), labels ignored, into the run folder `out`.
///
/// # Errors
/// Pictures, settings or folders that cannot be used, before anything is written; later a full
/// disk, too many bad pictures, or a loss that is not a number: what was done before is saved, if it can be.
pub fn pretrain<'r>(
    config: &PretrainConfig,
    data: &[PathBuf],
    out: &Path,
    resume: impl Into<Resume<'r>>,
    observer: Observer<'_>,
) -> Result<PretrainOutcome> {
    pretrain_on(&config.backend()?, config, data, out, resume, observer)
}

/// The same computed by `backend`, whatever device the settings ask for.
///
/// # Errors
/// As [`pretrain`].
pub fn pretrain_on<'r>(
    backend: &Backend,
    config: &PretrainConfig,
    data: &[PathBuf],
    out: &Path,
    resume: impl Into<Resume<'r>>,
    observer: Observer<'_>,
) -> Result<PretrainOutcome> {
    let resume = resume.into();
    config.model.check_on(backend, Some(&config.decoder))?;
    let [height, width] = config.data.image_size;
    config.model.patch_grid(height, width)?;
    resume::has_its_checkpoints::<PretrainConfig>(out, Kind::Pretraining, resume)?;
    resume::same_settings(out, config, resume)?;
    let kept = memory::check(config, backend)?;
    let pictures = Pictures::unlabelled(data, &config.data, observer)?;
    let set = &pictures.training;
    let plan = Plan::new(set.len(), &config.optim)?;
    let options = config.data.train_options(config.optim.batch, config.seed).keeping(kept);
    let transform = config.data.train_transform();
    let mut batches = session::batches(backend, set, transform, &config.data, &options)?;

    let mut description = Description::new(&config.model, &config.data);
    description.decoder = Some((config.decoder.clone(), config.mask.clone()));
    let spec = RunSpec {
        kind: Kind::Pretraining,
        config,
        device: backend.to_string(),
        pictures: set,
        fingerprints: pictures.fingerprints(),
        start: None,
        plan,
        description,
    };
    let mut session = Session::open(out, resume, spec, observer)?;

    let mut learner = Learner::new(initialized(config), &config.optim).on(backend)?;
    let resumed = resume.goes_on() && session.restore(&mut learner)?.is_some();
    session.start(&learner, resumed, &pictures)?;

    let trained = train(&mut session, &mut learner, &mut batches, config);
    session.ended(trained, &learner, Evaluations::default())?;
    let finished = learner.updates() == plan.steps();
    match finished {
        true => session.record_end(Ended::Finished, "all epochs are done"),
        false => session.record_end(Ended::Stopped, "it was asked to stop"),
    }
    Ok(PretrainOutcome { step: learner.updates(), finished, loss: session.mean_loss() })
}

/// Makes the updates that are left, and exports what they came to.
fn train(
    session: &mut Session<'_>,
    learner: &mut Learner<Autoencoder>,
    batches: &mut Batches,
    config: &PretrainConfig,
) -> Result<()> {
    let plan = session.plan();
    let [height, width] = config.data.image_size;
    let grid = config.model.patch_grid(height, width)?;
    let (epoch, number) = plan.next_batch(learner.updates());
    batches.seek(epoch, number);
    'training: while learner.updates() < plan.steps() && !session.stopped() {
        let since = Instant::now();
        let mut images = 0;
        for part in 1..=plan.accumulation {
            let next = session.next_batch(batches);
            let batch = session.settling(next, learner, batches)?;
            if batch.is_empty() {
                continue;
            }
            let mask =
                Mask::random(grid, config.mask.ratio, config.seed, batch.epoch, &batch.indices)?;
            images += batch.len();
            let parts = plan.parts(batch.len());
            let learned = session::images(batch, &Mixing::Unmixed).and_then(|pixels| {
                Ok(learner.accumulate(parts, |network, pass| {
                    network.loss(pass, pixels.clone(), &mask, config.mask.norm_pix_loss)
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
        let waits = draws || saves;
        if !session.update(learner, batches, |_| 1.0, images, since, waits)? {
            break;
        }
        if saves || draws && session.has_much_unsaved() {
            session.save(learner, Evaluations::default())?;
        }
        if draws {
            let (description, set) = (session.description(), batches.folder());
            let sheet = reconstructions(learner.averaged()?, config, description, set)?;
            let name = format!("reconstruction-step-{step:08}");
            // Nobody wants to lose a run for a picture of it.
            if let Err(error) = session.figure(&name, "reconstructions", step, &sheet) {
                session.note(&format!("a figure is left out: {error}"))?;
            }
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
        session.export(ExportName::Last, &learner.network().to_named()?, &about)?;
    }
    Ok(())
}

/// The autoencoder before its first update.
fn initialized(config: &PretrainConfig) -> Network<Autoencoder> {
    let mut network = Network::new(|names| {
        let network = Autoencoder::new(names, &config.model, &config.decoder);
        network.encoding(config.mask.encoder)
    });
    init::initialize(network.weights_mut(), config.seed, init::WEIGHT_STD);
    network
}

/// What the network makes of a few pictures of the set, always the same ones with the same masks.
fn reconstructions(
    network: Network<Autoencoder>,
    config: &PretrainConfig,
    description: &Description,
    set: &Arc<PictureSet>,
) -> Result<RgbImage> {
    let reconstructor = Reconstructor::new(network, config.mask.clone(), description.clone())?;
    let count = config.figures.pictures.min(set.len());
    let indices = (0..count).map(|n| (2 * n + 1) * set.len() / (2 * count));
    // One that cannot be read is listed where it is trained on.
    let rows = indices.filter_map(|index| reconstructor.sample(set, index, config.seed).ok());
    reconstruct::sheet(&rows.collect::<Vec<_>>())
}
