//! The pictures of a run, and what they are for.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use fcmae_data::source::printable;
use fcmae_data::{DataError, Grouping, Labels, Limits, Pages, PictureSet, Split};
use fcmae_words::plural;
use fcmae_words::terminal::percent;

use super::events::{Event, Flow};
use crate::config::{DataConfig, FinetuneConfig};
use crate::error::{Error, Result};

/// Where the pictures of a fine-tuning are: folders with a sub-folder for each class, archives, lists (see
/// [`PictureSet::open`]).
#[derive(Clone, Copy, Debug)]
pub struct LabelledData<'a> {
    /// Trained on.
    pub training: &'a [PathBuf],
    /// Evaluated on, and never trained on. Where there are none, the share `finetune.held_out` of the others is.
    pub held_out: &'a [PathBuf],
}

impl<'a> From<&'a [PathBuf]> for LabelledData<'a> {
    fn from(training: &'a [PathBuf]) -> Self {
        Self { training, held_out: &[] }
    }
}

impl<'a> From<&'a Vec<PathBuf>> for LabelledData<'a> {
    fn from(training: &'a Vec<PathBuf>) -> Self {
        Self::from(&training[..])
    }
}

impl<'a, const N: usize> From<&'a [PathBuf; N]> for LabelledData<'a> {
    fn from(training: &'a [PathBuf; N]) -> Self {
        Self::from(&training[..])
    }
}

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
    /// All that were found where training pictures are.
    pub(super) all: Arc<PictureSet>,
    /// Trained on.
    pub(super) training: Arc<PictureSet>,
    /// Kept aside to watch the accuracy.
    pub(super) held_out: Option<Arc<PictureSet>>,
    /// Whether those are pictures of their own, none of `all`.
    pub(super) separate: bool,
    /// What the user should know of how they were kept aside.
    pub(super) notes: Vec<String>,
}

impl Pictures {
    /// All pictures in `data`, whatever their labels. The observer learns how far listing is.
    pub(super) fn unlabelled(
        data: &[PathBuf],
        config: &DataConfig,
        observer: &mut dyn FnMut(Event<'_>) -> Flow,
    ) -> Result<Self, DataError> {
        let all = Arc::new(listed(data, config, Labels::Ignored, observer)?);
        let training = Arc::clone(&all);
        Ok(Self { training, all, held_out: None, separate: false, notes: Vec::new() })
    }

    /// The labelled pictures in `data`, of which some are kept aside and of the others as many are
    /// trained on as the settings say.
    pub(super) fn labelled(
        data: LabelledData<'_>,
        config: &FinetuneConfig,
        observer: &mut dyn FnMut(Event<'_>) -> Flow,
    ) -> Result<Self> {
        let all = Arc::new(listed(data.training, &config.data, Labels::Required, observer)?);
        let separate = !data.held_out.is_empty();
        let share = config.finetune.held_out;
        let mut notes = Vec::new();
        let (others, held_out) = if separate {
            let held_out =
                listed(data.held_out, &config.data, Labels::Classes(&all.classes), observer)?;
            refuse_shared(&all, &held_out, &config.data.limits())?;
            if let Some(grouping) = config.data.grouping()? {
                refuse_shared_groups(&all, &held_out, &grouping)?;
            }
            (None, Some(held_out))
        } else if share > 0.0 {
            let (others, held_out) = match config.data.grouping()? {
                None => all.split(share, config.seed)?,
                Some(grouping) => {
                    notes.push(told_groups(&all, &grouping)?);
                    all.split_grouped(share, config.seed, &grouping)?
                }
            };
            notes.extend(caveat(all.len(), held_out.len(), config));
            (Some(others), Some(held_out))
        } else {
            (None, None)
        };
        if config.finetune.patience > 0 && held_out.is_none() {
            return Err(Error::Unusable(
                "`finetune.patience` needs pictures that are kept aside: set `finetune.held_out`, or give \
                 --held-out"
                    .to_owned(),
            ));
        }
        notes.extend(unseen(&all, held_out.as_ref()));
        if !all.empty_classes.is_empty() {
            let shown = all.empty_classes.iter().take(5).map(String::as_str).collect::<Vec<_>>();
            notes.push(format!(
                "{} without a picture {} no class: {}",
                plural(all.empty_classes.len(), "folder"),
                if all.empty_classes.len() == 1 { "is" } else { "are" },
                shown.join(", ")
            ));
        }
        let others = others.as_ref().unwrap_or(&all);
        let training = Arc::new(others.take_labels(config.labels(), config.seed)?);
        Ok(Self { all, training, held_out: held_out.map(Arc::new), separate, notes })
    }

    /// Those held out, where they are pictures of their own.
    pub(super) fn apart(&self) -> Option<&Arc<PictureSet>> {
        self.held_out.as_ref().filter(|_| self.separate)
    }

    /// Hashes over all of them, with their files' sizes and without: another set is another run.
    pub(super) fn fingerprints(&self) -> [String; 2] {
        [PictureSet::fingerprint, PictureSet::names_fingerprint].map(|hash| {
            let all = hash(&self.all);
            match self.apart() {
                Some(held_out) => format!("{all}+{}", hash(held_out)),
                None => all,
            }
        })
    }

    /// Which picture is in which part, of those where training pictures are.
    pub(super) fn split(&self) -> Result<Split, DataError> {
        let held_out = self.held_out.as_deref().filter(|_| !self.separate);
        Split::new(&self.all, &self.training, held_out)
    }
}

/// Copies are looked for in so many bytes of files.
const COMPARED_BYTES: u64 = 256 << 20;

/// Refuses pictures that are in both sets, as files or as copies: they would be trained on.
fn refuse_shared(training: &PictureSet, held_out: &PictureSet, limits: &Limits) -> Result<()> {
    // The same picture has the same size: few files have to be looked into.
    let mut trained = HashMap::<u64, Vec<usize>>::new();
    let sizes: HashSet<u64> = held_out.samples.iter().map(|sample| sample.bytes).collect();
    for (at, sample) in training.samples.iter().enumerate() {
        if sizes.contains(&sample.bytes) {
            trained.entry(sample.bytes).or_default().push(at);
        }
    }
    let alike = || trained.values().flatten();
    let places: HashSet<PathBuf> = alike().map(|&at| training.real_path(at)).collect();
    let candidates: Vec<usize> = (0..held_out.len())
        .filter(|&at| trained.contains_key(&held_out.samples[at].bytes))
        .collect();
    let bytes = |set: &PictureSet, at: &usize| set.samples[*at].bytes;
    let all: u64 = alike().map(|at| bytes(training, at)).sum::<u64>()
        + candidates.iter().map(|at| bytes(held_out, at)).sum::<u64>();
    let mut contents = HashSet::<Vec<u8>>::new();
    if all <= COMPARED_BYTES {
        // What cannot be read is told when it is trained on.
        contents.extend(alike().filter_map(|&at| training.read(at, limits).ok()));
    }
    let is_shared = |at: &usize| {
        places.contains(&held_out.real_path(*at))
            || (!contents.is_empty()
                && held_out.read(*at, limits).is_ok_and(|bytes| contents.contains(&bytes)))
    };
    let shared: Vec<usize> = candidates.into_iter().filter(is_shared).collect();
    let Some(&first) = shared.first() else { return Ok(()) };
    Err(Error::Unusable(format!(
        "{} of {} to be held out {} trained on too, such as {}: hold out others, or leave --held-out out",
        shared.len(),
        plural(held_out.len(), "picture"),
        if shared.len() == 1 { "is" } else { "are" },
        printable(&held_out.path(first)),
    )))
}

/// Refuses groups that are on both sides.
fn refuse_shared_groups(
    training: &PictureSet,
    held_out: &PictureSet,
    grouping: &Grouping,
) -> Result<()> {
    let (trained, aside) = (training.group_names(grouping)?, held_out.group_names(grouping)?);
    let shared: Vec<&String> = aside.intersection(&trained).collect();
    let Some(first) = shared.first() else { return Ok(()) };
    Err(Error::Unusable(format!(
        "{} of {} of the pictures to be held out {} trained on too, such as {first:?} (`data.group`): hold \
         out others",
        shared.len(),
        plural(aside.len(), "group"),
        if shared.len() == 1 { "is" } else { "are" },
    )))
}

/// Says which classes have no picture kept aside.
fn unseen(all: &PictureSet, held_out: Option<&PictureSet>) -> Option<String> {
    let counts = all.class_counts().into_iter().zip(held_out?.class_counts());
    let unseen: Vec<&str> = counts
        .zip(&all.classes)
        .filter(|((all, aside), _)| *all > 0 && *aside == 0)
        .map(|(_, name)| name.as_str())
        .collect();
    let first = unseen.first()?;
    Some(format!(
        "{} of {} {} no picture kept aside, such as {first:?}: the accuracy says nothing of {}",
        unseen.len(),
        plural(all.classes.len(), "class"),
        if unseen.len() == 1 { "has" } else { "have" },
        if unseen.len() == 1 { "it" } else { "them" },
    ))
}

/// Says what groups a pattern finds: one that finds others than were meant keeps nothing together.
fn told_groups(set: &PictureSet, grouping: &Grouping) -> Result<String, DataError> {
    let names = set.group_names(grouping)?;
    // Several parts of a path are one name.
    let first = names.first().map_or_else(String::new, |name| name.replace('\0', " "));
    let alone = match names.len() == set.len() {
        true => ": each picture is a group of its own, so that nothing is kept together",
        false => "",
    };
    let (pictures, groups) = (plural(set.len(), "picture"), plural(names.len(), "group"));
    Ok(format!("{pictures} in {groups} by `data.group`, such as {first:?}{alone}"))
}

/// Says where another share is kept aside than the one asked for.
fn caveat(all: usize, held_out: usize, config: &FinetuneConfig) -> Option<String> {
    let (asked, share) = (config.finetune.held_out, held_out as f64 / all as f64);
    let ratio = share / asked;
    // Of few pictures a share can't be met more exactly.
    let met = (2.0 / 3.0..=1.5).contains(&ratio) || (share - asked).abs() * (all as f64) < 5.0;
    (!met).then(|| {
        let why = match (config.data.group.is_empty(), config.data.pages) {
            (false, _) => "groups stay together (`data.group`)",
            (true, Pages::All) => "the pages of a file stay together (`data.pages`)",
            (true, Pages::First) => {
                "each class of two pictures or more has one on either side at least"
            }
        };
        format!(
            "{held_out} of {} are kept aside, {}, where `finetune.held_out` asks for {}: {why}",
            plural(all, "picture"),
            percent(share, 0),
            percent(asked, 0),
        )
    })
}
