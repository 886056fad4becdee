//! What embeddings were made with.

use serde::{Deserialize, Serialize};

use super::shortened::shortened;

/// What embeddings were made with, as their file says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The program, with its version.
    pub program: String,
    /// A hash of the weights' values.
    pub weights: String,
    /// What of the network was taken, such as `pooled` or `stage3`.
    pub features: String,
    /// Height and width of the pictures, in pixels.
    pub image_size: [usize; 2],
    /// Values of a vector, C.
    pub width: usize,
    /// Which pictures: a fingerprint, with the part of a shard behind it; of several files, joined with ` + `.
    pub pictures: String,
}

/// Why embeddings cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OtherOrigin {
    /// Of other weights.
    #[error("the vectors are from different weights ({} and {}): make both with the same", brief(.0), brief(.1))]
    Weights(String, String),
    /// Of another part of the network.
    #[error("one has the features {} and the other {}: make both with the same --features", shortened(.0), shortened(.1))]
    Features(String, String),
    /// Of pictures of another size.
    #[error("the pictures had {0:?} and {1:?} pixels: make both with the same weights")]
    ImageSize([usize; 2], [usize; 2]),
    /// Of another width.
    #[error("the vectors have {0} and {1} values: make both with the same network")]
    Width(usize, usize),
    /// One of them does not say.
    #[error("only one of them names its weights: make both with `fcmae embed`")]
    Unknown,
}

/// The beginning of a hash, which tells two apart.
fn brief(hash: &str) -> String {
    let short: String = hash.chars().take(12).collect();
    if short == hash { shortened(hash) } else { format!("{short:?}…") }
}

/// Checks that embeddings can be compared: that they are of the same weights, features and size of pictures. Which
/// pictures they are of, and which version of the program made them, may differ.
///
/// # Errors
/// What is different.
pub fn same_origin(one: &Origin, other: &Origin) -> Result<(), OtherOrigin> {
    let pair = |field: fn(&Origin) -> &String| (field(one).clone(), field(other).clone());
    if one.weights != other.weights {
        let (one, other) = pair(|origin| &origin.weights);
        return Err(OtherOrigin::Weights(one, other));
    }
    if one.features != other.features {
        let (one, other) = pair(|origin| &origin.features);
        return Err(OtherOrigin::Features(one, other));
    }
    if one.image_size != other.image_size {
        return Err(OtherOrigin::ImageSize(one.image_size, other.image_size));
    }
    if one.width != other.width {
        return Err(OtherOrigin::Width(one.width, other.width));
    }
    Ok(())
}
