//! Disks that fill up while a run is saved, or cannot be written to.

use std::path::Path;
use std::process::Command;

use crate::command::{BINARY, Ran};
use crate::trained::Trained;

/// Makes a disk of 16 MiB at `$4`, an empty folder, and fills it. `$1` the binary, `$2` pictures, `$3`
/// recipe.
const FULL: &str = r#"
mount -t tmpfs -o size=16m tmpfs "$4" || exit 77
"$1" pretrain --data "$2" --out "$4/run" --config "$3" --set optim.epochs=10000 --set save.keep=10000
echo "code $?"
"$1" inspect "$4/run" > "$4/x" 2>&1
"$1" inspect "$4/run" || echo "lost"
rm -f "$4/x"
ls "$4/run/checkpoints"
"#;

/// The same for a disk that may only be read.
const READ_ONLY: &str = r#"
mount -t tmpfs -o size=16m tmpfs "$4" && mkdir "$4/empty" && mount -o remount,ro "$4" || exit 77
for out in "$4/run" "$4/empty"; do
    "$1" pretrain --data "$2" --out "$out" --config "$3"
    echo "code $?"
done
find "$4"
"#;

/// Runs a script in a mount namespace of its own, so that the small disk is gone with the shell. `None`
/// where this user may not mount one, as is often so in containers.
fn on_a_small_disk(script: &str, trained: &Trained, folder: &Path) -> Option<Ran> {
    let shell = |script: &str| {
        let mut shell = Command::new("unshare");
        shell.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", BINARY]);
        shell
    };
    let tried = shell("mount -t tmpfs -o size=1m tmpfs /mnt").output();
    if !tried.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no small disk can be mounted here");
        return None;
    }
    let mut shell = shell(script);
    shell.arg(trained.pictures()).arg(trained.recipe("pretrain")).arg(folder);
    Some(Ran::of(shell))
}

/// Fault 4: the disk runs full in the middle of a run.
#[test]
fn a_full_disk_ends_the_run_and_loses_no_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let Some(ran) = on_a_small_disk(FULL, &Trained::get(), folder.path()) else { return };
    assert!(ran.stdout.contains("code 1\n"), "{}\n{}", ran.stdout, ran.stderr);
    for part in ["no space left", "MiB needed", " free;", "--resume"] {
        assert!(ran.stderr.contains(part), "{part} in {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    assert!(!ran.stdout.contains("lost"), "the last checkpoint can't be read: {}", ran.stderr);
    assert!(ran.stdout.contains("masked autoencoder"), "{}", ran.stdout);
    assert!(ran.stdout.contains("step-"), "{}", ran.stdout);
}

/// Fault 6: refused before the first step, whether or not the folder is there, and nothing is left.
#[test]
fn a_disk_that_may_only_be_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let Some(ran) = on_a_small_disk(READ_ONLY, &Trained::get(), folder.path()) else { return };
    let place = folder.path().display();
    assert_eq!(ran.stdout, format!("code 1\ncode 1\n{place}\n{place}/empty\n"), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("Read-only file system").count(), 2, "{}", ran.stderr);
    assert!(!ran.stderr.contains("step "), "{}", ran.stderr);
}
