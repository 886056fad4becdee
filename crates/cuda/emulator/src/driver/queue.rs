//! The order in which the work of two streams is done.

use std::collections::VecDeque;
use std::sync::Arc;

use fcmae_cuda::driver::{Address, Given, GivenProduct, Mark, Stream};

use crate::Size;
use crate::kernel::Kernel;

/// How the card does what its driver leaves open: which stream comes first where none waits for the other, and which
/// thread of a kernel.
///
/// Work that waits for all that it needs has the same results in each order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The work first, copies beside it when it waits for them or has come to its end. Threads and blocks ascend.
    Forward,
    /// Copies as early as can be, also before work that was handed over long before. Threads and blocks descend.
    Backward,
    /// Copies as late as can be: never before work waits for them. Threads and blocks ascend.
    Late,
}

impl Order {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Forward, Self::Backward, Self::Late];
}

/// What a stream has to do.
pub(super) enum Task {
    /// Bytes that come from the host.
    Upload { from: Vec<u8>, to: Address },
    /// Work.
    Piece(Piece),
    /// Nothing before the other stream has come so far.
    Wait(u64),
}

/// A piece of work that owns what it names, so that it can be recorded.
#[derive(Clone)]
pub(super) enum Piece {
    Launch { name: Arc<str>, kernel: Kernel, grid: Size, block: Size, arguments: Arc<[Given]> },
    Product(GivenProduct),
    Copy { from: Address, to: Address, bytes: usize },
    Clear { at: Address, bytes: usize },
}

/// What was handed over and is not done.
#[derive(Default)]
pub(super) struct Queues {
    work: Queue,
    copies: Queue,
    /// The number of the next task of either stream.
    next: u64,
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<(u64, Task)>,
    /// How many are done.
    done: u64,
}

impl Queues {
    /// The number of the next task. Tasks are numbered as they are handed over.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// The number of the first task that is not done.
    pub(super) fn oldest(&self) -> u64 {
        [&self.work, &self.copies]
            .iter()
            .filter_map(|queue| queue.tasks.front())
            .map(|&(number, _)| number)
            .min()
            .unwrap_or(self.next)
    }

    fn queue(&mut self, stream: Stream) -> &mut Queue {
        match stream {
            Stream::Work => &mut self.work,
            Stream::Copies => &mut self.copies,
        }
    }

    pub(super) fn push(&mut self, stream: Stream, task: Task) {
        let number = self.next;
        self.next += 1;
        self.queue(stream).tasks.push_back((number, task));
    }

    /// The place that a stream has been given work up to.
    pub(super) fn mark(&mut self, stream: Stream) -> Mark {
        let queue = self.queue(stream);
        Mark((queue.done + queue.tasks.len() as u64) << 1 | u64::from(stream == Stream::Copies))
    }

    /// Lets what comes next on `stream` wait for `mark`.
    pub(super) fn wait(&mut self, stream: Stream, mark: Mark) -> Result<(), String> {
        let of = if mark.0 & 1 == 1 { Stream::Copies } else { Stream::Work };
        if mark.0 > self.mark(of).0 {
            return Err(format!("{of:?} has no mark {}", mark.0));
        }
        // A stream is in order with itself.
        if of != stream {
            self.push(stream, Task::Wait(mark.0 >> 1));
        }
        Ok(())
    }

    /// Whether the first task of a stream can be done.
    fn is_ready(&self, stream: Stream) -> bool {
        let (queue, other) = match stream {
            Stream::Work => (&self.work, &self.copies),
            Stream::Copies => (&self.copies, &self.work),
        };
        match queue.tasks.front() {
            Some((_, Task::Wait(until))) => other.done >= *until,
            Some(_) => true,
            None => false,
        }
    }

    /// Takes the next task with its number; nothing where the host need not wait for more.
    ///
    /// A wait is for what was handed over before it, so that one of the streams is always ready.
    pub(super) fn take(&mut self, order: Order) -> Option<(u64, Task)> {
        let streams = match order {
            Order::Late if self.work.tasks.is_empty() => return None,
            Order::Forward | Order::Late => [Stream::Work, Stream::Copies],
            Order::Backward => [Stream::Copies, Stream::Work],
        };
        let stream = streams.into_iter().find(|&stream| self.is_ready(stream))?;
        let queue = self.queue(stream);
        let task = queue.tasks.pop_front()?;
        queue.done += 1;
        Some(task)
    }

    /// Drops what is not done.
    pub(super) fn clear(&mut self) {
        for queue in [&mut self.work, &mut self.copies] {
            queue.done += queue.tasks.len() as u64;
            queue.tasks.clear();
        }
    }
}
