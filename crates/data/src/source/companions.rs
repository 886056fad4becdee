//! Masks, depths and the like, which lie beside the picture that they belong to.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// What belongs to a picture and is none to train on, as data sets call it.
const COMPANIONS: [&str; 35] = [
    "albedo",
    "alpha",
    "annotation",
    "annotations",
    "attention",
    "canny",
    "depth",
    "disparity",
    "edge",
    "edges",
    "flow",
    "gt",
    "heatmap",
    "instance",
    "instances",
    "label",
    "labels",
    "mask",
    "masks",
    "matte",
    "normal",
    "normals",
    "panoptic",
    "parsing",
    "pose",
    "saliency",
    "seg",
    "segm",
    "segmap",
    "segmentation",
    "semantic",
    "target",
    "thumb",
    "thumbnail",
    "trimap",
];

/// Whether a part of a name says so: `mask_0`.
pub(super) fn is_named(part: &str) -> bool {
    let mut words = part.split(|c: char| !c.is_ascii_alphabetic());
    words.any(|word| COMPANIONS.iter().any(|known| word.eq_ignore_ascii_case(known)))
}

/// Those of these files that are called as companions of others: `cat_mask.png` beside `cat.jpg`. How many, and the
/// first.
pub(super) fn among<'a>(
    paths: impl Iterator<Item = &'a Path> + Clone,
) -> Option<(usize, &'a Path)> {
    let of = |path: &'a Path| -> Option<PathBuf> {
        let stem = path.file_stem()?.to_str()?;
        let at = stem.rfind(['.', '_', '-'])?;
        is_named(&stem[at..]).then(|| path.with_file_name(&stem[..at]))
    };
    let named: Vec<(&Path, PathBuf)> =
        paths.clone().filter_map(|path| Some((path, of(path)?))).collect();
    if named.is_empty() {
        return None;
    }
    let stems: HashSet<PathBuf> = paths.map(|path| path.with_extension("")).collect();
    let mut found = named.iter().filter(|(_, base)| stems.contains(base));
    let (first, _) = found.next()?;
    Some((1 + found.count(), first))
}
