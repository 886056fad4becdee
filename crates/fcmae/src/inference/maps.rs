//! The maps of a block's channels, to be looked at (ConvNeXt V2, figure 3): where channels have collapsed, many maps
//! are alike, black or white throughout.

use fcmae_data::Input;
use image::{Rgb, RgbImage};

use crate::config::ModelConfig;
use crate::engine::tensor::Tensor;
use crate::error::{Error, Result};
use crate::inference::Inference;
use crate::inference::picture::{self, Sheet};
use crate::network::model::Encoder;

/// Maps drawn, at most.
pub const MOST_MAPS: usize = 1024;
/// Maps in a row.
const COLUMNS: usize = 32;
/// Pixels of a map's longer side, at least.
const SIDE: u32 = 24;
/// The share of values that are no brighter than white.
const WHITE: f64 = 0.995;

/// The 4C features of one block for one picture, after GRN.
#[derive(Clone, Debug)]
pub struct BlockMaps {
    /// The picture as the network sees it.
    pub picture: RgbImage,
    /// Rows and columns of a map.
    pub grid: [usize; 2],
    /// `[S, 4C]`.
    values: Vec<f32>,
    channels: usize,
}

impl BlockMaps {
    /// Channels, 4C.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// How many maps [`draw`](Self::draw) shows.
    pub fn drawn(&self) -> usize {
        self.channels.min(MOST_MAPS)
    }

    /// The maps, 32 in a row, in the order of the channels; of more than [`MOST_MAPS`], as many, evenly chosen. All have
    /// one scale: 0 and less is black, and of all values the largest half percent is white; between, brightness
    /// goes by the square root, so that weak maps show.
    ///
    /// # Errors
    /// Maps so large that no viewer shows them.
    pub fn draw(&self) -> Result<RgbImage> {
        let white = self.white();
        let [rows, columns] = self.grid.map(|side| u32::try_from(side).unwrap_or(u32::MAX));
        let drawn = self.drawn();
        let mut sheet =
            Sheet::new(&[""; COLUMNS], rows, columns)?.scale(SIDE / rows.max(columns)).gap(2);
        let tiles: Vec<RgbImage> =
            (0..drawn).map(|n| self.map(n * self.channels / drawn, white)).collect();
        for row in tiles.chunks(COLUMNS) {
            sheet.row(row)?;
        }
        sheet.draw()
    }

    fn white(&self) -> f32 {
        let mut values = self.values.clone();
        let place = ((values.len() as f64 * WHITE) as usize).min(values.len().saturating_sub(1));
        match values.get(place) {
            None => 1.0,
            Some(_) => *values.select_nth_unstable_by(place, f32::total_cmp).1,
        }
    }

    fn map(&self, channel: usize, white: f32) -> RgbImage {
        let columns = self.grid[1];
        let [height, width] = self.grid.map(|side| side as u32);
        RgbImage::from_fn(width, height, |x, y| {
            let site = y as usize * columns + x as usize;
            let share = self.values[site * self.channels + channel] / white;
            // Without anything above 0 there is no white.
            let grey =
                if white > 0.0 { (share.clamp(0.0, 1.0).sqrt() * 255.0).round() as u8 } else { 0 };
            Rgb([grey; 3])
        })
    }
}

/// The maps of a block, counted from the first of the network on, for a picture.
///
/// # Errors
/// What is no picture; no such block; features that are no numbers.
pub fn block_maps(encoder: &Inference<Encoder>, picture: Input, block: usize) -> Result<BlockMaps> {
    let description = encoder.description();
    let pixels = encoder.preparation().input(picture)?;
    let tones = picture::tones(description.normalization(), description.depth);
    let shown = picture::denormalize(pixels.values(), description.image_size, &tones)?;
    let mut found: Option<Tensor> = None;
    encoder.network().observe(|encoder, pass| {
        let sites = encoder.grid(&pixels);
        encoder.forward_hidden(pass, pixels, sites, |place, hidden| {
            if place == block {
                found = Some(hidden.grn);
            }
        });
    })?;
    let blocks = description.model.total_depth();
    let found = found.ok_or_else(|| {
        Error::Unusable(format!("the network has {blocks} blocks, and none of number {block}"))
    })?;
    let [_, sites, channels] = found.dims();
    let values = found.values().to_vec();
    if values.iter().any(|value| !value.is_finite()) {
        return Err(Error::Unusable("the features are not finite: check the weights".to_owned()));
    }
    let grid = grid(&description.model, description.image_size, block);
    if grid[0] * grid[1] != sites {
        let text = format!("the maps of block {block} have {sites} sites, not {grid:?}");
        return Err(Error::Unusable(text));
    }
    Ok(BlockMaps { picture: shown, grid, values, channels })
}

/// Rows and columns of the sites of a block's stage: the stem takes windows of its stride, and each further stage halves
/// both sides.
fn grid(model: &ModelConfig, image_size: [usize; 2], block: usize) -> [usize; 2] {
    let mut last = 0;
    let stage = model.depths.iter().take_while(|&&depth| {
        last += depth;
        last <= block
    });
    let stride = model.stem_stride << stage.count();
    image_size.map(|side| side / stride)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_of_a_stage_have_its_sides_of_the_picture() {
        let model = ModelConfig { depths: [1, 2, 0, 1], stem_stride: 4, ..ModelConfig::default() };
        for (block, expected) in [(0, [16, 40]), (1, [8, 20]), (2, [8, 20]), (3, [2, 5])] {
            assert_eq!(grid(&model, [64, 160], block), expected, "{block}");
        }
    }
}
