//! Every stage's features, the embedding and the logits of pictures, from weights in any format:
//!
//! ```text
//! cargo run --release -p fcmae --example features -- WEIGHTS OUT.safetensors PICTURE…
//! ```
//! In place of pictures, one `.safetensors` file may hold a tensor `images`, normalized, of the shape
//! `[N, H, W, channels]`. Written are `images`, `stage1` … `stage4` (`[N, H, W, C]`), `embedding` and,
//! where the weights have a head, `logits`.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use fcmae::embed::Backbone;
use fcmae::model::Classifier;
use fcmae::parameters::host;
use fcmae::predict::Preparation;
use fcmae::weights::Weights;
use fcmae_store::{HostTensor, NamedTensors, safetensors};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Images that are computed at a time.
const BATCH: usize = 16;

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [weights, out, inputs @ ..] = arguments.as_slice() else {
        return Err("usage: features WEIGHTS OUT.safetensors PICTURE…|INPUT.safetensors".into());
    };
    let device = Device::flex();
    let weights = Weights::open(weights)?;
    weights.notes.iter().for_each(|note| eprintln!("{note}"));
    let images = images(inputs, &weights, &device)?;

    let network = if weights.description.classes.is_empty() {
        Network::Backbone(Backbone::open(&weights, &device)?)
    } else {
        Network::Classifier(weights.classifier(&device)?)
    };
    drop(weights);
    let mut columns: Vec<Column> = Vec::new();
    for batch in images.split(BATCH, 0) {
        for (place, (name, shape, values)) in network.features(batch).into_iter().enumerate() {
            if place == columns.len() {
                columns.push((name, vec![0; shape.len()], Vec::new()));
            }
            let (_, whole, data) = &mut columns[place];
            *whole = [vec![whole[0] + shape[0]], shape[1..].to_vec()].concat();
            data.extend(values);
        }
    }
    let mut tensors = NamedTensors::new();
    for (name, shape, data) in columns {
        tensors.insert(name, HostTensor::new(shape, data)?);
    }
    Ok(safetensors::save(out, &tensors, &Default::default())?)
}

/// A name, a shape and the values.
type Column = (String, Vec<usize>, Vec<f32>);

fn column<const D: usize>(name: &str, tensor: Tensor<D>) -> Column {
    (name.to_owned(), tensor.dims().to_vec(), host(tensor))
}

enum Network {
    Classifier(Classifier),
    Backbone(Backbone),
}

impl Network {
    fn features(&self, images: Tensor<4>) -> Vec<Column> {
        let mut found = vec![column("images", images.clone())];
        let (maps, embedding, logits) = match self {
            Self::Classifier(model) => {
                let embedding = model.embed(images.clone());
                let logits = model.head.fc.forward(embedding.clone());
                (model.encoder.maps(images), embedding, Some(logits))
            }
            Self::Backbone(model) => (model.maps(images.clone()), model.embed(images), None),
        };
        for (stage, map) in maps.into_iter().enumerate() {
            found.push(column(&format!("stage{}", stage + 1), map));
        }
        found.push(column("embedding", embedding));
        found.extend(logits.map(|logits| column("logits", logits)));
        found
    }
}

/// `[N, H, W, channels]`, normalized.
fn images(inputs: &[PathBuf], weights: &Weights, device: &Device) -> Result<Tensor<4>> {
    let is_tensors = |path: &Path| path.extension().is_some_and(|end| end == "safetensors");
    if let [path] = inputs
        && is_tensors(path)
    {
        let mut tensors = safetensors::load(path)?.tensors;
        let images = tensors.remove("images").ok_or("the input holds no tensor `images`")?;
        let shape: [usize; 4] = images.shape.as_slice().try_into()?;
        return Ok(Tensor::from_data(TensorData::new(images.data, shape), device));
    }
    let preparation = Preparation::new(&weights.description);
    let pictures: fcmae::Result<Vec<_>> =
        inputs.iter().map(|path| preparation.input(path)).collect();
    Ok(Tensor::cat(pictures?, 0))
}
