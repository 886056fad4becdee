"""TIFF files of several pages, with the values of each page: crates/data/tests/fixtures/pages.

By tifffile and Pillow, read by tifffile where it needs no codec that may be missing, else by Pillow.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tifffile
from PIL import Image

OUT = Path(__file__).parent.parent / "crates/data/tests/fixtures/pages"


def figures(pixels):
    """Channels, and of all values over the largest of their kind the mean and a mean that knows places."""
    pixels = np.asarray(pixels)
    if pixels.dtype == bool:
        pixels = pixels.astype("uint8") * 255
    values = pixels.reshape(-1).astype("float64")
    if pixels.dtype.kind == "u":
        values /= np.iinfo(pixels.dtype).max
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    places = np.arange(values.size) % 97
    return [channels, round(values.mean(), 9), round((values * places).mean(), 9)]


def main():
    OUT.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    index = {}

    def written(name, pages):
        index[name] = [figures(page) for page in pages]

    # Two times, two slices and two channels, as ImageJ has them: big-endian.
    stack = rng.integers(0, 65536, (2, 2, 2, 9, 13), "uint16")
    tifffile.imwrite(OUT / "imagej.tif", stack, imagej=True, metadata={"axes": "TZCYX"})
    written("imagej.tif", tifffile.imread(OUT / "imagej.tif").reshape(-1, 9, 13))
    # OME: three times of one channel, each with a reduced copy beside.
    with tifffile.TiffWriter(OUT / "film.ome.tif", ome=True) as file:
        film = rng.integers(0, 65536, (3, 32, 48), "uint16")
        file.write(film, metadata={"axes": "TYX"}, subifds=1, tile=(16, 16), compression="zlib", predictor=True)
        file.write(film[:, ::2, ::2], subfiletype=1, tile=(16, 16), compression="zlib")
    written("film.ome.tif", tifffile.imread(OUT / "film.ome.tif"))
    # Pages of different kinds and sizes; a reduced copy and a mask among them.
    colors = rng.integers(0, 256, (8, 12, 3), "uint8")
    other = rng.integers(0, 256, (10, 6), "uint8")
    floats = rng.normal(size=(7, 5)).astype("float32")
    with tifffile.TiffWriter(OUT / "mixed.tif") as file:
        file.write(colors, photometric="rgb", compression="zlib", metadata=None)
        file.write(colors[::2, ::2], photometric="rgb", subfiletype=1, metadata=None)
        file.write(other, photometric="minisblack", rowsperstrip=3, metadata=None)
        file.write(colors[:, :, 0] > 99, subfiletype=4, metadata=None)
        file.write(floats, metadata=None)
    written("mixed.tif", [tifffile.imread(OUT / "mixed.tif", key=key) for key in (0, 2, 4)])
    # BigTIFF, colours in planes.
    planes = rng.integers(0, 256, (2, 3, 6, 7), "uint8")
    tifffile.imwrite(OUT / "big.tif", planes, bigtiff=True, photometric="rgb", planarconfig="separate")
    written("big.tif", np.moveaxis(tifffile.imread(OUT / "big.tif"), 1, 3))
    # One directory for all pages.
    series = rng.integers(0, 65536, (5, 4, 3), "uint16")
    tifffile.imwrite(OUT / "series.tif", series, photometric="minisblack", truncate=True)
    written("series.tif", tifffile.imread(OUT / "series.tif"))
    # Scans, as Pillow writes them.
    scans = [Image.fromarray(rng.integers(0, 2, (16, 24), "uint8") * 255).convert("1") for _ in range(3)]
    scans[0].save(OUT / "scans.tif", save_all=True, append_images=scans[1:], compression="group4")
    small = [Image.fromarray(rng.integers(0, 256, (3, 3, 3), "uint8")) for _ in range(2)]
    photos = [picture.resize((32, 24), Image.BICUBIC) for picture in small]
    photos[0].save(OUT / "photos.tif", save_all=True, append_images=photos[1:], compression="jpeg", quality=90)
    for name in ("scans.tif", "photos.tif"):
        with Image.open(OUT / name) as file:
            pages = []
            for number in range(file.n_frames):
                file.seek(number)
                pages.append(np.asarray(file.convert("RGB" if name == "photos.tif" else "1")))
            written(name, pages)
    # Two of them as the Hub's data sets have pictures.
    rows = [{"bytes": (OUT / name).read_bytes(), "path": name} for name in ("series.tif", "scans.tif")]
    pq.write_table(pa.table({"image": rows, "label": [0, 1]}), OUT / "stacks.parquet", compression="snappy")
    (OUT / "index.json").write_text(json.dumps(index, indent=1) + "\n")


main()
