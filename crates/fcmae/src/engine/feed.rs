//! Pictures on their way from the loader to what computes.
//!
//! For the processor the loader's threads normalize them. To a card these threads send 8-bit values as they are, ahead
//! of the step that needs them and beside the one that runs; the card normalizes, erases and mixes them, with the same
//! bits.

use std::sync::Arc;

use fcmae_cuda::CudaError;
use fcmae_cuda::card::{Card, Sent};
use fcmae_cuda::operations::images as card;
use fcmae_cuda::work::{Element, Values};
use fcmae_data::{Assembled, DataError, Delivery, Depth, Mixing, Noise, Normalization, Normalized};

use crate::engine::backend::Backend;
use crate::engine::tensor::Tensor;
use crate::error::Result;

/// Where the loader's threads leave what they have loaded.
pub(crate) struct Feed(Option<Arc<Target>>);

/// A card, and there `[channels]` each of mean and deviation.
#[derive(Debug)]
struct Target {
    card: Arc<Card>,
    normalization: [Values; 2],
}

impl Feed {
    /// For networks on `backend`, whose pictures are normalized so.
    ///
    /// # Errors
    /// What a card says.
    pub(crate) fn new(backend: &Backend, normalization: &Normalization) -> Result<Self> {
        let Backend::Card(card) = backend else { return Ok(Self(None)) };
        let values = |values: &[f32]| card.put(bytemuck::cast_slice(values), Element::F32);
        let normalization = [values(&normalization.mean)?, values(&normalization.std)?];
        Ok(Self(Some(Arc::new(Target { card: Arc::clone(card), normalization }))))
    }
}

impl Delivery for Feed {
    type Images = Images;

    fn deliver(&self, batch: Assembled<'_>) -> Result<Images, DataError> {
        match &self.0 {
            Some(target) if !batch.pictures.is_empty() => target.send(batch).map(Images::OnTheWay),
            _ => Normalized.deliver(batch).map(Images::Here),
        }
    }
}

/// A batch's pictures before they are a network's input.
#[derive(Debug)]
pub(crate) enum Images {
    /// Normalized, in the processor's memory.
    Here(Vec<f32>),
    OnTheWay(OnTheWay),
}

/// A batch that was sent to a card.
#[derive(Debug)]
pub(crate) struct OnTheWay {
    target: Arc<Target>,
    /// What failed shows where the batch is needed: loading goes on as it does on the processor.
    sent: Result<Sent, CudaError>,
    values: usize,
    parts: Parts,
}

/// What was sent.
#[derive(Clone, Copy, Debug)]
enum Parts {
    /// Bytes; boxes to be erased, of which the largest has so many values; and these values.
    Eight { largest_box: usize },
    /// Values of deep pictures, normalized and erased.
    Normalized,
}

impl Target {
    fn send(self: &Arc<Self>, batch: Assembled<'_>) -> Result<OnTheWay, DataError> {
        let target = Arc::clone(self);
        if batch.pictures.iter().any(|picture| picture.depth() == Depth::Deep) {
            let values = Normalized.deliver(batch)?;
            let sent = self.card.send(&[(bytemuck::cast_slice(&values), Element::F32)]);
            return Ok(OnTheWay { target, sent, values: values.len(), parts: Parts::Normalized });
        }
        let Assembled { pictures, erased, .. } = batch;
        let mut pixels = Vec::with_capacity(pictures.iter().map(|of| of.pixels().len()).sum());
        pictures.iter().for_each(|picture| pixels.extend_from_slice(picture.pixels()));
        drop(pictures);
        let (boxes, noise) = boxes(&erased);
        let sent = self.card.send(&[
            (&pixels, Element::U8),
            (bytemuck::cast_slice(&boxes), Element::I32),
            (bytemuck::cast_slice(&noise), Element::F32),
        ]);
        let largest_box = erased.iter().map(|(_, noise)| noise.values.len()).max().unwrap_or(0);
        let parts = Parts::Eight { largest_box };
        Ok(OnTheWay { target, sent, values: pixels.len(), parts })
    }
}

/// Boxes as [`card::erase`] takes them, and their values.
fn boxes(erased: &[(usize, Noise)]) -> (Vec<i32>, Vec<f32>) {
    let (mut boxes, mut values) = (Vec::with_capacity(erased.len() * card::BOX), Vec::new());
    let number = |size: usize| i32::try_from(size).expect("a batch that a card has memory for");
    for (picture, Noise { area, values: noise }) in erased {
        let [top, left] = [area.top, area.left].map(|side| side as usize);
        let [height, width] = [area.height, area.width].map(|side| side as usize);
        boxes.extend([*picture, top, left, height, width, values.len()].map(number));
        values.extend_from_slice(noise);
    }
    (boxes, values)
}

impl Images {
    /// The network's input, `[N, H, W, channels]`, mixed.
    ///
    /// # Errors
    /// What a card says, also of what was sent to it; a mixing that does not fit.
    pub(crate) fn tensor(self, shape: [usize; 4], mixing: &Mixing) -> Result<Tensor> {
        match self {
            Self::Here(mut values) => {
                mixing.mix_values(&mut values, shape)?;
                Ok(Tensor::new(values, shape))
            }
            Self::OnTheWay(images) => {
                mixing.check(images.values, shape)?;
                Ok(images.tensor(shape, mixing)?)
            }
        }
    }
}

impl OnTheWay {
    fn tensor(self, shape: [usize; 4], mixing: &Mixing) -> Result<Tensor, CudaError> {
        let Self { target, sent, parts, .. } = self;
        let Target { card, normalization: [mean, deviation] } = &*target;
        let sent = card.take(sent?)?;
        let mut commands = Vec::new();
        let images = match parts {
            Parts::Normalized => sent[0].clone(),
            Parts::Eight { largest_box } => {
                let [pixels, boxes, noise] = [&sent[0], &sent[1], &sent[2]];
                let images = Values::own(card.driver(), pixels.len(), Element::F32)?;
                commands.push(card::normalize(pixels, [mean, deviation], &images));
                if largest_box > 0 {
                    commands.push(card::erase([boxes, noise], largest_box, &images, shape));
                }
                images
            }
        };
        commands.extend(mixed(&images, shape, mixing));
        card.run(&commands)?;
        Ok(Tensor::of_card(card, images, shape))
    }
}

/// What mixes images on a card, as [`Mixing::mix_values`] does.
fn mixed(images: &Values, shape: [usize; 4], mixing: &Mixing) -> Option<fcmae_cuda::work::Command> {
    match *mixing {
        Mixing::Unmixed => None,
        Mixing::Mixup { lambda } => {
            Some(card::mix_up(images, shape[0], [lambda as f32, (1.0 - lambda) as f32]))
        }
        Mixing::Cutmix { area } => {
            let area = [area.top, area.left, area.height, area.width].map(|side| side as usize);
            let is_there = shape[0] > 1 && area[2] > 0 && area[3] > 0;
            is_there.then(|| card::mix_cut(images, shape, area))
        }
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests;
