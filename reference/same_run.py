"""Holds two programs of this project to each other on the same little runs.

    python reference/same_run.py OLD NEW
    python reference/same_run.py OLD NEW --only GRN --keep /tmp/runs

Both train on the same small pictures, 20 updates a case. Each case prints a line with two numbers:
- losses: the largest relative difference of a loss, at most 1e-4;
- tensors: the largest |new - old| / |old| (L2 norms) of a tensor in the last checkpoint, at most 1e-3. These
  are the weights, their moving average and AdamW's moments.

Pre-training on plain pixels has to give the same bits in both. The second bound is there because GRN and layer
scale start at or near zero, where they hardly move a loss: a wrong GRN changes its own moments by 7 % and more,
losses by 5e-6. Rounding alone, as when two half batches are added up in place of a whole one, moves losses by
2e-7 and tensors by 4e-6. Exits with 1 where a case is out of bounds, or one of the two fails.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import safe_open

UPDATES = 20
LOSS_BOUND, TENSOR_BOUND = 1e-4, 1e-3
CLASSES, PICTURES = 4, 20
# Widths that no vector width divides; a height that is not the width; learning rates that move losses by percents.
NETWORK = ["model.size=custom", "model.depths=[1,1,2,1]", "model.widths=[24,40,80,160]"]
SHARED = [*NETWORK, "data.image_size=[64,96]", "optim.batch=16", "optim.warmup_epochs=1"]
PRETRAIN = [*SHARED, "decoder.width=72", "optim.epochs=4", "optim.base_lr=0.02", "figures.every_epochs=0"]
FINETUNE = [*SHARED, "optim.epochs=5", "optim.base_lr=0.01", "finetune.held_out=0.2"]
HALVES = ["optim.batch=8", "optim.accumulation=2"]
EVERYTHING = [
    *HALVES,
    "finetune.drop_path=0.3",
    "finetune.ema=0.9",
    "finetune.mixup=0.8",
    "finetune.cutmix=1.0",
    "optim.clip_norm=1.0",
]


@dataclass(frozen=True)
class Case:
    """One run that both programs make."""

    command: str
    name: str
    settings: tuple = ()
    exact: bool = False

    @property
    def title(self) -> str:
        return f"{self.command}, {self.name}"

    def arguments(self) -> list[str]:
        own = [*(PRETRAIN if self.command == "pretrain" else FINETUNE), *self.settings]
        words = ["--from", "scratch"] if self.command == "finetune" else []
        return [self.command, *words, *(word for setting in own for word in ("--set", setting))]


CASES = (
    Case("pretrain", "plain pixels", ("mask.norm_pix_loss=false",), exact=True),
    Case("pretrain", "normalized targets"),
    Case("pretrain", "accumulation 2", tuple(HALVES)),
    Case("pretrain", "dense encoder", ("mask.encoder=dense",)),
    Case("pretrain", "V1", ("model.block=v1",)),
    *(
        Case("pretrain", f"GRN {setting}", (f"model.grn.{setting}",))
        for setting in (
            "aggregation=l1",
            "aggregation=average",
            "normalization=sum",
            "normalization=standardize",
            "normalization=inverse",
            "skip=false",
        )
    ),
    Case("finetune", "V2"),
    Case("finetune", "V1", ("model.block=v1",)),
    Case("finetune", "drop path, EMA, mixup, cutmix, accumulation 2, clipping", tuple(EVERYTHING)),
)


class Differs(Exception):
    """Runs that cannot be held to each other, and why."""


def draw(folder: Path) -> None:
    """Smooth colours, 64 to 96 pixels wide and high, a folder for each class."""
    random = np.random.default_rng(0)
    for label in range(CLASSES):
        own = folder / f"class{label}"
        own.mkdir(parents=True)
        for number in range(PICTURES):
            width, height = random.integers(64, 97, 2)
            colours = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            picture = Image.fromarray(colours).resize((int(width), int(height)), Image.Resampling.BICUBIC)
            picture.save(own / f"{number:02}.png")


def train(program: Path, case: Case, data: Path, run: Path) -> None:
    command = [program.resolve(), *case.arguments(), "--data", data, "--out", run]
    ended = subprocess.run([str(word) for word in command], check=False, capture_output=True, text=True)
    if ended.returncode != 0:
        raise Differs(f"{program} failed: {(ended.stderr.strip() or 'without a word').splitlines()[-1]}")


def losses(run: Path) -> dict[tuple, float]:
    """By step and kind: those of the updates, and those on pictures kept aside."""
    found = {}
    for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()):
        for kind in ("loss", "held_out_loss"):
            if kind in line:
                found[line["step"], kind] = math.nan if line[kind] is None else float(line[kind])
    updates = sorted(step for step, kind in found if kind == "loss")
    if updates != list(range(1, UPDATES + 1)):
        raise Differs(f"{run} tells the losses of updates {updates}, not of 1 to {UPDATES}")
    return found


def tensors(run: Path) -> dict[str, np.ndarray]:
    """All of the last checkpoint, as `file/name`."""
    found = {}
    for file in sorted(max((run / "checkpoints").glob("step-*")).glob("*.safetensors")):
        with safe_open(file, "np") as opened:
            found |= {f"{file.stem}/{name}": opened.get_tensor(name) for name in opened.keys()}
    missing = {"model", "optimizer"} - {name.partition("/")[0] for name in found}
    if missing:
        raise Differs(f"the last checkpoint of {run} has no {' and no '.join(sorted(missing))}")
    return found


def same_names(kind: str, old: dict, new: dict) -> None:
    only = [f"{name} (old)" for name in old.keys() - new] + [f"{name} (new)" for name in new.keys() - old]
    if only:
        raise Differs(f"{len(only)} {kind} in one run only, such as {min(only)}")


def loss_difference(old: dict, new: dict) -> float:
    """The largest, relative to the old one; infinite where one is no number."""
    same_names("losses", {str(key): 0 for key in old}, {str(key): 0 for key in new})
    apart = [abs(new[key] - old[key]) / abs(old[key]) if new[key] != old[key] else 0.0 for key in old]
    return max(difference if math.isfinite(difference) else math.inf for difference in apart)


def tensor_difference(old: dict, new: dict) -> tuple[float, str] | None:
    """The largest, relative, and whose; infinite where one is no number; none where all bits are the same."""
    same_names("tensors", old, new)
    apart = []
    for name, before in old.items():
        after = new[name]
        if (before.shape, before.dtype) != (after.shape, after.dtype):
            raise Differs(f"{name} is {before.dtype} {before.shape}, and {after.dtype} {after.shape}")
        if before.tobytes() != after.tobytes():
            before, after = before.astype(np.float64), after.astype(np.float64)
            with np.errstate(divide="ignore", invalid="ignore"):
                difference = float(np.linalg.norm(after - before) / np.linalg.norm(before))
            apart.append((difference if math.isfinite(difference) else math.inf, name))
    return max(apart, default=None)


def hold(case: Case, old: Path, new: Path, data: Path, folder: Path) -> tuple[str, bool]:
    """What to print about the case, and whether it is within its bounds."""
    runs = [folder / side / case.title.replace(" ", "-").replace(",", "") for side in ("old", "new")]
    try:
        for program, run in zip((old, new), runs):
            train(program, case, data, run)
        loss = loss_difference(*map(losses, runs))
        tensor = tensor_difference(*map(tensors, runs))
    except Differs as reason:
        return f"FAILED: {reason}", False
    text = "losses " + ("equal  " if loss == 0.0 else f"{loss:.1e}")
    text += "  tensors " + ("equal" if tensor is None else f"{tensor[0]:.1e} in {tensor[1]}")
    if case.exact:
        good = loss == 0.0 and tensor is None
        bound = "they must be equal"
    else:
        good = loss <= LOSS_BOUND and (tensor is None or tensor[0] <= TENSOR_BOUND)
        bound = f"at most {LOSS_BOUND:.0e} and {TENSOR_BOUND:.0e}"
    return text if good else f"{text}  OUT OF BOUNDS: {bound}", good


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path, help="a program of this project")
    parser.add_argument("new", type=Path, help="another one")
    parser.add_argument("--only", default="", help="cases whose title has this in it")
    parser.add_argument("--keep", type=Path, help="a new folder for pictures and runs, which stay")
    args = parser.parse_args()
    cases = [case for case in CASES if args.only in case.title]
    if not cases:
        parser.error(f"--only {args.only}: the cases are {'; '.join(case.title for case in CASES)}")
    for program in (args.old, args.new):
        if not program.is_file():
            parser.error(f"{program} is missing")
    if args.keep and args.keep.exists():
        parser.error(f"{args.keep} exists already")
    with tempfile.TemporaryDirectory(prefix="fcmae-same-run-") as scratch:
        folder = args.keep or Path(scratch)
        draw(folder / "pictures")
        for side in ("old", "new"):
            (folder / side).mkdir()
        width = max(len(case.title) for case in cases)
        bad = 0
        for case in cases:
            text, good = hold(case, args.old, args.new, folder / "pictures", folder)
            bad += not good
            print(f"{case.title:{width}}  {text}", flush=True)
    if bad:
        sys.exit(f"{bad} of {len(cases)} cases are out of bounds")
    print(f"all {len(cases)} cases are within their bounds")


if __name__ == "__main__":
    main()
