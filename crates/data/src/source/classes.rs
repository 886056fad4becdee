//! Classes by their names, from whatever sources.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::sample::Sample;
use crate::error::DataError;
use crate::words::{printable, together};

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

    /// The position of the class whose folder a path lies in, if it lies in any.
    pub(super) fn folder_of(&mut self, path: &Path) -> Option<usize> {
        let mut parts = path.iter();
        let first = parts.next()?;
        parts.next().map(|_| self.position(&printable(Path::new(first)), true))
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
    /// positions among the classes. `outside` counts the pictures that have none.
    pub(super) fn settle(
        &self,
        samples: &mut [Sample],
        outside: usize,
        roots: &[PathBuf],
        expected: Option<&[String]>,
    ) -> Result<Vec<String>, DataError> {
        // A label may belong to no picture.
        let mut used = vec![false; self.names.len()];
        for label in samples.iter().filter_map(|sample| sample.label) {
            used[label] = true;
        }
        let names = || self.names.iter().zip(&used);
        let found: Vec<&Name> = names().filter(|(_, used)| **used).map(|(name, _)| name).collect();
        let classes = expected.map_or_else(|| sorted(found.clone()), <[String]>::to_vec);
        let fewest = if expected.is_some() { 1 } else { 2 };
        if found.len() < fewest {
            return Err(DataError::TooFewClasses {
                path: together(roots),
                classes: found.iter().map(|name| name.text.clone()).collect(),
                outside,
            });
        }
        let by_name: HashMap<&str, usize> =
            classes.iter().enumerate().map(|(position, name)| (name.as_str(), position)).collect();
        let mut positions = Vec::with_capacity(used.len());
        for (name, used) in names() {
            if !used {
                // No sample asks for it.
                positions.push(0);
                continue;
            }
            let number = || {
                let number = name.text.parse().ok().filter(|_| !name.folder);
                number.filter(|&number: &usize| number < classes.len())
            };
            let position = by_name.get(name.text.as_str()).copied().or_else(number);
            positions.push(position.ok_or_else(|| DataError::UnknownClass {
                path: together(roots),
                class: name.text.clone(),
                expected: classes.clone(),
            })?);
        }
        for sample in samples {
            sample.label = sample.label.map(|name| positions[name]);
        }
        Ok(classes)
    }
}

/// Names in their order: as numbers where all were written as numbers, else as text.
fn sorted(mut names: Vec<&Name>) -> Vec<String> {
    let number = |name: &Name| name.text.parse::<u64>().ok().filter(|_| !name.folder);
    let all_numbers = names.iter().all(|name| number(name).is_some());
    names.sort_unstable_by_key(|name| (number(name).filter(|_| all_numbers), &name.text));
    names.into_iter().map(|name| name.text.clone()).collect()
}
