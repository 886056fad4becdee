//! Files of weights in everybody's names, up to the network that they are of.

use fcmae::weights::Weights;

use crate::scratch::Scratch;
use crate::target::{Outcome, Target};
use crate::{corpus, repair};

pub(super) const TARGET: Target = Target {
    name: "weights",
    run: target,
    corpus: files,
    words: &[
        b"stem.0.weight",
        b"downsample_layers.0.0.weight",
        b"encoder.",
        b"backbone.",
        b"convnextv2.embeddings.patch_embeddings.weight",
        b"stages.0.blocks.0.conv_dw.weight",
        b"stages.3.1.dwconv.weight",
        b"stages.1.downsample.1.weight",
        b".grn.weight",
        b".grn.gamma",
        b"gamma",
        b"head.fc.weight",
        b"head.norm.weight",
        b"decoder.proj.weight",
        b"decoder.blocks.0.conv_dw.weight",
        b"mask_token",
        b"\"dtype\":\"F16\"",
        b"\"head.fc.weight\":{\"dtype\":\"F32\",\"shape\":[99999999999,0],\"data_offsets\":[0,0]},",
        b"\"decoder.proj.weight\":{\"dtype\":\"F32\",\"shape\":[99999999999,0],\"data_offsets\":[0,0]},",
        b"99999999999,0],\"data_offsets\":[0,0]",
        b"\"shape\":[0]",
        b"K\x00",
        b"K\x01",
        b"M\x00\x01",
        b"J\x00\x00\x01\x00",
        b"\x85",
        b"\x86",
        b"\x87",
        b"t",
    ],
    repair: repair::weights,
    short: 1_000,
};

fn files() -> Vec<Vec<u8>> {
    let file = |name: &str| corpus::file(&format!("crates/fcmae/tests/fixtures/weights/{name}"));
    vec![
        file("timm.safetensors"),
        file("transformers/model.safetensors"),
        file("transformers_v1.safetensors"),
        file("authors.pth"),
        file("authors_v1.pth"),
        file("mmpretrain.pth"),
    ]
}

thread_local! {
    static SCRATCH: Scratch = Scratch::with(&[]);
}

/// Opens a file of weights and makes the network that it is of.
pub(super) fn target(bytes: &[u8]) -> Outcome {
    SCRATCH.with(|scratch| {
        let path = scratch.write("fuzzed.pth", bytes);
        let weights = Weights::open(&path).map_err(|error| error.to_string())?;
        let classifier = weights.classifier().map(|_| ());
        let autoencoder = weights.autoencoder().map(|_| ());
        classifier.or(autoencoder).map_err(|error| error.to_string())
    })
}
