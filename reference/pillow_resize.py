"""Makes the fixtures of crates/data/tests/pillow.rs with Pillow, torchvision and timm.

    python reference/pillow_resize.py

Pillow 13: versions before it resize across first always, and differ at hard edges.

Writes into crates/data/tests/fixtures/:
  resize.json, resize.bin   bicubic resizes of generated pictures: cases, and their 8-bit values
  *.jpg, *.webp             small pictures of kinds that the test cannot encode itself
  pictures.json             their size, mean colour and one pixel, by Pillow

Source pictures are given by a formula which the test repeats, so they need not be stored.
"""

import json
import pathlib

import numpy as np
import torchvision.transforms as T
import torchvision.transforms.functional as F
from PIL import Image
from timm.data import create_transform

OUT = pathlib.Path(__file__).parent.parent / "crates/data/tests/fixtures"


def source(kind, height, width, channels):
    """[height, width, channels] uint8; the twin of `source` in tests/pillow.rs."""
    y, x, c = np.meshgrid(
        np.arange(height, dtype=np.uint32),
        np.arange(width, dtype=np.uint32),
        np.arange(channels, dtype=np.uint32),
        indexing="ij",
    )
    if kind == "noise":
        h = x * np.uint32(2654435761) ^ y * np.uint32(2246822519) ^ c * np.uint32(3266489917)
        h = (h ^ (h >> np.uint32(15))) * np.uint32(2246822519)
        v = (h >> np.uint32(13)) & np.uint32(255)
    elif kind == "edges":  # black and white squares, where overshoot is clipped
        v = ((x // 5 + y // 7 + c) % 2) * 255
    else:  # "smooth"
        v = (x * 3 + y * 2 + c * 40) % 512
        v = np.where(v < 256, v, 511 - v)
    return v.astype(np.uint8)


def image(kind, height, width, channels):
    values = source(kind, height, width, channels)
    return Image.fromarray(values[..., 0] if channels == 1 else values)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    cases, blob = [], b""

    def add(case, result):
        nonlocal blob
        values = np.asarray(result)
        case |= {"out": list(values.shape[:2]), "offset": len(blob)}
        blob += values.tobytes()
        cases.append(case)

    kinds = ["noise", "edges", "smooth"]
    # Pillow's resize with a box: (source height, width), box (left, top, right, bottom), size.
    boxes = [
        ((61, 97), None, (32, 32)),
        ((61, 97), None, (110, 20)),
        ((40, 33), None, (38, 44)),
        ((213, 160), None, (28, 21)),
        ((213, 160), (10, 20, 130, 180), (32, 40)),
        ((213, 160), (10.25, 20.5, 34.75, 47.125), (28, 36)),
        ((213, 160), (0.4, 0.3, 159.6, 212.7), (24, 24)),
        ((97, 61), (3, 0, 61, 97), (58, 12)),
        ((97, 61), (3.5, 1, 27.5, 33), (24, 32)),
        ((97, 61), (5, 6, 21, 22), (16, 16)),
        ((1, 200), None, (16, 16)),
        ((2, 2), None, (17, 13)),
    ]
    for kind in kinds:
        for (height, width), box, (w, h) in boxes:
            for channels in (3, 1) if kind == "noise" else (3,):
                picture = image(kind, height, width, channels)
                case = {"what": "box", "kind": kind, "source": [height, width, channels]}
                case["box"] = list(box or (0, 0, width, height))
                add(case, picture.resize((w, h), Image.BICUBIC, box=box))
    # torchvision's resized_crop: nothing outside of the box is read.
    for kind in kinds:
        for (top, left, h, w), size in [((20, 10, 90, 70), (32, 32)), ((3, 4, 20, 24), (28, 24))]:
            case = {"what": "cut", "kind": kind, "source": [213, 160, 3], "box": [left, top, w, h]}
            picture = image(kind, 213, 160, 3)
            add(case, F.resized_crop(picture, top, left, h, w, size, T.InterpolationMode.BICUBIC))
    # timm's evaluation transform, without its normalization.
    for kind in kinds:
        for (height, width), size in [
            ((213, 160), (32, 32)),
            ((160, 213), (32, 32)),
            ((30, 41), (40, 40)),
            ((97, 61), (24, 40)),
            ((61, 97), (40, 32)),
            ((72, 72), (24, 24)),
        ]:
            transform = create_transform(
                (3, *size), interpolation="bicubic", crop_pct=0.875, normalize=False
            )
            case = {"what": "eval", "kind": kind, "source": [height, width, 3]}
            tensor = transform(image(kind, height, width, 3))
            add(case, tensor.permute(1, 2, 0).contiguous().numpy())
    (OUT / "resize.bin").write_bytes(blob)
    (OUT / "resize.json").write_text(json.dumps(cases, indent=0) + "\n")

    smooth = image("smooth", 24, 40, 3)
    smooth.convert("CMYK").save(OUT / "cmyk.jpg", quality=90)
    smooth.save(OUT / "progressive.jpg", quality=90, progressive=True)
    smooth.save(OUT / "lossy.webp", quality=90)
    smooth.convert("L").save(OUT / "grey.jpg", quality=90)
    facts = {}
    for path in sorted([*OUT.glob("*.jpg"), *OUT.glob("*.webp")]):
        picture = np.asarray(Image.open(path).convert("RGB"))
        facts[path.name] = {
            "size": list(picture.shape[:2]),
            "mean": picture.reshape(-1, 3).mean(0).tolist(),
            "pixel_5_7": picture[5, 7].tolist(),
        }
    (OUT / "pictures.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
