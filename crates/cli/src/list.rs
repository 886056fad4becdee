//! Lists of pictures, as CSV.

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
