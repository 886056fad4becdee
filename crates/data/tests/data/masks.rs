//! Masks among pictures.

use std::path::Path;

use fcmae_data::{Labels, PictureSet};
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, Luma, Rgb, RgbImage};

use crate::archive::Tar;
use crate::pictures::{encode, write};

/// A picture of many colours, each another.
fn photo(number: u32) -> RgbImage {
    RgbImage::from_fn(48, 40, |x, y| {
        let part = |n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8;
        Rgb([(x * 5) as u8, (y * 6) as u8, part(x + 48 * y + number)])
    })
}

/// Two values, with an edge.
fn mask(number: u32) -> image::GrayImage {
    image::GrayImage::from_fn(48, 40, |x, y| Luma([255 * u8::from(x + y > 20 + number % 30)]))
}

fn file(kind: &str, number: u32) -> Vec<u8> {
    match kind {
        "photo.jpg" => encode(photo(number), ImageFormat::Jpeg),
        "photo.png" => encode(photo(number), ImageFormat::Png),
        "mask.png" => encode(mask(number), ImageFormat::Png),
        "mask.jpg" => {
            let mut bytes = Vec::new();
            JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(&mask(number)).unwrap();
            bytes
        }
        other => panic!("{other}"),
    }
}

/// A folder of files, `NAME` for twelve numbers, each of a kind.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, kind) in files {
        for number in 0..12 {
            let name = name.replace("NAME", &format!("{number:04}"));
            write(&dir.path().join(name), &file(kind, number));
        }
    }
    dir
}

fn names(set: &PictureSet) -> String {
    let starts = set.samples.iter().filter(|s| s.path.to_str().unwrap().contains("0003"));
    starts.map(|s| s.path.to_str().unwrap()).collect::<Vec<_>>().join(" ")
}

/// Masks: folders beside those of their pictures are left out, and said.
#[test]
fn folders_of_masks_are_left_out() {
    for (files, expected) in [
        (
            &[("images/NAME.jpg", "photo.jpg"), ("masks/NAME.png", "mask.png")][..],
            "images/0003.jpg",
        ),
        (
            &[
                ("JPEGImages/NAME.jpg", "photo.jpg"),
                ("SegmentationClass/NAME.png", "mask.png"),
                ("SegmentationObject/NAME.png", "mask.png"),
            ],
            "JPEGImages/0003.jpg",
        ),
        (
            &[("train/img/NAME.png", "photo.png"), ("train/gt/NAME.png", "mask.png")],
            "train/img/0003.png",
        ),
        (
            &[("images/train/NAME.png", "photo.png"), ("labels/train/NAME.png", "mask.png")],
            "images/train/0003.png",
        ),
        (
            &[("imgs/img_NAME.jpg", "photo.jpg"), ("ann/mask_NAME.jpg", "mask.jpg")],
            "imgs/img_0003.jpg",
        ),
        (&[("x/NAME.jpg", "photo.jpg"), ("x_masks/NAME_mask.png", "mask.png")], "x/0003.jpg"),
        (&[("NAME.jpg", "photo.jpg"), ("masks/NAME.png", "mask.png")], "0003.jpg"),
        (&[("NAME.jpg", "photo.jpg"), ("NAME_mask.png", "mask.png")], "0003.jpg"),
        (&[("NAME.jpg", "photo.jpg"), ("NAME_mask_1.png", "mask.png")], "0003.jpg"),
    ] {
        let dir = tree(files);
        let set = PictureSet::open(dir.path(), Labels::Ignored).unwrap();
        assert_eq!((names(&set), set.len()), (expected.to_owned(), 12), "{files:?}");
        let left = 12 * (files.len() - 1);
        assert!(
            set.notes[0].starts_with(&format!("{left} files are left out, which are masks")),
            "{:?}",
            set.notes
        );
        assert_eq!(set.passed_over, left);
    }
}

/// Masks: they are no class beside their pictures, and none of a class's pictures.
#[test]
fn masks_are_no_class() {
    for (pictures, masks) in
        [("images", "masks"), ("img", "gt"), ("JPEGImages", "SegmentationClass")]
    {
        let files = [format!("{pictures}/NAME.jpg"), format!("{masks}/NAME.png")];
        let dir = tree(&[(&files[0], "photo.jpg"), (&files[1], "mask.png")]);
        let error = PictureSet::open(dir.path(), Labels::Required).unwrap_err().to_string();
        assert!(error.contains(&format!("{pictures} and {masks} in ")), "{error}");
        assert!(error.contains("masks are not classes"), "{error}");
    }
    for mask in ["NAME_mask.png", "masks/NAME.png"] {
        let picture = if mask.contains('/') { "images/NAME.png" } else { "NAME.png" };
        let files: Vec<_> = ["benign", "normal"]
            .iter()
            .flat_map(|class| {
                [
                    (format!("{class}/{picture}"), "photo.png"),
                    (format!("{class}/{mask}"), "mask.png"),
                ]
            })
            .collect();
        let files: Vec<_> = files.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
        let dir = tree(&files);
        let set = PictureSet::open(dir.path(), Labels::Required).unwrap();
        assert_eq!(
            (set.classes.join(" "), set.class_counts()),
            ("benign normal".to_owned(), vec![12, 12])
        );
    }
}

/// Masks: of faces, they are a class; what is called so and is none is used, and told where it is doubtful.
#[test]
fn what_is_called_like_masks_and_is_none_stays() {
    let faces = tree(&[("mask/NAME.jpg", "photo.jpg"), ("no_mask/NAME.jpg", "photo.jpg")]);
    for labels in [Labels::Required, Labels::Ignored] {
        let set = PictureSet::open(faces.path(), labels).unwrap();
        assert_eq!((set.len(), set.notes.len()), (24, 0), "{:?}", set.notes);
    }
    // Drawings of two classes.
    let drawn = tree(&[("masks/NAME.png", "mask.png"), ("hats/NAME.png", "mask.png")]);
    let set = PictureSet::open(drawn.path(), Labels::Required).unwrap();
    assert_eq!((set.len(), set.notes.len()), (24, 0), "{:?}", set.notes);
    // Carnival: other names.
    let others = tree(&[("masks/m NAME.png", "mask.png"), ("images/i-1NAME.png", "photo.png")]);
    let set = PictureSet::open(others.path(), Labels::Required).unwrap();
    assert_eq!((set.len(), set.notes.len()), (24, 0), "{:?}", set.notes);
    let doubtful = tree(&[("images/NAME.jpg", "photo.jpg"), ("labels/NAME.png", "photo.png")]);
    let set = PictureSet::open(doubtful.path(), Labels::Ignored).unwrap();
    assert_eq!(set.len(), 24);
    assert!(set.notes[0].starts_with("12 files are named like masks"), "{:?}", set.notes);
}

/// Masks: in archives likewise, and labels of descriptions stay with their pictures.
#[test]
fn folders_of_masks_in_archives_are_left_out() {
    let mut tar = Tar::default();
    for number in 0..12 {
        tar = tar
            .file(&format!("a_masks/{number:04}.png"), &file("mask.png", number))
            .file(&format!("a/{number:04}.jpg"), &file("photo.jpg", number))
            .file(
                &format!("a/{number:04}.json"),
                format!("{{\"label\": \"{}\"}}", number % 3).as_bytes(),
            );
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set.tar");
    write(&path, &tar.end().0);
    let open = |labels: Labels<'_>, path: &Path| PictureSet::open(path, labels);
    let set = open(Labels::Ignored, &path).unwrap();
    assert_eq!((set.len(), names(&set)), (12, "a/0003.jpg".to_owned()));
    let error = open(Labels::Required, &path).unwrap_err().to_string();
    assert!(error.contains("a and a_masks in "), "{error}");
}
