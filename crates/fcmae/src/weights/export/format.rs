//! The programs that weights are exported for.

use crate::weights::onnx::OnnxOptions;

/// Whom an export is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// `timm.create_model("local-dir:FOLDER", pretrained=True)`.
    Timm,
    /// `AutoModelForImageClassification.from_pretrained("FOLDER")` of transformers.
    Transformers,
    /// The authors' PyTorch code: `model.pth` with the dense network under `["model"]`.
    Authors,
    /// `model.onnx`, for ONNX Runtime, OpenVINO and others.
    Onnx(OnnxOptions),
}
