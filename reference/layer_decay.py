"""Layer-wise learning-rate scales of fine-tuning, by parameter name (timm's names)."""

import re

NAME = re.compile(r"stages\.(?P<stage>\d+)\.(downsample|blocks\.(?P<block>\d+))\..*")


def layer_id(name, depths, grouped):
    """(id of the parameter's layer, id of the last layer)."""
    last = 13 if grouped else sum(depths) + 1
    if name.startswith("stem."):
        # The authors' per-layer form counts the stem as the downsampling before the first stage,
        # whose id is that of the stage's first block; their grouped form gives it one of its own.
        return (0 if grouped else 1), last
    match = NAME.fullmatch(name)
    if match is None:  # final norm and head
        return last, last
    stage = int(match["stage"])
    block = None if match["block"] is None else int(match["block"])
    if not grouped:
        return sum(depths[:stage]) + 1 + (block or 0), last
    if stage == 2 and block is not None:
        return 3 + block // 3, last
    return (1, 2, 3, 12)[stage], last


def scale(name, depths, decay, grouped):
    """Factor on the learning rate: decay^(last id - id)."""
    own, last = layer_id(name, depths, grouped)
    return decay ** (last - own)
