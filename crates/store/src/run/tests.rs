#![allow(clippy::unwrap_used)]

use std::io::ErrorKind::{Other, PermissionDenied, StorageFull};

use serde_json::json;

use super::*;
use crate::durable::faults::{Operation, Plan, test_folder, with};
use crate::{Checkpoint, HostTensor, NamedTensors};

fn record() -> Record {
    Record { config: "seed = 1\n".to_owned(), facts: json!({"seed": 1}) }
}

fn checkpoint(step: u64) -> Checkpoint {
    let tensor = HostTensor::new([2], vec![step as f32; 2]).unwrap();
    let tensors = NamedTensors::from_iter([("w".to_owned(), tensor)]);
    Checkpoint { tensors: [("model".to_owned(), tensors)].into(), state: json!({ "step": step }) }
}

/// Faults 48 and 49: a whole run where nothing can be renamed or locked and no folder synced.
#[test]
fn a_run_lives_where_nothing_can_be_renamed_locked_or_synced() {
    use Operation::{Exchange, Lock, Rename, RenameFolder, SyncFolder};
    let refused = &[Exchange, Lock, Rename, RenameFolder, SyncFolder];
    let plan = || Plan::Each(refused, PermissionDenied);
    let folder = test_folder();
    let path = folder.path().join("run");
    let words = [
        "folders cannot be synced",
        "files cannot be renamed",
        "folders cannot be renamed",
        "files cannot be locked",
    ];
    let told = |run: &Run| {
        assert_eq!(run.notes().len(), words.len(), "{:?}", run.notes());
        for (note, words) in run.notes().iter().zip(words) {
            assert!(note.starts_with(&format!("{}: {words}", path.display())), "{note}");
        }
    };
    let (run, _) = with(plan(), || {
        let run = Run::create(&path, &record()).unwrap();
        for step in 1..=4 {
            run.metrics().json(&json!({"step": step, "loss": 0.5})).unwrap();
            let saved = run.checkpoints().save(step, &checkpoint(step)).unwrap();
            assert!(saved.not_removed.is_empty() && saved.notes.is_empty(), "{saved:?}");
            run.export(ExportName::Last, &[("config.json", b"{}"), ("b", &[step as u8])]).unwrap();
        }
        run
    });
    told(&run);
    assert_eq!(run.checkpoints().steps().unwrap(), [3, 4]);
    drop(run);
    let (mut run, _) = with(plan(), || Run::resume(&path, &record(), &[]).unwrap());
    told(&run);
    let latest = run.checkpoints().latest().unwrap().unwrap();
    assert_eq!((latest.step, latest.checkpoint), (4, checkpoint(4)));
    assert_eq!(fs::read(path.join("export/last/b")).unwrap(), [4]);
    assert_eq!(fs::read_dir(path.join("export/last")).unwrap().count(), 2);
    with(plan(), || assert_eq!(run.truncate_metrics_after(3).unwrap(), 1));
    assert_eq!(fs::read_to_string(path.join(METRICS)).unwrap().lines().count(), 3);
    let hidden = |folder: &str| {
        let entries = fs::read_dir(path.join(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".fcmae")).collect::<Vec<_>>()
    };
    assert!(["", "checkpoints", "export"].iter().all(|folder| hidden(folder).is_empty()));
}

/// Fault 49: whatever is said of a folder that is to be synced, a run begins, saves and says it once.
#[test]
fn a_folder_s_sync_that_fails_in_any_way_ends_no_run() {
    use std::io::ErrorKind::{InvalidInput, NotFound, Unsupported};
    let kinds = [PermissionDenied, NotFound, Other, InvalidInput, Unsupported];
    let each = kinds.map(|kind| Plan::Each(&[Operation::SyncFolder], kind));
    for plan in each.into_iter().chain(cfg!(unix).then_some(Plan::BrokenSyncs)) {
        let folder = test_folder();
        let path = folder.path().join("deeper/run");
        let ((run, told), _) = with(plan, || {
            let run = Run::create(&path, &record()).unwrap_or_else(|e| panic!("{plan:?}: {e}"));
            let save = |step| run.checkpoints().save(step, &checkpoint(step)).unwrap().notes;
            let told = (1..=3).flat_map(save).collect::<Vec<_>>();
            run.export(ExportName::Last, &[("config.json", b"{}")]).unwrap();
            (run, told)
        });
        let told = [run.notes(), &told].concat();
        assert_eq!(told.len(), 1, "{plan:?}: {told:?}");
        assert!(told[0].contains("synced") && told[0].contains("power fails"), "{told:?}");
        drop(run);
        let (run, _) = with(plan, || Run::resume(&path, &record(), &[]).unwrap());
        assert_eq!(run.checkpoints().latest().unwrap().unwrap().step, 3, "{plan:?}");
    }
}

/// Fault 48: metrics that are cut back, killed at every operation, where files cannot be renamed.
#[test]
fn metrics_are_whole_though_files_cannot_be_renamed() {
    let plan = |at| Plan::From(&[Operation::Rename], Other, at);
    for at in 0.. {
        let folder = test_folder();
        let path = folder.path().join("run");
        let mut run = Run::create(&path, &record()).unwrap();
        for step in 1..=4 {
            run.metrics().json(&json!({ "step": step })).unwrap();
        }
        let (_, operations) = with(plan(at), || run.truncate_metrics_after(2));
        drop(run);
        with(plan(usize::MAX), || drop(Run::resume(&path, &record(), &[]).unwrap()));
        let lines = fs::read_to_string(path.join(METRICS)).unwrap().lines().count();
        assert!(lines == 2 || lines == 4, "{lines} lines after a kill at {at}");
        if at >= operations.len() {
            assert_eq!(lines, 2);
            break;
        }
    }
}

/// Fault 48: settings that are changed, killed at every operation, are the old or the new ones, and the run
/// goes on with them.
#[test]
fn a_change_of_settings_that_was_killed_can_be_resumed() {
    use Operation::{Exchange, Rename, RenameFolder};
    let other = Record { config: "seed = 2\n".to_owned(), facts: json!({"seed": 1, "of": "now"}) };
    for refused in [&[] as &[_], &[Exchange, RenameFolder, Rename]] {
        for at in 0.. {
            let folder = test_folder();
            let path = folder.path().join("run");
            let mut run = Run::create(&path, &record()).unwrap();
            let plan = Plan::From(refused, PermissionDenied, at);
            let (changed, operations) = with(plan, || run.change(&[], &other));
            drop(run);
            let found = Record::read(&path).unwrap_or_else(|error| panic!("{plan:?}: {error}"));
            assert!(found == other || found == record() && changed.is_err(), "{plan:?}: {found:?}");
            let resume = || drop(Run::resume(&path, &found, &[]).unwrap());
            with(Plan::Each(refused, PermissionDenied), resume);
            // What was read is what stays.
            assert_eq!(Record::read(&path).unwrap(), found, "{plan:?}");
            let config = fs::read_to_string(path.join(CONFIG)).unwrap();
            assert!([record().config, other.config.clone()].contains(&config), "{plan:?}");
            if at >= operations.len() {
                assert!(changed.is_ok() && found == other && at >= 8, "{plan:?}: {operations:?}");
                break;
            }
        }
    }
}

/// Fault 48: where files cannot be added to, a run is refused and nothing of it stays.
#[test]
fn a_folder_that_is_of_no_use_is_refused_and_left_as_it_was() {
    for (operation, kind) in [
        (&[Operation::Append] as &[_], Other),
        (&[Operation::Shorten], Other),
        (&[Operation::CreateFile], Other),
        (&[Operation::Append], StorageFull),
        (&[Operation::CreateFolder], Other),
    ] {
        let folder = test_folder();
        for new in ["run", "deeper/and/deeper/run"] {
            let path = folder.path().join(new);
            let (refused, _) =
                with(Plan::Each(operation, kind), || Run::create(&path, &record()).unwrap_err());
            let unsuited = matches!(refused, Error::Unsuited { .. });
            assert_eq!(unsuited, kind == Other && operation != [Operation::CreateFolder]);
            assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "{operation:?}");
        }
        // An empty folder that was there stays, and so does what was in one above.
        let path = folder.path().join("empty");
        fs::create_dir(&path).unwrap();
        let plan = Plan::Each(operation, kind);
        with(plan, || Run::create(&path, &record()).unwrap_err());
        with(plan, || Run::create(path.join("below/run"), &record()).unwrap_err());
        assert!(fs::read_dir(&path).unwrap().next().is_none(), "{operation:?}");
        let run = Run::create(&path, &record()).unwrap();
        drop(run);
        let (refused, _) = with(plan, || Run::resume(&path, &record(), &[]));
        assert!(refused.is_err() || operation == [Operation::CreateFolder]);
    }
}

/// Fault 50: batches of diverged updates stay within bounds, by number and by length.
#[test]
fn diverged_batches_are_bounded() {
    let folder = test_folder();
    let run = Run::create(folder.path().join("run"), &record()).unwrap();
    let keep = |step| {
        let (kept, removed) = run.keep_diverged(step, &[("batch.json", b"{}")]).unwrap();
        assert!(kept.join("batch.json").is_file());
        removed
    };
    let steps = || {
        let entries = fs::read_dir(run.path().join(DIVERGED)).unwrap();
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut names: Vec<String> = entries.map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names.iter().map(|name| name["step-".len()..].parse().unwrap()).collect::<Vec<u64>>()
    };
    assert!((1..=6).all(|step| keep(step).is_empty()));
    assert_eq!((keep(7), keep(8)), (vec![1], vec![2]));
    assert_eq!(steps(), [3, 4, 5, 6, 7, 8]);
    // Long ones, which take no place on the disk.
    for step in [6, 7] {
        let file = run.path().join(format!("{DIVERGED}/step-{step:08}/batch.safetensors"));
        fs::File::create(file).unwrap().set_len(600 << 20).unwrap();
    }
    assert_eq!(keep(9), [3, 4, 5, 6]);
    assert_eq!(steps(), [7, 8, 9]);
    // A run that was taken up from before; one batch alone may be longer.
    let file = run.path().join(format!("{DIVERGED}/step-00000009/batch.safetensors"));
    fs::File::create(file).unwrap().set_len(2 << 30).unwrap();
    assert_eq!(keep(2), [7, 8, 9]);
    assert_eq!(steps(), [2]);
}

fn steps_in(path: &Path) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap();
    let step =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64();
    text.lines().map(|line| step(line).unwrap()).collect()
}

/// As an editor saves, and rsync: another file takes the name of the one that is written.
#[cfg(unix)]
#[test]
fn lines_go_to_the_file_that_has_the_name() {
    let folder = test_folder();
    let path = folder.path().join("run");
    let mut run = Run::create(&path, &record()).unwrap();
    let log = |run: &Run, step: u64| run.metrics().json(&json!({"step": step})).unwrap();
    let file = path.join(METRICS);
    log(&run, 1);
    // The editor has read it; its last line has no end.
    let edited = fs::read_to_string(&file).unwrap();
    log(&run, 2);
    fs::write(path.join("edited"), edited.trim_end()).unwrap();
    fs::rename(path.join("edited"), &file).unwrap();
    log(&run, 3);
    let look = run.look();
    assert_eq!(look.notes.len(), 1, "{look:?}");
    assert!(look.notes[0].contains("metrics.jsonl was replaced"), "{look:?}");
    assert!(look.notes[0].contains("(3)") && !look.save, "{look:?}");
    log(&run, 4);
    assert_eq!(steps_in(&file), [1, 2, 3, 4]);
    assert_eq!(run.look(), Look::default());
    // One that lacks nothing is gone on with in silence; one that was removed is written again.
    fs::copy(&file, path.join("copy")).unwrap();
    fs::rename(path.join("copy"), &file).unwrap();
    assert_eq!(run.look(), Look::default());
    log(&run, 5);
    fs::remove_file(&file).unwrap();
    log(&run, 6);
    let notes = run.settle().unwrap();
    assert!(notes[0].contains("(6)"), "{notes:?}");
    assert_eq!(steps_in(&file), [1, 2, 3, 4, 5, 6]);
}

#[cfg(unix)]
#[test]
fn a_run_that_is_moved_while_it_goes_on_is_told_before_a_save() {
    let folder = test_folder();
    let (path, elsewhere) = (folder.path().join("run"), folder.path().join("elsewhere"));
    let mut run = Run::create(&path, &record()).unwrap();
    assert_eq!(run.look(), Look::default());
    fs::remove_dir_all(path.join(CHECKPOINTS)).unwrap();
    let look = run.look();
    assert!(look.save && look.notes[0].contains("checkpoints was removed"), "{look:?}");
    assert_eq!(run.look(), Look::default());
    run.checkpoints().save(1, &checkpoint(1)).unwrap();
    assert_eq!(run.look(), Look::default());

    fs::rename(&path, &elsewhere).unwrap();
    let look = run.look();
    assert!(look.notes[0].contains(" is gone: ") && !look.save, "{look:?}");
    assert_eq!(run.look(), Look::default());
    run.metrics().json(&json!({"step": 2})).unwrap();
    // Nothing of it is made anew where it was.
    let error = run.settle().unwrap_err();
    assert!(
        matches!(error, Error::Gone { .. }) && error.to_string().contains("--resume"),
        "{error}"
    );
    assert!(!path.exists());
    fs::rename(&elsewhere, &path).unwrap();
    let look = run.look();
    assert!(look.notes[0].contains(" is back"), "{look:?}");
    assert_eq!(run.settle().unwrap(), Vec::<String>::new());
    assert_eq!(steps_in(&path.join(METRICS)), [2]);
}

/// Without `run.json` nobody can go on with a run.
#[test]
fn a_record_that_is_lost_while_the_run_goes_on_is_written_again() {
    let folder = test_folder();
    let path = folder.path().join("run");
    let mut run = Run::create(&path, &record()).unwrap();
    let file = path.join(RUN);
    let own = fs::read(&file).unwrap();
    for spoil in [None, Some("{\"id\": 5}"), Some("")] {
        match spoil {
            None => fs::remove_file(&file).unwrap(),
            Some(text) => fs::write(&file, text).unwrap(),
        }
        let look = run.look();
        assert!(
            look.notes.len() == 1 && look.notes[0].contains("run.json was changed"),
            "{look:?}"
        );
        assert_eq!(fs::read(&file).unwrap(), own);
        assert_eq!(run.look(), Look::default());
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(run.settle().unwrap().len(), 1);
    // What the run itself writes is its own.
    let changed = Record { config: "epochs = 9\n".to_owned(), ..record() };
    run.change(&[], &changed).unwrap();
    assert_eq!(run.look(), Look::default());
    assert_eq!(Record::read(&path).unwrap(), changed);
}

/// Another run has got the name of this one's folder, which was moved.
#[cfg(unix)]
#[test]
fn a_run_keeps_out_of_another_one_that_has_its_folders_name() {
    let folder = test_folder();
    let (path, elsewhere) = (folder.path().join("run"), folder.path().join("elsewhere"));
    let mut run = Run::create(&path, &record()).unwrap();
    let end = End { step: 1, how: schema::Ended::Stopped, reason: "asked".to_owned() };
    run.end(&end).unwrap();
    fs::rename(&path, &elsewhere).unwrap();
    drop(Run::create(&path, &record()).unwrap());
    // What another process writes into its lock.
    fs::write(path.join(lock::LOCK), "1").unwrap();
    let look = run.look();
    assert!(look.notes[0].contains(" is gone: "), "{look:?}");
    assert!(matches!(run.settle(), Err(Error::Gone { .. })));
    assert!(matches!(run.end(&end), Err(Error::Gone { .. })));
    assert!(!path.join(END).exists());
    assert_eq!(fs::read_to_string(path.join(METRICS)).unwrap_or_default(), "");
}

/// Where nothing can be locked, a number that an earlier process left says nothing.
#[test]
fn a_stale_lock_does_not_end_a_run_that_has_none() {
    let folder = test_folder();
    let path = folder.path().join("run");
    let (_, _) = with(Plan::Each(&[Operation::Lock], PermissionDenied), || {
        drop(Run::create(&path, &record()).unwrap());
        fs::write(path.join(lock::LOCK), "1").unwrap();
        let mut run = Run::resume(&path, &record(), &[]).unwrap();
        assert_eq!(run.look(), Look::default());
        assert_eq!(run.settle().unwrap(), Vec::<String>::new());
    });
}

/// A kill between the first file of a run and its last leaves a folder that the same command takes.
#[test]
fn what_is_left_of_a_start_is_no_run() {
    let left = |files: &[&str], folders: &[&str]| {
        let folder = test_folder();
        let path = folder.path().join("run");
        fs::create_dir(&path).unwrap();
        for name in folders {
            fs::create_dir(path.join(name)).unwrap();
        }
        for name in files {
            fs::write(path.join(name), "left").unwrap();
        }
        (Run::create(&path, &record()).map(drop), folder)
    };
    let probe = ".fcmae-tmp-7-0-probe";
    for (files, folders) in [
        (&[".lock"][..], &[][..]),
        (&[".lock"], &[probe]),
        (&[".lock", CONFIG], &[CHECKPOINTS, EXPORT, probe]),
        (&[".lock", ".fcmae-tmp-7-1-config.toml"], &[CHECKPOINTS]),
    ] {
        let (created, folder) = left(files, folders);
        created.unwrap();
        assert!(!folder.path().join("run").join(probe).exists(), "{files:?}");
    }
    // What somebody else may have put there stays, and is in the way.
    for (files, folders) in [
        (&[CONFIG][..], &[][..]),
        (&[".lock", "notes.txt"], &[]),
        (&[".lock", "run.json"], &[]),
        (&[], &[CHECKPOINTS]),
        (&[".lock", "checkpoints/kept"], &[CHECKPOINTS]),
    ] {
        let (created, folder) = left(files, folders);
        assert!(matches!(created, Err(Error::NotEmpty { .. })), "{files:?}");
        for name in files {
            assert_eq!(fs::read(folder.path().join("run").join(name)).unwrap(), b"left");
        }
    }
}

/// Two courses may be left after the same step: the best of both stays.
#[test]
fn what_is_set_aside_replaces_nothing() {
    let folder = test_folder();
    let run = Run::create(folder.path().join("run"), &record()).unwrap();
    for (best, name) in [("first", "step-00000007"), ("second", "step-00000007.2")] {
        run.export(ExportName::Best, &[("model.safetensors", best.as_bytes())]).unwrap();
        let aside = run.set_best_aside(7).unwrap();
        assert!(aside.ends_with(format!("export/set-aside-best-{name}")), "{}", aside.display());
    }
    let kept = |name: &str| {
        fs::read_to_string(run.path().join("export").join(name).join("model.safetensors")).unwrap()
    };
    assert_eq!(kept("set-aside-best-step-00000007"), "first");
    assert_eq!(kept("set-aside-best-step-00000007.2"), "second");
}

/// The settings are in `run.json` too.
#[test]
fn a_run_that_lost_its_config_goes_on() {
    let folder = test_folder();
    let path = folder.path().join("run");
    drop(Run::create(&path, &record()).unwrap());
    let own = fs::read_to_string(path.join(CONFIG)).unwrap();
    fs::remove_file(path.join(CONFIG)).unwrap();
    assert_eq!(Record::read(&path).unwrap(), record());
    let mut run = Run::resume(&path, &record(), &[]).unwrap();
    assert_eq!(fs::read_to_string(path.join(CONFIG)).unwrap(), own);
    assert_eq!(run.look(), Look::default());
    drop(run);
    // Earlier versions wrote them once.
    fs::write(path.join(RUN), "{\"seed\": 1}").unwrap();
    fs::remove_file(path.join(CONFIG)).unwrap();
    let error = Run::resume(&path, &record(), &[]).unwrap_err();
    assert!(matches!(error, Error::NotARun { missing: CONFIG, .. }), "{error}");
    assert!(error.to_string().contains("put that file back"), "{error}");
}
