#![allow(clippy::unwrap_used)]

use fcmae_cuda_emulator::{Emulated, Order};
use fcmae_data::augment::Crop;
use fcmae_data::{Picture, PixelFormat, RandomErasing, random};

use super::*;

const SIZE: [u32; 2] = [9, 7];

/// Pictures that differ from one another, and boxes of noise for most of them.
fn batch(seed: u64, count: usize, format: PixelFormat) -> (Vec<Picture>, Vec<(usize, Noise)>) {
    let ([height, width], channels) = (SIZE, format.channels);
    let rng = &mut random::keyed(seed, "test", 0, 0);
    let erasing = RandomErasing { probability: 0.7, ..RandomErasing::new() };
    let (mut pictures, mut erased) = (Vec::new(), Vec::new());
    for number in 0..count {
        let values = (0..height * width * channels).map(|_| random::below(rng, 256));
        pictures.push(match format.depth {
            Depth::Eight => {
                let values = values.map(|value| value as u8).collect();
                Picture::new(width, height, channels, values).unwrap()
            }
            Depth::Deep => {
                let values = values.map(|value| value as f32 / 100.0).collect();
                Picture::deep(width, height, channels, values).unwrap()
            }
        });
        let noise = erasing.noise([height, width, channels], rng).unwrap();
        erased.extend(noise.map(|noise| (number, noise)));
    }
    (pictures, erased)
}

fn mixings() -> Vec<Mixing> {
    let cut = |left, top, width, height| Mixing::Cutmix { area: Crop { left, top, width, height } };
    let mut mixings = vec![Mixing::Unmixed, cut(0, 0, 7, 9), cut(2, 3, 4, 1), cut(3, 3, 0, 2)];
    mixings.extend([0.3, 0.123_456_789].map(|lambda| Mixing::Mixup { lambda }));
    mixings
}

/// What is loaded ahead, and then taken.
fn tensors(
    backend: &Backend,
    formats: &[(usize, PixelFormat)],
    mixing: &Mixing,
) -> Result<Vec<Vec<u32>>> {
    let mut on_the_way = Vec::new();
    for (seed, &(count, format)) in formats.iter().enumerate() {
        let channels = format.channels as usize;
        let mean = (0..channels).map(|channel| 0.4 + channel as f32 / 10.0).collect();
        let normalization = Normalization { mean, std: vec![0.229; channels] };
        let (pictures, erased) = batch(seed as u64, count, format);
        let normalization = &normalization;
        let images = Feed::new(backend, normalization)?.deliver(Assembled {
            pictures,
            erased,
            normalization,
        })?;
        on_the_way.push((images, [count, SIZE[0] as usize, SIZE[1] as usize, channels]));
    }
    let tensor = |(images, shape): (Images, [usize; 4])| {
        let tensor = images.tensor(shape, mixing)?;
        assert_eq!(*tensor.shape(), shape);
        assert_eq!(tensor.card().is_some(), matches!(backend, Backend::Card(_)) && shape[0] > 0);
        Ok(tensor.values().iter().map(|value| value.to_bits()).collect())
    };
    on_the_way.into_iter().map(tensor).collect()
}

fn formats() -> Vec<(usize, PixelFormat)> {
    let deep = PixelFormat { channels: 2, depth: Depth::Deep };
    vec![(5, 3.into()), (1, 3.into()), (4, 1.into()), (0, 3.into()), (3, deep)]
}

#[test]
fn a_card_makes_the_same_bits_of_pictures_as_the_processor() {
    for mixing in mixings() {
        let expected = tensors(&Backend::Cpu, &formats(), &mixing).unwrap();
        for order in Order::ALL {
            let driver = Arc::new(Emulated::new(order));
            let card = Card::new(driver.clone(), Element::Bf16);
            let found = tensors(&Backend::Card(card), &formats(), &mixing).unwrap();
            assert_eq!(found, expected, "{mixing:?} in order {order:?}");
            assert_eq!(driver.counts().bytes, 0);
        }
    }
}

#[test]
fn what_fails_on_the_way_is_told_where_the_batch_is_needed() {
    let formats = [(3, PixelFormat::from(3))];
    let mixing = Mixing::Mixup { lambda: 0.4 };
    let small = Arc::new(Emulated::new(Order::Late).with_memory(256));
    let error = tensors(&Backend::Card(Card::new(small, Element::F32)), &formats, &mixing);
    assert!(error.unwrap_err().to_string().contains("memory"));
}
