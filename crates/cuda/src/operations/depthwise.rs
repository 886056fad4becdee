//! Depthwise 7×7 convolution, on a grid or at visible patches.

use super::{WARP, blocks, flag, read, read_any, threads, write};
use crate::work::{Argument, Command, Element, Launch, Record, Values, int};

const TAPS: usize = 49;
/// Outputs of a tile that are beside each other on a grid.
const WIDE: usize = 7;
/// Tiles of a block.
const TILES: usize = 4;
/// About as many chunks of tiles as keep a large card busy.
const CHUNKS: usize = 4096;

/// Where sites lie.
#[derive(Clone, Debug)]
pub enum Sites {
    /// At every place of the image.
    Grid {
        /// Rows of sites.
        height: usize,
        /// Columns of sites.
        width: usize,
    },
    /// In the visible patches.
    Patches {
        /// Rows of patches.
        rows: usize,
        /// Columns of patches.
        columns: usize,
        /// Sites along a side of one: 8, 4, 2 or 1.
        side: usize,
        /// `[N, rows · columns]`: each patch's place among the visible ones of its image, −1 where it is hidden.
        slots: Values,
        /// `[N, V]`: the visible patches, ascending in each image.
        visible: Values,
    },
}

/// What a convolution is computed on.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// Where the sites lie.
    pub sites: &'a Sites,
    /// Images, N.
    pub images: usize,
    /// Channels, C.
    pub channels: usize,
}

impl Setting<'_> {
    /// A patch's side; 0 on a grid.
    fn side(&self) -> usize {
        match self.sites {
            Sites::Grid { .. } => 0,
            Sites::Patches { side, .. } => *side,
        }
    }

    fn wide(&self) -> usize {
        match self.side() {
            0 => WIDE,
            side => side,
        }
    }

    /// Tiles of `tall` rows of outputs.
    fn tiles(&self, tall: usize) -> usize {
        match self.sites {
            Sites::Grid { height, width } => {
                self.images * height.div_ceil(tall) * width.div_ceil(WIDE)
            }
            Sites::Patches { side, visible, .. } => visible.len() * side / tall,
        }
    }

    fn sites_of_image(&self) -> usize {
        match self.sites {
            Sites::Grid { height, width } => height * width,
            Sites::Patches { side, visible, .. } => visible.len() / self.images * side * side,
        }
    }

    /// Where the sites lie, as the kernels are told, and their number of tiles.
    fn arguments(&self, tiles: usize) -> Vec<Argument> {
        let (lists, [rows, columns]) = match self.sites {
            Sites::Grid { height, width } => {
                ([(); 2].map(|()| Argument::Nothing), [*height, *width])
            }
            Sites::Patches { rows, columns, slots, visible, .. } => {
                ([slots, visible].map(read), [*rows, *columns])
            }
        };
        let sizes = [rows, columns, self.sites_of_image(), self.channels, tiles].map(int);
        [lists.to_vec(), sizes.to_vec()].concat()
    }

    fn convolve(
        &self,
        record: &mut dyn Record,
        [x, weight]: [&Values; 2],
        [bias, add]: [Option<&Values>; 2],
        out: &Values,
        turned: bool,
    ) {
        let tall = if self.side() == 1 { 1 } else { 2 };
        let tiles = self.tiles(tall);
        let spans = vec![read(x), read(weight), read_any(bias), read_any(add), write(out)];
        let (of, side, wide) = (x.element().name(), self.side(), self.wide());
        record.push(Command::Launch(Launch {
            kernel: format!("depthwise<{of}, {side}, {tall}, {wide}>"),
            grid: [blocks(tiles, TILES), blocks(self.channels, WARP), 1],
            block: [WARP as u32, TILES as u32, 1],
            arguments: [spans, self.arguments(tiles), vec![flag(turned)]].concat(),
        }));
    }

    /// `x [N, S, C]`, weight `[C, 49]`, bias `[C]`, to `out`.
    pub fn forward(
        &self,
        record: &mut dyn Record,
        x: &Values,
        [weight, bias]: [&Values; 2],
        out: &Values,
    ) {
        self.convolve(record, [x, weight], [Some(bias), None], out, false);
    }

    /// The gradient by `x`, from that by the result; plus `add`, where there is one.
    pub fn backward_input(
        &self,
        record: &mut dyn Record,
        [gradient, weight]: [&Values; 2],
        add: Option<&Values>,
        by_x: &Values,
    ) {
        self.convolve(record, [gradient, weight], [None, add], by_x, true);
    }

    /// The gradients by weight and bias; added to what is there where `adds` is set.
    pub fn backward_weight(
        &self,
        record: &mut dyn Record,
        [x, gradient]: [&Values; 2],
        [by_weight, by_bias]: [&Values; 2],
        adds: bool,
    ) {
        let (tiles, channels) = (self.tiles(1), self.channels);
        let each = tiles.div_ceil((CHUNKS / channels.div_ceil(WARP)).clamp(1, tiles));
        let chunks = tiles.div_ceil(each);
        let parts = record.scratch(chunks * (TAPS + 1) * channels, Element::F32);
        let (of, side, wide) = (x.element().name(), self.side(), self.wide());
        let spans = vec![read(x), read(gradient), write(&parts)];
        let cut = [each, chunks].map(int).to_vec();
        record.push(Command::Launch(Launch {
            kernel: format!("depthwise_weight<{of}, {side}, {wide}>"),
            grid: [blocks(channels, WARP), blocks(chunks, TILES), 1],
            block: [WARP as u32, TILES as u32, 1],
            arguments: [spans, self.arguments(tiles), cut].concat(),
        }));
        let spans = vec![read(&parts), write(by_weight), write(by_bias)];
        let arguments = [spans, [chunks, channels].map(int).to_vec(), vec![flag(adds)]].concat();
        record.push(threads("depthwise_gradients", (TAPS + 1) * channels, arguments));
    }
}
