"""Parameters and inputs as a function of their names: see README.md, "The fill rule".

Both sides (this folder and the Rust tests) produce the same float32 values, so that no weight file
needs to be committed.
"""

import math
import re

import numpy as np

FNV_OFFSET = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3
GOLDEN = np.uint64(0x9E3779B97F4A7C15)

NORM_WEIGHT = re.compile(r"(.*\.norm\.weight|stem\.1\.weight|stages\.\d+\.downsample\.0\.weight)")
GRN = re.compile(r".*\.grn\.(weight|bias)")
LAYER_SCALE = re.compile(r".*\.gamma")


def fnv1a64(text):
    """FNV-1a, 64 bits, over the UTF-8 bytes."""
    value = FNV_OFFSET
    for byte in text.encode():
        value = ((value ^ byte) * FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return value


def uniform(name, count):
    """`count` float64 values r in [-1, 1), multiples of 2^-23, from the name alone."""
    with np.errstate(over="ignore"):
        z = np.uint64(fnv1a64(name)) + np.arange(1, count + 1, dtype=np.uint64) * GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return 2.0 * ((z >> np.uint64(40)).astype(np.float64) / 2.0**24) - 1.0


def parameter(name, shape):
    """A float32 array of `shape` for the parameter of this (timm-style) name."""
    shape = tuple(shape)
    r = uniform(name, math.prod(shape))
    one_dimensional = len(shape) == 1 or GRN.fullmatch(name)
    if not one_dimensional:
        value = r * math.sqrt(3.0 / math.prod(shape[1:]))
    elif NORM_WEIGHT.fullmatch(name):
        value = 1.0 + 0.2 * r
    elif GRN.fullmatch(name) or LAYER_SCALE.fullmatch(name):
        value = 0.5 * r
    else:
        value = 0.1 * r
    return value.astype(np.float32).reshape(shape)


def images(batch, height, width, channels):
    """The input, float32, [N, H, W, C]: already normalized as far as the network is concerned."""
    count = batch * height * width * channels
    return (2.0 * uniform("input", count)).astype(np.float32).reshape(batch, height, width, channels)


def probe(name, count):
    """The direction on which the fixtures project a tensor called `name`: r of "<name>@probe"."""
    return uniform(name + "@probe", count)
