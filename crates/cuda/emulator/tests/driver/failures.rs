//! What fails, when it is told, and what comes after.

use fcmae_cuda::driver::{Driver, Given, Graph, Mark, Stream, Work};
use fcmae_cuda_emulator::Emulated;

use crate::card::{LEN, add, bytes, card, count, filled, launch, numbers, room, span, told};

/// Adds one number more than there are.
fn too_far(card: &Emulated) -> Work<'static> {
    let (sum, x) = (filled(card, &[0.0; LEN]), filled(card, &[1.0; LEN]));
    launch("accumulate", &[span(sum, LEN, true), span(x, LEN, false), count(LEN + 1)])
}

#[test]
fn the_first_failure_is_told_where_the_host_waits_and_ever_after() {
    let card = card();
    let (sum, x) = (filled(&card, &[0.0; LEN]), filled(&card, &[1.0; LEN]));
    let graph = card.record(&[add(sum, x)]).unwrap();
    card.run(&[add(sum, x), too_far(&card)]).unwrap();
    // Would fail too, later.
    card.run(&[Work::Clear { at: 1, bytes: 1 }]).unwrap();
    let expected =
        "launch failed on emulated: accumulate: block (1, 0, 0), thread (8, 0, 0): index 40 of 40";
    assert_eq!(told(numbers(&card, sum, LEN)), expected);
    let later = [
        told(numbers(&card, sum, LEN)),
        told(card.allocate(1)),
        told(card.free_memory()),
        told(card.upload(Stream::Copies, &[1], sum)),
        told(card.run(&[add(sum, x)])),
        told(card.record(&[add(sum, x)])),
        told(card.replay(graph)),
        told(card.replay(Graph(77))),
        told(card.mark(Stream::Work)),
        told(card.wait(Stream::Work, Mark(0))),
    ];
    for said in later {
        assert_eq!(said, expected);
    }
    // Two launches were begun, and what is held is still given back.
    assert_eq!(card.counts().launches, 2);
    let held = card.counts().bytes;
    card.free(x);
    assert_eq!(card.counts().bytes, held - 160);
    card.forget(graph);
    assert_eq!(card.counts().graphs, 0);
}

#[test]
fn what_cannot_be_done_is_told_before_it_is_handed_over() {
    let sum = span(256, LEN, true);
    let read = span(1024, LEN, false);
    let none = launch("accumulated", &[]);
    let few = launch("accumulate", &[sum, read]);
    let short = launch("accumulate", &[sum, read, Given::Number([0; 8], 4)]);
    let long = launch("accumulate", &[sum, read, Given::Number([0; 8], 9)]);
    let unwritten = launch("accumulate", &[read, read, count(LEN)]);
    let askew = launch("accumulate", &[span(258, LEN, true), read, count(LEN)]);
    let arguments = [sum, read, count(LEN)];
    let sized = |grid, block| Work::Launch {
        kernel: "accumulate",
        grid,
        block,
        arguments: arguments.as_slice().into(),
    };
    let cases = [
        (none, "launch failed on emulated: there is no kernel `accumulated`; there are "),
        (few, "launch failed on emulated: accumulate: wants 3 arguments"),
        (short, "launch failed on emulated: accumulate: argument 2 has 4 bytes and not 8"),
        (long, "launch failed on emulated: accumulate: a number of 9 bytes"),
        (
            unwritten,
            "launch failed on emulated: accumulate: argument 0 is written, and was given to read",
        ),
        (askew, "launch failed on emulated: accumulate: argument 0 is not of values of 4 bytes"),
        (
            sized([0, 1, 1], [32, 1, 1]),
            "launch failed on emulated: accumulate: a grid that no card takes",
        ),
        (
            sized([1, 1, 1], [1025, 1, 1]),
            "launch failed on emulated: accumulate: a block that no card takes",
        ),
        (
            sized([1, 1, 1], [65536, 65536, 1]),
            "launch failed on emulated: accumulate: a block that no card takes",
        ),
        (
            Work::Copy { from: 256, to: 300, bytes: 45 },
            "copy failed on emulated: 45 bytes from 0x100 to 0x12c overlap",
        ),
    ];
    for (work, expected) in cases {
        let work = [work];
        for said in [told(card().run(&work)), told(card().record(&work))] {
            assert!(said.starts_with(expected), "{said}");
        }
    }
    card().run(&[Work::Copy { from: 256, to: 301, bytes: 45 }]).unwrap();
}

#[test]
fn a_card_can_be_lost_at_each_piece_of_work() {
    let pass = |card: &Emulated| {
        let (sum, x) = (room(card, LEN), room(card, LEN));
        card.upload(Stream::Work, &bytes(&[1.0; LEN]), x)?;
        card.run(&[Work::Clear { at: sum, bytes: 4 * LEN }, add(sum, x)])?;
        card.run(&[Work::Copy { from: sum, to: x, bytes: 4 }])?;
        numbers(card, sum, LEN)
    };
    for (pieces, call) in ["upload", "clear", "launch", "copy", "download"].iter().enumerate() {
        let card = card();
        card.fail_after(pieces as u64);
        let expected = format!("{call} failed on emulated: the card is gone");
        assert_eq!(told(pass(&card)), expected);
        assert_eq!(told(card.allocate(1)), expected);
    }
    let card = card();
    card.fail_after(5);
    assert_eq!(pass(&card).unwrap(), [1.0; LEN]);
}
