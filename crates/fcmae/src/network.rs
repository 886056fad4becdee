//! A network: its structs, and the weights they stand for.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use fcmae_cuda::CudaError;
use fcmae_cuda::work::Element;
use fcmae_kernels::{block, linear};
use fcmae_store::{Mismatch, NamedTensors};

use crate::backend::Backend;
use crate::ops::BlockWeights;
use crate::parameters::{Arena, Layout, Names, Parameter};
use crate::shape::Shape;
use crate::tape::Pass;
use crate::tensor::Tensor;
use crate::workspace::{MemoryPlan, Workspace};

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

    /// With all parameters from `tensors`, which must hold exactly these.
    ///
    /// # Errors
    /// Every missing, unexpected and wrongly shaped name.
    pub fn load(
        build: impl FnOnce(&mut Names) -> M,
        tensors: &NamedTensors,
    ) -> Result<Self, Mismatch> {
        let mut network = Self::new(build);
        network.weights.load(tensors)?;
        Ok(network)
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
    /// no tensor has values (see [`workspace`](crate::workspace)).
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
        // Whoever asked wants to know now of what fails.
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
pub(crate) fn plan<M>(
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

/// The most rows for which the layout of a layer's weights is kept for the next pass: laying them out
/// costs as much as some hundred rows.
const KEEP_PREPARED_UP_TO: usize = 8192;

/// Weights as the device's kernels want them, made when they are first needed. Once made they are only
/// read, by any number of threads.
pub(crate) struct Prepared {
    /// At the number of a block's first parameter.
    blocks: Places<BlockWeights, block::Prepared>,
    /// At the number of a matrix's weight.
    matrices: Places<Matrix, linear::Prepared>,
}

/// The matrix of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Matrix {
    /// `[O, ..]`
    pub(crate) weight: Parameter,
    /// Whether a window's values lie in the order of its sites, and not as in the weight.
    pub(crate) windows: bool,
    /// What its rows are multiplied with.
    pub(crate) scale: Option<Parameter>,
}

impl Prepared {
    fn new(layout: &Layout) -> Self {
        Self { blocks: Places::new(layout), matrices: Places::new(layout) }
    }

    /// Itself where a layer of so many rows should keep its layout.
    pub(crate) fn of_rows(&self, rows: usize) -> Option<&Self> {
        (rows <= KEEP_PREPARED_UP_TO).then_some(self)
    }

    /// Drops all layouts.
    fn clear(&mut self) {
        self.blocks.clear();
        self.matrices.clear();
    }

    /// The layout of a block's weights, of which the first has this `number`: see [`Places::get`].
    pub(crate) fn block(
        &self,
        number: usize,
        weights: &BlockWeights,
        prepare: impl FnOnce() -> block::Prepared,
    ) -> Option<&block::Prepared> {
        self.blocks.get(number, weights, || prepare().kept())
    }

    /// The layout of a matrix, whose weight has this `number`: see [`Places::get`].
    pub(crate) fn matrix(
        &self,
        number: usize,
        matrix: &Matrix,
        prepare: impl FnOnce() -> linear::Prepared,
    ) -> Option<&linear::Prepared> {
        self.matrices.get(number, matrix, || prepare().kept())
    }
}

/// A place for the layout of each parameter, with what it is the layout of.
struct Places<K, L>(Box<[OnceLock<(K, L)>]>);

impl<K: Clone + PartialEq, L> Places<K, L> {
    /// Empty ones.
    fn new(layout: &Layout) -> Self {
        Self((0..layout.len()).map(|_| OnceLock::new()).collect())
    }

    fn clear(&mut self) {
        self.0.iter_mut().for_each(|place| drop(place.take()));
    }

    /// The layout of `of`, made where its place is empty; `None` where that of something else lies there,
    /// which has the same parameter.
    fn get(&self, number: usize, of: &K, make: impl FnOnce() -> L) -> Option<&L> {
        let place = &self.0[number];
        let (found, layout) = place.get().unwrap_or_else(|| {
            // Laid out before the place is asked for: threads share that work, and one that waits may
            // take up another pass, which comes to the same place.
            let made = (of.clone(), make());
            place.get_or_init(|| made)
        });
        (found == of).then_some(layout)
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prepared")
    }
}
