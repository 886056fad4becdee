//! What the pages of copies have in common.

use fcmae_report::Card;
use fcmae_vectors::Embeddings;
use fcmae_words::counted;

use crate::thumbnails::Drawn;

/// Most rows of the sheet, and most pictures of a row.
pub(super) const MOST_ROWS: usize = 200;
pub(super) const MOST_CARDS: usize = 20;

/// How to find where pictures stop being copies.
pub(super) fn threshold(threshold: f32) -> String {
    format!(
        "Pictures are taken for copies whose features have a cosine of {threshold} or more. The number below a picture \
         is that to the most alike one; 1 is the same picture. Rows with different labels come first, then the most alike: \
         find where they stop being copies, and give the number there as --threshold. If the last rows are copies, a \
         lower one finds more."
    )
}

/// A picture with its cosine.
pub(super) fn card(of: &Embeddings, row: usize, cosine: Option<f32>, drawn: &Drawn) -> Card {
    let name = &of.names[row];
    Card {
        picture: drawn.of(name),
        name: name.clone(),
        label: of.labels[row].clone(),
        about: cosine.map_or(String::new(), |cosine| format!("{cosine:.4}")),
        differs: false,
    }
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
