//! The kind of a picture file.

use serde::Serialize;

/// How a file stores its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Numbers {
    /// Whole numbers from 0.
    Unsigned,
    /// Whole numbers of either sign.
    Signed,
    /// Floating point.
    Float,
    /// None of these.
    Other,
}

/// What a picture file holds, by its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FileKind {
    /// JPEG, PNG and so on.
    pub format: &'static str,
    /// Channels of a page, transparency counted.
    pub channels: u32,
    /// Bits of a value.
    pub bits: u32,
    /// What the values are.
    pub numbers: Numbers,
    /// Pages of a TIFF file, beside reduced copies, masks and thumbnails; 1 of any other file.
    pub pages: u64,
}
