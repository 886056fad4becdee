"""Runs exported ONNX networks in other runtimes and compares them with timm.

    python reference/check_onnx.py DIR_OR_FILE…

Each network is validated by ONNX's checker, run by ONNX Runtime and by OpenVINO at two batch sizes (and
two image sizes where it takes any), and compared with timm's network on the same weights where
`config.json` and `model.safetensors` lie beside it (with the GRN of `grn_variants.py`, and a stem of
stride 2, where the network has them). Ends with 1 where any differs by more than `--limit` of the largest
value.
"""

import argparse
import gc
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import timm
import torch
from safetensors.torch import load_file
from timm.layers.grn import GlobalResponseNorm

from grn_variants import grn


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", type=Path, nargs="+", help="folders with model.onnx, or .onnx files")
    parser.add_argument("--limit", type=float, default=1e-4, help="of the largest value (default 1e-4)")
    args = parser.parse_args()
    failed = False
    for path in args.paths:
        file = path / "model.onnx" if path.is_dir() else path
        error = check(file)
        # Not a number is a failure too.
        good = error <= args.limit
        failed |= not good
        print(f"{file}: {'ok' if good else 'FAILED'}, off by {error:.1e} at most")
    sys.exit(1 if failed else 0)


def check(file: Path) -> float:
    """The largest deviation, relative to the largest value; not a number where any is none."""
    # By its path, since the checker reads no larger message than protobuf allows.
    onnx.checker.check_model(str(file), full_check=True)
    model = onnx.load(str(file), load_external_data=False)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    inputs = [images(model, properties, batch, grown) for batch, grown in ((1, 0), (3, 1))]
    names = [output.name for output in model.graph.output]
    print(f"{file}: {properties['architecture']}, {', '.join(names)}")
    opset = [entry.version for entry in model.opset_import]
    if opset != [17]:
        raise SystemExit(f"{file}: operator set {opset}, not 17")
    del model

    results = {"onnxruntime": run_onnxruntime(file, inputs), "openvino": run_openvino(file, inputs)}
    reference = run_timm(file.parent, inputs, names)
    if isinstance(reference, str):
        print(f"  not compared with timm: {reference}")
        reference = results["onnxruntime"]
    all_errors = []
    for runtime, found in results.items():
        errors = []
        for x, outputs, expected in zip(inputs, found, reference, strict=True):
            for name, output, truth in zip(names, outputs, expected, strict=True):
                if output.shape != truth.shape:
                    raise SystemExit(f"{file}: {name} is {output.shape}, not {truth.shape}, for {x.shape}")
                errors.append(float(np.abs(output - truth).max() / np.abs(truth).max()))
        print(f"  {runtime}: off by {np.max(errors):.1e} of the largest value")
        all_errors += errors
    return float(np.max(all_errors))


def images(model, properties, batch: int, grown: int):
    """Normal numbers of the input's shape; larger by `grown` patches where the size is open."""
    (image,) = model.graph.input
    dimensions = image.type.tensor_type.shape.dim
    if [image.name, dimensions[0].dim_param] != ["image", "batch"]:
        raise SystemExit(f"the input is {image.name}, its first dimension {dimensions[0]}")
    sides = [
        size + 32 * grown if dimension.dim_param else dimension.dim_value
        for dimension, size in zip(dimensions[2:], json.loads(properties["image_size"]), strict=True)
    ]
    shape = (batch, dimensions[1].dim_value, *sides)
    return np.random.default_rng(batch).standard_normal(shape, dtype=np.float32)


def run_onnxruntime(file: Path, inputs):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    results = [session.run(None, {"image": x}) for x in inputs]
    del session
    gc.collect()
    return results


def run_openvino(file: Path, inputs):
    # Without the hint it may compute in bfloat16.
    network = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = []
    for x in inputs:
        answer = network({"image": x})
        results.append([np.array(answer[output]) for output in network.outputs])
    del network
    gc.collect()
    return results


def run_timm(folder: Path, inputs, names):
    """timm's outputs; or why there are none."""
    config_file, weights = folder / "config.json", folder / "model.safetensors"
    if not (config_file.is_file() and weights.is_file()):
        return "no config.json and model.safetensors beside it"
    config = json.loads(config_file.read_text())
    model = timm.create_model(
        config["architecture"],
        pretrained=False,
        num_classes=config["num_classes"],
        **config.get("model_args", {}),
    ).eval()
    if config.get("model_args", {}).get("patch_size") == 2:
        # timm has a downsampling of its own after a stem of this stride.
        model.stages[0].downsample = torch.nn.Identity()
    variant = config.get("fcmae", {}).get("model", {}).get("grn")
    for module in model.modules():
        if variant and isinstance(getattr(module, "grn", None), GlobalResponseNorm):
            module.grn = Grn(module.grn, **variant)
    tensors = load_file(weights)
    has_norm = "head.norm.weight" in tensors
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    del tensors
    wrong = [name for name in missing if not name.startswith("head.")]
    wrong += [name for name in unexpected if not name.startswith("decoder.")]
    if wrong:
        raise SystemExit(f"{weights} is not {config['architecture']}: {', '.join(wrong)}")

    results = []
    with torch.inference_mode():
        for x in map(torch.from_numpy, inputs):
            if names == ["logits"]:
                outputs = [model(x)]
            elif names == ["embeddings"]:
                features = model.forward_features(x)
                pooled = features.mean(dim=(2, 3))
                outputs = [model.forward_head(features, pre_logits=True) if has_norm else pooled]
            else:
                outputs = model.forward_intermediates(x, intermediates_only=True)
            results.append([output.numpy() for output in outputs])
    del model
    gc.collect()
    return results


class Grn(torch.nn.Module):
    """Any variant of GRN in the place of timm's."""

    def __init__(self, replaced, aggregation, normalization, skip):
        super().__init__()
        self.weight, self.bias = replaced.weight, replaced.bias
        self.channels_last = replaced.channel_dim == -1
        # What is called `mean` in a network's description is `divisive` in the fixtures.
        normalization = "divisive" if normalization == "mean" else normalization
        self.variant = (aggregation, normalization, skip)

    def forward(self, x):
        x = x if self.channels_last else x.permute(0, 2, 3, 1)
        y = grn(x.flatten(1, 2), self.weight, self.bias, *self.variant).view(x.shape)
        return y if self.channels_last else y.permute(0, 3, 1, 2)


if __name__ == "__main__":
    main()
