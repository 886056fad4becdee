//! Pictures that belong together: of one patient, site or film.

use std::path::Path;

use regex_lite::Regex;

use super::sample::portable_bytes;
use crate::error::DataError;

/// By what pictures belong together, so that they are held out together or not at all: neighbours on both sides would
/// let a network recognize instead of generalize.
#[derive(Clone, Debug)]
pub struct Grouping(Regex);

impl Grouping {
    /// A regular expression that finds a group's name in the path of a picture, relative to its folder and with `/`
    /// between its parts. The name is what its parentheses hold, all together, or the whole match where it has none:
    /// `film[0-9]+`, `^[^/]+/([^_]+)_`.
    ///
    /// # Errors
    /// No regular expression.
    pub fn parse(pattern: &str) -> Result<Self, DataError> {
        Regex::new(pattern).map(Self).map_err(|error| DataError::Parameter {
            what: "pattern of groups",
            value: format!("`{pattern}`"),
            mend: format!("it is no regular expression: {error}"),
        })
    }

    /// The name of the group that a picture of this path is in.
    pub(super) fn key(&self, path: &Path) -> Option<String> {
        let path = portable_bytes(path);
        let path = String::from_utf8_lossy(&path);
        let found = self.0.captures(&path)?;
        if self.0.captures_len() == 1 {
            return Some(found[0].to_owned());
        }
        // A sign that no path has.
        let named: Vec<_> = found.iter().skip(1).flatten().map(|part| part.as_str()).collect();
        (!named.is_empty()).then(|| named.join("\0"))
    }

    /// The pattern.
    pub(super) fn pattern(&self) -> &str {
        self.0.as_str()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_group_is_what_the_pattern_finds() {
        for (pattern, path, key) in [
            ("film[0-9]+", "a/film07-03.png", Some("film07")),
            ("film([0-9]+)", "a/film07-03.png", Some("07")),
            ("^([^/]+)/.*_s([0-9]+)", "bern/x_s3_9.png", Some("bern\u{0}3")),
            ("film[0-9]+", "a/scene07.png", None),
            ("(left)|(right)", "right.png", Some("right")),
        ] {
            let found = Grouping::parse(pattern).unwrap().key(Path::new(path));
            assert_eq!(found.as_deref(), key, "{pattern}");
        }
        let error = Grouping::parse("film[0-9").unwrap_err().to_string();
        assert!(error.contains("film[0-9") && error.contains("regular expression"), "{error}");
    }
}
