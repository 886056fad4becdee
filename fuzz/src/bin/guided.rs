//! A target under libFuzzer, which keeps files that reach new code. See docs/faults.md for how it is
//! built; the environment variable `FCMAE_FUZZ_TARGET` is the name of the target.
#![no_main]

use std::panic;
use std::sync::LazyLock;

use fcmae_fuzz::random::Random;
use fcmae_fuzz::{Target, driver, targets};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FCMAE_FUZZ_TARGET").unwrap_or_default();
    let names = || targets::ALL.map(|target| target.name).join(", ");
    let target = targets::ALL.into_iter().find(|target| target.name == name);
    target.unwrap_or_else(|| panic!("FCMAE_FUZZ_TARGET is {name}; give one of {}", names()))
});

fuzz_target!(
    init: {
        // Panics in dependencies that the library catches are no findings, as in the driver; libFuzzer ends
        // with the first of any.
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info.location().map_or("", |location| location.file());
            if driver::is_own(place) {
                usual(info);
            }
        }));
        // Files to begin with: where a folder for them is given.
        if let Ok(folder) = std::env::var("FCMAE_FUZZ_CORPUS") {
            for (number, bytes) in (TARGET.corpus)().iter().enumerate() {
                let path = std::path::Path::new(&folder).join(format!("fixture-{number}"));
                std::fs::write(&path, bytes).unwrap_or_else(|error| panic!("{folder}: {error}"));
            }
        }
    },
    |bytes: &[u8]| {
        let _ = (TARGET.run)(bytes);
    }
);

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let base = data[..size].to_vec();
    let size = fuzzer_mutate(data, size, max_size);
    if Random::new(seed.into()).one_in(4) {
        return size;
    }
    let mut repaired = (TARGET.repair)(&base, data[..size].to_vec());
    repaired.truncate(max_size);
    data[..repaired.len()].copy_from_slice(&repaired);
    repaired.len()
});
