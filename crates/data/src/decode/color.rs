//! Any decoded picture to 8-bit RGB or grey.

use image::DynamicImage;

use crate::picture::Picture;
use crate::remark::Remark;

/// Grey of an RGB pixel as Pillow's `convert("L")`: ITU-R 601 weights in 16-bit fixed point.
fn luma(red: u8, green: u8, blue: u8) -> u8 {
    let sum = u32::from(red) * 19_595 + u32::from(green) * 38_470 + u32::from(blue) * 7_471;
    ((sum + 0x8000) >> 16) as u8
}

/// A value over white: `value · a + 255 · (1 − a)`, a = alpha / 255, rounded to nearest.
fn over_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

/// A picture with 1 or 3 channels, transparency on white. `remarks` are what was noticed before.
pub(super) fn to_channels(image: DynamicImage, channels: u32, mut remarks: Vec<Remark>) -> Picture {
    let (width, height) = (image.width(), image.height());
    let color = image.color();
    let pixels = match (color.has_color(), color.has_alpha()) {
        (true, false) => {
            let pixels = image.into_rgb8().into_raw();
            if channels == 3 { pixels } else { rgb_to_grey(&pixels) }
        }
        (true, true) => {
            let raw = image.into_rgba8().into_raw();
            remarks.extend(hidden(raw.iter().skip(3).step_by(4)));
            let mut flat = Vec::with_capacity(width as usize * height as usize * 3);
            for pixel in raw.chunks_exact(4) {
                flat.extend(pixel[..3].iter().map(|&value| over_white(value, pixel[3])));
            }
            remarks.extend(white(&flat, raw.iter().skip(3).step_by(4)));
            if channels == 3 { flat } else { rgb_to_grey(&flat) }
        }
        (false, false) => {
            let pixels = image.into_luma8().into_raw();
            if channels == 1 { pixels } else { grey_to_rgb(&pixels) }
        }
        (false, true) => {
            let raw = image.into_luma_alpha8().into_raw();
            remarks.extend(hidden(raw.iter().skip(1).step_by(2)));
            let flat: Vec<u8> = raw.chunks_exact(2).map(|p| over_white(p[0], p[1])).collect();
            remarks.extend(white(&flat, raw.iter().skip(1).step_by(2)));
            if channels == 1 { flat } else { grey_to_rgb(&flat) }
        }
    };
    Picture::from_parts(width, height, channels, pixels).with_remarks(remarks)
}

/// A remark where the alpha of every pixel hides it.
fn hidden<'a>(mut alpha: impl Iterator<Item = &'a u8>) -> Option<Remark> {
    alpha.all(|&value| value == 0).then_some(Remark::Transparent)
}

/// A remark where what is seen is as white as what is hidden.
fn white<'a>(flat: &[u8], alpha: impl Iterator<Item = &'a u8> + Clone) -> Option<Remark> {
    let all_white = flat.iter().all(|&value| value == 255);
    let hides = all_white && alpha.clone().any(|&value| value < 255);
    (hides && alpha.clone().any(|&value| value > 0)).then_some(Remark::WhiteOnWhite)
}

fn rgb_to_grey(pixels: &[u8]) -> Vec<u8> {
    pixels.chunks_exact(3).map(|pixel| luma(pixel[0], pixel[1], pixel[2])).collect()
}

fn grey_to_rgb(pixels: &[u8]) -> Vec<u8> {
    pixels.iter().flat_map(|&value| [value; 3]).collect()
}

#[cfg(test)]
mod tests {
    use image::GrayAlphaImage;

    use super::*;

    #[test]
    fn extremes_stay_extremes() {
        assert_eq!([luma(0, 0, 0), luma(255, 255, 255)], [0, 255]);
        // Pillow: Image.new("RGB", (1, 1), (255, 0, 0)).convert("L") is 76; green 150; blue 29.
        assert_eq!([luma(255, 0, 0), luma(0, 255, 0), luma(0, 0, 255)], [76, 150, 29]);
        assert_eq!([over_white(0, 0), over_white(0, 255), over_white(9, 255)], [255, 0, 9]);
        assert_eq!(over_white(0, 128), 127);
    }

    #[test]
    fn an_alpha_that_hides_everything_is_told() {
        let picture = |alpha: [u8; 2]| {
            let raw = alpha.iter().flat_map(|&alpha| [10, alpha]).collect();
            let image = GrayAlphaImage::from_raw(2, 1, raw).map(DynamicImage::ImageLumaA8);
            image.map(|image| to_channels(image, 3, Vec::new()).remarks().to_vec())
        };
        assert_eq!(picture([0, 0]), Some(vec![Remark::Transparent]));
        assert_eq!(picture([0, 128]), Some(vec![]));
    }

    #[test]
    fn white_on_transparency_is_told() {
        let picture = |pixels: [u8; 8]| {
            let image = image::RgbaImage::from_raw(2, 1, pixels.to_vec());
            let image = image.map(DynamicImage::ImageRgba8);
            image.map(|image| to_channels(image, 3, Vec::new()).remarks().to_vec())
        };
        let white = Some(vec![Remark::WhiteOnWhite]);
        assert_eq!(picture([255, 255, 255, 255, 255, 255, 255, 0]), white);
        assert_eq!(picture([255, 255, 255, 90, 0, 0, 0, 0]), white);
        assert_eq!(picture([255; 8]), Some(vec![]));
        assert_eq!(picture([255, 255, 255, 255, 9, 9, 9, 90]), Some(vec![]));
    }
}
