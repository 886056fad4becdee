//! Where networks are computed, and what this machine has for that.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::engine::machine;
use crate::error::ConfigError;

/// The name by which the best device that can be used is chosen.
const AUTO: &str = "auto";

/// A device that networks are computed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Device {
    /// The processor, with all threads.
    #[default]
    Cpu,
    /// The NVIDIA GPU of this number, counted from 0.
    Cuda(usize),
}

impl Device {
    /// The device of this name, which must be there: as [`from_str`](Self::from_str) takes it, or `auto`
    /// for the best that can be used.
    ///
    /// # Errors
    /// No name of a device, or a device that cannot be used, with the reason.
    pub fn choose(name: &str) -> Result<Self, ConfigError> {
        if name == AUTO {
            // Until it is proved on GPUs, one is used where it is asked for by name.
            return Ok(Self::Cpu);
        }
        let device = name.parse()?;
        match unusable(device) {
            None => Ok(device),
            Some(reason) => Err(refused(name, format!("{reason}; use `cpu` or `auto`"))),
        }
    }

    /// Whether [`choose`](Self::choose) knows the name, wherever the device is: a recipe may be for another
    /// machine.
    pub(crate) fn check_name(name: &str) -> Result<(), ConfigError> {
        if name == AUTO { Ok(()) } else { name.parse::<Self>().map(drop) }
    }

    /// The setting `device` as it is by default: `auto`. One recipe then goes everywhere, with a GPU where
    /// there is one, and nothing fails for want of it. What was chosen is never silent: a run tells it when it
    /// starts and records it, commands note it.
    pub(crate) fn default_name() -> String {
        AUTO.to_owned()
    }

    /// Every device that the program could name, the usable ones first. A kind that cannot be used at all
    /// is listed once, as its first device.
    pub fn all() -> Vec<DeviceReport> {
        let mut all = vec![DeviceReport::cpu()];
        all.extend(cards());
        all
    }
}

/// Why a device cannot be used; nothing where it can.
fn unusable(device: Device) -> Option<String> {
    match device {
        Device::Cpu => None,
        Device::Cuda(number) => unusable_card(number),
    }
}

#[cfg(feature = "cuda")]
fn unusable_card(number: usize) -> Option<String> {
    let found = fcmae_cuda::nvidia::usable_card(number, libraries().as_deref());
    found.err().map(|error| error.to_string())
}

#[cfg(not(feature = "cuda"))]
fn unusable_card(_: usize) -> Option<String> {
    Some(NO_CUDA.to_owned())
}

/// The folders of CUDA's libraries, where the user names them.
#[cfg(feature = "cuda")]
pub(crate) fn libraries() -> Option<std::path::PathBuf> {
    let named = std::env::var_os("FCMAE_CUDA_LIBRARIES")?;
    (!named.is_empty()).then(|| named.into())
}

/// Why a program without them has no GPUs.
#[cfg(not(feature = "cuda"))]
const NO_CUDA: &str = "this program is built without CUDA";

/// The GPUs of this machine, or the first with the reason why there is none.
#[cfg(feature = "cuda")]
fn cards() -> Vec<DeviceReport> {
    use fcmae_cuda::nvidia;
    match nvidia::cards() {
        Ok(cards) => {
            let report = |card: nvidia::Card| DeviceReport {
                device: Device::Cuda(card.number),
                name: Some(card.name),
                total_memory: Some(card.memory),
                free_memory: card.free.as_ref().ok().copied(),
                unusable: match card.free {
                    Ok(_) => unusable_card(card.number),
                    Err(error) => Some(error.to_string()),
                },
            };
            cards.into_iter().map(report).collect()
        }
        Err(error) => vec![DeviceReport::no_card(error.to_string())],
    }
}

/// The same in a program without them.
#[cfg(not(feature = "cuda"))]
fn cards() -> Vec<DeviceReport> {
    vec![DeviceReport::no_card(NO_CUDA.to_owned())]
}

fn refused(name: &str, reason: String) -> ConfigError {
    ConfigError::Value { key: "device".to_owned(), value: name.to_owned(), reason }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl FromStr for Device {
    type Err = ConfigError;

    /// Takes `cpu`, `cuda` (the same as `cuda:0`) and `cuda:1`, whether or not the device is there.
    fn from_str(name: &str) -> Result<Self, ConfigError> {
        // Digits alone: a number may have a sign for `parse`.
        let number = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            if plain { digits.parse().ok() } else { None }
        };
        let device = match name {
            "cpu" => Some(Self::Cpu),
            "cuda" => Some(Self::Cuda(0)),
            _ => name.strip_prefix("cuda:").and_then(number).map(Self::Cuda),
        };
        device.ok_or_else(|| {
            let known = "use `cpu`, `cuda` (the first GPU), `cuda:1` and so on, or `auto`";
            refused(name, known.to_owned())
        })
    }
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A device, and whether it can be used.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceReport {
    /// Which one.
    pub device: Device,
    /// What its maker calls it, where it can be asked.
    pub name: Option<String>,
    /// All of its memory in bytes, where it can be asked.
    pub total_memory: Option<u64>,
    /// Memory that is free for new work in bytes, where it can be asked.
    pub free_memory: Option<u64>,
    /// Why it cannot be used; nothing where it can.
    pub unusable: Option<String>,
}

impl DeviceReport {
    fn cpu() -> Self {
        Self {
            device: Device::Cpu,
            name: Some(machine::cpu()),
            total_memory: machine::total_memory(),
            free_memory: machine::available_memory(),
            unusable: None,
        }
    }

    fn no_card(reason: String) -> Self {
        let (name, device) = (None, Device::Cuda(0));
        Self { device, name, total_memory: None, free_memory: None, unusable: Some(reason) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn devices_are_read_by_the_names_they_are_written_with() {
        for device in [Device::Cpu, Device::Cuda(0), Device::Cuda(12)] {
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
        }
        assert_eq!("cuda".parse::<Device>().unwrap(), Device::Cuda(0));
        assert_eq!(serde_json::to_string(&Device::Cuda(1)).unwrap(), "\"cuda:1\"");
        let far = format!("cuda:{}0", usize::MAX);
        for name in ["", "CPU", "gpu", "auto", "cpu:0", "cuda:", "cuda:+1", "cuda:-1", &far] {
            let error = name.parse::<Device>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`device` cannot be `{name}`: ")), "{error}");
        }
    }

    #[test]
    fn what_is_not_there_is_refused_with_the_reason() {
        assert_eq!(Device::choose("cpu").unwrap(), Device::Cpu);
        assert_eq!(Device::choose("auto").unwrap(), Device::Cpu);
        let far = Device::choose("cuda:99").unwrap_err().to_string();
        assert!(far.starts_with("`device` cannot be `cuda:99`: "), "{far}");
        assert!(far.ends_with("; use `cpu` or `auto`"), "{far}");
        assert!(Device::choose("tpu").unwrap_err().to_string().contains("`auto`"));
    }

    #[test]
    fn exactly_what_is_listed_as_usable_can_be_chosen() {
        let all = Device::all();
        for report in &all {
            let chosen = Device::choose(&report.device.to_string());
            assert_eq!(chosen.is_ok(), report.unusable.is_none(), "{report:?}");
        }
        let (cpu, cuda) = (&all[0], &all[1]);
        assert_eq!((cpu.device, cuda.device), (Device::Cpu, Device::Cuda(0)));
        assert!(cpu.name.as_ref().is_some_and(|name| !name.is_empty()));
        assert_eq!(cpu.total_memory, machine::total_memory());
        assert_eq!(cuda.name.is_none(), cuda.total_memory.is_none());
    }
}
