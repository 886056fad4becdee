//! How a run's pictures are spread over its classes.

use fcmae_store::run::schema::{Class, Data};

/// The classes with most and fewest training pictures, where there are two or more.
pub(crate) fn extremes(data: &Data) -> Option<(&Class, &Class)> {
    let largest = data.classes.iter().max_by_key(|class| class.training)?;
    let smallest = data.classes.iter().min_by_key(|class| class.training)?;
    (data.classes.len() > 1).then_some((largest, smallest))
}
