//! One training step: the gradients of its batches, then an update.

use std::collections::BTreeMap;
use std::sync::Arc;

use fcmae_cuda::CudaError;
use fcmae_store::{Mismatch, NamedTensors};

use crate::config::OptimConfig;
use crate::engine::backend::Backend;
use crate::engine::gradients::Gradients;
use crate::engine::module::Network;
use crate::engine::parameters::Arena;
use crate::engine::tape::{Pass, Tape};
use crate::engine::tensor::Tensor;
use crate::engine::workspace::Workspace;
use crate::error::Error;
use crate::training::optim::adamw::Averaging;
use crate::training::optim::{AdamW, Outcome};

/// A network that is trained, and all that training changes.
#[derive(Debug)]
pub struct Learner<M> {
    network: Network<M>,
    gradients: Gradients,
    optimizer: AdamW,
    average: Option<Average>,
    trained: Arc<[bool]>,
    workspace: Workspace,
    /// Of the batches since the last update.
    losses: Vec<PartLoss>,
    /// An update whose outcome nobody has asked for yet.
    made: Option<Made>,
}

/// The loss of a batch, `[1]`, which is one of so many parts of an update.
#[derive(Debug)]
struct PartLoss {
    loss: Tensor,
    parts: f64,
}

/// An update.
#[derive(Debug)]
enum Made {
    Here(Outcome),
    /// Handed to a card, with the losses of its batches.
    OnCard(Vec<PartLoss>),
}

/// How far the sum of all parts' shares may be from 1.
const ROUNDING: f64 = 1e-9;

/// The moving average of the weights.
#[derive(Debug)]
struct Average {
    weights: Arena,
    decay: f64,
    warms_up: bool,
}

impl Average {
    /// What stays of it at the update that follows `updates` ones.
    fn decay(&self, updates: u64) -> f64 {
        match self.warms_up {
            true => self.decay.min((1.0 + updates as f64) / (10.0 + updates as f64)),
            false => self.decay,
        }
    }
}

impl PartLoss {
    /// Waits for a card, where it is computed on one.
    fn value(&self) -> Result<f32, CudaError> {
        Ok(self.loss.clone().on(&Backend::Cpu)?.values()[0])
    }
}

/// The mean over the batches that were learned, by their parts in the update; 0 if there was none.
fn mean(losses: &[PartLoss]) -> Result<f32, CudaError> {
    let mut loss = 0.0;
    for part in losses {
        loss += part.value()? / part.parts as f32;
    }
    Ok(missing(losses).map_or(loss, |whole| (f64::from(loss) * whole) as f32))
}

/// By what the sum of the parts is to be multiplied where some of the update's pictures are missing; `None` where it is
/// whole, but for rounding, or where nothing was learned.
fn missing(losses: &[PartLoss]) -> Option<f64> {
    let share: f64 = losses.iter().map(|part| 1.0 / part.parts).sum();
    (share > 0.0 && (share - 1.0).abs() >= ROUNDING).then(|| 1.0 / share)
}

/// Why a checkpoint cannot be taken up.
pub(super) enum Restore {
    Missing(Error),
    Mismatch(Mismatch),
}

impl From<CudaError> for Restore {
    fn from(error: CudaError) -> Self {
        Self::Missing(error.into())
    }
}

impl<M> Learner<M> {
    /// Before the first update, from the weights of a network on the processor; [`on`](Self::on) moves all of it.
    pub fn new(network: Network<M>, config: &OptimConfig) -> Self {
        let layout = network.layout();
        Self {
            gradients: Gradients::new(layout),
            optimizer: AdamW::new(config, layout),
            average: None,
            trained: vec![true; layout.len()].into(),
            workspace: Workspace::default(),
            losses: Vec::new(),
            made: None,
            network,
        }
    }

    /// Keeps a moving average of the weights, of which `decay` stays at an update.
    pub fn averaging(mut self, decay: f64) -> Self {
        let weights = self.network.weights().clone();
        self.average = Some(Average { weights, decay, warms_up: false });
        self
    }

    /// With an average that follows the weights closely at first: of it stays (1 + n) / (10 + n) at the update that
    /// follows n ones, until that is more than its decay.
    pub fn warming_up(mut self) -> Self {
        if let Some(average) = &mut self.average {
            average.warms_up = true;
        }
        self
    }

    /// Freezes the parameters whose names `is_frozen` accepts, besides those that earlier calls froze.
    pub fn freezing(mut self, is_frozen: impl Fn(&str) -> bool) -> Self {
        let parameters = self.network.layout().parameters().zip(&*self.trained);
        self.trained =
            parameters.map(|((name, _), &trained)| trained && !is_frozen(name)).collect();
        self
    }

    /// With results in `workspace`.
    pub fn working_in(mut self, workspace: Workspace) -> Self {
        self.workspace = workspace;
        self
    }

    /// The same computed by `backend`, with all that training changes in its memory.
    ///
    /// # Errors
    /// What a card says.
    pub fn on(self, backend: &Backend) -> Result<Self, CudaError> {
        let average = match self.average {
            Some(average) => Some(Average { weights: average.weights.on(backend)?, ..average }),
            None => None,
        };
        Ok(Self {
            gradients: self.gradients.on(backend)?,
            optimizer: self.optimizer.on(backend)?,
            network: self.network.on(backend)?,
            average,
            workspace: Workspace::on(backend),
            ..self
        })
    }

    /// As [`accumulate`](Self::accumulate), and returns the loss of the batch.
    ///
    /// # Errors
    /// What a card says, where one computes.
    ///
    /// # Panics
    /// As there.
    pub fn learn(
        &mut self,
        parts: u64,
        loss: impl Fn(&M, &mut Pass<'_>) -> Tensor,
    ) -> Result<f32, CudaError> {
        self.accumulate(parts as f64, loss)?;
        self.losses.last().map_or(Ok(0.0), |of| of.value())
    }

    /// Adds the gradients of a batch, one of `parts` equal ones to an update: more where pictures of it are missing, as
    /// it counts `1 / parts`. What is missing of the update then counts as the rest of it does. Where a card computes,
    /// this does not wait for it.
    ///
    /// On the processor `loss` is called twice: once for the shapes alone (see [`workspace`](crate::engine::workspace)); on a
    /// card once, with shapes alone. It ends in one of the losses of [`ops`](crate::engine::ops), `[1]`. What else is wanted of
    /// a pass is copied out of it with [`Tensor::to_vec`].
    ///
    /// # Errors
    /// What a card says, where one computes.
    ///
    /// # Panics
    /// With less than 1 part; where `loss` keeps a tensor from inside the pass, or computes something else the
    /// second time.
    pub fn accumulate(
        &mut self,
        parts: f64,
        loss: impl Fn(&M, &mut Pass<'_>) -> Tensor,
    ) -> Result<(), CudaError> {
        assert!(parts >= 1.0, "an update has 1 part at least, not {parts}");
        let Self { network, gradients, trained, workspace, .. } = self;
        gradients.begin(network.backend())?;
        let (module, weights) = (network.module(), network.weights());
        let learned = workspace.planned(|workspace| {
            let tape = Tape::new(Arc::clone(trained), 1.0 / parts as f32);
            [tape.differentiate(weights, workspace, gradients, |pass| loss(module, pass))]
        });
        match learned {
            Ok([loss]) => {
                self.losses.push(PartLoss { loss, parts });
                Ok(())
            }
            Err(error) => {
                // No update is made of a part of the gradients.
                gradients.clear();
                self.losses.clear();
                Err(error)
            }
        }
    }

    /// Makes an update from the gradients since the last one, with learning rate `lr · scale(name)`.
    ///
    /// The outcome's loss is the mean over the batches that were learned, even if they are fewer than
    /// `parts`; 0 if there was none.
    ///
    /// # Errors
    /// What a card says, where one computes.
    pub fn update(&mut self, lr: f64, scale: impl Fn(&str) -> f64) -> Result<Outcome, CudaError> {
        self.hand_over(lr, scale)?;
        self.settle()
    }

    /// As [`update`](Self::update), but does not wait for a card: [`settle`](Self::settle) does, and comes before the
    /// next update. The gradients of its batches may be handed over before.
    ///
    /// # Errors
    /// What a card says, where one computes.
    ///
    /// # Panics
    /// Where the last update was not settled.
    pub(super) fn hand_over(
        &mut self,
        lr: f64,
        scale: impl Fn(&str) -> f64,
    ) -> Result<(), CudaError> {
        assert!(self.made.is_none(), "an update is settled before the next");
        let on_card = self.runs_ahead();
        if let Some(factor) = missing(&self.losses) {
            self.gradients.multiply(factor as f32)?;
        }
        let updates = self.optimizer.updates();
        let averaging = self.average.as_mut().map(|average| Averaging {
            decay: average.decay(updates),
            average: &mut average.weights,
        });
        let (weights, gradients) = (self.network.weights_mut(), &self.gradients);
        let losses = std::mem::take(&mut self.losses);
        let made = if on_card {
            let of: Vec<_> = losses.iter().map(|part| &part.loss).collect();
            self.optimizer.hand_over(weights, gradients, &of, lr, scale, averaging)?;
            Made::OnCard(losses)
        } else {
            let loss = mean(&losses)?;
            Made::Here(self.optimizer.step(weights, gradients, loss, lr, scale, averaging)?)
        };
        self.gradients.clear();
        self.made = Some(made);
        Ok(())
    }

    /// What became of the update that was handed over last.
    ///
    /// # Errors
    /// What a card says, where one computes.
    ///
    /// # Panics
    /// Where it was settled already.
    pub(super) fn settle(&mut self) -> Result<Outcome, CudaError> {
        match self.made.take().expect("an update was handed over") {
            Made::Here(outcome) => Ok(outcome),
            Made::OnCard(losses) => {
                let (norm, made) = self.optimizer.settle()?;
                Ok(Outcome { loss: mean(&losses)?, norm, made })
            }
        }
    }

    /// Whether updates are handed over before they are made.
    pub(super) fn runs_ahead(&self) -> bool {
        matches!(self.network.backend(), Backend::Card(_))
    }

    /// The network as it is.
    pub fn network(&self) -> &Network<M> {
        &self.network
    }

    /// The gradients since the last update.
    pub fn gradients(&self) -> &Gradients {
        &self.gradients
    }

    /// What makes the updates, with its moments.
    pub fn optimizer(&self) -> &AdamW {
        &self.optimizer
    }

    /// Memory for results, and the plan of it.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// Updates made, or passed over.
    pub fn updates(&self) -> u64 {
        self.optimizer.updates()
    }

    /// All that a checkpoint holds.
    ///
    /// # Errors
    /// What a card says, where one computes.
    pub(super) fn state(&self) -> Result<BTreeMap<String, NamedTensors>, CudaError> {
        let mut state = BTreeMap::from([
            ("model".to_owned(), self.network.to_named()?),
            ("optimizer".to_owned(), self.optimizer.state()?),
        ]);
        if let Some(Average { weights, .. }) = &self.average {
            state.insert("ema".to_owned(), weights.on_host()?.to_named());
        }
        Ok(state)
    }

    /// Takes up a checkpoint after `updates` updates, whose tensors `of` gives by name.
    pub(super) fn restore<'a>(
        &mut self,
        updates: u64,
        of: impl Fn(&str) -> crate::error::Result<&'a NamedTensors>,
    ) -> Result<(), Restore> {
        let of = |name| of(name).map_err(Restore::Missing);
        self.gradients.clear();
        (self.losses, self.made) = (Vec::new(), None);
        let backend = self.network.backend().clone();
        let weights = self.network.weights_mut();
        load(weights, of("model")?, &backend)?;
        weights.round()?;
        let moments = of("optimizer")?;
        if let Backend::Cpu = backend {
            self.optimizer.restore(moments, updates).map_err(Restore::Mismatch)?;
        } else {
            let mut optimizer = self.optimizer.clone().on(&Backend::Cpu)?;
            optimizer.restore(moments, updates).map_err(Restore::Mismatch)?;
            self.optimizer = optimizer.on(&backend)?;
        }
        if let Some(Average { weights, .. }) = &mut self.average {
            load(weights, of("ema")?, &backend)?;
        }
        Ok(())
    }
}

/// Fills an arena where `backend` computes.
fn load(arena: &mut Arena, tensors: &NamedTensors, backend: &Backend) -> Result<(), Restore> {
    if let Backend::Cpu = backend {
        return arena.load(tensors).map_err(Restore::Mismatch);
    }
    let mut loaded = Arena::zeros(arena.layout());
    loaded.load(tensors).map_err(Restore::Mismatch)?;
    *arena = loaded.on(backend)?;
    Ok(())
}

impl<M: Clone> Learner<M> {
    /// The network to evaluate and export: with the moving average where there is one.
    ///
    /// # Errors
    /// What a card says, where one computes.
    pub fn averaged(&self) -> Result<Network<M>, CudaError> {
        let weights = self.average.as_ref().map_or(self.network.weights(), |a| &a.weights);
        let network = Network::with_weights(self.network.module().clone(), weights.clone());
        network.on(self.network.backend())
    }
}
