//! Pictures that belong together: by a column, and copies.

use std::collections::BTreeSet;
use std::path::Path;

use fcmae_data::{Copies, DataError, Grouping, Labels, Limits, Opening, PictureSet};

use crate::pictures::write;

fn by_column<'a>(column: &'a str) -> Opening<'a> {
    Opening { labels: Labels::Required, group_column: Some(column), ..Opening::default() }
}

/// A list of 40 pictures of 8 patients, of which each has both classes, and one without a patient.
fn patients(dir: &Path) -> std::path::PathBuf {
    let mut text = "path,label,patient\n".to_owned();
    for at in 0..41 {
        write(&dir.join(format!("{at:02}.jpg")), format!("{at}").as_bytes());
        let patient = if at == 40 { " NA ".to_owned() } else { format!("P{}", at / 5) };
        text += &format!("{at:02}.jpg,{},{patient}\n", ["ill", "well"][at % 2]);
    }
    let list = dir.join("list.csv");
    write(&list, text.as_bytes());
    list
}

fn numbers(set: &PictureSet) -> Vec<usize> {
    set.samples.iter().map(|s| s.path.to_str().unwrap()[..2].parse().unwrap()).collect()
}

/// Groups: by a column of a list.
#[test]
fn a_column_of_a_list_keeps_patients_together() {
    let dir = tempfile::tempdir().unwrap();
    let list = patients(dir.path());
    let set = PictureSet::open(&list, by_column("patient")).unwrap();
    let plain = PictureSet::open(&list, Labels::Required).unwrap();
    assert_eq!(set.fingerprint(), plain.fingerprint());
    assert_eq!(
        (plain.group_columns.as_slice(), set.group_columns.len()),
        (&["patient".to_owned()][..], 0)
    );
    let notes = set.notes.join("\n");
    assert!(notes.contains("1 picture has no value in the column \"patient\""), "{notes}");
    assert!(notes.contains("40.jpg") && plain.notes.is_empty(), "{notes}");
    let groups = set.grouped(&Grouping::by_column(), &Copies::default()).unwrap();
    assert_eq!((groups.len(), groups.names().count(), groups.names().next()), (9, 8, Some("P0")));
    for seed in 0..10 {
        let (rest, held) = set.split_grouped(0.25, seed, &groups).unwrap();
        assert_eq!(rest.len() + held.len(), 41);
        let of = |set: &PictureSet| numbers(set).iter().map(|at| at / 5).collect::<BTreeSet<_>>();
        assert!(of(&rest).is_disjoint(&of(&held)) && held.len() >= 5, "{held:?}");
    }
}

/// Groups: by a column of a Parquet file, with each picture's bytes as before.
#[cfg(feature = "parquet")]
#[test]
fn a_column_of_a_parquet_file_keeps_groups_together() {
    let path = crate::parquet::fixture("labels/cifar.parquet");
    let opening = |group_column| Opening {
        labels: Labels::Required,
        label_column: Some("fine_label"),
        group_column,
        ..Opening::default()
    };
    let plain = PictureSet::open(&path, opening(None)).unwrap();
    let set = PictureSet::open(&path, opening(Some("fine_label"))).unwrap();
    assert_eq!(set.fingerprint(), plain.fingerprint());
    let read = |set: &PictureSet| -> Vec<Vec<u8>> {
        (0..set.len()).map(|at| set.read(at, &Limits::default()).unwrap()).collect()
    };
    assert_eq!(read(&set), read(&plain));
    let groups = set.grouped(&Grouping::by_column(), &Copies::default()).unwrap();
    assert_eq!(groups.names().collect::<Vec<_>>(), ["0", "1"]);
    let error = PictureSet::open(&path, opening(Some("patient"))).unwrap_err().to_string();
    assert!(
        error.contains("no column \"patient\" (data.group_column); its columns are \"img\""),
        "{error}"
    );
}

/// Groups: a column that cannot be there, or is not.
#[test]
fn a_column_of_groups_that_is_not_there_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let list = patients(dir.path());
    let refused = |path: &Path, column: &str| -> String {
        let error: DataError = PictureSet::open(path, by_column(column)).unwrap_err();
        error.to_string()
    };
    let error = refused(&list, "site");
    assert!(
        error.contains(
            "no column \"site\" (data.group_column); its columns are path, label, patient"
        ),
        "{error}"
    );
    let nameless = dir.path().join("nameless.csv");
    write(&nameless, b"00.jpg,a\n01.jpg,b\n");
    assert!(refused(&nameless, "site").contains("names no columns"));
    let folder = dir.path().join("classes");
    write(&folder.join("a/1.jpg"), b"1");
    write(&folder.join("b/2.jpg"), b"2");
    let error = refused(&folder, "site");
    assert!(error.contains("has no columns") && error.contains("data.group"), "{error}");
    // Without labels nothing is held out.
    let opening = Opening { group_column: Some("site"), ..Opening::default() };
    assert_eq!(PictureSet::open(&folder, opening).unwrap().len(), 2);
}

/// Groups: columns that are called so, and are none.
#[test]
fn a_column_of_one_value_or_of_all_others_is_no_group() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["1.jpg", "2.jpg", "3.jpg"] {
        write(&dir.path().join(name), name.as_bytes());
    }
    let list = dir.path().join("list.csv");
    let columns = |text: &str| {
        write(&list, text.as_bytes());
        PictureSet::open(&list, Labels::Required).unwrap().group_columns
    };
    let lines = |head: &str, cells: [&str; 3]| {
        format!(
            "path,label,{head}\n1.jpg,a,{}\n2.jpg,b,{}\n3.jpg,b,{}\n",
            cells[0], cells[1], cells[2]
        )
    };
    assert_eq!(columns(&lines("Patient_ID", ["7", "8", "7"])), ["Patient_ID"]);
    assert_eq!(columns(&lines("slide", ["7", "8", "8"])), ["slide"]);
    assert!(columns(&lines("site", ["bern", "bern", "bern"])).is_empty());
    assert!(columns(&lines("case", ["1", "2", "3"])).is_empty());
    assert!(columns(&lines("weight", ["1", "1", "3"])).is_empty());
}

/// Class folders of ten pictures each, with these copies: `(from, to)`.
fn with_copies(copies: &[(&str, &str)]) -> (tempfile::TempDir, PictureSet) {
    let dir = tempfile::tempdir().unwrap();
    for at in 0..20 {
        let name = format!("{}/{at:02}.jpg", ["a", "b"][at % 2]);
        // Of one size, with another middle.
        write(&dir.path().join(name), format!("{:9000}{at:09000}{:9000}", "", "").as_bytes());
    }
    // Nearly the same: alike in the middle.
    write(&dir.path().join("a/near1.jpg"), format!("{:9000}{:10000}x", "", "").as_bytes());
    write(&dir.path().join("a/near2.jpg"), format!("{:9000}{:10000}y", "", "").as_bytes());
    for (from, to) in copies {
        std::fs::copy(dir.path().join(from), dir.path().join(to)).unwrap();
    }
    let set = PictureSet::open(dir.path(), Labels::Required).unwrap();
    (dir, set)
}

fn names(set: &PictureSet, of: &[usize]) -> Vec<String> {
    of.iter().map(|at| set.samples[*at].path.to_str().unwrap().to_owned()).collect()
}

/// Copies: found by their bytes, and held out together.
#[test]
fn copies_are_found_and_stay_on_one_side() {
    let (_dir, set) = with_copies(&[
        ("a/00.jpg", "a/30.jpg"),
        ("a/00.jpg", "a/31.jpg"),
        ("b/01.jpg", "b/40.jpg"),
        ("a/02.jpg", "b/50.jpg"),
    ]);
    let copies = set.copies(&Limits::default());
    let found: Vec<_> = copies.sets().iter().map(|of| names(&set, of)).collect();
    let expected: [&[&str]; 3] = [
        &["a/00.jpg", "a/30.jpg", "a/31.jpg"],
        &["a/02.jpg", "b/50.jpg"],
        &["b/01.jpg", "b/40.jpg"],
    ];
    assert_eq!(found, expected);
    let torn: Vec<_> = copies.of_several_classes(&set).map(|of| names(&set, of)).collect();
    assert_eq!(torn, [["a/02.jpg", "b/50.jpg"]]);
    for seed in 0..30 {
        let (rest, held) = set.split_with(0.3, seed, &copies).unwrap();
        assert_eq!(rest.len() + held.len(), set.len());
        let aside: BTreeSet<&Path> = held.samples.iter().map(|s| s.path.as_path()).collect();
        for of in &found {
            let count = of.iter().filter(|name| aside.contains(Path::new(name))).count();
            assert!(count == 0 || count == of.len(), "seed {seed}: {of:?}");
        }
        assert!(!aside.contains(Path::new("a/02.jpg")), "of two classes: trained on");
        assert!((2..=5).contains(&held.class_counts()[0]), "{:?}", held.class_counts());
    }
    // A group that shares copies with another is one with it.
    let grouping = Grouping::parse("[0-9]+").unwrap();
    let groups = set.grouped(&grouping, &copies).unwrap();
    let alone = set.grouped(&grouping, &Copies::default()).unwrap();
    assert_eq!((groups.united(), alone.len() - groups.len()), (4, 4));
}

/// Copies: where there are none, the split is the one that it always was.
#[test]
fn without_copies_the_split_is_as_ever() {
    let (_dir, set) = with_copies(&[]);
    let copies = set.copies(&Limits::default());
    assert!(copies.sets().is_empty());
    let (_, plain) = set.split(0.3, 7).unwrap();
    assert_eq!(set.split_with(0.3, 7, &copies).unwrap().1.samples, plain.samples);
}

/// Copies: a class that is one picture many times stays in training.
#[test]
fn a_class_of_copies_alone_is_not_held_out() {
    let dir = tempfile::tempdir().unwrap();
    for at in 0..6 {
        write(&dir.path().join(format!("a/{at}.jpg")), b"the same");
        write(&dir.path().join(format!("b/{at}.jpg")), format!("other {at}").as_bytes());
    }
    let set = PictureSet::open(dir.path(), Labels::Required).unwrap();
    let (rest, held) = set.split_with(0.5, 1, &set.copies(&Limits::default())).unwrap();
    assert_eq!((rest.class_counts(), held.class_counts()), (vec![6, 3], vec![0, 3]));
}
