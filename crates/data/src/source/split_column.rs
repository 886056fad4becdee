//! Columns of lists and Parquet files that say which split a picture is of.

use std::collections::BTreeMap;

use fcmae_words::grouped;

use super::splits::named_split;

/// Names of such columns, without blanks and the like.
const NAMES: [&str; 8] =
    ["split", "subset", "set", "partition", "usage", "phase", "fold", "datasplit"];

/// Names of columns that say yes or no to a split.
const FLAGS: [(&str, &str); 12] = [
    ("istrain", "train"),
    ("istraining", "train"),
    ("intrain", "train"),
    ("train", "train"),
    ("training", "train"),
    ("istest", "test"),
    ("test", "test"),
    ("isvalid", "validation"),
    ("isval", "validation"),
    ("isvalidation", "validation"),
    ("val", "validation"),
    ("validation", "validation"),
];

/// More values than splits are.
const MOST: usize = 20;

/// The numbers that stand for splits, as CelebA and MATLAB have them.
const NUMBERS: [&str; 4] = ["0", "1", "2", "3"];

/// Whether a column is called so.
pub(super) fn is_named(column: &str) -> bool {
    let name = plain(column);
    NAMES.contains(&name.as_str()) || flag(&name).is_some()
}

fn plain(column: &str) -> String {
    let letters = column.chars().filter(|c| c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

fn flag(name: &str) -> Option<&'static str> {
    FLAGS.iter().find(|(known, _)| *known == name).map(|(_, split)| *split)
}

/// The values of such a column, or of one of any name whose values are all words for splits.
pub(super) struct SplitColumn {
    name: String,
    named: bool,
    /// Whether some value is none of a split, in one of another name.
    out: bool,
    values: BTreeMap<String, usize>,
}

impl SplitColumn {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), named: is_named(name), out: false, values: BTreeMap::new() }
    }

    /// Counts a cell; of an empty one nothing is known. Whether the column may still be one of splits.
    pub(super) fn add(&mut self, cell: &str) -> bool {
        let cell = cell.trim();
        if self.out {
            return false;
        }
        if let Some(count) = self.values.get_mut(cell) {
            *count += 1;
        } else if !self.named && !cell.is_empty() && named_split(cell).is_none() {
            self.values.clear();
            self.out = true;
            return false;
        } else if !cell.is_empty() && self.values.len() <= MOST {
            self.values.insert(cell.to_owned(), 1);
        }
        true
    }

    /// What to say of it. `Err` where pictures of several splits are mixed.
    pub(super) fn judged(&self) -> Result<Option<String>, String> {
        let refused = |splits: &BTreeMap<String, usize>| {
            let told = |(name, count): (&String, &usize)| format!("{name} ({count})");
            let splits: Vec<String> = splits.iter().map(told).collect();
            Err(format!(
                "it holds several splits by its column {:?}: {}; write a list of each",
                self.name,
                splits.join(", ")
            ))
        };
        let mut known = BTreeMap::<String, usize>::new();
        for (value, count) in &self.values {
            if let Some(split) = self.split(value) {
                *known.entry(split).or_default() += count;
            }
        }
        if known.len() > 1 {
            return refused(&known);
        }
        let several = self.named && (2..=MOST).contains(&self.values.len());
        let name = plain(&self.name);
        if !several || flag(&name).is_some() {
            return Ok(None);
        }
        if name != "fold" && self.values.keys().all(|value| NUMBERS.contains(&value.as_str())) {
            return refused(&self.values);
        }
        let few: Vec<&str> = self.values.keys().take(5).map(String::as_str).collect();
        Ok(Some(format!(
            "pictures of all {} values of the column {:?} are used ({}{}); if these are splits, write a list of \
             those to use",
            grouped(self.values.len()),
            self.name,
            few.join(", "),
            if self.values.len() > few.len() { ", …" } else { "" }
        )))
    }

    /// The split that a value stands for.
    fn split(&self, value: &str) -> Option<String> {
        let Some(split) = flag(&plain(&self.name)) else {
            return named_split(value).map(str::to_owned);
        };
        match value.to_ascii_lowercase().as_str() {
            "1" | "1.0" | "true" | "t" | "yes" | "y" => Some(split.to_owned()),
            "0" | "0.0" | "false" | "f" | "no" | "n" => Some(format!("not {split}")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn judged(name: &str, values: &[&str]) -> Result<Option<String>, String> {
        assert!(is_named(name), "{name}");
        let mut column = SplitColumn::new(name);
        assert!(values.iter().all(|value| column.add(value)));
        column.judged()
    }

    /// Splits: columns of any name, by their values.
    #[test]
    fn columns_whose_values_are_splits_are_not_mixed() {
        for (name, values, may_be) in [
            ("purpose", &["train", "test", "train"][..], true),
            ("Teil", &["Train", "", "val"], true),
            ("dataset", &["train", "coco", "test"], false),
            ("notes", &["dev", "dev"], true),
        ] {
            let mut column = SplitColumn::new(name);
            assert_eq!(values.iter().all(|value| column.add(value)), may_be, "{name}");
            let refused = may_be && name != "notes";
            assert_eq!(column.judged().is_err(), refused, "{name}");
            assert!(refused || column.judged() == Ok(None), "{name}");
        }
    }

    /// Splits: columns as Kaggle, CelebA, MATLAB and fastai have them.
    #[test]
    fn columns_of_splits_are_not_mixed() {
        for (name, values, says) in [
            ("Usage", &["Training", "PublicTest", "PrivateTest"][..], "test (2), train (1)"),
            ("is_train", &["0", "1", "1"], "not train (1), train (2)"),
            ("Is_Train", &["True", "False"], "not train (1), train (1)"),
            ("is_valid", &["False", "True"], "not validation (1), validation (1)"),
            ("partition", &["0", "1", "2", "0"], "0 (2), 1 (1), 2 (1)"),
            ("set", &["1", "2", "3"], "1 (1), 2 (1), 3 (1)"),
            ("data_split", &["trn", "tst", ""], "test (1), train (1)"),
        ] {
            let reason = judged(name, values).unwrap_err();
            assert!(reason.contains(says), "{name}: {reason}");
        }
        for (name, values) in [
            ("Usage", &["Training", "Training"][..]),
            ("is_train", &["1", "1"]),
            ("is_train", &["0.7", "0.1"]),
            ("split", &["train", ""]),
        ] {
            assert_eq!(judged(name, values), Ok(None), "{name}");
        }
        let many: Vec<String> = (0..100).map(|n| format!("city {n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(judged("set", &many), Ok(None));
        for (name, values) in [("fold", &["0", "1", "2"][..]), ("subset", &["web", "lab"])] {
            let note = judged(name, values).unwrap().unwrap();
            assert!(note.contains(&format!("{:?}", name)) && note.contains(values[1]), "{note}");
        }
    }
}
