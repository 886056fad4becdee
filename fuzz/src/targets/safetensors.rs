//! Safetensors: names, shapes, values and strings.

use std::path::Path;

use fcmae_store::safetensors;

use crate::target::{Outcome, Target};
use crate::{corpus, repair};

pub(super) const TARGET: Target = Target {
    name: "safetensors",
    run: target,
    corpus: files,
    words: WORDS,
    repair: repair::safetensors,
    short: 10_000,
};

const WORDS: &[&[u8]] = &[
    b"\"__metadata__\":{\"format\":\"pt\"},",
    b"\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},",
    b"\"dtype\":\"F16\"",
    b"\"BF16\"",
    b"\"F64\"",
    b"\"F4\"",
    b"\"F6_E2M3\"",
    b"\"BOOL\"",
    b"\"I64\"",
    b"\"shape\":[]",
    b"\"shape\":[0,18446744073709551615]",
    b"\"data_offsets\":[0,0]",
    b"18446744073709551615",
    b"4294967296",
    b"-1",
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b":",
    b"\"",
    b"\\u0000",
    b"\\ud800",
    b" ",
];

fn files() -> Vec<Vec<u8>> {
    let mut files = corpus::files("crates/store/tests/fixtures", ".safetensors");
    files.push(corpus::file(
        "crates/store/tests/golden/format-1/step-00001234/optimizer.safetensors",
    ));
    files.push(corpus::file("crates/fcmae/tests/fixtures/weights/timm.safetensors"));
    files
}

/// Reads a file. What was read is written, and read as the same.
pub(super) fn target(bytes: &[u8]) -> Outcome {
    let path = Path::new("fuzzed.safetensors");
    let contents = safetensors::from_bytes(bytes, path).map_err(|error| error.to_string())?;
    let written = safetensors::to_bytes(&contents.tensors, &contents.metadata)
        .map_err(|error| error.to_string())?;
    let again = safetensors::from_bytes(&written, path).expect("what was written is read");
    assert!(
        super::tensors::same(&contents.tensors, &again.tensors),
        "tensors are no longer what they were once they are written"
    );
    Ok(())
}
