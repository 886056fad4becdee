//! Lists of files to samples.

use std::path::Path;

use fcmae_data::{DataError, Labels, PictureSet};

use crate::pictures::write;

/// A folder with a few pictures and a list.
fn listed(name: &str, text: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in ["a.jpg", "b c.jpg", "sub/d,e.jpg", "f"] {
        write(&dir.path().join("pictures").join(file), b"x");
    }
    write(&dir.path().join("pictures").join(name), text);
    dir
}

fn open(dir: &tempfile::TempDir, name: &str, labels: Labels<'_>) -> Result<PictureSet, DataError> {
    PictureSet::open(dir.path().join("pictures").join(name), labels)
}

/// Paths and the names of their classes.
fn samples(set: &PictureSet) -> Vec<(&str, &str)> {
    let class = |label: Option<usize>| label.map_or("", |label| set.classes[label].as_str());
    set.samples.iter().map(|s| (s.path.to_str().unwrap(), class(s.label))).collect()
}

#[test]
fn columns_are_found_with_and_without_a_header() {
    let expected = [("a.jpg", "cat"), ("b c.jpg", "dog"), ("f", "dog"), ("sub/d,e.jpg", "cat")];
    let tables = [
        ("l.csv", "a.jpg,cat\nb c.jpg,dog\n\"sub/d,e.jpg\",cat\nf,dog\n"),
        ("l.csv", "path,label\r\n./a.jpg, cat \r\nb c.jpg,dog\r\n\"sub/d,e.jpg\",cat\r\nf,dog"),
        (
            "l.csv",
            "\u{feff}Class,n,Image\ncat,1,a.jpg\ndog,2,b c.jpg\ncat,3,\"sub/d,e.jpg\"\ndog,4,f\n",
        ),
        ("l.TSV", "file\tlabel\na.jpg\tcat\nb c.jpg\tdog\nsub/d,e.jpg\tcat\nf\tdog\n"),
    ];
    for (name, text) in tables {
        let dir = listed(name, text.as_bytes());
        let set = open(&dir, name, Labels::Required).unwrap();
        assert_eq!(samples(&set), expected, "{text}");
        assert_eq!(set.path(0), dir.path().join("pictures/a.jpg"));
        assert!(set.skipped.is_empty());
        let set = open(&dir, name, Labels::Ignored).unwrap();
        assert!(set.classes.is_empty() && samples(&set).iter().all(|(_, class)| class.is_empty()));
        assert_eq!(set.len(), 4);
    }
}

#[test]
fn lines_that_cannot_be_used_are_skipped_each_with_its_reason() {
    let text = b"a.jpg,cat\nmissing.jpg,cat\n,dog\nb c.jpg\nsub,dog\n./a.jpg,dog\n\xff.jpg,cat\n\
                 f,\nsub/\"d,x\n\"sub/d,e.jpg\",dog\n";
    let dir = listed("l.csv", text);
    let set = open(&dir, "l.csv", Labels::Required).unwrap();
    assert_eq!(samples(&set), [("a.jpg", "cat"), ("sub/d,e.jpg", "dog")]);
    let skips: Vec<String> = set
        .skipped
        .iter()
        .map(|skip| format!("{} {}", skip.path.file_name().unwrap().display(), skip.reason))
        .collect();
    let expected = [
        "a.jpg listed again in line 6",
        "b c.jpg the list gives it no label",
        "f the list gives it no label",
        "l.csv line 3: it has no path",
        "l.csv line 7: its path is no UTF-8",
        "missing.jpg cannot be opened",
        "sub not a regular file",
        "\"d cannot be opened",
    ];
    for reason in expected {
        assert!(skips.iter().any(|skip| skip.starts_with(reason)), "{reason} in {skips:?}");
    }
    assert_eq!(skips.len(), expected.len(), "{skips:?}");
}

#[test]
fn a_plain_list_has_no_labels() {
    let dir = listed("l.txt", "\u{feff}b c.jpg\r\n\n./a.jpg\nsub/d,e.jpg\nmissing.jpg".as_bytes());
    let set = open(&dir, "l.txt", Labels::Ignored).unwrap();
    assert_eq!(samples(&set), [("a.jpg", ""), ("b c.jpg", ""), ("sub/d,e.jpg", "")]);
    assert_eq!(set.skipped.len(), 1);
    let error = open(&dir, "l.txt", Labels::Required).unwrap_err().to_string();
    assert!(error.contains("l.txt") && error.contains("path,label"), "{error}");
}

#[test]
fn absolute_paths_are_taken_as_they_are() {
    let dir = listed("l.csv", b"");
    let whole = dir.path().join("pictures/a.jpg");
    let elsewhere = tempfile::tempdir().unwrap();
    let list = elsewhere.path().join("l.txt");
    write(&list, whole.to_str().unwrap().as_bytes());
    let set = PictureSet::open(list, Labels::Ignored).unwrap();
    assert_eq!(set.path(0), whole);
    assert_eq!(set.len(), 1);
}

#[test]
fn lists_without_what_is_needed_are_refused_with_the_mend() {
    let error = |name: &str, text: &[u8], labels: Labels<'_>| {
        let dir = listed(name, text);
        open(&dir, name, labels).unwrap_err().to_string()
    };
    for text in [&b"path\na.jpg\n"[..], b"a.jpg\nb c.jpg\n", b"path,size\na.jpg,4\n"] {
        let text = error("l.csv", text, Labels::Required);
        assert!(text.contains("no column of labels") && text.contains("path,label"), "{text}");
    }
    let text = error("l.csv", b"name,label\na.jpg,cat\n", Labels::Ignored);
    assert!(text.contains("path, file, image"), "{text}");
    let text = error("l.csv", b"a.jpg,cat\nb c.jpg,cat\n", Labels::Required);
    assert!(text.contains("label (\"cat\")") && text.contains("at least two"), "{text}");
    let text = error("l.csv", b"x/1.jpg,cat\nx/2.jpg,dog\n", Labels::Required);
    assert!(text.contains("none of the 2 files") && text.contains("x/2.jpg: cannot"), "{text}");
    for (name, text) in [("l.csv", ""), ("l.txt", "\n\n"), ("l.csv", "path,label\n")] {
        assert!(error(name, text.as_bytes(), Labels::Ignored).contains("no picture"));
    }
    assert!(error("l.md", b"a.jpg", Labels::Ignored).contains(".csv, .tsv, .txt"));
}

#[test]
fn numbers_are_ordered_as_numbers_unless_folders_are_named_so() {
    let dir = listed("l.csv", b"a.jpg,10\nb c.jpg,9\nf,9\n");
    assert_eq!(open(&dir, "l.csv", Labels::Required).unwrap().classes, ["9", "10"]);
    for class in ["9", "10"] {
        write(&dir.path().join("folders").join(class).join("1.jpg"), b"x");
    }
    let folders = dir.path().join("folders");
    assert_eq!(PictureSet::open(&folders, Labels::Required).unwrap().classes, ["10", "9"]);
    let both = [folders, dir.path().join("pictures/l.csv")];
    let set = PictureSet::open_all(&both, Labels::Required).unwrap();
    assert_eq!((set.classes.as_slice(), set.len()), (&["10".to_owned(), "9".to_owned()][..], 5));
    assert!(set.path(0).is_file() && Path::new(&set.samples[4].path) == Path::new("f"));
}

/// Fault 23.
#[test]
fn a_list_that_is_too_long_is_refused() {
    for name in ["l.csv", "l.txt"] {
        let dir = listed(name, b"");
        let list = dir.path().join("pictures").join(name);
        std::fs::File::create(&list).unwrap().set_len((1 << 30) + 1).unwrap();
        let text = open(&dir, name, Labels::Ignored).unwrap_err().to_string();
        let said = "it has 1073741825 bytes, at most 1073741824 are read; split it into several";
        assert!(text.contains(name) && text.ends_with(said), "{text}");
    }
}
