//! Numbers on the emulated card, and a kernel that adds them.

use std::fmt::Debug;

use fcmae_cuda::CudaError;
use fcmae_cuda::driver::{Address, Driver, Given, Stream, Work};
use fcmae_cuda_emulator::{Emulated, Order};

/// How many numbers most tests have.
pub(crate) const LEN: usize = 40;

/// A card on which work is first and threads ascend.
pub(crate) fn card() -> Emulated {
    Emulated::new(Order::Forward)
}

/// The bytes of numbers.
pub(crate) fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

/// Room for so many numbers.
pub(crate) fn room(card: &dyn Driver, len: usize) -> Address {
    card.allocate(4 * len).unwrap()
}

/// Room that holds these numbers, before other work on the same stream.
pub(crate) fn filled(card: &dyn Driver, values: &[f32]) -> Address {
    let at = room(card, values.len());
    card.upload(Stream::Work, &bytes(values), at).unwrap();
    at
}

/// The numbers at an address.
pub(crate) fn numbers(card: &dyn Driver, at: Address, len: usize) -> Result<Vec<f32>, CudaError> {
    let mut bytes = vec![0; 4 * len];
    card.download(at, &mut bytes)?;
    Ok(bytes.as_chunks().0.iter().map(|&bytes| f32::from_ne_bytes(bytes)).collect())
}

/// Numbers that a kernel reads, or writes.
pub(crate) fn span(at: Address, len: usize, written: bool) -> Given {
    Given::Span { at, bytes: 4 * len, written }
}

/// A count.
pub(crate) fn count(len: usize) -> Given {
    Given::Number((len as u64).to_ne_bytes(), 8)
}

/// A kernel for up to 64 numbers.
pub(crate) fn launch<'a>(kernel: &'a str, arguments: &[Given]) -> Work<'a> {
    Work::Launch { kernel, grid: [2, 1, 1], block: [32, 1, 1], arguments: arguments.into() }
}

/// `sum += x`, of [`LEN`] numbers.
pub(crate) fn add(sum: Address, x: Address) -> Work<'static> {
    launch("accumulate", &[span(sum, LEN, true), span(x, LEN, false), count(LEN)])
}

/// What an error says.
#[track_caller]
pub(crate) fn told<T: Debug>(result: Result<T, CudaError>) -> String {
    result.unwrap_err().to_string()
}
