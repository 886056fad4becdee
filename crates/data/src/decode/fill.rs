//! How invalid values, NaN and nodata, are filled.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What becomes of values that are NaN, infinite or beyond ±10³⁰, and of those that a file declares to
/// mean that there is no data. In settings `"refuse"`, `"mean"` or a number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Fill {
    /// A picture with such values is refused. Declared ones become 0.
    #[default]
    Refuse,
    /// The mean of the other values of the channel in the picture.
    Mean,
    /// This number, as values are before normalization: of 8-bit pictures 0 to 1.
    Number(f64),
}

impl Fill {
    /// What gaps become in a channel of this mean.
    pub(super) fn value(self, mean: impl FnOnce() -> f64) -> f64 {
        match self {
            Self::Refuse => 0.0,
            Self::Mean => mean(),
            Self::Number(value) => value,
        }
    }
}

impl Serialize for Fill {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Refuse => serializer.serialize_str("refuse"),
            Self::Mean => serializer.serialize_str("mean"),
            Self::Number(value) => serializer.serialize_f64(*value),
        }
    }
}

impl<'de> Deserialize<'de> for Fill {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Words)
    }
}

struct Words;

impl Visitor<'_> for Words {
    type Value = Fill;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"refuse\", \"mean\" or a number")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Fill, E> {
        match word {
            "refuse" => Ok(Fill::Refuse),
            "mean" => Ok(Fill::Mean),
            other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
        }
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Fill, E> {
        Ok(Fill::Number(value as f64))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Fill, E> {
        Ok(Fill::Number(value as f64))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Fill, E> {
        if value.abs() <= 1e30 {
            Ok(Fill::Number(value))
        } else {
            Err(E::invalid_value(de::Unexpected::Float(value), &self))
        }
    }
}
