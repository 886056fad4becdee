//! The pictures of a run, and what they are for.

use std::path::PathBuf;
use std::sync::Arc;

use fcmae_data::{DataError, Labels, PictureSet, Split};

use super::events::{Event, Flow};
use crate::config::{DataConfig, FinetuneConfig};

/// The pictures in `data`, of which not too many are missing. The observer learns how far listing is, and may end
/// it.
///
/// # Errors
/// As [`PictureSet::open_all`] and [`PictureSet::check_lost`].
pub(super) fn listed(
    data: &[PathBuf],
    config: &DataConfig,
    labels: Labels<'_>,
    observer: &mut dyn FnMut(Event<'_>) -> Flow,
) -> Result<PictureSet, DataError> {
    let mut told = |looked_at| observer(Event::Listing(looked_at)) == Flow::Continue;
    let set = PictureSet::open_all(data, config.opening(labels, Some(&mut told)))?;
    set.check_lost(config.max_bad_fraction)?;
    // Asked to end after the last file, a run does not begin either.
    if told(set.len()) { Ok(set) } else { Err(DataError::Stopped) }
}

/// The pictures of a run.
pub(super) struct Pictures {
    /// All that were found.
    pub(super) all: Arc<PictureSet>,
    /// Trained on.
    pub(super) training: Arc<PictureSet>,
    /// Kept aside to watch the accuracy.
    pub(super) held_out: Option<Arc<PictureSet>>,
}

impl Pictures {
    /// All pictures in `data`, whatever their labels. The observer learns how far listing is.
    pub(super) fn unlabelled(
        data: &[PathBuf],
        config: &DataConfig,
        observer: &mut dyn FnMut(Event<'_>) -> Flow,
    ) -> Result<Self, DataError> {
        let all = Arc::new(listed(data, config, Labels::Ignored, observer)?);
        Ok(Self { training: Arc::clone(&all), all, held_out: None })
    }

    /// The labelled pictures in `data`, of which a share is kept aside and of the others as many are
    /// trained on as the settings say.
    pub(super) fn labelled(
        data: &[PathBuf],
        config: &FinetuneConfig,
        observer: &mut dyn FnMut(Event<'_>) -> Flow,
    ) -> Result<Self, DataError> {
        let all = Arc::new(listed(data, &config.data, Labels::Required, observer)?);
        let share = config.finetune.held_out;
        let parts = (share > 0.0).then(|| all.split(share, config.seed)).transpose()?;
        let others = parts.as_ref().map_or(&*all, |(others, _)| others);
        let training = Arc::new(others.take_labels(config.labels(), config.seed)?);
        let held_out = parts.map(|(_, held_out)| Arc::new(held_out));
        Ok(Self { all, training, held_out })
    }

    /// Which picture is in which part.
    pub(super) fn split(&self) -> Result<Split, DataError> {
        Split::new(&self.all, &self.training, self.held_out.as_deref())
    }
}
