//! Standard output and standard error, also when nobody reads them.

use std::process::Stdio;

use crate::command::{command, fcmae};
use crate::trained::Trained;

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let trained = Trained::get();
    let weights = trained.finetuned();
    let (picture, pictures) = (trained.picture(), trained.pictures());
    for arguments in [
        &[&"inspect" as &dyn AsRef<std::ffi::OsStr>, &weights][..],
        &[&"predict", &picture, &"--weights", &weights],
        &[&"evaluate", &"--data", &pictures, &"--weights", &weights],
        &[&"pretrain", &"--print-config"],
    ] {
        let mut child =
            command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(0), "{stderr}");
        assert!(!stderr.contains("error"), "{stderr}");
    }
}

#[test]
fn a_run_goes_on_when_nobody_reads_its_progress() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut child = command(&[
        &"pretrain",
        &"--data",
        &trained.pictures(),
        &"--out",
        &out,
        &"--config",
        &trained.recipe("pretrain"),
    ])
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
    assert!(out.join("export/last/model.safetensors").is_file());
}

#[test]
fn progress_goes_to_stderr_in_plain_lines() {
    let trained = Trained::get();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let ran = fcmae!(
        "finetune",
        "--data",
        trained.pictures(),
        "--from",
        "scratch",
        "--out",
        out,
        "--config",
        trained.recipe("finetune"),
    )
    .done();
    assert!(ran.stdout.contains(&format!("run  {}\n", out.display())), "{}", ran.stdout);
    // A fifth of twelve of each of three classes.
    for part in ["\nheld out    6 pictures: top-1 ", "\nbest        top-1 ", "% (95% interval "] {
        assert!(ran.stdout.contains(part), "{part} in {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("images/s"), "{}", ran.stdout);
    assert!(!ran.stderr.contains('\x1b') && !ran.stderr.contains('\r'), "{:?}", ran.stderr);
    let last = ran.stderr.lines().find(|line| line.contains("epoch 2.00/2")).unwrap_or_default();
    for part in ["loss ", "lr ", "images/s", "ETA 0s"] {
        assert!(last.contains(part), "{}", ran.stderr);
    }
    assert!(ran.stderr.contains("on the held-out pictures top-1"), "{}", ran.stderr);
}
