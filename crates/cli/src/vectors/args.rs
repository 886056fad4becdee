//! How the commands that compare vectors get them, as options.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use fcmae::inference::embed::Features;

use crate::failure::Usage;
use crate::options::{DeviceArg, TakenArg};
use crate::output;
use crate::picture_sets::ColumnsArgs;

/// How vectors are computed, and which.
#[derive(Args)]
pub(crate) struct EmbedderArgs {
    /// The features that represent a picture: `pooled`, the mean over the last stage, or `stage1` to `stage4`, the mean
    /// over that stage [default: pooled]
    #[arg(long, value_name = "NAME")]
    features: Option<Features>,

    #[command(flatten)]
    pub(super) columns: ColumnsArgs,

    #[command(flatten)]
    pub(super) taken: TakenArg,

    #[command(flatten)]
    pub(super) device: DeviceArg,
}

impl EmbedderArgs {
    pub(super) fn features(&self) -> Features {
        self.features.unwrap_or(Features::Pooled)
    }

    /// Refuses options that only matter where vectors are computed.
    pub(super) fn refuse_without_weights(&self) -> Result<()> {
        let given = [
            ("--features", self.features.is_some()),
            ("--label-column", self.columns.label_column.is_some()),
            ("--image-column", self.columns.image_column.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((option, _)) => Err(Usage(format!(
                "{option} is for pictures: give --weights to compute their vectors; files of vectors record how they \
                 were made"
            ))
            .into()),
        }
    }

    /// As options of a command that is called again, with a space before each.
    pub(crate) fn again(&self) -> String {
        let column = |option: &str, name: &Option<String>| {
            let quoted = |name: &String| format!(" {option} {}", output::quoted(Path::new(name)));
            name.as_ref().map_or(String::new(), quoted)
        };
        [
            format!(" --features {}", self.features()),
            column("--label-column", &self.columns.label_column),
            column("--image-column", &self.columns.image_column),
            self.taken.again(),
            self.device.again(),
        ]
        .concat()
    }
}

/// The weights of commands that also read vectors.
#[derive(Args)]
pub(crate) struct VectorsArgs {
    /// Compute the vectors with these weights: a run, an export folder, a checkpoint, a weights file or hf:OWNER/NAME.
    /// Without it, --data are files that `fcmae embed` wrote
    #[arg(long, value_name = "RUN|FILE")]
    pub(super) weights: Option<PathBuf>,

    #[command(flatten)]
    pub(super) embedder: EmbedderArgs,
}

impl VectorsArgs {
    /// Of weights as they are.
    pub(crate) fn new(weights: &Path, device: &DeviceArg) -> Self {
        let (taken, device) = (TakenArg::default(), device.clone());
        let embedder =
            EmbedderArgs { features: None, columns: ColumnsArgs::default(), taken, device };
        Self { weights: Some(weights.to_owned()), embedder }
    }
}
