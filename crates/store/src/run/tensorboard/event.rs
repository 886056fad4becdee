//! A run's moments as TensorBoard's messages, and the record that holds one of them.

use prost::Message;

use super::message::{Event, Image, SessionLog, Summary, Value, What};

/// A moment of a run. `time`: seconds since 1970.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub(super) time: f64,
    pub(super) step: u64,
}

impl At {
    fn event(self, what: What) -> Event {
        Event { wall_time: self.time, step: self.step, what: Some(what) }
    }

    fn summary(self, value: Vec<Value>) -> Event {
        self.event(What::Summary(Summary { value }))
    }

    /// What every file begins with.
    pub(super) fn file_version(self) -> Event {
        self.event(What::FileVersion("brain.Event:2".to_owned()))
    }

    /// Tells TensorBoard to forget what it read of this step and later ones.
    pub(super) fn start(self) -> Event {
        self.event(What::SessionLog(SessionLog::start()))
    }

    pub(super) fn scalars<'a>(self, scalars: impl IntoIterator<Item = (&'a str, f32)>) -> Event {
        self.summary(scalars.into_iter().map(|(tag, scalar)| Value::scalar(tag, scalar)).collect())
    }

    /// A text that TensorBoard shows as Markdown.
    pub(super) fn text(self, tag: &str, text: &str) -> Event {
        self.summary(vec![Value::text(tag, text)])
    }

    pub(super) fn picture(self, tag: &str, header: PngHeader, png: &[u8]) -> Event {
        let PngHeader { width, height, channels } = header;
        let encoded_image_string = png.to_vec();
        let image = Image { height, width, colorspace: channels, encoded_image_string };
        self.summary(vec![Value::image(tag, image)])
    }
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
pub(super) fn add_record(event: &Event, records: &mut Vec<u8>) {
    let data = event.encode_to_vec();
    let length = (data.len() as u64).to_le_bytes();
    records.extend(length);
    records.extend(masked_crc(&length).to_le_bytes());
    records.extend(&data);
    records.extend(masked_crc(&data).to_le_bytes());
}

/// CRC-32C, turned and shifted so that a checksum over bytes that hold checksums stays a good one.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests;
