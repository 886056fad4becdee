//! No two files of a crate import each other in a ring, and the library's wings stand in the order of the flow.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use fcmae_rings::{Disorder, disorder, rings};

/// The project's crates, by their folders, and their roots.
fn crates() -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let project = folder.parent().unwrap();
    let mut packages = vec![project.join("fuzz")];
    for entry in folder.read_dir().unwrap() {
        let top = entry.unwrap().path();
        packages.extend([top.join("emulator"), top]);
    }
    let mut found = Vec::new();
    for package in packages {
        for root in ["src/lib.rs", "src/main.rs"] {
            let root = package.join(root);
            let name = package.strip_prefix(project).unwrap().to_str().unwrap().replace('\\', "/");
            found.extend(root.is_file().then_some((name, root)));
        }
    }
    found.sort();
    found
}

#[test]
fn no_two_files_of_a_crate_import_each_other_in_a_ring() {
    let mut report = String::new();
    let crates = crates();
    for known in ["crates/cuda/emulator", "fuzz"] {
        assert!(crates.iter().any(|(name, _)| name == known), "{crates:?}");
    }
    for (name, root) in &crates {
        for ring in rings(root).unwrap() {
            write!(report, "{name}: {} files\n{ring}", ring.files.len()).unwrap();
        }
    }
    assert!(report.is_empty(), "files that import each other in a ring:\n{report}");
}

/// The library's wings. Errors are of all of them.
const WINGS: [&str; 8] =
    ["error", "engine", "config", "network", "weights", "inference", "training", "measure"];

#[test]
fn a_wing_of_the_library_imports_only_those_before_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fcmae/src/lib.rs");
    assert_eq!(disorder(&root, &WINGS).unwrap(), Disorder::default());
}
