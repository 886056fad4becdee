//! What is where, and until when.

use fcmae_cuda::CudaError;
use fcmae_cuda::driver::{Address, Driver, Given, Stream, Work};
use fcmae_cuda_emulator::{Emulated, Order};

use crate::card::{LEN, add, bytes, card, count, filled, launch, numbers, room, span, told};

/// Something that is done with memory.
type Use = fn(&dyn Driver, Address);

#[test]
fn fresh_memory_holds_no_numbers() {
    let card = card();
    let at = room(&card, LEN);
    assert!(numbers(&card, at, LEN).unwrap().iter().all(|value| value.is_nan()));
    let mut halves = [0; 2];
    card.download(at, &mut halves).unwrap();
    assert!(f32::from_bits(u32::from(u16::from_ne_bytes(halves)) << 16).is_nan());
}

#[test]
fn addresses_are_aligned_and_never_given_twice() {
    let card = card();
    let mut addresses = Vec::new();
    for bytes in [1, 256, 257, 5000] {
        for _ in 0..3 {
            let at = card.allocate(bytes).unwrap();
            assert_eq!(at % 256, 0);
            card.free(at);
            addresses.push(at);
        }
    }
    let len = addresses.len();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), len);
}

/// What is said at the next download where `use_of` hands over work that uses memory of [`LEN`] numbers.
fn end_of(prepare: impl Fn(&dyn Driver, Address), use_of: impl Fn(&dyn Driver, Address)) -> String {
    let card = card();
    let (at, other) = (filled(&card, &[1.0; LEN]), filled(&card, &[1.0; LEN]));
    prepare(&card, at);
    use_of(&card, at);
    let said = told(numbers(&card, other, LEN));
    said.replace(&format!("{at:#x}"), "AT")
}

#[test]
fn what_was_freed_is_not_there_for_later_work() {
    let uses: [(&str, Use); 3] = [
        ("upload", |card, at| card.upload(Stream::Work, &[0; 8], at).unwrap()),
        ("clear", |card, at| card.run(&[Work::Clear { at, bytes: 8 }]).unwrap()),
        ("launch", |card, at| card.run(&[add(room(card, LEN), at)]).unwrap()),
    ];
    for (call, use_of) in uses {
        let said = end_of(|card, at| card.free(at), use_of);
        assert!(said.starts_with(&format!("{call} failed on emulated: ")), "{said}");
        assert!(said.ends_with("bytes at AT, byte 0 of 160, were freed"), "{said}");
    }
    let card = card();
    let at = room(&card, LEN);
    card.free(at);
    assert!(told(numbers(&card, at, LEN)).ends_with("were freed"));
}

#[test]
fn what_is_freed_stays_for_earlier_work() {
    let card = card();
    let (sum, x) = (filled(&card, &[1.0; LEN]), filled(&card, &[2.0; LEN]));
    card.run(&[add(sum, x)]).unwrap();
    card.free(x);
    // Neither what is freed later nor what is allocated gets in its way.
    card.free(filled(&card, &[3.0; LEN]));
    room(&card, LEN);
    assert_eq!(numbers(&card, sum, LEN).unwrap(), [3.0; LEN]);
}

#[test]
fn what_is_freed_is_kept_no_longer_than_for_earlier_work() {
    let card = card();
    let [unused, used] = [0, 1].map(|_| room(&card, LEN));
    card.free(unused);
    assert_eq!(card.counts().kept, 0);
    card.run(&[Work::Clear { at: used, bytes: 1 }]).unwrap();
    card.free(used);
    assert_eq!(card.counts().kept, 160);
    numbers(&card, room(&card, 1), 1).unwrap();
    assert_eq!(card.counts().kept, 0);
    // After a failure nothing is done any more.
    let [early, late] = [0, 1].map(|_| room(&card, LEN));
    card.run(&[Work::Clear { at: early, bytes: 1 }]).unwrap();
    card.free(early);
    assert_eq!(card.counts().kept, 160);
    card.run(&[launch("accumulated", &[])]).unwrap_err();
    assert_eq!(card.counts().kept, 0);
    card.free(late);
    let counts = card.counts();
    assert_eq!((counts.bytes, counts.kept), (4, 0));
}

#[test]
fn what_is_kept_for_earlier_work_is_not_there_for_later() {
    let card = Emulated::new(Order::Late);
    let at = room(&card, LEN);
    // Nobody waits for this copy.
    card.upload(Stream::Copies, &[0; 4], at).unwrap();
    card.free(at);
    card.run(&[Work::Clear { at, bytes: 4 }]).unwrap();
    assert_eq!(card.counts().kept, 160);
    assert!(told(numbers(&card, room(&card, 1), 1)).ends_with("byte 0 of 160, were freed"));
}

#[test]
fn what_goes_beyond_the_end_is_told() {
    let uses: [(&str, Use); 6] = [
        (
            "upload failed on emulated: 161 bytes at AT, byte 0 of 160, go beyond the end",
            |card, at| {
                card.upload(Stream::Work, &[0; 161], at).unwrap();
            },
        ),
        (
            "clear failed on emulated: 4 bytes at AT, byte 157 of 160, go beyond the end",
            |card, at| {
                card.run(&[Work::Clear { at: at + 157, bytes: 4 }]).unwrap();
            },
        ),
        (
            "copy failed on emulated: from: 8 bytes at AT, byte 156 of 160, go beyond the end",
            |card, at| {
                let to = room(card, LEN);
                card.run(&[Work::Copy { from: at + 156, to, bytes: 8 }]).unwrap();
            },
        ),
        (
            "copy failed on emulated: to: 160 bytes at AT, byte 1 of 160, go beyond the end",
            |card, at| {
                let from = room(card, LEN);
                card.run(&[Work::Copy { from, to: at + 1, bytes: 160 }]).unwrap();
            },
        ),
        (
            "launch failed on emulated: accumulate: argument 1: 160 bytes at AT, byte 4 of 160, go beyond the end",
            |card, at| card.run(&[add(room(card, LEN), at + 4)]).unwrap(),
        ),
        ("upload failed on emulated: 4 bytes at AT are in no allocation", |card, at| {
            card.upload(Stream::Work, &[0; 4], at + 161).unwrap();
        }),
    ];
    for (expected, use_of) in uses {
        let said = end_of(|_, _| (), use_of);
        // The address that is told is where the range begins.
        let (before, after) = said.split_once(" at ").unwrap();
        let end = after.find([',', ' ']).unwrap();
        assert_eq!(format!("{before} at AT{}", &after[end..]), expected);
    }
}

#[test]
fn the_last_bytes_are_there() {
    let card = card();
    let at = filled(&card, &[1.0; LEN]);
    card.run(&[Work::Clear { at: at + 156, bytes: 4 }]).unwrap();
    assert_eq!(numbers(&card, at, LEN).unwrap()[LEN - 2..], [1.0, 0.0]);
    assert!(told(numbers(&card, at, LEN + 1)).ends_with("byte 0 of 160, go beyond the end"));
}

#[test]
fn small_numbers_and_addresses_of_the_host_are_not_on_the_card() {
    let host = [0u8; 8];
    for at in [0, 1, host.as_ptr() as u64, u64::MAX] {
        let card = card();
        room(&card, 1);
        assert!(told(card.download(at, &mut [0; 8])).ends_with("are in no allocation"));
    }
}

#[test]
fn memory_is_freed_once_and_whole() {
    let frees: [(&str, Use); 3] = [
        ("was freed before", |card, at| (0..2).for_each(|_| card.free(at))),
        ("is the start of no allocation", |card, at| card.free(at + 4)),
        ("is the start of no allocation", |card, _| card.free(0)),
    ];
    for (expected, free) in frees {
        let card = card();
        let at = room(&card, LEN);
        free(&card, at);
        let said = told(card.free_memory());
        assert!(said.starts_with("free failed on emulated: "), "{said}");
        assert!(said.ends_with(expected), "{said}");
    }
}

#[test]
fn a_card_that_is_full_says_so_and_goes_on() {
    let card = card().with_memory(1000);
    assert_eq!(card.facts().memory, 1000);
    let first = card.allocate(600).unwrap();
    match card.allocate(401) {
        Err(CudaError::Memory { wanted: 401, free: Some(400) }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(card.free_memory().unwrap(), 400);
    let second = card.allocate(400).unwrap();
    assert_eq!(card.free_memory().unwrap(), 0);
    card.free(first);
    assert_eq!(card.counts().bytes, 400);
    card.allocate(600).unwrap();
    card.upload(Stream::Work, &[7; 400], second).unwrap();
    let mut found = [0; 400];
    card.download(second, &mut found).unwrap();
    assert_eq!(found, [7; 400]);
}

#[test]
fn no_bytes_are_no_allocation() {
    let card = card();
    assert!(told(card.allocate(0)).contains("no bytes were asked for"));
}

#[test]
fn what_is_held_is_counted() {
    let card = card();
    let (a, b) = (room(&card, LEN), card.allocate(3).unwrap());
    assert_eq!(card.counts().bytes, 163);
    let graph = card.record(&[Work::Clear { at: b, bytes: 3 }]).unwrap();
    assert_eq!(card.counts().graphs, 1);
    card.forget(graph);
    card.free(a);
    card.free(b);
    let counts = card.counts();
    assert_eq!((counts.bytes, counts.graphs), (0, 0));
}

#[test]
fn a_kernel_can_do_without_some_values() {
    let card = card();
    let (x, y) = (filled(&card, &[1.0; LEN]), filled(&card, &[2.0; LEN]));
    let out = room(&card, LEN);
    let read = |at| span(at, LEN, false);
    let mut arguments =
        [read(x), read(y), Given::Nothing, span(out, LEN, true), count(LEN), count(4)];
    card.run(&[launch("residual_forward<float>", &arguments)]).unwrap();
    assert_eq!(numbers(&card, out, LEN).unwrap(), [3.0; LEN]);
    arguments[0] = Given::Nothing;
    card.run(&[launch("residual_forward<float>", &arguments)]).unwrap();
    assert!(told(numbers(&card, out, LEN)).ends_with("values 0 to 3 of 0"));
}

#[test]
fn uploads_take_the_bytes_of_their_call() {
    let card = card();
    let at = room(&card, 2);
    let mut values = bytes(&[1.0, 2.0]);
    card.upload(Stream::Work, &values, at).unwrap();
    values.fill(0);
    assert_eq!(numbers(&card, at, 2).unwrap(), [1.0, 2.0]);
}
