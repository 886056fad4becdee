//! Whole networks on the tests' card, beside the processor: one step, many updates, and what goes wrong.

mod failures;
mod orders;
mod step;
mod updates;

use std::collections::BTreeMap;
use std::sync::Arc;

use fcmae::config::{BlockKind, DecoderConfig, ModelConfig, OptimConfig, PretrainConfig};
use fcmae::engine::backend::Backend;
use fcmae::engine::module::Network;
use fcmae::engine::ops::{self, Affine};
use fcmae::engine::parameters::Parameter;
use fcmae::engine::tape::Pass;
use fcmae::engine::tensor::Tensor;
use fcmae::network::mask::Mask;
use fcmae::network::model::{Classifier, DropPath};
use fcmae::training::Learner;
use fcmae_cuda::card::Card;
use fcmae_cuda::work::Element;
use fcmae_cuda_emulator::{Emulated, Order};

use crate::differentiate::{self, Operand};
use crate::fill;
use crate::summary::relative_error;

/// A card with its driver.
struct Device {
    driver: Arc<Emulated>,
    backend: Backend,
}

impl Device {
    fn new(order: Order, features: Element) -> Self {
        Self::of(Emulated::new(order), features)
    }

    fn of(driver: Emulated, features: Element) -> Self {
        let driver = Arc::new(driver);
        let backend = Backend::Card(Card::new(driver.clone(), features));
        Self { driver, backend }
    }

    /// Panics where anything is left on the card.
    fn is_empty(&self) {
        let counts = self.driver.counts();
        assert_eq!((counts.bytes, counts.graphs), (0, 0), "bytes and graphs are left");
    }
}

/// Values by the names of parameters.
type Named = BTreeMap<String, Vec<f32>>;

/// All that have a gradient.
fn gradients<M>(learner: &Learner<M>) -> Named {
    let gradients = learner.gradients().clone().on(&Backend::Cpu).unwrap();
    let of = |(name, of): (&str, Parameter)| Some((name.to_owned(), gradients.get(of)?.to_vec()));
    learner.network().layout().parameters().filter_map(of).collect()
}

/// A network's weights.
fn weights<M>(network: &Network<M>) -> Named {
    let tensors = network.to_named().unwrap();
    tensors.names().map(|name| (name.to_owned(), tensors.get(name).unwrap().data.clone())).collect()
}

fn bits(named: &Named) -> Vec<u32> {
    named.values().flatten().map(|value| value.to_bits()).collect()
}

fn flat(named: &Named) -> Vec<f32> {
    named.values().flatten().copied().collect()
}

/// Panics where all values together are off by more than `all`, or those of one name by more than `each`.
fn compare(about: &str, found: &Named, expected: &Named, [all, each]: [f64; 2]) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{about}");
    let error = relative_error(&flat(found), &flat(expected));
    let errors = found.iter().map(|(name, found)| (relative_error(found, &expected[name]), name));
    let worst = errors.max_by(|(a, _), (b, _)| a.total_cmp(b)).unwrap();
    assert!(error <= all, "{about}: off by {error:.1e}, limit {all:.0e}");
    let (error, name) = worst;
    assert!(error <= each, "{about}: {name} is off by {error:.1e}, limit {each:.0e}");
}

/// How far gradients on a card may be from the processor's: of all together, and of each tensor.
fn limits(features: Element) -> [f64; 2] {
    if features == Element::F32 { [1e-5, 1e-4] } else { [2e-2, 6e-2] }
}

/// Every order of work in its turn.
fn orders() -> impl Iterator<Item = Order> {
    Order::ALL.into_iter().cycle()
}

const BOTH: [Element; 2] = [Element::F32, Element::Bf16];

fn optim() -> OptimConfig {
    PretrainConfig::default().optim
}

/// A small network, by its kind of block.
fn small(block: BlockKind) -> ModelConfig {
    let config = ModelConfig::custom([1, 1, 2, 1], [8, 16, 24, 32]);
    ModelConfig { block, stem_stride: 1, ..config }
}

/// A network that is as small as can be.
fn tiny() -> ModelConfig {
    ModelConfig { stem_stride: 1, ..ModelConfig::custom([1, 1, 1, 1], [8, 8, 8, 8]) }
}

/// A classifier of five classes, which are no whole pack.
fn classifier(model: &ModelConfig) -> Network<Classifier> {
    fill::network(|names| Classifier::new(names, model, CLASSES))
}

const CLASSES: usize = 5;

/// Pictures of number `first` and later ones.
fn pictures(first: usize, count: usize, [height, width]: [usize; 2]) -> Tensor {
    let values = (first..first + count).flat_map(|number| {
        let values = fill::uniform(&format!("picture {number}"), height * width * 3);
        values.into_iter().map(|value| 2.0 * value as f32)
    });
    Tensor::new(values.collect(), [count, height, width, 3])
}

/// Two of five classes are wanted of each picture, in parts that differ.
fn targets(first: usize, count: usize) -> Vec<f32> {
    let targets = (first..first + count).flat_map(|number| {
        let mut row = [0.02; CLASSES];
        row[number % CLASSES] += 0.6;
        row[(number + 2) % CLASSES] += 0.3;
        row
    });
    targets.collect()
}

/// The loss of pictures from `first` on, with branches dropped where `rate` is above 0.
fn classified(
    module: &Classifier,
    pass: &mut Pass<'_>,
    [first, count]: [usize; 2],
    sides: [usize; 2],
    rate: f64,
) -> Tensor {
    let samples: Vec<u32> = (first as u32..).take(count).collect();
    let drop = DropPath::new(rate, 5, 1, 0, &samples);
    let logits = module.forward(pass, pictures(first, count, sides), drop.as_ref());
    ops::cross_entropy(pass, logits, &targets(first, count))
}

/// A layer, and a vector that only odd batches take: what costs next to nothing.
fn layer() -> Network<Vec<Parameter>> {
    let operands = [("weight", vec![8, 8]), ("bias", vec![8]), ("more", vec![8])];
    let operand = |(name, shape): (&str, Vec<usize>)| match *shape {
        [rows, columns] => Operand::filled(name, [rows, columns], 0.5),
        _ => Operand::filled(name, [8], 0.5),
    };
    differentiate::network(&operands.map(operand))
}

fn layers_loss(places: &[Parameter], pass: &mut Pass<'_>, batch: usize, rows: usize) -> Tensor {
    let &[weight, bias, more] = places else { panic!("three parameters") };
    let [x, targets] =
        ["x", "targets"].map(|what| Operand::filled(&format!("{what} {batch}"), [rows, 8], 1.0));
    let mut y = ops::linear(pass, x.tensor(), Affine { weight, bias, scale: None });
    if batch % 2 == 1 {
        let more = ops::parameter(pass, more).reshape([1, 8]);
        let more = ops::select_rows(pass, more, vec![0; rows], ops::Filler::None);
        y = ops::residual(pass, y, more, None);
    }
    ops::mean_squared_difference(pass, y, targets.tensor())
}

/// A mask for two by two patches of `count` pictures.
fn mask(round: u64, count: usize) -> Mask {
    let samples: Vec<u32> = (0..count as u32).collect();
    Mask::random([2, 2], 0.5, 3, round, &samples).unwrap()
}

const DECODER: DecoderConfig = DecoderConfig { width: 8, depth: 1 };
