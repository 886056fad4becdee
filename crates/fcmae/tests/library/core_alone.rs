//! The core of the engine computes and does nothing else: no files, no threads of its own, no clock. So
//! it can be built for places that have none of these.
//!
//! Clippy's `disallowed-methods` could name functions, but one by one and for the whole workspace.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules of `src`, each with the folder of its name.
const CORE: [&str; 16] = [
    "engine/shape",
    "engine/lifetimes",
    "engine/room",
    "engine/tensor",
    "engine/parameters",
    "engine/gradients",
    "engine/prepared",
    "engine/tape",
    "engine/workspace",
    "engine/module",
    "engine/ops",
    "network/model",
    "network/decoder",
    "network/autoencoder",
    "network/loss",
    "training/optim",
];

/// Words without which there is no file, thread or clock: parts of the standard library's paths, and the
/// crate that threads come from in this workspace.
const FOREIGN: [&str; 6] = ["fs", "thread", "thread_local", "rayon", "Instant", "SystemTime"];

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(path)
}

/// The lines of a file that have a foreign word in their code, with the file's name.
fn foreign(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let has_word = |line: &str| {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| FOREIGN.contains(&word))
    };
    let code = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    code.filter(|line| has_word(line)).map(|line| format!("{}: {line}", path.display())).collect()
}

/// The Rust files in a folder, and in those inside it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn the_core_has_no_files_threads_or_clock() {
    let mut found = Vec::new();
    for module in CORE {
        found.extend(foreign(&source(&format!("{module}.rs"))));
        let folder = source(module);
        if folder.is_dir() {
            found.extend(files(&folder).iter().flat_map(|path| foreign(path)));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn files_and_clocks_are_found_where_there_are_some() {
    let found = foreign(&source("engine/machine.rs")).concat();
    assert!(found.contains("use std::fs;") && found.contains("Instant::now()"), "{found}");
}
