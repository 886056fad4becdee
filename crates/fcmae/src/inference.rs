//! Pictures through a network without gradients: prediction, evaluation, embedding, reconstruction and
//! figures are all computed here.
//!
//! - [`Preparation`]: how pictures become the input of the network that a [`Description`] is of;
//! - [`Pictures`]: pictures prepared so, in batches, decoded ahead by other threads;
//! - [`Inference`]: a network with its preparation, on a device.
//!
//! What comes out for a picture does not depend on the batch that it is in, nor on threads.

pub mod diversity;
pub mod embed;
pub mod evaluate;
pub mod maps;
pub mod picture;
pub mod predict;
pub mod reconstruct;
pub mod survey;
pub mod thumbnail;

use std::sync::Arc;

use fcmae_data::source::printable;
use fcmae_data::{
    DataError, Input, Inputs, Loader, LoaderOptions, Mixing, Normalization, PictureSet, Samples,
    Skipped, Transform,
};
use image::RgbImage;

use crate::engine::backend::Backend;
use crate::engine::feed::Feed;
use crate::engine::module::Network;
use crate::engine::tape::Pass;
use crate::engine::tensor::Tensor;
use crate::error::{Error, Result};
use crate::inference::embed::{Backbone, Features};
use crate::network::autoencoder::Autoencoder;
use crate::network::loss::log_softmax;
use crate::network::memory;
use crate::network::model::{Classifier, Encoder};
use crate::weights::{Description, Weights};

/// The most pictures that go through a network at a time unless another number is asked for. More are
/// no faster.
const MOST_AT_ONCE: usize = 16;
/// Memory for the results of a batch that is chosen here. A picture that takes more goes alone.
const MODEST: u64 = 512 << 20;
/// The same on a card, where few pictures at a time leave most of it idle.
const MOST_ON_CARD: usize = 128;
const MODEST_ON_CARD: u64 = 2 << 30;

/// A module that weights can fill.
pub trait FromWeights: Sized {
    /// The network with these weights.
    ///
    /// # Errors
    /// Weights that lack a part of it, or are of another network.
    fn from_weights(weights: &Weights) -> Result<Network<Self>>;
}

impl FromWeights for Classifier {
    fn from_weights(weights: &Weights) -> Result<Network<Self>> {
        weights.classifier()
    }
}

impl FromWeights for Autoencoder {
    fn from_weights(weights: &Weights) -> Result<Network<Self>> {
        Ok(weights.autoencoder()?.0)
    }
}

impl FromWeights for Encoder {
    fn from_weights(weights: &Weights) -> Result<Network<Self>> {
        weights.encoder()
    }
}

impl FromWeights for Backbone {
    fn from_weights(weights: &Weights) -> Result<Network<Self>> {
        Network::open(weights)
    }
}

/// A network, what it is of, and how pictures become its input. Any number of threads may use one.
#[derive(Debug)]
pub struct Inference<M> {
    network: Network<M>,
    description: Description,
    preparation: Preparation,
}

impl<M> Inference<M> {
    /// The network with these weights.
    ///
    /// # Errors
    /// Weights that lack a part of it, or whose images cannot be cut into patches; a device that cannot
    /// be used.
    pub fn open(weights: &Weights, backend: &Backend) -> Result<Self>
    where
        M: FromWeights,
    {
        let network = M::from_weights(weights)?;
        let Description { model, image_size: [height, width], .. } = &weights.description;
        model.patch_grid(*height, *width).map_err(|error| Error::File {
            path: weights.path.clone(),
            reason: format!("the recorded image size cannot be used: {error}"),
        })?;
        model.check_on(backend, None)?;
        Ok(Self::new(network.on(backend)?, weights.description.clone()))
    }

    /// Of a network in memory, wherever that is computed.
    pub fn new(network: Network<M>, description: Description) -> Self {
        let preparation = Preparation::new(&description).on(network.backend());
        Self { network, description, preparation }
    }

    /// The network.
    pub fn network(&self) -> &Network<M> {
        &self.network
    }

    /// What the weights are of.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// How pictures become the network's input.
    pub fn preparation(&self) -> &Preparation {
        &self.preparation
    }

    /// What `forward` makes of pictures: exactly one result for each of `inputs`, in their order, as they
    /// come. The result of a picture that cannot be used is an error that names it; the others go on.
    ///
    /// `forward` is given the network and images `[N, H, W, channels]` and returns N results. N is chosen
    /// so that a batch takes little memory, 16 at most; a few batches are decoded ahead.
    ///
    /// # Panics
    /// While the iterator is read, where `forward` returns another number of results.
    ///
    /// # Errors
    /// A description whose settings of transform or normalization are not valid.
    pub fn answers<T>(
        &self,
        inputs: impl Into<Inputs>,
        forward: impl FnMut(&Network<M>, &Tensor) -> Result<Vec<T>>,
    ) -> Result<impl Iterator<Item = Result<T>>> {
        self.answers_of(Arc::new(inputs.into()), forward)
    }

    fn answers_of<T>(
        &self,
        inputs: Arc<Inputs>,
        forward: impl FnMut(&Network<M>, &Tensor) -> Result<Vec<T>>,
    ) -> Result<impl Iterator<Item = Result<T>>> {
        let batch = if inputs.count() > 1 { self.batch() } else { 1 };
        Ok(Answers {
            total: inputs.count(),
            pictures: self.preparation.load(inputs, batch)?,
            network: &self.network,
            forward,
            given: 0,
            ready: Vec::new().into_iter(),
            ended: false,
        })
    }

    /// As [`answers`](Self::answers), where values that are no numbers are an error of their picture.
    fn numbers<T: Numbers>(
        &self,
        inputs: impl Into<Inputs>,
        forward: impl FnMut(&Network<M>, &Tensor) -> Result<Vec<T>>,
    ) -> Result<impl Iterator<Item = Result<T>>> {
        let inputs = Arc::new(inputs.into());
        let answers = self.answers_of(Arc::clone(&inputs), forward)?;
        Ok(answers.enumerate().map(move |(index, answer)| {
            let answer = answer?;
            if answer.are_numbers() {
                return Ok(answer);
            }
            Err(Error::NoNumbers { picture: printable(&inputs.name(index)) })
        }))
    }

    /// Pictures at a time.
    fn batch(&self) -> usize {
        let Description { model, image_size, .. } = &self.description;
        // Without a head, one class makes no difference to memory.
        let classes = self.description.classes.len().max(1);
        let backend = self.network.backend();
        let (modest, most) = match backend {
            Backend::Cpu => (MODEST, MOST_AT_ONCE),
            Backend::Card(_) => {
                let free = backend.free_memory().unwrap_or(MODEST_ON_CARD);
                (MODEST_ON_CARD.min(free / 2), MOST_ON_CARD)
            }
        };
        memory::prediction(backend, model, classes, *image_size)
            .map_or(1, |memory| (modest / memory.per_image.max(1)).clamp(1, most as u64) as usize)
    }
}

impl Inference<Classifier> {
    /// A logit a class for each picture. See [`answers`](Self::answers).
    ///
    /// # Errors
    /// A description whose settings of transform or normalization are not valid.
    pub fn logits(
        &self,
        inputs: impl Into<Inputs>,
    ) -> Result<impl Iterator<Item = Result<Vec<f32>>>> {
        self.numbers(inputs, |network, images| Ok(rows(&network.logits(images)?)))
    }

    /// The probability of every class for each picture: the softmax of its logits.
    ///
    /// # Errors
    /// A description whose settings of transform or normalization are not valid.
    pub fn probabilities(
        &self,
        inputs: impl Into<Inputs>,
    ) -> Result<impl Iterator<Item = Result<Vec<f32>>>> {
        let exponential = |row: Vec<f32>| row.into_iter().map(f32::exp).collect();
        Ok(self.likelihoods(inputs)?.map(move |row| row.map(exponential)))
    }

    /// The logarithms of these, which tell classes apart whose probabilities are too small to.
    pub(crate) fn likelihoods(
        &self,
        inputs: impl Into<Inputs>,
    ) -> Result<impl Iterator<Item = Result<Vec<f32>>>> {
        self.numbers(inputs, |network, images| {
            let logits = network.logits(images)?;
            let [_, classes] = logits.dims();
            // Of logits that are numbers, a likelihood may still be too small to be one.
            let finite = |row: &[f32]| row.iter().map(|value| value.clamp(f32::MIN, 0.0)).collect();
            Ok(log_softmax(&logits).chunks_exact(classes).map(finite).collect())
        })
    }
}

impl Inference<Backbone> {
    /// One vector for each picture: see [`Features`].
    ///
    /// # Errors
    /// A description whose settings of transform or normalization are not valid.
    pub fn vectors(
        &self,
        inputs: impl Into<Inputs>,
        features: Features,
    ) -> Result<impl Iterator<Item = Result<Vec<f32>>>> {
        self.numbers(inputs, move |network, images| Ok(rows(&network.vectors(images, features)?)))
    }

    /// One vector for each picture: see [`Backbone::forward`].
    ///
    /// # Errors
    /// A description whose settings of transform or normalization are not valid.
    pub fn embeddings(
        &self,
        inputs: impl Into<Inputs>,
    ) -> Result<impl Iterator<Item = Result<Vec<f32>>>> {
        self.numbers(inputs, |network, images| Ok(rows(&network.embed(images)?)))
    }

    /// The features of one stage, 0 to 3, of each picture, `[1, H/s, W/s, C]`: see [`Network::patches`].
    ///
    /// # Errors
    /// A description whose settings of transform or normalization are not valid.
    ///
    /// # Panics
    /// While the iterator is read, if there is no such stage.
    pub fn patches(
        &self,
        inputs: impl Into<Inputs>,
        stage: usize,
    ) -> Result<impl Iterator<Item = Result<Tensor>>> {
        self.numbers(inputs, move |network, images| {
            let patches = network.patches(images, stage)?;
            let [count, ..] = images.dims::<4>();
            Ok((0..count).map(|image| single(&patches, image)).collect())
        })
    }

    /// The four stages' features of each picture, each `[1, H/s, W/s, C]`: see [`Network::maps`].
    ///
    /// # Errors
    /// A description whose settings of transform or normalization are not valid.
    pub fn maps(
        &self,
        inputs: impl Into<Inputs>,
    ) -> Result<impl Iterator<Item = Result<[Tensor; 4]>>> {
        self.numbers(inputs, |network, images| {
            let maps = network.maps(images)?;
            let [count, ..] = images.dims::<4>();
            Ok((0..count).map(|image| maps.each_ref().map(|map| single(map, image))).collect())
        })
    }
}

impl Inference<Autoencoder> {
    /// One vector for each picture, nothing of it hidden: what [`Features::Pooled`] is of the encoder.
    ///
    /// # Errors
    /// A description whose settings of transform or normalization are not valid.
    pub fn vectors(
        &self,
        inputs: impl Into<Inputs>,
    ) -> Result<impl Iterator<Item = Result<Vec<f32>>>> {
        self.numbers(inputs, |network, images| {
            let pooled = |module: &Autoencoder, pass: &mut Pass<'_>| {
                embed::pooled(&module.encoder, pass, images.clone())
            };
            Ok(rows(&network.infer(pooled)?))
        })
    }
}

/// What a network says of a picture.
trait Numbers {
    /// Whether all values are finite.
    fn are_numbers(&self) -> bool;
}

impl Numbers for Vec<f32> {
    fn are_numbers(&self) -> bool {
        self.iter().all(|value| value.is_finite())
    }
}

impl Numbers for Tensor {
    fn are_numbers(&self) -> bool {
        self.values().iter().all(|value| value.is_finite())
    }
}

impl Numbers for [Tensor; 4] {
    fn are_numbers(&self) -> bool {
        self.iter().all(Tensor::are_numbers)
    }
}

/// The rows of `[N, C]`.
fn rows(values: &Tensor) -> Vec<Vec<f32>> {
    let [_, columns] = values.dims();
    values.values().chunks_exact(columns).map(<[f32]>::to_vec).collect()
}

/// One image of `[N, H, W, C]`, as `[1, H, W, C]`.
fn single(images: &Tensor, image: usize) -> Tensor {
    let [_, height, width, channels] = images.dims();
    let size = height * width * channels;
    Tensor::new(images.values()[image * size..][..size].to_vec(), [1, height, width, channels])
}

/// Batches through a network, one result after the other.
struct Answers<'a, M, T, F> {
    pictures: Pictures,
    network: &'a Network<M>,
    forward: F,
    /// All inputs, and how many of them have been answered.
    total: usize,
    given: usize,
    ready: std::vec::IntoIter<Result<T>>,
    /// Whether nothing more comes, after an error that is not of a picture or a panic of `forward`.
    ended: bool,
}

impl<M, T, F: FnMut(&Network<M>, &Tensor) -> Result<Vec<T>>> Answers<'_, M, T, F> {
    fn batch(&mut self, batch: Prepared) -> Result<Vec<Result<T>>> {
        let found = if batch.indices.is_empty() {
            Vec::new()
        } else {
            (self.forward)(self.network, &batch.images)?
        };
        let (count, results) = (batch.indices.len(), found.len());
        assert_eq!(
            results, count,
            "{results} results of {count} pictures; there must be one of each"
        );
        let good = batch.indices.into_iter().zip(found.into_iter().map(Ok));
        let mut all: Vec<_> =
            good.chain(batch.failed.into_iter().map(|(index, why)| (index, Err(why)))).collect();
        all.sort_by_key(|(index, _)| *index);
        Ok(all.into_iter().map(|(_, result)| result).collect())
    }
}

impl<M, T, F: FnMut(&Network<M>, &Tensor) -> Result<Vec<T>>> Iterator for Answers<'_, M, T, F> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended && self.given < self.total {
            if let Some(result) = self.ready.next() {
                self.given += 1;
                return Some(result);
            }
            // Where `forward` panics and somebody goes on, nobody has an answer that is another's.
            self.ended = true;
            match self.pictures.next()?.and_then(|batch| self.batch(batch)) {
                Ok(results) => self.ready = results.into_iter(),
                Err(error) => return Some(Err(error)),
            }
            self.ended = false;
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.total - self.given))
    }
}

/// From pictures to a network's input, as in evaluation.
#[derive(Clone, Debug)]
pub struct Preparation {
    transform: Transform,
    normalization: Normalization,
    /// For batches of one, in the calling thread.
    options: LoaderOptions,
    /// For what computes them.
    backend: Backend,
}

impl Preparation {
    /// As the weights were evaluated.
    pub fn new(description: &Description) -> Self {
        Self {
            transform: Transform::Eval(description.transform()),
            normalization: description.normalization(),
            options: LoaderOptions {
                depth: description.depth,
                limits: description.limits(),
                // Each bad one is reported by its own error.
                max_bad_fraction: 1.0,
                workers: 0,
                ..LoaderOptions::eval(1)
            },
            backend: Backend::Cpu,
        }
    }

    /// The same for networks on `backend`.
    pub(crate) fn on(mut self, backend: &Backend) -> Self {
        self.backend = backend.clone();
        self
    }

    /// Pictures as the network's input, `batch` at a time, in their order.
    ///
    /// # Errors
    /// A `batch` of 0; a description whose settings of transform or normalization are not valid.
    pub fn pictures(&self, inputs: impl Into<Inputs>, batch: usize) -> Result<Pictures> {
        self.load(Arc::new(inputs.into()), batch)
    }

    fn load(&self, inputs: Arc<Inputs>, batch: usize) -> Result<Pictures> {
        // A single picture is not worth a thread.
        let workers = match inputs.count() {
            0 | 1 => 0,
            count => LoaderOptions::eval(batch).workers.min(count),
        };
        let options = LoaderOptions { batch, workers, ..self.options.clone() };
        let (transform, normalization) = (self.transform.clone(), self.normalization.clone());
        let feed = Feed::new(&self.backend, &normalization)?;
        let batches = Loader::delivering(inputs, transform, normalization, &options, feed)?;
        Ok(Pictures { batches })
    }

    /// One picture as the network's input, `[1, H, W, channels]`.
    ///
    /// # Errors
    /// What is no picture.
    pub fn input(&self, input: impl Into<Input>) -> Result<Tensor> {
        let mut pictures = self.pictures(input.into(), 1)?;
        let Prepared { images, mut failed, .. } =
            pictures.next().expect("one picture is one batch")?;
        failed.pop().map_or(Ok(images), |(_, error)| Err(error))
    }

    /// One of a set as the network's input, `[1, H, W, channels]`.
    ///
    /// # Errors
    /// A sample that is no picture.
    pub fn sample(&self, set: &Arc<PictureSet>, index: usize) -> Result<Tensor> {
        self.input(Input::Sample { set: Arc::clone(set), index })
    }

    /// The same for people to look at.
    ///
    /// # Errors
    /// A sample that is no picture.
    pub fn shown(&self, set: &Arc<PictureSet>, index: usize) -> Result<RgbImage> {
        let input = self.sample(set, index)?;
        let [_, height, width, _] = input.dims();
        let tones = picture::tones(self.normalization.clone(), self.options.depth);
        picture::denormalize(input.values(), [height, width], &tones)
    }
}

/// Prepared pictures, in batches: an iterator, and after [`rewind`](Self::rewind) once more. The threads
/// that load ahead stay until it is dropped.
#[derive(Debug)]
pub struct Pictures {
    batches: Loader<Inputs, Feed>,
}

/// A batch of prepared pictures.
#[derive(Debug)]
pub struct Prepared {
    /// `[N, H, W, channels]`, normalized. N is 0 where none can be used.
    pub images: Tensor,
    /// The numbers of the N inputs, ascending.
    pub indices: Vec<u32>,
    /// The inputs that cannot be used, and why; the errors name them.
    pub failed: Vec<(u32, Error)>,
}

impl Pictures {
    /// Batches in all.
    pub fn batches(&self) -> u64 {
        self.batches.batches_per_epoch()
    }

    /// The pictures left out of the batches so far, and why.
    pub fn skipped(&self) -> Vec<Skipped> {
        self.batches.skipped()
    }

    /// Goes back to the first batch.
    pub fn rewind(&mut self) {
        self.batches.seek(0, 0);
    }
}

impl Iterator for Pictures {
    /// An error is one of loading itself, and the last that comes.
    type Item = Result<Prepared>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match self.batches.next()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error.into())),
        };
        let failed = self.batches.take_failed().into_iter().map(|(index, source)| {
            let path = self.batches.folder().name(index as usize);
            (index, DataError::Picture { path, source }.into())
        });
        let failed = failed.collect();
        let shape = [batch.len(), batch.height, batch.width, batch.channels];
        let images = batch.images.tensor(shape, &Mixing::Unmixed);
        Some(images.map(|images| Prepared { images, indices: batch.indices, failed }))
    }
}
