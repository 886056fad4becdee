"""Pictures of kinds that few programs write, with what Pillow makes of them: crates/data/tests/fixtures/odd.

YCbCr JPEG in TIFF, BigTIFF of 8 bits, palettes, JPEG files that are damaged where libjpeg goes on, arithmetic coding.
"""

import base64
import io
import json
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image

OUT = Path(__file__).parent.parent / "crates/data/tests/fixtures/odd"
# A grey picture; Pillow reads arithmetic coding and does not write it.
ARITHMETIC = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8X"
    "GBYUGBIUFRT/yQALCAAgACABAREA/8wABgAQEAX/2gAIAQEAAD8A/wDsog6I1KuuHrnSlJ2LWyicuArcl2azt4oEDLbJ7Bf44B+7BAcD33ru"
    "iDnak4LFsbN07rsiAW1/HeXWhk9y1XDA/9k="
)


def main():
    OUT.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    small = (rng.uniform(0, 1, (6, 6, 3)) * (200, 120, 60) + 20).astype("uint8")
    picture = Image.fromarray(small).resize((70, 50), Image.BICUBIC)
    pixels = np.moveaxis(np.asarray(picture), 2, 0)
    kind = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": 50, "width": 70}
    jpeg = {"compress": "JPEG", "photometric": "YCBCR", "jpeg_quality": 90}
    with rasterio.open(OUT / "ycbcr_jpeg.tif", "w", **kind, **jpeg) as file:
        file.write(pixels)
    with rasterio.open(OUT / "bigtiff.tif", "w", **kind, BIGTIFF="YES", compress="DEFLATE", photometric="RGB") as file:
        file.write(pixels)
    picture.quantize(16).save(OUT / "palette.tif", compression="tiff_adobe_deflate")
    (OUT / "arithmetic.jpg").write_bytes(base64.b64decode(ARITHMETIC))
    bytes_ = io.BytesIO()
    picture.save(bytes_, "JPEG", quality=90, restart_marker_blocks=4)
    clean = bytes_.getvalue()
    (OUT / "clean.jpg").write_bytes(clean)
    scan = clean.index(b"\xff\xda")
    (OUT / "junk.jpg").write_bytes(clean[:scan] + b"\x12\x34\x56" + clean[scan:])
    restarts = [i for i in range(scan, len(clean) - 1) if clean[i] == 0xFF and 0xD0 <= clean[i + 1] <= 0xD7]
    lost = restarts[1]
    (OUT / "lost_restart.jpg").write_bytes(clean[:lost] + clean[lost + 2 :])
    # A hole in the data, which is read as other codes.
    plain = io.BytesIO()
    picture.save(plain, "JPEG", quality=90)
    plain = plain.getvalue()
    scan = plain.index(b"\xff\xda")
    hole = scan + (len(plain) - scan) // 8
    (OUT / "hole.jpg").write_bytes(plain[:hole] + bytes(40) + plain[hole + 40 :])
    means = {}
    for path in sorted(OUT.iterdir()):
        if path.suffix != ".json":
            pixels = np.asarray(Image.open(path).convert("RGB"), dtype="float64").reshape(-1, 3)
            means[path.name] = [round(value, 6) for value in (pixels.mean(0) / 255)]
    (OUT / "index.json").write_text(json.dumps(means, indent=1) + "\n")


main()
