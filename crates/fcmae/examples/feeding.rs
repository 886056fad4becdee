//! Whether loading pictures holds the training up: atto's pre-training step at 224 × 224, fed by the
//! loader and fed the same pixels again and again, in turn.
//!
//! ```text
//! cargo run --release -p fcmae --example feeding -- DATA… [ROUNDS]
//! ```

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use fcmae::config::{PretrainConfig, Settings};
use fcmae::data::{Labels, Loader, PictureSet};
use fcmae::engine::module::Network;
use fcmae::engine::tape::Pass;
use fcmae::engine::tensor::Tensor;
use fcmae::network::autoencoder::Autoencoder;
use fcmae::network::mask::Mask;
use fcmae::network::model::init;
use fcmae::training::Learner;

const BATCH: usize = 32;
/// Steps that are timed of each kind in a round.
const STEPS: usize = 6;

struct Trainer {
    learner: Learner<Autoencoder>,
    norm_pix_loss: bool,
    grid: [usize; 2],
}

impl Trainer {
    fn step(&mut self, pixels: &Tensor, epoch: u64, indices: &[u32]) {
        let mask = Mask::random(self.grid, 0.6, 0, epoch, indices).unwrap();
        let normalized = self.norm_pix_loss;
        let loss = |model: &Autoencoder, pass: &mut Pass<'_>| {
            model.loss(pass, pixels.clone(), &mask, normalized)
        };
        self.learner.learn(1, loss).expect("nothing fails on the processor");
        assert!(self.learner.update(1e-5, |_| 1.0).expect("nothing fails on the processor").made);
    }
}

fn main() {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let rounds = args.last().and_then(|last| last.parse().ok());
    if rounds.is_some() {
        args.pop();
    }
    let rounds: usize = rounds.unwrap_or(5);
    assert!(!args.is_empty(), "name at least one folder, archive or list of pictures");

    let mut config = PretrainConfig::default().resolve().unwrap();
    config.optim.batch = BATCH;
    let mut network = Network::new(|names| Autoencoder::new(names, &config.model, &config.decoder));
    init::initialize(network.weights_mut(), 0, init::WEIGHT_STD);
    let mut trainer = Trainer {
        learner: Learner::new(network, &config.optim),
        norm_pix_loss: config.mask.norm_pix_loss,
        grid: config.model.patch_grid(224, 224).unwrap(),
    };
    for root in &args {
        for cache_mib in [0, 1024] {
            config.data.cache_mib = cache_mib;
            measure(root, &config, &mut trainer, rounds);
        }
    }
}

fn measure(root: &str, config: &PretrainConfig, trainer: &mut Trainer, rounds: usize) {
    let set = Arc::new(PictureSet::open(PathBuf::from(root), Labels::Ignored).unwrap());
    let options = config.data.train_options(BATCH, 0);
    let transform = config.data.train_transform();
    let normalization = config.data.normalization();
    let open = || Loader::new(Arc::clone(&set), transform.clone(), normalization.clone(), &options);
    let mut batches = open().unwrap();
    if config.data.cache_mib > 0 {
        // As from the second epoch on.
        (0..batches.batches_per_epoch()).for_each(|_| drop(batches.next().unwrap().unwrap()));
    }
    let shape = [BATCH, 224, 224, 3];
    let fixed = Tensor::new(batches.next().unwrap().unwrap().images, shape);
    let indices: Vec<u32> = (0..BATCH as u32).collect();
    let (mut fed, mut synthetic, mut waits) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        let since = Instant::now();
        for _ in 0..STEPS {
            trainer.step(&fixed, 0, &indices);
        }
        let plain = since.elapsed().as_secs_f64() / STEPS as f64;
        // Work ahead that the steps before left time for does not count.
        drop(batches.next().unwrap().unwrap());
        drop(batches.next().unwrap().unwrap());
        drop(batches.next().unwrap().unwrap());
        let (since, mut waited) = (Instant::now(), 0.0);
        for _ in 0..STEPS {
            let asked = Instant::now();
            let batch = batches.next().unwrap().unwrap();
            waited += asked.elapsed().as_secs_f64();
            let (epoch, indices) = (batch.epoch, batch.indices.clone());
            let pixels = Tensor::new(batch.images, [indices.len(), 224, 224, 3]);
            trainer.step(&pixels, epoch, &indices);
        }
        let loaded = since.elapsed().as_secs_f64() / STEPS as f64;
        // The first round warms up.
        if round > 0 {
            fed.push(loaded);
            synthetic.push(plain);
            waits.push(waited / STEPS as f64 / loaded);
        }
    }
    let mut ratios: Vec<f64> = fed.iter().zip(&synthetic).map(|(fed, plain)| plain / fed).collect();
    let speed = |times: &mut Vec<f64>| BATCH as f64 / median(times);
    println!(
        "{root}: cache {} MiB: fed {:.1} images/s, synthetic {:.1}, ratio of medians {:.3}, of rounds {:.3}; \
         waiting {:.1} %",
        config.data.cache_mib,
        speed(&mut fed),
        speed(&mut synthetic),
        median(&mut synthetic) / median(&mut fed),
        median(&mut ratios),
        100.0 * median(&mut waits),
    );
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
