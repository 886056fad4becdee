//! Parameters by name: where they lie, and what is kept of each.
//!
//! Weights, gradients, both moments of AdamW and the moving average are arenas of one [`Layout`]: all
//! parameters one after the other, in the order in which the network's structs are made. Only loading,
//! backward passes and updates write to them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use fcmae_cuda::CudaError;
use fcmae_cuda::card::Card;
use fcmae_cuda::operations::update::GROUP;
use fcmae_cuda::work::{Command, Element, Home, Values};
use fcmae_kernels::memory::Piece;
use fcmae_store::{HostTensor, Mismatch, NamedTensors};

use crate::engine::backend::Backend;
use crate::engine::shape::{Shape, padded};

/// One parameter of a network: its number in the [`Layout`], its shape, and of what name it is.
///
/// It stands for the parameter of this number, shape and name in any layout, so that networks of one kind
/// share their structs. A layout that has another there refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    number: usize,
    shape: Shape,
    /// The hash of its name.
    name: u64,
}

impl Parameter {
    fn new(number: usize, shape: Shape, name: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        Self { number, shape, name: hasher.finish() }
    }

    /// The sides.
    pub fn shape(&self) -> Shape {
        self.shape
    }
}

/// What a [`Layout`] knows of a parameter.
#[derive(Clone, Debug)]
struct Entry {
    name: String,
    parameter: Parameter,
    range: Range<usize>,
    /// Its values before anything is loaded or initialized.
    start: f32,
}

/// Names, shapes and places of all parameters of a network; no memory for their values.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    entries: Vec<Entry>,
    by_name: BTreeMap<String, usize>,
    values: usize,
}

impl Layout {
    /// The structs that `build` makes, and the layout of their parameters.
    pub fn of<M>(build: impl FnOnce(&mut Names) -> M) -> (M, Arc<Self>) {
        let mut names = Names { prefix: String::new(), layout: Self::default() };
        let module = build(&mut names);
        (module, Arc::new(names.layout))
    }

    /// How many parameters there are, by their values.
    pub fn count(&self) -> usize {
        self.entries.iter().map(|entry| entry.range.len()).sum()
    }

    /// Names and shapes, in the order of the network's parts.
    pub fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let shape = |entry: &Entry| (entry.name.clone(), entry.parameter.shape.to_vec());
        self.entries.iter().map(shape).collect()
    }

    /// Every parameter's name with itself, in the order of the network's parts.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, Parameter)> {
        self.entries.iter().map(|entry| (entry.name.as_str(), entry.parameter))
    }

    /// As [`parameters`](Self::parameters), in the order of their names.
    pub fn by_name(&self) -> impl Iterator<Item = (&str, Parameter)> {
        self.by_name.iter().map(|(name, &number)| (name.as_str(), self.entries[number].parameter))
    }

    /// The parameter of this name.
    pub fn get(&self, name: &str) -> Option<Parameter> {
        self.by_name.get(name).map(|&number| self.entries[number].parameter)
    }

    /// How many parameters there are, by their names.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn range(&self, parameter: Parameter) -> Range<usize> {
        self.entries[self.number(parameter)].range.clone()
    }

    /// The number of the parameter that each 16 values belong to: parameters begin at multiples of 16.
    ///
    /// # Panics
    /// With more than 2¹⁶ parameters.
    pub(crate) fn groups(&self) -> Vec<u16> {
        let mut groups = vec![0; self.values / GROUP];
        for (number, Entry { range, .. }) in self.entries.iter().enumerate() {
            let number = u16::try_from(number).expect("a network of fewer parameters");
            groups[range.start / GROUP..range.end.div_ceil(GROUP)].fill(number);
        }
        groups
    }

    /// The parameter's number.
    ///
    /// # Panics
    /// For a parameter of another network.
    pub(crate) fn number(&self, parameter: Parameter) -> usize {
        let Parameter { number, shape, .. } = parameter;
        match self.entries.get(number) {
            Some(entry) if entry.parameter == parameter => number,
            Some(Entry { name, parameter: own, .. }) => panic!(
                "a parameter of another network, {shape:?}: number {number} is `{name}`, {:?}, here",
                own.shape
            ),
            None => panic!(
                "a parameter of another network: number {number}, of {} here",
                self.entries.len()
            ),
        }
    }

    /// Bytes of an arena of this layout.
    pub fn bytes(&self) -> u64 {
        (self.values as u64).saturating_mul(size_of::<f32>() as u64)
    }
}

/// Collects the parameters of a network while its structs are made, under the names that files have.
#[derive(Debug)]
pub struct Names {
    prefix: String,
    layout: Layout,
}

impl Names {
    /// What `build` makes, with `name.` before the names of its parameters.
    pub fn within<M>(&mut self, name: impl AsRef<str>, build: impl FnOnce(&mut Self) -> M) -> M {
        let outside = self.prefix.len();
        self.prefix.push_str(name.as_ref());
        self.prefix.push('.');
        let module = build(self);
        self.prefix.truncate(outside);
        module
    }

    /// A parameter that starts at 0.
    ///
    /// # Panics
    /// Where another has the same name, or memory cannot address as many values.
    pub fn parameter(&mut self, name: &str, shape: impl Into<Shape>) -> Parameter {
        self.starting_at(name, shape, 0.0)
    }

    /// A parameter whose values are all `start` until they are loaded or initialized.
    ///
    /// # Panics
    /// As [`parameter`](Self::parameter).
    pub fn starting_at(&mut self, name: &str, shape: impl Into<Shape>, start: f32) -> Parameter {
        let (number, shape) = (self.layout.entries.len(), shape.into());
        let name = format!("{}{name}", self.prefix);
        let parameter = Parameter::new(number, shape, &name);
        let first = self.layout.values;
        let Some(end) = first.checked_add(shape.count()) else {
            panic!("{name} {shape:?}: the network has more values than memory can address");
        };
        let range = first..end;
        self.layout.values = padded(range.end);
        let before = self.layout.by_name.insert(name.clone(), number);
        assert!(before.is_none(), "two parameters are called {name}");
        self.layout.entries.push(Entry { name, parameter, range, start });
        parameter
    }
}

/// A value for each value of all parameters. On a card, clones share their values until one is changed.
#[derive(Clone, Debug)]
pub struct Arena {
    layout: Arc<Layout>,
    values: Store,
}

/// Where an arena's values are.
#[derive(Clone, Debug)]
enum Store {
    Host(Piece),
    Card(Arc<OnCard>),
}

/// Values on a card.
#[derive(Debug)]
struct OnCard {
    card: Arc<Card>,
    /// Float32, one after the other as in the layout.
    values: Values,
    /// The same in the type of features, where products need them so.
    rounded: Option<Values>,
}

/// Why an arena is refused where its values are to be read or written one by one.
const ELSEWHERE: &str = "the values are on a card: `on` with the processor copies them from there";

impl Arena {
    /// All zero. Memory is taken where it is first written.
    pub fn zeros(layout: &Arc<Layout>) -> Self {
        Self::of(layout, Piece::zeros(layout.values))
    }

    /// Shapes alone, for a pass that is only traced.
    pub(crate) fn shapes(layout: &Arc<Layout>) -> Self {
        Self::of(layout, Piece::zeros(0))
    }

    fn of(layout: &Arc<Layout>, values: Piece) -> Self {
        Self { layout: Arc::clone(layout), values: Store::Host(values) }
    }

    /// Every parameter at its start: norms' weights 1, V1's layer scale 1e-6, all others 0.
    pub fn starts(layout: &Arc<Layout>) -> Self {
        let mut arena = Self::zeros(layout);
        for entry in layout.entries.iter().filter(|entry| entry.start != 0.0) {
            arena.host_mut()[entry.range.clone()].fill(entry.start);
        }
        arena
    }

    /// Names, shapes and places.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The same values where `backend` computes.
    ///
    /// # Errors
    /// What a card says.
    pub(crate) fn on(self, backend: &Backend) -> Result<Self, CudaError> {
        let values = match (&self.values, backend) {
            (Store::Host(_), Backend::Cpu) => return Ok(self),
            (Store::Card(there), Backend::Card(card)) if Arc::ptr_eq(&there.card, card) => {
                return Ok(self);
            }
            (Store::Card(there), _) => {
                let mut arena = Self::zeros(&self.layout);
                arena.host_mut().copy_from_slice(&there.card.read(&there.values)?);
                return arena.on(backend);
            }
            (Store::Host(values), Backend::Card(card)) => {
                let there = card.put(bytemuck::cast_slice(values), Element::F32)?;
                let card = Arc::clone(card);
                Store::Card(Arc::new(OnCard { card, values: there, rounded: None }))
            }
        };
        Ok(Self { layout: self.layout, values })
    }

    /// The same where the processor computes; no copy where they lie there.
    ///
    /// # Errors
    /// What a card says.
    pub(crate) fn on_host(&self) -> Result<Cow<'_, Self>, CudaError> {
        match self.values {
            Store::Host(_) => Ok(Cow::Borrowed(self)),
            Store::Card(_) => self.clone().on(&Backend::Cpu).map(Cow::Owned),
        }
    }

    /// Takes the values of an arena of the same layout, on the processor, to where these are: passes that were recorded
    /// read that place.
    ///
    /// # Errors
    /// What a card says.
    pub(crate) fn refill(&mut self, values: Self) -> Result<(), CudaError> {
        let (Store::Card(there), Store::Host(new)) = (&self.values, &values.values) else {
            *self = values;
            return Ok(());
        };
        there.card.upload(bytemuck::cast_slice(new), &there.values)
    }

    /// Makes the values that products read, anew wherever the weights have changed. Does nothing on the processor.
    ///
    /// # Errors
    /// What a card says.
    pub(crate) fn round(&mut self) -> Result<(), CudaError> {
        let Store::Card(there) = &mut self.values else { return Ok(()) };
        let is_shared = Arc::get_mut(there).is_none();
        // What is shared has not changed since it was rounded.
        if there.card.features() == Element::F32 || is_shared && there.rounded.is_some() {
            return Ok(());
        }
        let Some(OnCard { card, values, rounded }) = self.there_mut()? else { return Ok(()) };
        let rounded = match rounded {
            Some(rounded) => rounded,
            None => rounded.insert(Values::own(card.driver(), values.len(), card.features())?),
        };
        card.run(&[fcmae_cuda::operations::converted(values, rounded)])
    }

    /// What lies on a card, for nobody else: a copy where others share it.
    fn there_mut(&mut self) -> Result<Option<&mut OnCard>, CudaError> {
        let Store::Card(there) = &mut self.values else { return Ok(None) };
        if Arc::get_mut(there).is_none() {
            let card = Arc::clone(&there.card);
            let copy = |from: &Values| {
                let to = Values::own(card.driver(), from.len(), from.element())?;
                card.run(&[Command::Copy { from: from.clone(), to: to.clone() }])?;
                Ok(to)
            };
            let values = copy(&there.values)?;
            let rounded = there.rounded.as_ref().map(copy).transpose()?;
            *there = Arc::new(OnCard { card, values, rounded });
        }
        Ok(Arc::get_mut(there))
    }

    /// All values on a card; `None` on the processor.
    pub(crate) fn all(&self) -> Option<Values> {
        match &self.values {
            Store::Card(there) => Some(there.values.clone()),
            Store::Host(_) => None,
        }
    }

    /// All values on a card, to write them there; `None` on the processor.
    ///
    /// # Errors
    /// What a card says.
    pub(crate) fn all_mut(&mut self) -> Result<Option<Values>, CudaError> {
        Ok(self.there_mut()?.map(|there| there.values.clone()))
    }

    /// The values of a parameter on a card, float32.
    ///
    /// # Panics
    /// For a parameter of another network, or an arena on the processor.
    pub(crate) fn on_card(&self, parameter: Parameter) -> Values {
        let range = self.layout.range(parameter);
        match &self.values {
            Store::Card(there) => there.values.part(range.start, range.len()),
            Store::Host(values) => Self::shape_alone(values, range.len(), Element::F32),
        }
    }

    /// The same in the type of features.
    ///
    /// # Panics
    /// As [`on_card`](Self::on_card), and where they were not made.
    pub(crate) fn rounded(&self, parameter: Parameter, features: Element) -> Values {
        let range = self.layout.range(parameter);
        match &self.values {
            Store::Card(there) if features == Element::F32 => {
                there.values.part(range.start, range.len())
            }
            Store::Card(there) => {
                let rounded = there.rounded.as_ref().expect("weights are rounded when they change");
                rounded.part(range.start, range.len())
            }
            Store::Host(values) => Self::shape_alone(values, range.len(), features),
        }
    }

    /// Values on a card that nobody will look for, of an arena that has none.
    fn shape_alone(values: &Piece, len: usize, element: Element) -> Values {
        assert!(values.is_empty(), "the values are on the processor: `on` moves them to a card");
        Values::new(Home::Inputs, 0, len, element)
    }

    fn host(&self) -> &Piece {
        match &self.values {
            Store::Host(values) => values,
            Store::Card(_) => panic!("{ELSEWHERE}"),
        }
    }

    fn host_mut(&mut self) -> &mut Piece {
        match &mut self.values {
            Store::Host(values) => values,
            Store::Card(_) => panic!("{ELSEWHERE}"),
        }
    }

    /// The values of one parameter.
    ///
    /// # Panics
    /// For a parameter of another network, and for values on a card.
    pub fn get(&self, parameter: Parameter) -> &[f32] {
        &self.host()[self.layout.range(parameter)]
    }

    /// The values of one parameter, to write.
    ///
    /// # Panics
    /// For a parameter of another network, and for values on a card.
    pub fn get_mut(&mut self, parameter: Parameter) -> &mut [f32] {
        let range = self.layout.range(parameter);
        &mut self.host_mut()[range]
    }

    /// The values of several parameters, to write.
    ///
    /// # Panics
    /// Where one is there twice.
    pub(crate) fn many_mut<const P: usize>(
        &mut self,
        parameters: [Parameter; P],
    ) -> [&mut [f32]; P] {
        let ranges = parameters.map(|parameter| self.layout.range(parameter));
        self.host_mut().get_disjoint_mut(ranges).expect("parameters do not overlap")
    }

    /// Takes those parameters that `tensors` holds from there.
    ///
    /// # Panics
    /// Where one has another number of values, and for values on a card.
    pub fn take(&mut self, tensors: &NamedTensors) {
        let layout = Arc::clone(&self.layout);
        for (name, parameter) in layout.parameters() {
            if let Some(tensor) = tensors.get(name) {
                self.get_mut(parameter).copy_from_slice(&tensor.data);
            }
        }
    }

    /// Takes all parameters from `tensors`, which must hold exactly these.
    ///
    /// # Errors
    /// Every missing, unexpected and wrongly shaped name.
    ///
    /// # Panics
    /// For values on a card.
    pub fn load(&mut self, tensors: &NamedTensors) -> Result<(), Mismatch> {
        let mismatch = tensors.difference(&self.layout.shapes());
        if !mismatch.is_empty() {
            return Err(mismatch);
        }
        self.take(tensors);
        Ok(())
    }

    /// A copy of all parameters by name.
    ///
    /// # Panics
    /// For values on a card.
    pub fn to_named(&self) -> NamedTensors {
        let tensor = |(name, parameter): (&str, Parameter)| {
            let data = self.get(parameter).to_vec();
            (name.to_owned(), HostTensor { shape: parameter.shape.to_vec(), data })
        };
        self.layout.parameters().map(tensor).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn two() -> ([Parameter; 2], Arc<Layout>) {
        Layout::of(|names| {
            let weight = names.within("a", |names| names.parameter("weight", [2, 3]));
            [weight, names.starting_at("b", [5], 1.5)]
        })
    }

    #[test]
    fn names_nest_and_parameters_keep_apart() {
        let ([weight, b], layout) = two();
        assert_eq!(
            layout.shapes(),
            [("a.weight".to_owned(), vec![2, 3]), ("b".to_owned(), vec![5])]
        );
        assert_eq!(layout.count(), 11);
        assert_eq!(layout.get("a.weight"), Some(weight));
        let mut arena = Arena::starts(&layout);
        arena.get_mut(weight).fill(7.0);
        assert_eq!(arena.get(b), [1.5; 5]);
        let [first, second] = arena.many_mut([b, weight]);
        (first[0], second[0]) = (3.0, 4.0);
        assert_eq!((arena.get(b)[0], arena.get(weight)[0]), (3.0, 4.0));
    }

    #[test]
    fn all_is_loaded_or_nothing() {
        let ([weight, _], layout) = two();
        let mut arena = Arena::starts(&layout);
        let mut tensors = arena.to_named();
        tensors.insert("a.weight", HostTensor { shape: vec![2, 3], data: vec![2.0; 6] });
        arena.load(&tensors).unwrap();
        assert_eq!(arena.get(weight), [2.0; 6]);
        tensors.insert("c", HostTensor { shape: vec![1], data: vec![0.0] });
        tensors.remove("b");
        let mismatch = arena.load(&tensors).unwrap_err();
        assert_eq!((mismatch.missing.len(), mismatch.unexpected.len()), (1, 1));
    }
}
