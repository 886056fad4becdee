//! A real file system of 16 MiB that runs full.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fcmae_store::{Checkpoint, CheckpointStore, Error, HostTensor, NamedTensors, Record, Run};
use serde_json::json;

const MIB: usize = 1 << 20;

/// One disk at a time: a child process that mounts another holds a copy of every open file until its
/// program is loaded, and a removed file's space is free only once all copies are closed.
static ALONE: Mutex<()> = Mutex::new(());

/// Unmounted when dropped.
struct Mounted(tempfile::TempDir, #[expect(dead_code, reason = "held")] MutexGuard<'static, ()>);

impl Mounted {
    /// `None` where this user may not mount.
    fn new(options: &str) -> Option<Self> {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        if mount.is_ok_and(|done| done.success()) {
            return Some(Self(folder, alone));
        }
        println!("skipped: mounting a tmpfs ({options}) takes root");
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

fn checkpoint(mib: usize, value: f32) -> Checkpoint {
    let tensor = HostTensor::new([mib, MIB / 4], vec![value; mib * MIB / 4]).unwrap();
    let tensors = NamedTensors::from_iter([("w".to_owned(), tensor)]);
    Checkpoint { tensors: [("model".to_owned(), tensors)].into(), state: json!({}) }
}

/// Fault 4: a disk of 16 MiB runs full while a checkpoint is saved.
#[test]
fn a_full_disk_keeps_the_last_good_checkpoint() {
    let Some(disk) = Mounted::new("size=16m") else { return };
    let store = CheckpointStore::open(disk.0.path().join("checkpoints"));
    store.save(1, &checkpoint(6, 1.0)).unwrap();
    let error = store.save(2, &checkpoint(12, 2.0)).unwrap_err();
    let Error::NoSpace { path, needed, free: Some(free) } = &error else { panic!("{error}") };
    assert_eq!(*path, store.path(2).join("model.safetensors"));
    assert!((12 * MIB as u64..12 * MIB as u64 + 4096).contains(needed), "{needed}");
    assert!((9 * MIB as u64..10 * MIB as u64).contains(free), "{free}");
    let text = error.to_string();
    assert!(text.contains("13 MiB needed, 9 MiB free"), "{text}");

    let latest = store.latest().unwrap().unwrap();
    assert_eq!((latest.step, latest.damaged.len()), (1, 0));
    assert_eq!(latest.checkpoint, checkpoint(6, 1.0));
    // With less to write the run goes on.
    store.save(3, &checkpoint(8, 3.0)).unwrap();
    assert_eq!(store.latest().unwrap().unwrap().step, 3);
}

/// Fault 6: a disk that became read-only.
#[test]
fn a_run_on_a_disk_that_became_read_only_is_not_resumed() {
    let Some(disk) = Mounted::new("size=1m") else { return };
    let path = disk.0.path().join("run");
    let record = Record { config: String::new(), facts: json!({}) };
    drop(Run::create(&path, &record).unwrap());
    let remount = Command::new("mount").args(["-o", "remount,ro"]).arg(disk.0.path()).status();
    assert!(remount.unwrap().success());
    let error = Run::resume(&path, &record, &[]).unwrap_err();
    assert!(matches!(error, Error::NotWritable { .. }), "{error}");
}

/// Fault 4: a disk that is full before a run starts.
#[test]
fn a_run_that_does_not_fit_leaves_nothing() {
    let Some(disk) = Mounted::new("size=64k") else { return };
    let config = format!("# {}\n", "x".repeat(100_000));
    let record = Record { config, facts: json!({}) };
    for name in ["new", "empty"] {
        let path = disk.0.path().join(name);
        if name == "empty" {
            std::fs::create_dir(&path).unwrap();
        }
        let error = Run::create(&path, &record).unwrap_err();
        let Error::NoSpace { path: file, .. } = &error else { panic!("{error}") };
        assert_eq!(*file, path.join("config.toml"));
        assert!(name == "empty" || !path.exists());
        assert!(name == "new" || std::fs::read_dir(&path).unwrap().next().is_none());
    }
}

/// Fault 6: a read-only disk.
#[test]
fn a_read_only_disk_is_refused_before_anything_starts() {
    let Some(disk) = Mounted::new("ro") else { return };
    let record = Record { config: String::new(), facts: json!({}) };
    let refused = |path: &Path| {
        let error = Run::create(path, &record).unwrap_err();
        assert!(matches!(error, Error::NotWritable { .. }), "{error}");
    };
    refused(&disk.0.path().join("run"));
    refused(disk.0.path());
}

/// Fault 4: a disk that runs full while metrics are logged.
#[test]
fn metrics_on_a_full_disk_leave_whole_records_and_go_on_once_there_is_space() {
    let Some(disk) = Mounted::new("size=1m") else { return };
    let path = disk.0.path().join("run");
    let record = Record { config: String::new(), facts: json!({}) };
    let run = Run::create(&path, &record).unwrap();
    // All records of such lines are equally long.
    let log = |step: u64| run.metrics().json(&json!({"step": step, "loss": 0.5, "lr": 0.25}));
    log(1000).unwrap();
    let entries = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
    let mut events = entries.filter(|path| path.to_string_lossy().contains(".tfevents."));
    let events = events.next().unwrap();
    let length = || std::fs::metadata(&events).unwrap().len();
    let first = length();
    log(1001).unwrap();
    let (second, each) = (length(), length() - first);

    // A picture that does not fit: only its header is looked at.
    let mut png = include_bytes!("fixtures/picture.png").to_vec();
    png.resize(MIB, 7);
    let error = run.picture("large", 1001, &png).unwrap_err();
    let Error::NoSpace { path: file, needed, .. } = &error else { panic!("{error}") };
    assert_eq!(*file, events);
    assert!((MIB as u64..MIB as u64 + 200).contains(needed), "{needed}");
    assert_eq!(length(), second);

    let filler = disk.0.path().join("filler");
    let _ = std::fs::write(&filler, vec![0; MIB]);
    let full = (1002..9000).find_map(|step| log(step).err().map(|error| (step, error)));
    let Some((step, Error::NoSpace { .. })) = full else { panic!("{full:?}") };
    std::fs::remove_file(&filler).unwrap();
    let failed = length();
    log(step + 1).unwrap();
    assert_eq!(length(), failed + each);
    assert_eq!((failed - second) % each, 0, "half a record would hide what follows");
    drop(run);
    drop(Run::resume(&path, &record, &[]).unwrap());
    let rows = std::fs::read_to_string(path.join("metrics.csv")).unwrap();
    assert_eq!(rows.lines().last().unwrap(), format!("{},,0.5,0.25,,,", step + 1));
}
