//! Rows of vectors that can be compared.

use fcmae_vectors::file::Embeddings;
use fcmae_vectors::neighbours::mean_cosine;
use fcmae_vectors::{VectorError, Vectors};
use fcmae_words::counted;

use crate::output;

/// A mean cosine from which on pictures hardly differ.
const COLLAPSED: f64 = 0.99;

/// Leaves out the rows that are zero throughout, which have no direction, with a note.
pub(super) fn with_direction(found: Embeddings) -> Embeddings {
    let zero = |row: &[f32]| row.iter().all(|&value| value == 0.0);
    let (without, with): (Vec<usize>, Vec<usize>) =
        (0..found.vectors.len()).partition(|&row| zero(found.vectors.row(row)));
    let Some(&first) = without.first() else { return found };
    output::note(&format!(
        "{} with a vector of zeros left out, such as {}",
        counted(without.len(), "picture"),
        found.names[first]
    ));
    select(&found, &with)
}

/// The rows at these places.
pub(crate) fn select(found: &Embeddings, places: &[usize]) -> Embeddings {
    Embeddings {
        names: places.iter().map(|&place| found.names[place].clone()).collect(),
        labels: places.iter().map(|&place| found.labels[place].clone()).collect(),
        vectors: found.vectors.select(places),
        origin: found.origin.clone(),
    }
}

/// The places of the rows that have a label.
pub(crate) fn labelled(found: &Embeddings) -> Vec<usize> {
    (0..found.names.len()).filter(|&row| found.labels[row].is_some()).collect()
}

/// Where pictures hardly differ, what is said of it.
pub(crate) fn collapsed(vectors: &Vectors) -> Result<Option<String>, VectorError> {
    let mean = mean_cosine(vectors)?;
    Ok((vectors.len() > 2 && mean > COLLAPSED).then(|| {
        format!(
            "the features of all pictures are nearly the same (their mean cosine is {mean:.4}), so that it means \
             little which ones are close: the network has collapsed or was not trained, or all pictures are alike"
        )
    }))
}
