//! Which blocks of a card's memory are held, and which were given back and wait to be used again.

use std::collections::BTreeMap;

use super::context::{Block, Event};
use crate::driver::Address;

/// A block that was given back, and the places in the streams' orders after which nothing uses it.
#[derive(Debug)]
pub(super) struct Freed {
    pub(super) block: Block,
    pub(super) after: Vec<Event>,
}

/// A card's blocks. There are few, and the same sizes come again (a pass has one), so that a freed block is kept for
/// the next of its size, until memory runs out.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    held: BTreeMap<Address, Block>,
    freed: Vec<Freed>,
}

impl Blocks {
    /// Notes a block that somebody holds now, and says where it is.
    pub(super) fn hold(&mut self, mut block: Block) -> Address {
        let address = block.address;
        block.sent = None;
        self.held.insert(address, block);
        address
    }

    /// Notes when a copy beside the work has gone to an address.
    pub(super) fn note_sent(&mut self, at: Address, sent: Event) {
        if let Some((_, block)) = self.held.range_mut(..=at).next_back() {
            block.sent = Some(sent);
        }
    }

    /// Takes a block out of those that are held.
    pub(super) fn release(&mut self, address: Address) -> Option<Block> {
        self.held.remove(&address)
    }

    /// Keeps a block that was given back.
    pub(super) fn keep(&mut self, freed: Freed) {
        self.freed.push(freed);
    }

    /// A block of this size that was given back, the first such.
    pub(super) fn again(&mut self, bytes: usize) -> Option<Freed> {
        let at = self.freed.iter().position(|freed| freed.block.bytes == bytes)?;
        Some(self.freed.remove(at))
    }

    /// All blocks that were given back.
    pub(super) fn drain(&mut self) -> Vec<Freed> {
        std::mem::take(&mut self.freed)
    }

    /// Bytes of blocks that were given back.
    pub(super) fn kept(&self) -> u64 {
        self.freed.iter().map(|freed| freed.block.bytes as u64).sum()
    }

    /// Whether bytes lie within a block that is held.
    pub(super) fn has(&self, at: Address, bytes: usize) -> bool {
        let block = self.held.range(..=at).next_back().map(|(_, block)| block);
        block.is_some_and(|block| lies_within(at, bytes, block.address, block.bytes))
    }
}

fn lies_within(at: Address, bytes: usize, start: Address, len: usize) -> bool {
    let (bytes, len) = (bytes as u64, len as u64);
    at.checked_sub(start).is_some_and(|skipped| skipped <= len && bytes <= len - skipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_beyond_a_block_are_not_within_it() {
        for (at, bytes, within) in [
            (1000, 256, true),
            (1000, 257, false),
            (1100, 156, true),
            (1100, 157, false),
            (1256, 0, true),
            (1256, 1, false),
            (999, 1, false),
            (1010, usize::MAX, false),
            (u64::MAX, 1, false),
        ] {
            assert_eq!(lies_within(at, bytes, 1000, 256), within, "{at} {bytes}");
        }
    }
}
