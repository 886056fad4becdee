//! Which pictures were named right, as text: hexadecimal digits of four pictures each, the first picture in the highest
//! bit, and their number before them: `6:a8`. For serde's `with`.

use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// Writes them.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(hits: &[bool], to: S) -> Result<S::Ok, S::Error> {
    let digit = |four: &[bool]| {
        let value = (0..4)
            .fold(0, |value, at| 2 * value + u32::from(four.get(at).copied().unwrap_or_default()));
        char::from_digit(value, 16).unwrap_or('0')
    };
    let digits: String = hits.chunks(4).map(digit).collect();
    to.serialize_str(&format!("{}:{digits}", hits.len()))
}

/// Reads them.
///
/// # Errors
/// Text of another form, or of fewer or more digits than its number says.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<bool>, D::Error> {
    let text = String::deserialize(from)?;
    read(&text).ok_or_else(|| D::Error::custom(format!("{text:.20} is not COUNT:HEX")))
}

fn read(text: &str) -> Option<Vec<bool>> {
    let (count, digits) = text.split_once(':')?;
    let count: usize = count.parse().ok()?;
    let mut hits = Vec::with_capacity(4 * digits.len());
    for digit in digits.chars() {
        let value = digit.to_digit(16)?;
        hits.extend((0..4).rev().map(|at| value >> at & 1 == 1));
    }
    (digits.len() == count.div_ceil(4)).then(|| {
        hits.truncate(count);
        hits
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Test(#[serde(with = "super")] Vec<bool>);

    #[test]
    fn hits_are_written_as_bits_and_read_back() {
        for count in [0, 1, 3, 4, 5, 8, 11] {
            let right: Vec<bool> = (0..count).map(|i| i % 3 == 0).collect();
            let text = serde_json::to_string(&Test(right.clone())).unwrap();
            assert_eq!(serde_json::from_str::<Test>(&text).unwrap().0, right, "{text}");
        }
        let six = Test(vec![true, false, true, false, true, false]);
        assert_eq!(serde_json::to_string(&six).unwrap(), "\"6:a8\"");
        for wrong in ["6:a", "6:a80", "x:a8", "6:g8", "a8", "18446744073709551615:"] {
            assert!(serde_json::from_str::<Test>(&format!("\"{wrong}\"")).is_err(), "{wrong}");
        }
    }
}
