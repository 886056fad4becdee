//! Patches of pictures, held against those of normal ones.

use std::sync::Arc;

use anyhow::{Result, bail};
use fcmae::inference::Inference;
use fcmae::inference::embed::Backbone;
use fcmae_data::{Input, PictureSet};
use fcmae_vectors::Vectors;
use fcmae_vectors::anomaly::{PatchScores, Sampling, averaged};
use fcmae_vectors::normal::{Gathering, Normal, share_as_high};
use fcmae_words::{counted, grouped};

use super::scored::Row;
use crate::failure::{Usage, joined};
use crate::output;
use crate::progress::Counter;
use crate::vectors::WithLabels;

/// Normal pictures that are scored too, at most.
const COMPARED: usize = 1000;
/// Below this many normal pictures, the smallest possible share is noted.
const FEW: usize = 100;
/// Patches that are scored at a time, about.
const TOGETHER: usize = 2048;

/// A picture's patches, row-major, and the rows and columns of their grid; none where it cannot be used.
type Patches = Option<(Vectors, [usize; 2])>;

/// What compares patches.
pub(super) struct Scorer<'a> {
    pub(super) backbone: &'a Inference<Backbone>,
    /// From 1.
    pub(super) stage: u8,
}

/// Which patches of normal pictures are kept.
pub(super) struct Kept {
    pub(super) most: usize,
    pub(super) sampling: Sampling,
    pub(super) seed: u64,
}

/// What normal pictures look like, and which of them could be used.
pub(super) struct Learned {
    normal: Normal,
    /// By their places, each with its fold.
    usable: Vec<(usize, usize)>,
}

impl Scorer<'_> {
    /// Patches of these pictures, in their order, each averaged with those around it, and their grid. None of what
    /// cannot be used, which is noted.
    fn patches(
        &self,
        set: &Arc<PictureSet>,
        which: Vec<usize>,
    ) -> Result<impl Iterator<Item = Result<Patches>>> {
        let input = |index| Input::Sample { set: Arc::clone(set), index };
        let inputs: Vec<Input> = which.into_iter().map(input).collect();
        let patches = self.backbone.patches(inputs, usize::from(self.stage) - 1)?;
        Ok(patches.map(|found| match found {
            Ok(map) => {
                let [_, rows, columns, width] = map.dims();
                let patches = Vectors::new(map.values().to_vec(), width)?;
                Ok(Some((averaged(&patches, rows, columns)?, [rows, columns])))
            }
            Err(error) if error.is_of_picture() => {
                output::note(&format!("no score: {}", joined(&error.into())));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }))
    }

    /// Gathers patches of the normal pictures.
    pub(super) fn learn(&self, kept: &Kept, normal: &Arc<PictureSet>) -> Result<Learned> {
        let mut gathering = Gathering::new(normal.len(), kept.most, kept.sampling, kept.seed)
            .map_err(|error| Usage(format!("--patches: {error}")))?;
        let folds = gathering.folds();
        let mut counter = Counter::new("normal");
        let (mut usable, mut seen) = (vec![], 0);
        let mut sites = 0;
        for (index, patches) in self.patches(normal, (0..normal.len()).collect())?.enumerate() {
            if let Some((patches, grid)) = patches? {
                let fold = usable.len() % folds;
                gathering.add(&patches, fold)?;
                usable.push((index, fold));
                seen += patches.len();
                sites = grid[0] * grid[1];
            }
            counter.done(index as u64 + 1, normal.len() as u64);
        }
        counter.finish();
        if usable.is_empty() {
            bail!("none of {} of --normal can be used", counted(normal.len(), "picture"));
        }
        let normal = gathering.finish()?;
        output::note(&format!(
            "normal  {} of {} patches each, stage {}; {} of {} patches kept",
            counted(usable.len(), "picture"),
            grouped(sites),
            self.stage,
            grouped(normal.patches()),
            grouped(seen)
        ));
        Ok(Learned { normal, usable })
    }

    /// The scores of normal pictures, each against those of other folds, ascending: of some, where they are many.
    pub(super) fn compare(&self, learned: &Learned, normal: &Arc<PictureSet>) -> Result<Vec<f32>> {
        let usable = &learned.usable;
        if usable.len() < 2 {
            output::note(
                "there is only one normal picture, and normal_share takes at least two: it is left out",
            );
            return Ok(vec![]);
        }
        let count = usable.len().min(COMPARED);
        let mut which: Vec<(usize, Option<usize>)> = (0..count)
            .map(|place| usable[place * usable.len() / count])
            .map(|(index, fold)| (index, Some(fold)))
            .collect();
        // Fold by fold, so that many are compared at a time.
        which.sort_by_key(|(index, fold)| (*fold, *index));
        let mut scores = vec![];
        self.score(learned, normal, &which, |_, found, _| scores.extend(found.pictures))?;
        scores.sort_unstable_by(f32::total_cmp);
        if scores.len() < FEW {
            output::note(&format!(
                "with {}, normal_share is never below {:.3}",
                counted(scores.len(), "normal picture"),
                share_as_high(&scores, f32::INFINITY)
            ));
        }
        Ok(scores)
    }

    /// The pictures of --data, the most anomalous first.
    pub(super) fn find(
        &self,
        learned: &Learned,
        compared: &[f32],
        data: &WithLabels,
    ) -> Result<Vec<Row>> {
        let which: Vec<_> = (0..data.set.len()).map(|index| (index, None)).collect();
        let mut rows = vec![];
        self.score(learned, &data.set, &which, |index, found, _| {
            let score = found.pictures[0];
            rows.push(Row {
                index,
                name: data.name(index),
                label: data.labels[index].clone(),
                score,
                share: (!compared.is_empty()).then(|| share_as_high(compared, score)),
            });
        })?;
        if rows.is_empty() {
            bail!("none of {} of --data can be used", counted(data.set.len(), "picture"));
        }
        rows.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.index.cmp(&b.index)));
        Ok(rows)
    }

    /// Scores pictures, each with the fold that it is not compared with, and tells `each` its place, its scores and
    /// its grid.
    pub(super) fn score(
        &self,
        learned: &Learned,
        set: &Arc<PictureSet>,
        which: &[(usize, Option<usize>)],
        mut each: impl FnMut(usize, PatchScores, [usize; 2]),
    ) -> Result<()> {
        let mut counter = Counter::new("anomalies");
        let indices = which.iter().map(|(index, _)| *index).collect();
        let mut waiting: Vec<(usize, [usize; 2])> = vec![];
        let mut values = vec![];
        let mut patches = self.patches(set, indices)?;
        for (place, (index, fold)) in which.iter().enumerate() {
            if let Some((found, grid)) = patches.next().transpose()?.flatten() {
                values.extend_from_slice(found.values());
                waiting.push((*index, grid));
            }
            let last = which.get(place + 1).is_none_or(|(_, next)| next != fold);
            let sites = waiting.first().map_or(1, |(_, [rows, columns])| rows * columns);
            if !waiting.is_empty() && (last || waiting.len() * sites >= TOGETHER) {
                let width = values.len() / (waiting.len() * sites);
                let together = Vectors::new(std::mem::take(&mut values), width)?;
                let found = learned.normal.score(&together, sites, *fold)?;
                let of_each = found.patches.chunks_exact(sites).zip(&found.pictures);
                for ((index, grid), (patches, score)) in waiting.drain(..).zip(of_each) {
                    let scores = PatchScores { patches: patches.to_vec(), pictures: vec![*score] };
                    each(index, scores, grid);
                }
            }
            counter.done(place as u64 + 1, which.len() as u64);
        }
        counter.finish();
        Ok(())
    }
}
