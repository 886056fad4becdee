//! What computes a network: this machine's processor, or a card with its driver.

use std::sync::Arc;

use fcmae_cuda::card::Card;

/// What computes a network, and in whose memory its weights lie.
#[derive(Clone, Debug, Default)]
pub enum Backend {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU, or what stands for one in tests.
    Card(Arc<Card>),
}
