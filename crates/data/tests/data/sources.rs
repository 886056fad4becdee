//! The same pictures from folders, archives and lists: the same set.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fcmae_data::sampler::Order;
use fcmae_data::{
    DataError, Labels, Loader, LoaderOptions, Normalization, Opening, PictureSet, RandomErasing,
    RandomResizedCrop, Sample, Transform,
};

use crate::archive::Tar;
use crate::loader::hashes;
use crate::pictures::{bad_kinds, jpeg, write};

/// Pictures of three classes, two of them bad, by path.
fn pictures() -> Vec<(String, Vec<u8>)> {
    let class = |i: u32| ["ant", "bee", "cow"][(i % 7).min(2) as usize];
    let mut pictures: Vec<_> = (0..40)
        .map(|i| (format!("{}/{i:02}.jpg", class(i)), jpeg(20 + i % 7, 30 - i % 5)))
        .collect();
    for (name, bytes) in bad_kinds().into_iter().take(2) {
        pictures.push((format!("bee/{name}"), bytes));
    }
    pictures
}

/// The same set in every form, each as what is opened.
fn forms(dir: &Path) -> Vec<(&'static str, Vec<PathBuf>)> {
    let pictures = pictures();
    let at = |name: &str| dir.join(name);
    let add = |tar: Tar, (name, bytes): &(String, Vec<u8>)| tar.file(name, bytes);
    for (name, bytes) in &pictures {
        write(&at("folder").join(name), bytes);
    }
    write(&at("one.tar"), &pictures.iter().rev().fold(Tar::default(), add).end().0);
    for shard in 0..4 {
        let part = pictures.iter().skip(shard).step_by(4);
        let with_label = |tar: Tar, picture: &(String, Vec<u8>)| {
            let (class, _) = picture.0.split_once('/').unwrap();
            let label = picture.0.replace(".jpg", ".cls").replace(".png", ".cls");
            add(tar.file(&label, class.as_bytes()), picture)
        };
        let bytes = part.fold(Tar::default(), with_label).end().0;
        write(&at("shards").join(format!("{shard}.tar")), &bytes);
    }
    let mut list = "path,label\n".to_owned();
    for (name, _) in pictures.iter().rev() {
        list += &format!("{name},{}\n", name.split_once('/').unwrap().0);
    }
    write(&at("folder/list.csv"), list.as_bytes());
    for (name, bytes) in &pictures {
        let part = if name.starts_with("bee") { "parts/left" } else { "parts/right" };
        write(&at(part).join(name), bytes);
    }
    let mixed = pictures.iter().filter(|(name, _)| name.starts_with("bee"));
    write(&at("bee.tar"), &mixed.fold(Tar::default(), add).end().0);
    vec![
        ("folder", vec![at("folder")]),
        ("one archive", vec![at("one.tar")]),
        ("folder of archives", vec![at("shards")]),
        ("list", vec![at("folder/list.csv")]),
        ("two folders", vec![at("parts/right"), at("parts/left")]),
        ("archive and folder", vec![at("bee.tar"), at("parts/right")]),
    ]
}

fn train(set: &Arc<PictureSet>, order: Order, workers: usize) -> Loader {
    let options =
        LoaderOptions { workers, order, max_bad_fraction: 0.2, ..LoaderOptions::train(5, 11) };
    let transform = Transform::Train(RandomResizedCrop::new(16, 24));
    Loader::new(Arc::clone(set), transform, Normalization::imagenet(3).unwrap(), &options).unwrap()
}

/// Fault 14: workers 0, 1, 2 and 4, whatever the pictures lie in.
#[test]
fn every_form_gives_the_same_set_and_batches() {
    let dir = tempfile::tempdir().unwrap();
    let forms = forms(dir.path());
    for labels in [Labels::Required, Labels::Ignored] {
        let open = |roots: &[PathBuf]| Arc::new(PictureSet::open_all(roots, labels).unwrap());
        let folder = open(&forms[0].1);
        assert_eq!(folder.len(), 42);
        let orders = match labels {
            Labels::Required => &[Order::Shuffled, Order::Balanced, Order::Sequential][..],
            _ => &[Order::Shuffled][..],
        };
        let expected: Vec<_> =
            orders.iter().map(|&order| hashes(train(&folder, order, 0), 18)).collect();
        for (form, roots) in &forms {
            let set = open(roots);
            assert_eq!(set.classes, folder.classes, "{form}");
            assert_eq!(set.class_counts(), folder.class_counts(), "{form}");
            assert_eq!(set.fingerprint(), folder.fingerprint(), "{form}");
            assert!(set.skipped.is_empty(), "{form}: {:?}", set.skipped);
            for (&order, expected) in orders.iter().zip(&expected) {
                for workers in [0, 1, 2, 4] {
                    let found = hashes(train(&set, order, workers), 18);
                    assert_eq!(&found, expected, "{form}, {order:?}, {workers} workers");
                }
            }
            let paths = |set: &PictureSet| {
                set.samples.iter().map(|sample| sample.path.clone()).collect::<Vec<_>>()
            };
            let held_out = |set: &PictureSet| paths(&set.split(0.2, 3).unwrap().1);
            assert_eq!(held_out(&set), held_out(&folder), "{form}");
        }
    }
}

/// Labels by the pictures' paths.
fn by_path(set: &PictureSet, labels: &[Option<String>]) -> Vec<(PathBuf, Option<String>)> {
    assert_eq!(set.len(), labels.len());
    (0..set.len()).map(|index| set.path(index)).zip(labels.iter().cloned()).collect()
}

#[test]
fn labels_that_may_be_missing_are_found_with_one_look_and_the_set_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for (form, roots) in forms(dir.path()) {
        let (set, labels) = PictureSet::open_with_labels(&roots, Opening::default()).unwrap();
        let plain = PictureSet::open_all(&roots, Labels::Ignored).unwrap();
        assert_eq!(set.fingerprint(), plain.fingerprint(), "{form}");
        assert_eq!((&set.samples, &set.classes), (&plain.samples, &vec![]), "{form}");
        let known = PictureSet::open_all(&roots, Labels::Required).unwrap();
        let class = |sample: &Sample| Some(known.classes[sample.label?].clone());
        let expected: Vec<_> = known.samples.iter().map(class).collect();
        assert_eq!(by_path(&set, &labels.unwrap()), by_path(&known, &expected), "{form}");
    }

    // Some without a label: beside the class folders, in a list, with a label in an archive that is none.
    write(&at("folder/beside.jpg"), &jpeg(9, 9));
    let open = |roots: &[&str]| {
        let roots: Vec<PathBuf> = roots.iter().map(|root| at(root)).collect();
        PictureSet::open_with_labels(&roots, Opening::default()).unwrap()
    };
    let told = |labels: &[Option<String>]| labels.iter().flatten().count();
    let (set, labels) = open(&["folder"]);
    assert_eq!((set.len(), told(&labels.unwrap())), (43, 42));
    write(&at("folder/some.csv"), b"path,label\nant/00.jpg,x\nant/07.jpg,y\nbeside.jpg,\n");
    let (set, labels) = open(&["folder/some.csv"]);
    let x = Some("x".to_owned());
    assert_eq!((set.len(), &labels.unwrap()[..]), (3, &[x, Some("y".to_owned()), None][..]));
    let tar =
        ["a", "b", "c"].iter().zip(["x", "y", ""]).fold(Tar::default(), |tar, (name, label)| {
            tar.file(&format!("{name}.jpg"), &jpeg(9, 9))
                .file(&format!("{name}.cls"), label.as_bytes())
        });
    write(&at("labels.tar"), &tar.end().0);
    let (set, labels) = open(&["labels.tar"]);
    assert_eq!((set.len(), told(&labels.unwrap()), set.skipped.len()), (3, 2, 0));
    // A list beside the folder that has its pictures, given after it: its labels are theirs.
    for name in ["1.jpg", "2.jpg", "3.jpg"] {
        write(&at("flat").join(name), &jpeg(9, 9));
    }
    write(&at("flat.csv"), b"path,label\nflat/2.jpg,x\nflat/3.jpg,y\n");
    let (set, labels) = open(&["flat", "flat.csv"]);
    assert_eq!(set.path(1), at("flat/2.jpg"));
    assert_eq!(labels.unwrap()[..2], [None, Some("x".to_owned())]);
    assert_eq!(set.len(), 3);

    // Without labels, or of one class: pictures all the same, and the reason.
    write(&at("flat/list.txt"), b"1.jpg\n2.jpg\n");
    write(&at("flat/paths.csv"), b"path,note\n1.jpg,x\n2.jpg,y\n");
    for (root, count, says) in [
        ("flat/list.txt", 2, "labels are needed"),
        ("flat/paths.csv", 2, "no column of labels"),
        ("flat", 3, "class"),
        ("folder/ant", 6, "class"),
    ] {
        let (set, labels) = open(&[root]);
        let error = labels.unwrap_err().to_string();
        assert!(error.contains(says), "{root}: {error}");
        assert_eq!(set.len(), count, "{root}");
        assert!(set.samples.iter().all(|sample| sample.label.is_none()));
    }
    let (_, labels) = open(&["bee.tar"]);
    let Err(DataError::TooFewClasses { classes, outside, .. }) = labels else {
        panic!("one class")
    };
    assert_eq!((classes, outside), (vec!["bee".to_owned()], 0));
}

/// Fault 12: bad pictures inside of an archive.
#[test]
fn bad_members_are_left_out_and_named() {
    let dir = tempfile::tempdir().unwrap();
    forms(dir.path());
    let set = Arc::new(PictureSet::open(dir.path().join("one.tar"), Labels::Ignored).unwrap());
    let mut loader = train(&set, Order::Sequential, 2);
    let total: usize = loader.by_ref().map(|batch| batch.unwrap().len()).sum();
    assert_eq!(total, 40);
    let skipped: Vec<PathBuf> = loader.skipped().into_iter().map(|skip| skip.path).collect();
    let expected = ["empty.jpg", "text.png"].map(|name| dir.path().join("one.tar/bee").join(name));
    assert_eq!(skipped, expected);
}

/// Fault 14: an archive that changes while the run goes on.
#[test]
fn an_archive_that_changes_in_the_run_is_skipped_cached_or_not() {
    let dir = tempfile::tempdir().unwrap();
    forms(dir.path());
    for cache_bytes in [0, 1 << 20] {
        let path = dir.path().join("shards/1.tar");
        let set = Arc::new(PictureSet::open(dir.path().join("shards"), Labels::Ignored).unwrap());
        let options =
            LoaderOptions { cache_bytes, max_bad_fraction: 0.5, ..LoaderOptions::eval(42) };
        let transform = Transform::Train(RandomResizedCrop::new(8, 8));
        let normalization = Normalization::imagenet(3).unwrap();
        let mut loader = Loader::new(Arc::clone(&set), transform, normalization, &options).unwrap();
        assert_eq!(loader.next().unwrap().unwrap().len(), 40);
        // Other pictures, at least by the name of the first, in as many bytes.
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[0] ^= 1;
        write(&path, &bytes);
        let changed = SystemTime::now() + Duration::from_secs(9 + cache_bytes as u64);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(changed).unwrap();
        loader.seek(0, 0);
        let of_shard = (0..set.len()).filter(|&i| set.path(i).starts_with(&path)).count();
        assert!(of_shard >= 10);
        let left = loader.next().unwrap().unwrap().len();
        let bad_elsewhere =
            loader.skipped().iter().filter(|skip| !skip.path.starts_with(&path)).count();
        assert_eq!(left, 42 - of_shard - bad_elsewhere);
        assert!(loader.skipped().iter().any(|skip| skip.reason.contains("changed")));
        bytes[0] ^= 1;
        write(&path, &bytes);
    }
}

#[test]
fn classes_are_united_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for file in ["a/cat/1.jpg", "a/dog/1.jpg", "b/cat/1.jpg", "b/cat/2.jpg", "c/eel/1.jpg"] {
        write(&at(file), file.as_bytes());
    }
    write(&at("b/list.csv"), b"cat/2.jpg,fox\n");
    let open = |names: &[&str]| {
        let roots: Vec<_> = names.iter().map(|name| at(name)).collect();
        PictureSet::open_all(&roots, Labels::Required)
    };
    let set = open(&["a", "b"]).unwrap();
    assert_eq!(
        (set.classes.as_slice(), set.class_counts()),
        (&["cat", "dog"].map(str::to_owned)[..], vec![3, 1])
    );
    // Of the same name, the source given first comes first.
    let paths: Vec<_> = (0..4).map(|i| set.path(i)).collect();
    assert_eq!(paths, ["a/cat/1.jpg", "b/cat/1.jpg", "b/cat/2.jpg", "a/dog/1.jpg"].map(at));
    // One class each, and two together.
    assert_eq!(open(&["b", "c"]).unwrap().classes, ["cat", "eel"]);
    assert_eq!(open(&["c", "b/list.csv"]).unwrap().classes, ["eel", "fox"]);
    let error = open(&["b"]).unwrap_err();
    assert!(matches!(error, DataError::TooFewClasses { .. }));

    let error = open(&["a", "c", "a/../a"]).unwrap_err().to_string();
    assert!(error.contains("twice") && error.contains("once"), "{error}");
    assert!(open(&[]).unwrap_err().to_string().contains("give a folder"));
    write(&at("empty/x.md"), b"");
    let error = open(&["a", "empty"]).unwrap_err().to_string();
    assert!(error.contains("empty: no picture"), "{error}");
    assert!(matches!(open(&["a", "gone"]), Err(DataError::Missing(path)) if path == at("gone")));
}

#[test]
fn a_balanced_order_needs_labels() {
    let dir = tempfile::tempdir().unwrap();
    forms(dir.path());
    let set = Arc::new(PictureSet::open(dir.path().join("folder"), Labels::Ignored).unwrap());
    let options = LoaderOptions { order: Order::Balanced, ..LoaderOptions::train(5, 1) };
    let transform = Transform::Train(RandomResizedCrop::new(8, 8));
    let normalization = Normalization::imagenet(3).unwrap();
    let error = Loader::new(set, transform, normalization, &options).unwrap_err().to_string();
    assert!(error.contains("balanced") && error.contains("labels"), "{error}");
}

#[test]
fn a_sample_of_a_rare_class_is_augmented_anew_each_time() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("rare/0.jpg"), &jpeg(60, 50));
    for i in 0..9 {
        write(&dir.path().join(format!("often/{i}.jpg")), &jpeg(60, 50));
    }
    let set = Arc::new(PictureSet::open(dir.path(), Labels::Required).unwrap());
    let options =
        LoaderOptions { workers: 2, order: Order::Balanced, ..LoaderOptions::train(10, 1) };
    let transform = Transform::Train(RandomResizedCrop::new(8, 8));
    let normalization = Normalization::imagenet(3).unwrap();
    let batch = Loader::new(set, transform, normalization, &options).unwrap().next();
    let batch = batch.unwrap().unwrap();
    let images = batch.images.chunks_exact(8 * 8 * 3).zip(&batch.indices);
    let rare: Vec<_> = images.filter(|(_, index)| **index == 9).map(|(image, _)| image).collect();
    assert_eq!(rare.len(), 5);
    for (i, image) in rare.iter().enumerate() {
        assert!(!rare[..i].contains(image));
    }
}

#[test]
fn a_sample_of_a_rare_class_is_erased_anew_each_time() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("rare/0.jpg"), &jpeg(50, 50));
    for i in 0..9 {
        write(&dir.path().join(format!("often/{i}.jpg")), &jpeg(50, 50));
    }
    let set = Arc::new(PictureSet::open(dir.path(), Labels::Required).unwrap());
    let options =
        LoaderOptions { workers: 2, order: Order::Balanced, ..LoaderOptions::train(10, 1) };
    // The whole picture each time, so that erasing alone can differ.
    let transform = Transform::Train(RandomResizedCrop {
        scale: (1.0, 1.0),
        ratio: (1.0, 1.0),
        flip: 0.0,
        erasing: Some(RandomErasing { probability: 1.0, ..RandomErasing::new() }),
        ..RandomResizedCrop::new(16, 16)
    });
    let normalization = Normalization::imagenet(3).unwrap();
    let batch = Loader::new(set, transform, normalization, &options).unwrap().next();
    let batch = batch.unwrap().unwrap();
    let images = batch.images.chunks_exact(16 * 16 * 3).zip(&batch.indices);
    let rare: Vec<_> = images.filter(|(_, index)| **index == 9).map(|(image, _)| image).collect();
    assert_eq!(rare.len(), 5);
    for (i, image) in rare.iter().enumerate() {
        assert!(!rare[..i].contains(image));
    }
}

/// Labels: files that two sources name count once.
#[test]
fn files_of_two_sources_count_once() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["pics/a/1.jpg", "pics/a/2.jpg", "pics/b/3.jpg", "pics/b/4.jpg"] {
        write(&dir.path().join(name), &jpeg(8, 8));
    }
    write(&dir.path().join("list.csv"), b"path,label\npics/a/1.jpg,a\npics/b/../b/3.jpg,b\n");
    let roots = ["pics", "list.csv"].map(|name| dir.path().join(name));
    let set = PictureSet::open_all(&roots, Labels::Required).unwrap();
    assert_eq!((set.len(), set.skipped.len()), (4, 2));
    assert!(set.skipped[0].reason.contains("count once"), "{:?}", set.skipped);
    let roots = ["pics", "pics/b"].map(|name| dir.path().join(name));
    assert_eq!(PictureSet::open_all(&roots, Labels::Ignored).unwrap().len(), 4);
}

/// Labels: one file with two labels, by two lists.
#[test]
fn a_file_with_two_labels_by_two_lists_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let lists = ["one.csv", "two.csv"].map(|name| dir.path().join(name));
    for name in ["1.jpg", "2.jpg", "3.jpg"] {
        std::fs::write(dir.path().join(name), b"x").unwrap();
    }
    std::fs::write(&lists[0], "path,label\n1.jpg,a\n2.jpg,b\n").unwrap();
    std::fs::write(&lists[1], "path,label\n1.jpg,b\n2.jpg,b\n3.jpg,a\n").unwrap();
    let set = PictureSet::open_all(&lists, Labels::Required).unwrap();
    assert_eq!((set.len(), set.class_counts()), (3, vec![2, 1]));
    assert_eq!(set.notes.len(), 1, "{:?}", set.notes);
    assert!(set.notes[0].contains("1.jpg as \"a\" and \"b\""), "{:?}", set.notes);
}
