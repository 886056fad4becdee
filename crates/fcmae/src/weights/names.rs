//! What the same parameter is called by different programs, and how it lies in their files.
//!
//! One table drives all directions. Inside this project, and in the files it writes by default, a
//! parameter has timm's name and PyTorch's shape; what timm does not know, the decoder, is called
//! `decoder.*`.

use std::collections::BTreeMap;

use fcmae_store::{HostTensor, NamedTensors};
use serde::Serialize;

/// Whose names a file's tensors have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// timm's, and this project's own.
    Timm,
    /// The authors' dense network (`downsample_layers`, `stages.0.0.dwconv`).
    Authors,
    /// The authors' sparse network while it pre-trains (`encoder.*.kernel`), with its decoder.
    AuthorsSparse,
    /// Hugging Face transformers' (`convnextv2.encoder.stages.0.layers.0.dwconv`).
    Transformers,
    /// mmpretrain's (`backbone.stages.0.0.depthwise_conv`).
    Mmpretrain,
}

/// A row for each kind of parameter: timm's name, the authors', transformers', mmpretrain's.
/// `{s}` stands for a stage's number, `{b}` for a block's. A row stands for the name itself and for
/// the name with `.weight` or `.bias` behind it. Nothing stands where a program has no such parameter.
const NAMES: [[&str; 4]; 22] = [
    ["stem.0", "downsample_layers.0.0", "embeddings.patch_embeddings", "downsample_layers.0.0"],
    ["stem.1", "downsample_layers.0.1", "embeddings.layernorm", "downsample_layers.0.1"],
    [
        "stages.{s}.downsample.0",
        "downsample_layers.{s}.0",
        "encoder.stages.{s}.downsampling_layer.0",
        "downsample_layers.{s}.0",
    ],
    [
        "stages.{s}.downsample.1",
        "downsample_layers.{s}.1",
        "encoder.stages.{s}.downsampling_layer.1",
        "downsample_layers.{s}.1",
    ],
    [
        "stages.{s}.blocks.{b}.conv_dw",
        "stages.{s}.{b}.dwconv",
        "encoder.stages.{s}.layers.{b}.dwconv",
        "stages.{s}.{b}.depthwise_conv",
    ],
    [
        "stages.{s}.blocks.{b}.norm",
        "stages.{s}.{b}.norm",
        "encoder.stages.{s}.layers.{b}.layernorm",
        "stages.{s}.{b}.norm",
    ],
    [
        "stages.{s}.blocks.{b}.mlp.fc1",
        "stages.{s}.{b}.pwconv1",
        "encoder.stages.{s}.layers.{b}.pwconv1",
        "stages.{s}.{b}.pointwise_conv1",
    ],
    [
        "stages.{s}.blocks.{b}.mlp.grn.weight",
        "stages.{s}.{b}.grn.gamma",
        "encoder.stages.{s}.layers.{b}.grn.weight",
        "stages.{s}.{b}.grn.gamma",
    ],
    [
        "stages.{s}.blocks.{b}.mlp.grn.bias",
        "stages.{s}.{b}.grn.beta",
        "encoder.stages.{s}.layers.{b}.grn.bias",
        "stages.{s}.{b}.grn.beta",
    ],
    [
        "stages.{s}.blocks.{b}.mlp.fc2",
        "stages.{s}.{b}.pwconv2",
        "encoder.stages.{s}.layers.{b}.pwconv2",
        "stages.{s}.{b}.pointwise_conv2",
    ],
    // V1's layer scale.
    [
        "stages.{s}.blocks.{b}.gamma",
        "stages.{s}.{b}.gamma",
        "encoder.stages.{s}.layers.{b}.layer_scale_parameter",
        "stages.{s}.{b}.gamma",
    ],
    ["head.norm", "norm", "layernorm", "norm3"],
    ["head.fc", "head", "classifier", "head.fc"],
    // The masked autoencoder's other half.
    ["decoder.mask_token", "mask_token", "", ""],
    ["decoder.proj", "proj", "", ""],
    ["decoder.blocks.{b}.conv_dw", "decoder.{b}.dwconv", "", ""],
    ["decoder.blocks.{b}.norm", "decoder.{b}.norm", "", ""],
    ["decoder.blocks.{b}.mlp.fc1", "decoder.{b}.pwconv1", "", ""],
    ["decoder.blocks.{b}.mlp.grn.weight", "decoder.{b}.grn.gamma", "", ""],
    ["decoder.blocks.{b}.mlp.grn.bias", "decoder.{b}.grn.beta", "", ""],
    ["decoder.blocks.{b}.mlp.fc2", "decoder.{b}.pwconv2", "", ""],
    ["decoder.pred", "pred", "", ""],
];

/// Every scheme's stem, by which a file is recognised.
pub(super) const STEM: &str = "stem.0.weight";
/// The same in timm's networks for features alone.
const LISTED_STEM: &str = "stem_0.weight";

impl Scheme {
    /// In the order in which they are tried: of two that know as many names, the first is meant.
    const ALL: [Self; 5] =
        [Self::Timm, Self::Authors, Self::AuthorsSparse, Self::Transformers, Self::Mmpretrain];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Timm => "timm",
            Self::Authors => "the authors' dense network",
            Self::AuthorsSparse => "the authors' sparse network",
            Self::Transformers => "transformers",
            Self::Mmpretrain => "mmpretrain",
        }
    }

    fn column(self) -> usize {
        match self {
            Self::Timm => 0,
            Self::Authors | Self::AuthorsSparse => 1,
            Self::Transformers => 2,
            Self::Mmpretrain => 3,
        }
    }

    /// timm's name for what this scheme calls `name`, without any prefix of the whole network.
    fn to_timm(self, name: &str) -> Option<String> {
        let plain = match self {
            Self::AuthorsSparse => dense_name(name),
            Self::Timm => unlisted_name(name),
            _ => name.to_owned(),
        };
        translate(&plain, self.column(), Self::Timm.column())
    }

    /// What this scheme calls the parameter of timm's `name`; `None` where it has no such parameter.
    ///
    /// The sparse network's names are given as its dense form has them.
    pub fn from_timm(self, name: &str) -> Option<String> {
        translate(name, Self::Timm.column(), self.column())
    }
}

/// The name in the column `to` of the parameter that is called `name` in the column `from`.
fn translate(name: &str, from: usize, to: usize) -> Option<String> {
    NAMES.iter().find_map(|row| {
        let Match { stage, block, suffix } = Match::of(row[from], name)?;
        let there = row[to].replace("{s}", stage).replace("{b}", block);
        (!there.is_empty()).then(|| there + suffix)
    })
}

/// What stands in a name where a row of the table has its gaps.
struct Match<'a> {
    stage: &'a str,
    block: &'a str,
    /// `.weight`, `.bias` or nothing.
    suffix: &'a str,
}

impl<'a> Match<'a> {
    fn of(pattern: &str, name: &'a str) -> Option<Self> {
        let (mut stage, mut block) = ("0", "0");
        let mut rest = name;
        for (place, part) in pattern.split('.').enumerate() {
            if place > 0 {
                rest = rest.strip_prefix('.')?;
            }
            let end = rest.find('.').unwrap_or(rest.len());
            let found = &rest[..end];
            match part {
                "{s}" | "{b}" if is_number(found) => {
                    *(if part == "{s}" { &mut stage } else { &mut block }) = found;
                }
                _ if part == found => {}
                _ => return None,
            }
            rest = &rest[end..];
        }
        matches!(rest, "" | ".weight" | ".bias").then_some(Self { stage, block, suffix: rest })
    }
}

/// A number as programs write it: without leading zeros, so that no two names mean the same.
fn is_number(text: &str) -> bool {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0'))
}

/// The sparse network wraps its layers: `norm.ln.weight`, `pwconv1.linear.bias`, `dwconv.kernel`.
fn dense_name(name: &str) -> String {
    let parts = name.split('.').filter(|part| !matches!(*part, "ln" | "linear"));
    let parts = parts.map(|part| if part == "kernel" { "weight" } else { part });
    parts.collect::<Vec<_>>().join(".")
}

/// timm's networks for features alone (`features_only=True`) are lists of modules: `stem_0.weight`,
/// `stages_0.blocks.0.norm.bias`.
fn unlisted_name(name: &str) -> String {
    let (first, rest) = name.split_once('.').unwrap_or((name, ""));
    match first.split_once('_') {
        Some((module @ ("stem" | "stages"), number)) if is_number(number) => {
            format!("{module}.{number}.{rest}")
        }
        _ => name.to_owned(),
    }
}

/// A file's tensors under timm's names.
#[derive(Debug)]
pub struct Renamed {
    /// Whose names they had.
    pub scheme: Scheme,
    /// With the shapes of this project's network. Those of no known name keep theirs.
    pub tensors: NamedTensors,
    /// The file's name of each of timm's, where the two differ.
    pub origin: BTreeMap<String, String>,
}

/// Finds out whose names the tensors have, and gives them timm's and the shapes of this project.
///
/// # Errors
/// Where no scheme's stem is there: gives the tensors back.
pub fn rename(tensors: NamedTensors) -> Result<Renamed, NamedTensors> {
    match recognise(tensors.names()) {
        Some((scheme, prefix)) => Ok(rename_from(scheme, &prefix, tensors)),
        None => Err(tensors),
    }
}

/// The same where the names are known to be of `scheme`, with `prefix` before the encoder's.
pub(super) fn rename_from(scheme: Scheme, prefix: &str, tensors: NamedTensors) -> Renamed {
    let mut renamed = Renamed { scheme, tensors: NamedTensors::new(), origin: BTreeMap::new() };
    for (name, tensor) in tensors {
        let known = without_prefix(&name, prefix).find_map(|short| scheme.to_timm(short));
        // Two of the file's names for one parameter: the second keeps its own, and is reported.
        let known = known.filter(|timm| renamed.tensors.get(timm).is_none());
        match known {
            Some(timm) => {
                let tensor = in_our_shape(&timm, tensor, scheme);
                if timm != name {
                    renamed.origin.insert(timm.clone(), name);
                }
                renamed.tensors.insert(timm, tensor);
            }
            None => {
                let again = renamed.tensors.get(&name).is_some();
                let name = if again { format!("{name} (a second time)") } else { name };
                renamed.tensors.insert(name, tensor);
            }
        }
    }
    renamed
}

/// The scheme that knows most of the names, and what stands before the encoder's names.
fn recognise<'a>(names: impl Iterator<Item = &'a str>) -> Option<(Scheme, String)> {
    let names: Vec<&str> = names.collect();
    let sparse = names.iter().any(|name| name.ends_with(".kernel"));
    let mut best: Option<(usize, Scheme, String)> = None;
    for scheme in Scheme::ALL {
        if (scheme == Scheme::AuthorsSparse) != sparse {
            continue;
        }
        let stem = scheme.from_timm(STEM)?;
        let stems = [Some(stem.as_str()), (scheme == Scheme::Timm).then_some(LISTED_STEM)];
        let before = |name: &&str| {
            let prefix = stems.into_iter().flatten().find_map(|stem| name.strip_suffix(stem))?;
            (prefix.is_empty() || prefix.ends_with('.')).then(|| prefix.to_owned())
        };
        let Some(prefix) = names.iter().find_map(before) else { continue };
        let is_known =
            |name: &&&str| without_prefix(name, &prefix).any(|s| scheme.to_timm(s).is_some());
        let known = names.iter().filter(is_known).count();
        if best.as_ref().is_none_or(|&(most, ..)| known > most) {
            best = Some((known, scheme, prefix));
        }
    }
    best.map(|(_, scheme, prefix)| (scheme, prefix))
}

/// The name without all of the prefix, without less and less of it, and as it is: a wrapper
/// (`module.`) holds the head too, a backbone's prefix does not.
fn without_prefix<'a>(name: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    let ends = prefix.rmatch_indices('.').map(|(dot, _)| dot + 1).chain([0]);
    ends.filter_map(move |end| name.strip_prefix(&prefix[..end]))
}

/// The tensor in the shape that this project's network has: vectors of one axis, linear weights
/// `[out, in]`, convolutions `[out, in, k, k]`. What fits no rule stays, to be reported.
fn in_our_shape(name: &str, mut tensor: HostTensor, scheme: Scheme) -> HostTensor {
    let ends = |all: &[&str]| all.iter().any(|end| name.ends_with(end));
    if name == STEM || ends(&[".conv_dw.weight", ".downsample.1.weight"]) {
        return if scheme == Scheme::AuthorsSparse { dense_kernel(tensor) } else { tensor };
    }
    if ends(&[".fc1.weight", ".fc2.weight", ".fc.weight", ".proj.weight", ".pred.weight"]) {
        if let [_, _, 1, 1] = tensor.shape[..] {
            tensor.shape.truncate(2);
        }
    } else if tensor.shape.iter().filter(|&&axis| axis != 1).count() <= 1 {
        tensor.shape = vec![tensor.data.len()];
    }
    tensor
}

/// A sparse convolution's kernel, `[k², in, out]` or depthwise `[k², C]`, as `[out, in, k, k]` or
/// `[C, 1, k, k]`. The sparse library counts a kernel's places down its columns, height fastest.
fn dense_kernel(tensor: HostTensor) -> HostTensor {
    let (places, inputs, outputs) = match tensor.shape[..] {
        [places, inputs, outputs] => (places, inputs, outputs),
        [places, channels] => (places, 1, channels),
        _ => return tensor,
    };
    let side = places.isqrt();
    if side * side != places {
        return tensor;
    }
    let mut data = Vec::with_capacity(tensor.data.len());
    for output in 0..outputs {
        for input in 0..inputs {
            for row in 0..side {
                for column in 0..side {
                    let place = column * side + row;
                    data.push(tensor.data[(place * inputs + input) * outputs + output]);
                }
            }
        }
    }
    HostTensor { shape: vec![outputs, inputs, side, side], data }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_translate_both_ways() {
        for (timm, authors, transformers, mmpretrain) in [
            (
                "stem.0.weight",
                "downsample_layers.0.0.weight",
                "embeddings.patch_embeddings.weight",
                "downsample_layers.0.0.weight",
            ),
            (
                "stages.2.downsample.0.bias",
                "downsample_layers.2.0.bias",
                "encoder.stages.2.downsampling_layer.0.bias",
                "downsample_layers.2.0.bias",
            ),
            (
                "stages.2.blocks.11.mlp.grn.weight",
                "stages.2.11.grn.gamma",
                "encoder.stages.2.layers.11.grn.weight",
                "stages.2.11.grn.gamma",
            ),
            (
                "stages.0.blocks.1.gamma",
                "stages.0.1.gamma",
                "encoder.stages.0.layers.1.layer_scale_parameter",
                "stages.0.1.gamma",
            ),
            ("head.norm.bias", "norm.bias", "layernorm.bias", "norm3.bias"),
            ("head.fc.weight", "head.weight", "classifier.weight", "head.fc.weight"),
        ] {
            for (scheme, theirs) in [
                (Scheme::Timm, timm),
                (Scheme::Authors, authors),
                (Scheme::Transformers, transformers),
                (Scheme::Mmpretrain, mmpretrain),
            ] {
                assert_eq!(scheme.to_timm(theirs).as_deref(), Some(timm), "{scheme:?}");
                assert_eq!(scheme.from_timm(timm).as_deref(), Some(theirs), "{scheme:?}");
            }
        }
        assert_eq!(Scheme::Transformers.from_timm("decoder.proj.weight"), None);
    }

    #[test]
    fn timms_networks_for_features_alone_are_read() {
        for prefix in ["", "backbone.", "module.model."] {
            let mut tensors = NamedTensors::new();
            for name in ["stem_0.weight", "stem_1.bias", "stages_3.blocks.11.mlp.grn.weight"] {
                tensors.insert(
                    format!("{prefix}{name}"),
                    HostTensor { shape: vec![1], data: vec![0.0] },
                );
            }
            let found = rename(tensors).unwrap();
            assert_eq!(found.scheme, Scheme::Timm);
            let names: Vec<&str> = found.tensors.names().collect();
            let expected = ["stages.3.blocks.11.mlp.grn.weight", "stem.0.weight", "stem.1.bias"];
            assert_eq!(names, expected, "{prefix}");
        }
        assert_eq!(Scheme::Timm.to_timm("stages_01.downsample.0.bias"), None);
        assert_eq!(Scheme::Timm.to_timm("stem_x.weight"), None);
    }

    #[test]
    fn sparse_names_lose_their_wrappers() {
        for (sparse, timm) in [
            ("downsample_layers.1.0.ln.weight", "stages.1.downsample.0.weight"),
            ("downsample_layers.1.1.kernel", "stages.1.downsample.1.weight"),
            ("stages.0.1.dwconv.kernel", "stages.0.blocks.1.conv_dw.weight"),
            ("stages.0.1.pwconv2.linear.bias", "stages.0.blocks.1.mlp.fc2.bias"),
            ("decoder.0.grn.beta", "decoder.blocks.0.mlp.grn.bias"),
            ("mask_token", "decoder.mask_token"),
        ] {
            assert_eq!(Scheme::AuthorsSparse.to_timm(sparse).as_deref(), Some(timm));
        }
    }

    #[test]
    fn near_names_are_not_taken_for_known_ones() {
        for name in [
            "stem.0.weight.extra",
            "stem.0.running_mean",
            "stages.01.blocks.0.norm.weight",
            "stages.x.blocks.0.norm.weight",
            "stages.0.blocks.0.norm2.weight",
            "stages.0.blocks..norm.weight",
            "",
        ] {
            assert_eq!(Scheme::Timm.to_timm(name), None, "{name}");
        }
    }

    #[test]
    fn wrappers_of_the_whole_network_are_seen_through() {
        let one = |name: &str| (name.to_owned(), HostTensor::new([1], vec![1.0]).unwrap());
        for (prefix, head) in
            [("", ""), ("module.", "module."), ("module.", ""), ("model.backbone.", "model.")]
        {
            let tensors: NamedTensors = [
                one(&format!("{prefix}stem.0.weight")),
                one(&format!("{prefix}stages.0.blocks.0.norm.weight")),
                one(&format!("{head}head.fc.bias")),
                one("loss.weight"),
            ]
            .into_iter()
            .collect();
            let renamed = rename(tensors).unwrap();
            assert_eq!(renamed.scheme, Scheme::Timm);
            let names: Vec<_> = renamed.tensors.names().collect();
            let expected =
                ["head.fc.bias", "loss.weight", "stages.0.blocks.0.norm.weight", "stem.0.weight"];
            assert_eq!(names, expected, "{prefix} {head}");
        }
    }

    #[test]
    fn a_second_name_of_a_parameter_is_kept_to_be_reported() {
        let one = |name: &str, value| (name.to_owned(), HostTensor::new([1], vec![value]).unwrap());
        let tensors: NamedTensors =
            [one("module.stem.0.weight", 1.0), one("stem.0.weight", 2.0)].into_iter().collect();
        let renamed = rename(tensors).unwrap();
        assert_eq!(renamed.tensors.len(), 2);
    }

    /// Rows and columns of a kernel of 3 × 3 places, 1 to 9 in the order of a picture.
    #[test]
    fn sparse_kernels_run_down_their_columns() {
        let by_columns = vec![1.0, 4.0, 7.0, 2.0, 5.0, 8.0, 3.0, 6.0, 9.0];
        let dense = dense_kernel(HostTensor::new([9, 1], by_columns).unwrap());
        assert_eq!(dense.shape, [1, 1, 3, 3]);
        assert_eq!(dense.data, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        // [k², in, out]: place, then input, then output.
        let values = (0..4 * 2 * 3).map(|v| v as f32).collect();
        let dense = dense_kernel(HostTensor::new([4, 2, 3], values).unwrap());
        assert_eq!(dense.shape, [3, 2, 2, 2]);
        // Output 0, input 0: places at rows and columns (0,0), (0,1), (1,0), (1,1).
        assert_eq!(dense.data[..4], [0.0, 12.0, 6.0, 18.0]);
    }
}
