//! Parquet files: their list of pictures, names, labels, and each picture's bytes.

use crate::target::{Outcome, Target};
use crate::{corpus, repair};

pub(super) const TARGET: Target = Target {
    name: "parquet",
    run: target,
    corpus: files,
    words: &[
        b"PAR1",
        b"image",
        b"bytes",
        b"path",
        b"label",
        b"schema",
        b"huggingface",
        b"{\"info\": {\"features\": {\"image\": {\"_type\": \"Image\"}}}}",
        b"\"_type\": \"ClassLabel\"",
        b"\"names\": [\"a\", \"b\"]",
        // Fields of Thrift's compact protocol: differences of numbers, types, ends.
        b"\x15",
        b"\x16",
        b"\x18",
        b"\x19",
        b"\x1c",
        b"\x2c",
        b"\x00",
        b"\x15\x00\x15",
        b"\xf9\xff\xff\xff\x0f",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\xfe\xff\xff\xff\x0f",
        b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80",
        b"\x28\xb5\x2f\xfd",
        b"\x1f\x8b\x08",
    ],
    repair: repair::parquet,
    short: 2_000,
};

fn files() -> Vec<Vec<u8>> {
    let mut files = corpus::files("crates/data/tests/fixtures/parquet", ".parquet");
    // Its pictures are noise: much to read and nothing new.
    files.retain(|bytes| bytes.len() < 100_000);
    files
}

/// Opens a file with labels and without, and reads its pictures.
pub(super) fn target(bytes: &[u8]) -> Outcome {
    super::set::read("fuzzed.parquet", bytes)
}
