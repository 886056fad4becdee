//! The mask that GDAL writes into a TIFF file, a page of its own: where it is 0, the picture has no data.

use super::directory::Directory;
use super::page::{Header, Page};
use super::read;
use super::source::{CLAIM, as_bands};
use crate::decode::deep::Samples;
use crate::decode::limits::Limits;
use crate::error::DecodeError;

/// Of each pixel whether it is hidden: some are.
pub(super) struct Mask(Vec<bool>);

impl Mask {
    /// The mask of a file's first page; `None` where there is none, or it hides nothing.
    pub(super) fn read(
        bytes: &[u8],
        of: &Page,
        limits: &Limits,
    ) -> Result<Option<Self>, DecodeError> {
        let is_its_own = |directory: &Directory<'_>| {
            let Header { page, mask, .. } = Header::read(directory);
            mask && page.samples == 1 && (page.width, page.height) == (of.width, of.height)
        };
        let Some(directory) = Directory::all(bytes).skip(1).find(is_its_own) else {
            return Ok(None);
        };
        if directory.claims_too_much() {
            return Err(DecodeError::Malformed(CLAIM.to_owned()));
        }
        let page = Header::read(&directory).page;
        page.check(1, limits)?;
        let mut source = as_bands(&directory.first(), limits)?;
        let mut values = vec![0.0; page.width as usize * page.height as usize];
        read::read(&mut source, &page, (&mut values, 1, 0), None, None, limits)?;
        let hidden: Vec<bool> = values.into_iter().map(|value| value == 0.0).collect();
        Ok(hidden.contains(&true).then_some(Self(hidden)))
    }

    /// Makes NaN of what is hidden, as what means that there is no data.
    pub(super) fn hide(&self, samples: &mut Samples) {
        let pixels = samples.values.chunks_exact_mut(samples.channels as usize);
        for value in pixels.zip(&self.0).filter(|(_, hidden)| **hidden).flat_map(|(p, _)| p) {
            samples.declared += u64::from(!value.is_nan());
            *value = f32::NAN;
        }
    }
}
