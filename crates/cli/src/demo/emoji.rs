//! The demo's pictures: Twemoji drawings as an ordinary picture folder, one class for each of
//! Unicode's nine groups of emoji.

mod drawings;
mod kinship;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use emojis::{Emoji, Group};
use fcmae_data::random;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _, RgbImage};

use drawings::{Drawing, drawings};

const CREDITS: &str = "\
The pictures in this folder are Twemoji, https://github.com/jdecked/twemoji
Copyright 2020 Twitter, Inc and other contributors
Graphics licensed under CC BY 4.0: https://creativecommons.org/licenses/by/4.0/

Changes: drawn on white instead of a transparent ground, sorted into one folder for each of
Unicode's groups of emoji, skin tones other than the default left out.
";

/// What [`write_emoji`] wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The classes in Unicode's order.
    pub(crate) classes: Vec<Class>,
}

/// One class of [`Summary`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    /// Name of its folder.
    pub(crate) name: &'static str,
    /// Pictures to train on.
    pub(crate) train: usize,
    /// Pictures held out.
    pub(crate) test: usize,
}

impl Summary {
    /// Pictures to train on, and pictures held out.
    pub(crate) fn pictures(&self) -> (usize, usize) {
        (
            self.classes.iter().map(|class| class.train).sum(),
            self.classes.iter().map(|class| class.test).sum(),
        )
    }
}

/// Writes every emoji as `DIR/train/CLASS/NAME.png` or `DIR/test/CLASS/NAME.png`, 72×72 pixels on
/// white, and `DIR/CREDITS.txt`. Skin-tone variants are left out, and so are emoji newer than the
/// drawings.
///
/// Of each class `held_out` (to the nearest picture) goes to `test`, chosen by `seed`. Emoji that
/// are drawn almost alike stay on one side, so that no held-out picture was all but seen in
/// training: see [`kinship`] for what counts as alike. A family of alike emoji too large for what
/// is still to be held out is passed over, so the largest (the 24 clocks) are always trained on.
///
/// # Errors
/// A share outside 0..1, a `DIR` that holds something already, or a file that cannot be written.
pub(crate) fn write_emoji(dir: &Path, held_out: f64, seed: u64) -> Result<Summary> {
    ensure!(
        held_out > 0.0 && held_out < 1.0,
        "a share of {held_out} cannot be held out: it must be above 0 and below 1"
    );
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty; remove it, or choose another folder", dir.display());
    }
    let drawings = drawings()?;
    let tested = choose_tested(&drawings, held_out, seed);

    let mut classes = Vec::new();
    for group in Group::iter() {
        let mut class = Class { name: class_name(group), train: 0, test: 0 };
        for side in ["train", "test"] {
            create(&dir.join(side).join(class.name))?;
        }
        for (drawing, &tested) in drawings.iter().zip(&tested) {
            if drawing.emoji.group() != group {
                continue;
            }
            let (side, count) =
                if tested { ("test", &mut class.test) } else { ("train", &mut class.train) };
            *count += 1;
            let name = format!("{}.png", file_stem(drawing.emoji));
            save(&drawing.picture, &dir.join(side).join(class.name).join(name))?;
        }
        classes.push(class);
    }
    let credits = dir.join("CREDITS.txt");
    fs::write(&credits, CREDITS).with_context(|| format!("cannot write {}", credits.display()))?;
    Ok(Summary { classes })
}

/// For each drawing, whether it is held out.
fn choose_tested(drawings: &[Drawing], held_out: f64, seed: u64) -> Vec<bool> {
    let families = kinship::families(drawings);
    let mut tested = vec![false; drawings.len()];
    for (number, group) in (0u64..).zip(Group::iter()) {
        let in_group = |i: &usize| drawings[*i].emoji.group() == group;
        let all = (0..drawings.len()).filter(in_group).count();
        let wanted = (held_out * all as f64).round().max(1.0) as usize;

        // A family across two classes is the first one's to place.
        let mut own: Vec<&Vec<usize>> =
            families.iter().filter(|family| family.first().is_some_and(in_group)).collect();
        random::shuffle(&mut random::keyed(seed, "emoji held out", 0, number), &mut own);
        let mut chosen = (0..drawings.len()).filter(|i| in_group(i) && tested[*i]).count();
        for family in own {
            if chosen + family.len() <= wanted {
                chosen += family.iter().filter(|i| in_group(i)).count();
                family.iter().for_each(|&i| tested[i] = true);
            }
        }
    }
    tested
}

fn class_name(group: Group) -> &'static str {
    match group {
        Group::SmileysAndEmotion => "smileys-and-emotion",
        Group::PeopleAndBody => "people-and-body",
        Group::AnimalsAndNature => "animals-and-nature",
        Group::FoodAndDrink => "food-and-drink",
        Group::TravelAndPlaces => "travel-and-places",
        Group::Activities => "activities",
        Group::Objects => "objects",
        Group::Symbols => "symbols",
        Group::Flags => "flags",
    }
}

/// The emoji's name in lower case, words joined by `-`; where the name has letters beyond ASCII or
/// lives by a sign (`keycap: #`), the shortcode instead.
fn file_stem(emoji: &Emoji) -> String {
    let unspeakable = |c: char| matches!(c, '#' | '*') || (c.is_alphabetic() && !c.is_ascii());
    let name = emoji.shortcode().filter(|_| emoji.name().contains(unspeakable));
    let name = name.unwrap_or(emoji.name()).replace('’', "").to_lowercase();
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

fn create(folder: &PathBuf) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

fn save(picture: &RgbImage, file: &Path) -> Result<()> {
    // Through `RgbImage::save`, the encoder of every format would be compiled into this crate.
    let mut png = Vec::new();
    let encoder = PngEncoder::new(&mut png);
    encoder.write_image(picture, picture.width(), picture.height(), ExtendedColorType::Rgb8)?;
    fs::write(file, png).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests;
