//! AdamW with the published parameter groups.

use std::sync::Arc;

use fcmae_cuda::CudaError;
use fcmae_cuda::card::Card;
use fcmae_cuda::operations::update as on_card;
use fcmae_cuda::work::{Element, Values};
use fcmae_kernels::adamw as kernel;
use fcmae_store::{HostTensor, Mismatch, NamedTensors};

use super::Gradients;
use crate::backend::Backend;
use crate::config::{OnNan, OptimConfig};
use crate::parameters::{Arena, Layout};

/// AdamW: decoupled weight decay on matrices and kernels, none on vectors (biases, norms, GRN,
/// layer scale, the mask token).
#[derive(Clone, Debug)]
pub struct AdamW {
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    clip_norm: f64,
    on_nan: OnNan,
    first: Arena,
    second: Arena,
    /// Which parameters have been updated.
    known: Vec<bool>,
    updates: u64,
    held: bool,
    on_card: Option<Arc<OnCard>>,
}

/// What an update on a card needs beside the arenas.
#[derive(Debug)]
struct OnCard {
    card: Arc<Card>,
    /// The parameter that each group of values belongs to.
    groups: Values,
    /// Of each parameter.
    factors: Values,
    decays: Values,
    loss: Values,
    parts: Values,
    verdict: Values,
}

impl OnCard {
    fn new(card: &Arc<Card>, layout: &Layout) -> Result<Self, CudaError> {
        let own = |len, element| Values::own(card.driver(), len, element);
        let list = layout.groups();
        let groups = own(list.len(), Element::U16)?;
        card.upload(bytemuck::cast_slice(&list), &groups)?;
        Ok(Self {
            card: Arc::clone(card),
            groups,
            factors: own(layout.len() * on_card::FACTORS, Element::U8)?,
            decays: own(on_card::DECAYS, Element::F32)?,
            loss: own(1, Element::F32)?,
            parts: own(on_card::parts(layout.bytes() as usize / size_of::<f32>()), Element::F64)?,
            verdict: own(on_card::VERDICT, Element::U8)?,
        })
    }
}

/// What became of an update.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Mean loss over the update's batches.
    pub loss: f32,
    /// The norm of all gradients together.
    pub norm: f64,
    /// Whether the weights were changed. They are not where the loss or the norm is no number.
    pub made: bool,
}

/// The learning rate, and each parameter's share of it.
#[derive(Clone, Copy)]
struct Rates<'a> {
    lr: f64,
    scale: &'a dyn Fn(&str) -> f64,
}

/// A moving average of the weights: `average = decay · average + (1 − decay) · weights` after every
/// update.
#[derive(Debug)]
pub struct Averaging<'a> {
    /// The average.
    pub average: &'a mut Arena,
    /// How much of it is kept.
    pub decay: f64,
}

impl AdamW {
    /// Without any update yet.
    pub fn new(config: &OptimConfig, layout: &Arc<Layout>) -> Self {
        Self {
            beta1: config.beta1,
            beta2: config.beta2,
            eps: config.eps,
            weight_decay: config.weight_decay,
            clip_norm: config.clip_norm,
            on_nan: config.on_nan,
            first: Arena::zeros(layout),
            second: Arena::zeros(layout),
            known: vec![false; layout.len()],
            updates: 0,
            held: false,
            on_card: None,
        }
    }

    /// The same where `backend` computes.
    ///
    /// # Errors
    /// What a card says.
    pub(crate) fn on(self, backend: &Backend) -> Result<Self, CudaError> {
        let layout = self.first.layout();
        let on_card = match backend {
            Backend::Cpu => None,
            Backend::Card(card) => Some(Arc::new(OnCard::new(card, layout)?)),
        };
        let (first, second) = (self.first.on(backend)?, self.second.on(backend)?);
        Ok(Self { first, second, on_card, ..self })
    }

    /// Makes one update with learning rate `lr · scale(name)`, unless `loss` or the gradients' norm is no
    /// number. Parameters without a gradient stay as they are. Gradients whose common norm is above the
    /// settings' limit are scaled down to it.
    ///
    /// An update that is not made counts too, so that the count of updates stays that of steps. Where
    /// the settings say to stop, none is made after one that could not be made.
    ///
    /// # Errors
    /// What a card says, where the arenas are on one.
    pub fn step(
        &mut self,
        weights: &mut Arena,
        gradients: &Gradients,
        loss: f32,
        lr: f64,
        scale: impl Fn(&str) -> f64,
        averaging: Option<Averaging<'_>>,
    ) -> Result<Outcome, CudaError> {
        self.updates += 1;
        if let Some(on_card) = self.on_card.clone() {
            let rates = Rates { lr, scale: &scale };
            return self.step_on_card(&on_card, weights, gradients, loss, rates, averaging);
        }
        let norm = gradients.norm();
        if !(loss.is_finite() && norm.is_finite()) {
            self.held = self.on_nan == OnNan::Stop;
            return Ok(Outcome { loss, norm, made: false });
        }
        if !self.held {
            self.update(weights, gradients, norm, lr, scale, averaging);
        }
        Ok(Outcome { loss, norm, made: !self.held })
    }

    /// The card decides whether the update is made, as the norm is known there.
    fn step_on_card(
        &mut self,
        on_card: &OnCard,
        weights: &mut Arena,
        gradients: &Gradients,
        loss: f32,
        rates: Rates<'_>,
        averaging: Option<Averaging<'_>>,
    ) -> Result<Outcome, CudaError> {
        let OnCard { card, groups, factors, decays, loss: own_loss, parts, verdict } = on_card;
        let decay = averaging.as_ref().map_or(0.0, |averaging| averaging.decay);
        let average = averaging.map(|averaging| averaging.average.all_mut()).transpose()?.flatten();
        let arenas = (weights.all_mut()?, self.first.all_mut()?, self.second.all_mut()?);
        let ((Some(all), Some(first), Some(second)), Some((grad, mut work))) =
            (arenas, gradients.counted())
        else {
            panic!("weights, gradients and moments of an update lie in one place");
        };
        // What a held update would have changed stays: all but the norm is left out.
        card.upload(&loss.to_ne_bytes(), own_loss)?;
        card.upload(&self.factors(gradients, weights.layout(), rates), factors)?;
        card.upload(bytemuck::cast_slice(&self.decays(decay)), decays)?;
        let clip = self.clip_norm as f32;
        work.extend(on_card::verdict([&grad, own_loss], clip, parts, verdict));
        if !self.held {
            let state = on_card::State {
                parameters: &all,
                first: &first,
                second: &second,
                average: average.as_ref(),
            };
            work.push(on_card::adamw(state, &grad, [groups, factors, decays, verdict]));
        }
        card.run(&work)?;
        let mut said = [0; on_card::VERDICT];
        said.copy_from_slice(&card.download(verdict)?);
        let on_card::Verdict { norm, skipped } = on_card::Verdict::read(&said);
        if skipped {
            self.held = self.on_nan == OnNan::Stop;
            return Ok(Outcome { loss, norm, made: false });
        }
        if !self.held {
            for (known, &written) in self.known.iter_mut().zip(gradients.written()) {
                *known |= written;
            }
            weights.round()?;
        }
        Ok(Outcome { loss, norm, made: !self.held })
    }

    /// Of each parameter what is kept of it, its rate, and whether it stays as it is.
    fn factors(&self, gradients: &Gradients, layout: &Layout, rates: Rates<'_>) -> Vec<u8> {
        let correction = 1.0 - self.beta1.powf(self.updates as f64);
        let factors = layout.parameters().flat_map(|(name, parameter)| {
            let still = !gradients.is_written(parameter);
            let lr = rates.lr * (rates.scale)(name);
            let weight_decay = if parameter.shape().len() > 1 { self.weight_decay } else { 0.0 };
            let [keep, rate] = [1.0 - lr * weight_decay, lr / correction].map(|value| value as f32);
            [keep.to_ne_bytes(), rate.to_ne_bytes(), i32::from(still).to_ne_bytes()].concat()
        });
        factors.collect()
    }

    /// The numbers that all parameters share, as `update::adamw` lists them.
    fn decays(&self, average_decay: f64) -> Vec<f32> {
        let root = 1.0 / (1.0 - self.beta2.powf(self.updates as f64)).sqrt();
        let [beta1, beta2] = [self.beta1, self.beta2];
        let rest = 1.0 - average_decay;
        [beta1, 1.0 - beta1, beta2, 1.0 - beta2, root, self.eps, average_decay, rest]
            .map(|value| value as f32)
            .to_vec()
    }

    fn update(
        &mut self,
        weights: &mut Arena,
        gradients: &Gradients,
        norm: f64,
        lr: f64,
        scale: impl Fn(&str) -> f64,
        mut averaging: Option<Averaging<'_>>,
    ) {
        let clips = self.clip_norm > 0.0 && norm > self.clip_norm;
        let grad_scale = if clips { self.clip_norm / norm } else { 1.0 };
        let layout = Arc::clone(weights.layout());
        for (name, parameter) in layout.parameters() {
            let param = weights.get_mut(parameter);
            let average_decay = averaging.as_ref().map_or(0.0, |averaging| averaging.decay);
            let average = averaging.as_mut().map(|averaging| averaging.average.get_mut(parameter));
            let Some(gradient) = gradients.get(parameter) else {
                // It may have moved before: the average goes on towards it.
                if let Some(average) = average {
                    kernel::average(average, param, average_decay).expect("arenas of one layout");
                }
                continue;
            };
            self.known[self.first.layout().number(parameter)] = true;
            let settings = kernel::AdamW {
                lr: lr * scale(name),
                beta1: self.beta1,
                beta2: self.beta2,
                eps: self.eps,
                weight_decay: if parameter.shape().len() > 1 { self.weight_decay } else { 0.0 },
                step: self.updates,
                grad_scale,
                average_decay,
            };
            let [first, second] =
                [&mut self.first, &mut self.second].map(|moment| moment.get_mut(parameter));
            let state = kernel::State { param, first, second, average };
            kernel::adamw(state, gradient, &settings).expect("arenas of one layout");
        }
    }

    /// Updates made, or passed over.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// The moments, as `first.NAME` and `second.NAME`.
    ///
    /// # Errors
    /// What a card says, where they are on one.
    pub fn state(&self) -> Result<NamedTensors, CudaError> {
        let (first, second) = (self.first.on_host()?, self.second.on_host()?);
        let mut state = NamedTensors::default();
        for (name, parameter) in self.first.layout().parameters() {
            if !self.known[self.first.layout().number(parameter)] {
                continue;
            }
            for (order, moment) in ORDERS.iter().zip([&first, &second]) {
                let data = moment.get(parameter).to_vec();
                let tensor = HostTensor { shape: vec![data.len()], data };
                state.insert(format!("{order}.{name}"), tensor);
            }
        }
        Ok(state)
    }

    /// Takes the moments up from a checkpoint after `updates` updates, in place of its own. A parameter that
    /// was never updated has none. If an update that could not be made had stopped it, it makes updates again.
    ///
    /// # Errors
    /// Moments of unknown parameters, of another length, or one without the other: nothing is taken then.
    ///
    /// # Panics
    /// For moments on a card.
    pub fn restore(&mut self, state: &NamedTensors, updates: u64) -> Result<(), Mismatch> {
        let layout = Arc::clone(self.first.layout());
        let name = |order: &str, name: &str| format!("{order}.{name}");
        let known: Vec<_> = layout
            .parameters()
            .filter(|(of, _)| ORDERS.iter().any(|order| state.get(&name(order, of)).is_some()))
            .collect();
        let expected: Vec<_> = known
            .iter()
            .flat_map(|(of, parameter)| {
                ORDERS.map(|order| (name(order, of), vec![parameter.shape().count()]))
            })
            .collect();
        let mismatch = state.difference(&expected);
        if !mismatch.is_empty() {
            return Err(mismatch);
        }
        for (_, parameter) in layout.parameters() {
            if std::mem::take(&mut self.known[layout.number(parameter)]) {
                for moment in [&mut self.first, &mut self.second] {
                    moment.get_mut(parameter).fill(0.0);
                }
            }
        }
        for (of, parameter) in known {
            self.known[layout.number(parameter)] = true;
            for (order, moment) in ORDERS.iter().zip([&mut self.first, &mut self.second]) {
                if let Some(saved) = state.get(&name(order, of)) {
                    moment.get_mut(parameter).copy_from_slice(&saved.data);
                }
            }
        }
        self.updates = updates;
        self.held = false;
        Ok(())
    }
}

/// What the moments are called in checkpoints.
const ORDERS: [&str; 2] = ["first", "second"];
