//! Pictures by any of the ways in which a program has them, for a [`Loader`](crate::Loader).

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::decode::{self, Limits};
use crate::error::DecodeError;
use crate::picture::{Depth, Picture, PixelFormat};
use crate::source::{self, Pages, PictureSet};

/// One picture to be looked at.
#[derive(Clone, Debug)]
pub enum Input {
    /// A picture file.
    File(PathBuf),
    /// A page of a picture file.
    Page {
        /// The file.
        file: PathBuf,
        /// What errors call it.
        name: PathBuf,
        /// The number of its directory.
        number: u16,
    },
    /// The bytes of a picture file.
    Bytes {
        /// What errors call it.
        name: PathBuf,
        /// The whole file.
        bytes: Vec<u8>,
    },
    /// One of a set, from wherever it lies.
    Sample {
        /// The set.
        set: Arc<PictureSet>,
        /// Its number.
        index: usize,
    },
    /// A decoded picture, of the channels and depth that are asked for.
    Picture {
        /// What errors call it.
        name: PathBuf,
        /// The picture.
        picture: Arc<Picture>,
    },
}

impl Input {
    /// The file, or what errors call the picture.
    pub fn name(&self) -> PathBuf {
        match self {
            Self::File(name)
            | Self::Page { name, .. }
            | Self::Bytes { name, .. }
            | Self::Picture { name, .. } => name.clone(),
            Self::Sample { set, index } => set.path(*index),
        }
    }

    /// A picture file, or where all of its pages are asked for and it has several, these.
    pub fn of_file(path: &Path, pages: Pages) -> Vec<Self> {
        match pages {
            Pages::First => vec![Self::from(path)],
            Pages::All => {
                let pages = source::pages_of(path).into_iter();
                let page = |(name, number)| Self::Page { file: path.to_owned(), name, number };
                let found: Vec<Self> = pages.map(page).collect();
                if found.is_empty() { vec![Self::from(path)] } else { found }
            }
        }
    }

    /// The bytes of its file: of a decoded picture none.
    pub(crate) fn bytes(&self, limits: &Limits) -> Result<Vec<u8>, DecodeError> {
        match self {
            Self::File(path) => decode::read_file(path, limits),
            Self::Page { file, number, .. } => source::read_page(file, *number, limits),
            Self::Bytes { bytes, .. } => Ok(bytes.clone()),
            Self::Sample { set, index } => set.read(*index, limits),
            Self::Picture { .. } => Ok(Vec::new()),
        }
    }

    fn decoded(
        &self,
        format: PixelFormat,
        limits: &Limits,
        least_side: Option<u32>,
    ) -> Result<Arc<Picture>, DecodeError> {
        let decoded =
            |bytes: &[u8]| decode::decode_checked(bytes, format, limits, least_side).map(Arc::new);
        match self {
            Self::File(path) => decoded(&decode::read_file(path, limits)?),
            Self::Page { file, number, .. } => decoded(&source::read_page(file, *number, limits)?),
            Self::Bytes { bytes, .. } => decoded(bytes),
            Self::Sample { set, index } => set.picture(*index, format, limits, least_side),
            Self::Picture { picture, .. } if picture.channels() != format.channels => {
                let (found, wanted) = (picture.channels(), format.channels);
                Err(DecodeError::Channels { found, wanted, advice: limits.advice })
            }
            Self::Picture { picture, .. } if picture.depth() != format.depth => {
                let text = match format.depth {
                    Depth::Eight => "a deep picture, where the network takes 8-bit ones",
                    Depth::Deep => "an 8-bit picture, where the network takes deep ones",
                };
                Err(DecodeError::Unsupported(text.to_owned()))
            }
            Self::Picture { picture, .. } => Ok(Arc::clone(picture)),
        }
    }
}

impl<P: AsRef<Path> + ?Sized> From<&P> for Input {
    fn from(path: &P) -> Self {
        Self::File(path.as_ref().to_owned())
    }
}

impl From<PathBuf> for Input {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

/// Pictures in an order: those of a set, or a list.
#[derive(Clone, Debug)]
pub enum Inputs {
    /// A set's samples.
    Set(Arc<PictureSet>),
    /// One after the other.
    List(Vec<Input>),
}

impl From<Arc<PictureSet>> for Inputs {
    fn from(set: Arc<PictureSet>) -> Self {
        Self::Set(set)
    }
}

impl From<Vec<Input>> for Inputs {
    fn from(inputs: Vec<Input>) -> Self {
        Self::List(inputs)
    }
}

impl From<Vec<PathBuf>> for Inputs {
    fn from(files: Vec<PathBuf>) -> Self {
        files.into_iter().map(Input::File).collect()
    }
}

impl From<Input> for Inputs {
    fn from(input: Input) -> Self {
        Self::List(vec![input])
    }
}

impl FromIterator<Input> for Inputs {
    fn from_iter<I: IntoIterator<Item = Input>>(inputs: I) -> Self {
        Self::List(inputs.into_iter().collect())
    }
}

/// Numbered pictures, which a [`Loader`](crate::Loader) decodes from several threads.
///
/// # Panics
/// The methods that take an index, where there is no picture of that number.
pub trait Samples: Send + Sync + 'static {
    /// How many there are.
    fn count(&self) -> usize;

    /// The file, or what errors call the picture.
    fn name(&self, index: usize) -> PathBuf;

    /// The position of its class, where it has one.
    fn label(&self, index: usize) -> Option<usize>;

    /// Which share of what was listed could not be used then, so that there are no samples of it.
    fn lost_share(&self) -> f64 {
        0.0
    }

    /// Refuses a picture that is no longer the one it was when the samples were listed.
    ///
    /// # Errors
    /// A file that has gone or changed.
    fn check_unchanged(&self, index: usize) -> Result<(), DecodeError>;

    /// Decodes it; with `least_side` a reduced copy will do, as in
    /// [`decode_reduced`](crate::decode::decode_reduced).
    ///
    /// # Errors
    /// What cannot be read or is no picture.
    fn picture(
        &self,
        index: usize,
        format: PixelFormat,
        limits: &Limits,
        least_side: Option<u32>,
    ) -> Result<Arc<Picture>, DecodeError>;
}

impl Samples for PictureSet {
    fn count(&self) -> usize {
        self.len()
    }

    fn name(&self, index: usize) -> PathBuf {
        self.path(index)
    }

    fn label(&self, index: usize) -> Option<usize> {
        self.samples[index].label
    }

    fn lost_share(&self) -> f64 {
        PictureSet::lost_share(self)
    }

    fn check_unchanged(&self, index: usize) -> Result<(), DecodeError> {
        self.check_file(index)
    }

    fn picture(
        &self,
        index: usize,
        format: PixelFormat,
        limits: &Limits,
        least_side: Option<u32>,
    ) -> Result<Arc<Picture>, DecodeError> {
        let bytes = self.read(index, limits)?;
        decode::decode_checked(&bytes, format, limits, least_side).map(Arc::new)
    }
}

impl Inputs {
    fn at(&self, index: usize) -> Cow<'_, Input> {
        match self {
            Self::Set(set) => Cow::Owned(Input::Sample { set: Arc::clone(set), index }),
            Self::List(inputs) => Cow::Borrowed(&inputs[index]),
        }
    }
}

impl Samples for Inputs {
    fn count(&self) -> usize {
        match self {
            Self::Set(set) => set.len(),
            Self::List(inputs) => inputs.len(),
        }
    }

    fn name(&self, index: usize) -> PathBuf {
        self.at(index).name()
    }

    fn label(&self, index: usize) -> Option<usize> {
        match self {
            Self::Set(set) => Samples::label(&**set, index),
            Self::List(_) => None,
        }
    }

    fn check_unchanged(&self, index: usize) -> Result<(), DecodeError> {
        match &*self.at(index) {
            Input::Sample { set, index } => set.check_file(*index),
            Input::File(_) | Input::Page { .. } | Input::Bytes { .. } | Input::Picture { .. } => {
                Ok(())
            }
        }
    }

    fn picture(
        &self,
        index: usize,
        format: PixelFormat,
        limits: &Limits,
        least_side: Option<u32>,
    ) -> Result<Arc<Picture>, DecodeError> {
        self.at(index).decoded(format, limits, least_side)
    }
}
