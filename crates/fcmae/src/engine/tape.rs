//! Passes through a network: forward, and back for gradients.
//!
//! A [`Pass`] is all that an operation needs beside its operands: the weights, memory for its result,
//! and in training the [`Tape`]. The tape is a list of what was computed, in order; the backward pass
//! walks it once from its end. Without a tape nothing is recorded.

use std::sync::Arc;

use fcmae_cuda::operations::{converted, residual};
use fcmae_cuda::work::{Command, Element, Home, Record, Values};
use fcmae_kernels::KernelError;

use crate::engine::gradients::Gradients;
use crate::engine::ops::Operation;
use crate::engine::parameters::{Arena, Parameter};
use crate::engine::prepared::Prepared;
use crate::engine::room::Room;
use crate::engine::shape::{Form, Shape};
use crate::engine::tensor::{Node, Tensor};
use crate::engine::workspace::Workspace;

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
///
/// Every result is told how it is made in both ways: by the processor, which is given slices to write, and by a card,
/// whose work is written down in the [`Recorder`].
pub(crate) trait Fill {
    /// The weights, and where results go.
    fn parts(&mut self) -> (&Arena, &mut Workspace);

    /// A tensor of `form`, written by either kernel, which is given the weights.
    fn fill(
        &mut self,
        operation: Operation,
        form: impl Into<Form>,
        cpu: impl FnOnce(&Arena, &mut [f32]) -> Result<(), KernelError>,
        card: impl FnOnce(&mut Recorder<'_>, &Values),
    ) -> Tensor {
        let forms = [form.into()];
        let cpu = |weights: &Arena, [out]: [&mut [f32]; 1]| cpu(weights, out);
        let [tensor] = self.fill_all(operation, forms, cpu, |record, [out]| card(record, out));
        tensor
    }

    /// Tensors of these forms, written by either kernel in one go.
    fn fill_all<const T: usize>(
        &mut self,
        operation: Operation,
        forms: [Form; T],
        cpu: impl FnOnce(&Arena, [&mut [f32]; T]) -> Result<(), KernelError>,
        card: impl FnOnce(&mut Recorder<'_>, [&Values; T]),
    ) -> [Tensor; T] {
        let (weights, workspace) = self.parts();
        fill(workspace, weights, operation, forms, |outs| cpu(weights, outs), card)
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

/// Where an operation's work for a card is written down, and its operands are found.
pub(crate) struct Recorder<'a> {
    weights: &'a Arena,
    workspace: &'a mut Workspace,
    /// Needed until the operation is written down.
    scratch: Vec<Room>,
}

impl Recorder<'_> {
    /// A tensor's values, as they are.
    pub(crate) fn of(&mut self, tensor: &Tensor) -> Values {
        match tensor.on_card() {
            Some(values) if tensor.card().is_none() => return values.clone(),
            _ => {}
        }
        if self.workspace.is_tracing() {
            return Values::new(Home::Inputs, 0, tensor.shape().count(), Element::F32);
        }
        self.workspace.tensor(tensor)
    }

    /// A tensor's values in the type of features.
    pub(crate) fn features(&mut self, tensor: &Tensor) -> Values {
        let features = self.workspace.features().unwrap_or(Element::F32);
        let values = self.of(tensor);
        self.converted(values, features)
    }

    /// A tensor's values as float32.
    pub(crate) fn wide(&mut self, tensor: &Tensor) -> Values {
        let values = self.of(tensor);
        self.converted(values, Element::F32)
    }

    fn converted(&mut self, values: Values, element: Element) -> Values {
        if values.element() == element {
            return values;
        }
        let other = self.scratch(values.len(), element);
        self.push(converted(&values, &other));
        other
    }

    /// A parameter's values.
    pub(crate) fn weight(&self, parameter: Parameter) -> Values {
        self.weights.on_card(parameter)
    }

    /// A parameter's values in the type of features, for products.
    pub(crate) fn factor(&self, parameter: Parameter) -> Values {
        self.weights.rounded(parameter, self.workspace.features().unwrap_or(Element::F32))
    }

    /// Values of the processor.
    pub(crate) fn floats(&mut self, values: &[f32]) -> Values {
        self.workspace.input(bytemuck::cast_slice(values), Element::F32)
    }

    /// A list of places, which is made of `of` for the purpose `what`: once a pass.
    pub(crate) fn list(
        &mut self,
        of: &Arc<[u32]>,
        what: &'static str,
        make: impl FnOnce() -> Vec<i32>,
    ) -> Values {
        self.workspace.list(of, what, make)
    }
}

impl Record for Recorder<'_> {
    fn push(&mut self, command: Command) {
        self.workspace.command(command);
    }

    fn scratch(&mut self, len: usize, element: Element) -> Values {
        let room = self.workspace.room_on_card(len, element);
        let values = room.on_card().cloned();
        self.scratch.push(room);
        values.expect("room on the card is there")
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
        // A card has layouts of its own.
        let here = self.prepared.filter(|_| self.workspace.features().is_none());
        here.and_then(|prepared| prepared.of_rows(rows))
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

    /// `tensor` with other values, which a kernel writes over the old ones: in their place, where nobody else holds
    /// them. On a card the kernel is given the old values, and where the new ones go.
    pub(crate) fn overwrite(
        &mut self,
        operation: Operation,
        tensor: Tensor,
        cpu: impl FnOnce(&Arena, &mut [f32]) -> Result<(), KernelError>,
        card: impl FnOnce(&mut Recorder<'_>, [&Values; 2]),
    ) -> Tensor {
        let weights = self.weights;
        let shape = tensor.shape();
        match tensor.into_room() {
            Ok(mut room) => {
                self.workspace.uses(operation);
                if let Some(values) = room.on_card() {
                    let mut recorder =
                        Recorder { weights, workspace: self.workspace, scratch: vec![] };
                    card(&mut recorder, [values; 2]);
                    room.forget_read();
                } else if let Some(values) = room.values_mut() {
                    sound(cpu(weights, values));
                }
                Tensor::in_room(room, shape)
            }
            Err(tensor) => self.fill(
                operation,
                shape,
                |weights, out| {
                    out.copy_from_slice(tensor.values());
                    cpu(weights, out)
                },
                |record, out| {
                    let old = record.features(&tensor);
                    card(record, [&old, out]);
                },
            ),
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

    /// Records what `loss` computes, adds the gradients of all parameters to `gradients`, and returns the loss.
    pub(crate) fn differentiate(
        mut self,
        weights: &Arena,
        workspace: &mut Workspace,
        gradients: &mut Gradients,
        loss: impl FnOnce(&mut Pass<'_>) -> Tensor,
    ) -> Tensor {
        let loss = loss(&mut Pass::training(weights, workspace, &mut self));
        self.backward(weights, workspace, gradients);
        loss
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
            add(workspace, weights, &mut of_nodes[node.0], gradient);
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
            add(self.workspace, self.weights, &mut self.of_nodes[node.0], gradient);
        }
    }

    /// Room that the processor's kernel needs, so many float32 values; a card's takes what it needs itself.
    pub(crate) fn scratch(&self, values: impl FnOnce() -> usize) -> Form {
        let values = if self.workspace.features().is_some() { 1 } else { values() };
        Shape::from([values]).floats()
    }

    /// Adds the gradients by `parameters`, written by either kernel, where any is wanted.
    pub(crate) fn parameters<const P: usize>(
        &mut self,
        operation: Operation,
        parameters: [Parameter; P],
        cpu: impl FnOnce(&Arena, [&mut [f32]; P]) -> Result<(), KernelError>,
        card: impl FnOnce(&mut Recorder<'_>, [&Values; P], bool),
    ) {
        let layout = self.weights.layout();
        if parameters.iter().any(|&parameter| self.trained[layout.number(parameter)]) {
            self.fill_and_parameters(
                operation,
                [],
                parameters,
                |weights, [], gradients| cpu(weights, gradients),
                |record, [], gradients, adds| card(record, gradients, adds),
            );
        }
    }

    /// Tensors of these forms, and the gradients by `parameters`, written by either kernel in one go. On a card it is
    /// told whether gradients are added to what is there.
    pub(crate) fn fill_and_parameters<const T: usize, const P: usize>(
        &mut self,
        operation: Operation,
        forms: [Form; T],
        parameters: [Parameter; P],
        cpu: impl FnOnce(&Arena, [&mut [f32]; T], [&mut [f32]; P]) -> Result<(), KernelError>,
        card: impl FnOnce(&mut Recorder<'_>, [&Values; T], [&Values; P], bool),
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
        let on_card = workspace.features().is_some();
        let places = on_card.then(|| parameters.map(|parameter| gradients.on_card(parameter)));
        if first || on_card {
            // No kernel runs in a pass that is only traced.
            let cpu = |outs: [&mut [f32]; T]| cpu(weights, outs, gradients.places(parameters));
            let card = |record: &mut Recorder<'_>, outs: [&Values; T]| {
                if let Some(places) = &places {
                    card(record, outs, places.each_ref(), !first);
                }
            };
            let tensors = fill(workspace, weights, operation, forms, cpu, card);
            if !workspace.is_tracing() {
                gradients.wrote(parameters, trained);
            }
            return tensors;
        }
        // Another part of the update has written them: this one's are added.
        let mut more = parameters.map(|parameter| workspace.room(parameter.shape().floats()));
        let cpu = |outs: [&mut [f32]; T]| {
            cpu(weights, outs, more.each_mut().map(|room| room.values_mut().unwrap_or_default()))
        };
        let tensors = fill(workspace, weights, operation, forms, cpu, |_, _| {});
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

/// Tensors of these forms, written by either kernel; shapes alone where the pass is only traced.
fn fill<const T: usize>(
    workspace: &mut Workspace,
    weights: &Arena,
    operation: Operation,
    forms: [Form; T],
    cpu: impl FnOnce([&mut [f32]; T]) -> Result<(), KernelError>,
    card: impl FnOnce(&mut Recorder<'_>, [&Values; T]),
) -> [Tensor; T] {
    workspace.uses(operation);
    for Form { shape, .. } in forms {
        assert!(
            shape.count() > 0,
            "a result {shape:?} has no values: a batch has 1 image at least"
        );
    }
    let mut rooms = forms.map(|form| (workspace.room(form), form.shape));
    if workspace.features().is_some() {
        let outs = rooms.each_ref().map(|(room, _)| room.on_card());
        let outs = outs.map(|out| out.expect("room on the card is there"));
        card(&mut Recorder { weights, workspace, scratch: Vec::new() }, outs);
    } else if !workspace.is_tracing() {
        sound(cpu(rooms.each_mut().map(|(room, _)| room.values_mut().unwrap_or_default())));
    }
    rooms.map(|(room, shape)| Tensor::in_room(room, shape))
}

/// Adds a gradient to what is there of it.
fn add(workspace: &mut Workspace, weights: &Arena, place: &mut Option<Tensor>, gradient: Tensor) {
    *place = Some(match place.take() {
        None => gradient,
        Some(before) => {
            let form = Form::from(before.shape());
            let cpu = |[out]: [&mut [f32]; 1]| {
                fcmae_kernels::residual::forward(before.values(), gradient.values(), &[1.0], out)
            };
            let [sum] =
                fill(workspace, weights, Operation::Residual, [form], cpu, |record, [out]| {
                    let parts = [&before, &gradient].map(|part| record.features(part));
                    residual::forward(record, parts.each_ref(), None, 1, out);
                });
            sum
        }
    });
}
