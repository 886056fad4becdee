//! The pictures of a run, and what they are for.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fcmae_data::source::printable;
use fcmae_data::{
    Copies, DataError, Grouping, Groups, Labels, Limits, Opening, Pages, Part, PictureSet, Split,
};
use fcmae_store::run::files;
use fcmae_store::run::schema::Watched;
use fcmae_words::terminal::percent;
use fcmae_words::{grouped, plural};

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

/// Where the pictures of a pre-training are (see [`PictureSet::open`]).
#[derive(Clone, Copy, Debug)]
pub struct PretrainData<'a> {
    /// Trained on, labels ignored.
    pub training: &'a [PathBuf],
    /// Labelled pictures that tell on the way whether features get better; none for no such look. They may be among
    /// those that are trained on, and change nothing of the training. A run that goes on looks at those that it
    /// recorded where none are given.
    pub watched: &'a [PathBuf],
}

/// Pictures to train on alone, in whatever holds their places.
macro_rules! training_alone {
    ($data:ident, $other:ident) => {
        impl<'a> From<&'a [PathBuf]> for $data<'a> {
            fn from(training: &'a [PathBuf]) -> Self {
                Self { training, $other: &[] }
            }
        }

        impl<'a> From<&'a Vec<PathBuf>> for $data<'a> {
            fn from(training: &'a Vec<PathBuf>) -> Self {
                Self::from(&training[..])
            }
        }

        impl<'a, const N: usize> From<&'a [PathBuf; N]> for $data<'a> {
            fn from(training: &'a [PathBuf; N]) -> Self {
                Self::from(&training[..])
            }
        }
    };
}

training_alone!(LabelledData, held_out);
training_alone!(PretrainData, watched);

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
    let group_column = Some(config.group_column.as_str()).filter(|name| !name.is_empty());
    let how = Opening { group_column, ..config.opening(labels, Some(&mut told)) };
    let set = PictureSet::open_all(data, how)?;
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
    /// Others that tell whether features get better.
    pub(super) watched: Option<Watched>,
    /// Whether a run has recorded another parting, of other pictures.
    strays: bool,
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
        Ok(Self {
            training,
            all,
            held_out: None,
            separate: false,
            watched: None,
            strays: false,
            notes: Vec::new(),
        })
    }

    /// The labelled pictures in `data`, of which some are kept aside and of the others as many are
    /// trained on as the settings say; or as a run has `recorded` it.
    pub(super) fn labelled(
        data: LabelledData<'_>,
        config: &FinetuneConfig,
        recorded: Option<&Split>,
        observer: &mut dyn FnMut(Event<'_>) -> Flow,
    ) -> Result<Self> {
        let all = Arc::new(listed(data.training, &config.data, Labels::Required, observer)?);
        let separate = !data.held_out.is_empty();
        let apart = match separate {
            true => {
                let known = Labels::Classes(&all.classes);
                let aside = listed(data.held_out, &config.data, known, observer);
                Some(Arc::new(aside.map_err(|error| of_held_out(error, &config.data))?))
            }
            false => None,
        };
        if let Some(split) = recorded
            && let Ok((training, held_out)) = again(&all, split, separate, config)
        {
            let (training, held_out) = (Arc::new(training), held_out.map(Arc::new).or(apart));
            return Ok(Self {
                all,
                training,
                held_out,
                separate,
                watched: None,
                strays: false,
                notes: Vec::new(),
            });
        }
        let mut notes = Vec::new();
        let (others, held_out) = parted(&all, apart.as_deref(), config, &mut notes)?;
        let held_out = held_out.map(Arc::new).or(apart);
        if config.finetune.patience > 0 && held_out.is_none() {
            return Err(Error::Unusable(
                "`finetune.patience` needs held-out pictures: set `finetune.held_out`, or give --held-out"
                    .to_owned(),
            ));
        }
        notes.extend(unseen(&all, held_out.as_deref()));
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
        let (watched, strays) = (None, recorded.is_some());
        Ok(Self { all, training, held_out, separate, watched, strays, notes })
    }

    /// Refuses a record of the parts, in the run `out`, that is not of these pictures though they are the run's.
    ///
    /// # Errors
    /// [`Error::Unusable`].
    pub(super) fn check_split(&self, out: &Path) -> Result<()> {
        if !self.strays {
            return Ok(());
        }
        Err(Error::Unusable(format!(
            "{} does not name the pictures of this run: put the original back",
            printable(&out.join(files::SPLIT))
        )))
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

/// What is trained on, and what is kept aside of the same pictures, as it was recorded when the run began.
fn again(
    all: &PictureSet,
    split: &Split,
    separate: bool,
    config: &FinetuneConfig,
) -> Result<(PictureSet, Option<PictureSet>), DataError> {
    let aside = !separate && config.finetune.held_out > 0.0;
    let held_out = aside.then(|| all.select(split, Part::HeldOut)).transpose()?;
    Ok((all.select(split, Part::Training)?, held_out))
}

/// So many pictures are soon looked into for copies.
const FEW: usize = 10_000;

/// What is not kept aside, and what is, of the same pictures: neither where those kept aside are `apart`, or none are.
/// Pictures that belong together, and copies, are on one side.
fn parted(
    all: &PictureSet,
    apart: Option<&PictureSet>,
    config: &FinetuneConfig,
    notes: &mut Vec<String>,
) -> Result<(Option<PictureSet>, Option<PictureSet>)> {
    let (share, limits) = (config.finetune.held_out, config.data.limits());
    let grouping = config.data.grouping()?;
    // Where nothing is held out, copies matter for their labels alone, and reading many takes long.
    let looked_into = apart.is_some() || share > 0.0 || all.len() <= FEW;
    let copies = if looked_into { all.copies(&limits) } else { Copies::default() };
    notes.extend(contradictory(all, &copies));
    if apart.is_some() || share > 0.0 {
        notes.extend(may_belong_together(all, apart.is_some(), &config.data));
    }
    if let Some(held_out) = apart {
        notes.extend(contradictory(held_out, &held_out.copies(&limits)));
        notes.extend(refuse_shared(all, held_out, &limits)?);
        if let Some(grouping) = grouping {
            refuse_shared_groups(all, held_out, &grouping)?;
        }
        return Ok((None, None));
    }
    if share <= 0.0 {
        return Ok((None, None));
    }
    let (others, held_out, groups) = sides(all, share, config.seed, grouping.as_ref(), &copies)?;
    notes.extend(groups.map(|groups| told_groups(all, &groups, &config.data)));
    notes.extend(together(all, &copies));
    notes.extend(caveat(all.len(), held_out.len(), config));
    Ok((Some(others), Some(held_out)))
}

/// What is left of a set, and about `share` of each class, with copies and groups on one side; the groups.
pub(super) fn sides(
    all: &PictureSet,
    share: f64,
    seed: u64,
    grouping: Option<&Grouping>,
    copies: &Copies,
) -> Result<(PictureSet, PictureSet, Option<Groups>), DataError> {
    let Some(grouping) = grouping else {
        let (rest, taken) = all.split_with(share, seed, copies)?;
        return Ok((rest, taken, None));
    };
    let groups = all.grouped(grouping, copies)?;
    let (rest, taken) = all.split_grouped(share, seed, &groups)?;
    Ok((rest, taken, Some(groups)))
}

/// Says of copies with several labels, one of which is wrong.
fn contradictory(set: &PictureSet, copies: &Copies) -> Option<String> {
    let wrong: Vec<&[usize]> = copies.of_several_classes(set).collect();
    let first = wrong.first()?;
    let class = |at: &usize| set.samples[*at].label.map_or("", |label| set.classes[label].as_str());
    let other = first.iter().find(|at| class(at) != class(&first[0]))?;
    let named = |at: &usize| format!("{} ({:?})", printable(&set.path(*at)), class(at));
    Some(format!(
        "{} {} in several classes, as copies of one file (byte for byte), such as {} and {}: their labels \
         contradict each other, and the pictures are trained on under each of them; correct the labels, or remove \
         the pictures",
        plural(wrong.len(), "picture"),
        if wrong.len() == 1 { "is" } else { "are" },
        named(&first[0]),
        named(other),
    ))
}

/// Says that copies are on one side.
fn together(set: &PictureSet, copies: &Copies) -> Option<String> {
    if copies.passed_over() > 0 {
        return Some(format!(
            "{} have the same size as others and were not compared, since that would take long: copies may be \
             both trained on and held out",
            plural(grouped(copies.passed_over()), "picture"),
        ));
    }
    let first = copies.sets().first()?;
    let count: usize = copies.sets().iter().map(|set| set.len() - 1).sum();
    Some(format!(
        "{} {} of others (byte for byte), such as {} of {}: copies are trained on or held out together",
        grouped(count),
        if count == 1 { "picture is a copy" } else { "pictures are copies" },
        printable(&set.path(first[1])),
        printable(&set.path(first[0])),
    ))
}

/// Says which columns may tell which pictures belong together, where nothing keeps them so. Pictures that are held out
/// `apart` stay where they are: it can only be looked whether they share a group with others.
fn may_belong_together(set: &PictureSet, apart: bool, config: &DataConfig) -> Option<String> {
    let name = set.group_columns.first().filter(|_| config.group.is_empty())?;
    let more = match &set.group_columns[1..] {
        [] => String::new(),
        others => format!(" (or {})", others.join(", ")),
    };
    let set = format!("--set data.group_column={name}");
    let remedy = match apart {
        false => format!("{set} keeps those of each value on one side"),
        true => format!(
            "{set} refuses values that occur both in --data and in --held-out; --held-out then needs the \
             column too"
        ),
    };
    Some(format!(
        "the column {name:?}{more} may say which pictures belong together, but is not used: if it does, \
         {remedy}",
    ))
}

/// Why pictures that are held out of their own place cannot be listed: a setting for those of --data may be the reason.
fn of_held_out(error: DataError, config: &DataConfig) -> Error {
    match (&error, config.group_column.as_str()) {
        (DataError::Stopped, _) | (_, "") => error.into(),
        (_, column) => Error::Unusable(format!(
            "{error}. With data.group_column={column}, --held-out needs the column too"
        )),
    }
}

/// Refuses pictures that are in both sets, as files or as copies: they would be trained on. Says which were not looked
/// into.
fn refuse_shared(
    training: &PictureSet,
    held_out: &PictureSet,
    limits: &Limits,
) -> Result<Option<String>> {
    let (copies, passed_over) = held_out.copies_of(training, limits);
    // A file that is named twice is known without reading it. It has the same size: few have to be looked up.
    let bytes = |set: &PictureSet| -> HashSet<u64> {
        set.samples.iter().map(|sample| sample.bytes).collect()
    };
    let (trained, aside) = (bytes(training), bytes(held_out));
    let places: HashSet<PathBuf> = (0..training.len())
        .filter(|&at| aside.contains(&training.samples[at].bytes))
        .map(|at| training.real_path(at))
        .collect();
    let is_shared = |at: &usize| {
        copies.binary_search(at).is_ok()
            || (trained.contains(&held_out.samples[*at].bytes)
                && places.contains(&held_out.real_path(*at)))
    };
    let shared: Vec<usize> = (0..held_out.len()).filter(is_shared).collect();
    let Some(&first) = shared.first() else {
        return Ok((passed_over > 0).then(|| {
            format!(
                "{} in --data and --held-out have the same size as others and were not compared, since that \
                 would take long: pictures may be both trained on and held out",
                plural(grouped(passed_over), "picture"),
            )
        }));
    };
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
    let none = Copies::default();
    let trained = training.grouped(grouping, &none)?;
    let aside = held_out.grouped(grouping, &none);
    let aside = aside.map_err(|error| Error::Unusable(format!("--held-out: {error}")))?;
    let known: HashSet<&str> = trained.names().collect();
    let shared: Vec<&str> = aside.names().filter(|name| known.contains(name)).collect();
    let Some(first) = shared.first() else { return Ok(()) };
    Err(Error::Unusable(format!(
        "{} of {} of the pictures to be held out {} trained on too, such as {:?} ({}): hold out others",
        shared.len(),
        plural(aside.len(), "group"),
        if shared.len() == 1 { "is" } else { "are" },
        first.replace('\0', " "),
        aside.called(),
    )))
}

/// Says which classes have no picture kept aside.
pub(super) fn unseen(all: &PictureSet, held_out: Option<&PictureSet>) -> Option<String> {
    let counts = all.class_counts().into_iter().zip(held_out?.class_counts());
    let unseen: Vec<&str> = counts
        .zip(&all.classes)
        .filter(|((all, aside), _)| *all > 0 && *aside == 0)
        .map(|(_, name)| name.as_str())
        .collect();
    let first = unseen.first()?;
    Some(format!(
        "{} of {} {} no held-out picture, such as {first:?}: the accuracy says nothing about {}",
        unseen.len(),
        plural(all.classes.len(), "class"),
        if unseen.len() == 1 { "has" } else { "have" },
        if unseen.len() == 1 { "it" } else { "them" },
    ))
}

/// Says what groups there are: where they are others than were meant, nothing is kept together.
fn told_groups(set: &PictureSet, groups: &Groups, config: &DataConfig) -> String {
    // Several parts of a path are one name.
    let first = groups.names().next().map_or_else(String::new, |name| name.replace('\0', " "));
    let alone = match groups.len() == set.len() {
        true => ": every picture is its own group, so nothing is kept together",
        false => "",
    };
    let united = match groups.united() {
        0 => String::new(),
        count => {
            format!("; {count} more are joined with others that hold copies of the same picture")
        }
    };
    let by = match config.group_column.as_str() {
        "" => "`data.group`".to_owned(),
        column => format!("the column {column:?}"),
    };
    let (pictures, groups) = (plural(set.len(), "picture"), plural(groups.len(), "group"));
    format!("{pictures} in {groups} by {by}, such as {first:?}{alone}{united}")
}

/// Says where another share is kept aside than the one asked for.
fn caveat(all: usize, held_out: usize, config: &FinetuneConfig) -> Option<String> {
    let (asked, share) = (config.finetune.held_out, held_out as f64 / all as f64);
    let ratio = share / asked;
    // Of few pictures a share can't be met more exactly.
    let met = (2.0 / 3.0..=1.5).contains(&ratio) || (share - asked).abs() * (all as f64) < 5.0;
    (!met).then(|| {
        let (pattern, column) = (&config.data.group, &config.data.group_column);
        let why = match (pattern.is_empty(), column.is_empty(), config.data.pages) {
            (true, true, Pages::First) => {
                "each class with two or more pictures has at least one on either side"
            }
            (true, true, Pages::All) => "the pages of a file stay together (`data.pages`)",
            (false, ..) => "groups stay together (`data.group`)",
            _ => "groups stay together (`data.group_column`)",
        };
        format!(
            "{held_out} of {} are held out, {}, instead of the {} of `finetune.held_out`: {why}",
            plural(all, "picture"),
            percent(share, 0),
            percent(asked, 0),
        )
    })
}
