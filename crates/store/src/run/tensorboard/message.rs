//! The part of TensorBoard's protobuf messages that event files need. They are written, never read;
//! names and fields' numbers are those of its `event.proto`, `summary.proto` and `tensor.proto`. What
//! these call int32 and int64 is unsigned here, as none of it is ever negative: the bytes are the same.

use prost::{Message, Oneof};

/// `SessionLog.START`.
const START: u32 = 1;

/// `DT_STRING`.
const STRING: u32 = 7;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub(super) wall_time: f64,
    #[prost(uint64, tag = "2")]
    pub(super) step: u64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    pub(super) what: Option<What>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionLog {
    #[prost(uint32, tag = "1")]
    status: u32,
}

impl SessionLog {
    pub(super) fn start() -> Self {
        Self { status: START }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub(super) value: Vec<Value>,
}

/// `Summary.Value`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(oneof = "Shown", tags = "2, 4, 8")]
    shown: Option<Shown>,
    #[prost(message, optional, tag = "9")]
    metadata: Option<Metadata>,
}

impl Value {
    pub(super) fn scalar(tag: &str, scalar: f32) -> Self {
        Self::new(tag, Shown::Simple(scalar))
    }

    pub(super) fn image(tag: &str, image: Image) -> Self {
        Self::new(tag, Shown::Image(image))
    }

    /// A text that TensorBoard shows as Markdown.
    pub(super) fn text(tag: &str, text: &str) -> Self {
        let string_val = vec![text.as_bytes().to_vec()];
        let tensor = Tensor { dtype: STRING, tensor_shape: Some(TensorShape {}), string_val };
        let plugin = PluginData { plugin_name: "text".to_owned() };
        let metadata = Some(Metadata { plugin_data: Some(plugin) });
        Self { metadata, ..Self::new(tag, Shown::Tensor(tensor)) }
    }

    fn new(tag: &str, shown: Shown) -> Self {
        Self { tag: tag.to_owned(), shown: Some(shown), metadata: None }
    }
}

#[derive(Clone, PartialEq, Oneof)]
enum Shown {
    #[prost(float, tag = "2")]
    Simple(f32),
    #[prost(message, tag = "4")]
    Image(Image),
    #[prost(message, tag = "8")]
    Tensor(Tensor),
}

/// `Summary.Image`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Image {
    #[prost(uint32, tag = "1")]
    pub(super) height: u32,
    #[prost(uint32, tag = "2")]
    pub(super) width: u32,
    /// Values a pixel.
    #[prost(uint32, tag = "3")]
    pub(super) colorspace: u32,
    /// A PNG file.
    #[prost(bytes = "vec", tag = "4")]
    pub(super) encoded_image_string: Vec<u8>,
}

/// `TensorProto`.
#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(uint32, tag = "1")]
    dtype: u32,
    #[prost(message, optional, tag = "2")]
    tensor_shape: Option<TensorShape>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    string_val: Vec<Vec<u8>>,
}

/// `TensorShapeProto`, of a tensor without dimensions.
#[derive(Clone, PartialEq, Message)]
struct TensorShape {}

/// `SummaryMetadata`.
#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(message, optional, tag = "1")]
    plugin_data: Option<PluginData>,
}

/// `SummaryMetadata.PluginData`.
#[derive(Clone, PartialEq, Message)]
struct PluginData {
    #[prost(string, tag = "1")]
    plugin_name: String,
}
