use std::collections::HashMap;
use std::sync::Barrier;
use std::thread;

use fcmae_kernels::KernelError;
use fcmae_kernels::memory::{Memory, Piece};
use rand::RngExt;

use crate::compare::generator;

#[test]
fn pieces_lie_side_by_side_and_start_as_zeros() {
    let memory = Memory::new(100).unwrap();
    assert_eq!(memory.len(), 100);
    let mut pieces = [(0, 40), (40, 1), (41, 59)].map(|(start, len)| {
        let piece = memory.take(start, len).unwrap();
        assert_eq!(*piece, vec![0.0; len]);
        piece
    });
    assert_eq!(pieces[0].as_ptr().addr() % 64, 0);
    for (value, piece) in [1.0, 2.0, 3.0].iter().zip(&mut pieces) {
        piece.fill(*value);
    }
    assert_eq!(memory.live_pieces(), 3);
    drop(pieces);
    assert_eq!(memory.live_pieces(), 0);
    let all = memory.take(0, 100).unwrap();
    let expected = [vec![1.0; 40], vec![2.0; 1], vec![3.0; 59]].concat();
    assert_eq!(*all, expected, "what was written stays, each piece in its place");
}

#[test]
fn every_memory_is_aligned() {
    let memories: Vec<Memory> = (0..40).map(|len| Memory::new(len * 7).unwrap()).collect();
    for memory in &memories {
        let all = memory.take(0, memory.len()).unwrap();
        assert_eq!(all.as_ptr().addr() % 64, 0, "{memory:?}");
        assert!(all.iter().all(|value| *value == 0.0));
    }
}

#[test]
fn threads_write_their_own_pieces_at_once() {
    const THREADS: usize = 4;
    const LEN: usize = 10_001;
    let memory = Memory::new(THREADS * LEN).unwrap();
    let together = Barrier::new(THREADS);
    thread::scope(|scope| {
        for index in 0..THREADS {
            let (memory, together) = (memory.clone(), &together);
            scope.spawn(move || {
                let own = memory.take(index * LEN, LEN);
                together.wait();
                let others = memory.take((index + 1) % THREADS * LEN, 1);
                together.wait();
                assert!(others.is_err());
                let mut own = own.unwrap();
                for round in 0..20 {
                    let value = |i: usize| (round * i + index) as f32;
                    own.iter_mut().enumerate().for_each(|(i, own)| *own = value(i));
                    assert!(own.iter().enumerate().all(|(i, own)| *own == value(i)));
                }
            });
        }
    });
    for index in 0..THREADS {
        assert_eq!(memory.take(index * LEN, 2).unwrap()[..], [index as f32, (19 + index) as f32]);
    }
}

#[test]
fn a_piece_may_be_sent_and_outlives_its_memory() {
    let memory = Memory::new(8).unwrap();
    let mut piece = memory.take(2, 4).unwrap();
    drop(memory);
    let piece = thread::spawn(move || {
        piece.fill(5.0);
        piece
    });
    assert_eq!(*piece.join().unwrap(), [5.0; 4]);
}

#[test]
fn what_is_alive_or_absent_is_refused() {
    let memory = Memory::new(100).unwrap();
    let first = memory.take(10, 20).unwrap();
    let second = memory.take(50, 10).unwrap();
    for (start, len, other, other_len) in [
        (10, 20, 10, 20),
        (0, 11, 10, 20),
        (29, 1, 10, 20),
        (15, 2, 10, 20),
        (0, 50, 10, 20),
        (0, 100, 50, 10),
        (59, 41, 50, 10),
    ] {
        let error = memory.take(start, len).unwrap_err();
        assert_eq!(error, KernelError::PieceOverlap { start, len, other, other_len });
    }
    let message = memory.take(0, 11).unwrap_err().to_string();
    for word in ["11 values from 0", "20 from 10"] {
        assert!(message.contains(word), "{message}");
    }
    for (start, len) in [(100, 1), (60, 41), (101, 0), (usize::MAX, 2), (1, usize::MAX)] {
        let error = memory.take(start, len).unwrap_err();
        assert_eq!(error, KernelError::PieceOutside { start, len, memory: 100 });
        assert!(error.to_string().contains("100 values"), "{error}");
    }
    // What was refused isn't taken.
    let between = [memory.take(0, 10), memory.take(30, 20), memory.take(60, 40)];
    assert!(between.iter().all(Result::is_ok));
    drop(first);
    let again = memory.take(12, 18).unwrap();
    assert!(memory.take(9, 2).is_err() && memory.take(10, 2).is_ok());
    drop((second, again));
}

#[test]
fn pieces_of_no_values_are_nobodys() {
    let memory = Memory::new(10).unwrap();
    let _all = memory.take(0, 10).unwrap();
    for start in [0, 5, 10] {
        let empty = [memory.take(start, 0).unwrap(), memory.take(start, 0).unwrap()];
        assert!(empty.iter().all(|piece| piece.is_empty()));
    }
    assert!(memory.take(0, 10).is_err(), "an empty piece that goes frees nothing");
    let none = Memory::new(0).unwrap();
    assert!(none.is_empty() && none.take(0, 0).unwrap().is_empty());
    assert!(none.take(0, 1).is_err());
}

#[test]
fn too_much_is_refused() {
    for len in [usize::MAX, usize::MAX / 4, isize::MAX as usize / 4] {
        assert!(matches!(Memory::new(len), Err(KernelError::Overflow { .. })), "{len}");
    }
    assert!(matches!(Memory::new(isize::MAX as usize / 5), Err(KernelError::Allocation { .. })));
}

#[test]
fn dead_pieces_are_poisoned_where_asked() {
    for (memory, poisons) in
        [(Memory::poisoning(20).unwrap(), true), (Memory::new(20).unwrap(), false)]
    {
        let mut kept = memory.take(0, 5).unwrap();
        let mut dropped = memory.take(5, 10).unwrap();
        kept.fill(1.0);
        dropped.fill(2.0);
        drop(dropped);
        assert_eq!(*kept, [1.0; 5]);
        let rest = memory.take(5, 15).unwrap();
        assert!(rest[..10].iter().all(|v| if poisons { v.is_nan() } else { *v == 2.0 }));
        assert_eq!(rest[10..], [0.0; 5]);
    }
}

/// Against a flag for each value.
#[test]
fn takes_are_granted_exactly_where_nothing_is_alive() {
    const LEN: usize = 300;
    let rng = &mut generator(91);
    let memory = Memory::new(LEN).unwrap();
    let mut live: HashMap<usize, Piece> = HashMap::new();
    let mut taken = [false; LEN];
    let (mut granted, mut refused) = (0, 0);
    for _ in 0..4000 {
        let (start, len) = (rng.random_range(0..LEN), rng.random_range(1..12));
        if rng.random_range(0..3) == 0 {
            if let Some(piece) = live.remove(&start) {
                taken[start..][..piece.len()].fill(false);
            }
            continue;
        }
        let free = taken.get(start..start + len).is_some_and(|range| !range.contains(&true));
        match memory.take(start, len) {
            Ok(piece) => {
                assert!(free, "{start}, {len} was granted");
                taken[start..][..len].fill(true);
                live.insert(start, piece);
                granted += 1;
            }
            Err(error) => {
                assert!(!free, "{error}");
                refused += 1;
            }
        }
    }
    assert!(granted > 300 && refused > 300, "{granted} granted, {refused} refused");
}

#[cfg(target_os = "linux")]
#[test]
fn pages_are_untouched_until_written() {
    // Bytes of this process that are in memory.
    let resident = || -> usize {
        let status = std::fs::read_to_string("/proc/self/statm").unwrap();
        status.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
    };
    const LEN: usize = 1 << 28;
    let before = resident();
    let memory = Memory::new(LEN).unwrap();
    let all = memory.take(0, LEN).unwrap();
    // A gibibyte; other tests run meanwhile.
    let grown = resident().saturating_sub(before);
    assert!(grown < LEN, "{grown} bytes were touched");
    assert_eq!(all[LEN - 1], 0.0);
}
