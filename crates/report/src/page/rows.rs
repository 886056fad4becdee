//! Rows of cards of about the same length: where 9 fit, 11 are 6 and 5, not 9 and 2.
//!
//! How many fit is known to the browser alone, so the style has rules for every number of cards and of columns.

use std::fmt::Write as _;

/// Things in rows, as style.css lays them out.
struct Rows {
    class: &'static str,
    /// The least width of a card, and of the gap between two, in rem.
    card: f64,
    gap: f64,
    /// Columns of the widest page; those of a telephone, which may be uneven, need no rule.
    columns: std::ops::RangeInclusive<usize>,
    /// What lets a row have so many.
    rule: fn(&Self, usize) -> String,
}

/// Pictures have one width in all rows, of whatever number.
const CARDS: Rows = Rows {
    class: "cards",
    card: 7.5,
    gap: 0.6,
    columns: 4..=11,
    rule: |rows, columns| format!("max-width:{}rem", rows.width(columns)),
};

/// Tiles fill the page.
const TILES: Rows = Rows {
    class: "tiles",
    card: 12.75,
    gap: 0.75,
    columns: 3..=7,
    rule: |_, columns| format!("grid-template-columns:repeat({columns},1fr)"),
};

/// Of more, the last row is one of many.
const MOST: usize = 24;

/// The class of so many cards, beside that of all.
pub(super) fn class(cards: usize) -> String {
    format!("of-{cards}")
}

/// The rules of the style.
pub(super) fn style() -> String {
    CARDS.style() + &TILES.style()
}

/// How many of these cards stand in a row, where so many would fit.
fn balanced(cards: usize, fit: usize) -> usize {
    cards.div_ceil(cards.div_ceil(fit.max(1)).max(1))
}

impl Rows {
    /// Of so many columns, in rem.
    fn width(&self, columns: usize) -> f64 {
        let width = columns as f64 * (self.card + self.gap) - self.gap;
        // Of numbers with two places, without what binary fractions add.
        (width * 100.0).round() / 100.0
    }

    fn style(&self) -> String {
        let mut style = String::new();
        for fit in self.columns.clone() {
            let mut rules = String::new();
            for columns in 1..=fit {
                // A rule of fewer columns holds on where nothing changes.
                let is_new = |cards: &usize| {
                    let before = (fit > *self.columns.start()).then(|| balanced(*cards, fit - 1));
                    balanced(*cards, fit) == columns && before != Some(columns)
                };
                let of = (2..=MOST).filter(is_new);
                let names: Vec<String> = of.map(|n| format!(".{}.of-{n}", self.class)).collect();
                if !names.is_empty() {
                    let _ = write!(rules, "{}{{{}}}", names.join(","), (self.rule)(self, columns));
                }
            }
            if !rules.is_empty() {
                let _ = writeln!(style, "@container (min-width:{}rem){{{rules}}}", self.width(fit));
            }
        }
        style
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_as_even_as_they_can_be() {
        for (cards, fit, expected) in
            [(11, 9, 6), (11, 11, 11), (11, 12, 11), (11, 4, 4), (10, 4, 4), (7, 5, 4), (1, 9, 1)]
        {
            assert_eq!(balanced(cards, fit), expected, "{cards} where {fit} fit");
            // No row more than there would be.
            assert_eq!(cards.div_ceil(expected), cards.div_ceil(fit), "{cards} where {fit} fit");
        }
    }

    #[test]
    fn the_style_has_a_rule_where_the_row_changes() {
        let style = CARDS.style();
        // Of 11, where 4 and 5 fit 4, from 6 to 10 six, and all where they fit.
        let of = |fit: usize| {
            let start = format!("@container (min-width:{}rem)", CARDS.width(fit));
            let rules = style.lines().find(|line| line.starts_with(&start)).unwrap_or_default();
            let mut rules = rules.split('}').filter(|rule| rule.contains(".of-11"));
            rules.next().map(|rule| rule.rsplit(':').next().unwrap_or_default().to_owned())
        };
        let width = |columns| Some(format!("{}rem", CARDS.width(columns)));
        assert_eq!(
            [of(4), of(5), of(6), of(9), of(11)],
            [width(4), None, width(6), None, width(11)]
        );
        assert_eq!(CARDS.width(6), 48.0);
        assert_eq!(class(11), "of-11");
    }
}
