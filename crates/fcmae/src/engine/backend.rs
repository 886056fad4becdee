//! What computes a network: this machine's processor, or a graphics card with its driver.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use fcmae_cuda::card::Card;
use fcmae_cuda::work::Element;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::device::Device;
use crate::engine::machine;
use crate::error::{ConfigError, Result};

/// What computes a network, and in whose memory its weights lie.
#[derive(Clone, Debug, Default)]
pub enum Backend {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU, or what stands for one in tests.
    Card(Arc<Card>),
}

/// The number type of features and of the operands of products. Weights, gradients, moments and statistics are float32
/// everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// bfloat16 on a GPU that supports it (compute capability 8.0), else float32.
    #[default]
    Auto,
    /// bfloat16.
    Bf16,
    /// float32.
    F32,
}

impl FromStr for Precision {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        match name {
            "auto" => Ok(Self::Auto),
            "bf16" => Ok(Self::Bf16),
            "f32" => Ok(Self::F32),
            _ => Err(refused(name, "it is `auto`, `bf16` or `f32`")),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
        })
    }
}

fn refused(value: impl fmt::Display, reason: &str) -> ConfigError {
    let (key, value) = ("precision".to_owned(), value.to_string());
    ConfigError::Value { key, value, reason: reason.to_owned() }
}

impl Backend {
    /// Makes a device ready to compute.
    ///
    /// # Errors
    /// A card, a driver or a library that is missing or too old, with what to do about it; a precision that the
    /// device does not have.
    pub fn open(device: Device, precision: Precision) -> Result<Self> {
        match (device, precision) {
            (Device::Cpu, Precision::Bf16) => {
                let reason = "the processor only computes in float32: use `--device cuda` for a GPU, or `f32` \
                    or `auto`";
                Err(refused(precision, reason).into())
            }
            (Device::Cpu, _) => Ok(Self::Cpu),
            (Device::Cuda(number), _) => Self::card(number, precision),
        }
    }

    #[cfg(feature = "cuda")]
    fn card(number: usize, precision: Precision) -> Result<Self> {
        /// The first architecture with products of bfloat16.
        const BF16: u32 = 80;
        let driver =
            fcmae_cuda::nvidia::open(number, crate::engine::device::libraries().as_deref())?;
        let has_bf16 = driver.facts().architecture >= BF16;
        let features = match precision {
            Precision::Bf16 if !has_bf16 => {
                let reason =
                    "this GPU has no bfloat16 (it needs compute capability 8.0): use `f32`";
                return Err(refused(precision, reason).into());
            }
            Precision::Auto if has_bf16 => Element::Bf16,
            Precision::Bf16 => Element::Bf16,
            Precision::Auto | Precision::F32 => Element::F32,
        };
        Ok(Self::Card(Card::new(driver, features)))
    }

    #[cfg(not(feature = "cuda"))]
    fn card(number: usize, _: Precision) -> Result<Self> {
        // Never chosen: it is refused by name.
        Device::choose(&Device::Cuda(number).to_string())?;
        Ok(Self::Cpu)
    }

    /// Bytes of its memory that are free, where that is known.
    pub fn free_memory(&self) -> Option<u64> {
        match self {
            Self::Cpu => machine::available_memory(),
            Self::Card(card) => card.driver().free_memory().ok(),
        }
    }

    /// Bytes of its memory of which more cannot be had, where that is known.
    pub(crate) fn memory_at_most(&self) -> Option<u64> {
        match self {
            Self::Cpu => machine::memory_at_most(),
            Self::Card(_) => self.free_memory(),
        }
    }

    /// The number type of features on a card.
    pub(crate) fn features(&self) -> Option<Element> {
        match self {
            Self::Cpu => None,
            Self::Card(card) => Some(card.features()),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => write!(f, "{}", Device::Cpu),
            Self::Card(card) => {
                let precision = match card.features() {
                    Element::Bf16 => Precision::Bf16,
                    _ => Precision::F32,
                };
                write!(f, "{} in {precision}", card.driver().facts().name)
            }
        }
    }
}
