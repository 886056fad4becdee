//! The kernels' sources.

/// A file of kernels.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Its name.
    pub file: &'static str,
    /// What it holds.
    pub text: &'static str,
}

macro_rules! sources {
    ($($file:literal),* $(,)?) => {
        [$(Source { file: $file, text: include_str!(concat!("../kernels/", $file)) }),*]
    };
}

/// All files that have kernels.
pub const SOURCES: [Source; 12] = sources![
    "activation.cu",
    "cross_entropy.cu",
    "depthwise.cu",
    "images.cu",
    "layer_norm.cu",
    "layer_scale.cu",
    "pool.cu",
    "residual.cu",
    "rows.cu",
    "sums.cu",
    "update.cu",
    "windows.cu",
];

/// What they include.
pub const HEADERS: [Source; 2] = sources!["columns.h", "device.h"];

impl Source {
    /// The names of its kernels, as C++ spells them: those that `KERNEL` marks, with both types of features for
    /// each `T`.
    pub fn kernels(&self) -> Vec<String> {
        let marked = self.text.lines().filter_map(|line| {
            let line = line.trim().trim_end_matches('\\').trim_end();
            line.strip_prefix("KERNEL(")?.strip_suffix(')')
        });
        marked
            .flat_map(|name| match name.split_once("<T") {
                Some((kernel, rest)) => {
                    ["float", "bf16"].map(|of| format!("{kernel}<{of}{rest}")).to_vec()
                }
                None => vec![name.to_owned()],
            })
            .collect()
    }
}
