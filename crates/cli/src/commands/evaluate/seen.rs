//! Which of the pictures that are evaluated the weights' run knows already.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use fcmae_data::source::printable;
use fcmae_data::{DataError, Limits, Opening, Pages, Part, PictureSet, Sample};
use fcmae_store::run::files::{DATA, RUN};
use fcmae_words::{counted, grouped};

use crate::output;
use crate::progress::Listing;

/// The pictures of the run that the weights are of, as far as they are still there.
pub(super) struct OfRun {
    run: PathBuf,
    training: Known,
    /// What it held out, and chose its best weights by.
    held_out: Known,
}

/// Pictures that a run knows.
struct Known {
    pictures: PictureSet,
    /// Whether they are of the set that is evaluated, and are known by their names.
    same_set: bool,
}

impl OfRun {
    /// Those of the run that the weights are of, an export or a checkpoint in it; `None` where they are of no run.
    /// `pages`: as it was trained.
    ///
    /// # Errors
    /// What the run recorded, or the pictures that it names, cannot be read.
    pub(super) fn of(weights: &Path, set: &PictureSet, pages: Pages) -> Result<Option<Self>> {
        let Some(run) = weights.ancestors().take(3).find(|folder| folder.join(RUN).is_file())
        else {
            return Ok(None);
        };
        let data = fcmae_store::run::data(run)?
            .ok_or_else(|| anyhow!("{} is missing: put it back", printable(&run.join(DATA))))?;
        let split = fcmae::training::recorded_parts(run)?;
        let known = |all: &PictureSet, part: Part, same_set: bool| Known {
            pictures: all.select_what_is_left(&split, part),
            same_set,
        };
        let [roots, apart] = [&data.roots, &data.held_out_roots]
            .map(|roots| roots.iter().map(PathBuf::from).collect::<Vec<_>>());
        let (training, held_out) = if same_places(&set.roots, &roots) {
            (known(set, Part::Training, true), known(set, Part::HeldOut, true))
        } else {
            let all = listed(&roots, pages)?;
            (known(&all, Part::Training, false), known(&all, Part::HeldOut, false))
        };
        let held_out = match apart.is_empty() {
            true => held_out,
            false => Known { pictures: listed(&apart, pages)?, same_set: false },
        };
        let lost = split.count(Part::Training) - training.pictures.len();
        if lost > 0 && !training.same_set {
            output::note(&format!(
                "{} of the {} no longer exist: cannot tell whether they are among these pictures",
                grouped(lost),
                counted(split.count(Part::Training), "picture that the run was trained on"),
            ));
        }
        Ok(Some(Self { run: run.to_path_buf(), training, held_out }))
    }

    /// How many of the pictures the weights were trained on, which is noted: their accuracy says little about others.
    pub(super) fn note_trained_on(&self, set: &PictureSet, limits: &Limits) -> usize {
        let seen = self.training.among(set, limits);
        if seen > 0 {
            output::note(&format!(
                "{} of these {} were trained on and say little about others: --held-out-of {} uses those that were \
                 held out",
                grouped(seen),
                counted(set.len(), "picture"),
                output::quoted(&self.run),
            ));
        }
        seen
    }

    /// How many of the pictures the run held out itself.
    pub(super) fn held_out(&self, set: &PictureSet, limits: &Limits) -> usize {
        self.held_out.among(set, limits)
    }
}

impl Known {
    /// How many of a set they are.
    fn among(&self, set: &PictureSet, limits: &Limits) -> usize {
        if !self.same_set {
            return set.copies_of(&self.pictures, limits).0.len();
        }
        let known: HashSet<&Path> =
            self.pictures.samples.iter().map(|sample| sample.path.as_path()).collect();
        let is_known = |sample: &&Sample| known.contains(sample.path.as_path());
        set.samples.iter().filter(is_known).count()
    }
}

/// Whether two lists name the same folders and files.
fn same_places(some: &[PathBuf], others: &[PathBuf]) -> bool {
    let real = |paths: &[PathBuf]| paths.iter().map(|path| fs::canonicalize(path).ok()).collect();
    let [some, others]: [Option<HashSet<PathBuf>>; 2] = [real(some), real(others)];
    some.is_some() && some == others
}

fn listed(roots: &[PathBuf], pages: Pages) -> Result<PictureSet, DataError> {
    let mut listing = Listing::new("evaluate");
    let mut told = |looked_at| listing.told(looked_at);
    let how = Opening { pages, listing: Some(&mut told), ..Opening::default() };
    PictureSet::open_all(roots, how)
}
