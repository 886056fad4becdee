//! Options that several commands take.

use std::path::{Path, PathBuf};

use clap::Args;
use fcmae::engine::backend::{Backend, Precision};
use fcmae::engine::device::Device;
use fcmae::error::ConfigError;
use fcmae::weights::Weights;
use fcmae_data::Pages;

use crate::output;

/// What networks are computed on, for every command that computes with one.
#[derive(Args, Clone)]
pub(crate) struct DeviceArg {
    /// Device: `cpu`, `cuda` (the first GPU), `cuda:1` and so on, or `auto`, which currently means the processor
    /// [default: auto]
    #[arg(long, value_name = "cpu|auto|cuda[:N]")]
    pub(crate) device: Option<String>,

    /// Number type of features on a GPU: `bf16`, `f32`, or `auto` for bf16 if the GPU supports it. The processor
    /// always uses f32 [default: auto]
    #[arg(long, value_name = "auto|bf16|f32")]
    pub(crate) precision: Option<Precision>,
}

impl DeviceArg {
    /// The device that was asked for, or the best where none was.
    ///
    /// # Errors
    /// As [`Device::choose`].
    pub(crate) fn choose(&self) -> Result<Device, ConfigError> {
        Device::choose(self.device.as_deref().unwrap_or("auto"))
    }

    /// The device, ready to compute.
    ///
    /// # Errors
    /// As [`Device::choose`] and [`Backend::open`].
    pub(crate) fn open(&self) -> fcmae::Result<Backend> {
        Backend::open(self.choose()?, self.precision.unwrap_or_default())
    }

    /// The same, told on standard error.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn told(&self) -> fcmae::Result<Backend> {
        self.told_or("auto")
    }

    /// The same, another device where none was asked for.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn told_or(&self, device: &str) -> fcmae::Result<Backend> {
        let device = Device::choose(self.device.as_deref().unwrap_or(device))?;
        let backend = Backend::open(device, self.precision.unwrap_or_default())?;
        output::note(&format!("device  {backend}"));
        Ok(backend)
    }

    /// As `--set` takes them; none where nothing was asked for.
    pub(crate) fn settings(&self) -> Vec<String> {
        // Quoted, so that it is text whatever it looks like.
        let device = self.device.as_ref().map(|name| format!("device={name:?}"));
        let precision = self.precision.map(|precision| format!("precision=\"{precision}\""));
        [device, precision].into_iter().flatten().collect()
    }

    /// As arguments of another process: options, each with its value.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = [String; 2]> {
        let device = self.device.as_ref().map(|name| ["--device".to_owned(), name.clone()]);
        let precision = self.precision.map(|of| ["--precision".to_owned(), of.to_string()]);
        device.into_iter().chain(precision)
    }

    /// What to add to a command that goes on with the work, with a space before it.
    pub(crate) fn again(&self) -> String {
        let quoted = |[option, value]: [String; 2]| {
            format!(" {option} {}", output::quoted(Path::new(&value)))
        };
        self.arguments().map(quoted).collect()
    }
}

#[derive(Args)]
pub(crate) struct WeightsArg {
    /// A fine-tuning run, an export folder, a checkpoint, a weights file, or hf:OWNER/NAME. A run stands for its best
    /// weights, or its last if it has no best, or its newest checkpoint if it has neither; RUN/export/last stands for
    /// the last
    #[arg(long, value_name = "RUN|FILE")]
    pub(crate) weights: PathBuf,
}

/// Reads weights, and says what there is to know of them.
///
/// # Errors
/// As [`Weights::open`].
pub(crate) fn weights_at(path: &Path) -> fcmae::Result<Weights> {
    let weights = Weights::open(path)?;
    weights.notes.iter().for_each(|note| output::note(note));
    Ok(weights)
}

/// Weights of any kind, for commands that do nothing else but look at them or write them.
#[derive(Args)]
pub(crate) struct AnyWeightsArg {
    /// A run, an export folder, a checkpoint, a weights file, or hf:OWNER/NAME. A run stands for its best weights, or
    /// its last if it has no best, or its newest checkpoint if it has neither; RUN/export/last stands for the last
    #[arg(value_name = "RUN|FILE")]
    pub(crate) weights: PathBuf,
}

/// Which pictures are used, where that differs from how the weights were trained.
#[derive(Args, Default)]
pub(crate) struct TakenArg {
    /// Pages of a TIFF file to read: the `first`, or `all`, each as a picture of its own (data.pages) [default: as
    /// the weights were trained]
    #[arg(long, value_name = "first|all")]
    pages: Option<Pages>,

    /// Largest number of pixels in a picture (data.max_pixels) [default: as the weights were trained]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_pixels: Option<u64>,
}

impl TakenArg {
    /// Weights, for such pictures as are asked for.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub(crate) fn of(&self, weights: &Path) -> fcmae::Result<Weights> {
        let mut weights = weights_at(weights)?;
        self.apply(&mut weights);
        Ok(weights)
    }

    /// Has weights take such pictures as are asked for.
    pub(crate) fn apply(&self, weights: &mut Weights) {
        let description = &mut weights.description;
        description.max_pixels = self.max_pixels.unwrap_or(description.max_pixels);
        description.pages = self.pages.unwrap_or(description.pages);
    }

    /// As options of a command that is called again, with a space before each.
    pub(crate) fn again(&self) -> String {
        let pages = self.pages.map(|pages| format!(" --pages {}", pages.name()));
        let pixels = self.max_pixels.map(|pixels| format!(" --max-pixels {pixels}"));
        [pages, pixels].into_iter().flatten().collect()
    }
}

impl WeightsArg {
    /// The weights, for such pictures as are asked for.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub(crate) fn open(&self, taken: &TakenArg) -> fcmae::Result<Weights> {
        taken.of(&self.weights)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_device_is_text_as_a_setting_and_the_best_where_none_is_named() {
        let arg = |name: Option<&str>| DeviceArg {
            device: name.map(str::to_owned),
            precision: name.map(|_| Precision::F32),
        };
        let settings = ["device=\"cuda:1\"", "precision=\"f32\""];
        assert_eq!(arg(Some("cuda:1")).settings(), settings);
        assert_eq!(arg(Some("cuda:1")).again(), " --device cuda:1 --precision f32");
        assert_eq!((arg(None).settings(), arg(None).again()), (vec![], String::new()));
        assert_eq!(arg(None).choose().unwrap(), Device::choose("auto").unwrap());
        assert!(arg(Some("1")).choose().is_err());
    }
}
