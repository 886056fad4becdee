#![allow(clippy::unwrap_used)]
use std::collections::{BTreeMap, BTreeSet};

use super::drawings::SIDE;
use super::*;

fn family_of<'a>(families: &'a [Vec<&'a str>], emoji: &str) -> &'a [&'a str] {
    families.iter().find(|family| family.contains(&emoji)).expect("a drawn emoji")
}

#[test]
fn keys_forget_gender_and_direction_only() {
    for (a, b) in [
        ("🏃", "🏃‍♀️"),
        ("🏃‍♂️", "🏃‍♀️‍➡️"),
        ("👨‍🚀", "👩‍🚀"),
        ("🧑‍🦽", "👩‍🦽‍➡️"),
        ("👨‍👩‍👧‍👦", "👩‍👦"),
        ("🧑‍🧑‍🧒", "👪"),
        ("👨‍❤️‍👨", "👩‍❤️‍👨"),
    ] {
        assert_eq!(kinship::key(a), kinship::key(b), "{a} {b}");
    }
    for (a, b) in [
        ("🏃", "🚶"),
        ("👨‍🚀", "👨‍🚒"),
        ("♀️", "♂️"),
        ("➡️", "⬅️"),
        ("👨‍🦰", "👨‍🦳"),
        ("👨", "👶"),
        ("🇫🇷", "🇩🇪"),
        ("1️⃣", "2️⃣"),
        ("❤️‍🔥", "❤️"),
    ] {
        assert_ne!(kinship::key(a), kinship::key(b), "{a} {b}");
    }
}

#[test]
fn families_hold_what_is_drawn_alike_and_not_more() {
    let drawings = drawings().unwrap();
    let indices = kinship::families(&drawings);
    assert_eq!(indices.iter().map(Vec::len).sum::<usize>(), drawings.len());
    let families: Vec<Vec<&str>> = indices
        .iter()
        .map(|family| family.iter().map(|&i| drawings[i].emoji.as_str()).collect())
        .collect();
    for together in [
        &["🏃", "🏃‍♂️", "🏃‍♀️‍➡️"][..],
        &["🤴", "👸", "🫅"],
        &["👭", "👫", "🧑‍🤝‍🧑"],
        &["💏", "👨‍❤️‍💋‍👨"],
        &["👪", "👩‍👦", "🧑‍🧒‍🧒"],
        &["🇳🇴", "🇧🇻", "🇸🇯"],
        &["🇺🇸", "🇺🇲"],
        &["↖️", "↗️"],
        &["🌘", "🌒"],
        &["🔍", "🔎"],
        &["🕐", "🕧"],
        &["🔒", "🔓"],
    ] {
        let family = family_of(&families, together[0]);
        assert!(together.iter().all(|emoji| family.contains(emoji)), "{together:?}: {family:?}");
    }
    for apart in [["🇫🇷", "🇩🇪"], ["🐱", "🐶"], ["😀", "😢"], ["🏃", "🚶"], ["1️⃣", "7️⃣"]]
    {
        assert!(!family_of(&families, apart[0]).contains(&apart[1]), "{apart:?}");
    }
    let largest = families.iter().map(Vec::len).max().unwrap();
    assert!(largest <= 30, "a chain of likenesses ran away: {largest}");
}

fn pictures(side: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for class in fs::read_dir(side).unwrap() {
        for file in fs::read_dir(class.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.strip_prefix(side).unwrap().to_str().unwrap().to_owned();
            found.insert(name, fs::read(path).unwrap());
        }
    }
    found
}

#[test]
fn a_folder_of_nine_classes_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let summary = write_emoji(dir.path(), 0.2, 7).unwrap();
    let (train, test) = summary.pictures();
    assert_eq!(summary.classes.len(), 9);
    assert!(train + test > 1900, "{summary:?}");
    for class in &summary.classes {
        let share = class.test as f64 / (class.train + class.test) as f64;
        assert!((share - 0.2).abs() < 0.01, "{class:?}");
    }

    let (seen, held) = (pictures(&dir.path().join("train")), pictures(&dir.path().join("test")));
    assert_eq!((seen.len(), held.len()), (train, test), "file names are unique in their class");
    assert!(seen.keys().all(|name| !held.contains_key(name)));
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-/.".contains(c);
    assert!(seen.keys().chain(held.keys()).all(|name| name.chars().all(plain)));
    for (name, png) in seen.iter().chain(&held).step_by(97) {
        let picture = image::load_from_memory(png).unwrap();
        assert_eq!((picture.width(), picture.height()), (SIDE, SIDE), "{name}");
        assert_eq!(picture.color(), image::ColorType::Rgb8, "{name}");
    }
    let face = seen.iter().chain(&held).find(|(name, _)| name.ends_with("/grinning-face.png"));
    let face = image::load_from_memory(face.unwrap().1).unwrap().into_rgb8();
    assert_eq!(face.get_pixel(0, 0).0, [255; 3]);
    assert_eq!(face.get_pixel(36, 10).0, [255, 204, 77], "Twemoji's yellow, #FFCC4D");

    // No picture is on both sides, however it is named.
    let bytes: BTreeSet<&Vec<u8>> = seen.values().collect();
    assert!(held.values().all(|png| !bytes.contains(png)));
    let runners: Vec<bool> = ["person", "man", "woman"]
        .map(|who| held.contains_key(&format!("people-and-body/{who}-running.png")))
        .to_vec();
    assert!(runners.iter().all(|&held| held == runners[0]), "{runners:?}");

    let credits = fs::read_to_string(dir.path().join("CREDITS.txt")).unwrap();
    assert!(credits.contains("CC BY 4.0") && credits.contains("Twitter, Inc"));

    // What is there is never mixed with another split.
    let error = write_emoji(dir.path(), 0.2, 8).unwrap_err().to_string();
    assert!(error.contains("not empty"), "{error}");
}

#[test]
fn the_split_follows_the_seed() {
    let drawings = drawings().unwrap();
    let split = |seed| choose_tested(&drawings, 0.2, seed);
    assert_eq!(split(1), split(1));
    assert_ne!(split(1), split(2));
}

#[test]
fn shares_that_leave_a_side_empty_are_refused() {
    for share in [0.0, 1.0, -0.1, f64::NAN] {
        let dir = tempfile::tempdir().unwrap();
        assert!(write_emoji(dir.path(), share, 0).is_err(), "{share}");
    }
}
