//! A network: its structs, and the weights they stand for.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use fcmae_cuda::CudaError;
use fcmae_cuda::work::Element;
use fcmae_store::{Mismatch, NamedTensors};

use crate::engine::backend::Backend;
use crate::engine::gradients::Gradients;
use crate::engine::parameters::{Arena, Layout, Names};
use crate::engine::prepared::Prepared;
use crate::engine::shape::Shape;
use crate::engine::tape::{Pass, Tape};
use crate::engine::tensor::Tensor;
use crate::engine::workspace::{MemoryPlan, Workspace};

/// Workspaces that are kept for the next passes. Where more threads infer at one time, some take their
/// memory anew.
const MOST_IDLE: usize = 4;

/// A module (the structs of a network, which know shapes and names) with its weights.
///
/// Several threads may infer with one network at a time: they share the weights and what is derived
/// from them, and each has memory of its own for results.
pub struct Network<M> {
    module: M,
    weights: Arena,
    backend: Backend,
    prepared: Prepared,
    workspaces: Mutex<Vec<Workspace>>,
}

impl<M> Network<M> {
    /// With every parameter at its start: norms' weights 1, V1's layer scale 1e-6, all others 0.
    pub fn new(build: impl FnOnce(&mut Names) -> M) -> Self {
        let (module, layout) = Layout::of(build);
        Self::with_weights(module, Arena::starts(&layout))
    }

    /// With these weights, whose layout is that of the module.
    pub(crate) fn with_weights(module: M, weights: Arena) -> Self {
        let prepared = Prepared::new(weights.layout());
        Self { module, weights, backend: Backend::Cpu, prepared, workspaces: Mutex::default() }
    }

    /// The same computed by `backend`, with the weights in its memory.
    ///
    /// # Errors
    /// What a card says.
    pub fn on(self, backend: &Backend) -> Result<Self, CudaError> {
        let mut weights = self.weights.on(backend)?;
        weights.round()?;
        Ok(Self { backend: backend.clone(), ..Self::with_weights(self.module, weights) })
    }

    /// What computes it.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// With all parameters from `tensors`, which must hold exactly these. They are compared before memory is
    /// taken.
    ///
    /// # Errors
    /// Every missing, unexpected and wrongly shaped name.
    pub fn load(
        build: impl FnOnce(&mut Names) -> M,
        tensors: &NamedTensors,
    ) -> Result<Self, Mismatch> {
        let (module, layout) = Layout::of(build);
        let mismatch = tensors.difference(&layout.shapes());
        if !mismatch.is_empty() {
            return Err(mismatch);
        }
        let mut weights = Arena::zeros(&layout);
        weights.take(tensors);
        Ok(Self::with_weights(module, weights))
    }

    /// With results of the next passes in `workspace`, as long as one thread alone infers.
    pub fn working_in(self, workspace: Workspace) -> Self {
        self.workspaces().push(workspace);
        self
    }

    /// The structs.
    pub fn module(&self) -> &M {
        &self.module
    }

    /// Names, shapes and places of the parameters.
    pub fn layout(&self) -> &Arc<Layout> {
        self.weights.layout()
    }

    /// The weights.
    pub fn weights(&self) -> &Arena {
        &self.weights
    }

    /// The weights, to change them.
    pub fn weights_mut(&mut self) -> &mut Arena {
        // What was derived belongs to the old weights.
        self.prepared.clear();
        &mut self.weights
    }

    /// A copy of the weights by name.
    ///
    /// # Errors
    /// What a card says, where they are on one.
    pub fn to_named(&self) -> Result<NamedTensors, CudaError> {
        Ok(self.weights.on_host()?.to_named())
    }

    /// What `forward` computes, without gradients. On the processor it is called twice: once for the shapes alone, when
    /// no tensor has values (see [`workspace`](crate::engine::workspace)).
    ///
    /// While it waits for other threads, the thread may take up a further pass: `forward` must hold no lock.
    ///
    /// # Errors
    /// What a card says, where one computes.
    ///
    /// # Panics
    /// Where `forward` keeps a tensor from inside the pass, or computes something else the second time.
    pub fn infer(
        &self,
        forward: impl Fn(&M, &mut Pass<'_>) -> Tensor + Sync,
    ) -> Result<Tensor, CudaError>
    where
        M: Sync,
    {
        let [result] = self.infer_all(|module, pass| [forward(module, pass)])?;
        Ok(result)
    }

    /// As [`infer`](Self::infer), for several results.
    ///
    /// # Errors
    /// As [`infer`](Self::infer).
    pub fn infer_all<const T: usize>(
        &self,
        forward: impl Fn(&M, &mut Pass<'_>) -> [Tensor; T] + Sync,
    ) -> Result<[Tensor; T], CudaError>
    where
        M: Sync,
    {
        let idle = self.workspaces().pop();
        let mut workspace = idle.unwrap_or_else(|| Workspace::on(&self.backend));
        let results = fcmae_kernels::by_a_worker(|| {
            workspace.planned(|workspace| {
                let mut pass = Pass::inference(&self.weights, &self.prepared, workspace);
                forward(&self.module, &mut pass)
            })
        });
        let mut idle = self.workspaces();
        if idle.len() < MOST_IDLE {
            idle.push(workspace);
        }
        drop(idle);
        // A failure is to be told here, not where the results are read.
        let mut results = results?;
        for result in &mut results {
            *result = result.clone().on(&Backend::Cpu)?;
        }
        Ok(results)
    }

    /// As [`infer`](Self::infer), called once, each result in memory of its own: for whoever looks at
    /// results while they come.
    ///
    /// # Errors
    /// As [`infer`](Self::infer); what was observed is no result then.
    pub fn observe<T>(&self, forward: impl FnOnce(&M, &mut Pass<'_>) -> T) -> Result<T, CudaError> {
        let mut workspace = Workspace::on(&self.backend);
        let mut pass = Pass::inference(&self.weights, &self.prepared, &mut workspace);
        let observed = forward(&self.module, &mut pass);
        workspace.finish();
        workspace.failure().map_or(Ok(observed), Err)
    }

    fn workspaces(&self) -> std::sync::MutexGuard<'_, Vec<Workspace>> {
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: Clone> Clone for Network<M> {
    /// A copy of the weights.
    fn clone(&self) -> Self {
        let network = Self::with_weights(self.module.clone(), self.weights.clone());
        Self { backend: self.backend.clone(), ..network }
    }
}

impl<M: fmt::Debug> fmt::Debug for Network<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("module", &self.module).finish_non_exhaustive()
    }
}

/// The memory that results take where `forward` is computed for `images`, the images included: on a card with
/// `features` of this element, else on the processor.
pub(crate) fn inference_plan<M>(
    features: Option<Element>,
    build: impl FnOnce(&mut Names) -> M,
    images: impl Into<Shape>,
    forward: impl FnOnce(&M, &mut Pass<'_>, Tensor) -> Tensor,
) -> MemoryPlan {
    let (module, layout) = Layout::of(build);
    let (weights, prepared) = (Arena::shapes(&layout), Prepared::new(&layout));
    let mut workspace = Workspace::shapes(features);
    let plan = workspace.trace(|workspace| {
        let images = workspace.shape(images);
        forward(&module, &mut Pass::inference(&weights, &prepared, workspace), images.clone());
    });
    plan.clone()
}

/// The memory that results take where the gradients of `images` are computed, the images included. Where
/// they are a later part of an update, its gradients are added to those that are there. On a card with `features` of
/// this element, else on the processor.
pub(crate) fn training_plan<M>(
    features: Option<Element>,
    build: impl FnOnce(&mut Names) -> M,
    images: impl Into<Shape>,
    later: bool,
    loss: impl FnOnce(&M, &mut Pass<'_>, Tensor) -> Tensor,
) -> MemoryPlan {
    let (module, layout) = Layout::of(build);
    let (weights, mut gradients) = (Arena::shapes(&layout), Gradients::shapes(&layout, later));
    let tape = Tape::new(vec![true; layout.len()].into(), 1.0);
    let mut workspace = Workspace::shapes(features);
    let plan = workspace.trace(|workspace| {
        // Whoever trains holds them until the step is over.
        let images = workspace.shape(images);
        let loss = |pass: &mut Pass<'_>| loss(&module, pass, images.clone());
        tape.differentiate(&weights, workspace, &mut gradients, loss);
    });
    plan.clone()
}
