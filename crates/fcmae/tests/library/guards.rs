//! What the engine refuses, and what a refusal leaves behind.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use fcmae::Error;
use fcmae::config::{
    DecoderConfig, FinetuneConfig, ModelConfig, OptimConfig, PretrainConfig, Size, from_recipe,
};
use fcmae::data::DataError;
use fcmae::engine::module::Network;
use fcmae::engine::ops::{self, Affine};
use fcmae::engine::parameters::{Arena, Layout, Names, Parameter};
use fcmae::engine::tape::Pass;
use fcmae::engine::tensor::Tensor;
use fcmae::error::ConfigError;
use fcmae::measure::bench::{Job, Work};
use fcmae::network::autoencoder::Autoencoder;
use fcmae::network::loss::log_softmax;
use fcmae::network::mask::Mask;
use fcmae::network::model::Classifier;
use fcmae::training::optim::{AdamW, Gradients};
use fcmae::training::{Flow, Learner, Plan, Start, pretrain};
use rayon::prelude::*;

use crate::fill;

/// Why `work` is refused.
fn refusal<T>(work: impl FnOnce() -> T) -> String {
    let Err(refused) = catch_unwind(AssertUnwindSafe(work)) else { panic!("nothing is refused") };
    match refused.downcast::<String>() {
        Ok(said) => *said,
        Err(refused) => (*refused.downcast::<&str>().unwrap()).to_owned(),
    }
}

/// As many values as the shape has, none of them 0.
fn tensor<const D: usize>(shape: [usize; D]) -> Tensor {
    Tensor::new(vec![1.5; shape.iter().product()], shape)
}

/// An optimizer goes on from a checkpoint as a fresh one does, whatever it did before.
#[test]
fn a_used_optimizer_takes_up_a_checkpoint_as_a_fresh_one() {
    let ([a, b], layout) = Layout::of(|names| ["a", "b"].map(|name| names.parameter(name, [2, 3])));
    let config = PretrainConfig::default().optim;
    let step = |optimizer: &mut AdamW, weights: &mut Arena, of, loss| {
        let mut gradients = Gradients::new(&layout);
        gradients.add(of, &[0.5, -1.0, 2.0, 0.25, -3.0, 1.0]);
        optimizer.step(weights, &gradients, loss, 0.1, |_| 1.0, None).unwrap().made
    };
    let mut saved = AdamW::new(&config, &layout);
    assert!(step(&mut saved, &mut Arena::zeros(&layout), a, 1.0));

    let mut used = AdamW::new(&config, &layout);
    assert!(step(&mut used, &mut Arena::zeros(&layout), b, 1.0));
    assert!(!step(&mut used, &mut Arena::zeros(&layout), b, f32::NAN), "no number: it stops");
    let mut fresh = AdamW::new(&config, &layout);
    let mut weights = [&mut used, &mut fresh].map(|optimizer| {
        optimizer.restore(&saved.state().unwrap(), 1).unwrap();
        assert_eq!(optimizer.state().unwrap().names().count(), 2, "the moments of a alone");
        let mut weights = Arena::zeros(&layout);
        assert!(step(optimizer, &mut weights, b, 1.0), "it makes updates again");
        weights
    });
    let [used, fresh] = weights.each_mut().map(|weights| weights.get(b).to_vec());
    assert_eq!(used, fresh, "the old moments of b are gone");
}

/// The values would be enough, but not for these shapes.
#[test]
fn operands_of_other_shapes_are_refused() {
    let empty = Network::new(|_| ());
    let residual = |branch: Tensor, scale: &[f32]| {
        let scale: Arc<[f32]> = scale.into();
        empty
            .infer(|(), pass| {
                ops::residual(pass, tensor([4, 1, 2]), branch.clone(), Some(Arc::clone(&scale)))
            })
            .unwrap()
    };
    assert_eq!(residual(tensor([4, 1, 2]), &[1.0; 4]).values(), [3.0; 8]);
    for scales in [0, 1, 2, 8] {
        let said = refusal(|| residual(tensor([4, 1, 2]), &vec![1.0; scales]));
        assert!(said.contains(&format!("{scales} scales for 4 images")), "{said}");
    }
    let said = refusal(|| residual(tensor([4, 2, 1]), &[1.0; 4]));
    assert!(said.contains("[4, 2, 1]"), "{said}");
    let said = refusal(|| {
        let [a, b] = [tensor([2, 3]), tensor([3, 2])];
        empty.infer(|(), pass| ops::mean_squared_difference(pass, a.clone(), b.clone())).unwrap()
    });
    assert!(said.contains("[3, 2]"), "{said}");
}

/// A layer whose weight is its bias, so that its gradients would have one place.
#[test]
fn a_gradient_that_was_not_written_is_none() {
    let network = Network::new(|names| names.starting_at("w", [1], 1.0));
    let w = *network.module();
    let mut learner = Learner::new(network, &PretrainConfig::default().optim);
    let said = refusal(|| {
        learner
            .learn(1, |_, pass| {
                let x = ops::parameter(pass, w).reshape([1, 1]);
                let affine = Affine { weight: w, bias: w, scale: None };
                let x = ops::linear(pass, x, affine);
                ops::mean_squared_difference(pass, x, tensor([1, 1]))
            })
            .unwrap()
    });
    assert!(said.contains("overlap"), "{said}");
    assert!(learner.gradients().get(w).is_none(), "the kernel did not run");
}

/// A loss of both parameters.
fn pair() -> Network<[Parameter; 2]> {
    Network::new(|names| ["a", "b"].map(|name| names.parameter(name, [2, 3])))
}

fn loss_of_pair(places: &[Parameter; 2], pass: &mut Pass<'_>) -> Tensor {
    let [a, b] = places.map(|place| ops::parameter(pass, place));
    let sum = ops::residual(pass, a.reshape([1, 2, 3]), b.reshape([1, 2, 3]), None);
    ops::mean_squared_difference(pass, sum, tensor([1, 2, 3]))
}

#[test]
fn what_is_frozen_adds_up() {
    let config = PretrainConfig::default().optim;
    let mut learner =
        Learner::new(pair(), &config).freezing(|name| name == "a").freezing(|name| name == "b");
    learner.learn(1, loss_of_pair).unwrap();
    for place in *learner.network().module() {
        assert!(learner.gradients().get(place).is_none(), "{place:?} is trained");
    }
}

#[test]
fn a_part_of_no_parts_is_refused() {
    let mut learner = Learner::new(pair(), &PretrainConfig::default().optim);
    let said = refusal(|| learner.learn(0, loss_of_pair).unwrap());
    assert!(said.contains("1 part at least, not 0"), "{said}");
    assert!(learner.gradients().get(learner.network().module()[0]).is_none());
}

/// As in training, where a batch of which no picture can be read is passed over.
#[test]
fn the_loss_of_an_update_is_that_of_the_batches_it_got() {
    let config = PretrainConfig::default().optim;
    for (parts, learned) in [(1, 1), (3, 3), (4, 3), (4, 1), (2, 4), (1000, 1000), (5, 0)] {
        let mut learner = Learner::new(pair(), &config);
        let losses: Vec<f32> =
            (0..learned).map(|_| learner.learn(parts, loss_of_pair).unwrap()).collect();
        let shares = losses.iter().map(|loss| loss / parts as f32);
        let (sum, found) = (shares.sum::<f32>(), learner.update(0.1, |_| 1.0).unwrap().loss);
        if parts == learned {
            assert_eq!(found, sum, "{parts} parts: the same bits as ever");
        }
        let expected = losses.first().copied().unwrap_or(0.0);
        assert!((found - expected).abs() < 1e-4, "{learned} of {parts}: {found}, not {expected}");
    }
}

/// In the second pass, since what is kept of the first, which is only traced, has no values.
#[test]
fn a_result_that_is_held_beyond_its_pass_is_refused_at_once() {
    let mut learner = Learner::new(pair(), &PretrainConfig::default().optim);
    let (passes, held) = (AtomicUsize::new(0), Mutex::new(None));
    let keep = |tensor: &Tensor| {
        if passes.fetch_add(1, Ordering::Relaxed) == 1 {
            *held.lock().unwrap() = Some(tensor.clone());
        }
    };
    let said = refusal(|| {
        learner
            .learn(1, |places, pass| {
                keep(&ops::parameter(pass, places[0]));
                loss_of_pair(places, pass)
            })
            .unwrap()
    });
    assert!(said.contains("held beyond its pass"), "{said}");
    *held.lock().unwrap() = None;
    assert!(learner.learn(1, loss_of_pair).unwrap() > 0.0, "once it is dropped, all is well");

    passes.store(0, Ordering::Relaxed);
    let said = refusal(|| {
        pair()
            .infer(|places, pass| {
                let values = ops::parameter(pass, places[0]);
                keep(&values);
                values
            })
            .unwrap()
    });
    assert!(said.contains("held beyond its pass"), "{said}");
}

/// By shape alone they could be anybody's.
#[test]
fn parameters_of_other_networks_are_refused() {
    let shape = [2, 3];
    let ([foreign, beyond], _) =
        Layout::of(|names| ["x", "y"].map(|name| names.parameter(name, shape)));
    let (own, layout) = Layout::of(|names| names.parameter("w", shape));
    let build = |names: &mut Names| names.parameter("w", shape);
    let refuse = |what: &str, work: &dyn Fn(Parameter)| {
        work(own);
        for other in [foreign, beyond] {
            let said = refusal(|| work(other));
            assert!(said.contains("a parameter of another network"), "{what}: {said}");
        }
    };
    refuse("reading", &|place| drop(Arena::zeros(&layout).get(place).to_vec()));
    refuse("writing", &|place| Arena::zeros(&layout).get_mut(place).fill(1.0));
    refuse("its gradient", &|place| drop(Gradients::new(&layout).get(place).map(<[f32]>::to_vec)));
    refuse("adding to it", &|place| Gradients::new(&layout).add(place, &[1.0; 6]));
    refuse("inferring", &|place| {
        drop(Network::new(build).infer(|_, pass| ops::parameter(pass, place)).unwrap());
    });
    refuse("training", &|place| {
        let mut learner = Learner::new(Network::new(build), &PretrainConfig::default().optim);
        learner
            .learn(1, |_, pass| {
                let x = ops::parameter(pass, place);
                ops::mean_squared_difference(pass, x, tensor(shape))
            })
            .unwrap();
    });
    // A network made once more in the same way has the same parameters.
    assert_eq!(Some(own), Layout::of(build).1.get("w"));
}

/// The error names the batch that was given, not a defect of the engine.
#[test]
fn a_batch_of_no_images_is_refused_by_its_name() {
    let model = ModelConfig { stem_stride: 1, ..ModelConfig::custom([1; 4], [8; 4]) };
    let decoder = DecoderConfig { width: 8, depth: 1 };
    let none = || Tensor::new(Vec::new(), [0, 16, 16, 3]);
    let classifier = Network::new(|names| Classifier::new(names, &model, 2));
    let said = refusal(|| classifier.logits(&none()).unwrap());
    assert!(said.contains("0 images: it has 1 at least"), "{said}");
    let said = refusal(|| classifier.embed(&none()).unwrap());
    assert!(said.contains("0 images: it has 1 at least"), "{said}");

    let said = Mask::random([2, 2], 0.5, 0, 0, &[]).unwrap_err().to_string();
    assert!(said.contains("0 images; a batch has 1 at least"), "{said}");
    let autoencoder = Network::new(|names| Autoencoder::new(names, &model, &decoder));
    let mask = Mask::random([2, 2], 0.5, 0, 0, &[7]).unwrap();
    let said =
        refusal(|| autoencoder.infer(|net, pass| net.loss(pass, none(), &mask, true)).unwrap());
    assert!(said.contains("a batch has 1 image at least"), "{said}");

    // Operations that are called directly.
    let empty = Network::new(|_| ());
    let said = refusal(|| {
        empty.infer(|(), pass| ops::pool(pass, Tensor::new(vec![], [0, 4, 3]))).unwrap()
    });
    assert!(said.contains("a batch has 1 image at least"), "{said}");
    let logits = || Tensor::new(Vec::new(), [0, 3]);
    let said = refusal(|| empty.infer(|(), pass| ops::cross_entropy(pass, logits(), &[])).unwrap());
    assert!(said.contains("operands of other shapes than it documents, or empty ones"), "{said}");
    assert!(log_softmax(&logits()).is_empty());

    let decoder = DecoderConfig::default();
    let job = Job {
        work: Work::Predict,
        size: Size::Atto,
        image: 32,
        batch: 0,
        mask_ratio: 0.6,
        decoder,
    };
    let said = job.check().unwrap_err().to_string();
    assert!(said.contains("`batch` is 0"), "{said}");
}

#[test]
fn settings_whose_product_overflows_are_refused_by_their_names() {
    let resolve = |setting: &str| from_recipe::<PretrainConfig>(None, &[setting.to_owned()]);
    for (setting, says) in [
        ("data.image_size=[4294967296,4294967296]", "4294967296×4294967296 pixels is too large"),
        ("data.image_size=[65536,65536]", "at most 16384 pixels"),
        ("data.image_size=[32,1099511627776]", "at most 16384 pixels"),
        ("data.image_size=[16384,8192]", "at most 67108864 (`data.image_size`)"),
        ("optim.batch=4611686018427387904", "`optim.batch` is 4611686018427387904"),
        ("optim.accumulation=4611686018427387904", "`optim.accumulation` is 46116860184273879"),
        ("optim.epochs=9223372036854775807", "must be 1 to 1000000000"),
        ("model.channels=4294967299", "model.channels"),
        ("decoder.width=4294967296", "`decoder.width` is 4294967296"),
    ] {
        let said = resolve(setting).unwrap_err().to_string();
        assert!(said.contains(says), "{setting}: {said}");
    }
    assert!(resolve("data.image_size=[8192,8192]").is_ok());
    for (setting, says) in [
        ("data.image_size=[65536,65536]", "at most 16384 pixels"),
        ("finetune.channels=4294967299", "`finetune.channels` is 4294967299"),
    ] {
        let said = from_recipe::<FinetuneConfig>(None, &[setting.to_owned()]).unwrap_err();
        assert!(said.to_string().contains(says), "{setting}: {said}");
    }

    // Settings that nobody has checked, as a program may give them.
    let mut config =
        PretrainConfig { model: ModelConfig::published(Size::Atto), ..resolve("seed=1").unwrap() };
    // Products that would wrap to 2.
    (config.optim.batch, config.optim.accumulation) = ((1 << 63) + 1, 2);
    let wrapped = Plan::new(30, &config.optim);
    assert!(matches!(wrapped, Err(DataError::Parameter { what: "update", .. })));
    let three = OptimConfig { batch: 10, accumulation: 1, ..config.optim.clone() };
    assert!(!Plan::new(30, &three).unwrap().is_due(4, u64::MAX / 3 + 1));
    let train = |config: &PretrainConfig| {
        let folder = Path::new("no such folder");
        pretrain(config, &[folder.to_owned()], Start::Scratch, folder, false, &mut |_| {
            Flow::Continue
        })
    };
    config.data.image_size = [1 << 32; 2];
    assert!(matches!(train(&config), Err(Error::Config(ConfigError::LargeImage { .. }))));
    let job = Job {
        work: Work::Load,
        size: Size::Atto,
        image: 1 << 32,
        batch: 1,
        mask_ratio: 0.6,
        decoder: DecoderConfig::default(),
    };
    assert!(matches!(job.check(), Err(ConfigError::LargeImage { .. })));
    for grid in [[1 << 32; 2], [1 << 16, (1 << 16) - 1]] {
        let said = Mask::random(grid, 0.5, 0, 0, &[0, 1]).unwrap_err().to_string();
        assert!(said.contains("optim.batch"), "{said}");
    }
}

#[test]
fn more_values_than_memory_can_address_are_told() {
    const HALF: usize = 1 << 32;
    let says =
        |said: String| assert!(said.contains("more values than memory can address"), "{said}");
    says(refusal(|| Tensor::new(Vec::new(), [HALF, HALF])));
    says(refusal(|| tensor([4]).reshape([HALF, HALF, 4])));
    says(refusal(|| Layout::of(|names| names.parameter("w", [HALF, HALF]))));
    says(refusal(|| {
        Layout::of(|names| ["a", "b"].map(|name| names.parameter(name, [HALF, HALF - 1])))
    }));
    let (_, layout) = Layout::of(|names| names.parameter("w", [HALF, HALF - 1]));
    assert_eq!(layout.bytes(), u64::MAX);
}

/// A task that waits for others may take up a further picture, on the same thread.
#[test]
fn pictures_of_one_pool_are_as_each_alone() {
    let model = ModelConfig { stem_stride: 1, ..ModelConfig::custom([1; 4], [8; 4]) };
    let network = fill::network(|names| Classifier::new(names, &model, 3));
    let images: Vec<Tensor> = (0..64)
        .map(|n| {
            let sides = [1 + n % 3, 8 * (1 + n % 4), 16, 3];
            let values = fill::uniform(&format!("picture {n}"), sides.iter().product());
            Tensor::new(values.into_iter().map(|value| value as f32).collect(), sides)
        })
        .collect();
    let alone: Vec<_> =
        images.iter().map(|images| network.logits(images).unwrap().to_vec()).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    for _ in 0..4 {
        // Nothing is laid out when they start.
        let fresh = network.clone();
        let together: Vec<_> = pool.install(|| {
            images.par_iter().map(|images| fresh.logits(images).unwrap().to_vec()).collect()
        });
        assert!(together == alone, "other bits where threads share a network");
    }
}
