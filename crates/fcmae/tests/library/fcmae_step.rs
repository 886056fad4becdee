//! A step of FCMAE equals that of an independent masked-dense implementation in PyTorch.

use std::collections::BTreeMap;

use fcmae::config::{
    BlockKind, DecoderConfig, MaskedEncoder, ModelConfig, PretrainConfig, visible_count,
};
use fcmae::engine::module::Network;
use fcmae::engine::tensor::Tensor;
use fcmae::engine::workspace::Workspace;
use fcmae::network::autoencoder::Autoencoder;
use fcmae::network::loss::patchify;
use fcmae::network::mask::Mask;
use fcmae::training::Learner;
use serde::Deserialize;

use crate::fill;
use crate::summary::{Summary, fixture};

#[derive(Deserialize)]
pub(crate) struct Fixture {
    pub(crate) cases: Vec<Case>,
}

#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    depths: [usize; 4],
    widths: [usize; 4],
    block: BlockKind,
    encoder: MaskedEncoder,
    channels: usize,
    stem_stride: usize,
    decoder_width: usize,
    decoder_depth: usize,
    mask_ratio: f64,
    pub(crate) norm_pix_loss: bool,
    batch: usize,
    height: usize,
    width: usize,
    parameters: usize,
    visible: Vec<Vec<u32>>,
    pub(crate) loss: f64,
    pub(crate) masked_predictions_of_image_0: Summary,
    pub(crate) gradients: BTreeMap<String, Summary>,
}

impl Case {
    pub(crate) fn network(&self) -> Network<Autoencoder> {
        let config = ModelConfig {
            block: self.block,
            channels: self.channels,
            stem_stride: self.stem_stride,
            ..ModelConfig::custom(self.depths, self.widths)
        };
        let decoder = DecoderConfig { width: self.decoder_width, depth: self.decoder_depth };
        fill::network(|names| Autoencoder::new(names, &config, &decoder).encoding(self.encoder))
    }

    pub(crate) fn images(&self) -> Tensor {
        fill::images([self.batch, self.height, self.width, self.channels])
    }

    fn patch(&self) -> usize {
        8 * self.stem_stride
    }

    pub(crate) fn mask(&self) -> Mask {
        let grid = [self.height / self.patch(), self.width / self.patch()];
        let keep = visible_count(grid[0] * grid[1], self.mask_ratio).unwrap();
        assert!(self.visible.iter().all(|image| image.len() == keep), "{}", self.name);
        Mask::new(grid, keep, self.visible.concat()).unwrap()
    }
}

/// The images' patches `[N·L, patch²·channels]`.
pub(crate) fn patches(network: &Network<Autoencoder>, case: &Case) -> Tensor {
    network.infer(|_, pass| patchify(pass, case.images(), case.patch())).unwrap()
}

pub(crate) fn predictions(
    network: &Network<Autoencoder>,
    patches: &Tensor,
    mask: &Mask,
) -> Vec<f32> {
    network.infer(|model, pass| model.predict(pass, patches.clone(), mask)).unwrap().to_vec()
}

#[test]
fn loss_predictions_and_every_gradient_equal_pytorchs() {
    for case in fixture::<Fixture>("fcmae_step.json").cases {
        let network = case.network();
        assert_eq!(network.layout().count(), case.parameters, "{}", case.name);
        let (images, mask) = (case.images(), case.mask());

        let expected = &case.masked_predictions_of_image_0;
        let predictions = predictions(&network, &patches(&network, &case), &mask);
        let first = &predictions[..expected.shape.iter().product()];
        expected.check("predictions", first, 1e-5);

        let mut learner = Learner::new(network, &PretrainConfig::default().optim);
        let loss = learner
            .learn(1, |model, pass| model.loss(pass, images.clone(), &mask, case.norm_pix_loss))
            .unwrap();
        let loss = f64::from(loss);
        let error = (loss / case.loss - 1.0).abs();
        assert!(error < 1e-5, "{}: the loss is {loss}, not {}", case.name, case.loss);

        let layout = learner.network().layout();
        let names: Vec<&str> = layout.by_name().map(|(name, _)| name).collect();
        assert_eq!(names, case.gradients.keys().collect::<Vec<_>>(), "{}", case.name);
        for (name, parameter) in layout.by_name() {
            let gradient = learner.gradients().get(parameter).unwrap();
            let error = case.gradients[name].error(name, gradient);
            assert!(error < 1e-4, "{}: the gradient of {name} is off by {error:.1e}", case.name);
        }
    }
}

#[test]
fn masked_pixels_are_never_read() {
    let cases = fixture::<Fixture>("fcmae_step.json").cases;
    for name in ["small_stem2", "small_dense"] {
        let case = cases.iter().find(|case| case.name == name).unwrap();
        let (network, mask) = (case.network(), case.mask());
        let patches = patches(&network, case);
        let [rows, values] = patches.dims();
        let mut hidden = patches.to_vec();
        for row in mask.masked_rows() {
            hidden[row as usize * values..][..values].fill(f32::NAN);
        }
        let hidden = Tensor::new(hidden, [rows, values]);
        let [predicted, expected] =
            [hidden, patches].map(|patches| predictions(&network, &patches, &mask));
        assert_eq!(predicted, expected, "{name}");
    }
}

/// The plan of a step's memory ends no result too early: where what is dropped turns into NaN, nothing
/// else comes out.
#[test]
fn no_result_is_read_after_its_end() {
    for case in fixture::<Fixture>("fcmae_step.json").cases {
        let (images, mask) = (case.images(), case.mask());
        let [poisoned, plain] = [Workspace::poisoned(), Workspace::default()].map(|workspace| {
            let config = PretrainConfig::default().optim;
            let mut learner = Learner::new(case.network(), &config).working_in(workspace);
            // The second part of the update lies where the first one was.
            let losses = [0; 2].map(|_| {
                learner
                    .learn(2, |model, pass| {
                        model.loss(pass, images.clone(), &mask, case.norm_pix_loss)
                    })
                    .unwrap()
            });
            let parameters = learner.network().layout().parameters();
            let gradients = parameters.map(|(_, parameter)| learner.gradients().get(parameter));
            let gradients: Vec<_> = gradients.map(|gradient| gradient.unwrap().to_vec()).collect();
            (losses, gradients)
        });
        assert!(plain.0[0].is_finite() && plain.0[0] == plain.0[1], "{}", case.name);
        assert!(poisoned == plain, "{}: a result was read after its end", case.name);
    }
}
