//! AdamW, the schedule and layer decay equal their references; the moving average its formula.

use std::collections::BTreeMap;
use std::sync::Arc;

use fcmae::config::{ModelConfig, OnNan, OptimConfig, PretrainConfig, Size};
use fcmae::engine::ops;
use fcmae::engine::parameters::{Arena, Layout};
use fcmae::engine::tensor::Tensor;
use fcmae::network::loss::smoothed;
use fcmae::network::model::Classifier;
use fcmae::training::Learner;
use fcmae::training::optim::adamw::Averaging;
use fcmae::training::optim::{AdamW, Gradients, LayerDecay, Outcome, Schedule};
use fcmae_store::{HostTensor, NamedTensors};
use serde::Deserialize;

use crate::fill;
use crate::summary::fixture;

#[derive(Deserialize)]
struct Cases<T> {
    cases: Vec<T>,
}

#[derive(Deserialize)]
struct AdamWCase {
    beta1: f64,
    beta2: f64,
    eps: f64,
    rates: Vec<f64>,
    parameters: Vec<Parameter>,
}

#[derive(Deserialize)]
struct Parameter {
    name: String,
    weight_decay: f64,
    rate_scale: f64,
    start: Vec<f32>,
    gradients: Vec<Vec<f32>>,
    values: Vec<Vec<f64>>,
}

/// A matrix, which is decayed, and a vector, which is not.
fn layout() -> Arc<Layout> {
    let (_, layout) = Layout::of(|names| {
        names.parameter("decayed", [2, 3]);
        names.parameter("plain", [4]);
    });
    layout
}

/// Both parameters, and their optimizer.
struct Two {
    weights: Arena,
    optimizer: AdamW,
}

impl Two {
    fn new(config: &OptimConfig, decayed: &[f32], plain: &[f32]) -> Self {
        let layout = layout();
        let mut weights = Arena::zeros(&layout);
        for (name, values) in [("decayed", decayed), ("plain", plain)] {
            weights.get_mut(layout.get(name).unwrap()).copy_from_slice(values);
        }
        Self { weights, optimizer: AdamW::new(config, &layout) }
    }

    /// An update with gradients of these parameters, a learning rate of 0.1 and a loss of 1.
    fn step(&mut self, gradients: &[(&str, Vec<f32>)]) -> Outcome {
        let gradients = self.gradients(gradients);
        self.optimizer.step(&mut self.weights, &gradients, 1.0, 0.1, |_| 1.0, None).unwrap()
    }

    fn gradients(&self, of: &[(&str, Vec<f32>)]) -> Gradients {
        let layout = self.weights.layout();
        let mut gradients = Gradients::new(layout);
        for (name, values) in of {
            gradients.add(layout.get(name).unwrap(), values);
        }
        gradients
    }

    fn values(&self) -> BTreeMap<String, Vec<f32>> {
        values(&self.weights)
    }
}

fn values(arena: &Arena) -> BTreeMap<String, Vec<f32>> {
    arena.to_named().into_iter().map(|(name, tensor)| (name, tensor.data)).collect()
}

fn plain_settings() -> OptimConfig {
    PretrainConfig::default().optim
}

fn config(case: &AdamWCase) -> OptimConfig {
    OptimConfig {
        beta1: case.beta1,
        beta2: case.beta2,
        eps: case.eps,
        weight_decay: case.parameters[0].weight_decay,
        ..plain_settings()
    }
}

#[test]
fn adamw_equals_pytorchs_in_two_groups() {
    for case in fixture::<Cases<AdamWCase>>("adamw.json").cases {
        let [decayed, plain] = &case.parameters[..] else { panic!("two parameters") };
        assert_eq!((plain.weight_decay, plain.rate_scale), (0.0, 0.5));
        let mut two = Two::new(&config(&case), &decayed.start, &plain.start);
        for (step, &rate) in case.rates.iter().enumerate() {
            let gradients = case.parameters.iter().map(|p| (&*p.name, p.gradients[step].clone()));
            let gradients = two.gradients(&gradients.collect::<Vec<_>>());
            let scale = |name: &str| if name == "plain" { plain.rate_scale } else { 1.0 };
            // The optimizer is put away and taken up again in the middle.
            if step == 1 {
                let state = two.optimizer.state().unwrap();
                two.optimizer = AdamW::new(&config(&case), &layout());
                two.optimizer.restore(&state, 1).unwrap();
            }
            let outcome =
                two.optimizer.step(&mut two.weights, &gradients, 1.0, rate, scale, None).unwrap();
            assert!(outcome.made);
            let found = two.values();
            for parameter in &case.parameters {
                for (f, e) in found[&parameter.name].iter().zip(&parameter.values[step]) {
                    let error = (f64::from(*f) - e).abs();
                    assert!(error < 1e-7, "{} after step {step}: {f}, not {e}", parameter.name);
                }
            }
        }
    }
}

#[test]
fn a_parameter_without_gradient_stays() {
    let mut two = Two::new(&plain_settings(), &[1.0; 6], &[2.0; 4]);
    two.step(&[("plain", vec![1.0; 4])]);
    let found = two.values();
    assert_eq!(found["decayed"], [1.0; 6]);
    assert!(found["plain"].iter().all(|&v| (v - 1.9).abs() < 1e-6), "{found:?}");
    let state = two.optimizer.state().unwrap();
    assert_eq!(state.names().collect::<Vec<_>>(), ["first.plain", "second.plain"]);
}

#[test]
fn gradients_are_added_up() {
    let mut gradients = Gradients::new(&layout());
    let [decayed, plain] = ["decayed", "plain"].map(|name| layout().get(name).unwrap());
    gradients.add(plain, &[1.0; 4]);
    gradients.add(plain, &[0.5; 4]);
    assert_eq!(gradients.get(plain).unwrap(), [1.5; 4]);
    assert!(gradients.get(decayed).is_none());
    gradients.clear();
    assert!(gradients.get(plain).is_none());
    gradients.add(plain, &[2.0; 4]);
    assert_eq!(gradients.get(plain).unwrap(), [2.0; 4]);
}

#[test]
fn clipping_scales_the_global_norm() {
    let gradients =
        |scale: f32| [("decayed", vec![scale * 0.5; 6]), ("plain", vec![scale * 0.4; 4])];
    let two = |clip_norm: f64| {
        let config = OptimConfig { clip_norm, ..plain_settings() };
        Two::new(&config, &[1.0; 6], &[2.0; 4])
    };
    let norm = two(0.0).gradients(&gradients(2.0)).norm();
    assert!((norm - 2.0 * (6.0 * 0.25 + 4.0 * 0.16f64).sqrt()).abs() < 1e-6);
    // Adam's first step hardly depends on the gradient's scale: the moments tell.
    let moments = |clip_norm: f64, scale: f32| {
        let mut two = two(clip_norm);
        let outcome = two.step(&gradients(scale));
        assert_eq!(outcome.norm, two.gradients(&gradients(scale)).norm(), "before clipping");
        two.optimizer.state().unwrap().get("first.plain").unwrap().data[0]
    };
    let half = moments(0.0, 1.0);
    assert!((moments(norm / 2.0, 2.0) - half).abs() < 1e-7, "clipped to half");
    assert!((moments(norm * 1.01, 2.0) - 2.0 * half).abs() < 1e-7, "left alone");
    assert!((moments(0.0, 2.0) - 2.0 * half).abs() < 1e-7, "no limit");
}

#[test]
fn the_moving_average_follows_its_formula() {
    let start = || Two::new(&plain_settings(), &[1.0; 6], &[0.0; 4]);
    let (mut alone, mut averaging) = (start(), start());
    let mut average = start().weights;
    let mut expected = values(&average);
    for step in 0..4 {
        // The second parameter has no gradient at first, nor in the end.
        let mut gradients = vec![("decayed", vec![0.3; 6])];
        if step == 1 || step == 2 {
            gradients.push(("plain", vec![0.3; 4]));
        }
        alone.step(&gradients);
        let gradients = averaging.gradients(&gradients);
        let Two { weights, optimizer } = &mut averaging;
        let into = Averaging { average: &mut average, decay: 0.9 };
        optimizer.step(weights, &gradients, 1.0, 0.1, |_| 1.0, Some(into)).unwrap();
        for (name, expected) in &mut expected {
            for (expected, value) in expected.iter_mut().zip(&alone.values()[name]) {
                *expected = 0.9 * *expected + 0.1 * value;
            }
        }
    }
    assert_eq!(averaging.values(), alone.values(), "averaging changes no update");
    let found = values(&average);
    for (name, expected) in expected {
        for (found, expected) in found[&name].iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{name}: {found}, not {expected}");
        }
    }
}

/// All that an update may change, bit for bit.
#[derive(PartialEq, Debug)]
struct Bits(Vec<(String, Vec<u32>)>);

impl Bits {
    fn of(two: &Two, average: &Arena) -> Self {
        let tensors = [two.weights.to_named(), two.optimizer.state().unwrap(), average.to_named()];
        let bits = |tensors: NamedTensors| {
            let bits = |data: Vec<f32>| data.into_iter().map(f32::to_bits).collect();
            tensors.into_iter().map(move |(name, tensor)| (name, bits(tensor.data)))
        };
        Self(tensors.into_iter().flat_map(bits).collect())
    }
}

/// Fault 20: a loss or a norm that is not a number changes nothing but the count of updates.
#[test]
fn an_update_whose_loss_or_norm_is_no_number_is_not_made() {
    let sound = || vec![("decayed", vec![0.3; 6]), ("plain", vec![-0.2; 4])];
    let with = |value: f32| {
        let mut gradients = sound();
        gradients[1].1[2] = value;
        gradients
    };
    let updates = [
        (f32::NAN, sound()),
        (f32::INFINITY, sound()),
        (f32::NEG_INFINITY, sound()),
        (1.0, with(f32::NAN)),
        (1.0, with(f32::INFINITY)),
        // A number whose square is none in float32.
        (1.0, with(1e25)),
        (f32::NAN, with(f32::NAN)),
    ];
    for on_nan in [OnNan::Skip, OnNan::Stop] {
        for (loss, bad) in &updates {
            let about = format!("{on_nan:?}, loss {loss}, gradients {bad:?}");
            let config = OptimConfig { on_nan, ..plain_settings() };
            let mut two = Two::new(&config, &[1.0, -0.0, 3.0, 0.5, 2.0, -1.0], &[0.25; 4]);
            let mut average = two.weights.clone();
            let step = |two: &mut Two, average: &mut Arena, loss, gradients: &[_]| {
                let gradients = two.gradients(gradients);
                let Two { weights, optimizer } = two;
                let averaging = Some(Averaging { average, decay: 0.9 });
                optimizer.step(weights, &gradients, loss, 0.1, |_| 1.0, averaging).unwrap()
            };
            for _ in 0..2 {
                assert!(step(&mut two, &mut average, 1.0, &sound()).made);
            }
            let before = Bits::of(&two, &average);
            let [mut skipped, mut forgotten] =
                [3, 2].map(|updates| (after(&two, &config, updates), average.clone()));

            let outcome = step(&mut two, &mut average, *loss, bad);
            assert!(!outcome.made, "{about}");
            assert!(!(loss.is_finite() && outcome.norm.is_finite()), "{about}: {outcome:?}");
            assert!(Bits::of(&two, &average) == before, "{about}: something changed");

            let outcome = step(&mut two, &mut average, 1.0, &sound());
            assert_eq!(outcome.made, on_nan == OnNan::Skip, "{about}");
            assert!(outcome.norm.is_finite(), "{about}");
            let now = Bits::of(&two, &average);
            if on_nan == OnNan::Stop {
                assert!(now == before, "{about}: an update was made after the stop");
                continue;
            }
            // The count of updates has gone on, which Adam's correction shows.
            for (two, average) in [&mut skipped, &mut forgotten] {
                assert!(step(two, average, 1.0, &sound()).made);
            }
            assert!(now == Bits::of(&skipped.0, &skipped.1), "{about}: not the fourth update");
            assert!(now != Bits::of(&forgotten.0, &forgotten.1), "{about}: the third update");
        }
    }
}

/// The same weights and moments after another number of updates.
fn after(two: &Two, config: &OptimConfig, updates: u64) -> Two {
    let mut optimizer = AdamW::new(config, &layout());
    optimizer.restore(&two.optimizer.state().unwrap(), updates).unwrap();
    Two { weights: two.weights.clone(), optimizer }
}

#[derive(Deserialize)]
struct ScheduleCase {
    base: f64,
    minimum: f64,
    warmup_epochs: f64,
    epochs: f64,
    steps_per_epoch: usize,
    rates: Vec<f64>,
}

impl ScheduleCase {
    fn check(&self) {
        let schedule = Schedule {
            peak: self.base,
            min: self.minimum,
            warmup: self.warmup_epochs,
            epochs: self.epochs,
        };
        for (step, expected) in self.rates.iter().enumerate() {
            let found = schedule.at(step as f64 / self.steps_per_epoch as f64);
            let error = (found - expected).abs();
            assert!(error <= 1e-8 * self.base, "step {step}: {found}, not {expected}");
        }
    }
}

/// A batch of which pictures cannot be used counts by those that are left.
#[test]
fn all_pictures_of_an_update_count_alike_where_some_are_missing() {
    let model = ModelConfig::custom([1, 1, 1, 1], [4, 6, 8, 10]).resolve().unwrap();
    let images = fill::images([5, 32, 32, 3]).to_vec();
    let labels = [0u32, 2, 1, 1, 0];
    // In updates that take eight pictures in parts of four each.
    let update = |batches: &[(std::ops::Range<usize>, f64)]| {
        let network = fill::network(|names| Classifier::new(names, &model, 3));
        let mut learner = Learner::new(network, &plain_settings());
        for (range, parts) in batches {
            let one = 32 * 32 * 3;
            let of = images[one * range.start..one * range.end].to_vec();
            let of = Tensor::new(of, [range.len(), 32, 32, 3]);
            let targets = smoothed(&labels[range.clone()], 3, 0.1);
            learner
                .accumulate(*parts, |model, pass| {
                    let logits = model.forward(pass, of.clone(), None);
                    ops::cross_entropy(pass, logits, &targets)
                })
                .unwrap();
        }
        let outcome = learner.update(1e-3, |_| 1.0).unwrap();
        (outcome.loss, outcome.norm)
    };
    let (loss, norm) = update(&[(0..5, 1.0)]);
    for batches in [&[(0..4, 2.0), (4..5, 8.0)][..], &[(0..1, 8.0), (1..5, 2.0)], &[(0..5, 1.6)]] {
        let (found, found_norm) = update(batches);
        assert!((found / loss - 1.0).abs() < 1e-6, "{batches:?}: loss {found}, not {loss}");
        assert!((found_norm / norm - 1.0).abs() < 1e-5, "{batches:?}: {found_norm}, not {norm}");
    }
}

#[test]
fn the_schedule_equals_its_reference_at_every_iteration() {
    fixture::<Cases<ScheduleCase>>("schedule.json").cases.iter().for_each(ScheduleCase::check);
}

#[test]
fn a_schedule_that_is_all_warm_up_ends_at_its_peak() {
    let schedule = Schedule { peak: 1.0, min: 0.0, warmup: 4.0, epochs: 4.0 };
    assert_eq!(schedule.at(2.0), 0.5);
    assert!(schedule.at(4.0).is_finite());
}

#[derive(Deserialize)]
struct DecayCase {
    size: Named,
    decay: f64,
    grouped: bool,
    scales: BTreeMap<String, f64>,
}

/// A size by its short name.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Named(Size);

impl TryFrom<String> for Named {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse().map(Self).map_err(|error: fcmae::error::ConfigError| error.to_string())
    }
}

#[test]
fn layer_decay_equals_its_reference_for_every_parameter() {
    for DecayCase { size: Named(size), decay, grouped, scales } in
        fixture::<Cases<DecayCase>>("layer_decay.json").cases
    {
        let model = ModelConfig::published(size);
        let chosen = LayerDecay::new(decay, &model);
        let asked = if grouped {
            LayerDecay::grouped(decay, &model)
        } else {
            LayerDecay::per_layer(decay, &model)
        };
        assert!(scales.len() > 100);
        for (name, expected) in scales {
            for found in [chosen.scale(&name), asked.scale(&name)] {
                let error = (found / expected - 1.0).abs();
                assert!(error < 1e-7, "{size} {name}: {found}, not {expected}");
            }
        }
    }
}

#[derive(Deserialize)]
struct Timm {
    schedules: Vec<ScheduleCase>,
    averages: Vec<AverageCase>,
    layer_decay: Vec<TimmDecay>,
}

/// A parameter that moves, and `ModelEmaV3`'s average of it after each update.
#[derive(Deserialize)]
struct AverageCase {
    decay: f64,
    start: Vec<f32>,
    values: Vec<Vec<f32>>,
    averages: Vec<Vec<f64>>,
}

/// `param_groups_layer_decay`.
#[derive(Deserialize)]
struct TimmDecay {
    size: Named,
    decay: f64,
    scales: BTreeMap<String, f64>,
    decayed: Vec<String>,
}

#[test]
fn the_schedule_equals_timms_at_every_iteration() {
    fixture::<Timm>("timm_optim.json").schedules.iter().for_each(ScheduleCase::check);
}

#[test]
fn the_moving_average_equals_timms() {
    for case in fixture::<Timm>("timm_optim.json").averages {
        let two = |values: &[f32]| Two::new(&plain_settings(), &values[..6], &values[6..]);
        let mut average = two(&case.start).weights;
        for (value, expected) in case.values.iter().zip(&case.averages) {
            // An update without gradients leaves the parameters, and averages them.
            let Two { mut weights, mut optimizer } = two(value);
            let gradients = Gradients::new(weights.layout());
            let averaging = Some(Averaging { average: &mut average, decay: case.decay });
            optimizer.step(&mut weights, &gradients, 1.0, 0.1, |_| 1.0, averaging).unwrap();
            let found = values(&average);
            let found = [&found["decayed"][..], &found["plain"][..]].concat();
            for (found, expected) in found.iter().zip(expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-6, "{found}, not {expected}");
            }
        }
    }
}

#[test]
fn layer_decay_and_weight_decay_group_as_timms() {
    for TimmDecay { size: Named(size), decay, scales, decayed } in
        fixture::<Timm>("timm_optim.json").layer_decay
    {
        let model = ModelConfig::published(size);
        let layers = LayerDecay::per_layer(decay, &model);
        for (name, expected) in &scales {
            // The authors' stem shares the first block's level; timm's lies one below.
            let level = if name.starts_with("stem") { decay } else { 1.0 };
            let error = (layers.scale(name) * level / expected - 1.0).abs();
            assert!(error < 1e-7, "{size} {name}: {}, not {expected}", layers.scale(name));
        }
        let (_, layout) = Layout::of(|names| Classifier::new(names, &model, 1000));
        let matrices = layout.shapes().into_iter();
        let mut ours: Vec<String> =
            matrices.filter(|(_, shape)| shape.len() > 1).map(|(name, _)| name).collect();
        ours.sort();
        assert_eq!(ours, decayed, "{size}: which parameters weight decay pulls at");
    }
}

#[test]
fn moments_that_do_not_fit_are_refused_whole() {
    let config = PretrainConfig::default().optim;
    let mut two = Two::new(&config, &[0.5; 6], &[0.25; 4]);
    two.step(&[("decayed", vec![1.0; 6]), ("plain", vec![2.0; 4])]);
    let good = two.optimizer.state().unwrap();
    let changes: [fn(&mut NamedTensors); 3] = [
        |state| drop(state.remove("second.plain")),
        |state| drop(state.insert("first.decayed", HostTensor { shape: vec![1], data: vec![1.0] })),
        |state| drop(state.insert("first.other", HostTensor { shape: vec![1], data: vec![1.0] })),
    ];
    for change in changes {
        let mut bad = good.clone();
        change(&mut bad);
        let mut fresh = AdamW::new(&config, &layout());
        assert!(fresh.restore(&bad, 1).is_err());
        assert!(fresh.state().unwrap().is_empty(), "a part was taken");
        fresh.restore(&good, 1).unwrap();
        assert_eq!(fresh.state().unwrap(), good);
    }
}
