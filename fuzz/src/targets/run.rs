//! The files of a run that are read again: by the page about it, and where it is taken up.

use std::path::Path;

use fcmae_report::Report;
use fcmae_store::CheckpointStore;
use fcmae_store::checkpoint::verify_folder;

use crate::scratch::Scratch;
use crate::target::{Outcome, Target};
use crate::{corpus, repair};

/// Files of a run's folder. The first byte of what is fuzzed says which one the rest is put in place of.
const FILES: [&str; 9] = [
    "run.json",
    "config.toml",
    "metrics.jsonl",
    "data.json",
    "environment.json",
    "evaluation.json",
    "skipped.jsonl",
    "checkpoints/step-00001234/MANIFEST",
    "checkpoints/step-00001234/state.json",
];

/// From this one on, a checksum stands for every byte of them.
const CHECKED: usize = 7;

const GOLDEN: &str = "crates/fcmae/tests/golden/0.2.0/finetune";
const CHECKPOINT: &str = "crates/store/tests/golden/format-1/step-00001234";
const STEP: u64 = 1234;

const DATA: &str = r#"{"roots":["/pictures"],"pictures":9,"held_out":3,"unused":0,"classes":[
{"name":"cat","training":6,"held_out":2},{"name":"dog","training":3,"held_out":1}],
"skipped":1,"passed_over":0,"empty_classes":["owl"]}"#;

const ENVIRONMENT: &str = r#"{"version":"0.2.0","started":"2026-11-29T00:00:00Z","command":"fcmae finetune",
"cpu":"a processor","threads":2,"simd":"AVX2","os":"linux","device":"cpu","memory_bytes":1024}"#;

const EVALUATION: &str = r#"{"step":5,"epoch":2,"images":3,"top1":0.5,"top5":1.0,"loss":0.7,
"classes":["cat","dog"],"confusion":[[2,0],[1,0]],"mistakes":[{"path":"a/1.png","truth":"cat",
"predicted":"dog","probability":0.75,"picture":"figures/1.png"}]}"#;

const SKIPPED: &str = "{\"path\":\"a/1.png\",\"reason\":\"an empty file\"}\n";

pub(super) const TARGET: Target = Target {
    name: "run",
    run: target,
    corpus: files,
    words: &[
        b"\"step\":",
        b"\"epoch\":",
        b"\"loss\":",
        b"\"top1\":",
        b"\"top5\":",
        b"\"held_out_loss\":",
        b"\"lr\":",
        b"\"classes\":[",
        b"\"confusion\":[[",
        b"\"mistakes\":[",
        b"\"picture\":\"../../x.png\"",
        b"\"images_per_second\":0",
        b"null",
        b"1e308",
        b"-1e308",
        b"1e-320",
        b"18446744073709551615",
        b"-9223372036854775808",
        b"fcmae checkpoint 2",
        b"state.json",
        b"../",
        b"\n",
        b",",
        b"[",
        b"]",
        b"{",
        b"}",
        b"<script>",
        b"\\u0000",
    ],
    repair: repair::nothing,
    short: 500,
};

/// What stands in each of [`FILES`].
fn contents() -> [Vec<u8>; 9] {
    [
        corpus::file(&format!("{GOLDEN}/run.json")),
        corpus::file(&format!("{GOLDEN}/config.toml")),
        corpus::file(&format!("{GOLDEN}/metrics.jsonl")),
        DATA.into(),
        ENVIRONMENT.into(),
        EVALUATION.into(),
        SKIPPED.into(),
        corpus::file(&format!("{CHECKPOINT}/MANIFEST")),
        corpus::file(&format!("{CHECKPOINT}/state.json")),
    ]
}

fn files() -> Vec<Vec<u8>> {
    let numbered = contents().into_iter().zip(0u8..);
    numbered.map(|(content, number)| [&[number][..], &content].concat()).collect()
}

thread_local! {
    static SCRATCH: Scratch = {
        let scratch = Scratch::with(&[]);
        for (name, content) in FILES.iter().zip(contents()) {
            scratch.write(name, &content);
        }
        for name in ["ema", "model", "optimizer"] {
            let file = format!("{name}.safetensors");
            let content = corpus::file(&format!("{CHECKPOINT}/{file}"));
            scratch.write(&format!("checkpoints/step-00001234/{file}"), &content);
        }
        scratch
    };
}

/// Puts a file into a run, and makes the page about it or loads its checkpoint.
pub(super) fn target(bytes: &[u8]) -> Outcome {
    let Some((&number, bytes)) = bytes.split_first() else { return Ok(()) };
    let number = usize::from(number) % FILES.len();
    SCRATCH.with(|scratch| {
        let usual = usual(number);
        scratch.write(FILES[number], bytes);
        let outcome = if number < CHECKED { page(scratch.path()) } else { load(scratch.path()) };
        scratch.write(FILES[number], &usual);
        let is_damaged = number >= CHECKED && bytes != usual;
        assert!(outcome.is_err() || !is_damaged, "a damaged {} is used", FILES[number]);
        outcome
    })
}

/// One of [`contents`].
fn usual(number: usize) -> Vec<u8> {
    thread_local! {
        static CONTENTS: [Vec<u8>; 9] = contents();
    }
    CONTENTS.with(|contents| contents[number].clone())
}

fn page(run: &Path) -> Outcome {
    let report = Report::read(run).map_err(|error| error.to_string())?;
    let page = report.to_html();
    assert!(!page.contains("<script"), "a file's text became part of the page's code");
    Ok(())
}

fn load(run: &Path) -> Outcome {
    let store = CheckpointStore::open(run.join("checkpoints"));
    let intact = verify_folder(&store.path(STEP)).map_err(|error| error.to_string());
    let loaded = store.load(STEP).map_err(|error| error.to_string());
    assert_eq!(intact, loaded.map(|_| ()));
    intact
}
