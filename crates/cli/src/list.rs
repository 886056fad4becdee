//! Lists of pictures, as CSV.

use std::path::Path;

use fcmae_data::source::{path_of, written};

/// A list that is being written: rows of `N` columns.
pub(crate) struct List<const N: usize>(csv::Writer<Vec<u8>>);

const TAKES_ALL: &str = "a Vec takes every write";

impl<const N: usize> List<N> {
    /// With a line of the columns' names.
    pub(crate) fn new(columns: [&str; N]) -> Self {
        let mut list = Self::without_header();
        list.row(columns);
        list
    }

    /// Further rows of a list.
    pub(crate) fn without_header() -> Self {
        Self(csv::Writer::from_writer(vec![]))
    }

    pub(crate) fn row(&mut self, fields: [&str; N]) {
        self.0.write_record(fields).expect(TAKES_ALL);
    }

    /// The list as text.
    pub(crate) fn text(self) -> String {
        String::from_utf8(self.0.into_inner().expect(TAKES_ALL)).expect("made of text")
    }
}

/// A picture's name as a list `to` holds it: a path relative to the list's folder, or the whole path of what lies
/// elsewhere. What lies in an archive, or is known by its vector alone, has no path.
pub(crate) fn listed(name: &str, to: &Path) -> String {
    let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return name.to_owned();
    };
    let [path, folder] = [path_of(name).as_path(), folder].map(std::path::absolute);
    match (path, folder) {
        (Ok(path), Ok(folder)) if path.is_file() => {
            written(path.strip_prefix(folder).unwrap_or(&path))
        }
        _ => name.to_owned(),
    }
}
