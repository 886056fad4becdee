//! Emoji as Twemoji draws them.

use std::io::Cursor;

use anyhow::{Context, Result, ensure};
use emojis::Emoji;
use image::codecs::png::PngDecoder;
use image::{DynamicImage, Rgb, RgbImage};
use twemoji_assets::png::PngTwemojiAsset;

/// Pixels on a side of every drawing.
pub(super) const SIDE: u32 = 72;

/// An emoji and its drawing on white.
pub(super) struct Drawing {
    pub(super) emoji: &'static Emoji,
    pub(super) picture: RgbImage,
}

/// Every emoji of default skin tone that has a drawing, in Unicode's order.
pub(super) fn drawings() -> Result<Vec<Drawing>> {
    let mut drawings = Vec::new();
    // The iterator gives the default skin tone alone.
    for emoji in emojis::iter() {
        // Twemoji drops the variation selector from most names, Unicode's emoji keep it.
        let plain = || emoji.as_str().replace('\u{fe0f}', "");
        let asset = PngTwemojiAsset::from_emoji(emoji.as_str())
            .or_else(|| PngTwemojiAsset::from_emoji(&plain()));
        if let Some(asset) = asset {
            let picture = on_white(asset.data.0)
                .with_context(|| format!("the drawing of {} ({emoji})", emoji.name()))?;
            drawings.push(Drawing { emoji, picture });
        }
    }
    Ok(drawings)
}

fn on_white(png: &[u8]) -> Result<RgbImage> {
    let drawn = DynamicImage::from_decoder(PngDecoder::new(Cursor::new(png))?)?.into_rgba8();
    let sides = drawn.dimensions();
    ensure!(sides == (SIDE, SIDE), "{sides:?} pixels instead of {SIDE}×{SIDE}");
    Ok(RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let [r, g, b, alpha] = drawn.get_pixel(x, y).0.map(u32::from);
        // Rounded alpha · value + (1 − alpha) · 255; at most 255, so the cast loses nothing.
        Rgb([r, g, b].map(|value| ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8))
    }))
}
