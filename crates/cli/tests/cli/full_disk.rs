//! A disk that fills up while a run is saved.

use std::process::Command;

use crate::command::{BINARY, Ran};
use crate::trained::Trained;

/// Runs in a mount namespace of its own, so that the small disk is gone with the shell.
/// `$1` the binary, `$2` pictures, `$3` recipe, `$4` an empty folder.
const SCRIPT: &str = r#"
mount -t tmpfs -o size=1m tmpfs "$4" || exit 77
"$1" pretrain --data "$2" --out "$4/run" --config "$3" --set optim.epochs=1000 --set save.keep=1000
echo "code $?"
"$1" inspect "$4/run" > "$4/x" 2>&1
"$1" inspect "$4/run" || echo "lost"
rm -f "$4/x"
ls "$4/run/checkpoints"
"#;

/// Fault 4: the disk runs full in the middle of a run.
#[test]
fn a_full_disk_ends_the_run_and_loses_no_checkpoint() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let mut shell = Command::new("unshare");
    shell.args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh", BINARY]);
    shell.arg(trained.pictures()).arg(trained.recipe("pretrain")).arg(folder.path());
    if !can_mount() {
        eprintln!("skipped: no small disk can be mounted here");
        return;
    }
    let ran = Ran::of(shell);
    assert!(ran.stdout.contains("code 1\n"), "{}\n{}", ran.stdout, ran.stderr);
    for part in ["no space left", "bytes needed", " free;", "--resume"] {
        assert!(ran.stderr.contains(part), "{part} in {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    assert!(!ran.stdout.contains("lost"), "the last checkpoint can't be read: {}", ran.stderr);
    assert!(ran.stdout.contains("masked autoencoder"), "{}", ran.stdout);
    assert!(ran.stdout.contains("step-"), "{}", ran.stdout);
}

/// Whether an unprivileged mount is allowed here; often not in containers.
fn can_mount() -> bool {
    let script = "mount -t tmpfs -o size=1m tmpfs /mnt";
    let tried = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .output();
    tried.is_ok_and(|output| output.status.success())
}
