//! Passes through a network: forward, and back for gradients.
//!
//! A [`Pass`] is all that an operation needs beside its operands: the weights, memory for its result,
//! and in training the [`Tape`]. The tape is a list of what was computed, in order; the backward pass
//! walks it once from its end. Without a tape nothing is recorded.

use std::sync::Arc;

use fcmae_kernels::KernelError;

use crate::network::Prepared;
use crate::ops::Operation;
use crate::optim::Gradients;
use crate::parameters::{Arena, Parameter};
use crate::tensor::{Node, Shape, Tensor};
use crate::workspace::Workspace;

/// Shapes are fixed by the network's structure and image sizes are checked where pictures enter, so that
/// a kernel refuses operands only where an operation is called directly, with others than it documents.
fn sound(result: Result<(), KernelError>) {
    if let Err(error) = result {
        panic!(
            "an operation was given operands of other shapes than it documents, or empty ones: {error}"
        );
    }
}

/// What forward and backward passes share: results are written by kernels that read the weights.
pub(crate) trait Fill {
    /// The weights, and where results go.
    fn parts(&mut self) -> (&Arena, &mut Workspace);

    /// A tensor of `shape`, written by `kernel`, which is given the weights.
    fn fill(
        &mut self,
        operation: Operation,
        shape: impl Into<Shape>,
        kernel: impl FnOnce(&Arena, &mut [f32]) -> Result<(), KernelError>,
    ) -> Tensor {
        let shapes = [shape.into()];
        let [tensor] = self.fill_all(operation, shapes, |weights, [out]| kernel(weights, out));
        tensor
    }

    /// Tensors of these shapes, written by `kernel` in one go.
    fn fill_all<const T: usize>(
        &mut self,
        operation: Operation,
        shapes: [Shape; T],
        kernel: impl FnOnce(&Arena, [&mut [f32]; T]) -> Result<(), KernelError>,
    ) -> [Tensor; T] {
        let (weights, workspace) = self.parts();
        fill(workspace, operation, shapes, |outs| kernel(weights, outs))
    }
}

impl Fill for Pass<'_> {
    fn parts(&mut self) -> (&Arena, &mut Workspace) {
        (self.weights, self.workspace)
    }
}

impl Fill for Back<'_> {
    fn parts(&mut self) -> (&Arena, &mut Workspace) {
        (self.weights, self.workspace)
    }
}

/// A way through a network.
#[derive(Debug)]
pub struct Pass<'a> {
    weights: &'a Arena,
    prepared: Option<&'a Prepared>,
    workspace: &'a mut Workspace,
    tape: Option<&'a mut Tape>,
}

impl<'a> Pass<'a> {
    /// Without gradients; layouts of weights are kept in `prepared`.
    pub(crate) fn inference(
        weights: &'a Arena,
        prepared: &'a Prepared,
        workspace: &'a mut Workspace,
    ) -> Self {
        Self { weights, prepared: Some(prepared), workspace, tape: None }
    }

    /// Recorded on `tape`.
    pub(crate) fn training(
        weights: &'a Arena,
        workspace: &'a mut Workspace,
        tape: &'a mut Tape,
    ) -> Self {
        Self { weights, prepared: None, workspace, tape: Some(tape) }
    }

    /// Where the layout of the weights of a layer of so many rows is kept from pass to pass, if it is.
    pub(crate) fn prepared(&self, rows: usize) -> Option<&'a Prepared> {
        self.prepared.and_then(|prepared| prepared.of_rows(rows))
    }

    /// Puts a result on the tape, where a gradient is wanted of an operand or a parameter of it.
    pub(crate) fn record(
        &mut self,
        result: Tensor,
        operands: &[&Tensor],
        parameters: &[Parameter],
        backward: impl FnOnce() -> Box<dyn Backward>,
    ) -> Tensor {
        let Some(tape) = &mut self.tape else { return result };
        let trains = |&parameter| tape.trained[self.weights.layout().number(parameter)];
        let wanted = operands.iter().any(|operand| operand.node().is_some())
            || parameters.iter().any(trains);
        if !wanted {
            return result;
        }
        tape.records.push(backward());
        result.at(Node(tape.records.len() - 1))
    }

    /// Whether what is computed is to be recorded.
    pub(crate) fn is_recorded(&self) -> bool {
        self.tape.is_some()
    }

    /// `tensor` with other values, which `kernel` writes over the old ones: in their place, where nobody
    /// else holds them.
    pub(crate) fn overwrite(
        &mut self,
        operation: Operation,
        tensor: Tensor,
        kernel: impl FnOnce(&Arena, &mut [f32]) -> Result<(), KernelError>,
    ) -> Tensor {
        let weights = self.weights;
        let shape = tensor.shape();
        match tensor.into_room() {
            Ok(mut room) => {
                self.workspace.uses(operation);
                if let Some(values) = room.values_mut() {
                    sound(kernel(weights, values));
                }
                Tensor::in_room(room, shape)
            }
            Err(tensor) => self.fill(operation, shape, |weights, out| {
                out.copy_from_slice(tensor.values());
                kernel(weights, out)
            }),
        }
    }

    /// Starts the backward pass at `result`, with the gradient of what is to become smaller.
    ///
    /// `gradient` is given the result and the share of the batch in the update.
    pub fn start_backward(
        &mut self,
        result: Tensor,
        gradient: impl FnOnce(&mut Self, Tensor, f32) -> Tensor,
    ) {
        let Some(share) = self.tape.as_ref().map(|tape| tape.share) else { return };
        let Some(node) = result.node() else { return };
        let shape = result.shape();
        let gradient = gradient(self, result, share);
        assert_eq!(gradient.shape(), shape, "a gradient has the shape of the result");
        if let Some(tape) = &mut self.tape {
            tape.starts.push((node, gradient));
        }
    }
}

/// What was computed, in order.
#[derive(Debug)]
pub struct Tape {
    records: Vec<Box<dyn Backward>>,
    starts: Vec<(Node, Tensor)>,
    trained: Arc<[bool]>,
    share: f32,
}

impl Tape {
    /// An empty one. `trained` says of each parameter whether its gradient is wanted, `share` how much
    /// what is recorded counts in the update.
    pub(crate) fn new(trained: Arc<[bool]>, share: f32) -> Self {
        Self { records: Vec::new(), starts: Vec::new(), trained, share }
    }

    /// Adds the gradients of all parameters to `gradients`.
    pub(crate) fn backward(
        self,
        weights: &Arena,
        workspace: &mut Workspace,
        gradients: &mut Gradients,
    ) {
        let Self { mut records, starts, trained, .. } = self;
        let mut written = workspace.is_tracing().then(|| gradients.written().to_vec());
        let mut of_nodes: Vec<Option<Tensor>> = vec![None; records.len()];
        for (node, gradient) in starts {
            add(workspace, &mut of_nodes[node.0], gradient);
        }
        while let Some(record) = records.pop() {
            let Some(gradient) = of_nodes[records.len()].take() else { continue };
            let mut back = Back {
                weights,
                workspace,
                gradients,
                written: written.as_mut(),
                trained: &trained,
                of_nodes: &mut of_nodes,
            };
            record.backward(gradient, &mut back);
        }
    }
}

/// What an operation keeps for its gradients.
pub(crate) trait Backward: std::fmt::Debug + Send {
    /// From the gradient by the result to those by operands and parameters.
    fn backward(self: Box<Self>, gradient: Tensor, back: &mut Back<'_>);
}

/// The backward pass as an operation sees it.
pub(crate) struct Back<'a> {
    weights: &'a Arena,
    workspace: &'a mut Workspace,
    gradients: &'a mut Gradients,
    /// Which gradients would be there by now, where the pass is only traced.
    written: Option<&'a mut Vec<bool>>,
    trained: &'a [bool],
    of_nodes: &'a mut [Option<Tensor>],
}

impl Back<'_> {
    /// Adds the gradient by `operand`, made by `gradient`, where it is wanted.
    pub(crate) fn operand(
        &mut self,
        operand: Option<Node>,
        gradient: impl FnOnce(&mut Self) -> Tensor,
    ) {
        if operand.is_some() {
            let gradient = gradient(self);
            self.add(operand, gradient);
        }
    }

    /// Adds a gradient by `operand`.
    pub(crate) fn add(&mut self, operand: Option<Node>, gradient: Tensor) {
        if let Some(node) = operand {
            add(self.workspace, &mut self.of_nodes[node.0], gradient);
        }
    }

    /// Adds the gradients by `parameters`, written by `kernel`, where any is wanted.
    pub(crate) fn parameters<const P: usize>(
        &mut self,
        operation: Operation,
        parameters: [Parameter; P],
        kernel: impl FnOnce(&Arena, [&mut [f32]; P]) -> Result<(), KernelError>,
    ) {
        let layout = self.weights.layout();
        if parameters.iter().any(|&parameter| self.trained[layout.number(parameter)]) {
            self.fill_and_parameters(operation, [], parameters, |weights, [], gradients| {
                kernel(weights, gradients)
            });
        }
    }

    /// Tensors of these shapes, and the gradients by `parameters`, written by `kernel` in one go.
    pub(crate) fn fill_and_parameters<const T: usize, const P: usize>(
        &mut self,
        operation: Operation,
        shapes: [Shape; T],
        parameters: [Parameter; P],
        kernel: impl FnOnce(&Arena, [&mut [f32]; T], [&mut [f32]; P]) -> Result<(), KernelError>,
    ) -> [Tensor; T] {
        let Self { weights, workspace, gradients, written, trained, .. } = self;
        let numbers = parameters.map(|parameter| weights.layout().number(parameter));
        let trained = numbers.map(|number| trained[number]);
        let known: &[bool] = written.as_ref().map_or(gradients.written(), |written| written);
        let first = numbers.iter().all(|&number| !known[number]);
        if let Some(written) = written {
            // A kernel writes all gradients; those that nobody wants stay unknown.
            numbers.iter().zip(trained).for_each(|(&number, trained)| written[number] |= trained);
        }
        if first {
            // No kernel runs in a pass that is only traced.
            let tensors = fill(workspace, operation, shapes, |outs| {
                kernel(weights, outs, gradients.places(parameters))
            });
            if !workspace.is_tracing() {
                gradients.wrote(parameters, trained);
            }
            return tensors;
        }
        // Another part of the update has written them: this one's are added.
        let mut more = parameters.map(|parameter| workspace.room(parameter.shape().count()));
        let tensors = fill(workspace, operation, shapes, |outs| {
            kernel(weights, outs, more.each_mut().map(|room| room.values_mut().unwrap_or_default()))
        });
        if !workspace.is_tracing() {
            for ((parameter, more), trained) in parameters.into_iter().zip(&more).zip(trained) {
                if trained {
                    gradients.add(parameter, more.values());
                }
            }
        }
        tensors
    }
}

/// Tensors of these shapes, written by `kernel`; shapes alone where the pass is only traced.
fn fill<const T: usize>(
    workspace: &mut Workspace,
    operation: Operation,
    shapes: [Shape; T],
    kernel: impl FnOnce([&mut [f32]; T]) -> Result<(), KernelError>,
) -> [Tensor; T] {
    workspace.uses(operation);
    for shape in shapes {
        assert!(
            shape.count() > 0,
            "a result {shape:?} has no values: a batch has 1 image at least"
        );
    }
    let mut rooms = shapes.map(|shape| (workspace.room(shape.count()), shape));
    if !workspace.is_tracing() {
        sound(kernel(rooms.each_mut().map(|(room, _)| room.values_mut().unwrap_or_default())));
    }
    rooms.map(|(room, shape)| Tensor::in_room(room, shape))
}

/// Adds a gradient to what is there of it.
fn add(workspace: &mut Workspace, place: &mut Option<Tensor>, gradient: Tensor) {
    *place = Some(match place.take() {
        None => gradient,
        Some(before) => {
            let [sum] = fill(workspace, Operation::Residual, [before.shape()], |[out]| {
                fcmae_kernels::residual::forward(before.values(), gradient.values(), &[1.0], out)
            });
            sum
        }
    });
}
