//! Pictures that belong together: of one patient, site or film.

use std::collections::HashSet;
use std::path::Path;

use regex_lite::Regex;

use super::sample::portable_bytes;
use crate::error::DataError;
use crate::words::legible;

/// By what pictures belong together, so that they are held out together or not at all: neighbours on both sides would
/// let a network recognize instead of generalize.
#[derive(Clone, Debug)]
pub struct Grouping(By);

#[derive(Clone, Debug)]
enum By {
    Pattern(Regex),
    Column,
    File,
    Key,
}

impl Grouping {
    /// A regular expression that finds a group's name in the path of a picture, relative to its folder and with `/`
    /// between its parts. The name is what its parentheses hold, all together, or the whole match where it has none:
    /// `film[0-9]+`, `^[^/]+/([^_]+)_`.
    ///
    /// # Errors
    /// No regular expression.
    pub fn parse(pattern: &str) -> Result<Self, DataError> {
        Regex::new(pattern).map(|regex| Self(By::Pattern(regex))).map_err(|error| {
            DataError::Parameter {
                what: "data.group",
                value: pattern.to_owned(),
                remedy: format!("it is not a regular expression: {error}"),
            }
        })
    }

    /// By the column that a set was opened with, [`Opening::group_column`](super::Opening::group_column). A picture
    /// without a value in it is a group of its own.
    pub fn by_column() -> Self {
        Self(By::Column)
    }

    /// By the file that pages are of.
    pub(super) fn by_file() -> Self {
        Self(By::File)
    }

    /// By the key that members of an archive have in common, and by the file that pages are of.
    pub(super) fn by_key() -> Self {
        Self(By::Key)
    }

    /// The name of the group that a picture is in: of this path, in a group of this name by its column. Those that are
    /// groups of their own have names that no other group has.
    pub(super) fn key(&self, path: &Path, column: Option<&str>) -> Option<String> {
        match &self.0 {
            By::Pattern(regex) => found(regex, path),
            By::Key => Some(legible(key_of(&portable_bytes(path)))),
            By::File => Some(legible(&portable_bytes(path))),
            By::Column => Some(match column {
                Some(name) => name.to_owned(),
                None => format!("{ALONE}{}", String::from_utf8_lossy(&portable_bytes(path))),
            }),
        }
    }

    /// The regular expression, where there is one.
    pub(super) fn pattern(&self) -> &str {
        match &self.0 {
            By::Pattern(regex) => regex.as_str(),
            By::Column | By::Key | By::File => "",
        }
    }

    /// What messages call it.
    pub(super) fn called(&self) -> String {
        match &self.0 {
            By::Pattern(regex) => format!("the pattern `{}` (`data.group`)", regex.as_str()),
            By::Column => "data.group_column".to_owned(),
            By::Key => {
                "key, whose pictures stay together (`KEY.left.png`, `KEY.right.png`)".to_owned()
            }
            By::File => "file, whose pages stay together (`data.pages`)".to_owned(),
        }
    }
}

/// A name up to the first point of its last part, as WebDataset has it.
pub(super) fn key_of(name: &[u8]) -> &[u8] {
    let last = name.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    name[last..].iter().position(|byte| *byte == b'.').map_or(name, |dot| &name[..last + dot])
}

/// Whether several pictures are of one key, as views are: `1.left.png` and `1.right.png`, but not `cat.1.png` to
/// `cat.900.png`.
pub(super) fn share_keys<'a>(names: impl Iterator<Item = &'a Path>) -> bool {
    /// More ways to call what is of a key are numbers.
    const VIEWS: usize = 16;
    let (mut keys, mut views) = (HashSet::new(), HashSet::<Vec<u8>>::new());
    let mut members = HashSet::new();
    let mut shared = false;
    for name in names {
        let name = portable_bytes(name);
        let key = key_of(&name).to_vec();
        views.insert(name[key.len()..].to_vec());
        if views.len() > VIEWS {
            return false;
        }
        let new = members.insert(name);
        shared |= !keys.insert(key) && new;
    }
    shared && views.len() < keys.len()
}

/// Names of columns that tell which pictures belong together.
const GROUPS: [&str; 54] = [
    "lesion",
    "lesionid",
    "seq",
    "seqid",
    "sequenceid",
    "sku",
    "plate",
    "plateid",
    "specimen",
    "specimenid",
    "studyinstanceuid",
    "seriesinstanceuid",
    "donor",
    "donorid",
    "mouse",
    "mouseid",
    "well",
    "wellid",
    "tile",
    "tileid",
    "roll",
    "rollid",
    "patient",
    "patientid",
    "patientname",
    "subject",
    "subjectid",
    "participant",
    "participantid",
    "person",
    "personid",
    "individual",
    "animal",
    "animalid",
    "plant",
    "plantid",
    "site",
    "siteid",
    "location",
    "locationid",
    "film",
    "slide",
    "slideid",
    "case",
    "caseid",
    "study",
    "studyid",
    "video",
    "videoid",
    "camera",
    "cameraid",
    "scene",
    "sequence",
    "group",
];

/// Whether a column is called as one that tells which pictures belong together: `patient_id`, `Slide`.
pub(super) fn is_of_groups(name: &str) -> bool {
    let letters: String =
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    GROUPS.contains(&letters.as_str())
}

/// Begins the name of a group of one picture, as no cell of a table does.
pub(super) const ALONE: char = '\0';

fn found(regex: &Regex, path: &Path) -> Option<String> {
    let path = portable_bytes(path);
    let path = String::from_utf8_lossy(&path);
    let found = regex.captures(&path)?;
    if regex.captures_len() == 1 {
        return Some(found[0].to_owned());
    }
    // A sign that no path has.
    let named: Vec<_> = found.iter().skip(1).flatten().map(|part| part.as_str()).collect();
    (!named.is_empty()).then(|| named.join("\0"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_are_shared_by_views_and_not_by_numbers() {
        let named = |names: &[&str]| share_keys(names.iter().map(Path::new));
        assert!(named(&["1.left.png", "1.right.png", "2.left.png", "2.right.png", "3.left.png"]));
        assert!(named(&["a/1.jpg", "a/1.cam0.jpg", "a/2.jpg", "b/1.jpg"]));
        assert!(!named(&["cat.0.jpg", "cat.1.jpg", "dog.0.jpg", "dog.1.jpg"]));
        assert!(!named(&["1.jpg", "2.jpg", "3.jpg", "a.b/1.jpg", "a.b/2.jpg"]));
        // In two shards.
        assert!(!named(&["1.jpg", "1.jpg", "2.jpg"]));
    }

    #[test]
    fn a_group_is_what_the_pattern_finds() {
        for (pattern, path, key) in [
            ("film[0-9]+", "a/film07-03.png", Some("film07")),
            ("film([0-9]+)", "a/film07-03.png", Some("07")),
            ("^([^/]+)/.*_s([0-9]+)", "bern/x_s3_9.png", Some("bern\u{0}3")),
            ("film[0-9]+", "a/scene07.png", None),
            ("(left)|(right)", "right.png", Some("right")),
        ] {
            let found = Grouping::parse(pattern).unwrap().key(Path::new(path), None);
            assert_eq!(found.as_deref(), key, "{pattern}");
        }
        let error = Grouping::parse("film[0-9").unwrap_err().to_string();
        assert!(error.contains("film[0-9") && error.contains("regular expression"), "{error}");
    }
}
