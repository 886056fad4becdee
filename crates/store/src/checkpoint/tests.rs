#![allow(clippy::unwrap_used)]

use std::io::ErrorKind::{Other, StorageFull, Unsupported};

use serde_json::json;

use super::*;
use crate::HostTensor;
use crate::durable::faults::{Operation, Plan, test_folder, with};

/// A small checkpoint that tells its step in every file.
fn checkpoint(step: u64) -> Checkpoint {
    let tensors = |count: usize| -> NamedTensors {
        let values: Vec<f32> = (0..count).map(|i| step as f32 + i as f32 / 7.0).collect();
        ["stem.0.weight", "stem.0.bias"]
            .map(|name| (name.to_owned(), HostTensor::new([count], values.clone()).unwrap()))
            .into_iter()
            .collect()
    };
    Checkpoint {
        tensors: [("model", 50), ("optimizer", 100), ("ema", 50)]
            .map(|(name, count)| (name.to_owned(), tensors(count)))
            .into(),
        state: json!({ "step": step, "random": u64::MAX - step, "loss": 0.1 + step as f64 }),
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn comes_back_bit_for_bit() {
    let folder = test_folder();
    let store = CheckpointStore::open(folder.path().join("checkpoints"));
    assert!(store.latest().unwrap().is_none());
    let mut saved = checkpoint(1234);
    let bits = [0x7fc0_1234, 0xff80_0000, 0x8000_0000, 1, 0x7f7f_ffff].map(f32::from_bits);
    let odd = HostTensor::new([5, 1], bits.to_vec()).unwrap();
    saved.tensors.get_mut("model").unwrap().insert("odd", odd);
    store.save(1234, &saved).unwrap();

    let expected =
        ["MANIFEST", "ema.safetensors", "model.safetensors", "optimizer.safetensors", "state.json"];
    assert_eq!(names(&folder.path().join("checkpoints/step-00001234")), expected);
    let latest = store.latest().unwrap().unwrap();
    assert_eq!((latest.step, latest.damaged.len()), (1234, 0));
    let mut found = latest.checkpoint;
    let odd = found.tensors.get_mut("model").unwrap().remove("odd").unwrap();
    assert_eq!(odd.data.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), bits.map(f32::to_bits));
    saved.tensors.get_mut("model").unwrap().remove("odd");
    assert_eq!(found, saved);
    assert_eq!(store.load(1234).unwrap().state, saved.state);
    assert_eq!(
        store.load(7).unwrap_err().to_string(),
        format!("no checkpoint of step 7 in {}; there are [1234]", store.folder.display())
    );
}

#[test]
fn bad_names_and_shapes_are_refused_before_anything_is_written() {
    let folder = test_folder();
    let store = CheckpointStore::open(folder.path().join("checkpoints"));
    let mut bad = checkpoint(1);
    bad.tensors.insert("../model".to_owned(), NamedTensors::new());
    assert!(matches!(store.save(1, &bad), Err(Error::BadFileName { .. })));
    let mut bad = checkpoint(1);
    let short = HostTensor { shape: vec![3], data: vec![1.0] };
    bad.tensors.get_mut("model").unwrap().insert("short", short);
    assert!(matches!(store.save(1, &bad), Err(Error::BadTensor { .. })));
    assert!(names(folder.path()).is_empty());
}

/// What a disk may refuse: nothing, an exchange of names, and any rename of folders, or of files too.
const WAYS: [&[Operation]; 4] = [
    &[],
    &[Operation::Exchange],
    &[Operation::Exchange, Operation::RenameFolder],
    &[Operation::Exchange, Operation::RenameFolder, Operation::Rename],
];

/// Fault 3: an error at every write, sync and rename of a save in turn.
///
/// Saves step 2 over step 1 (or over a step 2 of other contents) with a fault at each operation in
/// turn, passing or lasting, on disks that refuse renames or do not.
#[test]
fn a_fault_at_any_write_sync_or_rename_leaves_the_old_or_the_new() {
    let old_at = |step| {
        let folder = test_folder();
        let store = CheckpointStore::open(folder.path().join("checkpoints")).keep(1);
        store.save(step, &checkpoint(step + 100)).unwrap();
        (folder, store)
    };
    let (mut tried, mut failed) = (0, 0);
    for (old_step, lasting, refused) in [1, 2].into_iter().flat_map(|old_step| {
        let all = [false, true].into_iter().flat_map(|last| WAYS.map(|refused| (last, refused)));
        all.map(move |(lasting, refused)| (old_step, lasting, refused))
    }) {
        for at in 0.. {
            let (_folder, store) = old_at(old_step);
            let plan = match lasting {
                false => Plan::Once(refused, Unsupported, at),
                true => Plan::From(refused, Unsupported, at),
            };
            let (result, operations) = with(plan, || store.save(2, &checkpoint(2)));
            let about = format!("old {old_step}, {plan:?}, of {}: {result:?}", operations.len());
            tried += 1;
            failed += usize::from(result.is_err());

            let look = || {
                let found = store.latest().unwrap().unwrap();
                let is_new = found.step == 2 && found.checkpoint == checkpoint(2);
                let is_old =
                    found.step == old_step && found.checkpoint == checkpoint(old_step + 100);
                assert!(is_new || is_old, "{about}");
                (is_new, found.damaged)
            };
            // Whoever only reads: the one before is there, whatever becomes of the new.
            if old_step == 1 {
                look();
            }
            // A crash between the two renames of a replacement without exchange leaves the old one
            // under another name, and one while files are put in place a part of them, until the next
            // writer comes.
            if lasting && !refused.is_empty() || refused.len() > 1 {
                let clear = || durable::remove_leftovers(&store.folder).unwrap();
                with(Plan::Each(refused, Unsupported), clear);
            }
            let (is_new, damaged) = look();
            // Of a removal that was not finished, where the mark goes first.
            let below = damaged.iter().all(|damaged| damaged.folder == store.path(1));
            assert!(damaged.is_empty() || is_new && below, "{about}: {damaged:?}");
            assert!(is_new || result.is_err(), "{about}");

            let save = || store.save(3, &checkpoint(3)).unwrap();
            with(Plan::Each(refused, Unsupported), save);
            assert_eq!(names(&store.folder), ["step-00000003"], "{about}");
            if at >= operations.len() {
                assert!(at >= 20, "every operation had its turn: {operations:?}");
                assert!(result.unwrap().not_removed.is_empty());
                break;
            }
        }
    }
    assert!(tried > 500 && failed > 400, "{failed} of {tried} saves failed");
}

/// Fault 48: where folders cannot be renamed, the manifest is the last to come and the first to go.
#[test]
fn file_by_file_the_manifest_comes_last_and_goes_first() {
    for refused in &WAYS[2..] {
        let folder = test_folder();
        let store = CheckpointStore::open(folder.path()).keep(1);
        store.save(1, &checkpoint(1)).unwrap();
        let (_, operations) =
            with(Plan::Each(refused, Unsupported), || store.save(2, &checkpoint(2)).unwrap());
        let first = |operation, path: &Path| {
            operations.iter().position(|(op, at)| *op == operation && at == path).unwrap()
        };
        let came = match refused.contains(&Operation::Rename) {
            true => Operation::SyncFile,
            false => Operation::Rename,
        };
        let manifest = first(came, &store.path(2).join(MANIFEST));
        for name in ["ema.safetensors", "model.safetensors", "optimizer.safetensors", STATE] {
            assert!(first(came, &store.path(2).join(name)) < manifest, "{name}");
        }
        let synced = first(Operation::SyncFolder, &store.path(2));
        let (gone, rest) = (first(Operation::Remove, &store.path(1).join(MANIFEST)), store.path(1));
        let (_, aside) =
            with(Plan::Each(refused, Unsupported), || store.save(1, &checkpoint(1)).unwrap());
        let moved = |name: &str| {
            let to = folder.path().join("set-aside-step-00000002").join(name);
            aside.iter().position(|(op, at)| *op == came && *at == to).unwrap()
        };
        assert!(moved(MANIFEST) < moved(STATE) && moved(MANIFEST) < moved("ema.safetensors"));
        assert!(manifest < synced && synced < gone && gone < first(Operation::Remove, &rest));
    }
}

/// Fault 48: setting aside, killed at every operation, loses nothing.
#[test]
fn what_is_set_aside_stays_whole_on_any_disk() {
    for refused in WAYS {
        for at in 0.. {
            let folder = test_folder();
            let store = CheckpointStore::open(folder.path());
            store.save(10, &checkpoint(10)).unwrap();
            store.save(20, &checkpoint(20)).unwrap();
            let plan = Plan::From(refused, Unsupported, at);
            let (_, operations) = with(plan, || store.save(15, &checkpoint(15)));
            assert!([10, 15, 20].contains(&store.latest().unwrap().unwrap().step), "{plan:?}");
            let save = || store.save(15, &checkpoint(15)).unwrap();
            with(Plan::Each(refused, Unsupported), save);
            assert_eq!(store.latest().unwrap().unwrap().checkpoint, checkpoint(15), "{plan:?}");
            verify_folder(&folder.path().join("set-aside-step-00000020")).unwrap();
            assert_eq!(names(folder.path()).len(), 3, "{plan:?}: {:?}", names(folder.path()));
            if at >= operations.len() {
                break;
            }
        }
    }
}

/// Fault 48: what cannot be removed costs space, and no run.
#[test]
fn what_cannot_be_removed_stays_and_the_run_goes_on() {
    for refused in [&[Operation::Remove] as &[_], &[Operation::Remove, Operation::RenameFolder]] {
        let folder = test_folder();
        let store = CheckpointStore::open(folder.path()).keep(1);
        store.save(1, &checkpoint(1)).unwrap();
        let (saved, _) = with(Plan::Each(refused, Other), || {
            [2, 3, 4].map(|step| store.save(step, &checkpoint(step)).unwrap())
        });
        assert!(saved.iter().all(|saved| !saved.not_removed.is_empty()), "{saved:?}");
        assert_eq!(store.latest().unwrap().unwrap().checkpoint, checkpoint(4));
        store.save(5, &checkpoint(5)).unwrap();
        assert_eq!(names(folder.path()), ["step-00000005"]);
    }
}

/// Fault 49: what begins to fail in the middle of a run is told once.
#[test]
fn what_begins_to_fail_is_told_once() {
    let folder = test_folder();
    let store = CheckpointStore::open(folder.path());
    assert!(store.save(1, &checkpoint(1)).unwrap().notes.is_empty());
    let plan = Plan::Each(&[Operation::SyncFolder, Operation::RenameFolder], Other);
    let (told, _) = with(plan, || [2, 3].map(|step| store.save(step, &checkpoint(step)).unwrap()));
    let words = [
        "synced here (other error): what was written last may be lost if the power fails",
        "renamed here (other error): checkpoints and exports are put in place file by file",
    ];
    let path = folder.path().display();
    let words = words.map(|words| format!("{path}: folders cannot be {words}"));
    assert_eq!(told.map(|saved| saved.notes), [words.to_vec(), vec![]]);
    assert_eq!(store.latest().unwrap().unwrap().step, 3);
}

/// Fault 49: where the disk fails to sync a folder, the one before stays for one save longer, and no more.
#[cfg(unix)]
#[test]
fn what_may_not_be_durable_takes_nobodys_place() {
    let folder = test_folder();
    let store = CheckpointStore::open(folder.path().join("checkpoints")).keep(1);
    store.save(1, &checkpoint(1)).unwrap();
    let save = |step| store.save(step, &checkpoint(step)).unwrap();
    let (saved, _) = with(Plan::BrokenSyncs, || save(2));
    assert!(
        saved.removed.is_empty() && saved.notes[0].contains("could not be synced"),
        "{saved:?}"
    );
    assert_eq!(store.steps().unwrap(), [1, 2]);
    let (saved, _) = with(Plan::BrokenSyncs, || save(3));
    assert_eq!((saved.removed, saved.notes), (vec![1], vec![]));
    assert_eq!(save(4).removed, [2, 3]);
    assert_eq!(names(&store.folder), ["step-00000004"]);
}

/// Fault 49: what the run ran into between two saves is told once.
#[test]
fn what_began_to_fail_between_two_saves_is_told_once() {
    let folder = test_folder();
    let store = CheckpointStore::open(folder.path().join("checkpoints"));
    store.save(1, &checkpoint(1)).unwrap();
    let plan = Plan::Each(&[Operation::Rename], Other);
    let write = || durable::write_file(&folder.path().join("a"), 1, |out| out.write_all(b"a"));
    with(plan, write).0.unwrap();
    let notes = store.save(2, &checkpoint(2)).unwrap().notes;
    let path = folder.path().display();
    let words = "files cannot be renamed here (other error): they are copied into place";
    assert_eq!(notes, [format!("{path}: {words}")]);
    with(plan, write).0.unwrap();
    assert!(store.save(3, &checkpoint(3)).unwrap().notes.is_empty());
}

/// Fault 4: a full disk, at every write.
#[test]
fn a_full_disk_names_file_bytes_needed_and_bytes_free_and_leaves_the_last_good_one() {
    let folder = test_folder();
    let store = CheckpointStore::open(folder.path()).keep(1);
    store.save(1, &checkpoint(1)).unwrap();
    let (result, _) =
        with(Plan::Each(&[Operation::Write], StorageFull), || store.save(2, &checkpoint(2)));
    let Err(Error::NoSpace { path, needed, free: Some(free) }) = result else {
        panic!("{result:?}")
    };
    assert_eq!(path, store.path(2).join("ema.safetensors"));
    assert!(needed > 4 * 400 && free > 0);
    assert_eq!(names(folder.path()), ["step-00000001"]);
    assert_eq!(store.latest().unwrap().unwrap().checkpoint, checkpoint(1));
}

/// Fault 10: old checkpoints go only after the new one is durable.
#[test]
fn the_old_goes_only_after_the_new_is_durable() {
    let folder = test_folder();
    let store = CheckpointStore::open(folder.path()).keep(1);
    store.save(1, &checkpoint(1)).unwrap();
    let (saved, operations) = with(Plan::Never, || store.save(2, &checkpoint(2)).unwrap());
    assert_eq!(saved.removed, [1]);

    let place = |operation, path: &Path| {
        let at = operations.iter().position(|(op, at)| *op == operation && at == path);
        at.unwrap_or_else(|| panic!("no {operation:?} of {}: {operations:?}", path.display()))
    };
    let renamed = place(Operation::RenameFolder, &store.path(2));
    for written in operations.iter().filter(|(op, _)| *op == Operation::Write) {
        let synced = place(Operation::SyncFile, &written.1);
        assert!(synced < renamed, "{} is synced before the rename", written.1.display());
    }
    let last_write = operations.iter().rfind(|(op, _)| *op == Operation::Write).unwrap();
    assert!(last_write.1.ends_with(MANIFEST), "the manifest is written last: {last_write:?}");
    let made = operations[..renamed].iter().any(|(op, _)| *op == Operation::SyncFolder);
    assert!(made, "the new folder's names are synced before the rename");
    let durable = renamed
        + operations[renamed..]
            .iter()
            .position(|(op, path)| *op == Operation::SyncFolder && path == folder.path())
            .unwrap();
    let touched = operations.iter().position(|(op, _)| *op == Operation::Remove).unwrap();
    assert!(durable < touched);
    let moved_away = operations[renamed + 1..]
        .iter()
        .position(|(op, _)| *op == Operation::RenameFolder)
        .map(|at| at + renamed + 1)
        .unwrap();
    assert!(durable < moved_away, "step 1 keeps its name until step 2 is durable");
}

/// Fault 5: 100 truncations and 200 single-bit flips, spread over all files by their sizes.
#[test]
fn every_truncation_and_bit_flip_is_detected_and_the_one_before_is_used() {
    let folder = test_folder();
    let store = CheckpointStore::open(folder.path());
    store.save(1, &checkpoint(1)).unwrap();
    store.save(2, &checkpoint(2)).unwrap();
    let files: Vec<(PathBuf, Vec<u8>)> = names(&store.path(2))
        .into_iter()
        .map(|name| store.path(2).join(name))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    let total: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    let at = |mut offset: usize| {
        files
            .iter()
            .find(|(_, bytes)| {
                let here = offset < bytes.len();
                if !here {
                    offset -= bytes.len();
                }
                here
            })
            .map(|(path, bytes)| (path, bytes, offset))
            .unwrap()
    };
    let check = |path: &Path, intact: &[u8], damaged: &[u8], what: String| {
        fs::write(path, damaged).unwrap();
        let latest = store.latest().unwrap().unwrap();
        assert_eq!((latest.step, latest.damaged.len()), (1, 1), "{what}");
        assert_eq!(latest.damaged[0].folder, store.path(2), "{what}");
        let named = path.file_name().unwrap().to_str().unwrap();
        assert!(
            latest.damaged[0].reason.contains(named) || named == MANIFEST,
            "{what}: {latest:?}"
        );
        assert_eq!(latest.checkpoint, checkpoint(1));
        assert!(matches!(store.load(2), Err(Error::Damaged(_))), "{what}");
        fs::write(path, intact).unwrap();
    };
    for i in 0..100 {
        let (path, bytes, offset) = at(i * total / 100);
        check(path, bytes, &bytes[..offset], format!("{path:?} cut at {offset}"));
    }
    for i in 0..200 {
        let (path, bytes, offset) = at((i * total + total / 2) / 200);
        let mut flipped = bytes.clone();
        flipped[offset] ^= 1 << (i % 8);
        check(path, bytes, &flipped, format!("{path:?}, bit {} of byte {offset}", i % 8));
    }
    // The small file that decides: every byte, every bit.
    let (path, bytes) = files.iter().find(|(path, _)| path.ends_with(MANIFEST)).unwrap();
    for offset in 0..bytes.len() {
        fs::write(path, &bytes[..offset]).unwrap();
        assert!(verify(&store.path(2), Some(2)).is_err(), "{MANIFEST} cut at {offset}");
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[offset] ^= 1 << bit;
            fs::write(path, &flipped).unwrap();
            assert!(
                verify(&store.path(2), Some(2)).is_err(),
                "{MANIFEST}, bit {bit} of byte {offset}"
            );
        }
    }
    fs::write(path, bytes).unwrap();
    assert_eq!(store.latest().unwrap().unwrap().checkpoint, checkpoint(2));
}

/// Fault 5: no checkpoint is intact.
#[test]
fn where_all_are_damaged_nothing_is_made_up() {
    let folder = test_folder();
    let store = CheckpointStore::open(folder.path().join("checkpoints"));
    store.save(1, &checkpoint(1)).unwrap();
    store.save(2, &checkpoint(2)).unwrap();
    fs::remove_file(store.path(1).join(MANIFEST)).unwrap();
    // A whole checkpoint under another's name is not that step's.
    fs::remove_dir_all(store.path(2)).unwrap();
    store.save(3, &checkpoint(3)).unwrap();
    fs::rename(store.path(3), store.path(2)).unwrap();
    let error = store.latest().unwrap_err();
    let Error::AllDamaged { damaged, .. } = &error else { panic!("{error}") };
    assert_eq!(damaged[0].reason, "its MANIFEST is that of step 3");
    assert!(damaged[1].reason.starts_with("MANIFEST: "), "{}", damaged[1].reason);
    assert_eq!(error.to_string().lines().count(), 4);
    assert!(error.to_string().ends_with("put back intact ones, or begin a new run"), "{error}");
    let export = store.folder.with_file_name("export").join("last");
    fs::create_dir_all(&export).unwrap();
    let said = error.to_string();
    assert!(
        said.ends_with(&format!("from its last export (--from {})", export.display())),
        "{said}"
    );
}

#[cfg(unix)]
#[test]
fn a_link_to_nothing_in_place_of_the_checkpoints_is_refused() {
    let folder = test_folder();
    let link = folder.path().join("checkpoints");
    std::os::unix::fs::symlink("/nowhere", &link).unwrap();
    let error = CheckpointStore::open(&link).latest().unwrap_err();
    assert!(matches!(error, Error::Dangling { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("/nowhere") && said.contains("remove the link"), "{said}");
}

#[test]
fn the_newest_are_kept() {
    let folder = test_folder();
    let store = CheckpointStore::open(folder.path()).keep(2);
    for step in 1..=6 {
        store.save(step, &checkpoint(step)).unwrap();
    }
    assert_eq!(store.steps().unwrap(), [5, 6]);
    assert_eq!(
        CheckpointStore::open(folder.path()).keep(0).save(7, &checkpoint(7)).unwrap().removed,
        [5, 6]
    );
}

#[test]
fn taking_up_an_earlier_step_sets_the_later_ones_aside() {
    let folder = test_folder();
    let store = CheckpointStore::open(folder.path()).keep(2);
    for step in [10, 20, 30] {
        store.save(step, &checkpoint(step)).unwrap();
    }
    fs::write(store.path(30).join(STATE), "{}").unwrap();
    assert_eq!(store.latest().unwrap().unwrap().step, 20);
    let saved = store.save(25, &checkpoint(25)).unwrap();
    assert_eq!(saved.set_aside, [30]);
    assert_eq!(names(folder.path()), ["set-aside-step-00000030", "step-00000020", "step-00000025"]);
    assert_eq!(store.latest().unwrap().unwrap().step, 25);
}

#[test]
fn other_names_in_the_folder_are_left_alone() {
    let folder = test_folder();
    let store = CheckpointStore::open(folder.path());
    for name in ["step-7", "step-abc", "notes", "step-000000000012"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    store.save(99_999_999, &checkpoint(1)).unwrap();
    store.save(123_456_789, &checkpoint(2)).unwrap();
    assert_eq!(store.steps().unwrap(), [99_999_999, 123_456_789]);
    assert_eq!(names(folder.path()).len(), 6);
}

/// No permission and no files left to open say nothing of a checkpoint: it is neither damaged nor passed over.
#[test]
fn what_the_system_refuses_is_no_damage() {
    use io::ErrorKind::{InvalidData, NotFound, Other, OutOfMemory, PermissionDenied, WouldBlock};
    for kind in [PermissionDenied, OutOfMemory, WouldBlock] {
        assert!(is_of_the_system(&kind.into()), "{kind}");
    }
    for kind in [NotFound, InvalidData, Other] {
        assert!(!is_of_the_system(&kind.into()), "{kind}");
    }
    let refused = |source: io::Error| {
        assert!(is_of_the_system(&source));
        Error::NotReadable { path: "run/checkpoints/step-00000003".into(), source }.to_string()
    };
    let text = refused(PermissionDenied.into());
    assert!(text.starts_with("run/checkpoints/step-00000003 cannot be opened ("), "{text}");
    assert!(
        text.ends_with("may be intact: give yourself permission to read it, and try again"),
        "{text}"
    );
    if cfg!(unix) {
        let text = refused(io::Error::from_raw_os_error(24));
        assert!(text.contains("`ulimit -n`"), "{text}");
        assert!(!is_of_the_system(&io::Error::from_raw_os_error(5)), "a disk's error is damage");
    }
}

/// Root may read every file: there nothing is shown.
#[cfg(unix)]
#[test]
fn a_checkpoint_that_may_not_be_read_is_not_passed_over() {
    use std::os::unix::fs::PermissionsExt;
    let folder = test_folder();
    let store = CheckpointStore::open(folder.path().join("checkpoints"));
    for step in 1..=2 {
        store.save(step, &checkpoint(step)).unwrap();
    }
    let file = store.path(2).join("state.json");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&file).is_ok() {
        println!("skipped: as root");
        return;
    }
    let error = store.latest().unwrap_err();
    assert!(matches!(&error, Error::NotReadable { path, .. } if *path == file), "{error:?}");
}
