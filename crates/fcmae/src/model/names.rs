//! What parameters are called in files: timm's names, which users already know.
//!
//! Inside, a parameter's name is its path through the structs (`encoder.stem.conv.weight`). In
//! files the encoder and head are called as in timm (`stem.0.weight`), and what timm does not know,
//! the decoder, as here (`decoder.mask_token`).

/// The struct path on the left becomes timm's position on the right.
const POSITIONS: [(&str, &str); 4] = [
    ("stem.conv.", "stem.0."),
    ("stem.norm.", "stem.1."),
    ("downsample.norm.", "downsample.0."),
    ("downsample.conv.", "downsample.1."),
];

/// The name in files of the parameter at `path`.
pub fn in_files(path: &str) -> String {
    let path = path.strip_prefix("encoder.").unwrap_or(path);
    for (ours, theirs) in POSITIONS {
        if let Some(at) = path.find(ours) {
            return format!("{}{theirs}{}", &path[..at], &path[at + ours.len()..]);
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_timm_names() {
        for (path, name) in [
            ("encoder.stem.conv.weight", "stem.0.weight"),
            ("encoder.stem.norm.bias", "stem.1.bias"),
            ("encoder.stages.2.downsample.norm.weight", "stages.2.downsample.0.weight"),
            ("encoder.stages.1.downsample.conv.bias", "stages.1.downsample.1.bias"),
            ("encoder.stages.0.blocks.1.mlp.grn.weight", "stages.0.blocks.1.mlp.grn.weight"),
            ("head.fc.bias", "head.fc.bias"),
            ("decoder.blocks.0.conv_dw.weight", "decoder.blocks.0.conv_dw.weight"),
        ] {
            assert_eq!(in_files(path), name);
        }
    }
}
