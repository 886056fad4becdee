//! Aligned columns of text.

use unicode_width::UnicodeWidthStr;

/// A character of a cell: what would break the line or steer the terminal is written out.
fn escaped(character: char) -> impl Iterator<Item = char> {
    let shown = (!character.is_control()).then_some(character);
    let written = character.is_control().then(|| character.escape_default());
    shown.into_iter().chain(written.into_iter().flatten())
}

/// Where a column's text stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows of cells, each as wide as the widest of its column.
pub(crate) struct Table {
    align: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a line of headings.
    pub(crate) fn new<const N: usize>(columns: [(&str, Align); N]) -> Self {
        Self::with_columns(columns.map(|(name, align)| (name.to_owned(), align)).to_vec())
    }

    /// A table of as many columns as there happen to be.
    pub(crate) fn with_columns(columns: Vec<(String, Align)>) -> Self {
        let (names, align) = columns.into_iter().unzip();
        Self { align, rows: vec![names] }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let one_line = |cell: String| match cell.contains(char::is_control) {
            true => cell.chars().flat_map(escaped).collect(),
            false => cell,
        };
        self.rows.push(cells.into_iter().map(one_line).collect());
    }

    /// The table's text, two spaces between columns, a line break after each row.
    pub(crate) fn text(&self) -> String {
        let widths = self.widths();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (index, (cell, &align)) in row.iter().zip(&self.align).enumerate() {
                let space = " ".repeat(widths[index] - cell.width());
                if index > 0 {
                    line.push_str("  ");
                }
                match align {
                    Align::Left => line.extend([cell.as_str(), &space]),
                    Align::Right => line.extend([&space, cell.as_str()]),
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// Columns of the screen that a line takes.
    pub(crate) fn width(&self) -> usize {
        let widths = self.widths();
        widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1)
    }

    fn widths(&self) -> Vec<usize> {
        let column = |index| self.rows.iter().filter_map(move |row| row.get(index));
        (0..self.align.len())
            .map(|index| column(index).map(|cell| cell.width()).max().unwrap_or(0))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_on_the_screen() {
        let mut table = Table::new([("class", Align::Left), ("right", Align::Right)]);
        table.row(["cat", "7"].map(str::to_owned));
        table.row(["食べ物", "12.5%"].map(str::to_owned));
        assert_eq!(table.text(), "class   right\ncat         7\n食べ物  12.5%\n");
        assert_eq!(table.width(), 13);
    }
}
