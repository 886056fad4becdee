//! What is asked for when a set is opened.

use serde::{Deserialize, Serialize};

/// What labels are taken from: class folders, an archive's `KEY.cls`, the label column of a list or a
/// Parquet file.
#[derive(Clone, Copy, Debug, Default)]
pub enum Labels<'a> {
    /// Any layout; samples have no labels. For pre-training.
    #[default]
    Ignored,
    /// Every sample has a class; there are at least two. Of a folder, each sub-folder with pictures
    /// is a class, and pictures anywhere below it count to it. Classes are sorted by name; where
    /// all are numbers and none is a folder's name, as numbers. Names that look the same are one class.
    Required,
    /// As `Required`, for the classes a network already has: labels are positions in this list, a
    /// class that it does not name is an error, and a class may be absent. Names may differ in letter
    /// case, in the width of letters, and as numbers are written (1 and 001), where only one can be meant.
    /// Where no class is called a number, a number from an archive, a list or a Parquet file is taken for a
    /// position.
    Classes(&'a [String]),
    /// The same for a network that has no names for its classes: they are given as 0, 1 and so on. As many
    /// other names are taken for them in their order.
    Nameless(&'a [String]),
}

/// Which pages of a file are pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pages {
    /// The first.
    #[default]
    First,
    /// Each, of a TIFF file. Reduced copies and masks among them are none.
    All,
}

impl Pages {
    /// As settings have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::All => "all",
        }
    }
}

impl std::str::FromStr for Pages {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "first" => Ok(Self::First),
            "all" => Ok(Self::All),
            _ => Err("give first or all".to_owned()),
        }
    }
}

/// How a set is opened. Labels alone stand for it: `Labels::Required.into()`.
#[derive(Default)]
pub struct Opening<'a> {
    /// What is done with labels.
    pub labels: Labels<'a>,
    /// The column of labels in lists and Parquet files; without it, the column is found by its name.
    pub label_column: Option<&'a str>,
    /// The column of pictures, or of their paths, likewise.
    pub image_column: Option<&'a str>,
    /// Which pages of a file are pictures.
    pub pages: Pages,
    /// The column of lists and Parquet files that says which pictures belong together, where labels are asked for. A
    /// source that has no columns is then refused.
    pub group_column: Option<&'a str>,
    /// Is told, again and again, how many files were looked at. Where it answers `false`, opening ends with
    /// [`DataError::Stopped`](crate::DataError::Stopped).
    pub listing: Option<&'a mut dyn FnMut(usize) -> bool>,
}

impl<'a> From<Labels<'a>> for Opening<'a> {
    fn from(labels: Labels<'a>) -> Self {
        Self { labels, ..Self::default() }
    }
}
