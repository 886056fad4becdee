"""Hold this folder's own code against timm and against the published sizes. Prints; asserts."""

import timm
import torch
from timm.optim import param_groups_layer_decay

import fill
import layer_decay
from make_fixtures import input_nchw, load_filled, visible_patches
from masked_dense_fcmae import SIZES, Config, Fcmae


def check_sizes():
    """Parameter counts and multiply-accumulates at 224² of all eight sizes."""
    print("size   classifier     FCMAE        GMAC at 224²")
    for size, (depths, widths) in SIZES.items():
        with torch.device("meta"):
            classifier = timm.create_model(f"convnextv2_{size}", pretrained=False)
            fcmae = Fcmae(Config(depths, widths))
            macs = multiply_accumulates(classifier)
        counts = [sum(p.numel() for p in model.parameters()) for model in (classifier, fcmae)]
        print(f"{size:6} {counts[0]:>12,} {counts[1]:>12,} {macs / 1e9:8.3f}")


def multiply_accumulates(model):
    """Convolutions and linear layers alone."""
    total = 0

    def count(module, _, output):
        nonlocal total
        width = module.weight.shape[0]
        total += output.numel() // width * module.weight.numel()

    for module in model.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            module.register_forward_hook(count)
    model(torch.empty(1, 3, 224, 224))
    return total


def check_encoder_against_timm():
    """With every patch visible, the masked-dense encoder is timm's network."""
    for name, block in (("convnextv2_atto", "v2"), ("convnext_atto", "v1")):
        with torch.no_grad():
            theirs = load_filled(timm.create_model(name, pretrained=False).eval())
            depths, widths = SIZES["atto"]
            ours = load_filled(Fcmae(Config(depths, widths, block=block)))
            names = {n for n, _ in theirs.named_parameters() if not n.startswith("head.")}
            own_names = {n for n, _ in ours.named_parameters() if not n.startswith("decoder.")}
            assert names == own_names, names ^ own_names
            images = input_nchw(1, 64, 96, 3)
            _, stages = theirs.forward_intermediates(images)
            x, visible = ours.stem(images), torch.ones(1, 1, 2, 3, dtype=torch.float64)
            for stage, expected in zip(ours.stages, stages):
                x = stage(x, visible)
                torch.testing.assert_close(x, expected, rtol=1e-10, atol=1e-10)
    print("the encoder with every patch visible equals timm's, V2 and V1")


def check_float32():
    """How far float32 arithmetic alone moves the loss and each gradient of an FCMAE step."""
    depths, widths = SIZES["atto"]
    config = Config(depths, widths)
    images = input_nchw(2, 96, 128, 3)
    indices = torch.from_numpy(visible_patches(2, 12, config.keep(12)))
    visible = torch.zeros(2, 12, dtype=torch.float64).scatter_(1, indices, 1.0)
    results = []
    for dtype in (torch.float64, torch.float32):
        model = load_filled(Fcmae(config)).to(dtype)
        loss, _ = model.loss(images.to(dtype), visible)
        loss.backward()
        results.append((loss.item(), {n: p.grad.double() for n, p in model.named_parameters()}))
    (exact_loss, exact), (loss, single) = results
    errors = {n: ((single[n] - exact[n]).norm() / exact[n].norm()).item() for n in exact}
    worst = max(errors, key=errors.get)
    print(f"float32: loss off by {abs(loss / exact_loss - 1):.1e}, worst gradient {worst} {errors[worst]:.1e}")


def check_layer_decay_against_timm():
    """timm's own grouping gives the same scales where layers are decayed one by one, but for the stem.

    timm gives the stem a group of its own before the first block; the authors' per-layer form puts it
    into the first block's.
    """
    for size in ("atto", "tiny"):
        depths, _ = SIZES[size]
        with torch.device("meta"):
            model = timm.create_model(f"convnextv2_{size}", pretrained=False)
        names = {id(p): n for n, p in model.named_parameters()}
        differences = []
        for group in param_groups_layer_decay(model, layer_decay=0.9):
            for parameter in group["params"]:
                name = names[id(parameter)]
                own = layer_decay.scale(name, depths, 0.9, grouped=False)
                if abs(own - group["lr_scale"]) > 1e-12:
                    differences.append((name, own, group["lr_scale"]))
        for name, own, theirs in differences:
            assert name.startswith("stem."), name
            assert abs(own * 0.9 - theirs) < 1e-12, (name, own, theirs)
        assert len(differences) == 4, differences
        print(f"layer decay of {size}: {len(names)} scales equal timm's, the stem's four but for one layer")


def check_fill():
    """The hash's published test vector, and the fill rule's first values for the README."""
    assert fill.fnv1a64("a") == 0xAF63DC4C8601EC8C
    print("r of stem.0.weight:", [float(r) for r in fill.uniform("stem.0.weight", 4)])
    print("stem.0.weight (40, 3, 4, 4):", [float(v) for v in fill.parameter("stem.0.weight", (40, 3, 4, 4)).reshape(-1)[:4]])
    print("stem.1.weight:", [float(v) for v in fill.parameter("stem.1.weight", (40,))[:2]])
    print("input:", [float(v) for v in fill.images(1, 1, 1, 3).reshape(-1)])
    print(hex(fill.fnv1a64("stem.0.weight")))


if __name__ == "__main__":
    torch.set_num_threads(1)
    check_fill()
    check_encoder_against_timm()
    check_float32()
    check_layer_decay_against_timm()
    check_sizes()
