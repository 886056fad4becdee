//! Labels that hold several: `cat|dog`.

use std::collections::{HashMap, HashSet};

use super::super::alike;
use crate::error::DataError;

/// What may stand between labels of one picture, the surest first.
const BETWEEN: [char; 4] = ['|', ';', ',', ' '];

/// Refuses labels that hold several, each a class of its own, and tells those that look so: a picture has one class
/// here.
/// `found` are the labels, of which `written` are no folders, and `place` is where.
pub(super) fn check(
    found: &[&str],
    written: &[&str],
    place: &str,
) -> Result<Option<String>, DataError> {
    let alone: HashSet<String> = found.iter().map(|name| alike::seen(name)).collect();
    for between in BETWEEN {
        let several: Vec<(&str, Vec<String>)> = written
            .iter()
            .filter(|name| name.contains(between))
            .map(|name| (*name, parts(name, between)))
            .filter(|(_, parts)| parts.len() > 1)
            .collect();
        let known: Vec<_> = several
            .iter()
            .filter(|(_, parts)| parts.iter().all(|part| alone.contains(part)))
            .collect();
        // A hot dog is neither hot nor a dog.
        let numbers = |parts: &[String]| parts.iter().all(|part| alike::number(part).is_some());
        let certain = between != ' ' || known.len() > 1 || known.iter().any(|(_, p)| numbers(p));
        if let Some((name, parts)) = known.first()
            && certain
        {
            return Err(DataError::Parameter {
                what: "labels",
                value: format!(
                    "such as {:?} in {}, and {} are classes of their own",
                    name,
                    place,
                    parts.iter().map(|part| format!("{part:?}")).collect::<Vec<_>>().join(" and "),
                ),
                remedy: "each picture has exactly one class here: write one label for each, leave out pictures \
                    with several, or choose another column with data.label_column"
                    .to_owned(),
            });
        }
        let mut counts = HashMap::<&String, usize>::new();
        several
            .iter()
            .flat_map(|(_, parts)| parts)
            .for_each(|p| *counts.entry(p).or_default() += 1);
        let shared = counts.values().any(|count| *count > 1);
        if let Some((name, _)) = several.first()
            && (between == '|' || between != ' ' && shared || numbers_alone(&several))
        {
            return Ok(Some(format!(
                "labels such as {:?} look like several labels of one picture, but each combination is used as \
                 a class: write one label for each picture if they are several",
                name
            )));
        }
    }
    Ok(None)
}

/// Whether all are several numbers.
fn numbers_alone(several: &[(&str, Vec<String>)]) -> bool {
    let numbers = |parts: &Vec<String>| parts.iter().all(|part| alike::number(part).is_some());
    several.iter().all(|(_, parts)| numbers(parts))
}

/// What stands between these signs, each once.
fn parts(text: &str, between: char) -> Vec<String> {
    let parts = text.split(between).map(alike::seen).filter(|part| !part.is_empty());
    let parts: std::collections::BTreeSet<String> = parts.collect();
    parts.into_iter().collect()
}
