"""Write all fixtures of crates/fcmae/tests/fixtures/. See README.md for what each holds.

Everything is computed in float64 from float32 parameters and inputs: the fixtures are the truth that
a float32 implementation is measured against.
"""

import math
import sys

import numpy as np
import timm
import torch

import fill
import layer_decay
from diversity import feature_distance
from fixture_json import exact, numbers, rounded, write
from grn_variants import AGGREGATIONS, NORMALIZATIONS, grn
from masked_dense_fcmae import SIZES, Config, Fcmae, enlarge
from schedule import learning_rate


def load_filled(model):
    """Give every parameter its value of the fill rule, then go to float64."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(fill.parameter(name, parameter.shape)))
    return model.double()


def input_nchw(batch, height, width, channels):
    x = torch.from_numpy(fill.images(batch, height, width, channels))
    return x.permute(0, 3, 1, 2).contiguous().double()


def norm(tensor):
    return rounded(tensor.detach().norm())


def summary(name, tensor, first=8):
    """Shape, norm, first values and the projection on the probe direction of `name`."""
    flat = tensor.detach().reshape(-1).numpy()
    return {
        "shape": list(tensor.shape),
        "norm": rounded(np.linalg.norm(flat)),
        "first": numbers(flat[:first]),
        "projection": rounded(flat @ fill.probe(name, flat.size)),
    }


# --- timm_dense.json ---------------------------------------------------------------------------


def timm_case(model_name, batch, height, width):
    model = timm.create_model(model_name, pretrained=False).eval()
    parameters = sum(p.numel() for p in model.parameters())
    load_filled(model)
    x = input_nchw(batch, height, width, 3)
    with torch.no_grad():
        features, stages = model.forward_intermediates(x)
        pooled = features.mean(dim=(2, 3))
        embedding = model.forward_head(features, pre_logits=True)
        logits = model(x)
        single = model.float()(x.float()).double()
    print(f"  {model_name}: float32 logits differ from float64's by {(single - logits).abs().max():.1e}")
    return {
        "model": model_name,
        "batch": batch,
        "height": height,
        "width": width,
        "parameters": parameters,
        "stages": [
            summary(f"stages.{i}", stage.permute(0, 2, 3, 1)) for i, stage in enumerate(stages)
        ],
        "pooled": summary("pooled", pooled),
        "embedding": summary("embedding", embedding),
        "logits": [
            {
                "first": numbers(image[:64]),
                "mean": rounded(image.mean()),
                "std": rounded(image.std(correction=0)),
                "norm": norm(image),
            }
            for image in logits
        ],
    }


def timm_dense():
    cases = [
        ("convnextv2_atto", 2, 64, 64),
        ("convnextv2_atto", 1, 96, 64),
        ("convnextv2_tiny", 1, 64, 64),
        ("convnext_atto", 1, 64, 64),
    ]
    return {"cases": [timm_case(*case) for case in cases]}


# --- fcmae_step.json ---------------------------------------------------------------------------


def visible_patches(batch, patches, keep):
    """Per image the `keep` patches of the lowest score, in ascending order."""
    scores = fill.uniform("mask", batch * patches).reshape(batch, patches)
    return np.sort(np.argsort(scores, axis=1, kind="stable")[:, :keep], axis=1)


CHOSEN = (
    "stem.0.weight",
    "stem.1.weight",
    "stages.0.blocks.0.conv_dw.weight",
    "stages.0.blocks.0.conv_dw.bias",
    "stages.0.blocks.0.gamma",
    "stages.0.blocks.0.mlp.grn.weight",
    "stages.2.blocks.1.mlp.grn.weight",
    "stages.2.blocks.1.mlp.grn.bias",
    "stages.1.downsample.0.weight",
    "stages.1.downsample.1.weight",
    "stages.3.downsample.1.weight",
    "stages.0.blocks.0.mlp.fc1.weight",
    "stages.3.blocks.0.mlp.fc2.weight",
    "decoder.proj.weight",
    "decoder.mask_token",
    "decoder.blocks.0.conv_dw.weight",
    "decoder.blocks.0.mlp.grn.weight",
    "decoder.pred.weight",
    "decoder.pred.bias",
)


def assert_masked_pixels_unread(model, images, visible, predictions):
    """The masked form's own claim: no prediction depends on a masked pixel."""
    n, _, h, w = images.shape
    patch = model.config.patch
    mask = enlarge(visible.view(n, 1, h // patch, w // patch), patch)
    with torch.no_grad():
        other = model.predict(images * mask + 7.0 * (1.0 - mask), visible)
    if not torch.allclose(other, predictions, rtol=1e-12, atol=1e-12):
        raise AssertionError("a prediction depends on masked pixels")


def fcmae_case(label, config, batch, height, width):
    model = load_filled(Fcmae(config))
    images = input_nchw(batch, height, width, config.channels)
    patches = (height // config.patch) * (width // config.patch)
    keep = config.keep(patches)
    indices = visible_patches(batch, patches, keep)
    visible = torch.zeros(batch, patches, dtype=torch.float64)
    visible.scatter_(1, torch.from_numpy(indices), 1.0)

    loss, predictions = model.loss(images, visible)
    loss.backward()
    assert_masked_pixels_unread(model, images, visible, predictions)

    gradients = {}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        entry = summary(name, gradient)
        if name not in CHOSEN:
            del entry["first"]
        gradients[name] = entry
    masked = predictions[0][visible[0] == 0.0]
    print(f"  {label}: loss {loss.item():.6f}, {len(gradients)} parameters")
    return {
        "name": label,
        "depths": list(config.depths),
        "widths": list(config.widths),
        "block": config.block,
        "encoder": config.encoder,
        "channels": config.channels,
        "stem_stride": config.stem_stride,
        "patch": config.patch,
        "decoder_block": "v2",
        "decoder_width": config.decoder_width,
        "decoder_depth": config.decoder_depth,
        "mask_ratio": config.mask_ratio,
        "norm_pix_loss": config.norm_pix_loss,
        "batch": batch,
        "height": height,
        "width": width,
        "parameters": sum(p.numel() for p in model.parameters()),
        "visible": [[int(i) for i in row] for row in indices],
        "loss": rounded(loss),
        "masked_predictions_of_image_0": summary("predictions", masked, first=16),
        "gradients": gradients,
    }


def fcmae_step():
    small = {"depths": (1, 1, 2, 1), "widths": (16, 24, 40, 48), "decoder_width": 32}
    atto_depths, atto_widths = SIZES["atto"]
    cases = [
        ("atto", Config(atto_depths, atto_widths), 2, 96, 128),
        ("small_stem2", Config(**small, stem_stride=2, mask_ratio=0.4), 2, 64, 64),
        ("small_stem2_raw_pixels", Config(**small, stem_stride=2, norm_pix_loss=False), 2, 48, 64),
        (
            "small_stem1_grey",
            Config(**small, channels=1, stem_stride=1, mask_ratio=0.75),
            2,
            64,
            64,
        ),
        ("small_two_decoder_blocks", Config(**small, decoder_depth=2), 1, 128, 96),
        ("small_v1", Config(**small, block="v1", stem_stride=2), 2, 64, 64),
        ("small_dense", Config(**small, encoder="dense", stem_stride=2), 2, 64, 48),
        ("small_dense_v1", Config(**small, block="v1", encoder="dense", stem_stride=1), 2, 32, 40),
    ]
    return {"cases": [fcmae_case(*case) for case in cases]}


# --- grn_variants.json -------------------------------------------------------------------------


def grn_variants():
    n, s, c = 2, 12, 20
    features = (fill.uniform("features", n * s * c) + 0.3).astype(np.float32).reshape(n, s, c)
    probe = torch.from_numpy(fill.probe("output", n * s * c).reshape(n, s, c))
    cases = []
    for aggregation in AGGREGATIONS:
        for normalization in NORMALIZATIONS:
            for skip in (True, False):
                x, gamma, beta = (
                    torch.from_numpy(array).double().requires_grad_()
                    for array in (
                        features,
                        fill.parameter("mlp.grn.weight", (c,)),
                        fill.parameter("mlp.grn.bias", (c,)),
                    )
                )
                y = grn(x, gamma, beta, aggregation, normalization, skip)
                (y * probe).sum().backward()
                cases.append(
                    {
                        "aggregation": aggregation,
                        "normalization": normalization,
                        "skip": skip,
                        "output": summary("output", y),
                        "input_gradient": summary("input", x.grad),
                        "gamma_gradient": summary("gamma", gamma.grad),
                        "beta_gradient": summary("beta", beta.grad),
                    }
                )
    return {"n": n, "s": s, "c": c, "cases": cases}


# --- diversity.json ----------------------------------------------------------------------------


def diversity():
    n, s, c = 3, 24, 20
    features = (fill.uniform("features", n * s * c) + 0.3).astype(np.float32).reshape(n, s, c)
    distances = feature_distance(features)
    return {"n": n, "s": s, "c": c, "per_image": numbers(distances), "mean": rounded(distances.mean())}


# --- schedule.json -----------------------------------------------------------------------------


def schedule():
    cases = []
    for base, minimum, warmup, epochs, steps in (
        (1.5e-4, 0.0, 2, 8, 5),
        (8e-4, 1e-6, 1, 6, 4),
        (2e-4, 1e-6, 0, 5, 3),
    ):
        rates = [
            learning_rate(step / steps, base, minimum, warmup, epochs) for step in range(epochs * steps)
        ]
        cases.append(
            {
                "base": base,
                "minimum": minimum,
                "warmup_epochs": warmup,
                "epochs": epochs,
                "steps_per_epoch": steps,
                "rates": numbers(rates),
            }
        )
    return {"cases": cases}


# --- adamw.json --------------------------------------------------------------------------------


def adamw_case(beta1, beta2, eps):
    rates = (1e-3, 8e-4, 5e-4)
    groups = (("decayed", (2, 3), 0.05, 1.0), ("plain", (4,), 0.0, 0.5))
    values = {
        name: torch.from_numpy(fill.parameter(f"{name}.weight", shape)).double().requires_grad_()
        for name, shape, _, _ in groups
    }
    optimizer = torch.optim.AdamW(
        [
            {"params": [values[name]], "weight_decay": decay, "lr_scale": scale}
            for name, _, decay, scale in groups
        ],
        betas=(beta1, beta2),
        eps=eps,
        foreach=False,
    )
    parameters = [
        {
            "name": name,
            "shape": list(shape),
            "weight_decay": decay,
            "rate_scale": scale,
            "start": exact(values[name].detach().numpy()),
            "gradients": [],
            "values": [],
        }
        for name, shape, decay, scale in groups
    ]
    for step, rate in enumerate(rates):
        for group in optimizer.param_groups:
            group["lr"] = rate * group["lr_scale"]
        for entry in parameters:
            name, shape = entry["name"], entry["shape"]
            gradient = fill.uniform(f"{name}.gradient.{step}", math.prod(shape)).astype(np.float32)
            gradient[0] = 0.0 if step == 0 else gradient[0]
            entry["gradients"].append(exact(gradient))
            values[name].grad = torch.from_numpy(gradient.reshape(shape)).double()
        optimizer.step()
        for entry in parameters:
            entry["values"].append(numbers(values[entry["name"]].detach().numpy()))
    return {
        "beta1": beta1,
        "beta2": beta2,
        "eps": eps,
        "rates": list(rates),
        "parameters": parameters,
    }


def adamw():
    return {"cases": [adamw_case(0.9, 0.95, 1e-8), adamw_case(0.9, 0.999, 1e-8)]}


# --- layer_decay.json --------------------------------------------------------------------------


def layer_decay_case(size, decay, grouped):
    depths, _ = SIZES[size]
    with torch.device("meta"):
        model = timm.create_model(f"convnextv2_{size}", pretrained=False)
    names = [name for name, _ in model.named_parameters()]
    return {
        "size": size,
        "decay": decay,
        "grouped": grouped,
        "scales": {
            name: rounded(layer_decay.scale(name, depths, decay, grouped)) for name in names
        },
    }


def layer_decays():
    cases = [("atto", 0.9, False), ("tiny", 0.9, False), ("base", 0.6, True)]
    return {"cases": [layer_decay_case(*case) for case in cases]}


MAKERS = {
    "timm_dense.json": timm_dense,
    "fcmae_step.json": fcmae_step,
    "grn_variants.json": grn_variants,
    "diversity.json": diversity,
    "schedule.json": schedule,
    "adamw.json": adamw,
    "layer_decay.json": layer_decays,
}


def main():
    torch.set_num_threads(1)
    chosen = sys.argv[1:] or list(MAKERS)
    for name in chosen:
        if name not in MAKERS:
            sys.exit(f"no fixture named {name}; there are: {', '.join(MAKERS)}")
        write(name, MAKERS[name]())


if __name__ == "__main__":
    main()
