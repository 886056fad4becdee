"""Makes the fixtures of augment.rs and mix.rs in crates/data/tests/data with timm and Pillow.

    python reference/timm_augment.py

Writes into crates/data/tests/fixtures/:
  augment.json, augment.bin   levels of RandAugment's operations, cases of pictures and their 8-bit
                              values, boxes of random erasing
  mix.json, mix.bin           cases of mixup and cutmix, the mixed batches and their targets (float32)

Float64 numbers stand as their bits, so that nothing is lost on the way. Source pictures are those of
pillow_resize.py; source batches are given by a formula which the test repeats.
"""

import json
import random
import struct

import numpy as np
import timm.data.auto_augment as aa
import torch
from PIL import Image
from pillow_resize import OUT, image
from timm.data.mixup import Mixup
from timm.data.random_erasing import RandomErasing

INCREASING = aa._RAND_INCREASING_TRANSFORMS
FILL = {3: (124, 116, 104), 1: (114,)}
blob = bytearray()


def bits(number):
    return struct.unpack("<Q", struct.pack("<d", number))[0]


def store(values):
    """Appends to the .bin; where it begins."""
    offset = len(blob)
    blob.extend(np.ascontiguousarray(values).tobytes())
    return offset


def with_sign(negative, function):
    """Calls with timm's coin of the sign fixed."""
    kept, random.random = random.random, lambda: 0.9 if negative else 0.1
    try:
        return function()
    finally:
        random.random = kept


def levels():
    rows = []
    for name in INCREASING:
        to_argument = aa.LEVEL_TO_ARG[name]
        for level in (0.0, 1.7, 2.5, 5.0, 7.499, 8.631, 9.0, 9.37, 10.0):
            for negative in (False, True) if signed(name) else (False,):
                argument = (
                    with_sign(negative, lambda: to_argument(level, {}))[0] if to_argument else 0.0
                )
                rows.append([name, bits(level), negative, bits(float(argument))])
    return rows


def signed(name):
    to_argument = aa.LEVEL_TO_ARG[name]
    if to_argument is None:
        return False
    return with_sign(False, lambda: to_argument(3.0, {})) != with_sign(
        True, lambda: to_argument(3.0, {})
    )


def pictures():
    cases = []

    def add(name, level, negative, kind, height, width, channels):
        hparams = {"img_mean": FILL[channels], "interpolation": Image.BICUBIC}
        operation = aa.AugmentOp(name, prob=1.0, magnitude=level, hparams=hparams)
        picture = image(kind, height, width, channels)
        result = with_sign(negative, lambda: operation(picture))
        offset = store(np.asarray(result))
        cases.append([name, bits(level), negative, kind, [height, width, channels], offset])

    kinds = ["noise", "edges", "smooth"]
    turn = 0
    for name in INCREASING:
        if aa.LEVEL_TO_ARG[name] is None:
            for kind in kinds:
                # Large enough for the equalizer to have something to do.
                add(name, 9.0, False, kind, 30, 40, 3 if kind == "smooth" else 1)
        else:
            # Pillow 13 refuses to posterize to 0 bits, which the level 10 would ask for.
            for level in (2.3, 9.0, 9.99 if name == "PosterizeIncreasing" else 10.0):
                for negative in (False, True) if signed(name) else (False,):
                    turn += 1
                    add(name, level, negative, kinds[turn % 3], 13, 17, 3)
                    add(name, level, negative, kinds[(turn + 1) % 3], 13, 17, 1)
        for height, width in ((1, 1), (2, 5), (3, 3), (7, 1)):
            add(name, 8.8, turn % 2 == 0, kinds[turn % 3], height, width, 3)
    return cases


def erasing():
    """Deciles of 10,000 boxes of each size, and how many of 10,000 pictures got one."""
    random.seed(0)
    torch.manual_seed(0)
    rows = []
    for height, width in ((224, 224), (48, 96)):
        always = RandomErasing(1.0, mode="pixel", device="cpu")
        boxes = []
        for _ in range(10_000):
            values = always(torch.zeros(1, height, width))[0].numpy() != 0
            ys, xs = np.flatnonzero(values.any(1)), np.flatnonzero(values.any(0))
            if len(ys):
                boxes.append((ys[0], xs[0], ys[-1] - ys[0] + 1, xs[-1] - xs[0] + 1))
        top, left, h, w = np.array(boxes, dtype=np.float64).T
        numbers = {
            "area": h * w / (height * width),
            "ln_shape": np.log(h / w),
            "top": top / (height - h),
            "left": left / (width - w),
        }
        sometimes = RandomErasing(0.25, mode="pixel", device="cpu")
        erased = sum(bool((sometimes(torch.zeros(1, 8, 8)) != 0).any()) for _ in range(10_000))
        row = {"size": [height, width], "boxes": len(boxes), "erased_of_10000": erased}
        for name, values in numbers.items():
            row[name] = [round(float(q), 6) for q in np.quantile(values, np.arange(1, 10) / 10)]
        rows.append(row)
    return rows


def mixing():
    cases = []
    for number, height, width, channels in ((4, 7, 6, 3), (2, 5, 9, 1)):
        count = number * height * width * channels
        values = (np.arange(count) * 37 % 101).astype(np.float32) / np.float32(50) - np.float32(1)
        batch = torch.from_numpy(values).reshape(number, height, width, channels)
        labels = torch.tensor([3, 0, 4, 3][:number])
        for cutmix in (False, True):
            for lam, smoothing in ((1.0, 0.1), (0.85, 0.1), (0.31, 0.2), (0.5, 0.0), (0.02, 0.1)):
                mix = Mixup(1.0, 1.0, label_smoothing=smoothing, num_classes=5)
                mix._params_per_batch = lambda: (lam, cutmix)
                np.random.seed(len(cases))
                centre = [int(np.random.randint(0, height)), int(np.random.randint(0, width))]
                np.random.seed(len(cases))
                mixed, targets = mix(batch.permute(0, 3, 1, 2).clone(), labels)
                case = {"size": [number, height, width, channels], "cutmix": cutmix}
                case |= {"lambda": bits(lam), "centre": centre, "smoothing": bits(smoothing)}
                case |= {"labels": labels.tolist(), "images": store(mixed.permute(0, 2, 3, 1))}
                case["targets"] = store(targets)
                cases.append(case)
    return cases


def write(name, text):
    (OUT / f"{name}.json").write_text(text + "\n")
    (OUT / f"{name}.bin").write_bytes(blob)
    print(f"{name}: {len(text)} and {len(blob)} bytes")
    blob.clear()


def lines(rows):
    return "[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]"


def main():
    content = {"levels": levels(), "pictures": pictures(), "erasing": erasing()}
    parts = ",\n".join(f'"{name}":{lines(rows)}' for name, rows in content.items())
    write("augment", "{\n" + parts + "\n}")
    write("mix", lines(mixing()))


if __name__ == "__main__":
    main()
