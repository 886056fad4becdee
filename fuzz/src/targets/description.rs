//! What stands beside weights: `config.json` and `preprocessor_config.json`.

use std::path::Path;

use fcmae::engine::backend::Backend;
use fcmae::inference::Inference;
use fcmae::network::model::Classifier;
use fcmae::weights::Weights;
use fcmae_data::{Input, Picture};

use crate::scratch::Scratch;
use crate::target::{Outcome, Target};
use crate::{corpus, repair};

/// Larger networks and pictures are opened and not computed: that takes the memory that they ask for.
const PIXELS: usize = 64 * 64;

pub(super) const TARGET: Target = Target {
    name: "description",
    run: target,
    corpus: files,
    words: &[
        b"\"fcmae\": {",
        b"\"model_type\": \"convnextv2\",",
        b"\"pretrained_cfg\": {",
        b"\"input_size\": [3, 32, 32],",
        b"\"crop_pct\": 0.875,",
        b"\"crop_mode\": \"squash\",",
        b"\"mean\": [0.5],",
        b"\"std\": [0.0, 1e-45, 1e38],",
        b"\"image_size\": [32, 32],",
        b"\"size\": {\"shortest_edge\": 32},",
        b"\"resize\": \"warp\",",
        b"\"resize\": {\"centre_crop\": {\"fraction\": 1e-9}},",
        b"\"depth\": \"deep\",",
        b"\"classes\": [],",
        b"\"label_names\": [\"a\", \"b\", \"c\"],",
        b"\"id2label\": {\"0\": \"a\"},",
        b"\"decoder\": null,",
        b"\"depth\": 999999999999",
        b"\"width\": 999999999999",
        b"null",
        b"true",
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b"-",
        b"1e999",
        b"18446744073709551615",
    ],
    repair: repair::nothing,
    short: 200,
};

/// The folders that descriptions are put into, and their weights. The first byte of what is fuzzed says
/// which one the rest is put into.
const WEIGHTS: [(&str, &str); 3] = [
    ("finetuned", "crates/fcmae/tests/golden/0.2.0/finetune/export/best/model.safetensors"),
    (
        "pretrained",
        "crates/fcmae/tests/golden/0.2.0/pretrain/checkpoints/step-00000005/model.safetensors",
    ),
    ("elsewhere", "crates/fcmae/tests/fixtures/weights/transformers/model.safetensors"),
];

fn files() -> Vec<Vec<u8>> {
    let facts = corpus::file("crates/fcmae/tests/golden/0.2.0/pretrain/run.json");
    let facts: serde_json::Value = serde_json::from_slice(&facts).expect("a run's facts are JSON");
    let pretrained = serde_json::json!({ "fcmae": facts["weights"] });
    let finetuned =
        corpus::file("crates/fcmae/tests/golden/0.2.0/finetune/export/best/config.json");
    // As timm alone has it.
    let mut timm: serde_json::Value =
        serde_json::from_slice(&finetuned).expect("a configuration is JSON");
    timm.as_object_mut().expect("it is an object").remove("fcmae");
    let folder = "crates/fcmae/tests/fixtures/weights/transformers";
    let of = |folder: u8, description: &[u8]| [&[folder][..], description].concat();
    vec![
        of(0, &finetuned),
        of(0, timm.to_string().as_bytes()),
        of(1, pretrained.to_string().as_bytes()),
        of(2, &corpus::file(&format!("{folder}/config.json"))),
        of(2, &corpus::file(&format!("{folder}/preprocessor_config.json"))),
    ]
}

thread_local! {
    static SCRATCH: Scratch = {
        let scratch = Scratch::with(&[]);
        for (folder, weights) in WEIGHTS {
            scratch.write(&format!("{folder}/model.safetensors"), &corpus::file(weights));
        }
        scratch
    };
}

/// Opens weights with this description, makes the network, and shows it a picture.
pub(super) fn target(bytes: &[u8]) -> Outcome {
    let Some((&number, bytes)) = bytes.split_first() else { return Ok(()) };
    let (folder, _) = WEIGHTS[usize::from(number) % WEIGHTS.len()];
    SCRATCH.with(|scratch| {
        scratch.write(&format!("{folder}/config.json"), bytes);
        if folder == "elsewhere" {
            scratch.write(&format!("{folder}/preprocessor_config.json"), bytes);
        }
        open(&scratch.path().join(folder))
    })
}

fn open(folder: &Path) -> Outcome {
    let weights = Weights::open(folder).map_err(|error| error.to_string())?;
    let [height, width] = weights.description.image_size;
    if weights.description.decoder.is_some() {
        return weights.autoencoder().map(|_| ()).map_err(|error| error.to_string());
    }
    let classifier = Inference::<Classifier>::open(&weights, &Backend::Cpu);
    let classifier = classifier.map_err(|error| error.to_string())?;
    if height * width > PIXELS {
        return Ok(());
    }
    let picture = Picture::new(20, 30, 3, vec![99; 20 * 30 * 3]).expect("so many values");
    let input = Input::Picture { name: "picture".into(), picture: picture.into() };
    let mut answers = classifier.probabilities(input).map_err(|error| error.to_string())?;
    let answer = answers.next().expect("one for each picture");
    answer.map(|_| ()).map_err(|error| error.to_string())
}
