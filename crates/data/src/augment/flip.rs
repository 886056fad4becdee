//! Mirroring.

use crate::picture::Picture;

/// The picture mirrored left to right, in place.
pub fn flip_horizontal(picture: &mut Picture) {
    let (width, channels) = (picture.width() as usize, picture.channels() as usize);
    for row in picture.deep_values_mut().chunks_exact_mut(width * channels) {
        // Mirroring the values mirrors each pixel's too, which are then put right.
        row.reverse();
        row.chunks_exact_mut(channels).for_each(<[f32]>::reverse);
    }
    for row in picture.pixels_mut().chunks_exact_mut(width * channels) {
        if channels == 1 {
            row.reverse();
        } else {
            let (pixels, _) = row.as_chunks_mut::<3>();
            pixels.reverse();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pixels_change_places_and_channels_do_not() {
        let mut color = Picture::new(2, 2, 3, (0..12).collect()).unwrap();
        flip_horizontal(&mut color);
        assert_eq!(color.pixels(), [3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]);
        let mut grey = Picture::new(3, 1, 1, vec![1, 2, 3]).unwrap();
        flip_horizontal(&mut grey);
        assert_eq!(grey.pixels(), [3, 2, 1]);
        let values = [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5].to_vec();
        let mut deep = Picture::deep(2, 1, 4, values).unwrap();
        flip_horizontal(&mut deep);
        assert_eq!(deep.deep_values(), [4.5, 5.5, 6.5, 7.5, 0.5, 1.5, 2.5, 3.5]);
    }
}
