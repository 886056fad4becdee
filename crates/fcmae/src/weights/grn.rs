//! Weights for a network with another answer to GRN than the one they were trained in: the paper's
//! ablation of GRN in pre-training and in fine-tuning.

use fcmae_store::{HostTensor, NamedTensors};

use super::Weights;
use crate::config::{BlockKind, GrnChange, GrnConfig};
use crate::error::Result;

impl Weights {
    /// The same weights with GRN left out of the encoder's blocks, or put into them.
    ///
    /// Left out, the blocks are V1's with a layer scale of 1, which is V2's without GRN. Put in, they are
    /// V2's with gamma and beta 0 and the layer scale multiplied into `fc2`, which computes what the
    /// weights computed before. A decoder stays as it is.
    ///
    /// # Errors
    /// GRN to leave out where there is none, or to put in where there is one; weights that lack a part of
    /// the encoder, or are of another network.
    pub fn with_grn(mut self, change: GrnChange) -> Result<Self> {
        let (kind, change_block): (_, fn(&mut NamedTensors, &str)) = match change {
            GrnChange::Keep => return Ok(self),
            GrnChange::Drop => (BlockKind::V1, drop_grn),
            GrnChange::Add => (BlockKind::V2, add_grn),
        };
        if self.description.model.block == kind {
            let have = if kind == BlockKind::V1 { "no GRN" } else { "GRN already" };
            let path = self.path.display();
            return Err(change
                .refused(format!("the weights {path} have {have}; use `keep`"))
                .into());
        }
        self.check_encoder()?;
        for (stage, &depth) in self.description.model.depths.iter().enumerate() {
            for block in 0..depth {
                change_block(&mut self.tensors, &format!("stages.{stage}.blocks.{block}"));
            }
        }
        self.description.model.block = kind;
        self.description.model.grn = GrnConfig::default();
        Ok(self)
    }
}

/// V2 to V1: gamma and beta go, a layer scale of 1 comes.
fn drop_grn(tensors: &mut NamedTensors, block: &str) {
    for part in ["weight", "bias"] {
        tensors.remove(&format!("{block}.mlp.grn.{part}"));
    }
    if let Some(bias) = tensors.get(&format!("{block}.mlp.fc2.bias")) {
        let ones = HostTensor { shape: bias.shape.clone(), data: vec![1.0; bias.data.len()] };
        tensors.insert(format!("{block}.gamma"), ones);
    }
}

/// V1 to V2: the layer scale is multiplied into `fc2` (`gamma · (W h + b) = (gamma W) h + gamma b`), and
/// gamma and beta of 0 come.
fn add_grn(tensors: &mut NamedTensors, block: &str) {
    let Some(scale) = tensors.remove(&format!("{block}.gamma")) else { return };
    for part in ["weight", "bias"] {
        let name = format!("{block}.mlp.fc2.{part}");
        let Some(mut tensor) = tensors.remove(&name) else { continue };
        let inputs = tensor.data.len() / scale.data.len().max(1);
        for (row, scale) in tensor.data.chunks_exact_mut(inputs.max(1)).zip(&scale.data) {
            row.iter_mut().for_each(|value| *value *= scale);
        }
        tensors.insert(name, tensor);
    }
    let Some(bias) = tensors.get(&format!("{block}.mlp.fc1.bias")) else { return };
    let zeros = HostTensor { shape: bias.shape.clone(), data: vec![0.0; bias.data.len()] };
    for part in ["weight", "bias"] {
        tensors.insert(format!("{block}.mlp.grn.{part}"), zeros.clone());
    }
}
