//! What the pages of copies have in common.

use fcmae_words::counted;

use crate::thumbnails::Drawn;

/// Most rows of the sheet, and most pictures of a row.
pub(super) const MOST_ROWS: usize = 200;
pub(super) const MOST_CARDS: usize = 20;

/// How to find where pictures stop being copies.
pub(super) fn threshold(threshold: f32) -> String {
    format!(
        "Pictures whose features have a cosine of {threshold} or more count as copies. The number below a picture is its \
         cosine with the one most like it; 1 is the same picture. Rows with different labels come first, then the most \
         alike. Find where rows stop being copies, and give the number there as --threshold. If the last rows are \
         copies, a lower number finds more."
    )
}

/// What is said below a picture.
pub(super) fn about(cosine: f32) -> String {
    format!("{cosine:.4}")
}

/// With a capital and a full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), characters.as_str())
}

/// What the page does not show.
pub(super) fn notes(
    drawn: &Drawn,
    truncated: &Option<String>,
    [shown, all]: [usize; 2],
    what: &str,
) -> Vec<String> {
    let mut notes: Vec<String> = truncated.iter().chain(&drawn.note).cloned().collect();
    if shown < all {
        notes.push(format!("The first {} of {}; --out has all.", shown, counted(all, what)));
    }
    notes
}
