//! What `torch.save` writes: names, shapes and values.

use std::path::Path;

use fcmae_store::pth;

use crate::target::{Outcome, Target};
use crate::{corpus, repair};

pub(super) const TARGET: Target = Target {
    name: "pth",
    run: target,
    corpus: files,
    words: WORDS,
    repair: repair::zip,
    short: 10_000,
};

/// Opcodes with their operands, and names.
const WORDS: &[&[u8]] = &[
    b"\x80\x02",
    b"\x80\x05\x95\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"}q\x00(",
    b"ccollections\nOrderedDict\nq\x01)Rq\x02",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch._utils\n_rebuild_parameter\n",
    b"ctorch._tensor\n_rebuild_from_type_v2\n",
    b"ctorch\nFloatStorage\n",
    b"ctorch\nHalfStorage\n",
    b"ctorch\nBFloat16Storage\n",
    b"ctorch.storage\nUntypedStorage\n",
    b"cposix\nsystem\n",
    b"X\x07\x00\x00\x00storage",
    b"\x8c\x03cpu",
    b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80",
    b"J\xff\xff\xff\xff",
    b"M\xff\xff",
    b"K\x00",
    b"(",
    b"t",
    b")",
    b"]",
    b"a",
    b"e",
    b"}",
    b"s",
    b"u",
    b"\x85",
    b"\x86",
    b"\x87",
    b"\x88",
    b"\x89",
    b"\x8f",
    b"\x90",
    b"\x91",
    b"\x93",
    b"\x94",
    b"R",
    b"Q",
    b"b",
    b"N",
    b"0",
    b"2",
    b"h\x00",
    b"h\x01",
    b"q\x00",
    b"j\x00\x00\x00\x00",
    b"r\xff\xff\x00\x00",
    b".",
];

fn files() -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for kind in ["averaged", "checkpoint", "state"] {
        let endings: &[&str] = match kind {
            "averaged" => &["averaged.pth", "averaged_none.pth", "averaged_wrapped.pth"],
            "checkpoint" => &["checkpoint_legacy.pth", "checkpoint_zip_newest.pth"],
            _ => &[
                "state_legacy.pth",
                "state_legacy_newest.pth",
                "state_zip.pth",
                "state_zip_newest.pth",
            ],
        };
        let path = |name: &&str| corpus::file(&format!("crates/store/tests/fixtures/{name}"));
        files.extend(endings.iter().map(path));
    }
    files
}

/// Reads a file of torch.save. What was read is written, and read as the same.
pub(super) fn target(bytes: &[u8]) -> Outcome {
    let path = Path::new("fuzzed.pth");
    let contents = pth::from_bytes(bytes, path).map_err(|error| error.to_string())?;
    let written = pth::to_bytes(&contents.tensors, "model").map_err(|error| error.to_string())?;
    let again = pth::from_bytes(&written, path).expect("what was written is read");
    assert!(
        super::tensors::same(&contents.tensors, &again.tensors),
        "tensors are no longer what they were once they are written"
    );
    Ok(())
}
