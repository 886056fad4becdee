//! Generated pictures and small settings for runs that take seconds.

use std::path::Path;

use fcmae::config::{
    DataConfig, DecoderConfig, FinetuneConfig, FinetuneOptions, ModelConfig, OptimConfig,
    PretrainConfig, SaveConfig,
};
use fcmae::inference::picture::save_png;
use image::{Rgb, RgbImage};

use crate::fill;

/// Names of the classes that [`write`] makes: stripes of one direction and colour each.
pub(crate) const CLASSES: [&str; 3] = ["diagonal", "lying", "standing"];

/// Writes `per_class` pictures of 32 × 32 pixels for each class, a sub-folder for each.
pub(crate) fn write(folder: &Path, per_class: usize) {
    write_from(folder, 0, per_class);
}

/// As [`write`], pictures from number `first` on: other ones.
pub(crate) fn write_from(folder: &Path, first: usize, per_class: usize) {
    for (class, name) in CLASSES.iter().enumerate() {
        std::fs::create_dir_all(folder.join(name)).unwrap();
        for number in first..first + per_class {
            let file = folder.join(name).join(format!("{number:03}.png"));
            save_png(&picture(class, number), &file).unwrap();
        }
    }
}

/// As [`write`], as BMP files: the same bytes whatever encodes them.
pub(crate) fn write_bmp(folder: &Path, per_class: usize) {
    const HEADER: u32 = 54;
    for (class, name) in CLASSES.iter().enumerate() {
        std::fs::create_dir_all(folder.join(name)).unwrap();
        for number in 0..per_class {
            let picture = picture(class, number);
            let (width, height) = picture.dimensions();
            let size = 3 * width * height;
            let mut bytes = b"BM".to_vec();
            for field in [HEADER + size, 0, HEADER, 40, width, height, 24 << 16 | 1, 0, size] {
                bytes.extend(field.to_le_bytes());
            }
            bytes.resize(HEADER as usize, 0);
            // From the lowest row up, as blue, green and red; a row of 32 needs no padding.
            for row in picture.rows().rev() {
                bytes.extend(row.flat_map(|&Rgb([red, green, blue])| [blue, green, red]));
            }
            std::fs::write(folder.join(name).join(format!("{number:03}.bmp")), bytes).unwrap();
        }
    }
}

/// Stripes of the class's direction and colour, with the number's width and phase.
fn picture(class: usize, number: usize) -> RgbImage {
    let draws = fill::uniform(&format!("picture {class} {number}"), 2);
    let width = 4.5 + draws[0];
    let phase = 3.0 * draws[1];
    RgbImage::from_fn(32, 32, |x, y| {
        let (x, y) = (f64::from(x), f64::from(y));
        let across = [(x + y) / 2f64.sqrt(), y, x][class];
        let wave = (across / width + phase).sin();
        let mut pixel = [40; 3];
        pixel[class] = (130.0 + 100.0 * wave) as u8;
        Rgb(pixel)
    })
}

/// A network of four thin blocks for images of 32 × 32 pixels, which it cuts into 16 patches.
fn model() -> ModelConfig {
    ModelConfig { stem_stride: 1, ..ModelConfig::custom([1, 1, 1, 1], [8, 8, 16, 16]) }
}

fn data() -> DataConfig {
    DataConfig { image_size: [32, 32], crop_scale: [0.6, 1.0], workers: 1, ..Default::default() }
}

/// Saves every epoch.
pub(crate) fn pretraining(epochs: u64, batch: usize, accumulation: usize) -> PretrainConfig {
    let defaults = PretrainConfig::default();
    PretrainConfig {
        seed: 7,
        model: model(),
        decoder: DecoderConfig { width: 16, depth: 1 },
        data: data(),
        optim: OptimConfig {
            epochs,
            warmup_epochs: 1.0,
            batch,
            accumulation,
            base_lr: 0.1,
            ..defaults.optim
        },
        save: SaveConfig { every_epochs: 1, ..SaveConfig::default() },
        ..defaults
    }
}

/// Writes twelve pictures, black but for one that is beyond what the first layer norm can square; a pre-training of
/// four to an update.
pub(crate) fn one_beyond_numbers(folder: &Path) -> PretrainConfig {
    std::fs::create_dir_all(folder).unwrap();
    for number in 0..12 {
        let light = if number == 5 { 255 } else { 0 };
        let picture = RgbImage::from_pixel(16, 16, Rgb([light, light / 2, 0]));
        save_png(&picture, &folder.join(format!("{number:02}.png"))).unwrap();
    }
    let mut config = pretraining(3, 4, 1);
    config.data.image_size = [16, 16];
    config.data.crop_scale = [1.0, 1.0];
    // Deep, as those of 8 bits may have no such deviation.
    config.data.depth = fcmae_data::Depth::Deep;
    (config.data.mean, config.data.std) = (vec![0.0; 3], vec![1e-38; 3]);
    config
}

/// Saves every epoch; no held-out pictures.
pub(crate) fn finetuning(epochs: u64, batch: usize, accumulation: usize) -> FinetuneConfig {
    let defaults = FinetuneConfig::default();
    FinetuneConfig {
        seed: 7,
        device: defaults.device,
        precision: defaults.precision,
        check_memory: true,
        model: model(),
        data: data(),
        optim: OptimConfig {
            epochs,
            warmup_epochs: 1.0,
            batch,
            accumulation,
            base_lr: 0.1,
            ..defaults.optim
        },
        finetune: FinetuneOptions {
            held_out: 0.0,
            drop_path: 0.0,
            layer_decay: 1.0,
            evaluate_every: 1,
            ..defaults.finetune
        },
        save: SaveConfig { every_epochs: 1, ..SaveConfig::default() },
    }
}
