//! The bytes of a sample.

use std::fs;

use super::pages;
use super::set::PictureSet;
use crate::decode::{self, Limits, Need};
use crate::error::DecodeError;

impl PictureSet {
    /// The bytes of a sample's picture file, from wherever it lies. Of one of several pages, those of a file of it
    /// alone.
    ///
    /// # Errors
    /// A file that is gone, cannot be read, is beyond `limits`, or is no longer the one that was
    /// found when the set was read.
    ///
    /// # Panics
    /// When there is no sample at `index`.
    pub fn read(&self, index: usize, limits: &Limits) -> Result<Vec<u8>, DecodeError> {
        self.check_file(index)?;
        let sample = &self.samples[index];
        let base = &self.bases[sample.place.base()];
        if let Some(number) = sample.place.page() {
            return pages::read(base, sample, number, limits);
        }
        let Some(container) = &base.container else {
            return decode::read_file(&self.path(index), limits);
        };
        limits.check(&[Need::bytes("the file's size in bytes", sample.bytes)])?;
        container.reader.read(&base.path, sample)
    }

    /// Refuses a file that is not the one which was listed: the run's fingerprint would be untrue. One that was only
    /// touched, as programs that copy and synchronize files do, is [told](Self::touched) and used.
    pub(crate) fn check_file(&self, index: usize) -> Result<(), DecodeError> {
        let sample = &self.samples[index];
        let base = &self.bases[sample.place.base()];
        let meta = fs::metadata(self.file(index))?;
        let bytes = base.container.as_ref().map_or(sample.bytes, |container| container.bytes);
        if !meta.is_file() {
            return Err(DecodeError::NotAFile);
        }
        if meta.len() != bytes {
            return Err(DecodeError::Changed(format!("{} bytes, it had {bytes}", meta.len())));
        }
        if meta.modified().ok() == sample.modified {
            return Ok(());
        }
        // Places within a file written anew are those of other pictures.
        if let Some(container) = &base.container
            && !container.has(&base.path, sample)?
        {
            return Err(DecodeError::Changed("written to since".to_owned()));
        }
        self.touched.0.get_or_init(|| self.path(index));
        Ok(())
    }
}
