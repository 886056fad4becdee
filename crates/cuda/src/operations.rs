//! The network's operations as work for a card, one file each: which kernels and products, in which order, with how
//! many threads. Shapes are those of the same operation in `fcmae-kernels`; features are `[N, S, C]` or rows of them.
//!
//! How work is divided depends on shapes alone, never on the card: results are the same bits wherever the kernels'
//! arithmetic is.

pub mod activation;
pub mod block;
pub mod cross_entropy;
pub mod depthwise;
pub mod images;
pub mod layer_norm;
pub mod layer_scale;
pub mod linear;
pub mod pool;
pub mod residual;
pub mod rows;
mod sums;
pub mod update;
pub mod windows;

use crate::work::{Argument, Command, Element, Launch, Values, int, long};

/// Threads of a block where each has values of its own.
const THREADS: usize = 256;
/// Threads that pass values to each other without shared memory.
const WARP: usize = 32;

/// Blocks of `each` for `work`.
///
/// # Panics
/// Where they are beyond 2³² − 1.
fn blocks(work: usize, each: usize) -> u32 {
    u32::try_from(work.div_ceil(each)).expect("as many blocks as a launch can have")
}

/// A kernel of features of `element`.
fn of(kernel: &str, element: Element) -> String {
    format!("{kernel}<{}>", element.name())
}

/// A launch with a thread for each of `work` pieces.
fn threads(kernel: impl Into<String>, work: usize, arguments: Vec<Argument>) -> Command {
    let (grid, block) = ([blocks(work, THREADS), 1, 1], [THREADS as u32, 1, 1]);
    Command::Launch(Launch { kernel: kernel.into(), grid, block, arguments })
}

/// A launch with a warp for each of `rows`.
fn warps(kernel: impl Into<String>, rows: usize, arguments: Vec<Argument>) -> Command {
    let (grid, block) = ([blocks(rows, THREADS / WARP), 1, 1], [THREADS as u32, 1, 1]);
    Command::Launch(Launch { kernel: kernel.into(), grid, block, arguments })
}

/// A launch with a block of threads for each of `rows`.
fn block_each(kernel: impl Into<String>, rows: usize, arguments: Vec<Argument>) -> Command {
    let (grid, block) = ([blocks(rows, 1), 1, 1], [THREADS as u32, 1, 1]);
    Command::Launch(Launch { kernel: kernel.into(), grid, block, arguments })
}

/// How many threads there are where each has a pack of `values`.
///
/// # Panics
/// Where rows of `width` values are no whole packs.
fn packs(values: &Values, width: usize) -> usize {
    let pack = values.element().pack();
    assert!(
        width.is_multiple_of(pack),
        "{width} channels: on a card they are a multiple of {pack} in {:?}",
        values.element()
    );
    values.len() / pack
}

fn read(values: &Values) -> Argument {
    Argument::Read(values.clone())
}

fn write(values: &Values) -> Argument {
    Argument::Write(values.clone())
}

/// Values that a kernel can do without.
fn read_any(values: Option<&Values>) -> Argument {
    values.map_or(Argument::Nothing, read)
}

/// Values to write that a kernel can do without.
fn write_any(values: Option<&Values>) -> Argument {
    values.map_or(Argument::Nothing, write)
}

fn flag(set: bool) -> Argument {
    int(usize::from(set))
}

/// `x` in the type of `out`, of as many values.
pub fn converted(x: &Values, out: &Values) -> Command {
    if x.element() == out.element() {
        return Command::Copy { from: x.clone(), to: out.clone() };
    }
    let kernel = format!("converted<{}, {}>", x.element().name(), out.element().name());
    threads(kernel, x.len(), vec![read(x), write(out), long(x.len())])
}
