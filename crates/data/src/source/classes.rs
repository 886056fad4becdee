//! Classes by their names, from whatever sources.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::alike;
use super::sample::Sample;
use crate::error::DataError;
use crate::words::{more_like_these, printable, together};

mod several;

/// Class names as they are met.
#[derive(Default)]
pub(super) struct Names {
    names: Vec<Name>,
    positions: HashMap<String, usize>,
}

struct Name {
    text: String,
    /// Whether some folder has this name; else an archive, a list or a Parquet file wrote it.
    folder: bool,
}

impl Names {
    /// The position of a name that an archive, a list or a Parquet file wrote.
    pub(super) fn written(&mut self, text: &str) -> usize {
        self.position(text, false)
    }

    /// The position of the class whose folder a path lies in, if it lies in any; the first `depth` folders are
    /// passed over.
    pub(super) fn folder_of(&mut self, path: &Path, depth: usize) -> Option<usize> {
        let mut parts = path.iter().skip(depth);
        let first = parts.next()?;
        parts.next().map(|_| self.position(&printable(Path::new(first)), true))
    }

    /// The name at a position.
    pub(super) fn text(&self, position: usize) -> &str {
        &self.names[position].text
    }

    /// Whether a name was met.
    pub(super) fn contains(&self, text: &str) -> bool {
        self.positions.contains_key(text)
    }

    fn position(&mut self, text: &str, folder: bool) -> usize {
        let position = match self.positions.get(text) {
            Some(&position) => position,
            None => {
                self.names.push(Name { text: text.to_owned(), folder });
                self.positions.insert(text.to_owned(), self.names.len() - 1);
                self.names.len() - 1
            }
        };
        self.names[position].folder |= folder;
        position
    }

    /// Decides the classes, and turns the samples' labels, which are positions in these names, into
    /// positions among the classes. `outside` counts the pictures that have none. What is read in another way
    /// than it is written is told in `notes`.
    pub(super) fn settle(
        &self,
        samples: &mut [Sample],
        wanted: Wanted<'_>,
        about: &About<'_>,
        notes: &mut Vec<String>,
    ) -> Result<Vec<String>, DataError> {
        // A label may belong to no picture.
        let mut used = vec![false; self.names.len()];
        for label in samples.iter().filter_map(|sample| sample.label) {
            used[label] = true;
        }
        let names = || self.names.iter().zip(&used);
        let found: Vec<&Name> = names().filter(|(_, used)| **used).map(|(name, _)| name).collect();
        let fewest = if matches!(wanted, Wanted::Any) { 2 } else { 1 };
        let (classes, positions) = match wanted {
            Wanted::Any => {
                check_measured(&found, about)?;
                let texts = |keep: &dyn Fn(&&&Name) -> bool| -> Vec<&str> {
                    found.iter().filter(keep).map(|name| name.text.as_str()).collect()
                };
                let place = printable(&together(about.roots));
                let written = texts(&|name| !name.folder);
                notes.extend(several::check(&texts(&|_| true), &written, &place)?);
                notes.extend(missing(&found));
                united(&found, notes)
            }
            Wanted::Named(classes) => (classes.to_vec(), known(&found, classes, about, notes)?),
            Wanted::Nameless(classes) => {
                (classes.to_vec(), in_order(&found, classes, about, notes)?)
            }
        };
        if positions.values().collect::<HashSet<_>>().len() < fewest {
            return Err(DataError::TooFewClasses {
                path: together(about.roots),
                classes: found.iter().map(|name| name.text.clone()).collect(),
                outside: about.outside,
                hint: about.hint.map_or(String::new(), |hint| format!("; {hint}")),
            });
        }
        let position: Vec<usize> = self
            .names
            .iter()
            .map(|n| positions.get(n.text.as_str()).copied().unwrap_or(0))
            .collect();
        for sample in samples {
            sample.label = sample.label.map(|name| position[name]);
        }
        Ok(classes)
    }
}

/// What programs write where there is no value.
const NO_VALUE: [&str; 16] = [
    "na", "n/a", "#n/a", "nan", "null", "none", "?", "-", ".", "#ref!", "#value!", "#name?",
    "#div/0!", "-1", "-1.0", "-99",
];

/// Whether a cell of a table says that there is no value.
pub(super) fn is_no_value(text: &str) -> bool {
    let number = |word: &str| word.parse::<f64>().is_ok_and(f64::is_finite);
    NO_VALUE.iter().any(|word| text.eq_ignore_ascii_case(word) && !number(word))
}

/// A doubt about classes that are called as missing values are.
fn missing(found: &[&Name]) -> Option<String> {
    let called = |name: &&&Name| {
        !name.folder && NO_VALUE.iter().any(|word| name.text.eq_ignore_ascii_case(word))
    };
    let names: Vec<&str> = found.iter().filter(called).map(|name| name.text.as_str()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "{} {} like a missing value, but {} used as a class: leave the label empty if there is none",
            quoted(&names),
            if names.len() == 1 { "looks" } else { "look" },
            if names.len() == 1 { "is" } else { "each is" },
        )
    })
}

/// Which classes there are to be.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// Those that are found.
    Any,
    /// These.
    Named(&'a [String]),
    /// As many as these, which are numbers for want of names.
    Nameless(&'a [String]),
}

/// What errors say of a set.
pub(super) struct About<'a> {
    pub(super) roots: &'a [PathBuf],
    /// Pictures without a class.
    pub(super) outside: usize,
    /// What else could be given.
    pub(super) hint: Option<&'a str>,
}

/// Positions of names among the classes.
type Positions<'a> = HashMap<&'a str, usize>;

/// The classes of these names: those that look the same are one, and those that are nearly the same are told.
fn united<'a>(found: &[&'a Name], notes: &mut Vec<String>) -> (Vec<String>, Positions<'a>) {
    let mut seen: BTreeMap<String, Vec<&'a Name>> = BTreeMap::new();
    for name in found {
        seen.entry(alike::seen(&name.text)).or_default().push(name);
    }
    let (mut first, mut ways) = (Vec::new(), Vec::new());
    for (text, names) in &seen {
        // As it is seen, where one is written so.
        let written = names.iter().find(|name| name.text == *text).unwrap_or(&names[0]);
        first.push(*written);
        if names.len() > 1 {
            ways.push((&written.text, names.len()));
        }
    }
    if let Some((name, count)) = ways.first() {
        notes.push(format!(
            "the class {name:?} is written in {count} ways, which differ in blanks or in how Unicode composes \
             letters: it is one class{}",
            more_like_these(ways.len())
        ));
    }
    let mut folded: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in &first {
        folded.entry(alike::folded(&name.text)).or_default().push(&name.text);
    }
    let nearly: Vec<_> = folded.values().filter(|names| names.len() > 1).collect();
    if let Some(names) = nearly.first() {
        notes.push(format!(
            "the classes {} are nearly the same but count as different; rename them if they are one{}",
            quoted(names),
            more_like_these(nearly.len())
        ));
    }
    let classes = sorted(first);
    let by_name: HashMap<&str, usize> =
        classes.iter().enumerate().map(|(position, name)| (name.as_str(), position)).collect();
    let mut positions = HashMap::new();
    for names in seen.values() {
        let position = names.iter().find_map(|name| by_name.get(name.text.as_str()));
        let position = *position.expect("one of them is a class");
        positions.extend(names.iter().map(|name| (name.text.as_str(), position)));
    }
    (classes, positions)
}

/// Positions of these names among the classes of a network.
fn known<'a>(
    found: &[&'a Name],
    classes: &[String],
    about: &About<'_>,
    notes: &mut Vec<String>,
) -> Result<Positions<'a>, DataError> {
    let mut exact: HashMap<&str, usize> = HashMap::new();
    let mut nearly: HashMap<String, Vec<usize>> = HashMap::new();
    for (position, class) in classes.iter().enumerate() {
        // Of classes of one name, the first.
        if !exact.contains_key(class.as_str()) {
            exact.insert(class, position);
            nearly.entry(alike::folded(class)).or_default().push(position);
        }
    }
    let numbers = classes.iter().any(|class| alike::number(class).is_some());
    let unknown = |name: &Name| DataError::UnknownClass {
        path: together(about.roots),
        class: name.text.clone(),
        expected: classes.to_vec(),
    };
    let mut positions = HashMap::new();
    let mut taken: HashMap<usize, &Name> = HashMap::new();
    let (mut others, mut by_number) = (Vec::new(), BTreeMap::new());
    for &name in found {
        let text = name.text.as_str();
        let number = alike::number(text);
        let position = match (exact.get(text), nearly.get(&alike::folded(text)).map(Vec::as_slice))
        {
            (Some(&position), _) => position,
            (None, Some(&[position])) => {
                others.push(format!("{text:?} is taken for {:?}", classes[position]));
                position
            }
            (None, Some(_)) => return Err(unknown(name)),
            (None, None) => {
                let position = number
                    .filter(|_| !name.folder && !numbers)
                    .and_then(|number| usize::try_from(number).ok())
                    .filter(|&number| number < classes.len())
                    .ok_or_else(|| unknown(name))?;
                by_number.insert(position, format!("{text} for {:?}", classes[position]));
                position
            }
        };
        // Two ways to write a number are two numbers to somebody.
        if let Some(before) = taken.insert(position, name)
            && number.is_some()
            && alike::number(&before.text).is_some()
        {
            return Err(DataError::TwoForOne {
                path: together(about.roots),
                labels: [before.text.clone(), name.text.clone()],
                class: classes[position].clone(),
            });
        }
        positions.insert(text, position);
    }
    if let Some(first) = others.first() {
        let more = more_like_these(others.len());
        notes.push(format!("classes that are written differently: {first}{more}"));
    }
    notes.extend(told_numbers(by_number.into_values().collect()));
    Ok(positions)
}

/// Says which class each number is taken for.
fn told_numbers(taken: Vec<String>) -> Option<String> {
    const SHOWN: usize = 5;
    let shown = taken.get(..SHOWN).unwrap_or(&taken).join(", ");
    (!taken.is_empty()).then(|| {
        format!(
            "labels that are numbers are used as the positions of the weights' classes, from 0: {shown}{}; \
             write names if they mean something else",
            if taken.len() > SHOWN { ", …" } else { "" }
        )
    })
}

/// Positions of these names among the classes of a network that has no names for them: as numbers, or in their
/// order.
fn in_order<'a>(
    found: &[&'a Name],
    classes: &[String],
    about: &About<'_>,
    notes: &mut Vec<String>,
) -> Result<Positions<'a>, DataError> {
    match known(found, classes, about, &mut Vec::new()) {
        Ok(positions) => return Ok(positions),
        Err(error @ DataError::TwoForOne { .. }) => return Err(error),
        // They are called otherwise.
        Err(_) => {}
    }
    if found.len() != classes.len() {
        return Err(DataError::Nameless {
            path: together(about.roots),
            found: found.len(),
            classes: classes.len(),
        });
    }
    let names = sorted(found.to_vec());
    notes.push(format!(
        "the weights have no names for their {} classes: those of the pictures are taken in order, \
         {:?} for the first, {:?} for the last",
        classes.len(),
        names.first().map_or("", String::as_str),
        names.last().map_or("", String::as_str)
    ));
    let places: HashMap<&str, usize> =
        names.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
    Ok(found.iter().map(|name| (name.text.as_str(), places[name.text.as_str()])).collect())
}

/// Numbers that are measured, and are no classes: more than so many different ones, of which some are no whole numbers.
const MEASURED: usize = 11;

/// Refuses labels that are measured numbers.
fn check_measured(found: &[&Name], about: &About<'_>) -> Result<(), DataError> {
    let number = |name: &&&Name| {
        let number = name.text.parse::<f64>().ok();
        number.filter(|number| !name.folder && number.is_finite())
    };
    let numbers: Vec<f64> = found.iter().filter_map(|name| number(&name)).collect();
    let broken = found.iter().find(|name| number(name).is_some_and(|n| n.fract() != 0.0));
    match broken {
        Some(first) if numbers.len() == found.len() && found.len() > MEASURED => {
            Err(DataError::Parameter {
                what: "labels",
                value: format!(
                    "{} different numbers in {}, such as {}",
                    found.len(),
                    printable(&together(about.roots)),
                    first.text
                ),
                remedy: "these are measurements, not classes. Choose another column with data.label_column, or \
                    write ranges of the numbers as classes"
                    .to_owned(),
            })
        }
        _ => Ok(()),
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" and ")
}

/// Names in their order: as numbers where all were written as numbers, else as text.
fn sorted(mut names: Vec<&Name>) -> Vec<String> {
    let number = |name: &Name| name.text.parse::<u64>().ok().filter(|_| !name.folder);
    let all_numbers = names.iter().all(|name| number(name).is_some());
    names.sort_unstable_by_key(|name| (number(name).filter(|_| all_numbers), &name.text));
    names.into_iter().map(|name| name.text.clone()).collect()
}
