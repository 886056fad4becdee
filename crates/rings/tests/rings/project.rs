//! No two files of a crate import each other in a ring.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use fcmae_rings::rings;

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
