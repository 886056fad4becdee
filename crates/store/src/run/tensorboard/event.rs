//! The messages `Event` and `Summary` of TensorBoard's `event.proto` and `summary.proto`, and the record
//! that holds one of them.

use super::message::Message;

const EVENT_WALL_TIME: u32 = 1;
const EVENT_STEP: u32 = 2;
const EVENT_FILE_VERSION: u32 = 3;
const EVENT_SUMMARY: u32 = 5;
const EVENT_SESSION_LOG: u32 = 7;
const SESSION_LOG_STATUS: u32 = 1;
/// `SessionLog.START`.
const START: u64 = 1;
const SUMMARY_VALUE: u32 = 1;
const VALUE_TAG: u32 = 1;
const VALUE_SIMPLE: u32 = 2;
const VALUE_IMAGE: u32 = 4;
const VALUE_TENSOR: u32 = 8;
const VALUE_METADATA: u32 = 9;
const METADATA_PLUGIN: u32 = 1;
const PLUGIN_NAME: u32 = 1;
const IMAGE_HEIGHT: u32 = 1;
const IMAGE_WIDTH: u32 = 2;
const IMAGE_COLORSPACE: u32 = 3;
const IMAGE_ENCODED: u32 = 4;
const TENSOR_DTYPE: u32 = 1;
/// `DT_STRING`.
const STRING: u64 = 7;
const TENSOR_SHAPE: u32 = 2;
const TENSOR_STRING: u32 = 8;

/// A moment of a run. `time`: seconds since 1970.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub(super) time: f64,
    pub(super) step: u64,
}

impl At {
    fn event(self) -> Message {
        let event = Message::new().double(EVENT_WALL_TIME, self.time);
        // As other writers do: zero is what a field means that is not there.
        if self.step == 0 { event } else { event.integer(EVENT_STEP, self.step) }
    }

    fn summary(self, values: impl IntoIterator<Item = Message>) -> Message {
        let summary = values
            .into_iter()
            .fold(Message::new(), |summary, value| summary.message(SUMMARY_VALUE, &value));
        self.event().message(EVENT_SUMMARY, &summary)
    }

    /// What every file begins with.
    pub(super) fn file_version(self) -> Message {
        self.event().bytes(EVENT_FILE_VERSION, b"brain.Event:2")
    }

    /// Tells TensorBoard to forget what it read of this step and later ones.
    pub(super) fn start(self) -> Message {
        let log = Message::new().integer(SESSION_LOG_STATUS, START);
        self.event().message(EVENT_SESSION_LOG, &log)
    }

    pub(super) fn scalars<'a>(self, scalars: impl IntoIterator<Item = (&'a str, f32)>) -> Message {
        self.summary(
            scalars.into_iter().map(|(tag, scalar)| value(tag).float(VALUE_SIMPLE, scalar)),
        )
    }

    /// A text that TensorBoard shows as Markdown.
    pub(super) fn text(self, tag: &str, text: &str) -> Message {
        let tensor = Message::new()
            .integer(TENSOR_DTYPE, STRING)
            .message(TENSOR_SHAPE, &Message::new())
            .bytes(TENSOR_STRING, text.as_bytes());
        let plugin = Message::new().bytes(PLUGIN_NAME, b"text");
        let metadata = Message::new().message(METADATA_PLUGIN, &plugin);
        let value = value(tag).message(VALUE_TENSOR, &tensor).message(VALUE_METADATA, &metadata);
        self.summary([value])
    }

    pub(super) fn picture(self, tag: &str, header: PngHeader, png: &[u8]) -> Message {
        let image = Message::new()
            .integer(IMAGE_HEIGHT, header.height.into())
            .integer(IMAGE_WIDTH, header.width.into())
            .integer(IMAGE_COLORSPACE, header.channels.into())
            .bytes(IMAGE_ENCODED, png);
        self.summary([value(tag).message(VALUE_IMAGE, &image)])
    }
}

fn value(tag: &str) -> Message {
    Message::new().bytes(VALUE_TAG, tag.as_bytes())
}

/// What TensorBoard wants to be told of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PngHeader {
    width: u32,
    height: u32,
    /// Values a pixel: 1 to 4.
    channels: u32,
}

impl PngHeader {
    /// `None` where the bytes begin like no PNG file.
    pub(super) fn read(png: &[u8]) -> Option<Self> {
        let rest = png.strip_prefix(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR")?;
        let (width, rest) = rest.split_first_chunk()?;
        let (height, rest) = rest.split_first_chunk()?;
        let [_depth, color, ..] = *rest else { return None };
        let channels = match color {
            0 => 1,
            4 => 2,
            // A palette's colours are RGB.
            2 | 3 => 3,
            6 => 4,
            _ => return None,
        };
        let (width, height) = (u32::from_be_bytes(*width), u32::from_be_bytes(*height));
        // The format's own bound; TensorBoard's integers are signed.
        let sides = 1..=i32::MAX as u32;
        (sides.contains(&width) && sides.contains(&height)).then_some(Self {
            width,
            height,
            channels,
        })
    }
}

/// Adds the record of an event: its length and its bytes, each with its checksum.
pub(super) fn add_record(event: &Message, records: &mut Vec<u8>) {
    let data = event.as_bytes();
    let length = (data.len() as u64).to_le_bytes();
    records.extend(length);
    records.extend(masked_crc(&length).to_le_bytes());
    records.extend(data);
    records.extend(masked_crc(data).to_le_bytes());
}

/// CRC-32C, turned and shifted so that a checksum over bytes that hold checksums stays a good one.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests;
