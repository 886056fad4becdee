//! What sources hold, while they are read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fcmae_words::grouped;

use super::alike;
use super::classes::{About, Names, Wanted, is_no_value};
use super::container::{Base, Container};
use super::masks::Masks;
use super::opening::{Labels, Opening};
use super::others::Others;
use super::sample::{Sample, Skipped};
use crate::error::DataError;
use crate::words::{more_like_these, printable};

/// Between two calls that tell how far listing is.
const TOLD_EVERY: Duration = Duration::from_millis(100);

/// What the sources read so far hold. Until all are read, a sample's label is a position in
/// `names`.
pub(super) struct Gathered<'a> {
    /// Whether labels are asked for.
    pub(super) labelled: bool,
    /// Whether pictures without a label, and sets that have none, are taken all the same.
    pub(super) optional: bool,
    /// Why there are no labels, where they are optional.
    flaw: Option<DataError>,
    /// The classes that there are to be, by their names, where a network has them.
    pub(super) expected: Option<&'a [String]>,
    /// The columns to take of tables, where they are chosen.
    pub(super) label_column: Option<&'a str>,
    pub(super) image_column: Option<&'a str>,
    /// The one that says which pictures belong together.
    pub(super) group_column: Option<&'a str>,
    /// Columns that may say so, where none is chosen.
    pub(super) group_columns: BTreeSet<String>,
    /// The bases of each group, by the base of its source.
    groups: HashMap<(u32, Arc<str>), u32>,
    pub(super) bases: Vec<Base>,
    pub(super) samples: Vec<Sample>,
    pub(super) skipped: Vec<Skipped>,
    /// Those of them that were listed as pictures, and are not there or cannot be opened.
    pub(super) lost: usize,
    /// The first of those.
    pub(super) first_lost: Option<Skipped>,
    pub(super) passed_over: usize,
    /// Those of the files passed over that are told of.
    pub(super) others: Others,
    /// What is to be told.
    pub(super) notes: Vec<String>,
    pub(super) names: Names,
    /// Lists that lie in folders of pictures.
    pub(super) tables: Vec<PathBuf>,
    /// Folders that would be classes if they held pictures.
    pub(super) top_folders: BTreeSet<String>,
    /// Pictures without a label.
    pub(super) outside: usize,
    /// What else could be given, if there are too few classes.
    pub(super) hint: Option<String>,
    listing: Option<&'a mut dyn FnMut(usize) -> bool>,
    /// Files, members and rows looked at.
    looked_at: usize,
    /// When that was told last.
    told: Option<Instant>,
    stopped: bool,
}

impl<'a> Gathered<'a> {
    pub(super) fn new(opening: Opening<'a>) -> Self {
        let Opening { labels, label_column, image_column, group_column, pages: _, listing } =
            opening;
        let labelled = !matches!(labels, Labels::Ignored);
        Self {
            labelled,
            optional: false,
            flaw: None,
            expected: match labels {
                Labels::Classes(names) => Some(names),
                _ => None,
            },
            label_column,
            image_column,
            group_column: group_column.filter(|_| labelled),
            group_columns: BTreeSet::new(),
            groups: HashMap::new(),
            listing,
            bases: Vec::new(),
            samples: Vec::new(),
            skipped: Vec::new(),
            lost: 0,
            first_lost: None,
            passed_over: 0,
            others: Others::default(),
            notes: Vec::new(),
            names: Names::default(),
            tables: Vec::new(),
            top_folders: BTreeSet::new(),
            outside: 0,
            hint: None,
            looked_at: 0,
            told: None,
            stopped: false,
        }
    }

    /// As [`new`](Self::new), of a set whose labels are taken where there are any.
    pub(super) fn optionally_labelled(opening: Opening<'a>) -> Self {
        Self { optional: true, ..Self::new(Opening { labels: Labels::Required, ..opening }) }
    }

    /// Refuses labels for a reason; where they are optional, it is kept, and no picture will have one.
    pub(super) fn refuse_labels(&mut self, error: DataError) -> Result<(), DataError> {
        if !self.optional {
            return Err(error);
        }
        self.flaw.get_or_insert(error);
        Ok(())
    }

    /// Keeps the hint that a check of class folders gave, or refuses the labels for what it found.
    pub(super) fn checked(
        &mut self,
        folders: Result<Option<String>, DataError>,
    ) -> Result<(), DataError> {
        match folders {
            Ok(hint) => self.hint = hint,
            Err(error) => self.refuse_labels(error)?,
        }
        Ok(())
    }

    /// Decides the classes of a set whose labels are optional, as [`settle`](Self::settle); where it cannot, samples
    /// lose their labels.
    pub(super) fn settle_optional(&mut self, roots: &[PathBuf]) -> Result<Vec<String>, DataError> {
        let notes = self.notes.len();
        let settled = match self.flaw.take() {
            Some(flaw) => Err(flaw),
            None => self.settle(roots, Wanted::Any),
        };
        if settled.is_err() {
            self.notes.truncate(notes);
            self.samples.iter_mut().for_each(|sample| sample.label = None);
        }
        settled
    }

    /// Adds what samples' paths are relative to.
    pub(super) fn base(&mut self, path: &Path, container: Option<Container>) -> u32 {
        self.add_base(Base { path: path.to_path_buf(), container, group: None })
    }

    fn add_base(&mut self, base: Base) -> u32 {
        self.bases.push(base);
        u32::try_from(self.bases.len() - 1).expect("fewer than 2³² folders and archives")
    }

    /// The base of the pictures of `base` whose cell of the column of groups holds this, or says that there is none.
    pub(super) fn base_of_group(&mut self, base: u32, cell: Option<&str>) -> u32 {
        let cell = cell.map(str::trim).filter(|cell| !cell.is_empty() && !is_no_value(cell));
        let Some(cell) = cell else { return base };
        let key = (base, Arc::from(cell));
        if let Some(known) = self.groups.get(&key) {
            return *known;
        }
        let group = Some(Arc::clone(&key.1));
        let of = Base { group, ..self.bases[base as usize].clone() };
        let new = self.add_base(of);
        self.groups.insert(key, new);
        new
    }

    /// Notes pictures that are in no group, and groups that may be one.
    pub(super) fn tell_ungrouped(&mut self) {
        let Some(column) = self.group_column else { return };
        let mut folded = BTreeMap::<String, BTreeSet<&str>>::new();
        for (_, name) in self.groups.keys() {
            folded.entry(alike::folded(name)).or_default().insert(name);
        }
        let nearly: Vec<_> = folded.values().filter(|names| names.len() > 1).collect();
        if let Some(names) = nearly.first() {
            let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
            let more = more_like_these(nearly.len());
            self.notes.push(format!(
                "the groups {} of the column {column:?} (data.group_column) are nearly the same but count as \
                 different; write them in one way if they are one{more}",
                names.join(" and ")
            ));
        }
        let mut outside =
            self.samples.iter().filter(|s| self.bases[s.place.base()].group.is_none());
        let Some(first) = outside.next() else { return };
        let (path, count) = (printable(&first.path), 1 + outside.count());
        self.notes.push(format!(
            "{} {} no value in the column {column:?} (data.group_column), and {} a group of {} own; the first: \
             {path}",
            grouped(count),
            if count == 1 { "picture has" } else { "pictures have" },
            if count == 1 { "is" } else { "each is" },
            if count == 1 { "its" } else { "their" },
        ));
    }

    /// Refuses pictures and their masks as classes.
    pub(super) fn check_masks(&mut self, root: &Path, masks: &Masks) -> Result<(), DataError> {
        let class = |name: &String| self.expected.is_some_and(|known| known.contains(name));
        match &masks.classes {
            Some([pictures, masks]) if self.labelled && !class(masks) => {
                self.refuse_labels(DataError::Parameter {
                    what: "classes",
                    value: format!(
                        "{pictures} and {masks} in {}, which hold pictures and masks (or depths) with the same \
                         names",
                        printable(root)
                    ),
                    remedy: "fine-tuning needs a class for each picture, and masks are not classes: give class \
                        folders, or a list (.csv) of the pictures with their classes"
                        .to_owned(),
                })
            }
            _ => Ok(()),
        }
    }

    /// Refuses a source without columns where one of groups is asked for. One of labels or pictures may be meant for
    /// other sources, and it is told that this one has none.
    pub(super) fn check_columns(&mut self, root: &Path) -> Result<(), DataError> {
        let labels = self.label_column.filter(|_| self.labelled);
        for (setting, column, instead) in [
            (
                "data.label_column",
                labels,
                ": its labels are the names of its folders, or in its archives",
            ),
            ("data.image_column", self.image_column, ""),
        ] {
            let Some(column) = column else { continue };
            self.notes.push(format!(
                "{} has no columns, so {setting}={column:?} does not apply to it{instead}",
                printable(root)
            ));
        }
        let Some(column) = self.group_column else { return Ok(()) };
        Err(DataError::Parameter {
            what: "data.group_column",
            value: format!("{column:?}, and {} has no columns", printable(root)),
            remedy: "give a list or a Parquet file with that column, or name groups by their paths (data.group)"
                .to_owned(),
        })
    }

    pub(super) fn skip(&mut self, path: PathBuf, reason: impl Into<String>) {
        self.skipped.push(Skipped { path, reason: reason.into() });
    }

    /// Skips what was to be a picture, or holds some, and cannot be used.
    pub(super) fn lose(&mut self, path: PathBuf, reason: impl Into<String>) {
        self.skip(path, reason);
        self.lost += 1;
        if self.first_lost.is_none() {
            self.first_lost = self.skipped.last().cloned();
        }
    }

    /// The first of the last so many files that are left out, with its reason; none where that is told already.
    pub(super) fn told_skipped(&self, last: usize) -> Option<String> {
        let of = &self.skipped[self.skipped.len() - last..];
        let of: Vec<&Skipped> =
            of.iter().filter(|s| !s.reason.starts_with("lies outside")).collect();
        let first = of.first()?;
        let path = printable(&first.path);
        Some(match of.len() {
            1 => format!("left out: {path}: {}", first.reason),
            all => format!("left out: {}, the first {path}: {}", grouped(all), first.reason),
        })
    }

    /// Counts a file that is no picture.
    pub(super) fn pass_over(&mut self, name: &OsStr) {
        self.passed_over += 1;
        self.others.add(name);
    }

    /// Tells that something was looked at; whether listing is to end.
    pub(super) fn look(&mut self) -> bool {
        self.looked_at += 1;
        if self.told.is_none_or(|told| told.elapsed() >= TOLD_EVERY)
            && let Some(told) = &mut self.listing
        {
            self.stopped |= !told(self.looked_at);
            self.told = Some(Instant::now());
        }
        self.stopped
    }

    /// Whether listing was asked to end.
    pub(super) fn stopped(&self) -> bool {
        self.stopped
    }

    /// Decides the classes, and turns the samples' labels into positions among them.
    pub(super) fn settle(
        &mut self,
        roots: &[PathBuf],
        wanted: Wanted<'_>,
    ) -> Result<Vec<String>, DataError> {
        let about = About { roots, outside: self.outside, hint: self.hint.as_deref() };
        self.names.settle(&mut self.samples, wanted, &about, &mut self.notes)
    }

    /// Turns samples without a label into skips, if they must have one.
    pub(super) fn drop_unlabelled(&mut self, samples: &mut Vec<Sample>, reason: &str) {
        if self.optional {
            self.outside += samples.iter().filter(|sample| sample.label.is_none()).count();
            return;
        }
        samples.retain(|sample| {
            if sample.label.is_none() {
                let path = self.bases[sample.place.base()].path.join(&sample.path);
                self.skipped.push(Skipped { path, reason: reason.to_owned() });
                self.outside += 1;
            }
            sample.label.is_some()
        });
    }
}
