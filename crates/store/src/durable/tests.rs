#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::ErrorKind::{Other, StorageFull, Unsupported};

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
    for at in 0..operations.len() {
        for plan in [Plan::Once(at, Other), Plan::From(at, Other)] {
            let folder = test_folder();
            let path = folder.path().join("file");
            fs::write(&path, "old").unwrap();
            let (result, _) = with(plan, || write(&path));
            assert!(result.is_err(), "{plan:?}");
            let found = fs::read_to_string(&path).unwrap();
            assert!(found == "old" || found == new, "{plan:?}: {} bytes", found.len());
            remove_leftovers(folder.path()).unwrap();
            assert_eq!(names(folder.path()), ["file"], "{plan:?}");
        }
    }
}

/// Fault 3: an error at every operation of replacing a folder.
///
/// Both ways of putting a folder in place of another: by exchange, and by two renames.
#[test]
fn a_folder_is_the_old_or_the_new_after_a_fault_at_any_operation() {
    let write = |path: &Path| {
        write_folder(path, 6, |folder| {
            folder.file("a", fill_with("new"))?;
            folder.file("b", fill_with("new"))
        })
    };
    for exchange in [true, false] {
        for at in 0.. {
            let folder = test_folder();
            let path = folder.path().join("export");
            fs::create_dir(&path).unwrap();
            for name in ["a", "b", "c"] {
                fs::write(path.join(name), "old").unwrap();
            }
            let plan = if exchange {
                Plan::From(at, Other)
            } else {
                Plan::EachAndFrom(Operation::Exchange, Unsupported, at, Other)
            };
            let (result, operations) = with(plan, || write(&path));
            remove_leftovers(folder.path()).unwrap();
            assert_eq!(names(folder.path()), ["export"], "exchange {exchange}, fault at {at}");
            let contents: Vec<_> = names(&path)
                .into_iter()
                .map(|name| (name.clone(), fs::read_to_string(path.join(name)).unwrap()))
                .collect();
            let all = |names: &[&str], text: &str| {
                names.iter().map(|name| ((*name).to_owned(), text.to_owned())).collect::<Vec<_>>()
            };
            let new = contents == all(&["a", "b"], "new");
            assert!(new || contents == all(&["a", "b", "c"], "old"), "at {at}: {contents:?}");
            assert!(new || result.is_err(), "at {at}");
            if at >= operations.len() {
                assert!(at >= 9 && new, "all operations were tried");
                break;
            }
        }
    }
}

/// Fault 4: what is said where the disk is full.
#[test]
fn a_full_disk_names_file_bytes_needed_and_bytes_free() {
    let folder = test_folder();
    let path = folder.path().join("weights");
    let (result, _) =
        with(Plan::Each(Operation::Write, StorageFull), || write_file(&path, 123, fill_with("x")));
    let Err(Error::NoSpace { path: named, needed: 123, free: Some(free) }) = result else {
        panic!("{result:?}")
    };
    assert_eq!(named, path);
    assert!(free > 0);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn file_names_stay_in_their_folder() {
    for name in ["", ".", "..", ".hidden", "a/b", "../x", "/etc/x", "a\\b", "a b", "ä"] {
        assert!(check_file_name(name).is_err(), "{name:?}");
    }
    assert!(check_file_name("preprocessor_config-2.json").is_ok());
}
