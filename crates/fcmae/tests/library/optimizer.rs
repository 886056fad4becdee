//! AdamW, the schedule and layer decay equal their references; the moving average its formula.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use fcmae::config::{ModelConfig, OptimConfig, PretrainConfig, Size};
use fcmae::ops::{self, AdamWStep};
use fcmae::optim::{AdamW, Ema, GradientMap, LayerDecay, Schedule, gradient_norm};
use fcmae::parameters;
use serde::Deserialize;

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
#[derive(Module, Debug)]
struct Two {
    decayed: Param<Tensor<2>>,
    plain: Param<Tensor<1>>,
}

fn flat(values: &[f32]) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), &Device::flex())
}

fn two(decayed: &[f32], plain: &[f32]) -> Two {
    Two {
        decayed: Param::from_tensor(flat(decayed).reshape([2, 3])),
        plain: Param::from_tensor(flat(plain)),
    }
}

fn values(module: &Two) -> BTreeMap<String, Vec<f32>> {
    parameters::to_host(module).into_iter().map(|(name, tensor)| (name, tensor.data)).collect()
}

fn config(case: &AdamWCase) -> OptimConfig {
    OptimConfig {
        beta1: case.beta1,
        beta2: case.beta2,
        eps: case.eps,
        weight_decay: case.parameters[0].weight_decay,
        ..PretrainConfig::default().optim
    }
}

#[test]
fn adamw_equals_pytorchs_in_two_groups() {
    for case in fixture::<Cases<AdamWCase>>("adamw.json").cases {
        let [decayed, plain] = &case.parameters[..] else { panic!("two parameters") };
        assert_eq!((plain.weight_decay, plain.rate_scale), (0.0, 0.5));
        let mut module = two(&decayed.start, &plain.start);
        let mut optimizer = AdamW::new(&config(&case));
        for (step, &rate) in case.rates.iter().enumerate() {
            let gradients =
                case.parameters.iter().map(|p| (p.name.clone(), flat(&p.gradients[step])));
            let scale = |name: &str| if name == "plain" { plain.rate_scale } else { 1.0 };
            // The optimizer is put away and taken up again in the middle.
            if step == 1 {
                let state = optimizer.state();
                optimizer = AdamW::new(&config(&case));
                optimizer.restore(&module, &state, 1);
            }
            module = optimizer.step(module, gradients.collect(), rate, scale);
            let found = values(&module);
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
fn plain_adamw_equals_pytorchs_in_float64() {
    for case in fixture::<Cases<AdamWCase>>("adamw.json").cases {
        for parameter in &case.parameters {
            let wide = |values: &[f32]| flat(values).cast(DType::F64);
            let mut value = wide(&parameter.start);
            let mut moments = [0; 2].map(|_| value.zeros_like());
            for (i, (gradient, expected)) in
                parameter.gradients.iter().zip(&parameter.values).enumerate()
            {
                let step = AdamWStep {
                    lr: case.rates[i] * parameter.rate_scale,
                    beta1: case.beta1,
                    beta2: case.beta2,
                    eps: case.eps,
                    weight_decay: parameter.weight_decay,
                    step: i as u64 + 1,
                    grad_scale: 1.0,
                    average_decay: 0.0,
                };
                (value, moments, _) = ops::adamw(value, wide(gradient), moments, None, step);
                let found: Vec<f64> = value.clone().into_data().try_into_vec().unwrap();
                for (f, e) in found.iter().zip(expected) {
                    // The fixture has nine digits.
                    assert!((f - e).abs() <= 5.1e-9 * e.abs(), "{f}, not {e}");
                }
            }
        }
    }
}

#[test]
fn a_parameter_without_gradient_stays() {
    let module = two(&[1.0; 6], &[2.0; 4]);
    let mut optimizer = AdamW::new(&PretrainConfig::default().optim);
    let gradients = GradientMap::from([("plain".to_owned(), flat(&[1.0; 4]))]);
    let found = values(&optimizer.step(module, gradients, 0.1, |_| 1.0));
    assert_eq!(found["decayed"], [1.0; 6]);
    assert!(found["plain"].iter().all(|&v| (v - 1.9).abs() < 1e-6), "{found:?}");
}

#[test]
fn clipping_scales_the_global_norm() {
    let gradients = |scale: f32| {
        let gradient = |value: f32, count: usize| flat(&vec![scale * value; count]);
        GradientMap::from([
            ("decayed".into(), gradient(0.5, 6)),
            ("plain".into(), gradient(0.4, 4)),
        ])
    };
    let norm = gradient_norm(&gradients(2.0));
    assert!((norm - 2.0 * (6.0 * 0.25 + 4.0 * 0.16f64).sqrt()).abs() < 1e-6);
    // Adam's first step hardly depends on the gradient's scale: the moments tell.
    let moments = |clip_norm: f64, gradients: GradientMap| {
        let config = OptimConfig { clip_norm, ..PretrainConfig::default().optim };
        let mut optimizer = AdamW::new(&config);
        optimizer.step(two(&[1.0; 6], &[2.0; 4]), gradients, 0.1, |_| 1.0);
        optimizer.state().get("first.plain").unwrap().data[0]
    };
    let half = moments(0.0, gradients(1.0));
    assert!((moments(norm / 2.0, gradients(2.0)) - half).abs() < 1e-7, "clipped to half");
    assert!((moments(norm * 1.01, gradients(2.0)) - 2.0 * half).abs() < 1e-7, "left alone");
    assert!((moments(0.0, gradients(2.0)) - 2.0 * half).abs() < 1e-7, "no limit");
}

#[test]
fn the_moving_average_follows_its_formula() {
    let start = || two(&[1.0; 6], &[0.0; 4]);
    let config = PretrainConfig::default().optim;
    let (mut alone, mut averaging) = (AdamW::new(&config), AdamW::new(&config));
    let mut ema = Ema::new(&start(), 0.9);
    let (mut module, mut averaged) = (start(), start());
    let mut expected = values(&start());
    for step in 0..3 {
        // The second parameter has no gradient at first.
        let names = if step == 0 { vec!["decayed"] } else { vec!["decayed", "plain"] };
        let gradients = || {
            let gradient = |name: &&str| {
                let count = if *name == "decayed" { 6 } else { 4 };
                ((*name).to_owned(), flat(&vec![0.3; count]))
            };
            names.iter().map(gradient).collect::<GradientMap>()
        };
        module = alone.step(module, gradients(), 0.1, |_| 1.0);
        averaged =
            averaging.step_averaging(averaged, gradients(), 0.0, 0.1, |_| 1.0, Some(&mut ema));
        for (name, expected) in &mut expected {
            for (expected, value) in expected.iter_mut().zip(&values(&module)[name]) {
                *expected = 0.9 * *expected + 0.1 * value;
            }
        }
    }
    assert_eq!(values(&averaged), values(&module), "averaging changes no update");
    let found = values(&ema.apply(two(&[9.0; 6], &[9.0; 4])));
    for (name, expected) in expected {
        for (found, expected) in found[&name].iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{name}: {found}, not {expected}");
        }
    }
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
        let module = |values: &[f32]| two(&values[..6], &values[6..]);
        let flat_values = |module: &Two| {
            let values = values(module);
            [&values["decayed"][..], &values["plain"][..]].concat()
        };
        let mut ema = Ema::new(&module(&case.start), case.decay);
        for (value, expected) in case.values.iter().zip(&case.averages) {
            // An update without gradients leaves the parameters, and averages them.
            let mut optimizer = AdamW::new(&PretrainConfig::default().optim);
            let now = module(value);
            optimizer.step_averaging(now, GradientMap::new(), 0.0, 0.1, |_| 1.0, Some(&mut ema));
            let found = flat_values(&ema.apply(module(&case.start)));
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
        let classifier = fcmae::model::Classifier::new(&model, 1000, &Device::flex());
        let matrices = parameters::shapes(&classifier).into_iter();
        let mut ours: Vec<String> =
            matrices.filter(|(_, shape)| shape.len() > 1).map(|(name, _)| name).collect();
        ours.sort();
        assert_eq!(ours, decayed, "{size}: which parameters weight decay pulls at");
    }
}
