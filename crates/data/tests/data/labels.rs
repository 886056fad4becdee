//! Labels mean what they say, or are refused.

use fcmae_data::{DataError, Labels, PictureSet};

use crate::pictures::write;

/// A list of a picture for each label.
fn listed(labels: &[&str]) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let mut text = "path,label\n".to_owned();
    for (number, label) in labels.iter().enumerate() {
        write(&dir.path().join(format!("{number}.png")), b"x");
        text += &format!("{number}.png,{label}\n");
    }
    let list = dir.path().join("l.csv");
    write(&list, text.as_bytes());
    (dir, list)
}

fn folders(names: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        write(&dir.path().join(name).join("1.png"), b"x");
    }
    dir
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Positions of the labels of pictures in a list, among a network's classes.
fn positions(labels: &[&str], classes: &[&str]) -> Result<Vec<usize>, DataError> {
    let (_dir, list) = listed(labels);
    let set = PictureSet::open(list, Labels::Classes(&names(classes)))?;
    Ok(set.samples.iter().map(|sample| sample.label.unwrap()).collect())
}

#[test]
fn numbers_are_names_where_any_class_is_called_a_number() {
    for (labels, classes) in [
        (&["0", "1", "2"][..], &["1", "2", "3"][..]),
        (&["0"], &["1", "2", "3"]),
        (&["0", "1"], &["1", "2", "other"]),
        (&["3"], &["001", "002"]),
        (&["1"], &["1.0", "01"]),
    ] {
        let error = positions(labels, classes).unwrap_err();
        assert!(matches!(error, DataError::UnknownClass { .. }), "{error}");
    }
    assert_eq!(positions(&["0", "2"], &["cat", "dog", "fox"]).unwrap(), [0, 2]);
}

#[test]
fn numbers_match_however_they_are_written() {
    let padded = ["001", "002", "003"];
    assert_eq!(positions(&["1", "2", "3"], &padded).unwrap(), [0, 1, 2]);
    assert_eq!(positions(&["1", "2"], &padded).unwrap(), [0, 1]);
    assert_eq!(positions(&["3.0", "1.0"], &padded).unwrap(), [2, 0]);
    assert_eq!(positions(&["001"], &["1", "2"]).unwrap(), [0]);
    for labels in [["1", "001"], ["01", "1"]] {
        let error = positions(&labels, &padded).unwrap_err().to_string();
        assert!(error.contains("would both be the class \"001\""), "{error}");
    }
    let (_dir, list) = listed(&["1", "2"]);
    let set = PictureSet::open(list, Labels::Classes(&names(&padded))).unwrap();
    assert!(set.notes[0].contains("\"1\" is taken for \"001\", and 1 more"), "{:?}", set.notes);
}

#[test]
fn names_that_look_the_same_are_one_class() {
    // é composed and decomposed, and a blank at the end.
    for (one, other) in [("caf\u{e9}", "cafe\u{301}"), ("cat", "cat "), ("red fox", "red  fox")] {
        let dir = folders(&[one, other, "dog"]);
        let set = PictureSet::open(dir.path(), Labels::Required).unwrap();
        assert_eq!((set.classes.len(), set.len()), (2, 3), "{one}");
        assert!(
            set.notes[0].contains("in 2 ways") && set.notes[0].contains(one),
            "{:?}",
            set.notes
        );
        // A network knows either.
        let classes = names(&[one, "dog"]);
        let set = PictureSet::open(dir.path(), Labels::Classes(&classes)).unwrap();
        assert!(set.class_counts().contains(&2) && set.notes.len() == 1, "{:?}", set.notes);
    }
    // Alone, a name stays as it is written.
    let dir = folders(&["cafe\u{301}", "dog"]);
    let set = PictureSet::open(dir.path(), Labels::Required).unwrap();
    assert_eq!((set.classes, set.notes), (names(&["cafe\u{301}", "dog"]), Vec::new()));
}

#[test]
fn names_that_are_nearly_the_same_are_told_apart_aloud() {
    for (one, other) in [("Cat", "cat"), ("\u{ff23}at", "Cat"), ("1", "01")] {
        let dir = folders(&[one, other, "dog"]);
        let set = PictureSet::open(dir.path(), Labels::Required).unwrap();
        assert_eq!(set.classes.len(), 3);
        let note = &set.notes[0];
        assert!(
            note.contains(one) && note.contains(other) && note.contains("count as different"),
            "{note}"
        );
    }
    // Of many pairs one is told.
    let dir = folders(&["Cat", "cat", "Dog", "dog", "Fox", "fox"]);
    let notes = PictureSet::open(dir.path(), Labels::Required).unwrap().notes;
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].ends_with("and 2 more like these"), "{notes:?}");
    assert_eq!(positions(&["cat", "DOG"], &["Cat", "dog"]).unwrap(), [0, 1]);
    let error = positions(&["CAT"], &["Cat", "cat"]).unwrap_err();
    assert!(matches!(error, DataError::UnknownClass { .. }), "{error}");
}

#[test]
fn classes_without_names_are_taken_in_order() {
    let classes = names(&["0", "1", "2"]);
    let open = |folder: &[&str]| {
        let dir = folders(folder);
        PictureSet::open(dir.path(), Labels::Nameless(&classes))
    };
    let set = open(&["n01484850", "n01440764", "n01443537"]).unwrap();
    assert_eq!((set.class_counts(), set.classes.as_slice()), (vec![1, 1, 1], classes.as_slice()));
    assert_eq!(set.samples.iter().map(|s| s.label.unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(set.notes[0].contains("\"n01440764\" for the first, \"n01484850\" for the last"));
    let set = open(&["0", "2"]).unwrap();
    assert_eq!((set.class_counts(), set.notes.len()), (vec![1, 0, 1], 0));
    let error = open(&["n01484850", "n01440764"]).unwrap_err().to_string();
    assert!(error.contains("3 classes without names, and these pictures have 2"), "{error}");
    // With names of their own they are refused.
    let dir = folders(&["n01484850", "n01440764", "n01443537"]);
    let error = PictureSet::open(dir.path(), Labels::Classes(&classes)).unwrap_err();
    assert!(matches!(error, DataError::UnknownClass { .. }));
}

#[test]
fn of_two_classes_of_one_name_the_first_has_the_pictures() {
    assert_eq!(positions(&["a", "crane"], &["a", "crane", "crane"]).unwrap(), [0, 1]);
}
