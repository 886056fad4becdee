//! Files of embeddings, in each format.

use fcmae_vectors::Embeddings;

use crate::scratch::Scratch;
use crate::target::{Outcome, Target};
use crate::{corpus, repair};

pub(super) const PARQUET: Target = Target {
    name: "embeddings_parquet",
    run: parquet,
    corpus: parquet_files,
    words: &[
        b"PAR1",
        b"path",
        b"label",
        b"vector",
        b"list",
        b"element",
        b"fcmae",
        b"{\"program\":\"\",\"weights\":\"\",\"features\":\"\",\"image_size\":[1,1],\"width\":3,\"pictures\":\"\"}",
        b"\x15\x00\x15",
        b"\x19",
        b"\xfe\xff\xff\xff\x0f",
    ],
    repair: repair::parquet,
    short: 2_000,
};

pub(super) const NPY: Target = Target {
    name: "embeddings_npy",
    run: npy,
    corpus: npy_files,
    words: &[
        b"\x93NUMPY",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }",
        b"'<f8'",
        b"(",
        b")",
        b"}",
        b"'",
        b"\"",
        b"18446744073709551615",
        b"4611686018427387904, 4",
    ],
    repair: repair::nothing,
    short: 3_000,
};

pub(super) const CSV: Target = Target {
    name: "embeddings_csv",
    run: csv,
    corpus: csv_files,
    words: &[
        b"path", b"label", b"v0", b"v1", b",", b"\"", b"\r\n", b"\n", b"1e39", b"nan", b"\xff",
        b"\0",
    ],
    repair: repair::nothing,
    short: 3_000,
};

const WRITTEN: &str = "crates/vectors/tests/fixtures/written";
const OTHERS: &str = "crates/vectors/tests/fixtures/others";

fn both(ending: &str) -> Vec<Vec<u8>> {
    [WRITTEN, OTHERS].into_iter().flat_map(|folder| corpus::files(folder, ending)).collect()
}

fn parquet_files() -> Vec<Vec<u8>> {
    both(".parquet")
}

fn npy_files() -> Vec<Vec<u8>> {
    both(".npy")
}

fn csv_files() -> Vec<Vec<u8>> {
    let names = [format!("{WRITTEN}/out.csv"), format!("{OTHERS}/pandas.csv")];
    let mut files: Vec<Vec<u8>> = names.iter().map(|name| corpus::file(name)).collect();
    files.push(b"v0,path\n1,a\n-2e-3,\"b,\nc\"\n".to_vec());
    files
}

thread_local! {
    static SCRATCH: Scratch = Scratch::with(&[]);
}

fn open(name: &str, bytes: &[u8]) -> Outcome {
    SCRATCH.with(|scratch| {
        let path = scratch.write(name, bytes);
        Embeddings::open(&path).map(drop).map_err(|error| error.to_string())
    })
}

fn parquet(bytes: &[u8]) -> Outcome {
    open("fuzzed.parquet", bytes)
}

fn npy(bytes: &[u8]) -> Outcome {
    open("fuzzed.npy", bytes)
}

fn csv(bytes: &[u8]) -> Outcome {
    open("fuzzed.csv", bytes)
}
