//! Batches: the same for any number of workers, in order, whatever the files.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use fcmae_data::loader::{Batch, Loader, LoaderOptions};
use fcmae_data::sampler::Order;
use fcmae_data::{
    DataError, EvalTransform, Labels, Normalization, PictureSet, RandAugment, RandomErasing,
    RandomResizedCrop, Transform,
};

use crate::pictures::{bad_kinds, good_kinds, jpeg, write};

fn folder(root: &Path, labels: Labels<'_>) -> Arc<PictureSet> {
    Arc::new(PictureSet::open(root, labels).unwrap())
}

/// Two classes of small photographs, each of another size.
fn photos(count: u32) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..count {
        let class = if i % 3 == 0 { "third" } else { "other" };
        write(&dir.path().join(format!("{class}/{i:03}.jpg")), &jpeg(20 + i % 7, 30 - i % 5));
    }
    dir
}

fn train(folder: &Arc<PictureSet>, options: &LoaderOptions) -> Result<Loader, DataError> {
    let transform = Transform::Train(RandomResizedCrop::new(16, 24));
    Loader::new(Arc::clone(folder), transform, Normalization::imagenet(3).unwrap(), options)
}

/// The published fine-tuning, of grey pictures where there is one channel.
fn finetune(channels: u32) -> RandomResizedCrop {
    let augment = RandAugment::new(&Normalization::imagenet(channels).unwrap());
    RandomResizedCrop {
        scale: (0.08, 1.0),
        rand_augment: Some(augment),
        erasing: Some(RandomErasing::new()),
        ..RandomResizedCrop::new(16, 24)
    }
}

fn eval(folder: &Arc<PictureSet>, options: &LoaderOptions) -> Result<Loader, DataError> {
    let transform = Transform::Eval(EvalTransform::new(16, 16));
    Loader::new(Arc::clone(folder), transform, Normalization::imagenet(3).unwrap(), options)
}

fn options(workers: usize) -> LoaderOptions {
    LoaderOptions { workers, ..LoaderOptions::train(5, 11) }
}

/// All that a batch holds, as one hash.
pub(crate) fn hash(batch: &Batch) -> String {
    let mut hasher = blake3::Hasher::new();
    for value in &batch.images {
        hasher.update(&value.to_bits().to_le_bytes());
    }
    for number in batch.labels.iter().chain(&batch.indices) {
        hasher.update(&number.to_le_bytes());
    }
    format!("{} {} {}", batch.epoch, batch.number, hasher.finalize().to_hex())
}

pub(crate) fn hashes(loader: Loader, count: usize) -> Vec<String> {
    loader.take(count).map(|batch| hash(&batch.unwrap())).collect()
}

/// Fault 14: workers 0, 1, 2 and 4, by the batches' hashes.
#[test]
fn batches_are_the_same_for_any_number_of_workers() {
    let dir = photos(23);
    let folder = folder(dir.path(), Labels::Required);
    let expected = hashes(train(&folder, &options(0)).unwrap(), 14);
    for workers in [1, 2, 4] {
        assert_eq!(hashes(train(&folder, &options(workers)).unwrap(), 14), expected, "{workers}");
    }
    let variants = [
        LoaderOptions { cache_bytes: 0, ..options(2) },
        LoaderOptions { cache_bytes: 9000, ..options(2) },
        LoaderOptions { prefetch: 7, ..options(3) },
    ];
    for variant in variants {
        assert_eq!(hashes(train(&folder, &variant).unwrap(), 14), expected, "{variant:?}");
    }
    let other = LoaderOptions { seed: 12, ..options(0) };
    assert_ne!(hashes(train(&folder, &other).unwrap(), 14), expected);
}

/// Fault 14: the same with all of fine-tuning's augmentation.
#[test]
fn augmented_batches_are_the_same_for_any_number_of_workers() {
    let dir = photos(23);
    let folder = folder(dir.path(), Labels::Required);
    for channels in [3, 1] {
        let load = |transform: RandomResizedCrop, options: &LoaderOptions| {
            let normalization = Normalization::imagenet(channels).unwrap();
            let transform = Transform::Train(transform);
            Loader::new(Arc::clone(&folder), transform, normalization, options).unwrap()
        };
        let expected = hashes(load(finetune(channels), &options(0)), 14);
        for workers in [1, 2, 3, 4] {
            let found = hashes(load(finetune(channels), &options(workers)), 14);
            assert_eq!(found, expected, "{workers}");
        }
        let mut late = load(finetune(channels), &options(2));
        late.seek(2, 1);
        assert_eq!(hashes(late, 5), expected[9..]);
        let plain = RandomResizedCrop { rand_augment: None, ..finetune(channels) };
        let whole = RandomResizedCrop { erasing: None, ..finetune(channels) };
        assert_ne!(hashes(load(plain, &options(0)), 14), expected);
        assert_ne!(hashes(load(whole, &options(0)), 14), expected);
    }
}

#[test]
fn erasing_comes_after_normalization_and_is_drawn_anew_each_epoch() {
    let dir = photos(20);
    let folder = folder(dir.path(), Labels::Required);
    let batches = |erasing: Option<RandomErasing>| -> Vec<Batch> {
        let transform = RandomResizedCrop { erasing, ..finetune(3) };
        let normalization = Normalization::imagenet(3).unwrap();
        let transform = Transform::Train(transform);
        let loader =
            Loader::new(Arc::clone(&folder), transform, normalization, &options(0)).unwrap();
        loader.take(80).map(Result::unwrap).collect()
    };
    let always = RandomErasing { probability: 1.0, ..RandomErasing::new() };
    let (plain, erased) = (batches(None), batches(Some(always)));
    let mut places = Vec::new();
    for (plain, erased) in plain.iter().zip(&erased) {
        assert_eq!(plain.indices, erased.indices);
        let pictures = plain.images.chunks_exact(16 * 24 * 3);
        for (a, b) in pictures.zip(erased.images.chunks_exact(16 * 24 * 3)) {
            let changed: Vec<usize> = (0..a.len()).filter(|&at| a[at] != b[at]).collect();
            let share = changed.len() as f64 / a.len() as f64;
            assert!((0.01..0.4).contains(&share), "{share}");
            places.push(changed[0]);
        }
    }
    places.sort_unstable();
    places.dedup();
    assert!(places.len() > 100, "{}", places.len());
}

#[test]
fn a_fill_colour_for_other_channels_is_refused_before_the_first_batch() {
    let dir = photos(5);
    let folder = folder(dir.path(), Labels::Required);
    let transform = Transform::Train(finetune(1));
    let normalization = Normalization::imagenet(3).unwrap();
    let error = Loader::new(folder, transform, normalization, &options(0)).unwrap_err();
    assert!(error.to_string().contains("pictures have 3 channels"), "{error}");
}

#[test]
fn training_batches_are_whole_labelled_and_run_across_epochs() {
    let dir = photos(23);
    let folder = folder(dir.path(), Labels::Required);
    let loader = train(&folder, &options(2)).unwrap();
    assert_eq!(loader.batches_per_epoch(), 4);
    let mut first_epoch = Vec::new();
    for (step, batch) in loader.take(9).enumerate() {
        let batch = batch.unwrap();
        assert_eq!((batch.epoch, batch.number), (step as u64 / 4, step as u64 % 4));
        assert_eq!((batch.len(), batch.height, batch.width, batch.channels), (5, 16, 24, 3));
        assert_eq!(batch.images.len(), 5 * 16 * 24 * 3);
        assert!(batch.images.iter().all(|value| value.is_finite()));
        for (&index, &label) in batch.indices.iter().zip(&batch.labels) {
            assert_eq!(folder.samples[index as usize].label, Some(label as usize));
        }
        if batch.epoch == 0 {
            first_epoch.extend(batch.indices);
        }
    }
    first_epoch.sort_unstable();
    first_epoch.dedup();
    assert_eq!(first_epoch.len(), 20);
}

#[test]
fn a_sample_is_augmented_anew_each_epoch() {
    let dir = photos(5);
    let folder = folder(dir.path(), Labels::Ignored);
    let batches: Vec<Batch> =
        train(&folder, &options(0)).unwrap().take(2).map(Result::unwrap).collect();
    let values = |batch: &Batch, index: u32| {
        let at = batch.indices.iter().position(|&i| i == index).unwrap();
        batch.images.chunks_exact(16 * 24 * 3).nth(at).unwrap().to_vec()
    };
    assert!((0..5).all(|index| values(&batches[0], index) != values(&batches[1], index)));
    assert!(batches[0].labels.is_empty());
}

#[test]
fn a_loader_starts_anywhere_as_if_it_had_come_from_the_start() {
    let dir = photos(23);
    let folder = folder(dir.path(), Labels::Required);
    let straight = hashes(train(&folder, &options(0)).unwrap(), 14);
    for workers in [0, 2] {
        for (epoch, number, at) in [(0, 0, 0), (0, 3, 3), (1, 0, 4), (2, 1, 9), (0, 9, 9)] {
            let mut loader = train(&folder, &options(workers)).unwrap();
            loader.seek(epoch, number);
            assert_eq!(hashes(loader, 14 - at), straight[at..], "{workers} {epoch} {number}");
        }
        // In the middle of work under way, too.
        let mut loader = train(&folder, &options(workers)).unwrap();
        loader.next().unwrap().unwrap();
        loader.seek(1, 2);
        loader.next().unwrap().unwrap();
        loader.seek(0, 1);
        assert_eq!(hashes(loader, 13), straight[1..]);
    }
}

#[test]
fn evaluation_takes_all_in_order_once_and_again() {
    let dir = photos(12);
    let folder = folder(dir.path(), Labels::Required);
    for workers in [0, 1, 3] {
        let settings = LoaderOptions { workers, ..LoaderOptions::eval(5) };
        let mut loader = eval(&folder, &settings).unwrap();
        assert_eq!(loader.batches_per_epoch(), 3);
        let first: Vec<Batch> = loader.by_ref().map(Result::unwrap).collect();
        assert_eq!(first.iter().map(Batch::len).collect::<Vec<_>>(), [5, 5, 2]);
        let order: Vec<u32> = first.iter().flat_map(|batch| batch.indices.clone()).collect();
        assert_eq!(order, (0..12).collect::<Vec<_>>());
        assert!(loader.next().is_none() && loader.next().is_none());
        loader.seek(0, 0);
        assert_eq!(loader.by_ref().map(Result::unwrap).collect::<Vec<_>>(), first);
    }
}

#[test]
fn grey_inputs_have_one_channel() {
    let dir = photos(5);
    let folder = folder(dir.path(), Labels::Ignored);
    let transform = Transform::Eval(EvalTransform::new(8, 8));
    let normalization = Normalization::imagenet(1).unwrap();
    let mut loader =
        Loader::new(folder, transform, normalization, &LoaderOptions::eval(4)).unwrap();
    let batch = loader.next().unwrap().unwrap();
    assert_eq!((batch.channels, batch.images.len()), (1, 4 * 8 * 8));
}

/// Good files of every kind, and one of each bad kind.
fn mixed() -> (tempfile::TempDir, usize, usize) {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in good_kinds() {
        write(&dir.path().join("good").join(name), &bytes);
    }
    for i in 0..180 {
        write(&dir.path().join(format!("more/{i}.jpg")), &jpeg(12, 10));
    }
    for (name, bytes) in bad_kinds() {
        write(&dir.path().join("bad").join(name), &bytes);
    }
    (dir, good_kinds().len() + 180, bad_kinds().len())
}

/// Fault 12: bad files of every kind, with and without threads.
#[test]
fn bad_files_are_left_out_and_listed_exactly() {
    let (dir, good, bad) = mixed();
    let folder = folder(dir.path(), Labels::Required);
    assert_eq!(folder.len(), good + bad);
    let mut lists = Vec::new();
    for workers in [0, 2] {
        let settings = LoaderOptions { workers, ..options(0) };
        let mut loader = train(&folder, &LoaderOptions { batch: 8, ..settings }).unwrap();
        let per_epoch = loader.batches_per_epoch() as usize;
        let total: usize =
            loader.by_ref().take(3 * per_epoch).map(|batch| batch.unwrap().len()).sum();
        assert!(total >= 3 * (8 * per_epoch - bad), "{total}");
        let skipped = loader.skipped();
        for skip in &skipped {
            assert!(skip.path.starts_with(dir.path().join("bad")), "{skip:?}");
        }
        lists.push(skipped);

        let settings = LoaderOptions { workers, ..LoaderOptions::eval(8) };
        let mut loader = eval(&folder, &settings).unwrap();
        let total: usize = loader.by_ref().map(|batch| batch.unwrap().len()).sum();
        assert_eq!(total, good);
        let mut names: Vec<String> = loader
            .skipped()
            .iter()
            .map(|skip| skip.path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        let mut expected: Vec<String> = bad_kinds().into_iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        expected.sort_unstable();
        assert_eq!(names, expected);
    }
    assert_eq!(lists[0], lists[1]);
}

/// What was lost when the set was listed, and what is lost when it is loaded, are too many together.
#[test]
fn losses_of_listing_and_loading_count_together() {
    let dir = tempfile::tempdir().unwrap();
    let mut list = String::new();
    for number in 0..20 {
        let name = format!("{number:02}.jpg");
        match number {
            7 => {}
            8 => write(&dir.path().join(&name), b"no picture"),
            _ => write(&dir.path().join(&name), &jpeg(20, 30)),
        }
        list += &format!("{name}\n");
    }
    write(&dir.path().join("list.txt"), list.as_bytes());
    let set = folder(&dir.path().join("list.txt"), Labels::Ignored);
    assert_eq!((set.len(), set.lost), (19, 1));
    let run = |max_bad_fraction: f64| {
        set.check_lost(max_bad_fraction).unwrap();
        let settings = LoaderOptions { max_bad_fraction, ..LoaderOptions::eval(7) };
        eval(&set, &settings).unwrap().find_map(Result::err).map(|error| error.to_string())
    };
    // Each alone is 1 of 20 or of 19.
    let error = run(0.08).unwrap();
    assert!(
        error.contains("1 of 19 pictures could not be used, beside the 5.0 % of the listed ones"),
        "{error}"
    );
    assert_eq!(run(0.11), None);
    assert_eq!(run(1.0), None);
}

/// Fault 12: above the allowed share of bad files.
#[test]
fn too_many_bad_files_stop_with_their_names() {
    let (dir, good, bad) = mixed();
    let folder = folder(dir.path(), Labels::Ignored);
    let allowed = |bad: usize| bad as f64 / folder.len() as f64;
    let mut errors = Vec::new();
    for workers in [0, 2] {
        let run = |max_bad_fraction| {
            let settings = LoaderOptions { workers, max_bad_fraction, ..LoaderOptions::eval(7) };
            eval(&folder, &settings).unwrap()
        };
        assert!(run(allowed(bad)).all(|batch| batch.is_ok()));
        let mut loader = run(allowed(bad - 1));
        let results: Vec<_> = loader.by_ref().collect();
        assert!(results[..results.len() - 1].iter().all(Result::is_ok));
        let error = results.last().unwrap().as_ref().unwrap_err();
        assert!(matches!(error, DataError::TooManyBad { .. }));
        let text = error.to_string();
        assert!(
            text.contains(&format!("{bad} of {}", good + bad)) && text.contains(".jpg ("),
            "{text}"
        );
        assert!(loader.next().is_none());
        errors.push((results.len(), text));
    }
    assert_eq!(errors[0], errors[1]);
}

/// Fault 12: no file of a batch is usable.
#[test]
fn a_batch_of_bad_files_alone_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..4 {
        write(&dir.path().join(format!("{i}.jpg")), b"no");
    }
    let folder = folder(dir.path(), Labels::Ignored);
    let settings = LoaderOptions { max_bad_fraction: 1.0, ..LoaderOptions::eval(4) };
    let mut loader = eval(&folder, &settings).unwrap();
    let batch = loader.next().unwrap().unwrap();
    assert!(batch.is_empty() && batch.images.is_empty());
    assert_eq!(loader.skipped().len(), 4);
    assert_eq!(loader.take_skipped(), loader.skipped());
    assert!(loader.take_skipped().is_empty(), "each is given once");
    loader.seek(0, 0);
    loader.next().unwrap().unwrap();
    assert!(loader.take_skipped().is_empty(), "however often it is met");
}

/// Fault 14: files that vanish or change while the run goes on, for 0, 1, 2 and 4 workers.
#[test]
fn files_that_vanish_or_change_are_skipped_cached_or_not() {
    let mut last_epochs = Vec::new();
    for (cache_bytes, workers) in
        [0, 1 << 20].into_iter().flat_map(|cache| [0, 1, 2, 4].map(|workers| (cache, workers)))
    {
        let about = format!("{cache_bytes} bytes of cache, {workers} workers");
        let dir = photos(20);
        let folder = folder(dir.path(), Labels::Ignored);
        let settings = LoaderOptions { cache_bytes, workers, ..LoaderOptions::train(5, 3) };
        let mut loader =
            train(&folder, &LoaderOptions { max_bad_fraction: 0.2, ..settings }).unwrap();
        for _ in 0..4 {
            assert_eq!(loader.next().unwrap().unwrap().len(), 5, "{about}");
        }
        let gone = folder.path(3);
        std::fs::remove_file(&gone).unwrap();
        let grown = folder.path(7);
        write(&grown, &[std::fs::read(&grown).unwrap(), vec![0]].concat());
        let replaced = folder.path(9);
        std::fs::remove_file(&replaced).unwrap();
        std::fs::create_dir(&replaced).unwrap();
        // As a program that synchronizes folders leaves them.
        let touched = folder.path(11);
        let later = SystemTime::now() + Duration::from_secs(9);
        std::fs::File::options().write(true).open(&touched).unwrap().set_modified(later).unwrap();
        // Threads have loaded part of the next epoch ahead; what is loaded from now on is later.
        let total: usize = loader.by_ref().take(4).map(|batch| batch.unwrap().len()).sum();
        assert!((17..=20).contains(&total) && (workers > 0 || total == 17), "{about}: {total}");
        let last: Vec<Batch> = loader.by_ref().take(4).map(Result::unwrap).collect();
        assert_eq!(last.iter().map(Batch::len).sum::<usize>(), 17, "{about}");
        last_epochs.push(last.iter().map(hash).collect::<Vec<_>>());
        let skipped = loader.skipped();
        let reason = |path| &skipped.iter().find(|skip| skip.path == path).unwrap().reason;
        assert!(reason(gone).contains("cannot be read"), "{about}");
        assert!(reason(grown).contains("changed"), "{about}");
        assert!(reason(replaced).contains("not a regular file"), "{about}");
        assert_eq!(skipped.len(), 3, "{about}");
        assert_eq!(folder.touched(), Some(&*touched), "{about}");
    }
    assert!(last_epochs.iter().all(|hashes| *hashes == last_epochs[0]));
}

/// Fault 16: a batch larger than the set, among others.
#[test]
fn settings_that_cannot_work_are_refused() {
    let dir = photos(4);
    let folder = folder(dir.path(), Labels::Required);
    let error = train(&folder, &options(1)).unwrap_err();
    assert!(matches!(error, DataError::BatchLargerThanSet { batch: 5, set: 4 }));
    for bad in [
        LoaderOptions { batch: 0, ..LoaderOptions::eval(1) },
        LoaderOptions { max_bad_fraction: 1.5, ..LoaderOptions::eval(1) },
        LoaderOptions { max_bad_fraction: f64::NAN, ..LoaderOptions::eval(1) },
    ] {
        assert!(eval(&folder, &bad).is_err(), "{bad:?}");
    }
    let whole = LoaderOptions { batch: 9, order: Order::Sequential, ..options(1) };
    assert_eq!(eval(&folder, &whole).unwrap().next().unwrap().unwrap().len(), 4);
}

#[test]
fn a_loader_dropped_in_the_middle_stops_at_once() {
    let dir = photos(40);
    let folder = folder(dir.path(), Labels::Ignored);
    let settings = LoaderOptions { prefetch: 100, ..options(4) };
    let mut loader = train(&folder, &settings).unwrap();
    loader.next().unwrap().unwrap();
    let start = Instant::now();
    drop(loader);
    assert!(start.elapsed() < Duration::from_secs(1));
    // The threads held the folder too.
    assert_eq!(Arc::strong_count(&folder), 1);
}
