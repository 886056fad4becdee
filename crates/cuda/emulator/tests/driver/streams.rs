//! The order of what two streams do.

use fcmae_cuda::driver::{Driver, Given, Mark, Stream, Work};
use fcmae_cuda_emulator::{Emulated, Order};

use crate::card::{LEN, add, bytes, card, filled, launch, numbers, room, told};

/// What a use of the card leaves in each order, written out: what is not a number is no equal of itself.
fn outcomes(case: impl Fn(&Emulated) -> Vec<f32>) -> [String; 3] {
    Order::ALL.map(|order| format!("{:?}", &case(&Emulated::new(order))[..2]))
}

const ONES: [f32; LEN] = [1.0; LEN];

/// A sum that begins with 1 and has what is copied beside the work added.
fn copied_then_added(card: &Emulated, waits: bool) -> Vec<f32> {
    let (sum, x) = (filled(card, &ONES), room(card, LEN));
    card.upload(Stream::Copies, &bytes(&[2.0; LEN]), x).unwrap();
    let mark = card.mark(Stream::Copies).unwrap();
    // What comes after the mark is not waited for.
    card.upload(Stream::Copies, &bytes(&[9.0; LEN]), room(card, LEN)).unwrap();
    if waits {
        card.wait(Stream::Work, mark).unwrap();
    }
    card.run(&[add(sum, x)]).unwrap();
    numbers(card, sum, LEN).unwrap()
}

#[test]
fn work_that_does_not_wait_for_a_copy_finds_nothing() {
    let found = outcomes(|card| copied_then_added(card, false));
    assert_eq!(found, ["[NaN, NaN]", "[3.0, 3.0]", "[NaN, NaN]"]);
    let found = outcomes(|card| copied_then_added(card, true));
    assert_eq!(found, ["[3.0, 3.0]"; 3]);
}

/// A sum of what lies there first, while the next comes.
fn added_then_replaced(card: &Emulated, waits: bool) -> Vec<f32> {
    let (sum, x) = (filled(card, &ONES), filled(card, &[2.0; LEN]));
    // So far nothing is left to be done.
    numbers(card, sum, LEN).unwrap();
    card.run(&[add(sum, x)]).unwrap();
    let mark = card.mark(Stream::Work).unwrap();
    if waits {
        card.wait(Stream::Copies, mark).unwrap();
    }
    card.upload(Stream::Copies, &bytes(&[5.0; LEN]), x).unwrap();
    numbers(card, sum, LEN).unwrap()
}

#[test]
fn a_copy_that_does_not_wait_for_work_is_before_it() {
    let found = outcomes(|card| added_then_replaced(card, false));
    assert_eq!(found, ["[3.0, 3.0]", "[6.0, 6.0]", "[3.0, 3.0]"]);
    let found = outcomes(|card| added_then_replaced(card, true));
    assert_eq!(found, ["[3.0, 3.0]"; 3]);
}

#[test]
fn a_copy_that_nobody_waits_for_can_be_late() {
    let case = |waits: bool| {
        outcomes(|card| {
            let x = filled(card, &ONES);
            let before = card.mark(Stream::Work).unwrap();
            card.wait(Stream::Copies, before).unwrap();
            card.upload(Stream::Copies, &bytes(&[2.0; LEN]), x).unwrap();
            let mark = card.mark(Stream::Copies).unwrap();
            if waits {
                card.wait(Stream::Work, mark).unwrap();
            }
            numbers(card, x, LEN).unwrap()
        })
    };
    assert_eq!(case(false), ["[2.0, 2.0]", "[2.0, 2.0]", "[1.0, 1.0]"]);
    assert_eq!(case(true), ["[2.0, 2.0]"; 3]);
}

/// Five batches in two places, each copied while the one before it is added: the sum is 1 + 1 + 2 + 3 + 4 + 5.
fn batches(card: &Emulated, waits_for_copies: bool, waits_for_work: bool) -> Vec<f32> {
    let sum = filled(card, &ONES);
    let places = [room(card, LEN), room(card, LEN)];
    let mut used: [Option<Mark>; 2] = [None; 2];
    for batch in 0..5 {
        let place = batch % 2;
        if let Some(mark) = used[place].filter(|_| waits_for_work) {
            card.wait(Stream::Copies, mark).unwrap();
        }
        let values = [batch as f32 + 1.0; LEN];
        card.upload(Stream::Copies, &bytes(&values), places[place]).unwrap();
        let mark = card.mark(Stream::Copies).unwrap();
        if waits_for_copies {
            card.wait(Stream::Work, mark).unwrap();
        }
        card.run(&[add(sum, places[place])]).unwrap();
        used[place] = Some(card.mark(Stream::Work).unwrap());
    }
    numbers(card, sum, LEN).unwrap()
}

#[test]
fn batches_that_wait_are_the_same_in_each_order() {
    assert_eq!(outcomes(|card| batches(card, true, true)), ["[16.0, 16.0]"; 3]);
    assert!(outcomes(|card| batches(card, false, true)).contains(&"[NaN, NaN]".to_owned()));
    // The last of each place, three times and twice.
    assert_eq!(outcomes(|card| batches(card, true, false))[1], "[24.0, 24.0]");
}

#[test]
fn a_stream_is_in_order_with_itself() {
    let found = outcomes(|card| {
        let x = room(card, LEN);
        for value in [1.0, 2.0, 3.0] {
            card.upload(Stream::Copies, &bytes(&[value; LEN]), x).unwrap();
            let own = card.mark(Stream::Copies).unwrap();
            card.wait(Stream::Copies, own).unwrap();
        }
        let mark = card.mark(Stream::Copies).unwrap();
        card.wait(Stream::Work, mark).unwrap();
        numbers(card, x, LEN).unwrap()
    });
    assert_eq!(found, ["[3.0, 3.0]"; 3]);
}

#[test]
fn nothing_is_done_before_the_host_waits() {
    for order in Order::ALL {
        let card = Emulated::new(order);
        let (sum, x) = (filled(&card, &ONES), filled(&card, &ONES));
        card.run(&[add(sum, x)]).unwrap();
        card.free_memory().unwrap();
        assert_eq!(card.counts().launches, 0);
        numbers(&card, sum, LEN).unwrap();
        assert_eq!(card.counts().launches, 1);
    }
}

#[test]
fn threads_run_either_way() {
    let found = [Order::Forward, Order::Backward].map(|order| {
        let card = Emulated::new(order);
        let out = room(&card, 1);
        let arguments = [Given::Span { at: out, bytes: 4, written: true }];
        card.run(&[launch("faulty_order", &arguments)]).unwrap();
        numbers(&card, out, 1).unwrap()[0].to_bits()
    });
    assert_eq!(found, [31, 0]);
}

#[test]
fn marks_are_of_their_card() {
    let card = card();
    assert!(told(card.wait(Stream::Work, Mark(1000))).ends_with("Work has no mark 1000"));
}

#[test]
fn copies_and_zeros_are_in_order_with_kernels() {
    let found = outcomes(|card| {
        let (sum, x) = (filled(card, &ONES), filled(card, &[2.0; LEN]));
        let copy = Work::Copy { from: sum, to: x, bytes: 4 };
        let clear = Work::Clear { at: x + 4, bytes: 4 };
        card.run(&[add(sum, x), copy, clear, add(sum, x)]).unwrap();
        numbers(card, sum, LEN).unwrap()
    });
    assert_eq!(found, ["[6.0, 3.0]"; 3]);
}

#[test]
fn threads_share_a_card() {
    let card: std::sync::Arc<dyn Driver> = std::sync::Arc::new(card());
    let sums: Vec<_> = (0..4).map(|_| filled(&*card, &ONES)).collect();
    std::thread::scope(|scope| {
        for &sum in &sums {
            let card = &card;
            scope.spawn(move || {
                for _ in 0..20 {
                    let x = filled(&**card, &ONES);
                    card.run(&[add(sum, x)]).unwrap();
                    card.free(x);
                    numbers(&**card, sum, LEN).unwrap();
                }
            });
        }
    });
    for sum in sums {
        assert_eq!(numbers(&*card, sum, LEN).unwrap(), [21.0; LEN]);
    }
}
