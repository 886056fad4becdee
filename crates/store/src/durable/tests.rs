#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::ErrorKind::{CrossesDevices, Other, PermissionDenied, StorageFull, Unsupported};

use super::faults::{Operation, Plan, test_folder, with};
use super::*;

fn fill_with(text: &'static str) -> impl FnOnce(&mut dyn Write) -> io::Result<()> {
    move |out| out.write_all(text.as_bytes())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What a disk may refuse: nothing, an exchange of names, and any rename of folders, or of files too.
const WAYS: [&[Operation]; 4] = [
    &[],
    &[Operation::Exchange],
    &[Operation::Exchange, Operation::RenameFolder],
    &[Operation::Exchange, Operation::RenameFolder, Operation::Rename],
];

/// Clears what is left on a disk that refuses these; killed at every operation of that first.
fn recover(folder: &Path, refused: &'static [Operation]) {
    for at in 0.. {
        let plan = Plan::From(refused, Unsupported, at);
        let (result, operations) = with(plan, || remove_leftovers(folder));
        if at >= operations.len() {
            result.unwrap();
            return;
        }
    }
}

/// Fault 3: an error at every operation of replacing a file, of which several writes fill it.
#[test]
fn a_file_is_the_old_or_the_new_after_a_fault_at_any_operation() {
    // More than is buffered, so that half of it can be on the disk when a write fails.
    let part = "new ".repeat(200_000);
    let new = part.repeat(3);
    let write = |path: &Path| {
        write_file(path, new.len() as u64, |out| {
            (0..3).try_for_each(|_| out.write_all(part.as_bytes()))
        })
    };
    let folder = test_folder();
    let (_, operations) = with(Plan::Never, || write(&folder.path().join("dry")));
    let writes = operations.iter().filter(|(operation, _)| *operation == Operation::Write).count();
    assert!(writes >= 3, "{operations:?}");
    assert_eq!(operations.len(), writes + 4, "create, writes, sync, rename, sync: {operations:?}");
    for refused in WAYS {
        for lasting in [false, true] {
            for at in 0.. {
                let plan = match lasting {
                    false => Plan::Once(refused, PermissionDenied, at),
                    true => Plan::From(refused, PermissionDenied, at),
                };
                let folder = test_folder();
                let path = folder.path().join("file");
                fs::write(&path, "old").unwrap();
                let (result, operations) = with(plan, || write(&path));
                let untouched = fs::read_to_string(&path).is_ok_and(|found| found == "old");
                if untouched && !lasting {
                    assert_eq!(names(folder.path()), ["file"], "{plan:?} cleans up");
                }
                recover(folder.path(), refused);
                let found = fs::read_to_string(&path).unwrap();
                let about = format!("{plan:?} of {}: {} bytes", operations.len(), found.len());
                assert!(found == new || found == "old" && result.is_err(), "{about}");
                assert_eq!(names(folder.path()), ["file"], "{about}");
                if at >= operations.len() {
                    assert!(result.is_ok() && at >= writes + 4, "{about}");
                    break;
                }
            }
        }
    }
}

/// Fault 3: an error at every operation of replacing a folder.
///
/// All ways of putting a folder in place of another: by exchange, by two renames, and file by file.
#[test]
fn a_folder_is_the_old_or_the_new_after_a_fault_at_any_operation() {
    let write = |path: &Path| {
        write_folder(path, 6, |folder| {
            folder.file("a", fill_with("new"))?;
            folder.file("b", fill_with("new"))
        })
    };
    let all = |names: &[&str], text: &str| {
        names.iter().map(|name| ((*name).to_owned(), text.to_owned())).collect::<Vec<_>>()
    };
    for refused in WAYS {
        for lasting in [false, true] {
            for at in 0.. {
                let folder = test_folder();
                let path = folder.path().join("export");
                fs::create_dir(&path).unwrap();
                for name in ["a", "b", "c"] {
                    fs::write(path.join(name), "old").unwrap();
                }
                let plan = match lasting {
                    false => Plan::Once(refused, CrossesDevices, at),
                    true => Plan::From(refused, CrossesDevices, at),
                };
                let (result, operations) = with(plan, || write(&path));
                recover(folder.path(), refused);
                assert_eq!(names(folder.path()), ["export"], "{plan:?}");
                let contents: Vec<_> = names(&path)
                    .into_iter()
                    .map(|name| (name.clone(), fs::read_to_string(path.join(name)).unwrap()))
                    .collect();
                let new = contents == all(&["a", "b"], "new");
                assert!(new || contents == all(&["a", "b", "c"], "old"), "{plan:?}: {contents:?}");
                assert!(new || result.is_err(), "{plan:?}");
                if at >= operations.len() {
                    assert!(result.is_ok() && at >= 9 && new, "all operations were tried");
                    break;
                }
            }
        }
    }
}

/// Fault 48: what failed in the middle is not finished over what was written later.
#[test]
fn a_later_write_wins_over_one_that_failed() {
    let write = |path: &Path, text| {
        write_folder(path, 6, |folder| {
            folder.file("a", fill_with(text))?;
            folder.file("b", fill_with(text))
        })
    };
    for refused in &WAYS[2..] {
        for at in 0.. {
            let folder = test_folder();
            let path = folder.path().join("export");
            write(&path, "old").unwrap();
            let plan = Plan::Once(refused, CrossesDevices, at);
            let (_, operations) = with(plan, || write(&path, "new"));
            let (result, _) = with(Plan::Each(refused, CrossesDevices), || write(&path, "newest"));
            result.unwrap();
            recover(folder.path(), refused);
            for name in ["a", "b"] {
                assert_eq!(fs::read_to_string(path.join(name)).unwrap(), "newest", "{plan:?}");
            }
            if at >= operations.len() {
                break;
            }
        }
    }
}

/// Fault 48: where renames are refused at times, a move that failed is not finished over what a rename
/// put there later, wherever that is killed.
#[test]
fn a_later_rename_wins_over_a_move_that_failed() {
    let folder_of = |path: &Path, files: [&str; 2], text| {
        write_folder(path, 6, |new| {
            files.iter().try_for_each(|name| new.file(name, fill_with(text)))
        })
    };
    let write = |path: &Path, text| {
        // The files change too, so that a part of one among the other shows.
        let files = if text == "newest" { ["a", "c"] } else { ["a", "b"] };
        write_file(&path.join("file"), 6, fill_with(text)).and(folder_of(
            &path.join("export"),
            files,
            text,
        ))
    };
    let contents = |path: &Path| -> Vec<_> {
        let of = |path: PathBuf| (path.clone(), fs::read_to_string(path).unwrap());
        names(path).into_iter().map(|name| of(path.join(name))).collect()
    };
    let is_whole = |folder: &Path| {
        let found = contents(&folder.join("export"));
        let text = &found[0].1;
        let files = if text == "newest" { ["a", "c"] } else { ["a", "b"] };
        let all = files.map(|name| (folder.join("export").join(name), text.clone()));
        assert_eq!(found, all);
        let file = fs::read_to_string(folder.join("file")).unwrap();
        [file, text.clone()].map(|text| text == "newest")
    };
    let refused = WAYS[3];
    let failed = |at| {
        let folder = test_folder();
        write(folder.path(), "old").unwrap();
        let plan = Plan::From(refused, CrossesDevices, at);
        let (_, operations) = with(plan, || {
            let _ = write_file(&folder.path().join("file"), 6, fill_with("new"));
        });
        let left = operations.len();
        let plan = Plan::From(refused, CrossesDevices, at);
        let (_, operations) = with(plan, || {
            let _ = folder_of(&folder.path().join("export"), ["a", "b"], "new");
        });
        (folder, at >= left.max(operations.len()))
    };
    for at in 0.. {
        for killed in 0.. {
            let (folder, _) = failed(at);
            let plan = Plan::From(&[], Other, killed);
            let (result, operations) = with(plan, || write(folder.path(), "newest"));
            recover(folder.path(), refused);
            let newest = is_whole(folder.path());
            assert!(result.is_err() || newest == [true; 2], "{at}, {plan:?}: {newest:?}");
            assert_eq!(names(folder.path()), ["export", "file"], "{at}, {plan:?}");
            if killed >= operations.len() {
                break;
            }
        }
        if failed(at).1 {
            break;
        }
    }
}

/// Fault 48: a list that is cut short, changed, or names what is elsewhere moves nothing.
#[test]
fn only_a_whole_list_moves_anything() {
    let folder = test_folder();
    let list = folder.path().join(".fcmae-new-export");
    let begun = || {
        let _ = fs::remove_dir_all(folder.path().join("export"));
        let source = folder.path().join(".fcmae-tmp-1-2-export");
        let _ = fs::create_dir(&source);
        fs::write(source.join("a"), "new").unwrap();
    };
    let text = |lines: &str| format!("{lines}{}\n", blake3::hash(lines.as_bytes()).to_hex());
    let whole = text("folder .fcmae-tmp-1-2-export\na\n");
    begun();
    fs::write(&list, &whole).unwrap();
    remove_leftovers(folder.path()).unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("export/a")).unwrap(), "new");
    let cut = (0..whole.len()).map(|length| whole[..length].to_owned());
    let other = ["folder ..\na\n", "folder .fcmae-tmp-1-2-export\n../a\n", "folder /etc\na\n"];
    for text in cut.chain(other.map(text)) {
        begun();
        fs::write(&list, &text).unwrap();
        remove_leftovers(folder.path()).unwrap();
        assert!(names(folder.path()).is_empty(), "{text:?}");
    }
}

/// Fault 48: what a disk refuses is told with what follows, or refused before anything depends on it.
#[test]
fn a_probe_tells_what_a_disk_refuses() {
    let folder = test_folder();
    let path = folder.path().display();
    let probed = |refused: &'static [Operation], kind| {
        let (found, _) = with(Plan::Each(refused, kind), || probe(folder.path()));
        // Where nothing can be removed, what was tried stays.
        if refused == [Operation::Remove] {
            remove_leftovers(folder.path()).unwrap();
        }
        assert!(names(folder.path()).is_empty(), "{refused:?}");
        found
    };
    assert_eq!(probed(&[Operation::Exchange], Other).unwrap(), Troubles::default());
    let by_words: [(&'static [Operation], _, _); 4] = [
        (
            &[Operation::RenameFolder],
            PermissionDenied,
            "folders cannot be renamed here (permission",
        ),
        (&[Operation::Rename], CrossesDevices, "files cannot be renamed here (cross-device"),
        (&[Operation::SyncFolder], PermissionDenied, "folders cannot be synced here (permission"),
        (&[Operation::SyncFile], Unsupported, "files cannot be synced here (unsupported)"),
    ];
    for (refused, kind, words) in by_words {
        let notes = probed(refused, kind).unwrap().sentences(folder.path());
        let [note] = notes.as_slice() else { panic!("{refused:?}: {notes:?}") };
        assert!(note.starts_with(&format!("{path}: {words}")), "{note}");
    }
    for (refused, what) in [
        (&[Operation::Append] as &[_], "appended to"),
        (&[Operation::Shorten], "shortened"),
        (&[Operation::CreateFile], "written"),
        (&[Operation::SyncFile], "written"),
        (&[Operation::Remove], "removed"),
    ] {
        let error = probed(refused, Other).unwrap_err();
        let text = error.to_string();
        let words =
            format!("{path} cannot hold a run: files there cannot be {what}: other error; ");
        assert!(text.starts_with(&words), "{text}");
        assert!(text.contains("a folder on a local disk as --out"), "{text}");
    }
    for refused in [&[Operation::Append] as &[_], &[Operation::Write], &[Operation::Rename]] {
        let error = probed(refused, StorageFull).unwrap_err();
        assert!(
            refused == [Operation::Rename] || matches!(error, Error::NoSpace { .. }),
            "{error}"
        );
    }
}

/// Fault 48: a rename that succeeds and changes what it renames makes the storage of no use.
#[test]
fn a_probe_refuses_renames_that_change_files() {
    for operation in [Operation::Rename, Operation::RenameFolder] {
        let folder = test_folder();
        let (probed, _) = with(Plan::Spoiling(operation), || probe(folder.path()));
        let error = probed.unwrap_err();
        assert!(matches!(error, Error::Unsuited { .. }), "{error}");
        let words = "files there cannot be renamed and stay as they are: it has 5 bytes afterwards";
        assert!(error.to_string().contains(words), "{error}");
        assert!(names(folder.path()).is_empty());
    }
}

/// Fault 49: where the disk fails to sync a folder, what it replaced stays until the next write of it.
#[cfg(unix)]
#[test]
fn former_contents_stay_until_their_successor_is_durable() {
    let folder = test_folder();
    let path = folder.path().join("export");
    let write = |text| write_folder(&path, 3, |new| new.file("a", fill_with(text))).unwrap();
    write("old");
    for (before, text) in [("old", "new"), ("new", "newer")] {
        with(Plan::BrokenSyncs, || write(text));
        let found = names(folder.path());
        let [kept, export] = found.as_slice() else { panic!("{found:?}") };
        let of = |name: &str| fs::read_to_string(folder.path().join(name).join("a")).unwrap();
        assert_eq!((of(kept).as_str(), of(export).as_str()), (before, text));
    }
    write("newest");
    assert_eq!(names(folder.path()), ["export"]);
}

/// Fault 48: a rename whose answer was lost, and that is asked for again, is done.
#[test]
fn a_rename_that_was_done_already_is_done() {
    let folder = test_folder();
    let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
    fs::write(&from, "new").unwrap();
    for _ in 0..2 {
        disk::rename(&from, &to).unwrap();
        disk::rename_folder(&from, &to).unwrap();
    }
    assert_eq!(fs::read_to_string(&to).unwrap(), "new");
    fs::remove_file(&to).unwrap();
    assert!(disk::rename(&from, &to).is_err());
}

/// Fault 4: what is said where the disk is full.
#[test]
fn a_full_disk_names_file_bytes_needed_and_bytes_free() {
    let folder = test_folder();
    let path = folder.path().join("weights");
    let (result, _) = with(Plan::Each(&[Operation::Write], StorageFull), || {
        write_file(&path, 123, fill_with("x"))
    });
    let Err(Error::NoSpace { path: named, needed: 123, free: Some(free) }) = result else {
        panic!("{result:?}")
    };
    assert_eq!(named, path);
    assert!(free > 0);
    assert!(names(folder.path()).is_empty());
}

/// What is said where something else than room is used up.
#[test]
fn a_quota_many_files_and_a_large_file_are_told_apart() {
    let folder = test_folder();
    let path = folder.path().join("weights");
    for (kind, says) in [
        (io::ErrorKind::StorageFull, "`df -i`"),
        (io::ErrorKind::QuotaExceeded, "your disk quota"),
        (io::ErrorKind::FileTooLarge, "`ulimit -f`"),
    ] {
        let (result, _) =
            with(Plan::Each(&[Operation::Write], kind), || write_file(&path, 1, fill_with("x")));
        let said = result.unwrap_err().to_string();
        assert!(said.contains(says) && said.contains("weights"), "{said}");
    }
    let scarce = Error::NoSpace { path, needed: 5, free: Some(4) }.to_string();
    assert!(scarce.contains("free some space") && !scarce.contains("quota"), "{scarce}");
}

#[test]
fn file_names_stay_in_their_folder() {
    for name in ["", ".", "..", ".hidden", "a/b", "../x", "/etc/x", "a\\b", "a b", "ä"] {
        assert!(check_file_name(name).is_err(), "{name:?}");
    }
    assert!(check_file_name("preprocessor_config-2.json").is_ok());
}
