//! The card's memory: what was allocated where, and until when.

use std::collections::{BTreeMap, VecDeque};

use fcmae_cuda::driver::Address;

/// Fresh memory is full of these: no number in float32 and in bfloat16.
const POISON: u8 = 0xff;

/// The alignment that a card's driver promises.
const LINE: usize = 256;

/// Where the first allocation lies. Nothing that is a host's address or a small number is on the card.
const FIRST: Address = 0x00ca_0000_0000;

/// Bytes of an allocation, aligned.
#[derive(Clone, Copy)]
#[repr(C, align(256))]
struct Line([u8; LINE]);

/// Addresses are given once: what is freed is never there again, so that every later use of it is found.
#[derive(Default)]
pub(super) struct Memory {
    allocations: BTreeMap<Address, Allocation>,
    /// What was freed and may still be used by work that was handed over before, in the order of freeing.
    freed: VecDeque<Address>,
    /// Bytes that are allocated and not freed.
    held: u64,
    /// Bytes that are freed and not given back.
    kept: u64,
}

struct Allocation {
    /// Empty once no work can reach it any more.
    lines: Vec<Line>,
    bytes: usize,
    /// Work of this number and later ones may not use it.
    freed: Option<u64>,
}

impl Memory {
    /// Bytes that are allocated and not freed.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Bytes that are freed and still there for earlier work.
    pub(super) fn kept(&self) -> u64 {
        self.kept
    }

    /// Takes memory; `None` where this machine has not so much.
    pub(super) fn allocate(&mut self, bytes: usize) -> Option<Address> {
        let mut lines = Vec::new();
        lines.try_reserve_exact(bytes.div_ceil(LINE)).ok()?;
        lines.resize(bytes.div_ceil(LINE), Line([POISON; LINE]));
        // A line is left free between neighbours, so that no address is the end of one and the start of another.
        let last = self.allocations.last_key_value();
        let address = last.map_or(FIRST, |(address, allocation)| {
            address + (allocation.bytes.next_multiple_of(LINE) + LINE) as u64
        });
        self.allocations.insert(address, Allocation { lines, bytes, freed: None });
        self.held += bytes as u64;
        Some(address)
    }

    /// Keeps work of number `next` and later ones from an allocation.
    pub(super) fn free(&mut self, address: Address, next: u64) -> Result<(), String> {
        let Some(allocation) = self.allocations.get_mut(&address) else {
            return Err(format!("{address:#x} is the start of no allocation"));
        };
        if allocation.freed.is_some() {
            return Err(format!("{address:#x} was freed before"));
        }
        allocation.freed = Some(next);
        self.held -= allocation.bytes as u64;
        self.kept += allocation.bytes as u64;
        self.freed.push_back(address);
        Ok(())
    }

    /// Gives back what was freed, where all work that may use it is done: `oldest` is the number of the first that
    /// is not.
    pub(super) fn sweep(&mut self, oldest: u64) {
        while let Some(allocation) =
            self.freed.front().and_then(|address| self.allocations.get_mut(address))
        {
            if allocation.freed.is_some_and(|number| number > oldest) {
                return;
            }
            allocation.lines = Vec::new();
            self.kept -= allocation.bytes as u64;
            self.freed.pop_front();
        }
    }

    /// Where `bytes` from `at` on are, for work of a number.
    fn place(
        &mut self,
        number: u64,
        at: Address,
        bytes: usize,
    ) -> Result<(&mut Allocation, usize), String> {
        let range = format!("{bytes} bytes at {at:#x}");
        let Some((start, allocation)) = self.allocations.range_mut(..=at).next_back() else {
            return Err(format!("{range} are in no allocation"));
        };
        // More than there is anywhere, where it does not fit.
        let offset = usize::try_from(at - start).unwrap_or(usize::MAX);
        if offset > allocation.bytes {
            return Err(format!("{range} are in no allocation"));
        }
        let range = format!("{range}, byte {offset} of {}", allocation.bytes);
        if bytes > allocation.bytes - offset {
            return Err(format!("{range}, go beyond the end"));
        }
        let is_swept = allocation.lines.is_empty();
        if is_swept || allocation.freed.is_some_and(|freed| freed <= number) {
            return Err(format!("{range}, were freed"));
        }
        Ok((allocation, offset))
    }

    /// Where `bytes` from `at` on are on the host. They are there, initialized, until something is freed or allocated.
    pub(super) fn pointer(
        &mut self,
        number: u64,
        at: Address,
        bytes: usize,
    ) -> Result<*mut u8, String> {
        let (allocation, offset) = self.place(number, at, bytes)?;
        // Within the lines, as the range was compared with their bytes.
        Ok(allocation.lines.as_mut_ptr().cast::<u8>().wrapping_add(offset))
    }

    /// `bytes` from `at` on.
    pub(super) fn bytes(
        &mut self,
        number: u64,
        at: Address,
        bytes: usize,
    ) -> Result<&mut [u8], String> {
        let pointer = self.pointer(number, at, bytes)?;
        // SAFETY: as many initialized bytes are there, and stay and are reached in no other way while `self` is
        // borrowed.
        Ok(unsafe { std::slice::from_raw_parts_mut(pointer, bytes) })
    }
}
