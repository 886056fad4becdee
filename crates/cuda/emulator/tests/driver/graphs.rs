//! Work that is recorded.

use fcmae_cuda::driver::{Driver, Graph, Stream};
use fcmae_cuda_emulator::{Emulated, Order};

use crate::card::{LEN, add, bytes, card, count, filled, launch, numbers, span, told};

#[test]
fn recorded_work_is_done_with_what_lies_there() {
    for order in Order::ALL {
        let card = Emulated::new(order);
        let (sum, x) = (filled(&card, &[0.0; LEN]), filled(&card, &[7.0; LEN]));
        let graph = {
            let name = String::from("accumulate");
            let arguments = [span(sum, LEN, true), span(x, LEN, false), count(LEN)];
            card.record(&[launch(&name, &arguments), add(sum, x)]).unwrap()
        };
        assert_eq!(numbers(&card, sum, LEN).unwrap(), [0.0; LEN], "recording is not doing");
        for value in [1.0, 10.0] {
            card.upload(Stream::Work, &bytes(&[value; LEN]), x).unwrap();
            card.replay(graph).unwrap();
        }
        assert_eq!(numbers(&card, sum, LEN).unwrap(), [22.0; LEN]);
        let counts = card.counts();
        assert_eq!((counts.replays, counts.launches), (2, 4));
    }
}

#[test]
fn what_was_forgotten_is_done_where_it_was_handed_over_before_and_never_again() {
    let card = card();
    let (sum, x) = (filled(&card, &[1.0; LEN]), filled(&card, &[1.0; LEN]));
    let graphs = [0, 1].map(|_| card.record(&[add(sum, x)]).unwrap());
    assert_ne!(graphs[0], graphs[1]);
    card.replay(graphs[0]).unwrap();
    card.forget(graphs[0]);
    assert_eq!(numbers(&card, sum, LEN).unwrap(), [2.0; LEN]);
    card.replay(graphs[1]).unwrap();
    assert_eq!(numbers(&card, sum, LEN).unwrap(), [3.0; LEN]);
    let said = told(card.replay(graphs[0]));
    assert_eq!(said, "replay failed on emulated: there is no graph 0, or it was forgotten");
}

#[test]
fn a_graph_is_forgotten_once() {
    let card = card();
    card.forget(Graph(3));
    assert_eq!(told(card.free_memory()), "forget failed on emulated: there is no graph 3");
}

#[test]
fn a_graph_does_not_keep_its_memory() {
    let card = card();
    let (sum, x) = (filled(&card, &[1.0; LEN]), filled(&card, &[1.0; LEN]));
    let graph = card.record(&[add(sum, x)]).unwrap();
    card.replay(graph).unwrap();
    card.free(x);
    assert_eq!(numbers(&card, sum, LEN).unwrap(), [2.0; LEN]);
    card.replay(graph).unwrap();
    assert!(told(numbers(&card, sum, LEN)).ends_with("byte 0 of 160, were freed"));
}
