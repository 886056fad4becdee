//! Values with a shape, which never change once made.
//!
//! What changes is not a tensor: weights, gradients, moments and averages live in arenas
//! ([`parameters`](crate::engine::parameters)). So clones of a tensor share their values, and nothing is copied
//! because somebody else holds it, except where a loss would write over predictions.

use std::fmt;
use std::sync::Arc;

use fcmae_cuda::CudaError;
use fcmae_cuda::card::Card;
use fcmae_cuda::work::{Element, Values};

use crate::engine::backend::Backend;
use crate::engine::room::{CardRoom, Room};
use crate::engine::shape::Form;

pub use crate::engine::shape::Shape;

/// The place of a result on a [`Tape`](crate::engine::tape::Tape).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node(pub(crate) usize);

/// Float32 values with a shape. Cloning shares the values.
#[derive(Clone)]
pub struct Tensor {
    shape: Shape,
    values: Arc<Room>,
    node: Option<Node>,
}

impl Tensor {
    /// A tensor of these values, row-major.
    ///
    /// # Panics
    /// With another number of values than the shape has.
    pub fn new(values: Vec<f32>, shape: impl Into<Shape>) -> Self {
        Self::in_room(Room::Heap(values), shape.into())
    }

    /// The same values in the memory of `backend`, for whoever takes them through several passes: what comes from the
    /// processor is copied to a card for each.
    ///
    /// # Errors
    /// What a card says.
    pub fn on(self, backend: &Backend) -> Result<Self, CudaError> {
        let place = self.card();
        match backend {
            Backend::Cpu => match (place, self.on_card()) {
                (Some(card), Some(values)) => Ok(Self::new(card.read(values)?, self.shape)),
                (_, Some(_)) => Ok(self.detached()),
                (_, None) => Ok(self),
            },
            Backend::Card(card) if place.is_some_and(|place| Arc::ptr_eq(place, card)) => Ok(self),
            Backend::Card(card) => {
                let values = card.put(bytemuck::cast_slice(self.values()), Element::F32)?;
                Ok(Self::of_card(card, values, self.shape))
            }
        }
    }

    /// Values on a card, in memory of their own.
    pub(crate) fn of_card(card: &Arc<Card>, values: Values, shape: impl Into<Shape>) -> Self {
        Self::in_room(Room::Card(CardRoom::own(card, values)), shape.into())
    }

    /// What was written into `room`.
    pub(crate) fn in_room(room: Room, shape: Shape) -> Self {
        assert_eq!(room.len(), shape.count(), "as many values as the shape {shape:?} has");
        Self { shape, values: Arc::new(room), node: None }
    }

    /// The sides.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The sides of a tensor of `D` dimensions.
    ///
    /// # Panics
    /// With another number of dimensions.
    pub fn dims<const D: usize>(&self) -> [usize; D] {
        match <[usize; D]>::try_from(&*self.shape) {
            Ok(sides) => sides,
            Err(_) => panic!("a tensor of {D} dimensions, not {:?}", self.shape),
        }
    }

    /// The values, the last dimension varying fastest.
    ///
    /// # Panics
    /// Where the tensor is a shape alone, as in a pass that is only [traced](crate::engine::workspace), or recorded for a
    /// card.
    pub fn values(&self) -> &[f32] {
        self.values.values()
    }

    /// A copy of the values.
    pub fn to_vec(&self) -> Vec<f32> {
        self.values().to_vec()
    }

    /// The same values in another shape.
    ///
    /// # Panics
    /// With another number of values.
    pub fn reshape(self, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        let count = self.shape.count();
        assert_eq!(shape.count(), count, "{shape:?} has as many values as {:?}", self.shape);
        Self { shape, ..self }
    }

    /// The card that holds the values in memory of their own.
    pub(crate) fn card(&self) -> Option<&Arc<Card>> {
        self.values.card()
    }

    /// The values on a card, where they are there.
    pub(crate) fn on_card(&self) -> Option<&Values> {
        self.values.on_card()
    }

    /// Whether these are the very values of `other`, in whatever shape.
    pub(crate) fn shares_values(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.values, &other.values)
    }

    /// The type of the values on a card; what comes from the processor is float32.
    pub(crate) fn element(&self) -> Element {
        self.on_card().map_or(Element::F32, Values::element)
    }

    /// The form of a result of this shape, whose values on a card are of the type of these.
    pub(crate) fn form(&self, shape: impl Into<Shape>) -> Form {
        Form { shape: shape.into(), element: Some(self.element()) }
    }

    /// A copy in memory of its own, where no tape knows it.
    pub(crate) fn detached(&self) -> Self {
        Self::new(self.to_vec(), self.shape)
    }

    /// The room of the values, where nobody else holds them.
    pub(crate) fn into_room(self) -> Result<Room, Self> {
        let Self { shape, values, node } = self;
        Arc::try_unwrap(values).map_err(|values| Self { shape, values, node })
    }

    pub(crate) fn node(&self) -> Option<Node> {
        self.node
    }

    pub(crate) fn at(self, node: Node) -> Self {
        Self { node: Some(node), ..self }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor {:?}", self.shape)
    }
}
