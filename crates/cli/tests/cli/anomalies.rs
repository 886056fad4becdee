//! `fcmae anomalies`: what does not look like normal pictures, and where.

use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage};

use crate::command::{Ran, command};
use crate::sources::archive;
use crate::trained::{Trained, contents};

const SIDE: u32 = 32;
/// Where the defect lies: six pixels from here.
const DEFECT: (u32, u32) = (19, 5);

/// A grating with some noise; with a defect, a black patch in it.
fn part(number: u32, defect: bool) -> RgbImage {
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let noise =
            (x * 7919 + y * 104_729 + number * 15_485_863).wrapping_mul(2_654_435_761) >> 28;
        let tone = (if x % 8 < 4 { 150 } else { 190 } + noise) as u8;
        let inside = |at: u32, from: u32| (from..from + 6).contains(&at);
        if defect && inside(x, DEFECT.0) && inside(y, DEFECT.1) {
            Rgb([10; 3])
        } else {
            Rgb([tone, tone, tone - 20])
        }
    })
}

fn draw(folder: &Path, numbers: std::ops::Range<u32>, defect: bool) {
    fs::create_dir_all(folder).unwrap();
    for number in numbers {
        part(number, defect).save(folder.join(format!("{number:03}.png"))).unwrap();
    }
}

/// Thirty normal pictures in `good`; in `new/ok` ten others, in `new/bad` five with a defect.
fn parts() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    draw(&folder.path().join("good"), 0..30, false);
    draw(&folder.path().join("new/ok"), 30..40, false);
    draw(&folder.path().join("new/bad"), 40..45, true);
    folder
}

/// The rows of the table: path, label, score, share.
fn rows(table: &str) -> Vec<(String, String, f32, Option<f64>)> {
    let mut lines = table.lines();
    assert_eq!(lines.next(), Some("path,label,score,normal_share"));
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let [path, label, score, share] = fields.as_slice() else { panic!("{line}") };
        let share = (!share.is_empty()).then(|| share.parse().unwrap());
        ((*path).to_owned(), (*label).to_owned(), score.parse().unwrap(), share)
    };
    lines.map(row).collect()
}

fn anomalies(normal: &Path, data: &Path, weights: &Path, more: &[&str]) -> Ran {
    let mut command = command(&[&"anomalies", &"--normal", &normal, &"--data", &data]);
    command.arg("--weights").arg(weights).args(more);
    Ran::of(command)
}

fn says(ran: &Ran, texts: &[&str]) {
    for text in texts {
        assert!(ran.stderr.contains(text), "`{text}`: {}", ran.stderr);
    }
}

#[test]
fn defects_come_first_and_sources_make_no_difference() {
    let trained = Trained::get();
    let folder = parts();
    let at = |name: &str| folder.path().join(name);
    let weights = trained.pretrained();
    let ran = anomalies(&at("good"), &at("new"), &weights, &["--normal-label", "ok"]).done();
    let found = rows(&ran.stdout);
    assert_eq!(found.len(), 15);
    assert!(found.is_sorted_by(|a, b| a.2 >= b.2));
    assert!(found[..5].iter().all(|row| row.1 == "bad"), "{}", ran.stdout);
    // None of thirty is as odd.
    assert!(found[..5].iter().all(|row| row.3 == Some(0.032_258)), "{}", ran.stdout);
    assert!(found[5..].iter().all(|row| row.1 == "ok" && row.3 > Some(0.033)), "{}", ran.stdout);
    says(
        &ran,
        &[
            "normal  30 pictures of 64 patches each, stage 3; 1,920 of 1,920 patches kept",
            "with 30 normal pictures, normal_share is never below 0.032",
            "AUROC 1.000 (95% interval 0.566 to 1.000), 5 anomalous pictures and 10 normal",
            "15 pictures: 5 with a normal_share of at most 5%",
        ],
    );

    // Archives, and a list.
    archive(&at("good"), &at("good.tar"));
    archive(&at("new"), &at("new.tar"));
    let tails = |table: &str| -> Vec<_> {
        let tail = |row: (String, String, f32, Option<f64>)| {
            let name = row.0.rsplit('/').next().unwrap().to_owned();
            (name, row.1, row.2, row.3)
        };
        rows(table).into_iter().map(tail).collect()
    };
    let mut list = "path,label\n".to_owned();
    for row in &found {
        list += &format!("{},{}\n", row.0, row.1);
    }
    fs::write(at("new.csv"), list).unwrap();
    for (normal, data) in [("good.tar", "new.tar"), ("good", "new.csv")] {
        let other = anomalies(&at(normal), &at(data), &weights, &["--normal-label", "ok"]).done();
        assert_eq!(tails(&other.stdout), tails(&ran.stdout), "{data}");
    }
    let noise =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/tests/fixtures/parquet/none.parquet");
    let ran = anomalies(&noise, &noise, &weights, &[]).done();
    says(&ran, &["are among the normal ones too, byte for byte"]);
}

#[test]
fn scores_follow_from_stage_patches_and_seed() {
    let trained = Trained::get();
    let folder = parts();
    let at = |name: &str| folder.path().join(name);
    // Of a classifier, by another stage, with few patches: other scores, from the seed alone.
    let few = |seed: &str, sampling: &str| {
        let ran = anomalies(
            &at("good"),
            &at("new"),
            &trained.finetuned(),
            &["--stage", "2", "--patches", "50", "--seed", seed, "--sampling", sampling],
        );
        ran.done().stdout
    };
    assert_eq!(few("1", "random"), few("1", "random"));
    assert_ne!(few("1", "random"), few("2", "random"));
    assert_ne!(few("1", "greedy"), few("1", "random"));
}

#[test]
fn heat_maps_are_hottest_where_the_defect_lies() {
    let trained = Trained::get();
    let folder = parts();
    let at = |name: &str| folder.path().join(name);
    let weights = trained.pretrained();
    let ran = anomalies(
        &at("good"),
        &at("new"),
        &weights,
        &[
            "--normal-label",
            "ok",
            "--stage",
            "1",
            "--out",
            at("found/here").to_str().unwrap(),
            "--maps",
            "all",
        ],
    )
    .done();
    let out = at("found/here");
    assert!(
        ran.stdout.contains("AUROC 1.000") && ran.stdout.contains("sheet.png"),
        "{}",
        ran.stdout
    );
    let found = rows(&fs::read_to_string(out.join("scores.csv")).unwrap());
    let maps: Vec<_> = contents(&out.join("maps")).into_iter().map(|(path, _)| path).collect();
    assert_eq!(maps.len(), 15);
    let mut calm = 0;
    for (map, row) in maps.iter().zip(&found) {
        let map_name = map.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(row.0.ends_with(&format!("{}.png", &map_name[6..])), "{map_name} {}", row.0);
        let map = image::open(map).unwrap().into_rgb8();
        // 32 pixels seven times, right of the picture and a gap, below the margin.
        let heat = image::imageops::crop_imm(&map, 8 + 224 + 4, 8, 224, 224).to_image();
        let colour =
            |pixel: &Rgb<u8>| pixel.0.iter().max().unwrap() - pixel.0.iter().min().unwrap();
        let coloured = heat.pixels().filter(|pixel| colour(pixel) > 0).count();
        if row.1 == "ok" {
            calm += usize::from(coloured == 0);
            continue;
        }
        // The brightest of plasma's colours, yellow, lies around the middle of what was pasted.
        let yellow: Vec<_> = heat.enumerate_pixels().filter(|(_, _, p)| colour(p) > 150).collect();
        assert!(yellow.len() > 100, "{}", yellow.len());
        let mean = |sum: u32| f64::from(sum) / yellow.len() as f64 / 7.0;
        let (x, y) = (
            mean(yellow.iter().map(|(x, ..)| x).sum()),
            mean(yellow.iter().map(|(_, y, _)| y).sum()),
        );
        let middle = (f64::from(DEFECT.0 + 3), f64::from(DEFECT.1 + 3));
        assert!((x - middle.0).abs() < 4.0 && (y - middle.1).abs() < 4.0, "{x} {y}");
        assert!(coloured < 224 * 224 / 2, "{coloured}");
    }
    // Nine of ten, about.
    assert!(calm >= 6, "{calm} of 10 normal pictures show no colour");
    let sheet = image::open(out.join("sheet.png")).unwrap();
    assert!(sheet.width() > 4 * 400 && sheet.height() > 4 * 224);

    let again = |maps: &str, out: &str| {
        anomalies(
            &at("good"),
            &at("new"),
            &weights,
            &["--out", at(out).to_str().unwrap(), "--maps", maps],
        )
    };
    again("3", "found/here").refused(2, &["found/here", "not empty", "--out"]);
    again("some", "other").refused(2, &["--maps", "some", "a number or all"]);
    again("2", "two").done();
    assert_eq!(contents(&at("two/maps")).len(), 2);
    again("0", "none").done();
    assert!(!at("none/maps").exists() && at("none/sheet.png").is_file());
}

#[test]
fn labels_say_which_pictures_are_normal() {
    let trained = Trained::get();
    let folder = parts();
    let at = |name: &str| folder.path().join(name);
    let run = |normal: &Path, data: &Path, label: &[&str]| {
        let label = [&["--normal-label"][..], label].concat();
        let more = if label.len() > 1 { label.as_slice() } else { &[] };
        anomalies(normal, data, &trained.pretrained(), more)
    };
    // One class of an archive.
    draw(&at("train/ok"), 0..20, false);
    draw(&at("train/bad"), 20..24, true);
    archive(&at("train"), &at("train.tar"));
    let ran = run(&at("train.tar"), &at("new"), &["ok"]).done();
    says(&ran, &["normal  20 of 24 pictures of --normal, by --normal-label", "AUROC 1.000"]);
    // Both classes: not told apart, and none is guessed.
    let ran = run(&at("train.tar"), &at("new"), &[]).done();
    says(
        &ran,
        &[
            "--normal has 2 labels, bad (4), ok (20): all are taken for normal",
            "no AUROC: say with --normal-label NAME which labels of --data are normal",
        ],
    );
    assert!(!ran.stderr.contains("AUROC 1"), "{}", ran.stderr);
    // The one label that both have, from a class folder or the folder's own name.
    fs::rename(at("train/bad"), at("apart")).unwrap();
    for normal in ["train", "train/ok"] {
        let ran = run(&at(normal), &at("new"), &[]).done();
        says(&ran, &["normal label  ok, which --normal and --data both have", "AUROC 1.000"]);
    }
    // A folder that is called good says nothing of one that is called ok.
    let ran = run(&at("good"), &at("new"), &[]).done();
    says(&ran, &["no AUROC: say with --normal-label NAME"]);
    // One kind alone.
    let ran = run(&at("good"), &at("new"), &["ok", "bad"]).done();
    says(&ran, &["no AUROC: all labelled pictures of --data are normal"]);
    let ran = run(&at("good"), &at("new/bad"), &["bad"]);
    ran.refused(2, &["--normal-label bad: no picture has this label", "neither"]);
    let ran = run(&at("train.tar"), &at("new"), &["god"]);
    ran.refused(2, &["--normal-label god", "the labels are bad, ok"]);

    // What is compared with itself.
    fs::copy(at("good/003.png"), at("new/ok/copy.png")).unwrap();
    let ran = run(&at("good"), &at("new"), &["ok"]).done();
    says(&ran, &["1 picture of --data is among the normal ones too, byte for byte, such as "]);
    let same = rows(&ran.stdout).pop().unwrap();
    assert!(same.0.ends_with("copy.png") && same.2 < 1e-3, "{same:?}");
    // What is left out of --normal is no copy.
    let ran = run(&at("train.tar"), &at("apart"), &["ok"]).done();
    assert!(!ran.stderr.contains("byte for byte"), "{}", ran.stderr);
}

#[test]
fn few_normal_pictures_work_and_what_cannot_be_compared_is_refused() {
    let trained = Trained::get();
    let folder = parts();
    let at = |name: &str| folder.path().join(name);
    let weights = trained.pretrained();
    let run = |normal: &Path, more: &[&str]| anomalies(normal, &at("new"), &weights, more);
    draw(&at("one"), 0..1, false);
    let ran = run(&at("one"), &["--out", at("one-out").to_str().unwrap()]).done();
    says(
        &ran,
        &["there is only one normal picture, and normal_share takes at least two: it is left out"],
    );
    let table = fs::read_to_string(at("one-out/scores.csv")).unwrap();
    assert!(rows(&table).iter().all(|row| row.3.is_none()), "{table}");
    draw(&at("two"), 0..2, false);
    let ran = run(&at("two"), &[]).done();
    says(&ran, &["with 2 normal pictures, normal_share is never below 0.333"]);

    run(&at("good"), &["--patches", "4"]).refused(2, &["--patches", "is 4: give 5 or more"]);
    run(&at("good"), &["--stage", "5"]).refused(2, &["--stage", "5"]);
    run(&at("good"), &["--maps", "5"]).refused(2, &["--out"]);
    run(&at("good"), &["--sampling", "best"]).refused(2, &["--sampling", "random or greedy"]);
    run(&at("missing"), &[]).refused(2, &["missing"]);

    // Pictures that cannot be read are told, and the others scored.
    fs::write(at("good/broken.png"), "no picture").unwrap();
    fs::write(at("new/ok/broken.png"), "no picture").unwrap();
    let ran = run(&at("good"), &[]).done();
    says(&ran, &["good/broken.png", "new/ok/broken.png", "normal  30 pictures"]);
    assert_eq!(rows(&ran.stdout).len(), 15);

    // Features that are no numbers.
    let exported = trained.finetuned().join("export/last/model.safetensors");
    let mut bytes = fs::read(&exported).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let large = 3e38_f32.to_le_bytes();
    bytes[header..].chunks_exact_mut(4).for_each(|value| value.copy_from_slice(&large));
    let bad = at("bad");
    fs::create_dir(&bad).unwrap();
    for entry in fs::read_dir(exported.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, bad.join(path.file_name().unwrap())).unwrap();
        }
    }
    fs::write(bad.join("model.safetensors"), bytes).unwrap();
    let ran = anomalies(&at("two"), &at("new"), &bad, &[]);
    ran.refused(1, &["none of 2 pictures of --normal can be used"]);
}
