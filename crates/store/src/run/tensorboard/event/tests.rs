#![allow(clippy::unwrap_used)]

use super::*;

const WRITTEN_BY_TENSORBOARD: &[u8] = include_bytes!("../../../../tests/fixtures/events.tfevents");
const PNG: &[u8] = include_bytes!("../../../../tests/fixtures/picture.png");

/// Byte for byte what TensorBoard's own writer and messages give (`reference/make_tensorboard.py`).
#[test]
fn records_are_those_of_tensorboards_own_writer() {
    let header = PngHeader::read(PNG).unwrap();
    let events = [
        At { time: 1.5, step: 0 }.file_version(),
        At { time: 2.5, step: 300 }.start(),
        At { time: 3.5, step: 300 }.scalars([
            ("train/loss", 0.75),
            ("train/lr", 1.5e-4),
            ("held_out/top1", 0.0),
        ]),
        At { time: 4.5, step: 0 }.text("config", "    größe = 1\n"),
        At { time: 5.5, step: 1 << 40 }.picture("held_out/a", header, PNG),
    ];
    let mut records = Vec::new();
    for event in &events {
        add_record(event, &mut records);
    }
    assert_eq!(records, WRITTEN_BY_TENSORBOARD);
}

/// RFC 3720, B.4, masked as TFRecord files do.
#[test]
fn checksums_are_those_of_the_standard() {
    let mask = |crc: u32| crc.rotate_right(15).wrapping_add(0xa282_ead8);
    let ascending: Vec<u8> = (0..32).collect();
    for (bytes, crc) in [
        (&[0; 32][..], 0x8a91_36aa),
        (&[0xff; 32], 0x62a8_ab43),
        (&ascending, 0x46dd_794e),
        (b"123456789", 0xe306_9283),
    ] {
        assert_eq!(masked_crc(bytes), mask(crc), "{bytes:?}");
    }
}

#[test]
fn a_pictures_size_and_colours_are_read() {
    assert_eq!(PngHeader::read(PNG), Some(PngHeader { width: 5, height: 2, channels: 3 }));
    let colored = |color: u8| {
        let mut png = PNG.to_vec();
        png[25] = color;
        PngHeader::read(&png).map(|header| header.channels)
    };
    assert_eq!(
        [0, 1, 2, 3, 4, 5, 6, 7].map(colored).map(Option::unwrap_or_default),
        [1, 0, 3, 3, 2, 0, 4, 0]
    );
}

#[test]
fn what_begins_like_no_png_file_is_refused() {
    for length in 0..26 {
        assert_eq!(PngHeader::read(&PNG[..length]), None, "{length} bytes");
    }
    for (at, what) in [(0, "signature"), (11, "length"), (12, "kind")] {
        let mut png = PNG.to_vec();
        png[at] ^= 1;
        assert_eq!(PngHeader::read(&png), None, "{what}");
    }
    for side in [16, 20] {
        for value in [0u32, 1 << 31] {
            let mut png = PNG.to_vec();
            png[side..side + 4].copy_from_slice(&value.to_be_bytes());
            assert_eq!(PngHeader::read(&png), None, "{value} at {side}");
        }
    }
}
