//! Small pictures that a caller lays into a page.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A small picture, ready to be laid into pages; copies share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail {
    uri: Arc<str>,
    size: [u32; 2],
}

impl Thumbnail {
    /// From a JPEG file's bytes; `size`: height and width in pixels.
    pub fn jpeg(bytes: &[u8], size: [u32; 2]) -> Self {
        Self { uri: format!("data:image/jpeg;base64,{}", STANDARD.encode(bytes)).into(), size }
    }

    /// From a PNG file's bytes; `size`: height and width in pixels.
    pub fn png(bytes: &[u8], size: [u32; 2]) -> Self {
        Self { uri: format!("data:image/png;base64,{}", STANDARD.encode(bytes)).into(), size }
    }

    /// `data:image/jpeg;base64,…`
    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    /// Height and width in pixels.
    pub(crate) fn size(&self) -> [u32; 2] {
        self.size
    }
}
