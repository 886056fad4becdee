//! Sets that would be read in another way than they are meant.

use std::path::PathBuf;

use fcmae_data::{Copies, Labels, Opening, PictureSet};
use image::{ImageFormat, Luma, Rgb, RgbImage};

use crate::archive::Tar;
use crate::pictures::{encode, write};

/// A folder of files named `0.png` to `7.png`, and a list of these lines, each of a picture's name.
fn listed(head: &str, line: impl Fn(usize) -> String) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let mut text = head.to_owned();
    for number in 0..8 {
        write(&dir.path().join(format!("{number}.png")), b"x");
        text += &line(number);
    }
    let list = dir.path().join("l.csv");
    write(&list, text.as_bytes());
    (dir, list)
}

fn class(number: usize) -> &'static str {
    if number < 4 { "cat" } else { "dog" }
}

fn refused(head: &str, line: impl Fn(usize) -> String) -> String {
    let (_dir, list) = listed(head, line);
    PictureSet::open(&list, Labels::Required).unwrap_err().to_string()
}

fn opened(head: &str, line: impl Fn(usize) -> String) -> PictureSet {
    let (_dir, list) = listed(head, line);
    PictureSet::open(&list, Labels::Required).unwrap()
}

/// Lists: a quote that is not closed takes the lines below it.
#[test]
fn a_quote_that_is_not_closed_is_refused_with_its_line() {
    let inch = |n: usize, of: &[usize]| if of.contains(&n) { "\"5 inch" } else { "ok" };
    let last = |of: &'static [usize]| {
        refused("path,label,notes\n", |n| format!("{n}.png,{},{}\n", class(n), inch(n, of)))
    };
    for (error, line) in [
        (last(&[3]), 5),
        (last(&[2, 5]), 4),
        (
            refused("path,label\n", |n| {
                format!("{n}.png,{}{}\n", if n == 1 { "\"" } else { "" }, class(n))
            }),
            3,
        ),
        (
            refused("path,notes,label\n", |n| {
                format!("{n}.png,{},{}\n", if n == 3 { "\"x" } else { "ok" }, class(n))
            }),
            5,
        ),
        // Closed, and yet a row is in it.
        (
            refused("path,label,notes\n", |n| {
                let notes = if n == 2 {
                    "\"a"
                } else if n == 3 {
                    "b\""
                } else {
                    "ok"
                };
                format!("{n}.png,{},{notes}\n", class(n))
            }),
            4,
        ),
    ] {
        assert!(error.contains(&format!("in line {line} is not closed")), "{error}");
        assert!(error.contains("written twice"), "{error}");
    }
}

/// Lists: text of several lines in quotes is text, and a quote within a column is one.
#[test]
fn text_of_several_lines_stays() {
    for notes in ["\"of two\nlines, \"\"quoted\"\"\"", "\"\nx\n\"", "5\" pipe"] {
        let set = opened("path,label,notes\n", |n| {
            format!("{n}.png,{},{}\n", class(n), if n == 3 { notes } else { "ok" })
        });
        assert_eq!((set.len(), set.skipped.len(), set.notes.len()), (8, 0, 0), "{notes}");
    }
}

/// Splits: a column of any name whose values are all splits.
#[test]
fn a_column_of_splits_of_any_name_is_refused() {
    for name in ["dataset", "purpose", "Teil"] {
        let error = refused(&format!("path,label,{name}\n"), |n| {
            format!("{n}.png,{},{}\n", class(n), ["train", "val", "test"][n % 3])
        });
        assert!(error.contains(&format!("column {name:?}: test (2), train (3)")), "{error}");
    }
    let set = opened("path,label,vehicle\n", |n| {
        format!("{n}.png,{},{}\n", class(n), ["train", "test", "tram"][n % 3])
    });
    assert!(set.notes.is_empty(), "{:?}", set.notes);
}

/// Labels: two columns of them.
#[test]
fn two_columns_of_labels_are_refused_unless_one_is_chosen() {
    let line = |n: usize| format!("{n}.png,{},{}\n", class(n), n % 3);
    let error = refused("path,class,label\n", line);
    assert!(error.contains("class, label; choose one with data.label_column"), "{error}");
    let (_dir, list) = listed("path,class,label\n", line);
    let opening =
        Opening { labels: Labels::Required, label_column: Some("class"), ..Opening::default() };
    assert_eq!(PictureSet::open(&list, opening).unwrap().classes, ["cat", "dog"]);
    assert_eq!(PictureSet::open(&list, Labels::Ignored).unwrap().len(), 8);
}

/// Labels: several of one picture.
#[test]
fn several_labels_of_one_picture_are_no_class() {
    let both = |both: &'static str| {
        move |n: usize| format!("{n}.png,{}\n", if n % 4 == 1 { both } else { class(n) })
    };
    for text in ["cat|dog", "\"cat, dog\"", "dog;cat"] {
        let error = refused("path,label\n", both(text));
        assert!(error.contains("\"cat\" and \"dog\" are classes of their own"), "{error}");
    }
    let error = refused("path,label\n", |n| format!("{n}.png,{}\n", ["0", "1", "0 1"][n % 3]));
    assert!(error.contains("\"0 1\""), "{error}");
    let set = opened("path,label\n", |n| format!("{n}.png,{}\n", ["a|b", "c"][n % 2]));
    assert!(set.notes[0].contains("\"a|b\" look like several labels"), "{:?}", set.notes);
    for labels in [["hot dog", "hot", "dog"], ["cats, all", "dogs", "rest"], ["a b", "c d", "e"]] {
        let set = opened("path,label\n", |n| format!("{n}.png,\"{}\"\n", labels[n % 3]));
        assert!(set.notes.is_empty(), "{:?}", set.notes);
    }
}

/// Labels: numbers among named classes.
#[test]
fn numbers_that_are_taken_for_classes_are_told() {
    let (_dir, list) = listed("path,label\n", |n| format!("{n}.png,{}\n", n % 2));
    let open = |classes: &[&str]| {
        let classes: Vec<String> = classes.iter().map(|&name| name.to_owned()).collect();
        PictureSet::open(&list, Labels::Classes(&classes)).unwrap().notes
    };
    let notes = open(&["a", "b"]);
    assert!(notes[0].contains("from 0: 0 for \"a\", 1 for \"b\""), "{notes:?}");
    assert!(open(&["0", "1"]).is_empty());
}

/// Groups: names that are written in two ways, and further columns.
#[test]
fn groups_that_are_nearly_the_same_are_told() {
    for (one, other) in [("P3", "p3"), ("3", "3.0"), ("a b", "a  b")] {
        let (_dir, list) = listed("path,label,patient\n", |n| {
            format!("{n}.png,{},{}\n", class(n), ["x", one, other][n % 3])
        });
        let opening = Opening {
            labels: Labels::Required,
            group_column: Some("patient"),
            ..Opening::default()
        };
        let notes = PictureSet::open(&list, opening).unwrap().notes;
        assert!(notes.len() == 1 && notes[0].contains(&format!("{one:?}")), "{notes:?}");
    }
    for column in ["lesion_id", "seq_id", "sku", "StudyInstanceUID", "donor", "tile_id", "roll"] {
        let set = opened(&format!("path,label,{column}\n"), |n| {
            format!("{n}.png,{},s{}\n", class(n), n / 2)
        });
        assert_eq!(set.group_columns, [column]);
    }
}

/// Labels: further words for a missing value.
#[test]
fn further_missing_values_are_told() {
    for word in ["-1.0", "-", ".", "-99", "#REF!", "#N/A"] {
        let set = opened("path,label\n", |n| {
            format!("{n}.png,{}\n", if n == 2 { word } else { class(n) })
        });
        assert!(set.notes[0].contains("missing value"), "{word}: {:?}", set.notes);
    }
}

/// Lists: what is not found is told with its cause.
#[test]
fn the_cause_of_what_is_not_found_is_named() {
    let error = refused("Inventory 2024,\n,\npath,label\n", |n| format!("{n}.png,{}\n", class(n)));
    assert!(error.contains("line 3 does (path,label): delete the lines above"), "{error}");
    let error = refused("PK\u{3}\u{4}", |_| String::new());
    assert!(error.contains("save it as CSV"), "{error}");
    let dir = tempfile::tempdir().unwrap();
    for name in ["007.png", "5.png", "5.jpg"] {
        write(&dir.path().join(name), b"x");
    }
    let list = dir.path().join("l.csv");
    for (id, says) in [("7", "lacks the zeros of 007.png"), ("5", "both 5.jpg and 5.png are there")]
    {
        write(&list, format!("id,label\n{id},cat\n").as_bytes());
        let error = PictureSet::open(&list, Labels::Ignored).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

/// Archives: `cat a.tar b.tar`, and `tar -r`, whose members follow an end mark or stand behind those of their names.
#[test]
fn archives_behind_each_other_are_read_on() {
    let open = |bytes: &[u8]| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("set.tar");
        write(&path, bytes);
        let set = PictureSet::open(&path, Labels::Required).unwrap();
        let read = |at| set.read(at, &fcmae_data::Limits::default()).unwrap();
        let read: Vec<Vec<u8>> = (0..set.len()).map(read).collect();
        (set, read)
    };
    let first = Tar::default()
        .file("1.jpg", b"old")
        .file("1.cls", b"a")
        .file("2.jpg", b"x")
        .file("2.cls", b"c");
    let mut padded = first.clone().end().0;
    padded.resize(10_240 * 20, 0);
    let second = Tar::default()
        .file("3.jpg", b"y")
        .file("3.cls", b"b")
        .file("1.jpg", b"new")
        .file("1.cls", b"b");
    let (set, read) = open(&[padded.clone(), second.clone().end().0].concat());
    assert_eq!(read, [b"new".to_vec(), b"x".to_vec(), b"y".to_vec()]);
    let label = set.classes[set.samples[0].label.unwrap()].as_str();
    assert_eq!(label, "b", "the last label");
    assert!(set.notes[0].contains("there are more members after its end mark"), "{:?}", set.notes);
    assert!(
        set.skipped.iter().any(|skip| skip.reason.contains("the last one is used, as tar does"))
    );
    let (set, _) = open(&padded);
    assert!(set.notes.is_empty() && set.skipped.is_empty());
    let (set, _) = open(&[padded, vec![7; 700]].concat());
    assert!(set.skipped[0].reason.contains("not an archive and is not read"), "{:?}", set.skipped);
}

/// Archives: pictures of one key are held out together.
#[test]
fn pictures_of_one_key_stay_together() {
    let mut tar = Tar::default();
    for key in 0..20 {
        for view in ["left.png", "right.png"] {
            tar = tar.file(&format!("{key:04}.{view}"), view.as_bytes());
        }
        tar = tar.file(&format!("{key:04}.cls"), if key % 2 == 0 { b"a" } else { b"b" });
    }
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("s.tar"), &tar.end().0);
    let set = PictureSet::open(dir.path().join("s.tar"), Labels::Required).unwrap();
    for seed in 0..4 {
        let (rest, held) = set.split_with(0.3, seed, &Copies::default()).unwrap();
        assert_eq!((rest.len(), held.len()), (28, 12));
        let keys = |set: &PictureSet| -> std::collections::BTreeSet<String> {
            set.samples.iter().map(|s| s.path.to_str().unwrap()[..4].to_owned()).collect()
        };
        assert!(keys(&rest).is_disjoint(&keys(&held)));
    }
}

fn photo(number: u32) -> Vec<u8> {
    let part = |n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8;
    let of = |x, y| Rgb([(x * 5) as u8, (y * 6) as u8, part(x + 48 * y + number)]);
    encode(RgbImage::from_fn(48, 40, of), ImageFormat::Png)
}

fn mask(number: u32) -> Vec<u8> {
    let of = |x: u32, y: u32| {
        if y > 30 { Rgb([0, 0, 255]) } else { Rgb([255 * u8::from(x > 5 + number), 255, 0]) }
    };
    encode(RgbImage::from_fn(48, 40, of), ImageFormat::Png)
}

fn depth(number: u32) -> Vec<u8> {
    let of = |x: u32, y: u32| Luma([(1000 + 20 * y + 37 * x + number) as u16]);
    encode(image::ImageBuffer::from_fn(48, 40, of), ImageFormat::Png)
}

/// Masks: named beside the word of their pictures.
#[test]
fn masks_by_words_of_their_own_are_left_out() {
    for (picture, of_mask) in
        [("N_sat", "N_mask"), ("img_N", "mask_N"), ("N", "mask_N"), ("photo-N", "N-seg")]
    {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..12 {
            let folder = dir.path().join(class(number as usize / 2));
            let named = |name: &str| folder.join(name.replace('N', &number.to_string()) + ".png");
            write(&named(picture), &photo(number));
            write(&named(of_mask), &mask(number));
        }
        let set = PictureSet::open(dir.path(), Labels::Required).unwrap();
        assert_eq!(set.len(), 12, "{picture} {of_mask}");
        assert!(set.notes[0].starts_with("12 files are left out"), "{:?}", set.notes);
    }
}

/// Masks: depths beside pictures are no class, and are told.
#[test]
fn depths_are_no_class() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..8 {
        write(&dir.path().join(format!("rgb/{number}.png")), &photo(number));
        write(&dir.path().join(format!("depth/{number}.png")), &depth(number));
    }
    let error = PictureSet::open(dir.path(), Labels::Required).unwrap_err().to_string();
    assert!(error.contains("rgb and depth in "), "{error}");
    let set = PictureSet::open(dir.path(), Labels::Ignored).unwrap();
    assert!(set.notes[0].starts_with("8 files are"), "{:?}", set.notes);
}

/// Words: pointers of Git LFS, spreadsheets and lists that are not read are called so.
#[test]
fn what_is_given_instead_of_a_set_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
    let mut cases =
        vec![("p.tar", &pointer[..], "git lfs pull"), ("p.csv", pointer, "git lfs pull")];
    if cfg!(feature = "parquet") {
        cases.push(("p.parquet", pointer, "git lfs pull"));
    }
    cases.extend([
        ("k.xlsx", &b"PK\x03\x04"[..], "save it as CSV"),
        ("k.csv", b"PK\x03\x04", "save it as CSV"),
    ]);
    for (name, bytes, says) in cases {
        write(&dir.path().join(name), bytes);
        let error =
            PictureSet::open(dir.path().join(name), Labels::Ignored).unwrap_err().to_string();
        assert!(error.contains(says), "{name}: {error}");
    }
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("1.png"), b"x");
    write(&dir.path().join("metadata.jsonl"), b"{}");
    let error = PictureSet::open(dir.path(), Labels::Required).unwrap_err().to_string();
    assert!(error.contains("metadata.jsonl is not read: write it as a list (.csv)"), "{error}");
}

/// Words: where damage leaves one class, the damage is named.
#[test]
fn damage_is_named_where_it_leaves_one_class() {
    let mut bytes = Tar::default().file("1.jpg", b"x").file("1.cls", b"a").0;
    bytes.extend(Tar::default().file("2.jpg", b"x").file("2.cls", b"b").end().0);
    bytes[2 * 1024 + 200] ^= 7;
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("s.tar"), &bytes);
    let error =
        PictureSet::open(dir.path().join("s.tar"), Labels::Required).unwrap_err().to_string();
    assert!(error.contains("a header's checksum is wrong"), "{error}");
}

/// Words: copies with several labels are why nothing can be held out.
#[test]
fn classes_of_the_same_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..4 {
        for class in ["cat", "dog"] {
            write(
                &dir.path().join(format!("{class}/{number}.png")),
                format!("file {number}").as_bytes(),
            );
        }
    }
    let set = PictureSet::open(dir.path(), Labels::Required).unwrap();
    let copies = set.copies(&fcmae_data::Limits::default());
    let error = set.split_with(0.3, 0, &copies).unwrap_err().to_string();
    assert!(error.contains("copies of each other (byte for byte)"), "{error}");
    assert!(error.contains("cat/0.png and ") && error.contains("dog/0.png"), "{error}");
}

/// Words: splits in an archive are no folders to give.
#[test]
fn splits_in_an_archive_are_not_named_as_folders() {
    let tar = Tar::default().file("train/1.jpg", b"x").file("val/1.jpg", b"y").end();
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("s.tar"), &tar.0);
    let notes = PictureSet::open(dir.path().join("s.tar"), Labels::Ignored).unwrap().notes;
    assert!(notes[0].contains("unpack it") && !notes[0].contains("s.tar/train"), "{notes:?}");
}
