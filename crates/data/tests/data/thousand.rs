//! A thousand files as they lie in real folders: of every kind, five in a hundred of no use.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use fcmae_data::sampler::Order;
use fcmae_data::{
    DataError, Labels, Loader, LoaderOptions, Normalization, PictureSet, RandomResizedCrop,
    Skipped, Transform,
};

use crate::loader::hash;
use crate::pictures::{bad_kinds, good_kinds, jpeg, with_orientation, write};

/// All entries, and those of no use among them.
const ENTRIES: usize = 1000;
const BAD: usize = 50;

/// What was written.
struct Thousand {
    dir: tempfile::TempDir,
    /// Every entry that is no picture, and how the reason for leaving it out may begin.
    bad: BTreeMap<PathBuf, &'static [&'static str]>,
    /// Those that a folder's listing shows to be none; the others have to be read.
    listed: usize,
}

impl Thousand {
    fn write() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let mut good = 0;
        let mut add = |path: PathBuf, bytes: &[u8]| {
            write(&path, bytes);
            good += 1;
        };
        for (name, bytes) in good_kinds() {
            add(at("odd").join(name), &bytes);
        }
        for turn in 1..=8 {
            add(at(&format!("odd/turn {turn}.jpg")), &with_orientation(&jpeg(20, 14), turn));
        }
        add(at("odd").join(OsStr::from_bytes(b"\xff\xfe.jpg")), &jpeg(20, 14));
        let plain = ENTRIES - BAD - good;
        for i in 0..plain as u32 {
            write(&at(&format!("plain/{i:03}.jpg")), &jpeg(16 + i % 9, 15 + i % 7));
        }

        let mut bad = BTreeMap::new();
        for copy in ["first", "second"] {
            for (name, bytes) in bad_kinds() {
                let reasons = match name.as_str() {
                    "empty.jpg" => &["the file is empty"][..],
                    "text.png" | "noise.webp" | "two bytes.jpg" => &["not a picture"],
                    // Where a header is cut, it may read as a damaged one.
                    _ => &["cut short", "damaged"],
                };
                let path = at("bad").join(copy).join(name);
                write(&path, &bytes);
                bad.insert(path, reasons);
            }
        }
        for name in [&b"new\nline {\"a\": 1}.jpg"[..], b"\xc3\x28\xff.png"] {
            let path = at("bad").join(OsStr::from_bytes(name));
            write(&path, b"text");
            bad.insert(path, &["not a picture"]);
        }
        let to_read = bad.len();
        for i in 0..3 {
            let folder = at(&format!("bad/folder {i}.jpg"));
            write(&folder.join("inside.jpg"), &jpeg(8, 8));
            bad.insert(folder, &["a folder named like a picture"]);
            let fifo = at(&format!("bad/fifo {i}.png"));
            assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
            bad.insert(fifo, &["not a regular file"]);
        }
        for (name, leads) in
            [("itself.jpg", "itself.jpg"), ("there.jpg", "back.jpg"), ("back.jpg", "there.jpg")]
        {
            symlink(leads, at("bad").join(name)).unwrap();
            bad.insert(at("bad").join(name), &["cannot be opened"]);
        }
        symlink("..", at("bad/up")).unwrap();
        bad.insert(at("bad/up"), &["link to a folder it lies in"]);
        assert_eq!(bad.len(), BAD);
        let kinds: BTreeSet<_> = bad.keys().map(|path| path.file_name().unwrap()).collect();
        assert!(kinds.len() + good >= 50, "{} and {good} kinds", kinds.len());
        Self { dir, listed: BAD - to_read, bad }
    }

    fn open(&self) -> Arc<PictureSet> {
        Arc::new(PictureSet::open(self.dir.path(), Labels::Ignored).unwrap())
    }

    /// Checks a run's list against what was written, line by line.
    fn check(&self, set: &PictureSet, of_loader: Vec<Skipped>) {
        let skipped: Vec<Skipped> = set.skipped.iter().cloned().chain(of_loader).collect();
        for skip in &skipped {
            let reasons = self.bad.get(&skip.path).unwrap_or_else(|| panic!("{skip:?} is usable"));
            let known = reasons.iter().any(|reason| skip.reason.starts_with(reason));
            assert!(known && !skip.reason.contains('\n'), "{skip:?}, not {reasons:?}");
        }
        let lines: BTreeSet<String> =
            skipped.iter().map(|skip| serde_json::to_string(skip).unwrap()).collect();
        assert_eq!((skipped.len(), lines.len()), (BAD, BAD), "each is listed, and once");
        assert!(lines.iter().all(|line| line.lines().count() == 1), "{lines:?}");
    }
}

fn loader(set: &Arc<PictureSet>, options: &LoaderOptions) -> Loader {
    let transform = Transform::Train(RandomResizedCrop::new(8, 12));
    let normalization = Normalization::imagenet(3).unwrap();
    Loader::new(Arc::clone(set), transform, normalization, options).unwrap()
}

/// Faults 12 and 14: a run over 1,000 files of which 50 are of no use ends, its list of what was left
/// out is exact, and batches and list are the same for 0, 1, 2 and 4 workers.
#[test]
fn a_run_over_a_thousand_files_leaves_out_what_is_no_picture_and_lists_it() {
    let thousand = Thousand::write();
    let set = thousand.open();
    assert_eq!(set.len(), ENTRIES - thousand.listed);
    assert_eq!(set.skipped.len(), thousand.listed);
    let mut seen = Vec::new();
    for workers in [0, 1, 2, 4] {
        let options = LoaderOptions { workers, ..LoaderOptions::eval(32) };
        let mut loader = loader(&set, &options);
        let batches: Vec<_> = loader.by_ref().map(Result::unwrap).collect();
        assert_eq!(batches.iter().map(|batch| batch.len()).sum::<usize>(), ENTRIES - BAD);
        thousand.check(&set, loader.skipped());
        let hashes: Vec<_> = batches.iter().map(hash).collect();
        seen.push((hashes, loader.skipped()));
    }
    assert!(seen.iter().all(|one| *one == seen[0]));

    // Shuffled, every epoch leaves out what fills no batch; three epochs see all.
    let mut seen = Vec::new();
    for workers in [0, 1, 2, 4] {
        let options = LoaderOptions { workers, ..LoaderOptions::train(32, 5) };
        let mut loader = loader(&set, &options);
        let steps = 3 * loader.batches_per_epoch() as usize;
        let hashes: Vec<_> =
            loader.by_ref().take(steps).map(|batch| hash(&batch.unwrap())).collect();
        assert_eq!(hashes.len(), steps);
        thousand.check(&set, loader.skipped());
        seen.push((hashes, loader.skipped()));
    }
    assert!(seen.iter().all(|one| *one == seen[0]));
}

/// Fault 12: above the allowed share of bad files loading stops, at the same batch for any number of
/// workers, and all that were found are listed.
#[test]
fn above_the_allowed_share_a_run_over_a_thousand_files_stops_with_the_list() {
    let thousand = Thousand::write();
    let set = thousand.open();
    let bad = BAD - thousand.listed;
    // Together with those that could not be listed.
    let share = |bad: usize| (bad + set.lost) as f64 / (set.len() + set.lost) as f64;
    let mut ends = Vec::new();
    for workers in [0, 1, 2, 4] {
        let run = |order, max_bad_fraction| {
            let options =
                LoaderOptions { workers, order, max_bad_fraction, ..LoaderOptions::train(32, 5) };
            loader(&set, &options)
        };
        assert!(run(Order::Sequential, share(bad)).all(|batch| batch.is_ok()));
        for order in [Order::Sequential, Order::Shuffled] {
            let mut loader = run(order, share(bad - 1));
            let at = loader.by_ref().position(|batch| batch.is_err()).unwrap();
            assert!(loader.next().is_none(), "nothing comes after the error");
            thousand.check(&set, loader.skipped());
            // The same once more, for the message.
            let error = run(order, share(bad - 1)).find_map(Result::err).unwrap();
            assert!(matches!(error, DataError::TooManyBad { .. }), "{error}");
            let text = error.to_string();
            assert!(text.contains(&format!("{bad} of {}", set.len())), "{text}");
            assert!(
                text.contains("raise `data.max_bad_fraction`") && !text.contains('\n'),
                "{text}"
            );
            ends.push((order, at, text));
        }
    }
    for end in &ends[2..] {
        let first = ends.iter().find(|first| first.0 == end.0).unwrap();
        assert_eq!(end, first);
    }
}
