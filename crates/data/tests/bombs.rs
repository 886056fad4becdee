//! Small files that claim to be huge pictures. Alone in this binary, so that the process's peak
//! memory is theirs.

#![allow(clippy::unwrap_used, missing_docs)]

use std::io::Cursor;
use std::time::{Duration, Instant};

use fcmae_data::{DecodeError, Depth, Limits, PixelFormat, decode};
use image::{DynamicImage, ImageFormat, RgbImage};

fn encode(format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(RgbImage::new(8, 8)).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
        })
    })
}

/// `bytes` with `new` written at `at`.
fn patched(mut bytes: Vec<u8>, at: usize, new: &[u8]) -> Vec<u8> {
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let side = 50_000u32;
    // Signature 8, length 4, "IHDR" 4, width 4, height 4, five more, checksum 4.
    let png = encode(ImageFormat::Png);
    let png = patched(png, 16, &[side.to_be_bytes(), side.to_be_bytes()].concat());
    let sum = crc(&png[12..29]);
    let png = patched(png, 29, &sum.to_be_bytes());

    let jpeg = encode(ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    let jpeg = patched(jpeg, frame + 5, &[0xFF, 0xDC, 0xFF, 0xDC]);

    let bmp = encode(ImageFormat::Bmp);
    let bmp = patched(bmp, 18, &[side.to_le_bytes(), side.to_le_bytes()].concat());

    let gif = patched(encode(ImageFormat::Gif), 6, &[0xFF; 4]);

    // "RIFF" size "WEBP" "VP8L" size, 0x2F, then width − 1 and height − 1 in 14 bits each.
    let webp = encode(ImageFormat::WebP);
    let sizes = u32::from_le_bytes(webp[21..25].try_into().unwrap()) & 0xF000_0000;
    let sizes = sizes | 16_382 | 16_382 << 14;
    let webp = patched(webp, 21, &sizes.to_le_bytes());

    let mut tiff = b"II*\0\x08\0\0\0".to_vec();
    // Tag, type (3 SHORT, 4 LONG), value: an uncompressed strip that is not there.
    let entries = [
        (256u16, 4u16, side),
        (257, 4, side),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 1),
        (278, 4, side),
        (279, 4, 2_500_000_000),
    ];
    tiff.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, value) in entries {
        tiff.extend(tag.to_le_bytes());
        tiff.extend(kind.to_le_bytes());
        tiff.extend(1u32.to_le_bytes());
        tiff.extend(value.to_le_bytes());
    }
    tiff.extend([0; 4]);
    vec![("png", png), ("jpeg", jpeg), ("bmp", bmp), ("gif", gif), ("webp", webp), ("tiff", tiff)]
}

/// Most memory this process ever held, in bytes, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
}

#[test]
fn bombs_are_refused_from_their_headers() {
    let before = peak_memory();
    let deep = PixelFormat { channels: 3, depth: Depth::Deep };
    for (name, bytes) in bombs() {
        for format in [3.into(), deep] {
            let mut fastest = Duration::MAX;
            // The fastest of three: another process may take the core meanwhile.
            for _ in 0..3 {
                let start = Instant::now();
                let error = decode::decode(&bytes, format, &Limits::default()).unwrap_err();
                fastest = fastest.min(start.elapsed());
                assert!(matches!(error, DecodeError::TooLarge { .. }), "{name}: {error:?}");
            }
            assert!(fastest < Duration::from_millis(50), "{name} took {fastest:?}");
        }
    }
    if let (Some(before), Some(after)) = (before, peak_memory()) {
        assert!(after - before < 64 << 20, "memory rose by {} MiB", (after - before) >> 20);
    }
}
