//! Fault 24: every target, for a moment. `FCMAE_FUZZ` is a number of executions instead, for a longer look:
//!
//! ```text
//! FCMAE_FUZZ=1000000 cargo test --release -p fcmae-fuzz -- --nocapture pth
//! ```
//! `FCMAE_FUZZ_SEED` is a number from which other files follow.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use fcmae_fuzz::{driver, targets};

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is {value}; give a number")))
}

/// The files of `regressions` for this target.
fn kept(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions").join(name);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
}

fn fuzz(name: &str) {
    let target = targets::ALL.into_iter().find(|target| target.name == name).unwrap();
    let executions = number("FCMAE_FUZZ").unwrap_or(target.short);
    let seed = number("FCMAE_FUZZ_SEED").unwrap_or(0);
    let summary = driver::run(&target, &kept(name), executions, seed);
    println!("{name}: {summary}");
    assert!(summary.findings.is_empty(), "{}", summary.findings.join("\n"));
}

/// What is made right again stays what it was where it was right.
#[test]
fn a_whole_file_is_read_as_before_once_it_is_repaired() {
    for target in targets::ALL {
        for bytes in (target.corpus)() {
            let repaired = (target.repair)(&bytes, bytes.clone());
            let outcomes = [&bytes, &repaired].map(|bytes| (target.run)(bytes));
            assert_eq!(outcomes[0], outcomes[1], "{}", target.name);
        }
    }
}

macro_rules! tests {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                fuzz(stringify!($name));
            }
        )*

        #[test]
        fn every_target_has_its_test() {
            assert_eq!(targets::ALL.map(|target| target.name), [$(stringify!($name)),*]);
        }
    };
}

tests! {
    pth safetensors tar parquet jpeg png tiff bmp gif webp list recipe weights description run embeddings_parquet
    embeddings_npy embeddings_csv
}
