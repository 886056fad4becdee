#![allow(clippy::unwrap_used)]
use super::*;

fn numbered(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 200]))
}

/// Values −1 to 1 as 0 to 1.
fn normalization(channels: usize) -> Normalization {
    Normalization { mean: vec![0.5; channels], std: vec![0.5; channels] }
}

#[test]
fn values_become_pixels_row_by_row() {
    // Two rows of one pixel, from NumPy: np.rint(255 * (x * std + mean)).clip(0, 255).
    let imagenet = Normalization::imagenet(3).unwrap();
    let values = [0.0, 0.0, 0.0, 2.0, -1.5, 9.0];
    let picture = denormalize(&values, [2, 1], &imagenet).unwrap();
    assert_eq!(picture.dimensions(), (1, 2));
    assert_eq!(picture.get_pixel(0, 0).0, [124, 116, 104]);
    assert_eq!(picture.get_pixel(0, 1).0, [240, 31, 255]);
}

#[test]
fn one_channel_is_grey_and_nan_is_black() {
    let half = normalization(1);
    let picture = denormalize(&[0.25, f32::NAN], [1, 2], &half).unwrap();
    assert_eq!(picture.into_raw(), [159, 159, 159, 0, 0, 0]);
}

#[test]
fn values_that_are_no_picture_are_refused() {
    let error = denormalize(&[0.0; 11], [2, 2], &normalization(3)).unwrap_err().to_string();
    assert!(error.contains("11 values") && error.contains("2×2"), "{error}");
    assert!(denormalize(&[0.0; 13], [2, 2], &normalization(3)).is_err());
    assert!(denormalize(&[0.0; 8], [2, 2], &normalization(0)).is_err());
    let unequal = Normalization { std: Vec::new(), ..normalization(1) };
    assert!(denormalize(&[0.0; 4], [2, 2], &unequal).is_err());
    assert!(denormalize(&[], [usize::MAX, 2], &normalization(1)).is_err());
}

#[test]
fn channels_beyond_three_are_left_out_and_two_are_grey() {
    let four = denormalize(&[-1.0, 0.0, 1.0, 9.0], [1, 1], &normalization(4)).unwrap();
    assert_eq!(four.into_raw(), [0, 128, 255]);
    let two = denormalize(&[0.0, 1.0], [1, 1], &normalization(2)).unwrap();
    assert_eq!(two.into_raw(), [128; 3]);
    let deep = tones(normalization(2), Depth::Deep);
    let ends = denormalize(&[-2.5, 0.0, 2.5, 0.0], [1, 2], &deep).unwrap();
    assert_eq!(ends.into_raw(), [0, 0, 0, 255, 255, 255]);
}

#[test]
fn hidden_patches_are_row_major() {
    // Three columns and two rows of patches of 4: patch 4 is the second of the second row.
    let original = numbered(12, 8);
    let hidden = hide(&original, 4, &[4]);
    for (x, y, pixel) in original.enumerate_pixels() {
        let inside = (4..8).contains(&x) && (4..8).contains(&y);
        assert_eq!(*hidden.get_pixel(x, y), if inside { HIDDEN } else { *pixel });
    }
}

#[test]
fn patches_beyond_the_picture_are_passed_over() {
    let original = numbered(12, 8);
    assert_eq!(hide(&original, 4, &[6, u32::MAX]), original);
    assert_eq!(hide(&original, 0, &[]), original);
    hide(&original, usize::MAX, &[0, 1, u32::MAX]);
}

#[test]
fn a_sheet_sets_enlarged_tiles_in_rows() {
    let mut sheet = Sheet::new(&["", ""], 3, 2).unwrap().scale(2);
    sheet.row(&[numbered(2, 3), RgbImage::new(2, 3)]).unwrap();
    sheet.row(&[RgbImage::new(2, 3)]).unwrap();
    let drawn = sheet.draw().unwrap();
    assert_eq!(drawn.dimensions(), (3 * GAP + 2 * 4, 3 * GAP + 2 * 6));
    // Pixel (1, 2) of the first tile covers 2 × 2 pixels.
    for (x, y) in [(2, 4), (3, 4), (2, 5), (3, 5)] {
        assert_eq!(drawn.get_pixel(GAP + x, GAP + y).0, [1, 2, 200]);
    }
    assert_eq!(drawn.get_pixel(2 * GAP + 4, GAP).0, [0; 3]);
    assert_eq!(*drawn.get_pixel(GAP + 4, GAP), PAPER);
    // The second row's second tile was not given.
    assert_eq!(*drawn.get_pixel(2 * GAP + 4, 2 * GAP + 6), PAPER);
}

#[test]
fn titles_stand_above_their_columns_and_within_them() {
    let wide = "a title that is far too long for its column";
    let mut sheet = Sheet::new(&["", wide], 64, 64).unwrap();
    sheet.row(&[]).unwrap();
    let drawn = sheet.draw().unwrap();
    let ink: Vec<(u32, u32)> =
        drawn.enumerate_pixels().filter(|p| *p.2 == INK).map(|p| (p.0, p.1)).collect();
    assert!(ink.len() > 30);
    let column = 2 * GAP + 64..2 * GAP + 128;
    assert!(ink.iter().all(|&(x, y)| column.contains(&x) && y < GAP + letters::HEIGHT));
}

#[test]
fn letters_are_upright() {
    // An L: its left column is inked at the top, its foot at the bottom.
    let mut picture = RgbImage::from_pixel(16, 16, PAPER);
    letters::draw(&mut picture, "L", 0, 0, 2, INK);
    let row = |y: u32| (0..16).filter(|&x| *picture.get_pixel(x, y) == INK).collect::<Vec<_>>();
    assert!(row(4).iter().all(|&x| x < 8) && !row(4).is_empty());
    assert!(row(12).iter().any(|&x| x >= 10), "{:?}", row(12));
}

#[test]
fn what_does_not_fit_a_sheet_is_refused() {
    assert!(Sheet::new(&[], 8, 8).is_err());
    assert!(Sheet::new(&["a"], 0, 8).is_err());
    let mut sheet = Sheet::new(&["a"], 8, 8).unwrap();
    assert!(sheet.row(&[numbered(8, 8), numbered(8, 8)]).is_err());
    let error = sheet.row(&[numbered(9, 8)]).unwrap_err().to_string();
    assert!(error.contains("8×9"), "{error}");
    sheet.row(&[numbered(8, 8)]).unwrap();
    let error = sheet.clone().scale(u32::MAX).draw().unwrap_err().to_string();
    assert!(error.contains("32768"), "{error}");
    assert!(sheet.draw().is_ok());
}

#[test]
fn a_sheet_survives_the_file() {
    let path = std::env::temp_dir().join(format!("fcmae-sheet-{}.png", std::process::id()));
    let picture = numbered(20, 10);
    save_png(&picture, &path).unwrap();
    assert_eq!(image::open(&path).unwrap().into_rgb8(), picture);
    std::fs::remove_file(&path).unwrap();
    let error = save_png(&picture, Path::new("/nonexistent/sheet.png")).unwrap_err();
    assert!(error.to_string().contains("sheet.png"));
}
