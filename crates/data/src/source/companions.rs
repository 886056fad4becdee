//! Masks, depths and the like, which lie beside the picture that they belong to.

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
