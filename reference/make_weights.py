"""Write crates/fcmae/tests/fixtures/weights/: one small network in the files and names of each program.

Values follow from timm's names by the fill rule (README.md), so that the tests know what must come out.
timm's and transformers' files are written by those programs. The authors' and mmpretrain's names are
listed here, from their code; the authors' are held against timm's own conversion.
"""

import argparse
import shutil
from collections import OrderedDict
from pathlib import Path

import timm
import torch
import transformers
from safetensors.torch import save_file
from timm.models.convnext import checkpoint_filter_fn

import fill

OUT = Path(__file__).parent.parent / "crates/fcmae/tests/fixtures/weights"
DEPTHS, WIDTHS = (1, 2, 1, 1), (2, 3, 4, 5)
CLASSES = ("ant", "bee", "cat")
DECODER = 4
PATCH = 32


def filled(name, shape):
    return torch.from_numpy(fill.parameter(name, shape))


def timm_model(family):
    model = timm.create_model(
        f"{family}_atto", depths=DEPTHS, dims=WIDTHS, num_classes=len(CLASSES)
    )
    state = {name: filled(name, value.shape) for name, value in model.state_dict().items()}
    model.load_state_dict(state)
    return model.eval()


def blocks(v2):
    """(stage, block, {timm's name within the block: the authors'})."""
    inside = {
        "conv_dw.weight": "dwconv.weight",
        "conv_dw.bias": "dwconv.bias",
        "norm.weight": "norm.weight",
        "norm.bias": "norm.bias",
        "mlp.fc1.weight": "pwconv1.weight",
        "mlp.fc1.bias": "pwconv1.bias",
        "mlp.fc2.weight": "pwconv2.weight",
        "mlp.fc2.bias": "pwconv2.bias",
    }
    if v2:
        inside |= {"mlp.grn.weight": "grn.gamma", "mlp.grn.bias": "grn.beta"}
    else:
        inside["gamma"] = "gamma"
    for stage, depth in enumerate(DEPTHS):
        for block in range(depth):
            yield stage, block, inside


def authors(state, v2=True):
    """The authors' dense network."""
    out = OrderedDict()
    for part in ("weight", "bias"):
        for place in (0, 1):
            out[f"downsample_layers.0.{place}.{part}"] = state[f"stem.{place}.{part}"]
            for stage in (1, 2, 3):
                ours = state[f"stages.{stage}.downsample.{place}.{part}"]
                out[f"downsample_layers.{stage}.{place}.{part}"] = ours
        out[f"norm.{part}"] = state[f"head.norm.{part}"]
        out[f"head.{part}"] = state[f"head.fc.{part}"]
    for stage, block, inside in blocks(v2):
        for ours, theirs in inside.items():
            value = state[f"stages.{stage}.blocks.{block}.{ours}"]
            if "pwconv" in theirs and theirs.endswith("weight"):
                value = value.flatten(1)
            if "grn" in theirs:
                value = value.reshape(1, 1, 1, -1)
            out[f"stages.{stage}.{block}.{theirs}"] = value
    return out


def kernel(dense):
    """A sparse convolution's kernel from a dense one: places first, counted with the height fastest."""
    out_channels, in_channels, height, width = dense.shape
    places = [dense[:, :, h, w] for w in range(width) for h in range(height)]
    stacked = torch.stack(places)  # [k², out, in]
    if in_channels == 1:
        return stacked[:, :, 0].clone()
    return stacked.transpose(1, 2).contiguous()


def sparse(dense):
    """The authors' network while it pre-trains: sparse encoder, dense decoder."""
    out = OrderedDict()
    width = WIDTHS[3]
    decoder = {
        "dwconv.weight": (DECODER, 1, 7, 7),
        "norm.weight": (DECODER,),
        "pwconv1.weight": (4 * DECODER, DECODER),
        "grn.gamma": (1, 1, 1, 4 * DECODER),
        "grn.beta": (1, 1, 1, 4 * DECODER),
        "pwconv2.weight": (DECODER, 4 * DECODER),
    }
    timm_names = {theirs: ours for _, _, inside in blocks(True) for ours, theirs in inside.items()}
    out["mask_token"] = filled("decoder.mask_token", (DECODER,)).reshape(1, -1, 1, 1)
    for name, value in dense.items():
        if name.startswith(("norm.", "head.")):
            continue
        stem = name.startswith("downsample_layers.0.")
        if not stem:
            if "dwconv" in name or name.startswith("downsample") and name.split(".")[2] == "1":
                if name.endswith("weight"):
                    name, value = name.replace("weight", "kernel"), kernel(value)
                else:
                    value = value.reshape(1, -1)
            elif "pwconv" in name:
                first, part = name.rsplit(".", 1)
                name = f"{first}.linear.{part}"
            elif "grn" in name:
                value = value.reshape(1, -1)
            else:  # layer norms
                first, part = name.rsplit(".", 1)
                name = f"{first}.ln.{part}"
        out[f"encoder.{name}"] = value
    pixels = PATCH * PATCH * 3
    for theirs, ours, shape in (
        ("proj", "decoder.proj", (DECODER, width)),
        ("pred", "decoder.pred", (pixels, DECODER)),
    ):
        out[f"{theirs}.weight"] = filled(f"{ours}.weight", shape).reshape(*shape, 1, 1)
        out[f"{theirs}.bias"] = filled(f"{ours}.bias", shape[:1])
    for theirs, shape in decoder.items():
        value = filled(f"decoder.blocks.0.{timm_names[theirs]}", shape)
        out[f"decoder.0.{theirs}"] = value
    for theirs in ("dwconv", "norm", "pwconv1", "pwconv2"):
        ours = timm_names[f"{theirs}.bias"]
        count = 4 * DECODER if theirs == "pwconv1" else DECODER
        out[f"decoder.0.{theirs}.bias"] = filled(f"decoder.blocks.0.{ours}", (count,))
    return out


def mmpretrain(dense):
    """mmpretrain's classifier: the authors' backbone with other names inside the blocks."""
    out = OrderedDict()
    for name, value in dense.items():
        if name.startswith("head."):
            out[f"head.fc.{name.split('.')[1]}"] = value
            continue
        name = name.replace("dwconv", "depthwise_conv").replace("pwconv", "pointwise_conv")
        if name.startswith("norm."):
            name = name.replace("norm.", "norm3.")
        if ".grn." in name:
            value = value.flatten()
        out[f"backbone.{name}"] = value
    return out


def transformers_model(family, state):
    """transformers' own classifier, filled by position: its parameters are listed in timm's order."""
    v2 = family == "convnextv2"
    config, model = (
        (transformers.ConvNextV2Config, transformers.ConvNextV2ForImageClassification)
        if v2
        else (transformers.ConvNextConfig, transformers.ConvNextForImageClassification)
    )
    model = model(
        config(
            hidden_sizes=list(WIDTHS),
            depths=list(DEPTHS),
            image_size=192,
            id2label=dict(enumerate(CLASSES)),
            label2id={name: number for number, name in enumerate(CLASSES)},
        )
    )
    inside = {
        "dwconv": "conv_dw",
        "layernorm": "norm",
        "pwconv1": "mlp.fc1",
        "pwconv2": "mlp.fc2",
        "grn": "mlp.grn",
        "layer_scale_parameter": "gamma",
    }
    new = {}
    for name, value in model.state_dict().items():
        short = name.removeprefix(f"{family}.")
        parts = short.split(".")
        if short.startswith("embeddings.patch_embeddings"):
            ours = f"stem.0.{parts[-1]}"
        elif short.startswith("embeddings.layernorm"):
            ours = f"stem.1.{parts[-1]}"
        elif short.startswith("layernorm"):
            ours = f"head.norm.{parts[-1]}"
        elif short.startswith("classifier"):
            ours = f"head.fc.{parts[-1]}"
        elif "downsampling_layer" in short:
            ours = f"stages.{parts[2]}.downsample.{'.'.join(parts[4:])}"
        else:
            rest = [inside[parts[5]], *parts[6:]]
            ours = f"stages.{parts[2]}.blocks.{parts[4]}.{'.'.join(rest)}"
        new[name] = state[ours].reshape(value.shape)
    model.load_state_dict(new)
    return model.eval()


def same_function(first, second):
    """Two models on one input: names that are mixed up would show."""
    image = torch.from_numpy(fill.images(1, 64, 96, 3)).permute(0, 3, 1, 2)
    with torch.no_grad():
        difference = (first(image) - second(image)).abs().max().item()
    assert difference < 1e-5, difference


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    model = timm_model("convnextv2")
    state = model.state_dict()
    save_file(state, OUT / "timm.safetensors")

    hugging = transformers_model("convnextv2", state)
    same_function(model, lambda image: hugging(image).logits)
    hugging.save_pretrained(OUT / "transformers")
    transformers.ConvNextImageProcessor(
        size={"shortest_edge": 192}, crop_pct=0.95, image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.4]
    ).save_pretrained(OUT / "transformers")

    dense = authors(state)
    converted = checkpoint_filter_fn({"model": dense}, model)
    assert set(converted) == set(state)
    assert all(torch.equal(converted[name].flatten(), state[name].flatten()) for name in state)
    torch.save({"model": dense}, OUT / "authors.pth")
    checkpoint = {
        "model": sparse(dense),
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.95)}]},
        "epoch": 799,
        "scaler": {"scale": 65536.0},
        "args": argparse.Namespace(model="convnextv2_atto", mask_ratio=0.6),
    }
    torch.save(checkpoint, OUT / "authors_sparse.pth")
    torch.save(
        {"meta": {"mmpretrain_version": "1.0.0"}, "state_dict": mmpretrain(dense)},
        OUT / "mmpretrain.pth",
    )

    first = timm_model("convnext")
    hugging = transformers_model("convnext", first.state_dict())
    same_function(first, lambda image: hugging(image).logits)
    save_file(hugging.state_dict(), OUT / "transformers_v1.safetensors")
    torch.save({"model": authors(first.state_dict(), v2=False)}, OUT / "authors_v1.pth")
    print(*sorted(f"{path.stat().st_size:8} {path.name}" for path in OUT.rglob("*.*")), sep="\n")


if __name__ == "__main__":
    main()
