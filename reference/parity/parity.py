"""Compares fcmae with timm, transformers, ONNX Runtime and OpenVINO. See README.md."""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import onnx
import onnxruntime
import openvino
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.models.convnext import checkpoint_filter_fn
from transformers import AutoImageProcessor, AutoModel, AutoModelForImageClassification

import report
from programs import (
    SIZES,
    randomize,
    timm_network,
    timm_outputs,
    transformers_network,
    transformers_outputs,
)

ROOT = Path(__file__).resolve().parents[2]
FCMAE = ROOT / "target/release/fcmae"
FEATURES = ROOT / "target/release/examples/features"

# Largest difference over the largest value.
LIMIT = 1e-4
# Images as height and width; the largest network on small ones.
IMAGES = {"huge": [(64, 64), (64, 96)]}
ALL_IMAGES = [(224, 224), (288, 288), (384, 384), (192, 320)]


def command(*arguments):
    subprocess.run([str(a) for a in arguments], check=True, stdout=subprocess.DEVNULL)


class Comparison:
    """Rows for the report, and whether all of them are within their limits."""

    def __init__(self):
        self.rows = []
        self.failures = []

    def add(self, table, labels, values, limit=LIMIT):
        self.rows.append((table, labels, values))
        bad = {name: value for name, value in values.items() if not value <= limit}
        if bad:
            self.failures.append((table, labels, bad))
        shown = ", ".join(f"{name} {value:.1e}" for name, value in values.items())
        print(f"{time.strftime('%H:%M:%S')}  {table}  {' '.join(labels)}: {shown}", flush=True)


def difference(found, expected):
    expected = torch.as_tensor(expected)
    found = torch.as_tensor(found)
    if found.shape != expected.shape:
        raise SystemExit(f"shape {tuple(found.shape)} in place of {tuple(expected.shape)}")
    return ((found - expected).abs().max() / expected.abs().max()).item()


def differences(found, expected):
    """The worst of the maps, and the others."""
    each = {name: difference(found[name], value) for name, value in expected.items()}
    stages = [value for name, value in each.items() if name.startswith("stage")]
    rest = {name: value for name, value in each.items() if not name.startswith("stage")}
    return {"stages": max(stages)} | rest


def ours(weights, images, folder):
    """What fcmae gives for normalized images [N, C, H, W]."""
    source, result = folder / "in.safetensors", folder / "out.safetensors"
    save_file({"images": images.permute(0, 2, 3, 1).contiguous()}, source)
    command(FEATURES, weights, result, source)
    found = load_file(result)
    return {
        name: value.permute(0, 3, 1, 2) if name.startswith("stage") else value
        for name, value in found.items()
    }


def random_images(height, width, count=2):
    generator = torch.Generator().manual_seed(height * width)
    return torch.randn(count, 3, height, width, generator=generator)


def export(weights, program, out, *options):
    shutil.rmtree(out, ignore_errors=True)
    command(FCMAE, "export", weights, "--format", program, "--out", out, *options)
    return out


def read_here(size, folder, to):
    """Random weights of timm and of transformers, read here. Leaves timm's in the folder."""
    images = [random_images(*sides) for sides in IMAGES.get(size, ALL_IMAGES)]
    model = timm_network(size, seed=1)
    weights = folder / "timm.safetensors"
    save_file(model.state_dict(), weights)
    for batch in images:
        sides = "×".join(map(str, batch.shape[2:]))
        values = differences(ours(weights, batch, folder), timm_outputs(model, batch))
        to.add("read", (size, "timm", sides), values)
    del model
    model = transformers_network(size, seed=2)
    other = folder / "transformers"
    model.save_pretrained(other)
    for batch in images:
        sides = "×".join(map(str, batch.shape[2:]))
        values = differences(ours(other, batch, folder), transformers_outputs(model, batch))
        to.add("read", (size, "transformers", sides), values)
    del model
    shutil.rmtree(other)
    return weights, images[0]


@torch.no_grad()
def written_here(size, weights, batch, folder, to):
    """Weights exported here, read by the other programs; and back again bit for bit."""
    reference = ours(weights, batch, folder)
    pick = ("stage1", "stage2", "stage3", "stage4", "embedding", "logits")
    reference = {name: reference[name] for name in pick}

    out = export(weights, "transformers", folder / "t")
    model = AutoModelForImageClassification.from_pretrained(out).eval()
    to.add("written", (size, "transformers"), differences(transformers_outputs(model, batch), reference))
    del model

    out = export(out, "authors", folder / "a")
    state = torch.load(out / "model.pth", weights_only=True)
    model = timm.create_model(f"convnextv2_{size}")
    # timm reads the authors' files by a conversion of its own.
    model.load_state_dict(checkpoint_filter_fn(state, model))
    del state
    values = differences(timm_outputs(model.eval(), batch), reference)
    to.add("written", (size, "the authors' names, by timm"), values)
    del model

    out = export(out, "timm", folder / "b")
    model = timm.create_model(f"local-dir:{out}", pretrained=True).eval()
    to.add("written", (size, "timm"), differences(timm_outputs(model, batch), reference))
    del model
    before, after = load_file(weights), load_file(out / "model.safetensors")
    same = before.keys() == after.keys() and all(
        before[name].shape == after[name].shape and torch.equal(before[name], after[name])
        for name in before
    )
    to.add("round trip", (size,), {"differing tensors": 0.0 if same else 1.0}, limit=0)
    for name in ("t", "a", "b"):
        shutil.rmtree(folder / name)
    return reference


def run_onnx(file, images):
    """Outputs by name, of ONNX Runtime and of OpenVINO."""
    session = onnxruntime.InferenceSession(str(file))
    names = [output.name for output in session.get_outputs()]
    yield "ONNX Runtime", dict(zip(names, session.run(None, {"image": images.numpy()})))
    compiled = openvino.Core().compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    yield "OpenVINO", {name: compiled([images.numpy()])[name] for name in names}


def through_onnx(size, weights, batch, reference, folder, to):
    outputs = ("logits", "embeddings", "features") if size in ("atto", "tiny") else ("logits",)
    for output in outputs:
        options = ["--output", output]
        fixed = tuple(batch.shape[2:]) == (224, 224)
        if not fixed or output == "features":
            options.append("--dynamic-size")
        out = export(weights, "onnx", folder / "o", *options)
        onnx.checker.check_model(str(out / "model.onnx"), full_check=True)
        for runtime, found in run_onnx(out / "model.onnx", batch):
            wanted = {"logits": ["logits"], "embeddings": ["embedding"]}.get(
                output, [f"stage{stage}" for stage in (1, 2, 3, 4)]
            )
            values = [
                difference(value, reference[name]) for name, value in zip(wanted, found.values())
            ]
            to.add("onnx", (size, output, runtime), {"difference": max(values)})
        shutil.rmtree(out)


def files_of_other_kinds(folder, to):
    """The same weights in halves, in bfloat16, and as PyTorch wrote them before 1.6."""
    state = timm_network("atto", seed=3).state_dict()
    batch = random_images(64, 64)
    for kind, convert, options in (
        (".pth", lambda t: t, {}),
        (".pth, float16", torch.Tensor.half, {}),
        (".pth, bfloat16", torch.Tensor.bfloat16, {}),
        (".pth of PyTorch before 1.6", lambda t: t, {"_use_new_zipfile_serialization": False}),
    ):
        kept = {name: convert(value) for name, value in state.items()}
        torch.save({"model": kept}, folder / "kind.pth", **options)
        model = timm.create_model("convnextv2_atto")
        model.load_state_dict({name: value.float() for name, value in kept.items()})
        values = differences(
            ours(folder / "kind.pth", batch, folder), timm_outputs(model.eval(), batch)
        )
        to.add("files", (kind,), values)
    save_file({name: value.bfloat16() for name, value in state.items()}, folder / "kind.safetensors")
    model = timm.create_model("convnextv2_atto")
    model.load_state_dict({name: value.bfloat16().float() for name, value in state.items()})
    values = differences(
        ours(folder / "kind.safetensors", batch, folder), timm_outputs(model.eval(), batch)
    )
    to.add("files", (".safetensors, bfloat16",), values)


def pictures(folder, photos, count, to):
    """From a file to the network's input, and on to the logits, as timm's whole pipeline."""
    files = sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    step = max(1, len(files) // count)
    files = files[::step][:count]
    if not files:
        raise SystemExit(f"no pictures in {photos}")
    # Every tenth as PNG too.
    for number, file in enumerate(files[::10]):
        Image.open(file).convert("RGB").save(folder / f"{number}.png")
        files.append(folder / f"{number}.png")
    for sides, crop in (((224, 224), 0.875), ((224, 224), 1.0), ((192, 256), 0.875)):
        model = timm_network("atto", seed=4)
        weights = export_described(model, folder / "pictures", sides, crop)
        transform = timm.data.create_transform(
            input_size=(3, *sides), interpolation="bicubic", crop_pct=crop, crop_mode="center"
        )
        command(FEATURES, weights, folder / "out.safetensors", *files)
        found = load_file(folder / "out.safetensors")
        expected = torch.stack([transform(Image.open(file).convert("RGB")) for file in files])
        std = torch.tensor(timm.data.IMAGENET_DEFAULT_STD).reshape(3, 1, 1)
        off = ((found["images"].permute(0, 3, 1, 2) - expected) * std * 255).abs()
        with torch.no_grad():
            logits = torch.cat([model(batch) for batch in expected.split(16)])
        shift = (found["logits"] - logits).abs().max() / logits.std()
        labels = (f"{len(files)} pictures to {sides[0]}×{sides[1]}, crop {crop}",)
        beyond = (off > 1.001).float().mean().item()
        to.add("pictures", labels, {"share beyond 1/255": beyond}, limit=1e-3)
        to.add("pictures", labels, {"logits, of their std": shift.item()}, limit=0.01)
        if sides == (224, 224) and crop == 0.875:
            transformers_processor(files, folder, to)


def export_described(model, folder, sides, crop):
    """timm's own folder for a network and how its pictures are prepared."""
    shutil.rmtree(folder, ignore_errors=True)
    model.pretrained_cfg = model.pretrained_cfg | {
        "input_size": (3, *sides), "crop_pct": crop, "crop_mode": "center",
    }
    timm.models.save_for_hf(model, folder, safe_serialization=True)
    return folder


def transformers_processor(files, folder, to):
    """The picture processor of an export, against the preparation here."""
    weights = folder / "pictures"
    out = export(weights, "transformers", folder / "t")
    processor = AutoImageProcessor.from_pretrained(out)
    command(FEATURES, weights, folder / "out.safetensors", *files)
    found = load_file(folder / "out.safetensors")["images"].permute(0, 3, 1, 2)
    opened = [Image.open(file).convert("RGB") for file in files]
    expected = torch.cat([processor(image, return_tensors="pt").pixel_values for image in opened])
    std = torch.tensor(timm.data.IMAGENET_DEFAULT_STD).reshape(3, 1, 1)
    off = ((found - expected) * std * 255).abs()
    labels = (f"{type(processor).__name__} of an export, {len(files)} pictures",)
    to.add("pictures", labels, {"share beyond 1/255": (off > 1.001).float().mean().item()}, limit=1)


def backbone_without_head(folder, to):
    """A pre-trained encoder, exported and read by timm and transformers without a word of complaint."""
    model = timm_network("atto", seed=6, num_classes=0)
    state = {k: v for k, v in model.state_dict().items() if not k.startswith("head.")}
    save_file(state, folder / "encoder.safetensors")
    batch = random_images(64, 96)
    reference = ours(folder / "encoder.safetensors", batch, folder)
    out = export(folder / "encoder.safetensors", "timm", folder / "t")
    there = timm.create_model(f"local-dir:{out}", pretrained=True).eval()
    with torch.no_grad():
        maps = there.forward_intermediates(batch, intermediates_only=True)[-4:]
    values = [difference(m, reference[f"stage{i}"]) for i, m in enumerate(maps, 1)]
    to.add("written", ("atto without a head", "timm"), {"stages": max(values)})
    out = export(folder / "encoder.safetensors", "transformers", folder / "t")
    there, info = AutoModel.from_pretrained(out, output_loading_info=True)
    complaints = len(info["missing_keys"]) + len(info["unexpected_keys"])
    with torch.no_grad():
        states = there.eval()(batch, output_hidden_states=True).hidden_states
    values = [difference(states[i], reference[f"stage{i}"]) for i in (1, 2, 3, 4)]
    to.add("written", ("atto without a head", "transformers"), {"stages": max(values) + complaints})


def variants(folder, to):
    """Other blocks, channels and stems than the published networks'."""
    file = folder / "variant.safetensors"
    for name, arguments, programs in (
        ("convnext_atto", {}, ("timm", "transformers")),
        ("convnext_tiny", {}, ("timm", "transformers")),
        ("convnextv2_atto", {"in_chans": 1}, ("timm", "transformers")),
        ("convnextv2_atto", {"in_chans": 5}, ("timm", "transformers")),
        ("convnextv2_atto", {"patch_size": 1, "num_classes": 7}, ("timm", "transformers")),
        ("convnextv2_atto", {"depths": (1, 1, 2, 1), "dims": (24, 40, 56, 88)}, ("timm", "transformers")),
    ):
        model = randomize(timm.create_model(name, **arguments), seed=7)
        save_file(model.state_dict(), file)
        side = 16 * arguments.get("patch_size", 4)
        batch = torch.randn(2, arguments.get("in_chans", 3), side, 2 * side)
        label = ", ".join([name, *(f"{key} {value}" for key, value in arguments.items())])
        expected = timm_outputs(model, batch)
        to.add("variants", (label, "read, from timm"), differences(ours(file, batch, folder), expected))
        for program in programs:
            out = export(file, program, folder / "v")
            if program == "timm":
                there = timm.create_model(f"local-dir:{out}", pretrained=True).eval()
                found = timm_outputs(there, batch)
            else:
                there = AutoModelForImageClassification.from_pretrained(out).eval()
                found = transformers_outputs(there, batch)
            to.add("variants", (label, f"written, for {program}"), differences(found, expected))
    # timm puts one downsampling more behind a stem of stride 2.
    model = transformers_network("atto", seed=8, patch_size=2)
    model.save_pretrained(folder / "v2")
    batch = random_images(64, 32)
    values = differences(ours(folder / "v2", batch, folder), transformers_outputs(model, batch))
    to.add("variants", ("atto, stem stride 2", "read, from transformers"), values)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default=",".join(SIZES), help="sizes, separated by commas")
    parser.add_argument("--photos", type=Path, help="a folder of pictures")
    parser.add_argument("--pictures", type=int, default=200, help="how many of them")
    parser.add_argument("--report", action="store_true", help="write docs/parity.md")
    arguments = parser.parse_args()
    to = Comparison()
    with tempfile.TemporaryDirectory(prefix="fcmae-parity-") as name:
        folder = Path(name)
        files_of_other_kinds(folder, to)
        backbone_without_head(folder, to)
        variants(folder, to)
        if arguments.photos:
            pictures(folder, arguments.photos, arguments.pictures, to)
        for size in filter(None, arguments.sizes.split(",")):
            weights, batch = read_here(size, folder, to)
            reference = written_here(size, weights, batch, folder, to)
            through_onnx(size, weights, batch, reference, folder, to)
            weights.unlink()
    if arguments.report:
        report.write(to.rows, ROOT / "docs/parity.md")
    for table, labels, bad in to.failures:
        print(f"beyond the limit: {table}, {', '.join(labels)}: {bad}")
    sys.exit(bool(to.failures))


if __name__ == "__main__":
    main()
