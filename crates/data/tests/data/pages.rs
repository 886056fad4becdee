//! Files of several pages: each page a picture of its own, from wherever the file lies.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fcmae_data::{
    Copies, Grouping, Input, Labels, Limits, Opening, Pages, PictureSet, PixelFormat, Samples,
    Statistics,
};
use serde_json::Value;

use crate::deep::deep;
use crate::odd::{Field, GREY, Page, tiff};
use crate::pictures::write;

fn fixtures() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pages"))
}

fn open(root: &Path, labels: Labels<'_>, pages: Pages) -> PictureSet {
    PictureSet::open(root, Opening { labels, pages, ..Opening::default() }).unwrap()
}

fn all(root: &Path) -> PictureSet {
    open(root, Labels::Ignored, Pages::All)
}

fn names(set: &PictureSet) -> Vec<String> {
    set.samples.iter().map(|sample| sample.path.display().to_string()).collect()
}

/// Channels of a page, the mean of its values, and their mean with places.
type Found = (u32, [f64; 2]);

/// The pages of each file.
fn expected() -> Vec<(String, Vec<Found>)> {
    let index = std::fs::read(fixtures().join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let page = |page: &Value| {
        let number = |at: usize| page[at].as_f64().unwrap();
        (number(0) as u32, [number(1), number(2)])
    };
    let pages = |pages: &Value| pages.as_array().unwrap().iter().map(page).collect();
    index.as_object().unwrap().iter().map(|(name, found)| (name.clone(), pages(found))).collect()
}

fn means(values: &[f32]) -> [f64; 2] {
    let count = values.len() as f64;
    let with_places = values.iter().enumerate().map(|(i, &v)| f64::from(v) * (i % 97) as f64);
    [values.iter().map(|&v| f64::from(v)).sum::<f64>() / count, with_places.sum::<f64>() / count]
}

/// Checks the pages of a file `name` in a set against what tifffile or Pillow reads.
fn check(set: &PictureSet, name: &str, pages: &[Found]) {
    for (number, &(channels, figures)) in pages.iter().enumerate() {
        let called = format!("{name}#{}", number + 1);
        let index = set.samples.iter().position(|s| s.path == Path::new(&called));
        let index = index.unwrap_or_else(|| panic!("{called} of {:?}", names(set)));
        let picture = set.picture(index, deep(channels), &Limits::default(), None);
        let picture = picture.unwrap_or_else(|error| panic!("{called}: {error}"));
        assert!(picture.remarks().is_empty(), "{called}: {:?}", picture.remarks());
        let found = means(picture.deep_values());
        for (found, expected) in found.iter().zip(figures) {
            assert!(
                (found - expected).abs() < 5e-5 * (1.0 + expected.abs()),
                "{called}: {found} {expected}"
            );
        }
    }
}

#[test]
fn every_page_has_tifffile_s_values_from_folder_list_archive_and_parquet() {
    let folder = tempfile::tempdir().unwrap();
    let files = expected();
    let (mut list, archive) = ("path\n".to_owned(), folder.path().join("all.tar"));
    let mut tar = tar::Builder::new(std::fs::File::create(&archive).unwrap());
    for (name, _) in &files {
        let to = folder.path().join("folder").join(name);
        write(&to, &std::fs::read(fixtures().join(name)).unwrap());
        list += &format!("folder/{name}\n");
        tar.append_path_with_name(&to, name).unwrap();
    }
    tar.finish().unwrap();
    let listed = folder.path().join("list.csv");
    write(&listed, list.as_bytes());
    let count: usize = files.iter().map(|(_, pages)| pages.len()).sum();
    let mut fingerprints = BTreeSet::new();
    for (root, before) in [(folder.path().join("folder"), ""), (archive, ""), (listed, "folder/")] {
        let set = all(&root);
        assert_eq!((set.len(), &set.skipped), (count, &vec![]), "{}", root.display());
        for (name, pages) in &files {
            check(&set, &format!("{before}{name}"), pages);
        }
        let text = format!("{count} pages of {} files are pictures of their own", files.len());
        assert!(set.notes.iter().any(|note| note.starts_with(&text)), "{:?}", set.notes);
        if before.is_empty() {
            fingerprints.insert(set.fingerprint());
        }
    }
    assert_eq!(fingerprints.len(), 1, "the same pictures under the same names");
    #[cfg(feature = "parquet")]
    {
        let set = all(&fixtures().join("stacks.parquet"));
        assert_eq!(set.len(), 8);
        for (name, pages) in files.iter().filter(|(n, _)| n == "series.tif" || n == "scans.tif") {
            check(&set, name, pages);
        }
    }
}

#[test]
fn without_the_setting_the_first_page_is_used_and_the_others_are_told() {
    let set = open(&fixtures(), Labels::Ignored, Pages::First);
    assert_eq!(
        set.fingerprint(),
        PictureSet::open(fixtures(), Labels::Ignored).unwrap().fingerprint()
    );
    assert_eq!(set.len(), expected().len());
    let found = Statistics::of(&set, PixelFormat::from(3), None, 0, &Limits::default()).unwrap();
    let pages = found.remarks.iter().find(|remark| remark.kind == "pages").unwrap();
    assert!(
        pages.text.ends_with("; data.pages=all uses each as a picture of its own"),
        "{pages:?}"
    );
    // A set without stacks is the same either way, its notes included.
    let plain = tempfile::tempdir().unwrap();
    write(&plain.path().join("a.png"), &crate::pictures::png(8, 8));
    write(&plain.path().join("b.tif"), &tiff(vec![page(1)]));
    let [first, each] =
        [Pages::First, Pages::All].map(|pages| open(plain.path(), Labels::Ignored, pages));
    assert_eq!((first.fingerprint(), &first.notes), (each.fingerprint(), &each.notes));
    assert_eq!(names(&each), ["a.png", "b.tif"]);
}

fn page(value: u8) -> Page {
    Page::new([8, 8], 8, 1, GREY, (0..64).map(|i| i ^ value).collect())
}

/// Classes of stacks and of a single picture each.
fn stacks(folder: &Path, files: u8, pages: u8) {
    for class in ["a", "b"] {
        for file in 0..files {
            let pages = (0..pages).map(|number| page(16 * file + number)).collect();
            write(&folder.join(format!("{class}/film{file}.tif")), &tiff(pages));
        }
        write(&folder.join(format!("{class}/single.tif")), &tiff(vec![page(255)]));
    }
}

#[test]
fn pages_of_a_file_stand_on_one_side_of_a_split_together() {
    let folder = tempfile::tempdir().unwrap();
    stacks(folder.path(), 9, 12);
    let set = open(folder.path(), Labels::Required, Pages::All);
    assert_eq!(set.len(), 2 * (9 * 12 + 1));
    assert_eq!(&names(&set)[..3], ["a/film0.tif#1", "a/film0.tif#2", "a/film0.tif#3"]);
    assert_eq!(names(&set)[10], "a/film0.tif#11", "in the order of the pages");
    let files = |set: &PictureSet| -> BTreeSet<PathBuf> {
        set.samples.iter().map(|sample| sample.file().to_owned()).collect()
    };
    for seed in 0..5 {
        // The last pattern finds another name for each page, were the page's number a part of the path.
        for pattern in [None, Some("film[0-9]|single"), Some("[^/]+$")] {
            let (rest, held_out) = match pattern {
                None => set.split(0.2, seed).unwrap(),
                Some(pattern) => {
                    let groups = set
                        .grouped(&Grouping::parse(pattern).unwrap(), &Copies::default())
                        .unwrap();
                    set.split_grouped(0.2, seed, &groups).unwrap()
                }
            };
            assert!(files(&rest).is_disjoint(&files(&held_out)), "{pattern:?} {seed}");
            assert_eq!(rest.len() + held_out.len(), set.len());
            let counts = held_out.class_counts();
            assert!(counts.iter().all(|&count| (12..=36).contains(&count)), "{counts:?}");
        }
    }
    let (one, other) = (set.split(0.2, 3).unwrap(), set.split(0.2, 3).unwrap());
    assert_eq!(one.0.fingerprint(), other.0.fingerprint());
    // Recorded, and found again.
    let table = folder.path().join("split.csv");
    fcmae_data::Split::new(&set, &one.0, Some(&one.1)).unwrap().write(&table).unwrap();
    let read = fcmae_data::Split::read(&table).unwrap();
    let again = set.select(&read, fcmae_data::Part::HeldOut).unwrap();
    assert_eq!(again.fingerprint(), one.1.fingerprint());
    let first = open(folder.path(), Labels::Required, Pages::First);
    assert!(first.select(&read, fcmae_data::Part::HeldOut).is_err());
    // One file a class leaves nothing to hold out.
    let few = tempfile::tempdir().unwrap();
    for class in ["a", "b"] {
        let pages = (0..5).map(page).collect();
        write(&few.path().join(format!("{class}/film.tif")), &tiff(pages));
    }
    let set = open(few.path(), Labels::Required, Pages::All);
    let error = set.split(0.2, 0).unwrap_err().to_string();
    assert!(error.contains("10 pictures in 2 groups by file"), "{error}");
}

/// Copies: files of pages are compared whole, wherever they lie.
#[test]
fn copies_of_files_of_pages_are_found_by_all_pages() {
    let folder = tempfile::tempdir().unwrap();
    // Large enough that the last page is not in the middle.
    let large = |value: u8| Page::new([64, 64], 8, 1, GREY, vec![value; 4096]);
    let film = |last: u8| tiff(vec![large(0), large(1), large(2), large(last)]);
    let files = [("a/film.tif", 3), ("a/other.tif", 3), ("b/film.tif", 3), ("b/first.tif", 4)];
    for (name, last) in files {
        write(&folder.path().join("files").join(name), &film(last));
    }
    // The middle alone differs.
    let another = tiff([0, 9, 2, 3].map(large).into());
    write(&folder.path().join("files/b/second.tif"), &another);
    let root = folder.path().join("files");
    let archive = folder.path().join("all.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&archive).unwrap());
    tar.append_dir_all(".", &root).unwrap();
    tar.finish().unwrap();
    let found = |set: &PictureSet| -> Vec<Vec<String>> {
        let names = names(set);
        let copies = set.copies(&Limits::default());
        copies.sets().iter().map(|of| of.iter().map(|&at| names[at].clone()).collect()).collect()
    };
    let expected = [["a/film.tif#1", "a/other.tif#1", "b/film.tif#1"]];
    assert_eq!(found(&all(&root)), expected);
    assert_eq!(found(&all(&archive)), expected);
    // Of one name, in two folders: their pages do not stand beside each other.
    let roots = [root.join("a"), root.join("b")];
    let both =
        PictureSet::open_all(&roots, Opening { pages: Pages::All, ..Opening::default() }).unwrap();
    assert_eq!(found(&both), [["film.tif#1", "film.tif#1", "other.tif#1"]]);
    // Between two sets.
    let [one, other] = [all(&roots[0]), all(&roots[1])];
    let (shared, passed_over) = other.copies_of(&one, &Limits::default());
    let shared: Vec<String> = shared.into_iter().map(|at| names(&other)[at].clone()).collect();
    assert_eq!(shared, ["film.tif#1", "film.tif#2", "film.tif#3", "film.tif#4"]);
    assert_eq!(passed_over, 0);
    #[cfg(feature = "parquet")]
    {
        let stored = all(&fixtures().join("stacks.parquet"));
        let (shared, passed_over) = stored.copies_of(&all(&fixtures()), &Limits::default());
        assert_eq!((shared, passed_over), ((0..8).collect(), 0));
    }
}

#[test]
fn listing_of_pages_is_interrupted_and_damage_is_told() {
    let folder = tempfile::tempdir().unwrap();
    stacks(folder.path(), 3, 4);
    let files = 8;
    let mut told = 0;
    let mut look = |count: usize| {
        told = count;
        // Listed, and asked to end while pages are counted.
        count <= files
    };
    let error = PictureSet::open(
        folder.path(),
        Opening { pages: Pages::All, listing: Some(&mut look), ..Opening::default() },
    );
    // Whether it is told within a tenth of a second is the clock's to say.
    assert!(error.is_ok() || told > files);

    let whole = tiff((0..4).map(page).collect());
    let folder = tempfile::tempdir().unwrap();
    // The third directory is beyond the end; nothing of a picture; a loop.
    write(&folder.path().join("cut.tif"), &whole[..2 * whole.len() / 4 + 20]);
    write(&folder.path().join("none.tif"), b"II*\0\xFF\0\0\0");
    write(&folder.path().join("text.tif"), b"this is no picture");
    let mut looped = tiff(vec![page(1), page(2)]);
    let at = looped.len() - 64 - 4;
    looped[at..at + 4].copy_from_slice(&8u32.to_le_bytes());
    write(&folder.path().join("loop.tif"), &looped);
    let set = all(folder.path());
    let expected = ["cut.tif#1", "cut.tif#2", "loop.tif#1", "loop.tif#2", "none.tif", "text.tif"];
    assert_eq!(names(&set), expected);
    assert_eq!(set.skipped.len(), 2, "{:?}", set.skipped);
    for skip in &set.skipped {
        assert_eq!(skip.reason, "its list of pages is damaged; 2 of its pages are used");
    }
    let found = Statistics::of(&set, 1, None, 0, &Limits::default()).unwrap();
    assert_eq!((found.pictures, found.skipped.len()), (4, 2), "{:?}", found.skipped);
    // Pages that are told of, and are not there.
    let text = "ImageJ=1.53t\nimages=50\nframes=50\n".to_owned();
    let first = page(0).with(270, Field::Text(text));
    write(&folder.path().join("cut.tif"), &tiff(vec![first, page(1)]));
    let told = all(folder.path()).skipped.remove(0).reason;
    assert_eq!(told, "it tells of 50 pages, and has fewer; 2 of its pages are used");
    // One that is left is one of several, and nothing more is said of it.
    write(&folder.path().join("cut.tif"), &whole[..whole.len() / 4 + 20]);
    let set = all(folder.path());
    assert_eq!(names(&set)[..2], ["cut.tif#1", "loop.tif#1"]);
    assert!(set.picture(0, 1.into(), &Limits::default(), None).unwrap().remarks().is_empty());
}

#[test]
fn a_page_is_refused_by_its_own_size_and_a_changed_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.tif");
    write(&path, &tiff((0..4).map(page).collect()));
    let set = all(folder.path());
    let read = |limits: &Limits| set.picture(2, 1.into(), limits, None).map_err(|e| e.to_string());
    assert_eq!(read(&Limits::default()).unwrap().pixels()[..3], [2, 3, 0]);
    let error = read(&Limits::of_pixels(63)).unwrap_err();
    assert!(error.contains("set data.max_pixels to 64 or more"), "{error}");
    // The file is larger than what is allowed, and the page is not.
    let bytes = std::fs::metadata(&path).unwrap().len();
    let limits = Limits { bytes: bytes / 2, ..Limits::default() };
    assert!(read(&limits).is_ok());
    write(&path, &tiff((0..3).map(page).collect()));
    assert!(read(&Limits::default()).unwrap_err().contains("changed since"));
}

#[test]
fn a_file_given_by_itself_is_its_pages_where_they_are_asked_for() {
    let path = fixtures().join("mixed.tif");
    let pages = Input::of_file(&path, Pages::All);
    let called: Vec<String> = pages.iter().map(|page| page.name().display().to_string()).collect();
    let name = path.display();
    assert_eq!(called, [1, 2, 3].map(|number| format!("{name}#{number}")));
    assert_eq!(Input::of_file(&path, Pages::First).len(), 1);
    assert_eq!(Input::of_file(&fixtures().join("index.json"), Pages::All).len(), 1);
    let inputs: fcmae_data::Inputs = pages.into_iter().collect();
    let sizes: Vec<[u32; 2]> = (0..3)
        .map(|index| {
            let picture = inputs.picture(index, deep(1), &Limits::default(), None).unwrap();
            [picture.width(), picture.height()]
        })
        .collect();
    assert_eq!(sizes, [[12, 8], [6, 10], [5, 7]]);
}

/// A reduced copy before the picture; tifffile and rasterio read either by its number.
#[test]
fn a_thumbnail_in_front_is_not_the_picture() {
    let thumbnail = || Page::new([2, 2], 8, 1, GREY, vec![9; 4]).with(254, Field::Long(vec![1]));
    let bytes = tiff(vec![thumbnail(), page(7)]);
    let picture = fcmae_data::decode::decode(&bytes, 1, &Limits::default()).unwrap();
    assert_eq!((picture.width(), picture.pixels()[0], picture.remarks()), (8, 7, &[][..]));
    // Alone it is the picture.
    let alone = fcmae_data::decode::decode(&tiff(vec![thumbnail()]), 1, &Limits::default());
    assert_eq!(alone.unwrap().width(), 2);
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("a.tif"), &tiff(vec![thumbnail(), page(7), page(8)]));
    let set = all(folder.path());
    assert_eq!(names(&set), ["a.tif#1", "a.tif#2"]);
    let first = |index| set.picture(index, 1.into(), &Limits::default(), None).unwrap().pixels()[0];
    assert_eq!([first(0), first(1)], [7, 8]);
}
