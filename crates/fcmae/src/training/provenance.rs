//! What computed a checkpoint, beside settings and pictures: the last bits of results depend on it.

use std::collections::BTreeMap;
use std::fmt;

use fcmae_cuda::driver::Choice;
use fcmae_kernels::simd;
use serde::{Deserialize, Serialize};

use crate::engine::backend::Backend;

/// A device with all that drives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Provenance {
    device: String,
    /// Of the processor its instructions; of a card its driver and libraries.
    versions: BTreeMap<String, String>,
}

impl Provenance {
    pub(super) fn of(backend: &Backend) -> Self {
        let versions = match backend {
            Backend::Cpu => {
                BTreeMap::from([("instructions".to_owned(), simd::level().to_string())])
            }
            Backend::Card(card) => {
                let versions = card.driver().facts().versions.iter();
                versions.map(|(what, version)| ((*what).to_owned(), version.clone())).collect()
            }
        };
        Self { device: backend.to_string(), versions }
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions: Vec<_> =
            self.versions.iter().map(|(what, version)| format!("{what} {version}")).collect();
        write!(f, "{} ({})", self.device, versions.join(", "))
    }
}

/// How products are done on the device, as hexadecimal numbers: chosen once a shape by a card's library, and used again
/// when a run goes on.
pub(super) type Products = BTreeMap<String, String>;

/// What was chosen so far.
pub(super) fn products(backend: &Backend) -> Products {
    let hex = |how: &[u8]| how.iter().map(|byte| format!("{byte:02x}")).collect();
    match backend {
        Backend::Cpu => Products::new(),
        Backend::Card(card) => {
            let choices = card.driver().choices().into_iter();
            choices.map(|Choice { product, how }| (product, hex(&how))).collect()
        }
    }
}

/// Uses what was chosen on such a device before.
pub(super) fn choose(backend: &Backend, products: &Products) {
    let Backend::Card(card) = backend else { return };
    let choice = |(product, how): (&String, &String)| {
        let (pairs, rest) = how.as_bytes().as_chunks::<2>();
        let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
        let how = pairs.iter().map(byte).collect::<Option<Vec<_>>>().filter(|_| rest.is_empty())?;
        Some(Choice { product: product.clone(), how })
    };
    card.driver().choose(&products.iter().filter_map(choice).collect::<Vec<_>>());
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use fcmae_cuda::card::Card;
    use fcmae_cuda::work::Element;
    use fcmae_cuda_emulator::{Emulated, Order};

    use super::*;

    #[test]
    fn choices_come_back_as_they_were() {
        let card = || Backend::Card(Card::new(Arc::new(Emulated::new(Order::Late)), Element::Bf16));
        let mut known = Products::from([("2x3x4".to_owned(), "00ff0a".to_owned())]);
        let first = card();
        choose(&first, &known);
        assert_eq!(products(&first), known);
        // What is no such number means nothing.
        known.extend(["0", "zz", "é0"].map(|how| (how.to_owned(), how.to_owned())));
        let second = card();
        choose(&second, &known);
        assert_eq!(products(&second).len(), 1);
        assert_eq!(products(&Backend::Cpu), Products::new());
    }

    #[test]
    fn a_device_is_told_with_what_drives_it() {
        let text = Provenance::of(&Backend::Cpu).to_string();
        assert!(text.starts_with("cpu (instructions "), "{text}");
        let card = Card::new(Arc::new(Emulated::new(Order::Late)), Element::Bf16);
        let text = Provenance::of(&Backend::Card(card)).to_string();
        assert!(text.starts_with("emulated in bf16 (compiler "), "{text}");
    }
}
