//! How a run is taken up: what it was recorded as, and what may be another from there on.

use std::path::Path;

use fcmae_data::source::printable;
use fcmae_data::{Part, PictureSet, Split};
use fcmae_store::run::schema::{Data, End, Ended, Facts, Kind, Origin};
use fcmae_store::run::{Differing, files};
use fcmae_store::{CheckpointStore, ExportName, Record, Run};
use fcmae_words::{grouped, plural};
use serde_json::json;

use super::records;
use crate::config::{OptimConfig, Settings, from_recipe};
use crate::error::{Error, Result};
use crate::weights::Description;

/// Whether a run is a new one, or goes on.
#[derive(Clone, Copy, Debug)]
pub enum Resume<'a> {
    /// A new one.
    No,
    /// It goes on from its newest checkpoint.
    Yes {
        /// Settings that may differ from the recorded ones from here on, such as `optim.base_lr`; those that follow
        /// from [`may_change`] alone.
        changing: &'a [String],
    },
}

impl Resume<'_> {
    pub(super) fn goes_on(self) -> bool {
        matches!(self, Self::Yes { .. })
    }
}

impl From<bool> for Resume<'_> {
    /// With all settings as they were, where it goes on.
    fn from(resume: bool) -> Self {
        if resume { Self::Yes { changing: &[] } } else { Self::No }
    }
}

/// Settings that may differ between the parts of a resumed run: they change no number of it, or, as another
/// version and another device do, its last bits. The pictures' names are compared with the pictures, and the start by
/// the one who knows the weights.
const MAY_DIFFER: [&str; 11] = [
    "run.version",
    "run.names",
    "run.start",
    "config.device",
    "config.precision",
    "config.check_memory",
    "config.data.workers",
    "config.data.cache_mib",
    "config.save",
    "config.figures",
    "config.watch",
];

/// Whether no number of a run depends on a setting such as `data.workers`, or its last bits alone.
pub fn changes_no_number(setting: &str) -> bool {
    let mut free = MAY_DIFFER.iter().filter_map(|name| name.strip_prefix("config."));
    free.any(|free| fcmae_store::run::is_of(setting, free))
}

/// Settings of the course from here on, which whoever resumes a run may change: what an error advises, and what a
/// longer run needs.
const CHANGEABLE: [&str; 10] = [
    "optim.base_lr",
    "optim.min_lr",
    "optim.warmup_epochs",
    "optim.epochs",
    "optim.clip_norm",
    "optim.on_nan",
    "optim.batch",
    "optim.accumulation",
    "data.max_bad_fraction",
    "finetune.patience",
];

/// The settings that may be changed when a run of this kind is resumed.
pub fn may_change(kind: Kind) -> impl Iterator<Item = &'static str> {
    let is_there = move |name: &&str| kind == Kind::Finetuning || !name.starts_with("finetune.");
    CHANGEABLE.iter().copied().filter(is_there)
}

/// A run that was taken up.
pub(super) struct TakenUp {
    pub(super) run: Run,
    /// Settings that are other ones from here on.
    pub(super) changes: Vec<Differing>,
    /// What is to be told of it.
    pub(super) note: Option<String>,
}

/// Refuses other settings than the run in `out` has recorded, but for those that may differ and those of `resume` that
/// may be changed: before pictures are listed, which may take long. Other pictures are left to the one who lists them.
///
/// # Errors
/// [`fcmae_store::Error::OtherSettings`]; an update of another size.
pub(super) fn same_settings<T: Settings>(out: &Path, config: &T, resume: Resume<'_>) -> Result<()> {
    let Resume::Yes { changing } = resume else { return Ok(()) };
    let recorded = renewed::<T>(Record::read(out)?);
    let now = Record { config: config.to_toml(), facts: recorded.facts.clone() };
    let mut may_differ = MAY_DIFFER.to_vec();
    let may_change = changeable(changing);
    may_differ.extend(may_change.iter().map(String::as_str));
    let differing = recorded.differences(&now, out, &may_differ)?;
    if !differing.is_empty() {
        let diff = Differing::lines(differing);
        return Err(fcmae_store::Error::OtherSettings { path: out.to_owned(), diff }.into());
    }
    match from_recipe::<T>(Some((files::CONFIG, &recorded.config)), &[]) {
        Ok(before) => same_update(before.optim(), config.optim()),
        Err(_) => Ok(()),
    }
}

/// Refuses a run whose pictures were held out of their own place, and are not given now, or the other way.
///
/// # Errors
/// [`Error::Unusable`]; a damaged `data.json`.
pub(super) fn same_held_out(out: &Path, given: bool) -> Result<()> {
    let Some(data) = fcmae_store::run::data(out)? else { return Ok(()) };
    match (data.held_out_roots.as_slice(), given) {
        ([], true) => Err(Error::Unusable(
            "the run began without --held-out and holds out some of its own pictures: leave the option out"
                .to_owned(),
        )),
        ([_, ..], false) => Err(Error::Unusable(format!(
            "the run holds out the pictures in {}: give them again, with --held-out {}",
            data.held_out_roots.join(", "),
            data.held_out_roots.join(" ")
        ))),
        _ => Ok(()),
    }
}

/// Refuses a run that has lost its checkpoints: it would begin anew, and replace what it came to.
///
/// # Errors
/// [`Error::Unusable`]; no run.
pub(super) fn has_its_checkpoints<T: Settings>(
    out: &Path,
    kind: Kind,
    resume: Resume<'_>,
) -> Result<()> {
    if !resume.goes_on() || !run_checkpoints(out).steps()?.is_empty() {
        return Ok(());
    }
    let Some(sign) = sign_of_checkpoints::<T>(out)? else { return Ok(()) };
    let (run, checkpoints) = (printable(out), printable(&out.join(files::CHECKPOINTS)));
    let exported = out.join(files::EXPORT).join(ExportName::Last.as_str()).exists();
    let command = kind.command();
    let from = if exported {
        format!(" from its weights: fcmae {command} --from {run}")
    } else {
        String::new()
    };
    Err(Error::Unusable(format!(
        "{run} {sign}, but there is no checkpoint in {checkpoints}: it would start over and replace its \
         results. Put the checkpoints back, or start a new run in another folder{from}"
    )))
}

/// What says that a run must have had a checkpoint.
fn sign_of_checkpoints<T: Settings>(out: &Path) -> Result<Option<String>> {
    // A run that failed may have been unable to save.
    let ended = fcmae_store::run::end(out).filter(|end| end.step > 0 && end.how != Ended::Failed);
    if let Some(End { step, how, .. }) = ended {
        let how = if how == Ended::Finished { "finished" } else { "stopped" };
        return Ok(Some(format!("{how} after step {step}")));
    }
    if out.join(files::EXPORT).join(ExportName::Last.as_str()).exists() {
        return Ok(Some("has its last weights exported".to_owned()));
    }
    let recorded = renewed::<T>(Record::read(out)?);
    let Ok(config) = from_recipe::<T>(Some((files::CONFIG, &recorded.config)), &[]) else {
        return Ok(None);
    };
    // The first update after a save is logged when that is done.
    let due = config.save().every_epochs as f64;
    let last = records::last_update(out).filter(|update| update.epoch > due);
    Ok(last.map(|update| format!("has made {} steps", update.step)))
}

/// The checkpoints of the run in `out`.
pub(super) fn run_checkpoints(out: &Path) -> CheckpointStore {
    CheckpointStore::open(out.join(files::CHECKPOINTS))
}

/// The names in a record of those settings that are given and may be changed.
fn changeable(changing: &[String]) -> Vec<String> {
    let may = |setting: &&String| CHANGEABLE.contains(&setting.as_str());
    changing.iter().filter(may).map(|setting| format!("config.{setting}")).collect()
}

/// Takes up the run in `out`, which is to be what `record` says and has [`same_settings`]. The record then has the
/// pictures that the run began with.
///
/// # Errors
/// Other settings or pictures than the run was started with; what [`Run::resume`] says.
pub(super) fn take_up<T: Settings>(
    out: &Path,
    record: &mut Record,
    changing: &[String],
    pictures: &PictureSet,
) -> Result<TakenUp> {
    let recorded = renewed::<T>(Record::read(out)?);
    if let Some(id) = recorded.facts.get(Facts::ID) {
        record.facts[Facts::ID] = id.clone();
    }
    let mut may_differ = MAY_DIFFER.to_vec();
    let names = |record: &Record| record.facts["names"].as_str().map(str::to_owned);
    let restored = names(&recorded).is_some() && names(&recorded) == names(record);
    let restored = restored && recorded.facts["data"] != record.facts["data"];
    if restored {
        may_differ.push("run.data");
    }
    let may_change = changeable(changing);
    let mut changes = recorded.differences(record, out, &may_differ)?;
    changes.retain(|differing| may_change.contains(&differing.name));
    may_differ.extend(may_change.iter().map(String::as_str));
    let run = Run::resume_recorded(out, &recorded, record, &may_differ)
        .map_err(|error| records::told_pictures(error, out, pictures))?;
    if restored {
        // What is said of them on a later day is said of the beginning too.
        record.facts["data"] = recorded.facts["data"].clone();
    }
    let note = restored.then(|| {
        "some pictures have another size in bytes than when the run began, but the same names and labels: the \
         run goes on with them as they are now"
            .to_owned()
    });
    Ok(TakenUp { run, changes, note })
}

/// Refuses an update of another size: the steps that were made would be others.
fn same_update(was: &OptimConfig, is: &OptimConfig) -> Result<()> {
    let update = |optim: &OptimConfig| optim.batch.saturating_mul(optim.accumulation);
    if update(was) == update(is) {
        return Ok(());
    }
    let fitting = match update(was).is_multiple_of(is.batch) {
        true => format!("`optim.accumulation={}`", update(was) / is.batch),
        false => format!("a batch that divides {}", update(was)),
    };
    Err(Error::Unusable(format!(
        "an update of this run has {} pictures (optim.batch {} × optim.accumulation {}), but would now have \
         {}: with `optim.batch={}` it needs {fitting}",
        update(was),
        was.batch,
        was.accumulation,
        update(is),
        is.batch,
    )))
}

/// Refuses other weights to begin with than those the run began with, as far as these are known.
///
/// # Errors
/// [`Error::Unusable`].
pub(super) fn same_start(out: &Path, now: Option<&Origin>) -> Result<()> {
    if of_earlier_version(out)? {
        return Ok(());
    }
    let before = recorded_start(out)?;
    if before.as_ref().map(|origin| &origin.hash) == now.map(|origin| &origin.hash) {
        return Ok(());
    }
    let of = |origin: Option<&Origin>| {
        origin
            .map_or("random weights".to_owned(), |origin| format!("the weights in {}", origin.path))
    };
    Err(Error::Unusable(format!(
        "{} started from {}, but {} are other weights: leave --from out, or start a new run in another folder",
        printable(out),
        of(before.as_ref()),
        of(now),
    )))
}

/// Which picture of a fine-tuning is in which part, as it recorded it: `split.csv`.
///
/// # Errors
/// A record that is missing, damaged, or not the one that the run began with.
pub fn recorded_parts(run: &Path) -> Result<Split> {
    let split = Split::read(&run.join(files::SPLIT))?;
    check_parts(run, &split)?;
    Ok(split)
}

/// Which pictures the run in `out` keeps aside, as it recorded it; `None` where it was ended before it did.
///
/// # Errors
/// A record that is missing or damaged though the run has a checkpoint: other pictures would be trained on. A damaged
/// `data.json`.
pub(super) fn recorded_split(out: &Path) -> Result<Option<Split>> {
    match Split::read(&out.join(files::SPLIT)) {
        Ok(split) => check_parts(out, &split).map(|()| Some(split)),
        // The first version wrote none.
        Err(_) if of_earlier_version(out)? => Ok(None),
        Err(_) if run_checkpoints(out).steps()?.is_empty() => Ok(None),
        Err(error) => Err(Error::Unusable(format!(
            "{error}: it records which pictures are held out; put it back, or start a new run"
        ))),
    }
}

/// Refuses a record of the parts that is not the one that the run in `out` began with.
fn check_parts(out: &Path, split: &Split) -> Result<()> {
    let data = fcmae_store::run::data(out)?;
    if data.as_ref().is_some_and(|data| !data.split.is_empty() && data.split != split.hash()) {
        return Err(Error::Unusable(format!(
            "{} is not the one that this run recorded: it was changed or exchanged; put the original back",
            printable(&out.join(files::SPLIT))
        )));
    }
    // Pictures that are held out of other places are in no part of the set.
    let known = data.filter(|data| data.held_out_roots.is_empty());
    let Some(Data { pictures, held_out, unused, .. }) = known else { return Ok(()) };
    for (part, began_with) in
        [(Part::Training, pictures), (Part::HeldOut, held_out), (Part::NotUsed, unused)]
    {
        if split.count(part) as u64 != began_with {
            return Err(Error::Unusable(format!(
                "{} has {} in the part {:?}, but the run began with {}: it was changed or cut; put the \
                 original back",
                printable(&out.join(files::SPLIT)),
                plural(split.count(part), "picture"),
                part.name(),
                grouped(began_with as usize)
            )));
        }
    }
    Ok(())
}

/// Whether a run was begun by a version that recorded neither its start nor its pictures' names.
fn of_earlier_version(out: &Path) -> Result<bool> {
    Ok(Record::read(out)?.facts["names"].is_null())
}

/// The weights that a run began with, as it recorded them.
///
/// # Errors
/// No run.
pub(super) fn recorded_start(out: &Path) -> Result<Option<Origin>> {
    let facts = Record::read(out)?.facts;
    Ok(Facts::read(&facts).ok().and_then(|facts| facts.start))
}

/// A record with the settings that came after its version, as they are by default: a new setting's default is what
/// was done before there was one. A record that is not understood stays as it is: the differing lines tell of it.
fn renewed<T: Settings>(mut record: Record) -> Record {
    if let Ok(config) = from_recipe::<T>(Some((files::CONFIG, &record.config)), &[]) {
        record.config = config.to_toml();
    }
    if let Some(weights) = record.facts.get_mut(Facts::WEIGHTS)
        && let Ok(description) = serde_json::from_value::<Description>(weights.clone())
    {
        *weights = json!(description);
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FinetuneConfig, PretrainConfig, reference};

    #[test]
    fn settings_that_may_differ_are_settings() {
        let all = reference::<PretrainConfig>().into_iter().chain(reference::<FinetuneConfig>());
        let all: Vec<String> = all.map(|setting| setting.key).collect();
        let free = MAY_DIFFER.iter().filter_map(|name| name.strip_prefix("config."));
        for name in free.chain(CHANGEABLE) {
            assert!(all.iter().any(|key| key == name), "{name}");
        }
        assert!(changes_no_number("watch.pictures") && changes_no_number("precision"));
        assert!(!changes_no_number("data.workers_of_mine") && !changes_no_number("optim.epochs"));
    }
}
