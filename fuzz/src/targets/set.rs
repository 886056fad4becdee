//! Files that hold pictures, opened and read.

use std::path::Component;

use fcmae_data::{Advice, Fill, Labels, Limits, PictureSet};

use crate::scratch::Scratch;
use crate::target::Outcome;

/// Most pictures of a file that are read.
const PICTURES: usize = 64;

const LIMITS: Limits =
    Limits { pixels: 1 << 18, bytes: 4 << 20, fill: Fill::Refuse, advice: Advice::Settings };

thread_local! {
    static SCRATCH: Scratch = Scratch::with(&[]);
}

/// Opens a file of this name with labels and without, and reads its pictures.
pub(super) fn read(name: &str, bytes: &[u8]) -> Outcome {
    SCRATCH.with(|scratch| {
        let path = scratch.write(name, bytes);
        let labelled = PictureSet::open(&path, Labels::Required).map_err(|error| error.to_string());
        let set = PictureSet::open(&path, Labels::Ignored).map_err(|error| error.to_string())?;
        let mut refused = labelled.as_ref().map(|_| ()).map_err(String::clone);
        for sample in &set.samples {
            let is_inside = |part| matches!(part, Component::Normal(_));
            assert!(sample.path.components().all(is_inside), "{} leads out", sample.path.display());
        }
        for index in 0..set.len().min(PICTURES) {
            match set.read(index, &LIMITS) {
                Ok(picture) => assert_eq!(picture.len() as u64, set.samples[index].bytes),
                Err(error) => refused = Err(error.to_string()),
            }
        }
        if let Some(skipped) = set.skipped.last() {
            refused = Err(skipped.reason.clone());
        }
        // A set without labels is one.
        if set.skipped.is_empty() && labelled.is_err() { Ok(()) } else { refused }
    })
}
