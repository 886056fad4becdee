//! AdamW with the published parameter groups.

use std::sync::Arc;

use fcmae_cuda::CudaError;
use fcmae_cuda::card::Card;
use fcmae_cuda::operations::update as on_card;
use fcmae_cuda::work::{Command, Element, Values};
use fcmae_kernels::adamw as kernel;
use fcmae_store::{HostTensor, Mismatch, NamedTensors};

use crate::config::{OnNan, OptimConfig};
use crate::engine::backend::Backend;
use crate::engine::gradients::Gradients;
use crate::engine::parameters::{Arena, Layout};
use crate::engine::tensor::Tensor;

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
    /// Which parameters an update changes that was handed to the card and not yet looked at.
    handed_over: Option<Vec<bool>>,
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
    parts: Values,
    verdict: Values,
}

impl OnCard {
    fn new(card: &Arc<Card>, layout: &Layout) -> Result<Self, CudaError> {
        let own = |len, element| Values::own(card.driver(), len, element);
        let groups = card.put(bytemuck::cast_slice(&layout.groups()), Element::U16)?;
        Ok(Self {
            card: Arc::clone(card),
            groups,
            factors: own(layout.len() * on_card::FACTORS, Element::U8)?,
            decays: own(on_card::DECAYS, Element::F32)?,
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
    /// Whether the weights were changed. They are not where the loss or the norm is not a number.
    pub made: bool,
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
            handed_over: None,
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
        if let Some(on_card) = &self.on_card {
            let own = Tensor::new(vec![loss], [1]).on(&Backend::Card(Arc::clone(&on_card.card)))?;
            self.hand_over(weights, gradients, &[&own], lr, scale, averaging)?;
            let (norm, made) = self.settle()?;
            return Ok(Outcome { loss, norm, made });
        }
        self.updates += 1;
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

    /// As [`step`](Self::step), where the arenas are on a card: it decides whether the update is made, from the
    /// `losses` of its batches, which are there, and from the norm. [`settle`](Self::settle) asks what it decided, before
    /// the next update.
    ///
    /// # Errors
    /// What the card says.
    ///
    /// # Panics
    /// Where the arenas are not on a card, or the last update was not settled.
    pub(crate) fn hand_over(
        &mut self,
        weights: &mut Arena,
        gradients: &Gradients,
        losses: &[&Tensor],
        lr: f64,
        scale: impl Fn(&str) -> f64,
        averaging: Option<Averaging<'_>>,
    ) -> Result<(), CudaError> {
        assert!(self.handed_over.is_none(), "an update is settled before the next");
        self.updates += 1;
        let decay = averaging.as_ref().map_or(0.0, |averaging| averaging.decay);
        let average = averaging.map(|averaging| averaging.average.all_mut()).transpose()?.flatten();
        let arenas = (weights.all_mut()?, self.first.all_mut()?, self.second.all_mut()?);
        let (Some(on_card), (Some(all), Some(first), Some(second)), Some((grad, mut work))) =
            (self.on_card.clone(), arenas, gradients.counted())
        else {
            panic!("weights, gradients and moments of an update lie in one place");
        };
        let OnCard { card, groups, factors, decays, parts, verdict } = &*on_card;
        let factors_now = self.factors(gradients, weights.layout(), lr, scale);
        card.upload(&factors_now, factors)?;
        card.upload(bytemuck::cast_slice(&self.decays(decay)), decays)?;
        // An update of no batch has a loss of 0.
        let list = Values::own(card.driver(), losses.len().max(1), Element::F32)?;
        work.push(Command::Clear(list.clone()));
        for (at, loss) in losses.iter().enumerate() {
            let from = loss.on_card().expect("losses of networks on a card are there").clone();
            work.push(Command::Copy { from, to: list.part(at, 1) });
        }
        work.extend(on_card::verdict([&grad, &list], self.clip_norm as f32, parts, verdict));
        // What a held update would have changed stays: all but the norm is left out.
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
        if !self.held {
            weights.round()?;
        }
        self.handed_over = Some(gradients.written().to_vec());
        Ok(())
    }

    /// Waits for what was handed over: the gradients' norm, and whether the weights were changed.
    ///
    /// # Errors
    /// What the card says.
    ///
    /// # Panics
    /// Where no update was handed over.
    pub(crate) fn settle(&mut self) -> Result<(f64, bool), CudaError> {
        let (Some(OnCard { card, verdict, .. }), Some(written)) =
            (self.on_card.as_deref(), self.handed_over.take())
        else {
            panic!("only what was handed over is settled");
        };
        let mut said = [0; on_card::VERDICT];
        said.copy_from_slice(&card.download(verdict)?);
        let on_card::Verdict { norm, skipped } = on_card::Verdict::read(&said);
        if skipped {
            self.held = self.on_nan == OnNan::Stop;
            return Ok((norm, false));
        }
        if !self.held {
            self.known.iter_mut().zip(written).for_each(|(known, written)| *known |= written);
        }
        Ok((norm, !self.held))
    }

    /// Of each parameter what is kept of it, its rate, and whether it stays as it is.
    fn factors(
        &self,
        gradients: &Gradients,
        layout: &Layout,
        lr: f64,
        scale: impl Fn(&str) -> f64,
    ) -> Vec<u8> {
        let correction = 1.0 - self.beta1.powf(self.updates as f64);
        let factors = layout.parameters().flat_map(|(name, parameter)| {
            let still = !gradients.is_written(parameter);
            let lr = lr * scale(name);
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
        (self.held, self.handed_over) = (false, None);
        Ok(())
    }
}

/// What the moments are called in checkpoints.
const ORDERS: [&str; 2] = ["first", "second"];
