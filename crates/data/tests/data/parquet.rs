//! Parquet files to samples: what pyarrow and Hugging Face's datasets write, what is flawed, and
//! what is hostile.

use std::path::{Path, PathBuf};

use fcmae_data::{DataError, DecodeError, Labels, Limits, Opening, PictureSet};

use crate::pictures::write;

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parquet").join(name)
}

/// The fixtures by name, and what pyarrow reads from each.
fn expected() -> serde_json::Map<String, serde_json::Value> {
    let text = std::fs::read_to_string(fixture("parquet.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn skips(set: &PictureSet) -> Vec<&str> {
    set.skipped.iter().map(|skip| skip.reason.as_str()).collect()
}

fn open_bytes(bytes: &[u8], labels: Labels<'_>) -> Result<PictureSet, DataError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set.parquet");
    write(&path, bytes);
    PictureSet::open(path, labels)
}

#[test]
fn what_python_writes_is_read_as_python_reads_it() {
    let expected = expected();
    assert!(expected.len() >= 15);
    for (name, pictures) in &expected {
        let set = PictureSet::open(fixture(&format!("{name}.parquet")), Labels::Required).unwrap();
        let pictures = pictures.as_array().unwrap();
        assert_eq!(set.len(), pictures.len(), "{name}: {:?}", set.skipped);
        for picture in pictures {
            let text = |key: &str| picture[key].as_str().unwrap();
            let mut samples = set.samples.iter();
            let at = samples.position(|sample| sample.path == Path::new(text("name"))).unwrap();
            let sample = &set.samples[at];
            assert_eq!(set.classes[sample.label.unwrap()], text("label"), "{name}");
            assert_eq!(sample.bytes, picture["bytes"].as_u64().unwrap());
            let bytes = set.read(at, &Limits::default()).unwrap();
            assert_eq!(blake3::hash(&bytes).to_hex().as_str(), text("blake3"), "{name}: {at}");
        }
        let reasons = skips(&set);
        match name.as_str() {
            "nulls" => assert_eq!(reasons, ["rows without a picture: 3, the first is row 0"]),
            "datasets" => assert!(reasons[0].contains("no label"), "{reasons:?}"),
            _ => assert!(reasons.is_empty(), "{name}: {reasons:?}"),
        }
    }
    let numbers = PictureSet::open(fixture("numbers.parquet"), Labels::Required).unwrap();
    assert_eq!(numbers.classes, ["9", "10"]);
}

#[test]
fn the_same_pictures_are_the_same_set_however_they_are_stored() {
    let dir = tempfile::tempdir().unwrap();
    let snappy = PictureSet::open(fixture("snappy.parquet"), Labels::Required).unwrap();
    for index in 0..snappy.len() {
        let bytes = snappy.read(index, &Limits::default()).unwrap();
        write(&dir.path().join(&snappy.samples[index].path), &bytes);
    }
    let folder = PictureSet::open(dir.path(), Labels::Required).unwrap();
    assert_eq!(folder.len(), 11);
    for name in ["groups", "gzip", "version_2_plain", "delta", "mixed", "snappy_small_pages"] {
        let set = PictureSet::open(fixture(&format!("{name}.parquet")), Labels::Required).unwrap();
        assert_eq!(set.fingerprint(), folder.fingerprint(), "{name}");
        let unlabelled = PictureSet::open(set.roots[0].clone(), Labels::Ignored).unwrap();
        assert!(unlabelled.classes.is_empty() && unlabelled.len() == folder.len());
    }
    let small = PictureSet::open(fixture("none.parquet"), Labels::Required).unwrap();
    assert_ne!(small.fingerprint(), folder.fingerprint());
    // Class names that the weights have, in their order; without a column of labels, folders.
    let classes = ["Öl", "ant", "other", "zebra"].map(str::to_owned);
    let set = PictureSet::open(fixture("snappy.parquet"), Labels::Classes(&classes)).unwrap();
    assert_eq!(set.class_counts(), [3, 4, 0, 4]);
}

#[test]
fn without_a_column_of_labels_folders_in_names_are_classes() {
    let bytes = std::fs::read(fixture("none.parquet")).unwrap();
    // Of the same length, so that all else stays in its place.
    let hidden = replaced(&replaced(&bytes, b"label", b"other"), b"ClassLabel", b"ClassOther");
    let set = open_bytes(&hidden, Labels::Required).unwrap();
    assert_eq!(set.classes, ["ant", "zebra", "Öl"]);
    assert_eq!(set.class_counts(), [4, 4, 3]);
}

#[test]
fn rows_without_names_are_called_by_file_and_row() {
    let set = PictureSet::open(fixture("plain_bytes.parquet"), Labels::Ignored).unwrap();
    assert_eq!(set.samples[5].path, Path::new("plain_bytes/000005"));
    // In another file the same name: then all names are none.
    let dir = tempfile::tempdir().unwrap();
    for (name, fixture_name) in [("1.parquet", "none"), ("sub/2.parquet", "zstd")] {
        let bytes = std::fs::read(fixture(&format!("{fixture_name}.parquet"))).unwrap();
        write(&dir.path().join(name), &bytes);
    }
    let set = PictureSet::open(dir.path(), Labels::Required).unwrap();
    assert_eq!(set.len(), 22);
    assert_eq!(set.samples[0].path, Path::new("1/000000"));
    assert_eq!(set.path(21), dir.path().join("sub/2.parquet/sub/2/000010"));
    assert_eq!(set.class_counts(), [8, 8, 6]);
    assert_eq!(set.read(12, &Limits::default()).unwrap(), b"");
}

/// Labels that may be missing: a file without them, or with others than can be used, has its pictures all the same.
#[test]
fn files_whose_labels_cannot_be_used_have_their_pictures() {
    let open = |path: &Path| {
        let (set, labels) =
            PictureSet::open_with_labels(&[path.into()], Opening::default()).unwrap();
        let plain = PictureSet::open(path, Labels::Ignored).unwrap();
        assert_eq!((&set.samples, set.fingerprint()), (&plain.samples, plain.fingerprint()));
        assert!(set.skipped.is_empty(), "{:?}", set.skipped);
        labels
    };
    for (name, reason) in [
        ("two_labels", "several columns of labels"),
        ("no_labels", "no column of them"),
        ("float_label", "holds 0.5, which is no class"),
    ] {
        let error = open(&fixture("refused").join(format!("{name}.parquet"))).unwrap_err();
        assert!(error.to_string().contains(reason), "{name}: {error}");
    }
    let path = fixture("none.parquet");
    let known = PictureSet::open(&path, Labels::Required).unwrap();
    let classes = known.samples.iter().map(|sample| Some(known.classes[sample.label?].clone()));
    assert_eq!(open(&path).unwrap(), classes.collect::<Vec<_>>());
}

#[test]
fn sound_files_that_are_not_read_are_refused_with_the_remedy() {
    let refused = |name: &str, labels: Labels<'_>| {
        let path = fixture("refused").join(format!("{name}.parquet"));
        let error = PictureSet::open(path, labels).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        error
    };
    for (name, reason) in [
        (
            "two_labels",
            "several columns of labels, \"label\", \"class\"; choose one with data.label_column",
        ),
        (
            "two_classes",
            "several columns of labels, \"coarse\", \"fine\"; choose one with data.label_column",
        ),
        (
            "no_labels",
            "no column of them, named label, labels, class; its columns are \"jpg\", \"score\"",
        ),
        (
            "two_pictures",
            "several columns of pictures, \"left\", \"right\"; choose one with data.image_column",
        ),
        ("no_picture", "no column of pictures, that is of type image, or of bytes and named image"),
        ("text_as_picture", "\"scan\" of pictures does not hold bytes"),
        ("pictures_a_row", "no column of pictures"),
        ("float_label", "column of labels holds 0.5, which is no class"),
        ("brotli", "compressed by Brotli; write it again without compression"),
        ("lz4", "compressed by LZ4; write it again without compression"),
        ("delta_bytes", "encoding 7, which is not read; write it again"),
        ("names_alone", "no picture in it"),
    ] {
        let error = refused(name, Labels::Required);
        assert!(error.contains(reason), "{error}");
    }
    for name in ["two_labels", "two_classes", "no_labels", "float_label"] {
        let path = fixture("refused").join(format!("{name}.parquet"));
        assert_eq!(PictureSet::open(path, Labels::Ignored).unwrap().len(), 4);
    }
    let both = [fixture("refused/names_alone.parquet"), fixture("none.parquet")];
    let text = PictureSet::open_all(&both, Labels::Ignored).unwrap_err().to_string();
    assert!(text.contains("names_alone.parquet: no picture in it"), "{text}");
}

/// Hub forms: labels that are true or false, or numbers that a missing one made float. Values are pyarrow's.
#[test]
fn labels_of_other_types_are_read() {
    for (name, expected) in [
        ("bool", &[("a.png", "true"), ("b.png", "false"), ("c.png", "false")]),
        ("bool_runs", &[("a.png", "true"), ("b.png", "false"), ("c.png", "false")]),
        ("float64", &[("a.png", "0"), ("b.png", "1"), ("d.png", "1")]),
        ("float32", &[("a.png", "0"), ("b.png", "1"), ("d.png", "1")]),
    ] {
        let path = fixture("labels").join(format!("{name}.parquet"));
        let set = PictureSet::open(path, Labels::Required).unwrap();
        let found = set.samples.iter();
        let found = found.map(|s| (s.path.to_str().unwrap(), &*set.classes[s.label.unwrap()]));
        assert_eq!(found.collect::<Vec<_>>(), expected, "{name}");
        assert_eq!((skips(&set).len(), set.lost), (1, 0), "{name}: {:?}", set.skipped);
    }
}

/// Hub forms: columns of other names.
#[test]
fn columns_are_chosen_by_their_names() {
    let open = |label: &str, image: &str| {
        let named = |name: &'static str| Some(name).filter(|name| !name.is_empty());
        let (label, image) = (label.to_owned().leak(), image.to_owned().leak());
        let opening = Opening {
            labels: Labels::Required,
            label_column: named(label),
            image_column: named(image),
            ..Opening::default()
        };
        PictureSet::open(fixture("labels/cifar.parquet"), opening)
    };
    let set = open("fine_label", "").unwrap();
    assert_eq!((set.classes.as_slice(), set.len()), (&["0".to_owned(), "1".to_owned()][..], 4));
    assert_eq!(open("fine_label", "img").unwrap().fingerprint(), set.fingerprint());
    for (label, image, says) in [
        (
            "",
            "",
            "its columns are \"img\", \"fine_label\", \"coarse_label\": name one with data.label_column",
        ),
        (
            "fine",
            "",
            "no column \"fine\" (data.label_column); its columns are \"img\", \"fine_label\"",
        ),
        ("fine_label", "image", "no column \"image\" (data.image_column); its columns are \"img\""),
        ("coarse_label", "", "only one class, \"7\""),
    ] {
        let error = open(label, image).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

/// Hub forms: a column of splits, and paths without pictures.
#[test]
fn splits_in_a_column_and_paths_alone_are_refused() {
    let refused = |name: &str| {
        let path = fixture("labels").join(format!("{name}.parquet"));
        PictureSet::open(path, Labels::Ignored).unwrap_err().to_string()
    };
    let error = refused("split");
    assert!(error.contains("column \"split\": test (1), train (2), validation (1)"), "{error}");
    for name in ["paths_alone", "text"] {
        let error = refused(name);
        assert!(error.contains("\"image\" holds paths of pictures"), "{name}: {error}");
        assert!(error.contains("a list (.csv)"), "{name}: {error}");
    }
}

/// Groups: a column of text with an empty cell; one of splits that has a single value is no doubt.
#[test]
fn a_column_of_subjects_is_told_and_used() {
    let opening =
        |group_column| Opening { labels: Labels::Required, group_column, ..Opening::default() };
    let path = fixture("labels/subjects.parquet");
    let set = PictureSet::open(&path, opening(None)).unwrap();
    assert_eq!((set.group_columns.join(","), set.notes.len()), ("subject_id".to_owned(), 0));
    let set = PictureSet::open(&path, opening(Some("subject_id"))).unwrap();
    assert!(set.notes[0].contains("1 picture has no value") && set.notes[0].ends_with("b.png"));
    let groups = set.grouped(&fcmae_data::Grouping::by_column(), &fcmae_data::Copies::default());
    let groups = groups.unwrap();
    assert_eq!((groups.len(), groups.names().collect::<Vec<_>>()), (3, vec!["s1", "s2"]));
}

/// Hub forms: what `Dataset.save_to_disk` writes.
#[test]
fn a_saved_data_set_is_named() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("saved/data-00000-of-00001.arrow"), b"\xff\xff\xff\xff");
    write(&dir.path().join("saved/state.json"), b"{}");
    write(&dir.path().join("dict/dataset_dict.json"), b"{}");
    write(&dir.path().join("dict/train/data-00000-of-00001.arrow"), b"");
    for (path, says) in [
        (
            "saved",
            "saved data set of Hugging Face (Dataset.save_to_disk): write it with Dataset.to_parquet(",
        ),
        ("dict", "saved data set of Hugging Face"),
        ("saved/data-00000-of-00001.arrow", "Dataset.to_parquet()"),
    ] {
        let error =
            PictureSet::open(dir.path().join(path), Labels::Ignored).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

/// The same with all of one part replaced by another of its length.
fn replaced(bytes: &[u8], part: &[u8], other: &[u8]) -> Vec<u8> {
    assert_eq!(part.len(), other.len());
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> =
        (0..=bytes.len() - part.len()).filter(|&at| bytes[at..].starts_with(part)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + part.len()].copy_from_slice(other);
    }
    bytes
}

/// Fault 15: ten kinds and more.
#[test]
fn malformed_files_are_refused_each_with_its_reason() {
    let good = std::fs::read(fixture("snappy.parquet")).unwrap();
    let none = std::fs::read(fixture("none.parquet")).unwrap();
    let length = good.len();
    let error = |bytes: &[u8]| {
        let error = open_bytes(bytes, Labels::Required).unwrap_err().to_string();
        assert!(error.contains("set.parquet"), "{error}");
        error
    };
    assert!(error(b"").contains("0 bytes, too few"));
    assert!(error(b"PAR1PAR1").contains("too few"));
    assert!(error(&[7; 5000]).contains("not a Parquet file"));
    assert!(error(&[b"PARE", &good[4..]].concat()).contains("encrypted"));
    for cut in [12, 100, 5000, length / 2, length - 1000, length - 8, length - 1] {
        assert!(error(&good[..cut]).contains("cut short"), "{cut}");
    }
    for claim in [u32::MAX, i32::MAX as u32, length as u32] {
        let mut bytes = good.clone();
        bytes[length - 8..length - 4].copy_from_slice(&claim.to_le_bytes());
        assert!(error(&bytes).contains(&format!("its footer claims {claim} bytes")));
    }
    let mut bytes = good.clone();
    bytes[length - 8..length - 4].copy_from_slice(&0_u32.to_le_bytes());
    assert!(error(&bytes).contains("footer is damaged"));
    let footer =
        length - 8 - u32::from_le_bytes(good[length - 8..length - 4].try_into().unwrap()) as usize;
    for byte in [0, 0x19, 0xFF] {
        let mut bytes = good.clone();
        bytes[footer..length - 8].fill(byte);
        assert!(error(&bytes).contains("columns") || error(&bytes).contains("footer is damaged"));
    }
    // Deeper and wider than any list of columns.
    let deep = [&b"\x48\x01a\x15\x02\x00"[..]; 5000].concat();
    assert!(error(&file_of(&[b"\x29\xFC\x88\x27", &deep[..], b"\0"].concat())).contains("nested"));
    assert!(error(&file_of(b"\x29\xFC\xFF\xFF\xFF\xFF\x07")).contains("footer is damaged"));
    let wide = [&b"\x29\xFC\x80\x80\x01"[..], &[0; 16384]].concat();
    assert!(error(&file_of(&wide)).contains("claims 16384 columns"));
    // More rows than values, and more than there can be.
    let rows = |count: &[u8]| {
        let (group, behind) = (&b"\x16\xFC\x14"[..], &b"&\x08"[..]);
        let other = [group, count, behind].concat();
        error(&replaced_once(&none, &[group, b"\x16\x16", behind].concat(), &other))
    };
    assert!(rows(b"\x16\x7E").contains("row group 0: it has 11 values for 63 rows"));
    assert!(rows(b"\x16\x08").contains("a page claims 11 values, 4 rows are left"));
    assert!(rows(b"\x16\xFE\xFF\xFF\xFF\x0F").contains("2147483647 rows or more, too many"));
    assert!(rows(b"\x16\xFF\xFF\xFF\xFF\x0F").contains("footer is damaged"));
    // A column beyond the file, at an offset below 0, and in another file.
    let place = |start: &[u8], bytes: &[u8]| {
        let other = [b"\x16", bytes, b"&", start, b"<6\0(T"].concat();
        error(&replaced_once(&none, b"\x16\xCE\x0F&\x08<6\0(T", &other))
    };
    assert!(place(b"\x08", b"\xFE\xFF\xFF\x0F").contains("goes beyond the file"));
    assert!(place(b"\xFE\xFF\xFF\x0F", b"\xCE\x0F").contains("goes beyond"));
    assert!(place(b"\x07", b"\xCE\x0F").contains("does not say where"));
    let end = [0xFF; 9].iter().chain(&[1]).copied().collect::<Vec<u8>>();
    assert!(place(b"\x08", &end).contains("does not say where"));
    let elsewhere = replaced_once(&none, b"\x19<&\0\x1C", b"\x19<\x18\x03abc\x16\0\x1C");
    assert!(error(&elsewhere).contains("in another file"));
    // Pages: the first begins behind the mark.
    let page = |from: &[u8], to: &[u8]| error(&replaced_once(&none, from, to));
    assert_eq!(&none[4..13], b"\x15\0\x15\xEC\x0D\x15\xEC\x0D,");
    let head = b"\x15\0\x15\xEC\x0D\x15\xEC\x0D,";
    assert!(page(head, b"\x15\0\x15\xEC\x0D\x15\xFE\x7F,").contains("claims 8191 bytes"));
    assert!(page(head, b"\x15\0\x15\xFE\x7F\x15\xEC\x0D,").contains("claims to hold 8191"));
    assert!(page(head, b"\x15\0\x15\xED\x0D\x15\xEC\x0D,").contains("header is damaged at byte 4"));
    assert!(page(head, b"\xEE\xEE\xEE\xEE\xEE\xEE\xEE\xEE,").contains("header is damaged"));
    // A dictionary of more values than there are rows.
    let dictionary = std::fs::read(fixture("none_dictionary.parquet")).unwrap();
    let many = replaced_once(&dictionary, b"\xB4\x0CL\x15\x14", b"\xB4\x0CL\x15\x18");
    assert!(error(&many).contains("a dictionary of 12 values, or a second one, for 11 rows"));
    // Snappy data that is none.
    let mut bytes = good.clone();
    bytes[30..60].fill(0xFF);
    assert!(error(&bytes).contains("its Snappy data is damaged"), "{}", error(&bytes));
}

/// A file's bytes with a part that stands there once replaced, and the footer's length with it.
fn replaced_once(bytes: &[u8], part: &[u8], other: &[u8]) -> Vec<u8> {
    let places: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(part)).collect();
    assert_eq!(places.len(), 1, "{places:?}");
    let mut bytes = [&bytes[..places[0]], other, &bytes[places[0] + part.len()..]].concat();
    let end = bytes.len() - 8;
    let length = u32::from_le_bytes(bytes[end..end + 4].try_into().unwrap());
    let length = (length + other.len() as u32).wrapping_sub(part.len() as u32);
    bytes[end..end + 4].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// A file with this as its footer.
fn file_of(footer: &[u8]) -> Vec<u8> {
    [b"PAR1", footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat()
}

#[test]
fn no_damage_makes_a_sample_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set.parquet");
    let mut usable = 0;
    for name in expected().keys().filter(|name| *name != "noise") {
        let whole = std::fs::read(fixture(&format!("{name}.parquet"))).unwrap();
        // The middle is a picture's content for the most part.
        let flipped = (0..whole.len()).step_by(1 + whole.len() / 80).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            bytes
        });
        let set_to = |value: u8| {
            let whole = whole.clone();
            let behind = (0..whole.len()).rev().take(1400).step_by(37).chain((4..60).step_by(5));
            behind.map(move |at| {
                let mut bytes = whole.clone();
                bytes[at] = value;
                bytes
            })
        };
        for bytes in flipped.chain(set_to(0xFF)).chain(set_to(0)).chain(set_to(0x7F)) {
            write(&path, &bytes);
            let Ok(set) = PictureSet::open(&path, Labels::Required) else { continue };
            usable += 1;
            assert!(set.len() < 100);
            for index in 0..set.len() {
                let read = set.read(index, &Limits::default()).unwrap();
                assert_eq!(read.len() as u64, set.samples[index].bytes);
            }
        }
    }
    assert!(usable > 400, "{usable}");
}

#[test]
fn a_folder_of_files_survives_bad_ones() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let good = std::fs::read(fixture("groups.parquet")).unwrap();
    write(&at("bad.parquet"), &[1; 2000]);
    let error = PictureSet::open(dir.path(), Labels::Ignored).unwrap_err();
    assert!(matches!(&error, DataError::Parquet { path, .. } if path.ends_with("bad.parquet")));
    // One of three row groups is damaged: the others' pictures are used, under their own rows.
    let mut bytes = good.clone();
    bytes[4..12].fill(0xEE);
    write(&at("data/half.PARQUET"), &bytes);
    write(&at("README.md"), b"x");
    let set = PictureSet::open(dir.path(), Labels::Required).unwrap();
    assert_eq!(set.len(), 7);
    assert!(set.samples.iter().all(|sample| sample.path != Path::new("zebra/000.png")));
    let reasons = skips(&set);
    assert_eq!((reasons.len(), set.passed_over), (2, 1), "{reasons:?}");
    // The file that is none, of which nobody knows how many it held, and the rows of the group.
    let whole = PictureSet::open(fixture("groups.parquet"), Labels::Required).unwrap().len();
    assert_eq!(set.lost, 1 + whole - 7);
    assert!(set.check_lost(0.5).is_ok() && set.check_lost(0.2).is_err());
    assert!(reasons[0].starts_with("it is not a Parquet file"), "{reasons:?}");
    assert!(
        reasons[1].starts_with("row group 0: a page's header is damaged at byte 4"),
        "{reasons:?}"
    );

    // Beside pictures it is none of the set, and that is told.
    write(&at("cat/1.jpg"), b"x");
    let set = PictureSet::open(dir.path(), Labels::Ignored).unwrap();
    assert_eq!(set.samples[0].path, Path::new("cat/1.jpg"));
    assert_eq!(set.len(), 1);
    assert!(skips(&set).iter().all(|reason| reason.contains("beside pictures")));
}

#[test]
fn a_folder_of_several_splits_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(fixture("none.parquet")).unwrap();
    let other = std::fs::read(fixture("plain_bytes.parquet")).unwrap();
    let train = dir.path().join("data/train-00000-of-00002.parquet");
    let test = dir.path().join("data/test-00000-of-00001.parquet");
    write(&train, &bytes);
    write(&dir.path().join("data/train-00001-of-00002.parquet"), &other);
    let set = PictureSet::open(dir.path(), Labels::Required).unwrap();
    assert_eq!(set.len(), 17);
    write(&test, &other);
    let error = PictureSet::open(dir.path(), Labels::Required).unwrap_err().to_string();
    assert!(error.contains("several splits: test (1), train (2); name the files"), "{error}");
    let set = PictureSet::open_all(&[train, test], Labels::Required).unwrap();
    assert_eq!(set.len(), 17);
}

#[test]
fn a_file_that_changes_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    // By its content, whatever it is called.
    let path = dir.path().join("set");
    let bytes = std::fs::read(fixture("noise.parquet")).unwrap();
    write(&path, &bytes);
    let set = PictureSet::open(&path, Labels::Ignored).unwrap();
    assert_eq!(set.len(), 3);
    let small = Limits { bytes: 39_999, ..Limits::default() };
    assert!(matches!(set.read(0, &small), Err(DecodeError::TooLarge { .. })));
    write(&path, &bytes[..2000]);
    assert!(matches!(set.read(0, &Limits::default()), Err(DecodeError::Changed(_))));
}
