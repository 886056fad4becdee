//! Tar archives: their list of pictures, labels, and each picture's bytes.

use crate::target::{Outcome, Target};
use crate::{corpus, repair};

pub(super) const TARGET: Target = Target {
    name: "tar",
    run: target,
    corpus: files,
    words: &[
        b"ustar\x0000",
        b"ustar  \x00",
        b"././@LongLink",
        b"../",
        b"/",
        b".jpg",
        b".cls",
        b"0",
        b"5",
        b"L",
        b"K",
        b"x",
        b"g",
        b"S",
        b"\x80\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        b"77777777777\x00",
        b"00000000000\x00",
        b"18 size=99999999\n",
        b"20 path=a/../b.jpg\n",
        b"22 GNU.sparse.major=1\n",
        b"9999999999999999999 path=",
        b" ",
        b"=",
        b"\n",
    ],
    repair: repair::tar,
    short: 2_000,
};

fn files() -> Vec<Vec<u8>> {
    let mut files = corpus::files("crates/data/tests/fixtures/shards", ".tar");
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in [("a/1.png", "1"), ("a/1.cls", "cat"), ("2.jpg", "22"), ("2.cls", "dog")]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let added = archive.append_data(&mut header, name, content.as_bytes());
        added.expect("a Vec takes every write");
    }
    files.push(archive.into_inner().expect("a Vec takes every write"));
    files
}

/// Opens an archive with labels and without, and reads its pictures.
pub(super) fn target(bytes: &[u8]) -> Outcome {
    super::set::read("fuzzed.tar", bytes)
}
