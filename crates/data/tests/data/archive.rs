//! Tar archives to samples: what Python's tarfile writes, what is flawed, and what is hostile.

use std::path::{Path, PathBuf};

use fcmae_data::{DataError, DecodeError, Labels, Limits, PictureSet};
use tar::{EntryType, Header};

use crate::pictures::write;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/shards").join(name)
}

/// An archive in memory, header by header.
#[derive(Clone, Default)]
pub(crate) struct Tar(pub(crate) Vec<u8>);

impl Tar {
    /// A header as it is given, and content behind it.
    fn entry(mut self, name: &[u8], kind: EntryType, size: u64, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len().min(100)]
            .copy_from_slice(&name[..name.len().min(100)]);
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o644);
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, name: &str, content: &[u8]) -> Self {
        let size = content.len() as u64;
        let named = if name.len() > 100 {
            self.entry(b"././@LongLink", EntryType::GNULongName, name.len() as u64, name.as_bytes())
        } else {
            self
        };
        named.entry(name.as_bytes(), EntryType::Regular, size, content)
    }

    pub(crate) fn end(mut self) -> Self {
        self.0.extend([0; 1024]);
        self
    }

    fn open(&self, labels: Labels<'_>) -> (tempfile::TempDir, Result<PictureSet, DataError>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("set.tar");
        write(&path, &self.0);
        let set = PictureSet::open(path, labels);
        (dir, set)
    }
}

fn names(set: &PictureSet) -> Vec<&str> {
    set.samples.iter().map(|sample| sample.path.to_str().unwrap()).collect()
}

/// What was skipped, as `name: reason`.
fn skips(set: &PictureSet) -> Vec<String> {
    let line = |skip: &fcmae_data::Skipped| {
        format!("{}: {}", skip.path.file_name().unwrap().display(), skip.reason)
    };
    set.skipped.iter().map(line).collect()
}

/// Fault 15: PAX and GNU names, as Python writes them.
#[test]
fn what_python_writes_is_read_as_python_reads_it() {
    let text = std::fs::read_to_string(fixture("shards.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    for format in ["ustar", "gnu", "pax"] {
        let set = PictureSet::open(fixture(&format!("{format}.tar")), Labels::Required).unwrap();
        let pictures = expected[format].as_array().unwrap();
        assert!(pictures.len() >= 5);
        assert_eq!(set.len(), pictures.len(), "{format}: {:?}", names(&set));
        for picture in pictures {
            let name = picture["name"].as_str().unwrap();
            let at = names(&set).iter().position(|&found| found == name).expect(name);
            let sample = &set.samples[at];
            assert_eq!(set.classes[sample.label.unwrap()], picture["label"].as_str().unwrap());
            let bytes = String::from_utf8(set.read(at, &Limits::default()).unwrap()).unwrap();
            assert_eq!(bytes.len() as u64, picture["bytes"].as_u64().unwrap());
            assert_eq!(sample.bytes, bytes.len() as u64);
            assert!(bytes.starts_with(picture["first"].as_str().unwrap()), "{bytes}");
            assert!(bytes.ends_with(picture["last"].as_str().unwrap()), "{bytes}");
        }
        assert_eq!(set.classes, ["10", "9", "zebra", "Öl"]);
        // A link is no picture; 000001.json is passed over.
        assert_eq!(set.skipped.len(), 1, "{:?}", set.skipped);
        assert!(skips(&set)[0].starts_with("link.jpg: a link"), "{:?}", set.skipped);
        assert_eq!(set.passed_over, 1);
    }
    // All in one folder are one set, of which pictures of the same name are not the same.
    let all = PictureSet::open(fixture(""), Labels::Required).unwrap();
    assert_eq!(
        all.len(),
        ["ustar", "gnu", "pax"]
            .map(|f| expected[f].as_array().unwrap().len())
            .iter()
            .sum::<usize>()
    );
    assert!(all.samples.is_sorted_by_key(|sample| sample.path.clone()));
}

#[test]
fn labels_that_are_numbers_are_ordered_as_numbers() {
    let mut tar = Tar::default();
    for label in ["10", "9", "100"] {
        tar = tar.file(&format!("{label}.cls"), label.as_bytes());
        tar = tar.file(&format!("{label}.jpg"), b"x");
    }
    let (_dir, set) = tar.end().open(Labels::Required);
    assert_eq!(set.unwrap().classes, ["9", "10", "100"]);
}

#[test]
fn labels_may_be_positions_among_a_networks_classes() {
    let classes = ["bird", "cat", "dog"].map(str::to_owned);
    let tar = Tar::default().file("a.jpg", b"x").file("a.cls", b"2");
    let tar = tar.file("b.jpg", b"x").file("b.cls", b"bird");
    let (_dir, set) = tar.clone().end().open(Labels::Classes(&classes));
    let set = set.unwrap();
    assert_eq!(set.samples.iter().map(|s| s.label).collect::<Vec<_>>(), [Some(2), Some(0)]);
    assert_eq!(set.classes, classes);
    let (_dir, set) =
        tar.file("c.jpg", b"x").file("c.cls", b"3").end().open(Labels::Classes(&classes));
    assert!(matches!(set.unwrap_err(), DataError::UnknownClass { class, .. } if class == "3"));
    // A folder's name is a name.
    let (_dir, set) = Tar::default().file("2/a.jpg", b"x").end().open(Labels::Classes(&classes));
    assert!(matches!(set.unwrap_err(), DataError::UnknownClass { class, .. } if class == "2"));
}

#[test]
fn a_label_that_is_none_leaves_its_picture_out() {
    let mut tar = Tar::default();
    for (key, label) in [("a", "cat"), ("b", " dog\n"), ("empty", " "), ("long", &"x".repeat(2000))]
    {
        tar = tar.file(&format!("{key}.jpg"), b"x").file(&format!("{key}.cls"), label.as_bytes());
    }
    tar = tar.file("bytes.jpg", b"x").file("bytes.cls", b"\xff").file("none.jpg", b"x");
    // A label without a picture is no class.
    tar = tar.file("lonely.cls", b"ghost").file("lines.jpg", b"x").file("lines.cls", b"a\nb");
    let (_dir, set) = tar.clone().end().open(Labels::Required);
    let set = set.unwrap();
    assert_eq!(set.classes, ["a\\nb", "cat", "dog"]);
    assert_eq!(names(&set), ["a.jpg", "b.jpg", "lines.jpg"]);
    let skips = skips(&set);
    for (skip, reason) in skips.iter().zip(["not UTF-8", "is empty", "2000 bytes", "no label"]) {
        assert!(skip.contains(reason), "{skip}");
    }
    assert_eq!(skips.len(), 4, "{skips:?}");
    let (_dir, set) = tar.end().open(Labels::Ignored);
    assert_eq!(set.unwrap().len(), 7);
}

/// Fault 15: `../`, absolute paths, and two members of one name.
#[test]
fn names_that_lead_out_hidden_and_double_ones_are_left_out() {
    let (_dir, set) = Tar::default()
        .file("cat/a.jpg", b"first")
        .file("./cat//a.jpg", b"second")
        .file("/etc/b.jpg", b"x")
        .file("../up.jpg", b"x")
        .file("cat/../../c.jpg", b"x")
        .file("._cat/d.jpg", b"x")
        .file("cat/._a.jpg", b"x")
        .file("cat/notes.txt", b"x")
        .entry(b"cat/f.jpg", EntryType::Fifo, 0, b"")
        .entry(b"cat/g.jpg", EntryType::GNUSparse, 1, b"x")
        .entry(b"cat/h.jpg/", EntryType::Directory, 0, b"")
        .entry(b"cat/\xff.jpg", EntryType::Regular, 1, b"x")
        .file(&format!("dog/{}.jpg", "n".repeat(200)), b"x")
        .end()
        .open(Labels::Required);
    let set = set.unwrap();
    assert_eq!(set.classes, ["cat", "dog"]);
    let long = format!("dog/{}.jpg", "n".repeat(200));
    assert_eq!(names(&set), ["cat/\\xff.jpg", "cat/a.jpg", &long]);
    assert_eq!(set.read(1, &Limits::default()).unwrap(), b"second");
    let mut skips = skips(&set);
    skips.sort_unstable();
    let expected = [
        ("a.jpg", "the last one is used"),
        ("b.jpg", "absolute"),
        ("c.jpg", "out of the archive"),
        ("f.jpg", "regular"),
        ("g.jpg", "holes"),
        ("up.jpg", "out of the archive"),
    ];
    assert_eq!(skips.len(), expected.len(), "{skips:?}");
    for (skip, (name, reason)) in skips.iter().zip(expected) {
        assert!(skip.starts_with(name) && skip.contains(reason), "{skip}");
    }
    assert_eq!(set.passed_over, 3);
}

/// Fault 15: an archive cut short at 16 points.
#[test]
fn an_archive_cut_short_gives_what_is_whole() {
    let tar = Tar::default().file("a.jpg", &[1; 700]).file("b.jpg", &[2; 700]).end();
    let whole = tar.0.len();
    // Header, two blocks, header, two blocks, the end mark.
    assert_eq!(whole, 6 * 512 + 1024);
    for cut in
        [1, 511, 512, 600, 1535, 1536, 1600, 2048, 2049, 2747, 2748, 3071, 3072, 3496, 3583, 3584]
    {
        let (_dir, set) = Tar(tar.0[..cut].to_vec()).open(Labels::Ignored);
        if cut < 512 + 700 {
            let error = set.unwrap_err().to_string();
            let reason = if cut < 512 { "cut short" } else { "no picture" };
            assert!(error.contains("set.tar") && error.contains(reason), "{cut}: {error}");
            continue;
        }
        let set = set.unwrap();
        let two = cut >= 3 * 512 + 512 + 700;
        assert_eq!(set.len(), 1 + usize::from(two), "{cut}");
        for (index, value) in [1, 2].into_iter().take(set.len()).enumerate() {
            assert_eq!(set.read(index, &Limits::default()).unwrap(), [value; 700]);
        }
        // Behind the end mark's first block nothing is missed.
        assert_eq!(set.skipped.is_empty(), cut >= 3584, "{cut}: {:?}", set.skipped);
        for skip in &set.skipped {
            assert!(skip.reason.contains("cut short"), "{cut}: {skip:?}");
        }
    }
}

/// Fault 15: members and names that claim 1 TiB and more.
#[test]
fn sizes_that_are_claimed_take_no_memory() {
    let tebibyte = 1 << 40;
    let good = Tar::default().file("a.jpg", b"x");
    let long =
        |kind, size| good.clone().entry(b"claim", kind, size, b"x").file("b.jpg", b"x").end();
    let reason = |tar: Tar| {
        let (_dir, set) = tar.open(Labels::Ignored);
        let set = set.unwrap();
        assert_eq!(names(&set), ["a.jpg"]);
        assert_eq!(set.skipped.len(), 1, "{:?}", set.skipped);
        skips(&set).remove(0)
    };
    for size in [tebibyte, u64::MAX, u64::MAX - 511] {
        let text = reason(good.clone().entry(b"b.jpg", EntryType::Regular, size, b"x").end());
        assert!(text.starts_with("b.jpg: cut short: it claims"), "{text}");
        for kind in [EntryType::GNULongName, EntryType::XHeader, EntryType::XGlobalHeader] {
            let text = reason(long(kind, size));
            assert!(text.contains("cut short: a name at byte 1024 claims"), "{text}");
        }
    }
    // In extended fields, where the header's size is another.
    let fields = b"22 size=1099511627776\n";
    let tar = good.clone().entry(b"x", EntryType::XHeader, fields.len() as u64, fields);
    let text = reason(tar.file("b.jpg", b"x").end());
    assert!(text.contains("claims 1099511627776 bytes"), "{text}");
    // A name that is really there, and longer than any name.
    let name = vec![b'n'; 3 << 20];
    let text =
        reason(good.clone().entry(b"n", EntryType::GNULongName, name.len() as u64, &name).end());
    assert!(text.contains("a name of 3145728 bytes"), "{text}");
}

/// Fault 15: damaged headers and PAX fields.
#[test]
fn a_damaged_header_ends_the_archive() {
    let good = Tar::default().file("a.jpg", b"x").file("b.jpg", b"x").end();
    for (at, value) in [(1024 + 3, b'X'), (1024 + 148, b'9'), (1024 + 150, b' ')] {
        let mut tar = good.clone();
        tar.0[at] = value;
        let (_dir, set) = tar.open(Labels::Ignored);
        let set = set.unwrap();
        assert_eq!(names(&set), ["a.jpg"]);
        assert!(skips(&set)[0].contains("damaged at byte 1024"), "{:?}", set.skipped);
    }
    for fields in [&b"9 path=x\n"[..], b"x path=x\n", b"99 path=x\n", b"0 a=b\n", b"12 size=one\n"]
    {
        let tar = Tar::default().file("a.jpg", b"x");
        let tar = tar.entry(b"x", EntryType::XHeader, fields.len() as u64, fields);
        let (_dir, set) = tar.file("b.jpg", b"x").end().open(Labels::Ignored);
        let set = set.unwrap();
        if fields == b"9 path=x\n" {
            assert_eq!((names(&set), set.passed_over), (vec!["a.jpg"], 1));
            continue;
        }
        assert_eq!(names(&set), ["a.jpg"]);
        assert!(skips(&set)[0].contains("extended fields"), "{:?}", set.skipped);
    }
}

/// Fault 15: damage anywhere.
#[test]
fn no_damage_makes_a_sample_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set.tar");
    for format in ["gnu", "pax"] {
        let whole = std::fs::read(fixture(&format!("{format}.tar"))).unwrap();
        let cut = (0..whole.len()).step_by(1009).map(|at| whole[..at].to_vec());
        let flipped = (0..whole.len()).step_by(61).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            bytes
        });
        let mut usable = 0;
        for bytes in cut.chain(flipped) {
            write(&path, &bytes);
            for labels in [Labels::Ignored, Labels::Required] {
                let Ok(set) = PictureSet::open(&path, labels) else { continue };
                usable += 1;
                for index in 0..set.len() {
                    let read = set.read(index, &Limits::default()).unwrap();
                    assert_eq!(read.len() as u64, set.samples[index].bytes);
                }
            }
        }
        assert!(usable > 500, "{usable}");
    }
}

/// Faults 15 and 16: empty archives, and what is none.
#[test]
fn what_is_no_archive_is_refused_with_its_remedy() {
    let error = |bytes: &[u8]| {
        let (_dir, set) = Tar(bytes.to_vec()).open(Labels::Ignored);
        set.unwrap_err().to_string()
    };
    assert!(error(b"").contains("no picture"));
    assert!(error(&[0; 1024]).contains("no picture"));
    assert!(error(&[7; 4096]).contains("not a tar archive"));
    assert!(error(&Tar::default().file("a.txt", b"x").end().0).contains("1 other file"));
    let dir = tempfile::tempdir().unwrap();
    let packed = dir.path().join("set.tar.gz");
    write(&packed, b"\x1f\x8b\x08");
    let text = PictureSet::open(&packed, Labels::Ignored).unwrap_err().to_string();
    assert!(text.contains("set.tar.gz") && text.contains("decompress it"), "{text}");
    // By its content, whatever it is called.
    let other = dir.path().join("set");
    write(&other, &std::fs::read(fixture("ustar.tar")).unwrap());
    assert_eq!(PictureSet::open(other, Labels::Ignored).unwrap().len(), 5);
}

/// Fault 15: bad archives among good ones.
#[test]
fn a_folder_of_archives_survives_bad_ones() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let shard =
        |class: &str| Tar::default().file(&format!("{class}/0.jpg"), class.as_bytes()).end().0;
    write(&at("bad.tar"), &[1; 2000]);
    let error = PictureSet::open(dir.path(), Labels::Ignored).unwrap_err();
    assert!(matches!(&error, DataError::Archive { path, .. } if path.ends_with("bad.tar")));
    write(&at("deep/1.tar"), &shard("cat"));
    write(&at("0.tar"), &shard("dog"));
    write(&at("empty.tar"), &[0; 1024]);
    write(&at("more.tar.gz"), b"x");
    write(&at("README.md"), b"x");
    let set = PictureSet::open(dir.path(), Labels::Required).unwrap();
    assert_eq!(set.classes, ["cat", "dog"]);
    assert_eq!(names(&set), ["cat/0.jpg", "dog/0.jpg"]);
    assert_eq!(set.path(0), at("deep/1.tar/cat/0.jpg"));
    assert_eq!(set.read(1, &Limits::default()).unwrap(), b"dog");
    let skips = skips(&set);
    assert!(skips[0].starts_with("bad.tar: it is not a tar archive"), "{skips:?}");
    assert!(skips[1].starts_with("empty.tar: an empty archive"), "{skips:?}");
    assert!(skips[2].starts_with("more.tar.gz: it is compressed"), "{skips:?}");
    assert_eq!((skips.len(), set.passed_over), (3, 1));

    // Beside pictures an archive is none of the set, and that is told.
    write(&at("cat/1.jpg"), b"x");
    let set = PictureSet::open(dir.path(), Labels::Ignored).unwrap();
    assert_eq!(names(&set), ["cat/1.jpg"]);
    assert!(set.skipped.iter().any(|skip| skip.reason.contains("beside pictures")));
}

/// Fault 14: an archive that changes or vanishes.
#[test]
fn an_archive_that_changes_is_noticed() {
    let (dir, set) = Tar::default().file("a.jpg", &[1; 3000]).end().open(Labels::Ignored);
    let set = set.unwrap();
    let path = dir.path().join("set.tar");
    let small = Limits { bytes: 2999, ..Limits::default() };
    assert!(matches!(set.read(0, &small), Err(DecodeError::TooLarge { .. })));
    let bytes = std::fs::read(&path).unwrap();
    write(&path, &bytes[..2000]);
    assert!(matches!(set.read(0, &Limits::default()), Err(DecodeError::Changed(_))));
    let at_another_time = |bytes: &[u8]| {
        write(&path, bytes);
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(9);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
    };
    assert_eq!(set.touched(), None);
    at_another_time(&bytes);
    assert_eq!(set.read(0, &Limits::default()).unwrap(), [1; 3000]);
    assert_eq!(set.touched(), Some(&*path.join("a.jpg")));
    // Others of the same sizes.
    let others = Tar::default().file("b.jpg", &[2; 3000]).end();
    assert_eq!(others.0.len(), bytes.len());
    at_another_time(&others.0);
    assert!(matches!(set.read(0, &Limits::default()), Err(DecodeError::Changed(_))));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(set.read(0, &Limits::default()), Err(DecodeError::Io(_))));
}

/// Fault 14: an archive that is made anew with the same length and the same first member.
#[test]
fn an_archive_with_members_in_other_places_is_noticed() {
    let long = format!("{}/é.jpg", "folder".repeat(30));
    let tar = |names: [&str; 3], sizes: [usize; 3]| {
        let mut tar = Tar::default().file("a.jpg", &[1; 9000]);
        for (name, size) in names.into_iter().zip(sizes) {
            tar = tar.file(name, &vec![2; size]);
        }
        // Far from the end.
        tar.file("z.jpg", &[3; 9000]).end()
    };
    let archive = tar(["b.jpg", "./c.jpg", "d.jpg"], [3000, 3000, 600]);
    let (dir, set) = archive.clone().open(Labels::Ignored);
    let set = set.unwrap();
    let path = dir.path().join("set.tar");
    let read = |bytes: &[u8]| -> Vec<bool> {
        write(&path, bytes);
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(9);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        let changed = |at| match set.read(at, &Limits::default()) {
            Ok(_) => false,
            Err(DecodeError::Changed(_)) => true,
            Err(error) => panic!("{error}"),
        };
        (0..set.len()).map(changed).collect()
    };
    assert_eq!(read(&archive.0), [false; 5], "touched");
    // Other names at the same places; others' places; another size.
    let swapped = tar(["./c.jpg", "b.jpg", "d.jpg"], [3000, 3000, 600]);
    assert_eq!(read(&swapped.0), [false, true, true, false, false]);
    let moved = tar(["b.jpg", "d.jpg", "./c.jpg"], [3000, 600, 3000]);
    assert_eq!(moved.0.len(), archive.0.len());
    assert_eq!(read(&moved.0), [false, false, true, true, false]);
    let resized = tar(["b.jpg", "./c.jpg", "d.jpg"], [2900, 3000, 600]);
    assert_eq!(read(&resized.0), [false, true, false, false, false]);
    // Names that no header has room for are read as before.
    let tar = Tar::default().file("a.jpg", &[1; 9000]).file(&long, &[2; 600]).end();
    let (dir, set) = tar.clone().open(Labels::Ignored);
    let path = dir.path().join("set.tar");
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(9);
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
    assert!(set.unwrap().read(1, &Limits::default()).is_ok());
}

/// Archives: `tar cf pets.tar pets/`.
#[test]
fn a_folder_around_the_classes_is_passed_over() {
    let tar =
        |names: &[&str]| names.iter().fold(Tar::default(), |tar, name| tar.file(name, b"x")).end();
    for names in [
        ["pets/cat/1.png", "pets/cat/2.png", "pets/dog/1.png"],
        ["home/me/pets/cat/1.png", "home/me/pets/cat/2.png", "home/me/pets/dog/1.png"],
        ["./cat/1.png", "./cat/2.png", "./dog/1.png"],
    ] {
        let (_dir, set) = tar(&names).open(Labels::Required);
        let set = set.unwrap();
        assert_eq!(
            (set.classes.as_slice(), set.class_counts()),
            (&["cat".to_owned(), "dog".to_owned()][..], vec![2, 1])
        );
    }
    // One class of a network, with folders in it.
    let classes = ["cat", "dog"].map(str::to_owned);
    let (_dir, set) = tar(&["dog/big/1.png", "dog/small/1.png"]).open(Labels::Classes(&classes));
    assert_eq!(set.unwrap().samples[0].label, Some(1));
    // Shards that share it.
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("0.tar"), &tar(&["pets/cat/1.png"]).0);
    write(&dir.path().join("1.tar"), &tar(&["pets/dog/1.png"]).0);
    assert_eq!(PictureSet::open(dir.path(), Labels::Required).unwrap().classes, ["cat", "dog"]);
    let names = ["pets/train/cat/1.png", "pets/train/dog/1.png", "pets/test/cat/1.png"];
    let (_dir, set) = tar(&names).open(Labels::Required);
    let error = set.unwrap_err().to_string();
    assert!(error.contains("it holds test and train, which are splits"), "{error}");
}

/// Labels: shards of several splits.
#[test]
fn shards_of_several_splits_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let shard = |key: &str| {
        Tar::default().file(&format!("{key}.png"), b"x").file(&format!("{key}.cls"), b"0").end().0
    };
    write(&dir.path().join("x-train-0.tar"), &shard("a"));
    write(&dir.path().join("x-train-1.tar"), &shard("b"));
    assert_eq!(PictureSet::open(dir.path(), Labels::Ignored).unwrap().len(), 2);
    write(&dir.path().join("x-val-0.tar"), &shard("c"));
    for labels in [Labels::Ignored, Labels::Required] {
        let error = PictureSet::open(dir.path(), labels).unwrap_err().to_string();
        assert!(error.contains("train (2), validation (1)"), "{error}");
        assert!(error.contains("such as ") && error.contains("x-train-0.tar"), "{error}");
    }
    // Given one by one they are meant so.
    let both = ["x-train-0.tar", "x-val-0.tar"].map(|name| dir.path().join(name));
    assert_eq!(PictureSet::open_all(&both, Labels::Ignored).unwrap().len(), 2);
}

/// Archives: labels in KEY.json, and keys up to the first dot.
#[test]
fn labels_are_those_of_a_key() {
    let mut tar = Tar::default();
    for (key, json) in [
        ("a", r#"{"label": 0}"#),
        ("b", r#"{"caption": "", "class": "dog"}"#),
        ("c", r#"{"cls": 1.0}"#),
    ] {
        tar = tar.file(&format!("{key}.png"), b"x").file(&format!("{key}.json"), json.as_bytes());
    }
    let (_dir, set) = tar.clone().end().open(Labels::Required);
    let set = set.unwrap();
    assert_eq!(set.classes, ["0", "1", "dog"]);
    assert_eq!(set.class_counts(), [1, 1, 1]);
    // Where KEY.cls is there, it counts.
    let (_dir, set) = tar.file("a.cls", b"x").file("b.cls", b"y").end().open(Labels::Required);
    let set = set.unwrap();
    assert_eq!(
        (set.classes.as_slice(), set.skipped.len()),
        (&["x".to_owned(), "y".to_owned()][..], 1)
    );

    let mut stereo = Tar::default();
    for (key, label) in [("d/0", b"0"), ("d/1", b"1")] {
        for side in ["left", "right"] {
            stereo = stereo.file(&format!("{key}.{side}.png"), b"x");
        }
        stereo = stereo.file(&format!("{key}.cls"), label);
    }
    let (_dir, set) = stereo.end().open(Labels::Required);
    assert_eq!(set.unwrap().class_counts(), [2, 2]);
    // Folders were the classes before descriptions were read.
    let tar = Tar::default().file("cat/a.png", b"x").file("cat/a.json", br#"{"label": 1}"#);
    let (_dir, set) = tar.file("dog/b.png", b"x").end().open(Labels::Required);
    assert_eq!(set.unwrap().classes, ["cat", "dog"]);
    let (_dir, set) =
        Tar::default().file("a.png", b"x").file("b.png", b"x").end().open(Labels::Required);
    let error = set.unwrap_err().to_string();
    assert!(error.contains("KEY.cls or KEY.json"), "{error}");
}

/// Archives: masks beside pictures.
#[test]
fn masks_beside_pictures_are_passed_over_and_told() {
    let mut tar = Tar::default();
    for key in ["0", "1", "2"] {
        for name in ["png", "mask.png", "depth.png", "seg_0.png", "left.png", "cls"] {
            tar = tar.file(&format!("{key}.{name}"), key.as_bytes());
        }
    }
    let tar = tar.file("v1.mask.png", b"x").file("v1.cls", b"0").end();
    let (_dir, set) = tar.open(Labels::Ignored);
    let set = set.unwrap();
    assert_eq!(
        names(&set),
        ["0.left.png", "0.png", "1.left.png", "1.png", "2.left.png", "2.png", "v1.mask.png"]
    );
    assert_eq!(set.passed_over, 9);
    assert!(
        set.notes[0].starts_with("9 files passed over") && set.notes[0].contains("0.mask.png"),
        "{:?}",
        set.notes
    );
    // With labels as before: those of KEY.png are its own.
    let (_dir, set) = tar.open(Labels::Required);
    let set = set.unwrap();
    assert_eq!(names(&set), ["0.png", "1.png", "2.png", "v1.mask.png"]);
    assert_eq!(fcmae_data::Skipped::alike(&set.skipped).len(), 1);
}

/// Archives: parts that are missing by their numbers are told.
#[test]
fn missing_parts_are_told() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["train-00000-of-00003.tar", "train-00002-of-00003.tar"] {
        let bytes = Tar::default().file("a/1.jpg", b"x").file("b/2.jpg", b"x").end().0;
        write(&dir.path().join(name), &bytes);
    }
    let set = PictureSet::open(dir.path(), Labels::Ignored).unwrap();
    let notes = set.notes.join("\n");
    assert!(notes.contains("of train 2 of 3 parts are there"), "{notes}");
    assert!(notes.contains("train-00001-of-00003"), "{notes}");
}

/// Archives: parts of one name in several folders are counted each by themselves.
#[test]
fn missing_parts_are_those_of_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let add = |name: &str| {
        let bytes = Tar::default().file(&format!("{name}/1.jpg"), b"x").end().0;
        write(&dir.path().join(name), &bytes);
    };
    let open = || PictureSet::open(dir.path(), Labels::Ignored).unwrap().notes.join("\n");
    add("one/x-00000-of-00002.tar");
    add("two/x-00001-of-00002.tar");
    let notes = open();
    assert!(notes.contains("one/x 1 of 2 parts are there"), "{notes}");
    add("one/x-00001-of-00002.tar");
    add("two/x-00000-of-00002.tar");
    assert_eq!(open(), "");
}

/// Archives: labels in capitals, and two labels of one picture.
#[test]
fn labels_that_contradict_each_other_are_told() {
    let mut tar = Tar::default();
    for (key, cls, json) in [
        ("a", "cat", r#"{"label": "dog"}"#),
        ("b", "dog", r#"{"label": 3}"#),
        ("c", "cat", r#"{"label": "Cat"}"#),
        ("d", "dog", r#"{"label": "fox"}"#),
    ] {
        tar = tar.file(&format!("{key}.JPG"), b"x").file(&format!("{key}.CLS"), cls.as_bytes());
        tar = tar.file(&format!("{key}.json"), json.as_bytes());
    }
    let (_dir, set) = tar.end().open(Labels::Required);
    let set = set.unwrap();
    assert_eq!((set.classes.join(","), set.class_counts()), ("cat,dog".to_owned(), vec![2, 2]));
    assert_eq!(set.notes.len(), 1, "{:?}", set.notes);
    assert!(set.notes[0].starts_with("2 pictures have another label in .json than in .cls"));
    assert!(set.notes[0].contains("a.JPG with \"dog\" and \"cat\""), "{:?}", set.notes);
}
