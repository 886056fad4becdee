//! The norm of the gradients, and AdamW with the moving average.

use super::{THREADS, blocks, flag, read, threads, write, write_any};
use crate::work::{Argument, Command, Launch, Record, Values, int, long};

/// Bytes of what the card says of an update: see [`Verdict`].
pub const VERDICT: usize = 24;
/// Bytes of a group's numbers: what is kept of its parameters, the rate, and whether they stay.
pub const FACTORS: usize = 12;
/// Float32 numbers that all groups share.
pub const DECAYS: usize = 8;
/// Values that share a group.
pub const GROUP: usize = 16;

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The norm of all gradients together.
    pub norm: f64,
    /// Whether no weight was changed, as the loss or the norm is not a number.
    pub skipped: bool,
}

impl Verdict {
    /// From what the card wrote.
    pub fn read(bytes: &[u8; VERDICT]) -> Self {
        let [squares, _, skip] = [0, 8, 16].map(|first| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[first..first + 8]);
            eight
        });
        // The last four bytes fill it up.
        let [a, b, c, d, ..] = skip;
        let skipped = i32::from_ne_bytes([a, b, c, d]) != 0;
        Self { norm: f64::from_ne_bytes(squares).sqrt(), skipped }
    }
}

/// `sum += more`, float32.
pub fn accumulate(record: &mut dyn Record, sum: &Values, more: &Values) {
    let arguments = vec![write(sum), read(more), long(sum.len())];
    record.push(threads("accumulate", sum.len(), arguments));
}

/// In how many parts the squares of so many gradients are summed, in double precision.
pub fn parts(gradients: usize) -> usize {
    gradients.div_ceil(16 * THREADS).clamp(1, 1024)
}

/// Writes to `verdict` what is to become of an update: from `gradients`, of which those without a part are 0, and the
/// update's `loss [1]`. Gradients whose norm is above `clip` are to be scaled down to it; 0 is no bound.
pub fn verdict(
    [gradients, loss]: [&Values; 2],
    clip: f32,
    parts: &Values,
    verdict: &Values,
) -> [Command; 2] {
    let sums = Launch {
        kernel: "sum_of_squares".to_owned(),
        grid: [blocks(parts.len(), 1), 1, 1],
        block: [THREADS as u32, 1, 1],
        arguments: vec![read(gradients), write(parts), long(gradients.len())],
    };
    let spans = vec![read(parts), read(loss), write(verdict)];
    let counts = [parts.len(), loss.len()].map(int).to_vec();
    let verdict = Launch {
        kernel: "verdict".to_owned(),
        grid: [1; 3],
        block: [1; 3],
        arguments: [spans, counts, vec![Argument::from(clip), flag(false)]].concat(),
    };
    [sums, verdict].map(Command::Launch)
}

/// The arenas that an update changes.
#[derive(Clone, Copy, Debug)]
pub struct State<'a> {
    /// Parameters.
    pub parameters: &'a Values,
    /// First moments.
    pub first: &'a Values,
    /// Second moments.
    pub second: &'a Values,
    /// The moving average of the parameters, where there is one.
    pub average: Option<&'a Values>,
}

/// One update, unless the verdict says otherwise. `groups` has the group of every [`GROUP`] values, `factors` the
/// numbers of each group, `decays` the eight that all share: β₁, 1 − β₁, β₂, 1 − β₂, 1/√(1 − β₂ᵗ), eps, what is kept of
/// the average, and the rest.
pub fn adamw(
    state: State<'_>,
    gradients: &Values,
    [groups, factors, decays, verdict]: [&Values; 4],
) -> Command {
    let State { parameters, first, second, average } = state;
    let written = [parameters, first, second].map(write).to_vec();
    let inputs = [gradients, groups, factors, decays, verdict].map(read).to_vec();
    let count = long(parameters.len());
    let arguments = [written, vec![write_any(average)], inputs, vec![count]].concat();
    threads("adamw", parameters.len(), arguments)
}
