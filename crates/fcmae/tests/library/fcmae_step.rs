//! A step of FCMAE equals that of an independent masked-dense implementation in PyTorch.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use fcmae::autoencoder::Autoencoder;
use fcmae::config::{BlockKind, DecoderConfig, MaskedEncoder, ModelConfig};
use fcmae::loss::patchify;
use fcmae::mask::{Mask, visible_count};
use fcmae::parameters::{self, host};
use serde::Deserialize;

use crate::fill;
use crate::summary::{Summary, fixture};

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    depths: [usize; 4],
    widths: [usize; 4],
    block: BlockKind,
    encoder: MaskedEncoder,
    channels: usize,
    stem_stride: usize,
    decoder_width: usize,
    decoder_depth: usize,
    mask_ratio: f64,
    norm_pix_loss: bool,
    batch: usize,
    height: usize,
    width: usize,
    parameters: usize,
    visible: Vec<Vec<u32>>,
    loss: f64,
    masked_predictions_of_image_0: Summary,
    gradients: BTreeMap<String, Summary>,
}

impl Case {
    fn model(&self, device: &Device) -> Autoencoder {
        let config = ModelConfig {
            block: self.block,
            channels: self.channels,
            stem_stride: self.stem_stride,
            ..ModelConfig::custom(self.depths, self.widths)
        };
        let decoder = DecoderConfig { width: self.decoder_width, depth: self.decoder_depth };
        fill::module(Autoencoder::new(&config, &decoder, device)).encoding(self.encoder)
    }

    fn images(&self, device: &Device) -> Tensor<4> {
        fill::images([self.batch, self.height, self.width, self.channels], device)
    }

    fn patch(&self) -> usize {
        8 * self.stem_stride
    }

    fn mask(&self) -> Mask {
        let grid = [self.height / self.patch(), self.width / self.patch()];
        let keep = visible_count(grid[0] * grid[1], self.mask_ratio).unwrap();
        assert!(self.visible.iter().all(|image| image.len() == keep), "{}", self.name);
        Mask::new(grid, keep, self.visible.concat()).unwrap()
    }
}

#[test]
fn loss_predictions_and_every_gradient_equal_pytorchs() {
    let device = Device::flex().autodiff();
    for case in fixture::<Fixture>("fcmae_step.json").cases {
        let model = case.model(&device);
        assert_eq!(parameters::count(&model), case.parameters, "{}", case.name);
        let (images, mask) = (case.images(&device), case.mask());

        let loss = model.loss(images.clone(), &mask, case.norm_pix_loss);
        let mut grads = loss.backward();
        let loss = f64::from(host(loss.inner())[0]);
        let error = (loss / case.loss - 1.0).abs();
        assert!(error < 1e-5, "{}: the loss is {loss}, not {}", case.name, case.loss);

        let expected = &case.masked_predictions_of_image_0;
        let predictions = host(model.predict(patchify(images, case.patch()), &mask));
        let first = &predictions[..expected.shape.iter().product()];
        expected.check("predictions", first, 1e-5);

        let gradients = parameters::gradients(&model, &mut grads);
        let names: Vec<_> = gradients.keys().collect();
        assert_eq!(names, case.gradients.keys().collect::<Vec<_>>(), "{}", case.name);
        for (name, gradient) in gradients {
            let error = case.gradients[&name].error(&name, &host(gradient));
            assert!(error < 1e-4, "{}: the gradient of {name} is off by {error:.1e}", case.name);
        }
    }
}

#[test]
fn masked_pixels_are_never_read() {
    let device = Device::flex();
    let cases = fixture::<Fixture>("fcmae_step.json").cases;
    for name in ["small_stem2", "small_dense"] {
        let case = cases.iter().find(|case| case.name == name).unwrap();
        let (model, mask) = (case.model(&device), case.mask());
        let patches = patchify(case.images(&device), case.patch());
        let [rows, values] = patches.dims();
        let mut hidden = host(patches.clone());
        for row in mask.masked_rows() {
            hidden[row as usize * values..][..values].fill(f32::NAN);
        }
        let hidden = Tensor::from_data(TensorData::new(hidden, [rows, values]), &device);
        let [predicted, expected] =
            [hidden, patches].map(|patches| host(model.predict(patches, &mask)));
        assert_eq!(predicted, expected, "{name}");
    }
}
