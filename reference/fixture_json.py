"""Fixtures as JSON that diffs well: long objects one key a line, lists of numbers on one line."""

import json
import math
from pathlib import Path

import numpy as np

FIXTURES = Path(__file__).resolve().parent.parent / "crates" / "fcmae" / "tests" / "fixtures"
LIMIT_BYTES = 200_000
LONGEST_OBJECT = 480  # characters of an object that still stands on one line


def rounded(value):
    """A computed float64 to 9 significant digits, float32's full precision: enough for any tolerance
    of the tests, and few enough that another processor's order of summation seldom shows."""
    value = float(value.detach() if hasattr(value, "detach") else value)
    if not math.isfinite(value):
        raise ValueError(f"a fixture would hold {value}")
    return float(f"{value:.9g}")


def numbers(array):
    """Computed values as a flat, row-major list."""
    return [rounded(v) for v in np.asarray(array, dtype=np.float64).reshape(-1)]


def exact(array):
    """Given (not computed) values, unrounded."""
    return [float(v) for v in np.asarray(array).reshape(-1)]


def _holds_object(value):
    children = value.values() if isinstance(value, dict) else value
    return any(
        isinstance(child, dict) or (isinstance(child, list) and _holds_object(child))
        for child in children
    )


def _format(value, indent):
    line = json.dumps(value, allow_nan=False)
    if not isinstance(value, (dict, list)) or not value:
        return line
    if not _holds_object(value) and (isinstance(value, list) or len(line) <= LONGEST_OBJECT):
        return line
    inner = indent + " "
    if isinstance(value, dict):
        lines = (f"{inner}{json.dumps(k)}: {_format(v, inner)}" for k, v in value.items())
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _format(v, inner) for v in value) + f"\n{indent}]"


def write(name, content):
    """Write `name` into the fixtures folder; refuse a file too large to commit."""
    text = _format(content, "") + "\n"
    if len(text) > LIMIT_BYTES:
        raise ValueError(f"{name} has {len(text)} bytes, more than {LIMIT_BYTES}")
    FIXTURES.mkdir(parents=True, exist_ok=True)
    (FIXTURES / name).write_text(text)
    print(f"{name}: {len(text)} bytes")
