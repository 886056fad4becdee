//! The gradients of an update.

use std::sync::Arc;

use fcmae_cuda::CudaError;
use fcmae_cuda::work::{Command, Values};
use fcmae_kernels::adamw;

use crate::engine::backend::Backend;
use crate::engine::parameters::{Arena, Layout, Parameter};

/// A gradient for every parameter that had a part in what was computed.
#[derive(Clone, Debug)]
pub struct Gradients {
    arena: Arena,
    written: Vec<bool>,
    /// Whether those on a card that were not written are 0, and not of an earlier update.
    fresh: bool,
}

impl Gradients {
    /// None yet.
    pub fn new(layout: &Arc<Layout>) -> Self {
        Self { arena: Arena::zeros(layout), written: vec![false; layout.len()], fresh: true }
    }

    /// Shapes alone, for a pass that is only traced: the update's first part, or a later one.
    pub(crate) fn shapes(layout: &Arc<Layout>, later: bool) -> Self {
        Self { arena: Arena::shapes(layout), written: vec![later; layout.len()], fresh: true }
    }

    /// Begins an update anew.
    pub fn clear(&mut self) {
        self.written.fill(false);
        self.fresh = false;
    }

    /// The same where `backend` computes.
    ///
    /// # Errors
    /// What a card says.
    pub fn on(self, backend: &Backend) -> Result<Self, CudaError> {
        Ok(Self { arena: self.arena.on(backend)?, ..self })
    }

    /// Makes ready for the gradients of a batch. Does nothing on the processor.
    ///
    /// # Errors
    /// What a card says.
    pub(crate) fn begin(&mut self, backend: &Backend) -> Result<(), CudaError> {
        if let (Backend::Card(card), Some(all)) = (backend, self.arena.all_mut()?)
            && !std::mem::replace(&mut self.fresh, true)
        {
            card.run(&[Command::Clear(all)])?;
        }
        Ok(())
    }

    /// Where the gradient by a parameter lies on a card.
    ///
    /// # Panics
    /// For a parameter of another network.
    pub(crate) fn on_card(&self, parameter: Parameter) -> Values {
        self.arena.on_card(parameter)
    }

    /// All gradients on a card, and the work that sets those to 0 which do not count; `None` on the processor.
    pub(crate) fn counted(&self) -> Option<(Values, Vec<Command>)> {
        let all = self.arena.all()?;
        let parameters = self.arena.layout().parameters();
        let uncounted = parameters.filter(|(_, of)| !self.is_written(*of));
        let clear = uncounted.map(|(_, of)| Command::Clear(self.arena.on_card(of))).collect();
        Some((all, clear))
    }

    /// Whether a parameter had a part in what was computed, and is trained.
    ///
    /// # Panics
    /// For a parameter of another network.
    pub(crate) fn is_written(&self, parameter: Parameter) -> bool {
        self.written[self.arena.layout().number(parameter)]
    }

    /// The gradient by a parameter; `None` where it had no part, or is not trained.
    ///
    /// # Panics
    /// For a parameter of another network, and for gradients on a card.
    pub fn get(&self, parameter: Parameter) -> Option<&[f32]> {
        self.is_written(parameter).then(|| self.arena.get(parameter))
    }

    /// The norm of all gradients together.
    ///
    /// Each parameter's sum of squares is rounded to float32, and they are added in the order of names, as
    /// in version 0.1.0, whose runs go on with the same clipping.
    pub fn norm(&self) -> f64 {
        let layout = self.arena.layout();
        let gradients = layout.by_name().filter_map(|(_, parameter)| self.get(parameter));
        gradients
            .map(|gradient| f64::from(adamw::sum_of_squares(gradient) as f32))
            .sum::<f64>()
            .sqrt()
    }

    /// Multiplies all that are there. It is seldom done, so a card's go through the processor.
    ///
    /// # Errors
    /// What a card says.
    pub(crate) fn multiply(&mut self, factor: f32) -> Result<(), CudaError> {
        let mut arena = self.arena.on_host()?.into_owned();
        for (_, parameter) in self.arena.layout().parameters() {
            if self.is_written(parameter) {
                arena.get_mut(parameter).iter_mut().for_each(|value| *value *= factor);
            }
        }
        self.arena.refill(arena)
    }

    /// Which are there.
    pub(crate) fn written(&self) -> &[bool] {
        &self.written
    }

    /// Where the first gradients by these parameters go.
    ///
    /// # Panics
    /// Where a parameter is there twice.
    pub(crate) fn places<const P: usize>(&mut self, parameters: [Parameter; P]) -> [&mut [f32]; P] {
        self.arena.many_mut(parameters)
    }

    /// Notes that the first gradients by these parameters are there, of which those count that are
    /// `trained`.
    pub(crate) fn wrote<const P: usize>(&mut self, parameters: [Parameter; P], trained: [bool; P]) {
        for (parameter, trained) in parameters.iter().zip(trained) {
            self.written[self.arena.layout().number(*parameter)] |= trained;
        }
    }

    /// Adds to the gradient by a parameter.
    ///
    /// # Panics
    /// With another number of values than the parameter has, or for a parameter of another network.
    pub fn add(&mut self, parameter: Parameter, more: &[f32]) {
        let written = &mut self.written[self.arena.layout().number(parameter)];
        let sum = self.arena.get_mut(parameter);
        if *written {
            adamw::accumulate(sum, more).expect("gradients of one parameter");
        } else {
            sum.copy_from_slice(more);
            *written = true;
        }
    }
}
