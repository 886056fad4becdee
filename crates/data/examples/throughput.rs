//! How fast a set of pictures is found and becomes batches on this machine.
//!
//! ```text
//! cargo run --release -p fcmae-data --example throughput -- DATA [SIZE] [WORKERS]
//! ```

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Instant;

use fcmae_data::{
    EvalTransform, Labels, Limits, Loader, LoaderOptions, Normalization, PictureSet, RandAugment,
    RandomResizedCrop, Transform, decode, random,
};

fn main() -> Result<(), fcmae_data::DataError> {
    let mut args = std::env::args().skip(1);
    let root = args.next().expect("give a folder, an archive or a list of pictures");
    let mut number = |default: u32| args.next().map_or(default, |text| text.parse().unwrap());
    let (size, workers) = (number(224), number(2) as usize);
    let start = Instant::now();
    let folder = Arc::new(PictureSet::open(root, Labels::Ignored)?);
    println!("found in          {:>8.3} s", start.elapsed().as_secs_f64());
    let normalization = Normalization::imagenet(3)?;
    println!("{} pictures, {size}×{size}", folder.len());

    let count = folder.len().min(500);
    let start = Instant::now();
    let pictures: Vec<_> = (0..count)
        .filter_map(|i| folder.read(i, &Limits::default()).ok())
        .filter_map(|bytes| decode::decode(&bytes, 3, &Limits::default()).ok())
        .collect();
    let rate = |start: Instant, count: usize| count as f64 / start.elapsed().as_secs_f64();
    println!("decode            {:>8.1} images/s", rate(start, count));

    let crop = RandomResizedCrop::new(size, size);
    let start = Instant::now();
    let reduced =
        (0..count).filter_map(|i| folder.read(i, &Limits::default()).ok()).filter_map(|bytes| {
            decode::decode_reduced(&bytes, 3, &Limits::default(), crop.least_side()).ok()
        });
    let reduced = reduced.count();
    println!("decode, reduced   {:>8.1} images/s", rate(start, reduced));

    let augmented =
        RandomResizedCrop { rand_augment: Some(RandAugment::new(&normalization)), ..crop.clone() };
    for (name, transform) in [
        ("crop and flip", Transform::Train(crop)),
        ("and RandAugment", Transform::Train(augmented)),
        ("evaluation", Transform::Eval(EvalTransform::new(size, size))),
    ] {
        let start = Instant::now();
        for (i, picture) in pictures.iter().enumerate() {
            transform.apply(picture, &mut random::keyed(0, "augment", 0, i as u64))?;
        }
        println!("{name:<17} {:>8.0} images/s", rate(start, pictures.len()));
    }
    let inputs = EvalTransform::new(size, size);
    let inputs = pictures.iter().map(|p| inputs.apply(p)).collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    for input in &inputs {
        normalization.append(input, &mut Vec::new())?;
    }
    println!("normalize         {:>8.0} images/s", rate(start, inputs.len()));

    for (name, cache_bytes) in [("without a cache", 0), ("with a cache", 1 << 30)] {
        let options =
            LoaderOptions { workers, cache_bytes, ..LoaderOptions::train(64.min(folder.len()), 0) };
        let transform = Transform::Train(RandomResizedCrop::new(size, size));
        let mut loader =
            Loader::new(Arc::clone(&folder), transform, normalization.clone(), &options)?;
        let batches = loader.batches_per_epoch();
        for epoch in 0..2 {
            let start = Instant::now();
            let mut images = 0;
            for batch in loader.by_ref().take(batches as usize) {
                images += batch?.len();
            }
            let rate = rate(start, images);
            println!("{workers} workers {name}, epoch {epoch}: {rate:.0} images/s");
        }
    }
    Ok(())
}
