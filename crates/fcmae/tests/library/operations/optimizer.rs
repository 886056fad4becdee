//! From gradients to new weights: what `optimizer.rs` holds to PyTorch, here by hand.

use fcmae::config::{OptimConfig, PretrainConfig};
use fcmae::engine::ops::{self, Affine};
use fcmae::engine::parameters::Parameter;
use fcmae::engine::tape::Pass;
use fcmae::engine::tensor::Tensor;
use fcmae::training::Learner;
use fcmae::training::optim::AdamW;
use fcmae_oracle::{Gradients, Var, network as oracle};

use crate::differentiate::{Operand, compare, network};

fn config() -> OptimConfig {
    OptimConfig { weight_decay: 0.1, clip_norm: 0.0, ..PretrainConfig::default().optim }
}

/// A matrix, a bias, and a vector that only the second part takes.
fn operands() -> [Operand; 3] {
    [
        Operand::filled("weight", [4, 6], 0.5),
        Operand::filled("bias", [4], 0.5),
        Operand::filled("more", [4], 0.5),
    ]
}

fn batch(part: usize) -> [Operand; 2] {
    [
        Operand::filled(&format!("x {part}"), [5, 6], 2.0),
        Operand::filled(&format!("targets {part}"), [5, 4], 1.0),
    ]
}

fn loss(places: &[Parameter], pass: &mut Pass<'_>, part: usize) -> Tensor {
    let &[weight, bias, more] = places else { panic!("three parameters") };
    let [x, targets] = batch(part).map(|operand| operand.tensor());
    let mut y = ops::linear(pass, x, Affine { weight, bias, scale: None });
    if part == 1 {
        let more = ops::parameter(pass, more).reshape([1, 4]);
        let more = ops::select_rows(pass, more, [0; 5], ops::Filler::None);
        y = ops::residual(pass, y, more, None);
    }
    ops::mean_squared_difference(pass, y, targets)
}

/// After both parts of an update.
fn learner() -> Learner<Vec<Parameter>> {
    learner_of(&config())
}

fn learner_of(config: &OptimConfig) -> Learner<Vec<Parameter>> {
    let mut learner = Learner::new(network(&operands()), config);
    for part in 0..2 {
        learner.learn(2, |places, pass| loss(places, pass, part)).unwrap();
    }
    learner
}

fn oracles_sum(vars: &[Var; 3]) -> (Var, Gradients) {
    let [weight, bias, more] = vars;
    let part = |part: usize| {
        let [x, targets] = batch(part).map(|operand| operand.var());
        let y = oracle::linear(&x, weight, bias);
        let y = if part == 1 { y + more } else { y };
        oracle::mean_squared_difference(&y, &targets)
    };
    let loss = (part(0) + part(1)) * 0.5;
    let gradients = loss.backward();
    (loss, gradients)
}

fn gradients(learner: &Learner<Vec<Parameter>>) -> Vec<Vec<f32>> {
    let gradient = |&place| learner.gradients().get(place).unwrap().to_vec();
    learner.network().module().iter().map(gradient).collect()
}

pub(super) fn parts_add_up_to_the_oracles_sum() {
    let vars = operands().each_ref().map(Operand::var);
    let (loss, expected) = oracles_sum(&vars);
    let mut learner = learner();
    for (i, (found, var)) in gradients(&learner).iter().zip(&vars).enumerate() {
        compare(&format!("the gradient by operand {i}"), 3e-6, found, &expected.of(var).values);
    }
    let found = learner.update(0.0, |_| 1.0).unwrap().loss;
    compare("the loss", 1e-6, &[found], loss.values());

    // What an update leaves behind is no part of the next.
    let place = learner.network().module()[2];
    learner.learn(2, |places, pass| self::loss(places, pass, 0)).unwrap();
    assert_eq!(learner.gradients().get(place), None);
    learner.learn(2, |places, pass| self::loss(places, pass, 1)).unwrap();
    assert_eq!(gradients(&learner), gradients(&self::learner()));
}

fn norm_by_hand(gradients: &[Vec<f32>]) -> f64 {
    gradients.iter().flatten().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt()
}

pub(super) fn the_norm_is_that_of_all_gradients() {
    let mut learner = learner();
    let by_hand = norm_by_hand(&gradients(&learner));
    let found = learner.update(0.0, |_| 1.0).unwrap().norm;
    assert!((found / by_hand - 1.0).abs() < 1e-6, "{found}, not {by_hand}");

    // Adam's first step hardly depends on the gradient's scale: the moments tell.
    let first = |clip_norm: f64| {
        let learner = self::learner();
        let mut weights = learner.network().weights().clone();
        let config = OptimConfig { clip_norm, ..config() };
        let mut optimizer = AdamW::new(&config, learner.network().layout());
        optimizer.step(&mut weights, learner.gradients(), 0.0, 0.1, |_| 1.0, None).unwrap();
        optimizer.state().unwrap().get("first.0").unwrap().data.clone()
    };
    let unclipped = first(0.0);
    for (limit, factor) in [(by_hand / 2.0, 0.5), (by_hand * 1.01, 1.0)] {
        let expected: Vec<f64> = unclipped.iter().map(|&v| factor * f64::from(v)).collect();
        compare("moments after clipping", 1e-6, &first(limit), &expected);
    }
}

pub(super) fn updates_follow_adamws_formula() {
    let (lr, decay) = (0.01, 0.9);
    let config = config();
    let mut learner = Learner::new(network(&operands()), &config).averaging(decay);
    let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
    let mut weights = operands().map(|operand| wide(&operand.values));
    let (mut average, mut first) =
        (weights.clone(), weights.each_ref().map(|w| vec![0.0; w.len()]));
    let mut second = first.clone();
    for step in 1..=3 {
        for part in 0..2 {
            learner.learn(2, |places, pass| loss(places, pass, part)).unwrap();
        }
        let gradients = gradients(&learner);
        // The second parameter has a rate of its own.
        let attempt = learner.update(lr, |name| if name == "1" { 0.5 } else { 1.0 }).unwrap();
        assert!(attempt.made);
        for (i, weights) in weights.iter_mut().enumerate() {
            let lr = if i == 1 { 0.5 * lr } else { lr };
            // Matrices decay, vectors don't.
            let weight_decay = if i == 0 { config.weight_decay } else { 0.0 };
            for (j, weight) in weights.iter_mut().enumerate() {
                let gradient = f64::from(gradients[i][j]);
                let (m, v) = (&mut first[i][j], &mut second[i][j]);
                *m = config.beta1 * *m + (1.0 - config.beta1) * gradient;
                *v = config.beta2 * *v + (1.0 - config.beta2) * gradient * gradient;
                let unbiased = |moment: f64, beta: f64| moment / (1.0 - beta.powi(step));
                let (m, v) = (unbiased(*m, config.beta1), unbiased(*v, config.beta2));
                *weight -= lr * weight_decay * *weight;
                *weight -= lr * m / (v.sqrt() + config.eps);
                let average = &mut average[i][j];
                *average = decay * *average + (1.0 - decay) * *weight;
            }
        }
        let averaged = learner.averaged().unwrap();
        for (i, &place) in learner.network().module().iter().enumerate() {
            let about = format!("parameter {i} after update {step}");
            compare(&about, 1e-6, learner.network().weights().get(place), &weights[i]);
            let about = format!("the average of {about}");
            compare(&about, 1e-6, averaged.weights().get(place), &average[i]);
        }
    }
}
