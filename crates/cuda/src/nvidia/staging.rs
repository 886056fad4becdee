//! Page-locked memory through which bytes go to the card: they are copied in before an upload returns, and the card
//! fetches them when its order comes to it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::context::{Context, Event, Pinned, Queue};
use crate::driver::Address;
use crate::error::CudaError;

/// Bytes that go over at once: while the card fetches them, the next are copied in.
pub(super) const PIECE: usize = 16 << 20;

/// It begins with this many bytes, and grows to the most when an upload would have to wait.
const FIRST: usize = 1 << 20;
const MOST: usize = 4 * PIECE;

/// Which bytes of a ring are in use, in the order in which they were taken.
#[derive(Debug, Default)]
struct Ring {
    capacity: usize,
    taken: VecDeque<Range<usize>>,
}

impl Ring {
    /// Takes `bytes` (not 0) that lie together, where there are as many free.
    fn take(&mut self, bytes: usize) -> Option<usize> {
        let start = match (self.taken.front(), self.taken.back()) {
            (Some(first), Some(last)) if last.end > first.start => {
                // What is taken lies in one piece: behind it, else before it.
                if bytes <= self.capacity - last.end {
                    last.end
                } else if bytes <= first.start {
                    0
                } else {
                    return None;
                }
            }
            // It goes over the end: there is room between its two parts.
            (Some(first), Some(last)) if bytes <= first.start - last.end => last.end,
            (Some(_), Some(_)) => return None,
            _ if bytes <= self.capacity => 0,
            _ => return None,
        };
        self.taken.push_back(start..start + bytes);
        Some(start)
    }

    /// Gives back what was taken first.
    fn give_back(&mut self) {
        self.taken.pop_front();
    }
}

/// The staging of one stream.
#[derive(Debug, Default)]
pub(super) struct Staging {
    memory: Option<Pinned>,
    ring: Ring,
    /// For each taken piece, in order: past it, the card has fetched it.
    fetched: VecDeque<Event>,
    spare: Vec<Event>,
}

impl Staging {
    /// Copies `from` to the card. The place lies within a block of the context.
    pub(super) fn upload(
        &mut self,
        context: &Arc<Context>,
        queue: &Queue,
        from: &[u8],
        to: Address,
    ) -> Result<(), CudaError> {
        for (index, piece) in from.chunks(PIECE).enumerate() {
            let event = match self.spare.pop() {
                Some(event) => event,
                None => Event::new(context)?,
            };
            let at = self.place(context, piece.len())?;
            let Some(memory) = &mut self.memory else {
                return Err(CudaError::Memory { wanted: piece.len() as u64, free: None });
            };
            // SAFETY: the ring gave this place, and gives it again only after the event, which comes after the copy.
            let copied = unsafe {
                memory.fill(at, piece).and_then(|()| {
                    queue.upload(memory, at, piece.len(), to + (index * PIECE) as Address)
                })
            };
            let recorded = copied.and_then(|()| queue.record(&event));
            if recorded.is_err() {
                // No event says when the card has fetched it.
                let _ = queue.finish();
                self.ring.taken.pop_back();
                self.spare.push(event);
                return recorded;
            }
            self.fetched.push_back(event);
        }
        Ok(())
    }

    /// Where `bytes` may be put.
    fn place(&mut self, context: &Arc<Context>, bytes: usize) -> Result<usize, CudaError> {
        // Ranges begin at multiples of what processors write at once.
        let bytes = bytes.next_multiple_of(256);
        while self.fetched.front().map_or(Ok(false), Event::is_past)? {
            self.release();
        }
        loop {
            if let Some(at) = self.ring.take(bytes) {
                return Ok(at);
            }
            if self.ring.capacity < MOST {
                self.grow(context, bytes)?;
                continue;
            }
            let Some(first) = self.fetched.front() else {
                return Err(CudaError::Memory { wanted: bytes as u64, free: None });
            };
            first.wait()?;
            self.release();
        }
    }

    fn release(&mut self) {
        self.spare.extend(self.fetched.pop_front());
        self.ring.give_back();
    }

    fn grow(&mut self, context: &Arc<Context>, bytes: usize) -> Result<(), CudaError> {
        while let Some(first) = self.fetched.front() {
            first.wait()?;
            self.release();
        }
        let capacity = (2 * self.ring.capacity).max(bytes.next_power_of_two()).clamp(FIRST, MOST);
        self.memory = None;
        self.ring = Ring::default();
        self.memory = Some(Pinned::new(context, capacity)?);
        self.ring.capacity = capacity;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_never_lie_on_each_other_and_all_of_the_ring_is_used() {
        let mut ring = Ring { capacity: 1000, taken: VecDeque::new() };
        let mut state = 1u64;
        let (mut refused, mut over_the_end) = (0, 0);
        for _ in 0..10_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (bytes, back) = ((state >> 40) as usize % 400 + 1, (state >> 33) % 3);
            for _ in 0..back {
                ring.give_back();
            }
            let Some(start) = ring.take(bytes) else {
                refused += 1;
                continue;
            };
            let mine = start..start + bytes;
            assert!(mine.end <= 1000);
            let others = ring.taken.iter().rev().skip(1);
            assert!(others.clone().all(|of| of.end <= mine.start || mine.end <= of.start));
            over_the_end += usize::from(others.clone().any(|of| of.start >= mine.end));
        }
        assert!(refused > 100 && over_the_end > 100, "{refused} {over_the_end}");
        ring.taken.clear();
        assert_eq!(ring.take(1001), None);
        assert_eq!(ring.take(1000), Some(0));
        assert_eq!(ring.take(1), None);
    }
}
