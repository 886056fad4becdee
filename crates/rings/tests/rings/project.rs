//! No two files of a crate import each other in a ring.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use fcmae_rings::{Ring, rings};

/// Rings that are still to be opened: the crate's folder, and the files. A file that is in no ring any more
/// must be taken off.
const KNOWN: &[(&str, &[&str])] = &[
    // A kernel takes a `Size`, which the crate's root defines beside what runs kernels.
    ("cuda/emulator", &["kernel.rs", "lib.rs"]),
    // The engine.
    (
        "fcmae",
        &[
            "autoencoder.rs",
            "backend.rs",
            "bench.rs",
            "config/run.rs",
            "config/settings.rs",
            "decoder.rs",
            "device.rs",
            "loss.rs",
            "machine.rs",
            "memory.rs",
            "model/block.rs",
            "model/classifier.rs",
            "model/encoder.rs",
            "model/init.rs",
            "model/layers.rs",
            "network.rs",
            "ops/activation.rs",
            "ops/block.rs",
            "ops/depthwise.rs",
            "ops/linear.rs",
            "ops/rows.rs",
            "ops/squared_difference.rs",
            "ops/windows.rs",
            "optim/adamw.rs",
            "optim/gradients.rs",
            "parameters.rs",
            "tape.rs",
            "tensor.rs",
            "train/step.rs",
            "workspace.rs",
        ],
    ),
];

/// The project's crates, by their folders below `crates`, and their roots.
fn crates() -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    for entry in folder.read_dir().unwrap() {
        let top = entry.unwrap().path();
        for package in [top.clone(), top.join("emulator")] {
            for root in ["src/lib.rs", "src/main.rs"] {
                let root = package.join(root);
                let name =
                    package.strip_prefix(folder).unwrap().to_str().unwrap().replace('\\', "/");
                found.extend(root.is_file().then_some((name, root)));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn no_two_files_of_a_crate_import_each_other_in_a_ring() {
    let mut report = String::new();
    let mut needed: BTreeSet<(&str, &str)> = BTreeSet::new();
    let crates = crates();
    assert!(crates.iter().any(|(name, _)| name == "cuda/emulator"), "{crates:?}");
    for (name, root) in &crates {
        for ring in rings(root).unwrap() {
            match known(name, &ring) {
                Some((folder, files)) => {
                    let still = files.iter().filter(|file| ring.files.contains(**file));
                    needed.extend(still.map(|file| (folder, *file)));
                }
                None => {
                    write!(report, "crates/{name}: {} files\n{ring}", ring.files.len()).unwrap()
                }
            }
        }
    }
    assert!(report.is_empty(), "files that import each other in a ring:\n{report}");
    let listed = KNOWN.iter().flat_map(|(folder, files)| files.iter().map(|file| (*folder, *file)));
    let opened: Vec<_> = listed.filter(|file| !needed.contains(file)).collect();
    assert!(opened.is_empty(), "in no ring any more, so take them off the list: {opened:?}");
}

/// The entry of the list that holds all files of a ring.
fn known(name: &str, ring: &Ring) -> Option<(&'static str, &'static [&'static str])> {
    KNOWN.iter().copied().find(|(folder, files)| {
        *folder == name && ring.files.iter().all(|file| files.contains(&file.as_str()))
    })
}
