//! Lists of files to samples.

use std::path::Path;

use fcmae_data::{DataError, Labels, Opening, PictureSet};

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
    let text = b"a.jpg,cat\nmissing.jpg,cat\n,dog\nb c.jpg\nsub,dog\n./a.jpg,dog\n\\x.jpg,cat\n\
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
        "\\x.jpg cannot be opened",
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
fn lists_without_what_is_needed_are_refused_with_the_remedy() {
    let error = |name: &str, text: &[u8], labels: Labels<'_>| {
        let dir = listed(name, text);
        open(&dir, name, labels).unwrap_err().to_string()
    };
    for (text, remedy) in [
        (&b"a.jpg\nb c.jpg\n"[..], "such as path,label"),
        (
            b"path,size\na.jpg,4\n",
            "add a column `label`, or, if the labels are in one of its columns path, size, name",
        ),
    ] {
        let text = error("l.csv", text, Labels::Required);
        assert!(text.contains("no column of labels") && text.contains(remedy), "{text}");
    }
    let text = error("l.csv", b"other,label\na,cat\n", Labels::Ignored);
    assert!(text.contains("path, file, image"), "{text}");
    let text = error("l.csv", b"a.jpg,cat\nb c.jpg,cat\n", Labels::Required);
    assert!(text.contains("only one class, \"cat\"") && text.contains("at least two"), "{text}");
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

/// The list of 24 lines in some form, and the three classes that it is of.
fn forms(form: impl Fn(&str, &str) -> String) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for class in ["cat", "dog", "fox"] {
        for number in 0..8 {
            let path = format!("pics/{class}/{number}.png");
            write(&dir.path().join(&path), b"x");
            text += &form(&path, class);
        }
    }
    (dir, text)
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(bytes).collect()
}

/// Lists: as spreadsheets and Windows write them.
#[test]
fn lists_of_spreadsheets_are_read() {
    let semicolons = |path: &str, class: &str| format!("{path};{class}\r\n");
    let commas = |path: &str, class: &str| format!("{path},{class}\n");
    let other = |first: &'static str, form: fn(&str, &str) -> String| {
        let (dir, text) = forms(form);
        (dir, (first.to_owned() + &text).into_bytes())
    };
    let (dir, text) = forms(commas);
    let encoded = format!("path,label\n{text}");
    let cases = [
        other("path;label\r\n", semicolons),
        other("sep=;\r\npath;label\r\n", semicolons),
        other("", semicolons),
        other("path\tlabel\n", |path, class| format!("{path}\t{class}\n")),
        other("label|path\n", |path, class| format!("{class}|{path}\n")),
        other("path,label\n", |path, class| format!("{},{class}\n", path.replace('/', "\\"))),
        other("path, label\n", |path, class| format!(" {path} , {class} \n")),
        other("label, path\n", |path, class| format!("{class}, \"{path}\"\n")),
        other("\"path\",\"label\"\n", |path, class| format!("\"{path}\",\"{class}\"\n\n")),
        other("chemin;étiquette\n", semicolons),
        other("class,filename\n", |path, class| format!("{class},{path}\n")),
        other("Name,Category,File_Name\n", |path, class| format!("n,{class},{path}\n")),
        other("path,label,split\n", |path, class| format!("{path},{class},train\n")),
        (dir, utf16(&encoded, u16::to_le_bytes)),
        (forms(commas).0, utf16(&encoded, u16::to_be_bytes)),
    ];
    for (dir, bytes) in cases {
        let list = dir.path().join("l.csv");
        write(&list, &bytes);
        let set = PictureSet::open(&list, Labels::Required).unwrap();
        let text = String::from_utf8_lossy(&bytes[..40]).into_owned();
        assert_eq!(set.classes, ["cat", "dog", "fox"], "{text}");
        assert_eq!((set.len(), set.skipped.len(), set.notes.len()), (24, 0, 0), "{text}");
        assert_eq!(set.samples[0].path, Path::new("pics/cat/0.png"), "{text}");
    }
}

/// Lists: what cannot be read is refused as a whole, with the line or the way out.
#[test]
fn lists_in_other_encodings_and_of_several_splits_are_refused() {
    let refused = |name: &str, bytes: &[u8], says: &[&str]| {
        let (dir, _) = forms(|_, _| String::new());
        write(&dir.path().join(name), bytes);
        let error =
            PictureSet::open(dir.path().join(name), Labels::Ignored).unwrap_err().to_string();
        for part in says {
            assert!(error.contains(part), "{part} in {error}");
        }
    };
    let latin = b"path,label\npics/dog/0.png,dog\npics/cat/0.png,ch\xe2t\n";
    refused("l.csv", latin, &["line 3 is not UTF-8", "save it as UTF-8"]);
    refused("l.txt", b"pics/dog/0.png\n\xff.png", &["line 2 is not UTF-8"]);
    refused("l.csv", b"p\0a\0t\0h\0", &["UTF-16", "save it as UTF-8"]);
    refused("l.csv", b"\xff\xfep\0a", &["damaged as UTF-16"]);
    let splits = b"path,label,Split\npics/dog/0.png,dog,train\npics/cat/0.png,cat,val\n";
    refused("l.csv", splits, &["\"Split\": train (1), validation (1)", "a list of each"]);
    refused(
        "l.csv",
        b"path\nhttps://x.org/a.png\n",
        &["https://x.org/a.png: cannot be opened: it is a URL"],
    );
    refused("l.txt", b"pics/dog/0.png 1\n", &["a label stands behind it"]);
    #[cfg(unix)]
    refused("l.csv", b"path\nC:\\pics\\a.png\n", &["Windows"]);
    refused("l.csv", b"a,b,c\nx.png,y.png,cat\n", &["none of the 2 files"]);
}

/// Lists: files that are missing count.
#[test]
fn a_list_of_missing_files_is_too_bad() {
    let (dir, text) = forms(|path, class| {
        let gone = if path.contains("/0") { "" } else { "gone/" };
        format!("{gone}{path},{class}\n")
    });
    write(&dir.path().join("l.csv"), text.as_bytes());
    let set = PictureSet::open(dir.path().join("l.csv"), Labels::Required).unwrap();
    assert_eq!((set.len(), set.lost), (3, 21));
    let error = set.check_lost(0.1).unwrap_err().to_string();
    assert!(
        error.contains("21 of 24 pictures") && error.contains("gone/pics/cat/1.png"),
        "{error}"
    );
    assert!(set.check_lost(0.9).is_ok());
    let kinds = fcmae_data::Skipped::alike(&set.skipped);
    assert_eq!(kinds.len(), 1, "{kinds:?}");
    let told = kinds[0].to_string();
    assert!(
        told.starts_with("skipped 21: cannot be opened") && told.ends_with("gone/pics/cat/1.png"),
        "{told}"
    );
}

/// Lists: columns of any name, where they are chosen.
#[test]
fn a_lists_columns_are_chosen_by_their_names() {
    let (dir, text) = forms(|path, class| format!("{class},x,{path}\n"));
    let list = dir.path().join("l.csv");
    write(&list, format!("what,label,where\n{text}").as_bytes());
    let open = |label, image| {
        let opening = Opening {
            labels: Labels::Required,
            label_column: label,
            image_column: image,
            ..Opening::default()
        };
        PictureSet::open(&list, opening)
    };
    assert_eq!(open(Some("what"), Some("where")).unwrap().classes, ["cat", "dog", "fox"]);
    assert_eq!(open(Some("what"), None).unwrap().classes, ["cat", "dog", "fox"]);
    for (label, image) in [(Some("species"), None), (None, Some("species"))] {
        let error = open(label, image).unwrap_err().to_string();
        assert!(
            error.contains("no column \"species\"") && error.contains("what, label, where"),
            "{error}"
        );
    }
}

/// Lists: a label that is called like a column makes no header of a sample.
#[test]
fn a_first_line_with_a_picture_is_no_header() {
    let dir = tempfile::tempdir().unwrap();
    let mut list = String::new();
    for (number, label) in ["photo", "target", "photo", "name"].into_iter().enumerate() {
        write(&dir.path().join(format!("{number}.jpg")), b"x");
        list += &format!("{number}.jpg,{label}\n");
    }
    write(&dir.path().join("l.csv"), list.as_bytes());
    let set = PictureSet::open(dir.path().join("l.csv"), Labels::Required).unwrap();
    assert_eq!((set.len(), set.lost), (4, 0));
    assert_eq!(set.classes, ["name", "photo", "target"]);
}

/// Labels: words for a missing value are told where they become classes.
#[test]
fn missing_values_that_become_classes_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut list = "path,label\n".to_owned();
    for (number, label) in ["cat", "NA", "dog", "nan"].into_iter().enumerate() {
        write(&dir.path().join(format!("{number}.jpg")), b"x");
        list += &format!("{number}.jpg,{label}\n");
    }
    write(&dir.path().join("l.csv"), list.as_bytes());
    let set = PictureSet::open(dir.path().join("l.csv"), Labels::Required).unwrap();
    let notes = set.notes.join("\n");
    assert!(notes.contains("\"NA\" and \"nan\" look like a missing value"), "{notes}");
}

/// A folder of files, with a list of these lines.
fn with_list(files: &[&str], name: &str, text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        write(&dir.path().join(file), file.as_bytes());
    }
    let list = dir.path().join(name);
    write(&list, text.as_bytes());
    (dir, list)
}

/// Lists: one picture with two labels.
#[test]
fn a_picture_with_two_labels_is_told() {
    let text = "path,label\na.jpg,cat\nb.jpg,dog\n./a.jpg,dog\nb.jpg,dog\nc.jpg,dog\nc.jpg,cat\n";
    let (_dir, list) = with_list(&["a.jpg", "b.jpg", "c.jpg"], "l.csv", text);
    let set = PictureSet::open(&list, Labels::Required).unwrap();
    assert_eq!(samples(&set), [("a.jpg", "cat"), ("b.jpg", "dog"), ("c.jpg", "dog")]);
    let notes = set.notes.join("\n");
    assert!(notes.contains("2 pictures are listed with several labels, such as a.jpg"), "{notes}");
    assert!(notes.contains("as \"cat\" and \"dog\": the first"), "{notes}");
    let again: Vec<_> = set.skipped.iter().map(|skip| skip.reason.as_str()).collect();
    assert!(again.contains(&"listed again in line 4 with another label; the first is used"));
    assert!(again.contains(&"listed again in line 5; the first is used"), "{again:?}");
    assert!(PictureSet::open(&list, Labels::Ignored).unwrap().notes.is_empty());
}

/// Lists: as Kaggle, Windows and shells write their paths. Each means the file that is there.
#[cfg(target_os = "linux")] // Others may not tell letters by case.
#[test]
fn paths_are_found_as_they_are_meant() {
    let files = ["IMG_1.JPG", "Sub/IMG 2.jpg", "0a1b.jpg", "0a1c.png", "x.png", "#4.jpg"];
    let found = |name: &str, text: &str| {
        let (dir, list) = with_list(&files, name, text);
        let text = text.replace("DIR", dir.path().to_str().unwrap());
        write(&list, text.as_bytes());
        let set = PictureSet::open(&list, Labels::Ignored).unwrap();
        let mut names: Vec<String> = set
            .samples
            .iter()
            .map(|s| {
                s.path.strip_prefix(dir.path()).unwrap_or(&s.path).to_str().unwrap().to_owned()
            })
            .collect();
        names.sort();
        (names.join("|"), set.notes.join("\n"))
    };
    let cases = [
        ("l.csv", "path\nimg_1.jpg\nSUB\\img 2.JPG\nx.png\n", "IMG_1.JPG|Sub/IMG 2.jpg|x.png"),
        ("l.csv", "id,label\n0a1b,cat\n0a1c,dog\n", "0a1b.jpg|0a1c.png"),
        ("l.csv", "image_id,label\n0A1B,cat\n", "0a1b.jpg"),
        (
            "l.txt",
            "\"Sub/IMG 2.jpg\"\n'x.png'\n# a comment\n#4.jpg\n",
            "#4.jpg|Sub/IMG 2.jpg|x.png",
        ),
        ("l.csv", "# made by hand\n# today\npath,label\nx.png,a\n", "x.png"),
        ("l.csv", "# path,label\nx.png,a\n", "x.png"),
        ("l.csv", "#4.jpg,a\nx.png,a\n", "#4.jpg|x.png"),
        ("l.txt", "file://DIR/x.png\nfile://localhostDIR/0a1b.jpg\n", "0a1b.jpg|x.png"),
    ];
    for (name, text, expected) in cases {
        let (names, notes) = found(name, text);
        assert_eq!(names, expected, "{text}: {notes}");
    }
    let (_, notes) = found("l.csv", "path\nimg_1.jpg\nSUB\\img 2.JPG\n0a1b\n");
    assert!(
        notes.contains(
            "2 paths differ from files' in letter case, such as \"img_1.jpg\" for IMG_1.JPG"
        ),
        "{notes}"
    );
    assert!(notes.contains("1 name has no extension, such as \"0a1b\" for 0a1b.jpg"), "{notes}");
    assert!(found("l.csv", "path\nx.png\n").1.is_empty());
}

/// Lists: a name that two files could mean, and one of which there is a file in a folder.
#[cfg(target_os = "linux")] // Others may not tell letters by case.
#[test]
fn paths_that_may_mean_several_files_are_none() {
    let files = ["a.jpg", "a.png", "B.jpg", "b.JPG", "c.jpg", "train_images/9f.jpg"];
    let (_dir, list) = with_list(&files, "l.csv", "id,label\na,x\nb.Jpg,x\nc,y\n");
    let set = PictureSet::open(&list, Labels::Ignored).unwrap();
    assert_eq!((samples(&set), set.lost), (vec![("c.jpg", "")], 2));
    write(&list, b"id,label\n9f,x\n9e,y\n");
    let error = PictureSet::open(&list, Labels::Required).unwrap_err().to_string();
    assert!(
        error.contains("none of the 2 files") && error.contains("train_images holds 9f"),
        "{error}"
    );
}

/// Lists: two columns of one name.
#[test]
fn two_columns_of_a_name_are_refused() {
    let (_dir, list) =
        with_list(&["a.jpg", "b.jpg"], "l.csv", "path,label,Label\na.jpg,x,1\nb.jpg,y,2\n");
    let error = PictureSet::open(&list, Labels::Required).unwrap_err().to_string();
    assert!(error.contains("it has 2 columns \"label\""), "{error}");
    assert_eq!(PictureSet::open(&list, Labels::Ignored).unwrap().len(), 2);
}

/// Splits: columns of other names and values; those that are none are told.
#[test]
fn split_columns_of_any_name_are_not_mixed() {
    let (_dir, list) = with_list(&["a.jpg", "b.jpg"], "l.csv", "");
    let open = |head: &str, cells: [&str; 2]| {
        let text = format!("path,label,{head}\na.jpg,x,{}\nb.jpg,y,{}\n", cells[0], cells[1]);
        write(&list, text.as_bytes());
        PictureSet::open(&list, Labels::Required)
    };
    let error = open("Usage", ["Training", "PublicTest"]).unwrap_err().to_string();
    assert!(error.contains("column \"Usage\": test (1), train (1)"), "{error}");
    let error = open("is_train", ["1", "0"]).unwrap_err().to_string();
    assert!(error.contains("column \"is_train\": not train (1), train (1)"), "{error}");
    assert!(open("is_train", ["1", "1"]).unwrap().notes.is_empty());
    let folds = open("fold", ["0", "1"]).unwrap();
    assert!(folds.notes[0].contains("all 2 values of the column \"fold\""), "{:?}", folds.notes);
    // As the column of labels it is none of splits.
    let opening =
        Opening { labels: Labels::Required, label_column: Some("set"), ..Opening::default() };
    write(&list, b"path,set\na.jpg,1\nb.jpg,2\n");
    assert_eq!(PictureSet::open(&list, opening).unwrap().classes, ["1", "2"]);
}

/// Labels: measured numbers are no classes.
#[test]
fn labels_that_are_measured_are_refused() {
    let names: Vec<String> = (0..30).map(|at| format!("{at}.jpg")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (_dir, list) = with_list(&names, "l.csv", "");
    let open = |label: &dyn Fn(usize) -> String| {
        let lines = names.iter().enumerate().map(|(at, name)| format!("{name},{}\n", label(at)));
        write(&list, format!("path,label\n{}", lines.collect::<String>()).as_bytes());
        PictureSet::open(&list, Labels::Required)
    };
    let error = open(&|at| format!("{:.3}", at as f64 / 7.0)).unwrap_err().to_string();
    assert!(error.contains("30 different numbers") && error.contains("not classes"), "{error}");
    let error = open(&|at| format!("-0.{at:02}")).unwrap_err().to_string();
    assert!(error.contains("measurements"), "{error}");
    // Stars, years and versions are classes.
    assert_eq!(open(&|at| format!("{:.1}", (at % 10) as f64 / 2.0)).unwrap().classes.len(), 10);
    assert_eq!(open(&|at| format!("{}", 1990 + at)).unwrap().classes.len(), 30);
    assert_eq!(open(&|at| format!("v{at}.5")).unwrap().classes.len(), 30);
}
