//! Splits that were recorded, and parts of a set that are read back from them.

use std::path::Path;

use fcmae_data::{Amount, DataError, Labels, Part, PictureSet, Split};

use crate::pictures::write;

/// Pictures of three classes, some of them oddly named.
fn folder() -> (tempfile::TempDir, PictureSet) {
    let dir = tempfile::tempdir().unwrap();
    for index in 0..60 {
        let class = ["ant", "bee", "été, \"x\""][index % 3];
        write(&dir.path().join("set").join(class).join(format!("{index:02}.jpg")), b"x");
    }
    #[cfg(unix)]
    for name in [&b"a\nb.jpg"[..], b"\xff\\x41.jpg", b" \t.jpg"] {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(name);
        write(&dir.path().join("set/bee").join(name), b"x");
    }
    let set = PictureSet::open(dir.path().join("set"), Labels::Required).unwrap();
    (dir, set)
}

/// The parts as a fine-tuning on few labels makes them.
fn parts(set: &PictureSet) -> (PictureSet, PictureSet) {
    let (rest, held_out) = set.split(0.2, 7).unwrap();
    (rest.take_labels(Amount::Fraction(0.5), 7).unwrap(), held_out)
}

#[test]
fn a_part_read_back_is_the_same_part() {
    let (dir, set) = folder();
    let (training, held_out) = parts(&set);
    let split = Split::new(&set, &training, Some(&held_out)).unwrap();
    let table = dir.path().join("split.csv");
    write(&table, b"what was there before");
    split.write(&table).unwrap();
    assert_eq!(Split::read(&table).unwrap(), split);
    assert!(!dir.path().join("split.csv.partial").exists());
    let text = std::fs::read_to_string(&table).unwrap();
    assert!(text.starts_with("path,label,part\nant/00.jpg,ant,"), "{text}");
    assert!(text.contains("\n\"été, \"\"x\"\"/02.jpg\",\"été, \"\"x\"\"\","), "{text}");
    if cfg!(unix) {
        assert!(text.contains("\nbee/\\xff\\x5cx41.jpg,bee,"), "{text}");
        assert!(text.contains("\nbee/a\\x0ab.jpg,bee,"), "{text}");
    }
    // A picture that came later, and one of none of the parts that is gone.
    let unused: Vec<_> = (0..set.len())
        .filter(|&index| {
            ![&training, &held_out].iter().any(|p| p.samples.contains(&set.samples[index]))
        })
        .collect();
    assert_eq!(split.count(Part::NotUsed), unused.len());
    std::fs::remove_file(set.path(unused[0])).unwrap();
    write(&dir.path().join("set/ant/new.jpg"), b"x");
    let later = PictureSet::open(dir.path().join("set"), Labels::Required).unwrap();
    let split = Split::read(&table).unwrap();
    for (part, expected) in [(Part::Training, &training), (Part::HeldOut, &held_out)] {
        let found = later.select(&split, part).unwrap();
        assert_eq!(found.fingerprint(), expected.fingerprint());
        assert_eq!(found.len(), split.count(part));
    }
    let error = later.select(&split, Part::NotUsed).unwrap_err();
    assert!(matches!(error, DataError::NotInSet { missing: 1, .. }), "{error}");
}

#[test]
fn missing_pictures_are_named() {
    let (dir, set) = folder();
    let (training, held_out) = parts(&set);
    let split = Split::new(&set, &training, Some(&held_out)).unwrap();
    std::fs::remove_dir_all(dir.path().join("set/ant")).unwrap();
    let left = PictureSet::open(dir.path().join("set"), Labels::Required).unwrap();
    let error = left.select(&split, Part::Training).unwrap_err().to_string();
    let of_ant: Vec<&Path> = training
        .samples
        .iter()
        .map(|sample| sample.path.as_path())
        .filter(|path| path.starts_with("ant"))
        .collect();
    assert_eq!(
        left.select_what_is_left(&split, Part::Training).len(),
        training.len() - of_ant.len()
    );
    assert!(of_ant.len() > 5);
    let text = format!("{} of {} recorded pictures", of_ant.len(), training.len());
    assert!(error.contains(&text), "{error}");
    assert!(error.contains(of_ant[0].to_str().unwrap()), "{error}");
    assert!(error.contains(of_ant[4].to_str().unwrap()), "{error}");
    assert!(!error.contains(of_ant[5].to_str().unwrap()), "{error}");
}

#[test]
fn pictures_of_one_path_from_two_sources_stay_apart() {
    let dir = tempfile::tempdir().unwrap();
    let roots = ["one", "two"].map(|name| dir.path().join(name));
    for index in 0..20 {
        for root in &roots {
            write(&root.join(format!("{}/{index}.jpg", index % 2)), b"x");
        }
    }
    let set = PictureSet::open_all(&roots, Labels::Required).unwrap();
    let (training, held_out) = set.split(0.25, 3).unwrap();
    let split = Split::new(&set, &training, Some(&held_out)).unwrap();
    let both = [(Part::Training, &training), (Part::HeldOut, &held_out)];
    for (part, expected) in both {
        let found = set.select(&split, part).unwrap();
        let paths = |set: &PictureSet| (0..set.len()).map(|i| set.path(i)).collect::<Vec<_>>();
        assert_eq!(paths(&found), paths(expected));
    }
    // Two sources were recorded, one is given.
    let one = PictureSet::open(&roots[0], Labels::Required).unwrap();
    let missing = both.map(|(part, _)| one.select(&split, part).is_err());
    assert!(missing.contains(&true));
}

#[test]
fn parts_of_another_set_are_refused() {
    let (_dir, set) = folder();
    let (_other, other) = folder();
    let (training, held_out) = parts(&set);
    let error = Split::new(&set, &training, Some(&training)).unwrap_err().to_string();
    assert!(error.contains("in both parts"), "{error}");
    assert!(Split::new(&training, &set, None).is_err());
    let split = Split::new(&set, &training, None).unwrap();
    assert_eq!(split.count(Part::NotUsed), set.len() - training.len());
    let error = other.select(&split, Part::HeldOut).unwrap_err().to_string();
    assert!(error.contains("without pictures in the part held_out"), "{error}");
    assert_eq!(Split::new(&set, &held_out, None).unwrap().count(Part::Training), held_out.len());
}

#[test]
fn tables_that_cannot_be_used_are_refused_with_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("split.csv");
    let error = |text: &[u8]| {
        write(&table, text);
        let error = Split::read(&table).unwrap_err().to_string();
        assert!(error.contains("split.csv"), "{error}");
        error
    };
    assert!(error(b"").contains("path,label,part"));
    assert!(error(b"path,label\na.jpg,ant\n").contains("path,label,part"));
    let text = error(b"path,label,part\na.jpg,ant,training\nb.jpg,ant,test\n");
    assert!(
        text.contains("line 3: part \"test\" is none of training, held_out, not_used"),
        "{text}"
    );
    assert!(error(b"path,label,part\na\\b.jpg,,training\n").contains("line 2: \"a\\\\b.jpg\""));
    assert!(error(b"path,label,part\n,,training\n").contains("line 2"));
    assert!(error(b"path,label,part\na.jpg,ant\n").contains("line: 2"));
    assert!(error(b"path,label,part\n\xFF,ant,training\n").contains("line 2, field: 0"));
    std::fs::remove_file(&table).unwrap();
    assert!(matches!(Split::read(&table), Err(DataError::Unreadable { .. })));
    let (_dir, set) = folder();
    let split = Split::new(&set, &set, None).unwrap();
    let error = split.write(&dir.path().join("missing/split.csv")).unwrap_err().to_string();
    assert!(error.contains("missing/split.csv: cannot be written"), "{error}");
}

/// Fault 23.
#[test]
#[cfg(unix)]
fn a_table_that_is_no_file_or_too_long_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |table: &Path| Split::read(table).unwrap_err().to_string();
    let pipe = dir.path().join("pipe.csv");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for table in [dir.path(), &pipe] {
        let text = refused(table);
        assert!(
            text.contains("as a recorded split: it is not a file; give the split.csv"),
            "{text}"
        );
    }
    let long = dir.path().join("long.csv");
    std::fs::File::create(&long).unwrap().set_len((1 << 30) + 1).unwrap();
    let text = refused(&long);
    assert!(text.contains("it has 1073741825 bytes, at most 1073741824 are read"), "{text}");
}
