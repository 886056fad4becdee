"""Fixture of crates/fcmae: timm's own schedule, moving average and layer-wise decay.

    python reference/timm_optim.py

timm's layer ids are those of the published recipe but for the stem, which timm puts one level below the
first block and the authors' code beside it; the fixture holds timm's values as they are.
"""

import timm
import torch
from timm.optim import param_groups_layer_decay
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3

import fixture_json as fixture


def schedule(peak, minimum, warmup_epochs, epochs, steps_per_epoch):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    scheduler = CosineLRScheduler(
        optimizer,
        t_initial=(epochs - warmup_epochs) * steps_per_epoch,
        lr_min=minimum,
        warmup_t=warmup_epochs * steps_per_epoch,
        warmup_lr_init=0.0,
        warmup_prefix=True,
        t_in_epochs=False,
    )
    rates = []
    for step in range(epochs * steps_per_epoch):
        scheduler.step_update(step)
        rates.append(optimizer.param_groups[0]["lr"])
    return {
        "base": peak,
        "minimum": minimum,
        "warmup_epochs": warmup_epochs,
        "epochs": epochs,
        "steps_per_epoch": steps_per_epoch,
        "rates": fixture.numbers(rates),
    }


def average(decay, updates):
    """A parameter of ten values that moves by a rule, and its average after each update, at one decay
    throughout, as in the published recipe. (Given the step, timm starts from the first update.)"""
    module = torch.nn.Module()
    module.value = torch.nn.Parameter(torch.linspace(-1, 1, 10, dtype=torch.float64))
    ema = ModelEmaV3(module, decay=decay)
    values, averages = [], []
    start = fixture.numbers(module.value.detach())
    for update in range(updates):
        with torch.no_grad():
            module.value.mul_(0.9).add_(0.1 * (update + 1))
        ema.update(module)
        values.append(fixture.numbers(module.value.detach()))
        averages.append(fixture.numbers(ema.module.value.detach()))
    return {"decay": decay, "start": start, "values": values, "averages": averages}


def layer_decay(size, decay):
    model = timm.create_model(f"convnextv2_{size}")
    names = {id(p): name for name, p in model.named_parameters()}
    groups = param_groups_layer_decay(model, weight_decay=0.05, layer_decay=decay)
    found = {
        names[id(p)]: (group["lr_scale"], group["weight_decay"])
        for group in groups
        for p in group["params"]
    }
    # GRN's parameters have more dimensions in timm's modules than one, and would be decayed.
    return {
        "size": size,
        "decay": decay,
        "scales": {name: fixture.rounded(scale) for name, (scale, _) in found.items()},
        "decayed": sorted(name for name, (_, wd) in found.items() if wd > 0 and ".grn." not in name),
    }


if __name__ == "__main__":
    fixture.write(
        "timm_optim.json",
        {
            "timm": timm.__version__,
            "schedules": [schedule(0.5, 1e-3, 2, 6, 7), schedule(1e-3, 0.0, 5, 20, 3), schedule(1.0, 1e-6, 0, 4, 5)],
            "averages": [average(0.9, 5), average(0.9999, 3)],
            "layer_decay": [layer_decay("atto", 0.9), layer_decay("nano", 0.8)],
        },
    )
