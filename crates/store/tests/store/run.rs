//! A run's folder: what is refused before it starts, the lock, what is checked on resume, the logs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fcmae_store::{Error, ExportName, Record, Run};
use serde_json::{Value, json};

const CHILD: &str = "FCMAE_STORE_TEST_LOCK";
const CONFIG: &str = "[model]\nsize = \"atto\"\n\n[optim]\nlr = 1.5e-4\n\n[loader]\nworkers = 2\n";

fn record() -> Record {
    let facts = json!({"version": "0.1.0", "seed": 7, "data": {"pictures": 900, "hash": "ab12"}});
    Record { config: CONFIG.to_owned(), facts }
}

fn in_new_folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    (folder, path)
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn what_of_a_run_is_no_file_or_cut_short_is_told_with_the_remedy() {
    let (_folder, path) = in_new_folder();
    drop(Run::create(&path, &record()).unwrap());
    fs::remove_file(path.join("log.txt")).unwrap();
    fs::create_dir(path.join("log.txt")).unwrap();
    let said = Run::resume(&path, &record(), &[]).unwrap_err().to_string();
    assert!(said.contains("log.txt is a folder") && said.contains("move it away"), "{said}");
    let facts = fs::read(path.join("run.json")).unwrap();
    fs::write(path.join("run.json"), &facts[..facts.len() / 2]).unwrap();
    let said = Run::resume(&path, &record(), &[]).unwrap_err().to_string();
    assert!(said.contains("run.json") && said.contains("start a new run"), "{said}");
}

#[test]
fn a_new_run_has_its_record_and_its_logs() {
    let (_folder, path) = in_new_folder();
    let run = Run::create(&path, &record()).unwrap();
    assert_eq!(Record::read(&path).unwrap(), record());
    assert_eq!(fs::read_to_string(path.join("config.toml")).unwrap(), CONFIG);
    run.log().text("started\nwell").unwrap();
    run.metrics().json(&json!({"step": 1, "loss": 0.1})).unwrap();
    assert_eq!(fs::read_to_string(path.join("log.txt")).unwrap(), "started well\n");
    assert_eq!(lines(&path.join("metrics.jsonl")), [json!({"step": 1, "loss": 0.1})]);

    let export = run
        .export(ExportName::Best, &[("config.json", b"{}"), ("model.safetensors", b"1")])
        .unwrap();
    run.export(ExportName::Best, &[("config.json", b"{\"a\": 1}")]).unwrap();
    assert_eq!(fs::read_dir(&export).unwrap().count(), 1, "the folder is replaced as a whole");
    assert!(run.export(ExportName::Last, &[("../config.json", b"")]).is_err());
    assert!(!path.join("export/last").exists());
}

#[test]
fn an_empty_folder_is_taken_and_a_filled_one_refused() {
    let (_folder, path) = in_new_folder();
    fs::create_dir(&path).unwrap();
    // All that a process killed in its first moment leaves.
    fs::write(path.join(".lock"), "4711").unwrap();
    drop(Run::create(&path, &record()).unwrap());
    let before = fs::read_dir(&path).unwrap().count();
    let error = Run::create(&path, &record()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{} exists and is not empty; choose another --out, or, if it is a run, continue it with --resume",
            path.display()
        )
    );
    assert_eq!(fs::read_dir(&path).unwrap().count(), before);
}

#[test]
fn folders_above_a_run_are_made() {
    let (folder, path) = in_new_folder();
    drop(Run::create(path.join("deeper/../deep/er"), &record()).unwrap());
    assert_eq!(Record::read(&path.join("deep/er")).unwrap(), record());
    // A second one beside it, and one that is refused: nothing of others is removed with it.
    drop(Run::create(path.join("deep/est"), &record()).unwrap());
    assert!(matches!(Run::create(path.join("deep/er"), &record()), Err(Error::NotEmpty { .. })));
    let bad = Record { config: "a = = 1".to_owned(), ..record() };
    assert!(Run::create(folder.path().join("a/b/c"), &bad).is_err());
    assert!(!folder.path().join("a").exists());
    assert_eq!(Record::read(&path.join("deep/er")).unwrap(), record());
}

/// Fault 6: a file where a folder should be.
#[test]
fn a_file_and_a_bad_config_are_refused() {
    let (folder, path) = in_new_folder();
    let file = folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    assert!(matches!(Run::create(&file, &record()), Err(Error::NotAFolder { .. })));
    assert!(matches!(Run::create(file.join("run"), &record()), Err(Error::NotAFolder { .. })));
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");

    let bad = Record { config: "a = = 1".to_owned(), ..record() };
    assert!(matches!(Run::create(&path, &bad), Err(Error::Malformed { .. })));
    assert!(!path.exists());
}

#[test]
fn what_is_no_run_is_not_resumed() {
    let (_folder, path) = in_new_folder();
    fs::create_dir(&path).unwrap();
    let error = Run::resume(&path, &record(), &[]).unwrap_err();
    assert!(matches!(error, Error::NotARun { missing: "run.json", .. }), "{error}");
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
}

/// Fault 7: resuming with another configuration or other data.
#[test]
fn other_settings_or_data_are_refused_with_their_lines() {
    let (_folder, path) = in_new_folder();
    drop(Run::create(&path, &record()).unwrap());
    // Order and comments do not count.
    let same =
        "# a comment\n[loader]\nworkers = 2\n[optim]\nlr = 0.00015\n[model]\nsize = 'atto'\n";
    drop(Run::resume(&path, &Record { config: same.to_owned(), ..record() }, &[]).unwrap());

    let mut other = record();
    other.config =
        CONFIG.replace("1.5e-4", "3e-4").replace("workers = 2", "workers = 4") + "pin = true\n";
    other.facts["data"]["pictures"] = json!(899);
    other.facts["version"] = json!("0.2.0");
    let Err(Error::OtherSettings { diff, .. }) =
        Run::resume(&path, &other, &["config.loader", "run.version"])
    else {
        panic!("refused")
    };
    assert_eq!(
        diff,
        [
            "- config.optim.lr = 0.00015",
            "+ config.optim.lr = 0.0003",
            "- run.data.pictures = 900",
            "+ run.data.pictures = 899",
        ]
    );
    let error = Run::resume(&path, &other, &[]).unwrap_err().to_string();
    assert!(error.contains("\n  + config.loader.pin = true\n"), "{error}");
    assert!(error.contains("\n  - run.version = \"0.1.0\"\n"), "{error}");
    assert_eq!(Record::read(&path).unwrap(), record());
}

#[test]
fn metrics_of_a_resumed_run_are_logged_once() {
    let (_folder, path) = in_new_folder();
    let run = Run::create(&path, &record()).unwrap();
    run.metrics().json(&json!({"event": "start"})).unwrap();
    for step in 1..=5 {
        run.metrics().json(&json!({"step": step, "loss": 1.0 / f64::from(step)})).unwrap();
        run.metrics().json(&json!({"note": step})).unwrap();
    }
    drop(run);
    let metrics = path.join("metrics.jsonl");
    let whole = fs::read_to_string(&metrics).unwrap();
    // Killed in the middle of a line.
    fs::write(&metrics, format!("{whole}{{\"step\": 6, \"lo")).unwrap();

    let mut run = Run::resume(&path, &record(), &[]).unwrap();
    assert_eq!(fs::read_to_string(&metrics).unwrap(), whole);
    assert_eq!(run.truncate_metrics_after(3).unwrap(), 4);
    run.metrics().json(&json!({"step": 4, "loss": 0.25})).unwrap();
    let expected = json!([
        {"event": "start"}, {"step": 1, "loss": 1.0}, {"note": 1}, {"step": 2, "loss": 0.5}, {"note": 2},
        {"step": 3, "loss": 1.0 / 3.0}, {"note": 3}, {"step": 4, "loss": 0.25},
    ]);
    assert_eq!(Value::from(lines(&metrics)), expected);
}

#[test]
fn the_evaluation_after_an_update_can_be_cut_off_with_what_follows_it() {
    let (_folder, path) = in_new_folder();
    let mut run = Run::create(&path, &record()).unwrap();
    for step in 1..=3 {
        run.metrics().json(&json!({"step": step, "loss": 1.0})).unwrap();
        run.metrics().json(&json!({"step": step, "epoch": step, "top1": 0.5})).unwrap();
    }
    assert_eq!(run.truncate_metrics_after(3).unwrap(), 0);
    assert_eq!(run.truncate_metrics_after_update(2).unwrap(), 3);
    let expected = json!([
        {"step": 1, "loss": 1.0}, {"step": 1, "epoch": 1, "top1": 0.5}, {"step": 2, "loss": 1.0},
    ]);
    assert_eq!(Value::from(lines(&path.join("metrics.jsonl"))), expected);
}

/// Fault 12: `skipped.jsonl` stays exact over a run's lives.
#[test]
fn a_skipped_picture_is_listed_once_over_all_lives_of_a_run() {
    let (_folder, path) = in_new_folder();
    for life in 0..3 {
        let run = if life == 0 {
            Run::create(&path, &record()).unwrap()
        } else {
            Run::resume(&path, &record(), &[]).unwrap()
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for picture in 0..=life {
                        run.skipped().json(&json!({"path": format!("{picture}.jpg")})).unwrap();
                    }
                });
            }
        });
    }
    let mut paths: Vec<_> =
        lines(&path.join("skipped.jsonl")).iter().map(|line| line["path"].to_string()).collect();
    paths.sort();
    assert_eq!(paths, ["\"0.jpg\"", "\"1.jpg\"", "\"2.jpg\""]);
}

/// What a child process does: holds a run until it is killed, or says why it cannot.
fn hold(path: &Path) -> ! {
    let run = match Run::create(path, &record()) {
        Err(Error::NotEmpty { .. }) => Run::resume(path, &record(), &[]),
        run => run,
    };
    match run {
        Ok(_run) => {
            fs::write(path.with_extension("held"), "").unwrap();
            std::thread::sleep(Duration::from_secs(60));
            std::process::exit(0);
        }
        Err(error) => {
            println!("\nrefused: {error}");
            std::process::exit(3);
        }
    }
}

/// A test of this file that begins with [`hold_in_a_child`], as a process of its own.
fn child(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("run::{test}"), "--nocapture"]);
    command.env(CHILD, path).stdout(Stdio::piped());
    command
}

/// Holds the run where this process is a test's child.
fn hold_in_a_child() {
    if let Some(path) = std::env::var_os(CHILD) {
        hold(Path::new(&path));
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Fault 8: two processes on one run.
#[test]
fn a_second_process_is_refused_and_a_killed_one_does_not_block() {
    hold_in_a_child();
    let test = "a_second_process_is_refused_and_a_killed_one_does_not_block";
    let (_folder, path) = in_new_folder();
    let first = Killed(child(test, &path).spawn().unwrap());
    let start = Instant::now();
    while !path.with_extension("held").exists() {
        assert!(start.elapsed() < Duration::from_secs(20), "the child never took the run");
        std::thread::sleep(Duration::from_millis(5));
    }
    let number = first.0.id().to_string();
    for refused in [Run::create(&path, &record()), Run::resume(&path, &record(), &[])] {
        let error = refused.unwrap_err();
        assert!(matches!(&error, Error::InUse { process, .. } if *process == number), "{error}");
    }
    let second = child(test, &path).output().unwrap();
    assert_eq!(second.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&second.stdout).contains("is in use by process"));

    drop(first);
    let run = Run::resume(&path, &record(), &[]).unwrap();
    // The same holds within one process.
    assert!(matches!(Run::resume(&path, &record(), &[]), Err(Error::InUse { .. })));
    drop(run);
    Run::resume(&path, &record(), &[]).unwrap();
}

/// Fault 6: no permission. Root may write everywhere, so the child gives root up.
#[cfg(unix)]
#[test]
fn without_permission_a_run_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    hold_in_a_child();
    let test = "without_permission_a_run_is_refused";
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("locked");
    fs::create_dir(&inner).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&inner, fs::Permissions::from_mode(0o555)).unwrap();
    // A user of no rights, if this process may become one and that user can run this program.
    let mut other = child(test, &inner.join("run"));
    let output = match other.uid(65534).gid(65534).output() {
        Ok(output) => output,
        Err(_) if fs::write(inner.join("privileged"), "").is_ok() => {
            println!("skipped: as root, and no other user can run {:?}", std::env::current_exe());
            return;
        }
        Err(_) => child(test, &inner.join("run")).output().unwrap(),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{text}");
    let named =
        format!("refused: {} cannot be written to: Permission denied", inner.join("run").display());
    assert!(text.contains(&named), "{text}");
    assert!(!inner.join("run").exists());
}

/// Fault 23: what stands in place of a run's description is not waited for and not read without end.
#[test]
#[cfg(unix)]
fn a_description_that_is_no_file_or_too_long_is_refused() {
    let (_folder, path) = in_new_folder();
    drop(Run::create(&path, &record()).unwrap());
    let replaced = |name: &str, by: &dyn Fn(&Path)| {
        let file = path.join(name);
        let kept = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        by(&file);
        let error = Record::read(&path).unwrap_err().to_string();
        fs::remove_file(&file).unwrap();
        fs::write(&file, kept).unwrap();
        error
    };
    for name in ["config.toml", "run.json"] {
        let pipe = replaced(name, &|file| {
            assert!(Command::new("mkfifo").arg(file).status().unwrap().success());
        });
        assert!(pipe.ends_with(&format!("run/{name}: it is not a file")), "{pipe}");
        let long = replaced(name, &|file| {
            fs::File::create(file).unwrap().set_len((64 << 20) + 1).unwrap();
        });
        let said =
            "it has 67108865 bytes, at most 67108864 are read; check that it is what fcmae wrote";
        assert!(long.ends_with(&format!("run/{name}: {said}")), "{long}");
        let binary = replaced(name, &|file| fs::write(file, b"a = 1\n\xff").unwrap());
        assert!(binary.contains("not UTF-8 text from byte 1 of line 2 on"), "{binary}");
    }
    assert_eq!(Record::read(&path).unwrap(), record());
}
