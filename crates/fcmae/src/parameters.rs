//! Parameters by name: where they lie, and what is kept of each.
//!
//! Weights, gradients, both moments of AdamW and the moving average are arenas of one [`Layout`]: all
//! parameters one after the other, in the order in which the network's structs are made. Only loading,
//! backward passes and updates write to them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use fcmae_kernels::memory::Piece;
use fcmae_store::{HostTensor, Mismatch, NamedTensors};

use crate::tensor::{Shape, padded};

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

/// A value for each value of all parameters.
#[derive(Clone, Debug)]
pub struct Arena {
    layout: Arc<Layout>,
    values: Piece,
}

impl Arena {
    /// All zero. Memory is taken where it is first written.
    pub fn zeros(layout: &Arc<Layout>) -> Self {
        Self { layout: Arc::clone(layout), values: Piece::zeros(layout.values) }
    }

    /// Shapes alone, for a pass that is only traced.
    pub(crate) fn shapes(layout: &Arc<Layout>) -> Self {
        Self { layout: Arc::clone(layout), values: Piece::zeros(0) }
    }

    /// Every parameter at its start: norms' weights 1, V1's layer scale 1e-6, all others 0.
    pub fn starts(layout: &Arc<Layout>) -> Self {
        let mut arena = Self::zeros(layout);
        for entry in layout.entries.iter().filter(|entry| entry.start != 0.0) {
            arena.values[entry.range.clone()].fill(entry.start);
        }
        arena
    }

    /// Names, shapes and places.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The values of one parameter.
    ///
    /// # Panics
    /// For a parameter of another network.
    pub fn get(&self, parameter: Parameter) -> &[f32] {
        &self.values[self.layout.range(parameter)]
    }

    /// The values of one parameter, to write.
    ///
    /// # Panics
    /// For a parameter of another network.
    pub fn get_mut(&mut self, parameter: Parameter) -> &mut [f32] {
        let range = self.layout.range(parameter);
        &mut self.values[range]
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
        self.values.get_disjoint_mut(ranges).expect("parameters do not overlap")
    }

    /// Takes those parameters that `tensors` holds from there.
    ///
    /// # Panics
    /// Where one has another number of values.
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
    pub fn load(&mut self, tensors: &NamedTensors) -> Result<(), Mismatch> {
        let mismatch = tensors.difference(&self.layout.shapes());
        if !mismatch.is_empty() {
            return Err(mismatch);
        }
        self.take(tensors);
        Ok(())
    }

    /// A copy of all parameters by name.
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
