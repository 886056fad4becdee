//! Lists of pictures, and the table of a set's parts.

use fcmae_data::{Labels, PictureSet, Split};

use crate::repair;
use crate::scratch::Scratch;
use crate::target::{Outcome, Target};

pub(super) const TARGET: Target = Target {
    name: "list",
    run: target,
    corpus: files,
    words: &[
        b"path,label",
        b"file\tclass\n",
        b"path,label,part",
        b"training",
        b"held_out",
        b"not_used",
        b"a/1.png",
        b"../",
        b"/dev/zero",
        b"\\x0a",
        b"\\x",
        b"\"",
        b"\"\"",
        b",",
        b"\t",
        b"\r\n",
        b"\n",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\0",
    ],
    repair: repair::nothing,
    short: 3_000,
};

fn files() -> Vec<Vec<u8>> {
    let lists = [
        "path,label\na/1.png,cat\na/2.png,dog\n",
        "a/1.png,0\nb/3.png,1\r\n\"a/2.png\",\"1\"\n",
        "label,extra,file\n\"a \"\"cat\"\"\",,./a/1.png\ndog,\"two\nlines\",b/3.png\n",
        "\u{feff}path,label,part\na/1.png,cat,training\na/2.png,dog,held_out\nb\\x5c.png,dog,not_used\n",
        "path\tclass\na/1.png\tcat\nb/3.png\tdog\n",
        "a/1.png\na/2.png\n\nmissing.png\n",
    ];
    lists.map(|list| list.as_bytes().to_vec()).to_vec()
}

thread_local! {
    static SCRATCH: Scratch =
        Scratch::with(&[("a/1.png", b"1"), ("a/2.png", b"2"), ("b/3.png", b"3")]);
}

/// Reads a list in each form, with labels and without, and as the table of a run.
pub(super) fn target(bytes: &[u8]) -> Outcome {
    SCRATCH.with(|scratch| {
        let mut outcomes = Vec::new();
        for name in ["fuzzed.csv", "fuzzed.tsv", "fuzzed.txt"] {
            let path = scratch.write(name, bytes);
            for labels in [Labels::Required, Labels::Ignored] {
                let set = PictureSet::open(&path, labels).map_err(|error| error.to_string());
                outcomes.push(set.and_then(|set| match set.skipped.last() {
                    None => Ok(()),
                    Some(skipped) => Err(skipped.reason.clone()),
                }));
            }
        }
        let table = Split::read(&scratch.path().join("fuzzed.csv"));
        outcomes.push(table.map(|_| ()).map_err(|error| error.to_string()));
        // Each file is a list of one kind at most.
        let refused: Vec<String> = outcomes.iter().filter_map(|o| o.clone().err()).collect();
        if refused.len() < outcomes.len() { Ok(()) } else { Err(refused.join("; ")) }
    })
}
