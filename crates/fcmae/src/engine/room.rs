//! Where the values of a tensor lie.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use fcmae_cuda::CudaError;
use fcmae_cuda::card::Card;
use fcmae_cuda::work::Values;
use fcmae_kernels::memory::Piece;

use crate::engine::lifetimes::Traced;

/// Where a tensor's values lie.
#[derive(Debug)]
pub(crate) enum Room {
    Heap(Vec<f32>),
    Planned(Piece),
    Traced(Traced),
    Card(CardRoom),
}

impl Room {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Heap(values) => values.len(),
            Self::Planned(piece) => piece.len(),
            Self::Traced(traced) => traced.len(),
            Self::Card(room) => room.values.len(),
        }
    }

    pub(crate) fn values(&self) -> &[f32] {
        match self {
            Self::Heap(values) => values,
            Self::Planned(piece) => piece,
            Self::Traced(_) => panic!("this tensor is a shape alone: its pass is only traced"),
            Self::Card(room) => room.read(),
        }
    }

    /// To write the values; `None` where there is only a shape.
    pub(crate) fn values_mut(&mut self) -> Option<&mut [f32]> {
        match self {
            Self::Heap(values) => Some(values),
            Self::Planned(piece) => Some(piece),
            Self::Traced(_) | Self::Card(_) => None,
        }
    }

    /// The card that holds the values in memory of their own.
    pub(crate) fn card(&self) -> Option<&Arc<Card>> {
        match self {
            Self::Card(CardRoom { card: Some((card, _)), .. }) => Some(card),
            _ => None,
        }
    }

    /// Forgets what was read from a card that has since written other values.
    pub(crate) fn forget_read(&mut self) {
        if let Self::Card(room) = self {
            room.host = OnceLock::new();
        }
    }

    /// The values on a card, where they are there.
    pub(crate) fn on_card(&self) -> Option<&Values> {
        match self {
            Self::Card(room) => Some(&room.values),
            Self::Heap(_) | Self::Planned(_) | Self::Traced(_) => None,
        }
    }
}

/// A result on a card.
#[derive(Debug)]
pub(crate) struct CardRoom {
    values: Values,
    /// In a pass that is traced or recorded.
    _life: Option<Traced>,
    /// Where the result is computed already.
    card: Option<(Arc<Card>, Failure)>,
    host: OnceLock<Vec<f32>>,
}

impl CardRoom {
    /// Values in memory of their own.
    pub(crate) fn own(card: &Arc<Card>, values: Values) -> Self {
        Self::computed(Arc::clone(card), Failure::default(), values)
    }

    /// Values that are computed at once, and where it is kept what fails when they are read.
    pub(crate) fn computed(card: Arc<Card>, failed: Failure, values: Values) -> Self {
        Self { values, _life: None, card: Some((card, failed)), host: OnceLock::new() }
    }

    /// What is there instead after a failure: what is read is not a number.
    pub(crate) fn failed(values: Values) -> Self {
        let host = vec![f32::NAN; values.len()].into();
        Self { values, _life: None, card: None, host }
    }

    /// A result of a pass that is traced or recorded.
    pub(crate) fn traced(values: Values, life: Traced) -> Self {
        Self { values, _life: Some(life), card: None, host: OnceLock::new() }
    }

    fn read(&self) -> &[f32] {
        // What fails here is told of by the pass.
        self.host.get_or_init(|| {
            let Some((card, failed)) = &self.card else {
                panic!("this tensor is a shape alone: its pass is only recorded");
            };
            card.read(&self.values).unwrap_or_else(|error| {
                failed.keep(error);
                vec![f32::NAN; self.values.len()]
            })
        })
    }
}

/// What went wrong first in results that are made one by one, or are read: nothing is computed after it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failure(Arc<Mutex<Option<CudaError>>>);

impl Failure {
    fn place(&self) -> MutexGuard<'_, Option<CudaError>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_there(&self) -> bool {
        self.place().is_some()
    }

    pub(crate) fn keep(&self, error: CudaError) {
        self.place().get_or_insert(error);
    }

    pub(crate) fn take(&self) -> Option<CudaError> {
        self.place().take()
    }
}
