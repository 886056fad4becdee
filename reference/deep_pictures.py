"""Write crates/data/tests/fixtures/deep/: pictures of many channels and of more than 8 bits as
tifffile and imagecodecs write them, the values that tifffile reads from them, and Pillow's resizing
of float pictures.

    python reference/deep_pictures.py

Expected values are float32, [height, width, channels]: unsigned numbers over the largest of their
kind, others as they are.

  index.json    files with their channels and the name of their values; resizing by Pillow; NumPy's
                statistics of some of them
  *.values      values
  resize.bin    results of Pillow's resize in mode F, channel by channel
"""

import json
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from pillow_resize import source

OUT = Path(__file__).parent.parent / "crates/data/tests/fixtures/deep"
# No multiple of a tile's side, so that tiles reach beyond the picture.
HEIGHT, WIDTH = 19, 21
TILE = (16, 16)
GDAL_NODATA = 42113


def bands(count, largest):
    """Gradients, edges and a different slope in each band, [height, width, count]."""
    y, x, c = np.mgrid[0:HEIGHT, 0:WIDTH, 0:count]
    values = x * 1931 + y * 2741 + c * 7919 + ((x // 5 + y // 4 + c) % 2) * 9001
    return values % (largest + 1)


def scaled(values):
    largest = np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1
    return (values.astype(np.float64) / largest).astype(np.float32)


class Fixtures:
    def __init__(self):
        self.files = []
        self.known = {}

    def expect(self, values):
        """The name of a file with these values."""
        content = values.astype("<f4").tobytes()
        if content not in self.known:
            self.known[content] = f"{len(self.known)}.values"
            (OUT / self.known[content]).write_bytes(content)
        return self.known[content]

    def add(self, name, expected, **facts):
        height, width, channels = expected.shape
        facts |= {"file": name, "height": height, "width": width, "channels": channels}
        self.files.append(facts | {"values": self.expect(expected)})

    def tiff(self, name, stored, expected, **options):
        """`stored` goes to the file as it is; tifffile must read it again."""
        path = OUT / name
        options = {"metadata": None} | options
        tifffile.imwrite(path, stored, **options)
        if not np.array_equal(tifffile.imread(path), stored, equal_nan=stored.dtype.kind == "f"):
            raise AssertionError(name)
        self.add(name, expected)


def files():
    made = Fixtures()
    u16 = bands(5, 65535).astype(np.uint16)
    planes = np.ascontiguousarray(u16.transpose(2, 0, 1))
    expected = scaled(u16)
    grey = {"photometric": "minisblack"}
    chunky = grey | {"planarconfig": "contig"}
    planar = grey | {"planarconfig": "separate"}
    made.tiff("chunky.tif", u16, expected, **chunky)
    made.tiff("planar.tif", planes, expected, **planar)
    lzw = {"compression": "lzw", "predictor": 2}
    deflate = {"compression": "zlib", "predictor": 2}
    made.tiff("tiled_lzw.tif", u16, expected, tile=TILE, **chunky, **lzw)
    made.tiff("tiled_planar_deflate.tif", planes, expected, tile=TILE, **planar, **deflate)
    made.tiff("strips_big_endian.tif", u16, expected, byteorder=">", rowsperstrip=4, **chunky, **deflate)
    made.tiff("bigtiff.tif", u16, expected, bigtiff=True, **chunky, **deflate)
    # Called RGB, with two more bands.
    color = {"photometric": "rgb", "extrasamples": [0, 0]}
    made.tiff("rgb_and_two.tif", u16, expected, planarconfig="contig", **color, **lzw)
    made.tiff(
        "rgb_and_two_planar_bigtiff_big_endian.tif",
        planes,
        expected,
        planarconfig="separate",
        bigtiff=True,
        byteorder=">",
        **color,
        **deflate,
    )
    made.tiff("pages_imagej.tif", planes, expected, imagej=True, metadata={"axes": "CYX"}, **grey)
    made.tiff("pages.tif", planes, expected, compression="zlib", metadata={}, **grey)

    u8 = bands(5, 255).astype(np.uint8)
    made.tiff("u8_packbits.tif", u8, scaled(u8), compression="packbits", **chunky)
    u32 = (bands(2, 65535) * 65537).astype(np.uint32)
    made.tiff("u32.tif", u32, scaled(u32), **chunky, **lzw)
    i16 = (bands(2, 65535) - 32768).astype(np.int16)
    made.tiff("i16.tif", i16, scaled(i16), **chunky, **deflate)
    f32 = (bands(4, 65535) / 256 - 50.125).astype(np.float32)
    made.tiff("f32.tif", f32, f32, **chunky)
    floats = {"compression": "zlib", "predictor": 3}
    made.tiff("f32_one_tile.tif", f32, f32, tile=(32, 32), **chunky, **floats)
    made.tiff("f32_tiled.tif", f32, f32, tile=TILE, **chunky, **floats)
    f32_planes = np.ascontiguousarray(f32.transpose(2, 0, 1))
    made.tiff("f32_tiled_planar.tif", f32_planes, f32, tile=TILE, **planar, **floats)
    made.tiff("f64.tif", f32.astype(np.float64), f32, **chunky, **floats)
    f16 = (bands(2, 65535) / 64).astype(np.float16)
    made.tiff("f16.tif", f16, scaled(f16), **chunky)

    one = u16[..., 0]
    made.tiff("grey16.tif", one, scaled(one)[..., None], **grey)
    made.tiff("grey16_white_is_zero.tif", one, scaled(65535 - one)[..., None], photometric="miniswhite")
    made.tiff("rgb16.tif", u16[..., :3], scaled(u16[..., :3]), photometric="rgb", **lzw)
    rgba = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    made.tiff("rgba16.tif", u16[..., :4], scaled(u16[..., :4]), **rgba)
    # A copy of half the size, as beside every picture of a cloud-optimized GeoTIFF.
    path = OUT / "grey16_and_reduced.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(one, metadata=None, **grey)
        writer.write(one[::2, ::2], subfiletype=1, metadata=None, **grey)
    made.add(path.name, scaled(one)[..., None])

    # Orientation 6: the first row stored is the right side.
    turned = np.ascontiguousarray(np.rot90(u16))
    made.tiff("turned.tif", turned, expected, extratags=[(274, 3, 1, 6, True)], **chunky, **deflate)

    holes = f32.copy()
    holes[2, 3, 1] = holes[5, 5, :] = np.nan
    no_data = lambda text: [(GDAL_NODATA, 2, 0, text, True)]
    filled = np.nan_to_num(holes)
    made.tiff("nodata_nan.tif", holes, filled, extratags=no_data("nan"), **chunky, **floats)
    marked = np.where(np.isnan(holes), np.float32(-9999), holes)
    made.tiff("nodata_number.tif", marked, filled, extratags=no_data("-9999 "), **chunky, **floats)
    # Refused: 5 of 1596 values.
    tifffile.imwrite(OUT / "nan.tif", holes, metadata=None, **chunky, **floats)

    Image.fromarray(one).save(OUT / "grey16.png")
    made.add("grey16.png", scaled(one)[..., None])
    (OUT / "rgb16.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(u16[..., :3])))
    made.add("rgb16.png", scaled(u16[..., :3]))
    Image.fromarray(u8[..., :3]).save(OUT / "rgb8.png")
    made.add("rgb8.png", scaled(u8[..., :3]))
    return made.files


def statistics():
    """NumPy's, over three files of five bands and different values."""
    names = ["u8_packbits.tif", "chunky.tif", "nearly_flat.tif"]
    # Smaller, and all values close together.
    flat = (bands(5, 15) + 60000).astype(np.uint16)[:7, :9]
    tifffile.imwrite(OUT / names[2], flat, metadata=None, photometric="minisblack", planarconfig="contig")
    pixels = [scaled(tifffile.imread(OUT / name)).reshape(-1, 5) for name in names]
    pixels = np.concatenate(pixels).astype(np.float64)
    return {
        "files": names,
        "pixels": len(pixels),
        "mean": pixels.mean(0).tolist(),
        "std": pixels.std(0).tolist(),
        "min": pixels.min(0).tolist(),
        "max": pixels.max(0).tolist(),
        "percentile_1": np.percentile(pixels, 1, axis=0).tolist(),
        "percentile_99": np.percentile(pixels, 99, axis=0).tolist(),
    }


def float_source(kind, height, width, channels):
    """The twin of `source` in the test: 8-bit values at another scale, exact in float32."""
    return source(kind, height, width, channels).astype(np.float32) * np.float32(0.25) - np.float32(20)


def resized(picture, size, box=None, cut=None, centre=None):
    """[height, width, channels]; `size` is (height, width)."""
    channels = []
    for channel in np.moveaxis(picture, 2, 0):
        image = Image.fromarray(np.ascontiguousarray(channel))
        if cut:
            image = image.crop(cut)
        image = image.resize(size[::-1], Image.BICUBIC, box=box)
        if centre:
            top, left = (round((a - b) / 2) for a, b in zip(size, centre))
            image = image.crop((left, top, left + centre[1], top + centre[0]))
        channels.append(np.asarray(image))
    return np.stack(channels, axis=2)


def resizing():
    cases, blob = [], b""

    def add(what, kind, shape, area, result):
        nonlocal blob
        case = {"what": what, "kind": kind, "source": list(shape), "box": area}
        cases.append(case | {"out": list(result.shape[:2]), "offset": len(blob)})
        blob += result.astype("<f4").tobytes()

    for kind, channels in [("noise", 5), ("edges", 1)]:
        for (height, width), size, box in [
            ((61, 97), (20, 24), None),
            ((97, 21), (12, 20), None),  # down first
            ((23, 19), (31, 22), None),
            ((61, 97), (16, 16), (3.5, 1, 77.5, 33.25)),
        ]:
            picture = float_source(kind, height, width, channels)
            area = list(box or (0, 0, width, height))
            add("box", kind, picture.shape, area, resized(picture, size, box=box))
        picture = float_source(kind, 61, 97, channels)
        cut = (7, 4, 60, 51)
        add("cut", kind, picture.shape, list(cut), resized(picture, (18, 20), cut=cut))
        # timm's and torchvision's evaluation at 24: the short side to 27, then the centre.
        add("eval", kind, picture.shape, [], resized(picture, (27, 42), centre=(24, 24)))
    (OUT / "resize.bin").write_bytes(blob)
    return cases


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for path in OUT.iterdir():
        path.unlink()
    index = {"files": files(), "statistics": statistics(), "resize": resizing()}
    (OUT / "index.json").write_text(json.dumps(index, indent=0) + "\n")


if __name__ == "__main__":
    main()
