//! Every stage's features, the embedding and the logits of pictures, from weights in any format:
//!
//! ```text
//! cargo run --release -p fcmae --example features -- WEIGHTS OUT.safetensors PICTURE…
//! ```
//! In place of pictures, one `.safetensors` file may hold a tensor `images`, normalized, of the shape
//! `[N, H, W, channels]`. Written are `images`, `stage1` … `stage4` (`[N, H, W, C]`), `embedding` and,
//! where the weights have a head, `logits`.

use std::path::{Path, PathBuf};

use fcmae::data::Inputs;
use fcmae::engine::module::Network;
use fcmae::engine::tensor::Tensor;
use fcmae::inference::Preparation;
use fcmae::inference::embed::Backbone;
use fcmae::network::model::Classifier;
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
    let weights = Weights::open(weights)?;
    weights.notes.iter().for_each(|note| eprintln!("{note}"));
    let images = images(inputs, &weights)?;

    let network = if weights.description.classes.is_empty() {
        Kind::Backbone(Network::open(&weights)?)
    } else {
        Kind::Classifier(weights.classifier()?)
    };
    drop(weights);
    let mut columns: Vec<Column> = Vec::new();
    let [_, height, width, channels] = images.dims();
    let image = height * width * channels;
    for batch in images.values().chunks(BATCH * image) {
        let batch = Tensor::new(batch.to_vec(), [batch.len() / image, height, width, channels]);
        for (place, (name, shape, values)) in network.features(&batch)?.into_iter().enumerate() {
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

fn column(name: &str, tensor: &Tensor) -> Column {
    (name.to_owned(), tensor.shape().to_vec(), tensor.to_vec())
}

enum Kind {
    Classifier(Network<Classifier>),
    Backbone(Network<Backbone>),
}

impl Kind {
    fn features(&self, images: &Tensor) -> Result<Vec<Column>> {
        let mut found = vec![column("images", images)];
        let (maps, embedding, logits) = match self {
            Self::Classifier(network) => {
                let maps =
                    network.infer_all(|model, pass| model.encoder.maps(pass, images.clone()))?;
                (maps, network.embed(images)?, Some(network.logits(images)?))
            }
            Self::Backbone(network) => (network.maps(images)?, network.embed(images)?, None),
        };
        for (stage, map) in maps.iter().enumerate() {
            found.push(column(&format!("stage{}", stage + 1), map));
        }
        found.push(column("embedding", &embedding));
        found.extend(logits.map(|logits| column("logits", &logits)));
        Ok(found)
    }
}

/// `[N, H, W, channels]`, normalized.
fn images(inputs: &[PathBuf], weights: &Weights) -> Result<Tensor> {
    let is_tensors = |path: &Path| path.extension().is_some_and(|end| end == "safetensors");
    if let [path] = inputs
        && is_tensors(path)
    {
        let mut tensors = safetensors::load(path)?.tensors;
        let images = tensors.remove("images").ok_or("the input holds no tensor `images`")?;
        let shape: [usize; 4] = images.shape.as_slice().try_into()?;
        return Ok(Tensor::new(images.data, shape));
    }
    let preparation = Preparation::new(&weights.description);
    let pictures = preparation.pictures(Inputs::from(inputs.to_vec()), inputs.len().max(1))?.next();
    let pictures = pictures.ok_or("name at least one picture")??;
    match pictures.failed.into_iter().next() {
        Some((_, error)) => Err(error.into()),
        None => Ok(pictures.images),
    }
}
