//! Masks that lie among pictures, in folders or files of their own: `masks/` beside `images/`, `1_mask.png` beside
//! `1.jpg`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use fcmae_words::{grouped, plural};

use super::companions;
use super::sample::Sample;
use crate::decode::{Limits, decode};
use crate::picture::Picture;
use crate::words::printable;

/// What folders of masks are called, without what is no letter.
const FOLDERS: [&str; 40] = [
    "depth",
    "depths",
    "depthmap",
    "depthmaps",
    "disparity",
    "disparities",
    "normals",
    "surfacenormals",
    "instance",
    "instances",
    "semantic",
    "panoptic",
    "mask",
    "masks",
    "maskpng",
    "masksmachine",
    "label",
    "labels",
    "labelids",
    "labelmap",
    "labelmaps",
    "annotation",
    "annotations",
    "annot",
    "annots",
    "ann",
    "anns",
    "gt",
    "gts",
    "groundtruth",
    "groundtruths",
    "gtfine",
    "gtcoarse",
    "trimap",
    "trimaps",
    "seg",
    "segs",
    "segm",
    "matte",
    "alpha",
];

/// What folders of their pictures are called.
const PICTURES: [&str; 21] = [
    "image",
    "images",
    "img",
    "imgs",
    "im",
    "jpegimages",
    "jpgimages",
    "jpeg",
    "jpg",
    "rgb",
    "photo",
    "photos",
    "picture",
    "pictures",
    "input",
    "inputs",
    "original",
    "originals",
    "leftimgbit",
    "scan",
    "scans",
];

/// Words in the names of pictures, beside those of what belongs to them.
const WORDS: [&str; 11] = [
    "sat",
    "image",
    "images",
    "img",
    "im",
    "rgb",
    "photo",
    "leftImg",
    "leftImg8bit",
    "gtFine",
    "labelIds",
];

/// What names of masks begin with, beside those of pictures: `mask_1.png`, `img_1.png`.
const FIRST: [&str; 12] = [
    "mask",
    "masks",
    "seg",
    "segm",
    "segmentation",
    "gt",
    "label",
    "labels",
    "annotation",
    "trimap",
    "matte",
    "depth",
];

/// So many of a folder's masks have pictures of their names, of a hundred.
const OF_THEIR_NAMES: usize = 90;

/// So many pairs of a folder are looked at.
const LOOKED_AT: usize = 8;

/// So many pairs of a set are looked at, but one of each folder: a set may have thousands of folders of masks.
const LOOKED_AT_IN_ALL: usize = 512;

/// Masks among samples.
#[derive(Default)]
pub(super) struct Masks {
    /// Positions of what is certain, ascending.
    pub(super) certain: Vec<usize>,
    /// Positions of others that are called so.
    pub(super) doubtful: Vec<usize>,
    /// Where folders at the top are pictures and their masks: both names.
    pub(super) classes: Option<[String; 2]>,
}

/// Masks of one folder, or beside their pictures.
#[derive(Default)]
struct Group {
    all: Vec<usize>,
    /// Masks with the pictures of their names.
    pairs: Vec<(usize, usize)>,
    /// The folder, and its position in the path; none of files beside their pictures.
    folder: Option<(usize, String)>,
}

impl Masks {
    /// Finds them. `read` gives the bytes of a sample's file.
    pub(super) fn among(samples: &[Sample], read: &dyn Fn(usize) -> Option<Vec<u8>>) -> Self {
        let mut masks = Self::default();
        let groups = groups(samples);
        let looks = (LOOKED_AT_IN_ALL / groups.len().max(1)).clamp(1, LOOKED_AT);
        for group in groups {
            let most = group.pairs.len() * 100 >= group.all.len() * OF_THEIR_NAMES;
            if group.pairs.is_empty() || group.folder.is_some() && (!most || group.all.len() < 2) {
                continue;
            }
            let of: Vec<usize> = match group.folder {
                Some(_) => group.all.clone(),
                None => group.pairs.iter().map(|(mask, _)| *mask).collect(),
            };
            let certain = certain(&group.pairs, looks, read);
            if let Some((at, name)) = &group.folder {
                let picture = samples[group.pairs[0].1].path.iter().nth(*at);
                let beside = picture.and_then(OsStr::to_str).unwrap_or_default();
                let called = PICTURES.contains(&letters(beside).as_str());
                let (mask, of) = group.pairs[0];
                let siblings = key(&samples[of].path, *at) == key(&samples[mask].path, *at)
                    && samples[of].path.iter().count() > at + 1;
                if *at == 0 && siblings && (certain || called) {
                    masks.classes.get_or_insert([beside.to_owned(), name.clone()]);
                }
                if !certain && !called {
                    continue;
                }
            }
            if certain { masks.certain.extend(of) } else { masks.doubtful.extend(of) }
        }
        masks.certain.sort_unstable();
        masks.certain.dedup();
        masks.doubtful.sort_unstable();
        masks
    }

    /// Takes out what is certain, and gives what to tell. `root` is where paths begin.
    pub(super) fn leave_out(&self, root: &Path, samples: &mut Vec<Sample>) -> Vec<String> {
        let named = |at: &usize| printable(&root.join(&samples[*at].path));
        let certain = self.certain.first().map(|first| {
            format!(
                "{} left out, which are masks of the pictures of the same names; the first: {}",
                match self.certain.len() {
                    1 => "1 file is".to_owned(),
                    count => format!("{} are", plural(grouped(count), "file")),
                },
                named(first)
            )
        });
        let doubtful = self.doubtful.first().map(|first| {
            format!(
                "{} named like masks of the pictures beside them, and used as pictures; to leave them out, move \
                 them away, or give the pictures' folder alone; the first: {}",
                match self.doubtful.len() {
                    1 => "1 file is".to_owned(),
                    count => format!("{} are", plural(grouped(count), "file")),
                },
                named(first)
            )
        });
        let told = certain.into_iter().chain(doubtful).collect();
        let mut index = 0;
        samples.retain(|_| {
            index += 1;
            self.certain.binary_search(&(index - 1)).is_err()
        });
        told
    }
}

/// What may be masks, with pictures of their names.
fn groups(samples: &[Sample]) -> Vec<Group> {
    let mut folders = BTreeMap::<(PathBuf, String), Group>::new();
    let mut others = Vec::new();
    let mut last: Option<(&Path, Option<usize>)> = None;
    for (index, sample) in samples.iter().enumerate() {
        let parent = sample.path.parent().unwrap_or(Path::new(""));
        // Most lie beside the one before.
        let at = match last {
            Some((before, at)) if before == parent => at,
            _ => parent.iter().position(|name| name.to_str().is_some_and(is_folder_of_masks)),
        };
        last = Some((parent, at));
        match at {
            None => others.push(index),
            Some(at) => {
                let before: PathBuf = parent.iter().take(at).collect();
                let name = parent.iter().nth(at).and_then(OsStr::to_str).unwrap_or_default();
                let group = folders.entry((before, name.to_owned())).or_default();
                group.folder = Some((at, name.to_owned()));
                group.all.push(index);
            }
        }
    }
    let mut groups: Vec<Group> = folders.into_values().collect();
    if !groups.is_empty() && !others.is_empty() {
        let depth = groups.iter().filter_map(|group| Some(group.folder.as_ref()?.0)).max();
        let mut pictures = HashMap::<u64, usize>::new();
        for &index in &others {
            let path = &samples[index].path;
            let folders = path.iter().count() - 1;
            for at in 0..folders.min(depth.unwrap_or(0) + 1) {
                pictures.entry(key(path, at)).or_insert(index);
            }
            // `masks/1.png` of `1.jpg`.
            pictures.entry(key(path, usize::MAX)).or_insert(index);
        }
        for group in &mut groups {
            let at = group.folder.as_ref().map_or(0, |(at, _)| *at);
            let picture = |mask: &usize| pictures.get(&key(&samples[*mask].path, at));
            group.pairs =
                group.all.iter().filter_map(|mask| Some((*mask, *picture(mask)?))).collect();
        }
    }
    groups.extend(beside(samples, &others));
    groups
}

/// Masks that lie beside their pictures.
fn beside(samples: &[Sample], others: &[usize]) -> Option<Group> {
    let base = |path: &Path| -> Option<PathBuf> {
        let stem = path.file_stem()?.to_str()?;
        let at = stem.rfind(['.', '_', '-'])?;
        let rest = &stem[at..];
        // One picture may have several: `1_mask_1.png`.
        let (at, rest) = match rest[1..].bytes().all(|byte| byte.is_ascii_digit()) {
            true => stem[..at].rfind(['.', '_', '-']).map(|at| (at, &stem[at..]))?,
            false => (at, rest),
        };
        companions::is_named(rest).then(|| path.with_file_name(&stem[..at]))
    };
    let named: Vec<(usize, Option<PathBuf>)> = others
        .iter()
        .filter_map(|&at| {
            let base = base(&samples[at].path);
            (base.is_some() || begins_as_mask(&samples[at].path)).then_some((at, base))
        })
        .collect();
    if named.is_empty() {
        return None;
    }
    let stems: HashMap<PathBuf, usize> =
        others.iter().map(|&at| (samples[at].path.with_extension(""), at)).collect();
    // `1_mask.png` of `1_sat.jpg`, `mask_1.png` of `img_1.png` or `1.png`.
    let masks: HashSet<usize> = named.iter().map(|(at, _)| *at).collect();
    let pictures = others.iter().filter(|at| !masks.contains(at));
    let keys: HashMap<u64, usize> =
        pictures.map(|&at| (key(&samples[at].path, usize::MAX), at)).collect();
    let pair = |(mask, base): &(usize, Option<PathBuf>)| {
        let of = base.as_ref().and_then(|base| stems.get(base));
        let of = of.or_else(|| keys.get(&key(&samples[*mask].path, usize::MAX)))?;
        Some((*mask, *of))
    };
    let pairs = named.iter().filter_map(pair).collect();
    Some(Group { all: named.into_iter().map(|(at, _)| at).collect(), pairs, folder: None })
}

/// Whether a file's name begins as those of masks do.
fn begins_as_mask(path: &Path) -> bool {
    let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
    let end = stem.find(|c: char| !c.is_ascii_alphabetic());
    end.is_some_and(|end| FIRST.iter().any(|word| stem[..end].eq_ignore_ascii_case(word)))
}

fn letters(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphabetic()).map(|c| c.to_ascii_lowercase()).collect()
}

fn is_folder_of_masks(name: &str) -> bool {
    let letters = letters(name);
    FOLDERS.contains(&letters.as_str())
        || ["segmentation", "masks", "maskof"].iter().any(|word| letters.starts_with(word))
        || ["masks", "segmentation", "segmentations"].iter().any(|word| letters.ends_with(word))
}

/// A path but for the folder at `at`, the extension, and words that tell pictures from masks in the file's name, as a
/// hash.
fn key(path: &Path, at: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    let parts = path.parent().unwrap_or(Path::new("")).iter().enumerate();
    parts.filter(|(place, _)| *place != at).for_each(|(_, part)| part.hash(&mut hasher));
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let words = stem.split(['_', '-', '.', ' ']).filter(|word| {
        let known = WORDS.iter().any(|known| word.eq_ignore_ascii_case(known));
        !known && !companions::is_named(word)
    });
    words.for_each(|word| word.hash(&mut hasher));
    hasher.finish()
}

/// Whether the first of each pair holds few values, where the second is as large and holds many. `looks` pairs of them
/// are read.
fn certain(
    pairs: &[(usize, usize)],
    looks: usize,
    read: &dyn Fn(usize) -> Option<Vec<u8>>,
) -> bool {
    let picture = |at: usize| decode(&read(at)?, 3, &Limits::default()).ok();
    let count = pairs.len().min(looks);
    let mut rich = 0;
    for number in 0..count {
        let (mask, of) = pairs[number * pairs.len() / count];
        let (Some(mask), Some(of)) = (picture(mask), picture(of)) else { return false };
        let same = (mask.width(), mask.height()) == (of.width(), of.height());
        if !same || !has_few_values(&mask) {
            return false;
        }
        rich += usize::from(!has_few_values(&of));
    }
    2 * rich > count
}

/// Whether a picture has few colours, or is nearly all of a few, as what JPEG makes of masks.
fn has_few_values(picture: &Picture) -> bool {
    const FEW: usize = 32;
    const NEARLY: usize = 8;
    let pixels = picture.pixels().as_chunks::<3>().0;
    let mut exact = HashMap::<[u8; 3], usize>::new();
    let mut rough = HashMap::<[u8; 3], usize>::new();
    for pixel in pixels {
        if exact.len() <= FEW {
            *exact.entry(*pixel).or_default() += 1;
        }
        *rough.entry(pixel.map(|value| value >> 4)).or_default() += 1;
    }
    // Of a tiny picture every colour may be another.
    if exact.len() <= FEW && pixels.len() >= 4 * exact.len() {
        return true;
    }
    let mut rough: Vec<usize> = rough.into_values().collect();
    rough.sort_unstable_by(|a, b| b.cmp(a));
    rough.iter().take(NEARLY).sum::<usize>() * 100 >= pixels.len() * 98
}
