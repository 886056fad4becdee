use crate::simd::{Cell, LANES};

/// Taps along a side of the filter.
pub(super) const SIDE: usize = 7;
/// Taps of the filter.
pub(super) const TAPS: usize = SIDE * SIDE;
/// Padding on each side.
pub(super) const PAD: usize = SIDE / 2;

/// Weight and bias by blocks of eight channels, zeros beyond the last channel.
pub(crate) struct Filter {
    pub(super) blocks: Vec<Block>,
}

/// The filters of eight channels.
pub(crate) struct Block {
    pub(super) taps: [Cell; TAPS],
    pub(super) bias: Cell,
}

impl Filter {
    pub(crate) fn new(weight: &[f32], bias: Option<&[f32]>, channels: usize) -> Self {
        Self::with_taps(weight, bias, channels, |tap| tap)
    }

    /// Turned by half a turn, without a bias.
    pub(crate) fn turned(weight: &[f32], channels: usize) -> Self {
        Self::with_taps(weight, None, channels, |tap| TAPS - 1 - tap)
    }

    fn with_taps(
        weight: &[f32],
        bias: Option<&[f32]>,
        channels: usize,
        place: impl Fn(usize) -> usize,
    ) -> Self {
        let mut blocks: Vec<Block> = (0..channels.div_ceil(LANES))
            .map(|_| Block { taps: [Cell::ZERO; TAPS], bias: Cell::ZERO })
            .collect();
        for channel in 0..channels {
            let (block, lane) = (&mut blocks[channel / LANES], channel % LANES);
            for (tap, &value) in weight[channel * TAPS..][..TAPS].iter().enumerate() {
                block.taps[place(tap)].0[lane] = value;
            }
            if let Some(bias) = bias {
                block.bias.0[lane] = bias[channel];
            }
        }
        Self { blocks }
    }
}
