//! Faults that are put into targets are found.
#![allow(clippy::unwrap_used)]

use std::panic::catch_unwind;

use fcmae_fuzz::driver::{self, Summary};
use fcmae_fuzz::{Outcome, Target, repair};

fn findings(run: fn(&[u8]) -> Outcome) -> Summary {
    let corpus = || vec![b"an ordinary file".to_vec()];
    let target =
        Target { name: "planted", run, corpus, words: &[b"!"], repair: repair::nothing, short: 0 };
    driver::run(&target, &[], 2000, 0)
}

fn is_hit(bytes: &[u8]) -> bool {
    bytes.contains(&b'!')
}

#[test]
fn nothing_is_found_where_nothing_is() {
    let summary = findings(|bytes| if is_hit(bytes) { Err("refused".to_owned()) } else { Ok(()) });
    assert!(summary.findings.is_empty(), "{summary}");
    assert!(summary.executions == 2001 && summary.refusals == 1, "{summary}");
    assert!((1..2001).contains(&summary.accepted), "{summary}");
}

#[test]
fn panics_are_found_once_and_where_they_are_caught_too() {
    let escaped = findings(|bytes| {
        assert!(!is_hit(bytes), "planted");
        Ok(())
    });
    let caught = findings(|bytes| {
        let _ = catch_unwind(|| assert!(!is_hit(bytes), "planted"));
        Ok(())
    });
    for summary in [escaped, caught] {
        let [finding] = &summary.findings[..] else { panic!("{:?}", summary.findings) };
        assert!(finding.contains("planted.rs:") && finding.contains("planted"), "{finding}");
        let file = finding.split("the file: ").nth(1).unwrap().split(';').next().unwrap();
        assert!(is_hit(&std::fs::read(file).unwrap()), "{finding}");
    }
}

#[test]
fn memory_is_found_that_is_only_asked_for() {
    let summary = findings(|bytes| {
        let room = if is_hit(bytes) { 100 << 20 } else { 1 << 20 };
        drop(std::hint::black_box(Vec::<u8>::with_capacity(room)));
        Ok(())
    });
    let [finding] = &summary.findings[..] else { panic!("{:?}", summary.findings) };
    // Other threads of the test may give some back meanwhile.
    let taken = finding.split("it takes ").nth(1).and_then(|rest| rest.split(' ').next());
    let taken: u32 = taken.unwrap().parse().unwrap();
    assert!((95..=105).contains(&taken), "{finding}");
}

#[test]
fn files_to_begin_with_must_be_read() {
    let none = catch_unwind(|| findings(|_| Err("refused".to_owned())));
    assert!(none.is_err());
}
