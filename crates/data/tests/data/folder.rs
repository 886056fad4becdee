//! Folders of every shape to samples.

use std::collections::BTreeSet;
use std::path::Path;

use fcmae_data::{Amount, Copies, DataError, Grouping, Labels, Opening, PictureSet};
use tempfile::TempDir;

use crate::pictures::{png, write};

/// A folder of files with one byte each; nothing here is decoded.
fn tree(files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        write(&dir.path().join(file), b"x");
    }
    dir
}

fn open(dir: &tempfile::TempDir, labels: Labels<'_>) -> Result<PictureSet, DataError> {
    PictureSet::open(dir.path(), labels)
}

fn paths(folder: &PictureSet) -> Vec<&str> {
    folder.samples.iter().map(|sample| sample.path.to_str().unwrap()).collect()
}

#[cfg(unix)]
#[test]
fn links_to_nothing_count_by_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    image::RgbImage::new(8, 8).save(at("1.png")).unwrap();
    for name in ["a.csv", "notes.txt", "old.md", "gone.jpg", "set.tar"] {
        std::os::unix::fs::symlink("/nowhere", at(name)).unwrap();
    }
    let set = PictureSet::open(dir.path(), Labels::Ignored).unwrap();
    let mut lost: Vec<_> = set.skipped.iter().map(|skipped| skipped.path.clone()).collect();
    lost.sort();
    assert_eq!(lost, ["gone.jpg", "set.tar"].map(at));
    // One that may have led to a folder: nobody knows how many pictures are missing.
    std::fs::create_dir(at("lost+found")).unwrap();
    std::os::unix::fs::symlink("/nowhere/hats", at("lost+found/a")).unwrap();
    PictureSet::open(dir.path(), Labels::Ignored).unwrap();
    std::os::unix::fs::symlink("/nowhere/hats", at("hats")).unwrap();
    let error = PictureSet::open(dir.path(), Labels::Ignored).unwrap_err();
    assert!(matches!(&error, DataError::Unlisted { path, .. } if *path == at("hats")), "{error:?}");
    let text = error.to_string();
    for says in ["a link to /nowhere/hats, which is not there: mount it", "move it out of the set"]
    {
        assert!(text.contains(says), "{says} is not in: {text}");
    }
}

/// Root may list every folder: there nothing is shown.
#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_listed_is_no_set_without_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tree(&["a/1.jpg", "b/2.jpg"]);
    let shut = dir.path().join("b");
    let mode = |mode| std::fs::set_permissions(&shut, std::fs::Permissions::from_mode(mode));
    mode(0o000).unwrap();
    let listable = std::fs::read_dir(&shut).is_ok();
    let opened = PictureSet::open(dir.path(), Labels::Required);
    mode(0o755).unwrap();
    if listable {
        println!("skipped: as root");
        return;
    }
    let text = opened.unwrap_err().to_string();
    assert!(text.contains("/b: this folder of the set cannot be listed"), "{text}");
    assert!(text.contains("give yourself permission"), "{text}");
}

#[test]
fn classes_are_sorted_and_nested_pictures_count_to_them() {
    let dir = tree(&[
        "dog/b.jpg",
        "cat/deep/er/a.PNG",
        "cat/z.webp",
        "cat/notes.txt",
        "dog/.hidden.jpg",
        ".cache/x.jpg",
        "dog/a.jpeg",
        "empty/readme.md",
        "loose.jpg",
    ]);
    let folder = open(&dir, Labels::Required).unwrap();
    assert_eq!(folder.classes, ["cat", "dog"]);
    assert_eq!(paths(&folder), ["cat/deep/er/a.PNG", "cat/z.webp", "dog/a.jpeg", "dog/b.jpg"]);
    let labels: Vec<_> = folder.samples.iter().map(|sample| sample.label).collect();
    assert_eq!(labels, [Some(0), Some(0), Some(1), Some(1)]);
    assert_eq!(folder.class_counts(), [2, 2]);
    assert_eq!(folder.empty_classes, ["empty"]);
    // notes.txt, readme.md, .hidden.jpg and .cache.
    assert_eq!(folder.passed_over, 4);
    assert_eq!(folder.skipped.len(), 1);
    assert!(folder.skipped[0].path.ends_with("loose.jpg"));
    assert_eq!(folder.path(3), dir.path().join("dog/b.jpg"));

    let unlabelled = open(&dir, Labels::Ignored).unwrap();
    assert_eq!(unlabelled.len(), 5);
    assert!(unlabelled.classes.is_empty());
    assert!(unlabelled.samples.iter().all(|sample| sample.label.is_none()));
}

/// Fault 16: classes other than the checkpoint's.
#[test]
fn a_given_class_list_gives_the_labels() {
    let dir = tree(&["cat/a.jpg", "dog/a.jpg"]);
    let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let classes = list(&["bird", "dog", "cat"]);
    let folder = open(&dir, Labels::Classes(&classes)).unwrap();
    assert_eq!(folder.classes, classes);
    assert_eq!(folder.samples.iter().map(|s| s.label).collect::<Vec<_>>(), [Some(2), Some(1)]);
    let classes = list(&["bird", "cat"]);
    let error = open(&dir, Labels::Classes(&classes)).unwrap_err();
    assert!(matches!(error, DataError::UnknownClass { .. }));
    let text = error.to_string();
    assert!(text.contains("\"dog\"") && text.contains("(\"bird\", \"cat\")"), "{text}");
    // One class alone may be evaluated.
    let one = tree(&["cat/a.jpg"]);
    assert_eq!(open(&one, Labels::Classes(&classes)).unwrap().len(), 1);
}

/// Fault 16: an empty set, and one class.
#[test]
fn what_is_no_data_set_is_refused_with_its_remedy() {
    let missing = PictureSet::open("/no/such/folder", Labels::Ignored).unwrap_err();
    assert!(matches!(missing, DataError::Missing(_)));
    assert!(missing.to_string().contains("/no/such/folder"));

    let dir = tree(&["file.jpg"]);
    let file = PictureSet::open(dir.path().join("file.jpg"), Labels::Ignored).unwrap_err();
    assert!(matches!(file, DataError::NotAFolder(_)));

    let empty = tempfile::tempdir().unwrap();
    let error = open(&empty, Labels::Ignored).unwrap_err().to_string();
    assert!(error.contains("no picture") && error.contains(".jpeg"), "{error}");
    let other = tree(&["a.txt", "b/c.mp4", ".hidden.png"]);
    let error = open(&other, Labels::Required).unwrap_err().to_string();
    assert!(error.contains("3 other files"), "{error}");

    let one = tree(&["cat/a.jpg", "cat/b.jpg"]);
    let error = open(&one, Labels::Required).unwrap_err().to_string();
    assert!(error.contains("\"cat\"") && error.contains("sub-folder"), "{error}");
    let flat = tree(&["a.jpg", "b.jpg"]);
    let error = open(&flat, Labels::Required).unwrap_err().to_string();
    assert!(error.contains("no classes") && error.contains("2 pictures"), "{error}");
}

#[test]
fn the_fingerprint_follows_names_and_sizes() {
    let files = ["a/1.jpg", "a/2.jpg", "b/1.jpg"];
    let print = |dir: &tempfile::TempDir| open(dir, Labels::Required).unwrap().fingerprint();
    let (first, second) = (tree(&files), tree(&files));
    assert_eq!(print(&first), print(&second));
    assert_ne!(print(&first), open(&first, Labels::Ignored).unwrap().fingerprint());
    write(&second.path().join("a/2.jpg"), b"longer");
    assert_ne!(print(&first), print(&second));
    let third = tree(&["a/1.jpg", "a/2.jpg", "b/2.jpg"]);
    assert_ne!(print(&first), print(&third));
}

fn numbered(classes: &[(&str, usize)]) -> tempfile::TempDir {
    let files: Vec<String> = classes
        .iter()
        .flat_map(|(class, count)| (0..*count).map(move |i| format!("{class}/{i}.jpg")))
        .collect();
    tree(&files.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_split_is_stratified_and_follows_paths() {
    let dir = numbered(&[("large", 100), ("pair", 2), ("single", 1)]);
    let folder = open(&dir, Labels::Required).unwrap();
    let (rest, held) = folder.split(0.1, 7).unwrap();
    assert_eq!(held.class_counts(), [10, 1, 0]);
    assert_eq!(rest.class_counts(), [90, 1, 1]);
    assert_eq!(rest.classes, held.classes);
    let mut all = [paths(&rest), paths(&held)].concat();
    all.sort_unstable();
    assert_eq!(all, paths(&folder));
    assert_eq!(paths(&folder.split(0.1, 7).unwrap().1), paths(&held));
    assert_ne!(paths(&folder.split(0.1, 8).unwrap().1), paths(&held));
    // The very same files on every machine: pinned.
    assert_eq!(paths(&held)[..4], PINNED_SPLIT);

    // Another file in the folder moves at most one file across.
    write(&dir.path().join("large/new.jpg"), b"x");
    let (_, again) = open(&dir, Labels::Required).unwrap().split(0.1, 7).unwrap();
    let kept = paths(&again).iter().filter(|path| paths(&held).contains(path)).count();
    assert!(kept >= 10, "{kept} of 11 stayed");

    for share in [0.0, 1.0, -0.5, f64::NAN] {
        assert!(folder.split(share, 7).is_err());
    }
    let singles = open(&numbered(&[("a", 1), ("b", 1)]), Labels::Required).unwrap();
    assert!(singles.split(0.5, 1).is_err());
    let (rest, held) = open(&dir, Labels::Ignored).unwrap().split(0.5, 1).unwrap();
    assert_eq!((rest.len(), held.len()), (52, 52));
}
const PINNED_SPLIT: [&str; 4] = ["large/18.jpg", "large/26.jpg", "large/41.jpg", "large/43.jpg"];

#[test]
fn few_labels_leave_every_class_one() {
    let dir = numbered(&[("large", 100), ("pair", 2), ("single", 1)]);
    let folder = open(&dir, Labels::Required).unwrap();
    let take = |amount| folder.take_labels(amount, 3);
    assert_eq!(take(Amount::Fraction(0.1)).unwrap().class_counts(), [10, 1, 1]);
    assert_eq!(take(Amount::Fraction(1.0)).unwrap().class_counts(), [100, 2, 1]);
    assert_eq!(take(Amount::Count(3)).unwrap().class_counts(), [1, 1, 1]);
    assert_eq!(take(Amount::Count(20)).unwrap().class_counts(), [18, 1, 1]);
    assert_eq!(take(Amount::Count(103)).unwrap().len(), 103);
    let (few, more) = (take(Amount::Count(20)).unwrap(), take(Amount::Count(40)).unwrap());
    assert!(paths(&few).iter().all(|path| paths(&more).contains(path)));
    for amount in [2, 104] {
        let error = take(Amount::Count(amount)).unwrap_err().to_string();
        assert!(error.contains("3 (one for each class) to 103"), "{error}");
    }
    assert!(take(Amount::Fraction(0.0)).is_err() && take(Amount::Fraction(1.1)).is_err());
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// Fault 12: links that lead in a circle.
    #[test]
    fn links_are_followed_and_loops_survived() {
        let outside = tree(&["more/x.jpg", "y.jpg"]);
        let dir = tree(&["a/1.jpg", "b/2.jpg"]);
        let at = |path: &str| dir.path().join(path);
        symlink(dir.path(), at("a/up")).unwrap();
        symlink("a", at("loop")).unwrap();
        symlink("../b", at("a/side")).unwrap();
        symlink("../a", at("b/side")).unwrap();
        symlink(outside.path(), at("b/outside")).unwrap();
        symlink(at("a/1.jpg"), at("b/linked.jpg")).unwrap();
        symlink("nowhere", at("b/broken.jpg")).unwrap();
        let folder = open(&dir, Labels::Ignored).unwrap();
        for expected in
            ["a/1.jpg", "b/2.jpg", "b/linked.jpg", "b/outside/more/x.jpg", "b/outside/y.jpg"]
        {
            assert!(paths(&folder).contains(&expected), "{expected} in {:?}", paths(&folder));
        }
        let skipped = |name: &str| folder.skipped.iter().any(|skip| skip.path.ends_with(name));
        assert!(skipped("a/up") && skipped("b/broken.jpg"), "{:?}", folder.skipped);
        assert!(folder.len() < 20);
    }

    #[test]
    fn links_to_each_other_do_not_multiply() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..12 {
            let here = dir.path().join(format!("d{i}"));
            write(&here.join("p.jpg"), b"x");
            for j in 0..12 {
                symlink(format!("../d{j}"), here.join(format!("to{j}"))).unwrap();
            }
        }
        // Every folder by its own name, and by one link at most.
        assert!(open(&dir, Labels::Ignored).unwrap().len() <= 24);
    }

    /// Fault 12: a folder named like a picture, a FIFO, names with line breaks and other bytes.
    #[test]
    fn strange_entries_are_skipped_or_taken() {
        let dir = tree(&["a/1.jpg", "b/2.jpg", "a/folder.jpg/3.jpg"]);
        let fifo = dir.path().join("b/pipe.png");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let odd = dir.path().join("b").join(OsStr::from_bytes(b"\xff\xfe.jpg"));
        write(&odd, b"x");
        write(&dir.path().join("b/new\nline.jpg"), b"x");
        let odd_class = dir.path().join(OsStr::from_bytes(b"c\xff"));
        write(&odd_class.join("1.jpg"), b"x");
        let folder = open(&dir, Labels::Required).unwrap();
        assert_eq!(folder.len(), 5);
        assert_eq!(folder.classes, ["a", "b", "c\\xff"]);
        let mut skips: Vec<String> =
            folder.skipped.iter().map(|skip| serde_json::to_string(skip).unwrap()).collect();
        skips.sort_unstable();
        assert!(
            skips[0].contains("a/folder.jpg") && skips[0].contains("folder named"),
            "{skips:?}"
        );
        assert!(skips[1].contains("b/pipe.png") && skips[1].contains("regular"), "{skips:?}");
        assert_eq!(skips.len(), 2);
    }

    #[test]
    fn a_locked_folder_below_is_a_skip() {
        let dir = tree(&["a/1.jpg", "locked/2.jpg"]);
        let locked = dir.path().join("locked");
        std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o000)).unwrap();
        // A superuser may list it all the same.
        let listable = std::fs::read_dir(&locked).is_ok();
        let folder = open(&dir, Labels::Ignored).unwrap();
        std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(folder.len(), if listable { 2 } else { 1 });
        assert_eq!(folder.skipped.len(), usize::from(!listable));
    }

    #[test]
    fn the_order_does_not_depend_on_the_order_of_creation() {
        let names = ["b/1.jpg", "a/2.jpg", "a-b/1.jpg", "a/1.jpg", "a.b/3.jpg"];
        let forward = tree(&names);
        let backward = tree(&names.iter().rev().copied().collect::<Vec<_>>());
        let (forward, backward) =
            (open(&forward, Labels::Ignored).unwrap(), open(&backward, Labels::Ignored).unwrap());
        assert_eq!(paths(&forward), paths(&backward));
        assert!(forward.samples.is_sorted_by(|a, b| {
            let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
            bytes(&a.path) <= bytes(&b.path)
        }));
    }
}

/// Class folders of frames: of each film so many.
fn films(films: &[(&str, usize, usize)]) -> TempDir {
    let frames = films.iter().flat_map(|&(class, film, frames)| {
        (0..frames).map(move |frame| format!("{class}/film{film:02}-{frame:02}.jpg"))
    });
    let frames: Vec<String> = frames.collect();
    tree(&frames.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The films of a set, each once.
fn films_of(set: &PictureSet) -> BTreeSet<String> {
    let film = |path: &str| path.split_once("film").unwrap().1[..2].to_owned();
    paths(set).into_iter().map(film).collect()
}

#[test]
fn groups_are_held_out_whole() {
    let even: Vec<_> = (0..20).map(|film| (["a", "b"][film % 2], film, 10)).collect();
    let dir = films(&even);
    let set = open(&dir, Labels::Required).unwrap();
    let grouping = Grouping::parse("film[0-9]+").unwrap();
    let groups = set.grouped(&grouping, &Copies::default()).unwrap();
    let (rest, held) = set.split_grouped(0.2, 3, &groups).unwrap();
    assert_eq!((rest.class_counts(), held.class_counts()), (vec![80, 80], vec![20, 20]));
    assert!(films_of(&rest).is_disjoint(&films_of(&held)));
    assert_eq!(paths(&set.split_grouped(0.2, 3, &groups).unwrap().1), paths(&held));
    assert_ne!(paths(&set.split_grouped(0.2, 4, &groups).unwrap().1), paths(&held));
    let (_, unlabelled) = open(&dir, Labels::Ignored).unwrap().split(0.2, 3).unwrap();
    assert_eq!(unlabelled.len(), 40);
}

#[test]
fn groups_of_any_size_leave_every_class_on_both_sides() {
    // A film of both classes, a huge one, a class with two films and one with a single film.
    let dir = films(&[
        ("a", 0, 90),
        ("a", 1, 5),
        ("b", 1, 5),
        ("b", 2, 40),
        ("c", 3, 30),
        ("c", 4, 30),
        ("d", 5, 9),
    ]);
    let set = open(&dir, Labels::Required).unwrap();
    let grouping = Grouping::parse("film([0-9]+)").unwrap();
    let groups = set.grouped(&grouping, &Copies::default()).unwrap();
    for seed in 0..20 {
        let (rest, held) = set.split_grouped(0.1, seed, &groups).unwrap();
        assert!(rest.class_counts().iter().all(|&count| count > 0), "{:?}", rest.class_counts());
        let counts = held.class_counts();
        assert!(counts[..3].iter().all(|&count| count > 0) && counts[3] == 0, "{counts:?}");
        assert!(films_of(&rest).is_disjoint(&films_of(&held)), "seed {seed}");
    }
}

#[test]
fn groups_that_cannot_be_held_out_are_told() {
    let set = open(&films(&[("a", 0, 3), ("b", 1, 3)]), Labels::Required).unwrap();
    let refused = |set: &PictureSet, pattern: &str| {
        let grouping = Grouping::parse(pattern).unwrap();
        let groups = set.grouped(&grouping, &Copies::default());
        groups.and_then(|groups| set.split_grouped(0.5, 0, &groups)).unwrap_err().to_string()
    };
    let single = refused(&set, "film[0-9]+");
    assert!(single.contains("6 pictures in 2 groups") && single.contains("two groups"), "{single}");
    let whole = refused(&set, "film");
    assert!(whole.contains("in 1 group "), "{whole}");
    let none = refused(&set, "film0[1-9]");
    assert!(
        none.starts_with("data.group is film0[1-9], which 3 of 6 paths do not match"),
        "{none}"
    );
    assert!(none.contains("film00-00.jpg"), "{none}");
}
/// Labels: splits are no classes.
#[test]
fn folders_that_are_splits_are_refused_as_classes() {
    let refused = |paths: &[&str], says: &[&str]| {
        let dir = tree(paths);
        for labels in [Labels::Required, Labels::Classes(&["cat".to_owned(), "dog".to_owned()])] {
            let error = open(&dir, labels).unwrap_err().to_string();
            for part in says {
                assert!(error.contains(part), "{part} in {error}");
            }
        }
    };
    let given = ["it holds train and val, which are splits", "give one of them: ", "/train"];
    refused(&["train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "val/dog/1.png"], &given);
    refused(&["train/1.png", "val/1.png"], &given);
    refused(&["Train/cat/1.png", "TEST/dog/1.png"], &["TEST and Train", "/Train"]);
    refused(
        &["training/a/1.png", "testing/a/1.png", "dev/a/1.png"],
        &["dev, testing and training"],
    );
    refused(&["seg_train/a/1.png", "seg_test/a/1.png"], &["seg_test and seg_train"]);
    refused(&["train2017/1.png", "val2017/1.png"], &["train2017 and val2017"]);
    refused(&["train/a/1.png", "valid/a/1.png", "other/1.png"], &["train and valid,"]);
    refused(&["train/cat/1.png", "train/dog/1.png"], &["it holds train,", "/train"]);
    refused(&["pets/train/cat/1.png", "pets/val/cat/1.png"], &["train and val", "/pets/train"]);
    refused(&["a/train/1.png", "a/test/1.png", "b/train/1.png"], &["test and train", "list"]);

    // Classes that have such names among others, and a split that is given itself.
    let many = ["train/1.png", "bus/1.png", "car/1.png"];
    assert_eq!(open(&tree(&many), Labels::Required).unwrap().classes, ["bus", "car", "train"]);
    let stations = ["train station/1.png", "test tube/1.png", "car/1.png"];
    assert_eq!(open(&tree(&stations), Labels::Required).unwrap().classes.len(), 3);
    let dir = tree(&["train/cat/1.png", "train/dog/1.png", "val/cat/1.png"]);
    let set = PictureSet::open(dir.path().join("train"), Labels::Required).unwrap();
    assert_eq!(
        (set.classes.as_slice(), set.notes.len()),
        (&["cat".to_owned(), "dog".to_owned()][..], 0)
    );
    // A network's own class.
    let classes = ["train", "test"].map(str::to_owned);
    assert_eq!(
        open(&tree(&["train/1.png", "test/1.png"]), Labels::Classes(&classes)).unwrap().len(),
        2
    );
    // Without labels all are pictures, which is told.
    let set = open(&dir, Labels::Ignored).unwrap();
    assert_eq!(set.len(), 3);
    assert!(
        set.notes[0].contains("it holds train and val, and pictures of all"),
        "{:?}",
        set.notes
    );
}

/// Labels: one folder around the classes is named.
#[test]
fn a_folder_around_the_classes_is_named() {
    let error = open(&tree(&["images/cat/1.png", "images/dog/1.png"]), Labels::Required);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("/images if its folders are the classes (cat, dog)"), "{error}");
}

/// Run folder: a run's own files are never its pictures.
#[test]
fn what_this_program_wrote_is_passed_over() {
    let drawn = [&png(1, 1)[..33], &fcmae_data::drawn::MARK, &png(1, 1)[33..]].concat();
    assert!(image::load_from_memory(&drawn).is_ok(), "the mark is a sound chunk");
    let dir = tree(&[
        "a/1.png",
        "b/1.png",
        "run/run.json",
        "run/config.toml",
        "run/figures/mistakes/01.png",
    ]);
    write(&dir.path().join("run-first-batch.png"), &drawn);
    write(&dir.path().join("a/grid.png"), &drawn);
    for labels in [Labels::Ignored, Labels::Required] {
        let set = open(&dir, labels).unwrap();
        assert_eq!(paths(&set), ["a/1.png", "b/1.png"]);
        assert_eq!((set.empty_classes.len(), set.skipped.len()), (0, 0));
        let notes = set.notes.join("\n");
        assert!(
            notes.contains("folder of a run is passed over: ") && notes.contains("/run\n"),
            "{notes}"
        );
        assert!(notes.contains("2 pictures that fcmae drew are passed over"), "{notes}");
    }
    // A file of that name alone makes no run.
    let other = tree(&["a/1.png", "b/1.png", "b/run.json"]);
    assert_eq!(open(&other, Labels::Required).unwrap().classes, ["a", "b"]);
}

/// Other files: what is passed over is summed up by its kinds.
#[test]
fn other_files_are_told_by_their_kinds() {
    let mut names: Vec<String> = (0..30).map(|n| format!("IMG_{n:04}.HEIC")).collect();
    names.extend(
        ["a.png", "README", "notes.txt", "Thumbs.db", "._a.png", "labels.csv"].map(str::to_owned),
    );
    let names = |names: &[String]| tree(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let told = |all: &[String]| open(&names(all), Labels::Ignored).unwrap().notes;
    let mut all: Vec<String> = (0..30).map(|n| format!("IMG_{n:04}.HEIC")).collect();
    all.extend(
        ["a.png", "README", "notes.txt", "Thumbs.db", "._a.png", "labels.csv"].map(str::to_owned),
    );
    let notes = told(&all);
    assert_eq!(notes.len(), 1);
    assert!(
        notes[0].starts_with("30 files passed over: 30 .heic; to use them, convert"),
        "{notes:?}"
    );
    assert!(told(&all[30..]).is_empty(), "an ordinary folder");
    let kinds = ["a.png", "1.ppm", "2.ppm", "1.npy", "1.mp4", "noextension"].map(str::to_owned);
    let text = &told(&kinds)[0];
    assert!(
        text.starts_with("5 files passed over: 2 .ppm, 1 without an extension, 1 .mp4, 1 .npy"),
        "{text}"
    );
    let error = open(&names(&["a.heic".to_owned()]), Labels::Ignored).unwrap_err().to_string();
    assert!(error.contains("1 file passed over: 1 .heic"), "{error}");
    let error = open(&names(&["a.zip".to_owned()]), Labels::Ignored).unwrap_err().to_string();
    assert!(error.contains("unpack it"), "{error}");
}

/// Pictures: thumbnails of a Synology disk are silent.
#[test]
fn thumbnails_of_systems_are_silent() {
    let dir = tree(&[
        "a.jpg",
        "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg",
        "__MACOSX/b.jpg",
        "._a.jpg",
        "Thumbs.db",
    ]);
    let set = open(&dir, Labels::Ignored).unwrap();
    assert_eq!((paths(&set), set.skipped.len(), set.notes.len()), (vec!["a.jpg"], 0, 0));
}

/// Archives, and folders likewise: masks beside pictures are told.
#[test]
fn masks_in_a_folder_are_told() {
    let names = ["1.png", "1_mask.png", "a/2.jpg", "a/2.mask.png", "a/3-seg0.png", "gas_mask.png"];
    let set = open(&tree(&names), Labels::Ignored).unwrap();
    assert_eq!((set.len(), set.notes.len()), (6, 1));
    let note = &set.notes[0];
    assert!(
        note.starts_with("2 files are named like masks") && note.ends_with("/1_mask.png"),
        "{note}"
    );
    let set = open(&tree(&["gas_mask.png", "mask.png", "1.png"]), Labels::Ignored).unwrap();
    assert!(set.notes.is_empty(), "{:?}", set.notes);
}

/// Listing: it tells how far it is, and ends when it is asked to.
#[test]
fn listing_ends_when_it_is_asked_to() {
    let names: Vec<String> = (0..300).map(|n| format!("{n}.png")).collect();
    let dir = tree(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for last in [true, false] {
        let mut told = Vec::new();
        let mut tell = |looked_at: usize| {
            told.push(looked_at);
            last
        };
        let opening = Opening { listing: Some(&mut tell), ..Opening::default() };
        let set = PictureSet::open(dir.path(), opening);
        assert_eq!(set.is_ok(), last);
        assert!(last || matches!(set, Err(DataError::Stopped)));
        assert!(told[0] == 1 && (last || told.len() == 1), "{told:?}");
    }
}

/// Labels: the wrong level of folders is told.
#[test]
fn folders_that_are_alike_in_every_class_are_told() {
    let names =
        ["color/healthy/1.png", "color/rust/1.png", "grey/healthy/1.png", "grey/rust/2.png"];
    let set = open(&tree(&names), Labels::Required).unwrap();
    assert_eq!(set.classes, ["color", "grey"]);
    let note = set.notes.join("\n");
    assert!(note.starts_with("color and grey are taken for the classes"), "{note}");
    assert!(note.contains("has the folders healthy and rust"), "{note}");
    for ordinary in [
        &["cat/a/1.png", "cat/b/1.png", "dog/a/1.png", "dog/c/1.png"][..],
        &["cat/images/1.png", "dog/images/1.png"],
    ] {
        assert_eq!(open(&tree(ordinary), Labels::Required).unwrap().notes, [""; 0]);
    }
}

/// Splits: of other languages and habits, where all folders are called so.
#[test]
fn splits_of_other_languages_are_no_classes() {
    for names in [
        ["trn", "tst"],
        ["tr", "te"],
        ["query", "gallery"],
        ["training_set", "test_set"],
        ["seen", "unseen"],
        ["entrenamiento", "prueba"],
        ["apprentissage", "test"],
        ["Trainingsdaten", "Testdaten"],
        ["训练集", "测试集"],
    ] {
        let files =
            names.map(|name| [format!("{name}/a/1.jpg"), format!("{name}/b/2.jpg")]).concat();
        let dir = tree(&files.iter().map(String::as_str).collect::<Vec<_>>());
        let error = open(&dir, Labels::Required).unwrap_err();
        assert!(matches!(error, DataError::Splits { .. }), "{names:?}: {error}");
        let notes = open(&dir, Labels::Ignored).unwrap().notes.join(" ");
        assert!(notes.contains("pictures of all of them are used"), "{names:?}: {notes}");
    }
    for names in [["query", "cats"], ["tr", "de"], ["prueba", "query"]] {
        let files = names.map(|name| format!("{name}/1.jpg"));
        let dir = tree(&files.each_ref().map(String::as_str));
        assert_eq!(open(&dir, Labels::Required).unwrap().classes.len(), 2, "{names:?}");
    }
}

/// Labels: a list that lies among the pictures and says something else.
#[test]
fn a_list_among_class_folders_is_told_where_it_differs() {
    let files = ["cat/1.jpg", "cat/2.jpg", "dog/3.jpg", "dog/4.jpg", "labels.csv"];
    let dir = tree(&files);
    let notes = |text: &str| {
        std::fs::write(dir.path().join("labels.csv"), text).unwrap();
        open(&dir, Labels::Required).unwrap().notes.join(" ")
    };
    let agrees = "file,label\ncat/1.jpg,Cat\ncat/2.jpg,cat\ndog/3.jpg,dog\n";
    assert_eq!(notes(agrees), "");
    let differs = notes("file,label\ncat/1.jpg,dog\ncat/2.jpg,cat\ndog/3.jpg,dog\n");
    assert!(differs.contains("labels.csv lists 1 of 3 pictures with other labels"), "{differs}");
    assert!(differs.contains("cat/1.jpg as \"dog\""), "{differs}");
    let own = notes("file,label\ncat/1.jpg,young\ncat/2.jpg,old\n");
    assert!(own.contains("with labels of its own, such as cat/1.jpg as \"young\""), "{own}");
    assert_eq!(notes("name,price\ncatfood,3\n"), "");
    // Beside plain pictures it is what to give.
    let dir = tree(&["1.jpg", "2.jpg"]);
    std::fs::write(dir.path().join("train.csv"), "file,label\n1.jpg,a\n2.jpg,b\n").unwrap();
    let error = open(&dir, Labels::Required).unwrap_err().to_string();
    assert!(error.contains("train.csv lists pictures with their labels: give it"), "{error}");
}

/// Hidden folders with pictures are told, but for those that programs keep.
#[test]
fn hidden_class_folders_are_told() {
    let files =
        ["a/1.jpg", "b/2.jpg", ".cats/3.jpg", ".thumbnails/4.jpg", ".git/x", ".x/notes.txt"];
    for labels in [Labels::Required, Labels::Ignored] {
        let set = open(&tree(&files), labels).unwrap();
        assert_eq!((set.len(), set.notes.len()), (2, 1), "{:?}", set.notes);
        assert!(set.notes[0].starts_with("a hidden folder is passed over"), "{:?}", set.notes);
        assert!(set.notes[0].ends_with(".cats"), "{:?}", set.notes);
    }
}

/// Archives of other kinds: what to do is said, for a folder and for the file.
#[test]
fn archives_that_are_not_read_are_named() {
    for (name, says) in [
        ("set.zip", "a .zip is not read: unpack it"),
        ("set.tar.gz", "decompress it"),
        ("set.7z", "a .7z is not read"),
        ("set.h5", "HDF5"),
        ("train.tfrecord", "TensorFlow"),
    ] {
        let dir = tree(&[name]);
        for path in [dir.path().to_path_buf(), dir.path().join(name)] {
            let error = PictureSet::open(&path, Labels::Ignored).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}

/// Columns that are asked for of folders, which have none.
#[test]
fn columns_of_folders_are_told() {
    let dir = tree(&["a/1.png", "a/2.png", "b/1.png"]);
    let opened = |labels, label_column, image_column| {
        let how = Opening { labels, label_column, image_column, ..Opening::default() };
        PictureSet::open(dir.path(), how).unwrap().notes
    };
    assert_eq!(opened(Labels::Required, None, None), Vec::<String>::new());
    let notes = opened(Labels::Required, Some("kind"), None);
    let told = |notes: &[String], says: &str| notes.len() == 1 && notes[0].contains(says);
    assert!(told(&notes, "data.label_column=\"kind\" does not apply"), "{notes:?}");
    assert!(told(&notes, "labels are the names of its folders"), "{notes:?}");
    // Where labels do not count none are missed.
    assert_eq!(opened(Labels::Ignored, Some("kind"), None), Vec::<String>::new());
    let notes = opened(Labels::Ignored, None, Some("file"));
    assert!(told(&notes, "data.image_column=\"file\" does not apply"), "{notes:?}");
}
