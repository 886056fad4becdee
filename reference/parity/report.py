"""docs/parity.md, from the rows of a comparison."""

import importlib.metadata
import platform
from datetime import date

BEGIN = "<!-- measured: begin (written by reference/parity, edit around it) -->"
END = "<!-- measured: end -->"

TABLES = {
    "read": ("Weights from elsewhere, used here", ("size", "program", "image")),
    "files": ("Files of other kinds", ("file",)),
    "written": ("Weights from here, used elsewhere", ("size", "program")),
    "round trip": (
        "timm to transformers to the authors' names and back to timm",
        ("size",),
    ),
    "onnx": ("ONNX", ("size", "output", "runtime")),
    "variants": ("Other blocks, channels and stems", ("network", "direction")),
    "pictures": ("From the file to the network's input", ("what",)),
}
PROGRAMS = ("torch", "timm", "transformers", "onnx", "onnxruntime", "openvino", "pillow", "torchvision")


def number(value):
    return "0" if value == 0 else f"{value:.1e}"


def merged(rows, table):
    """Rows of the same labels are one row."""
    found = {}
    for name, labels, values in rows:
        if name == table:
            found.setdefault(labels, {}).update(values)
    return found


def lines(rows):
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PROGRAMS)
    yield f"- Date: {date.today()}; {platform.machine()}, {platform.system()}."
    yield f"- Versions: Python {platform.python_version()}, {versions}."
    for table, (title, labels) in TABLES.items():
        found = merged(rows, table)
        if not found:
            continue
        columns = list(dict.fromkeys(name for values in found.values() for name in values))
        yield ""
        yield f"### {title}"
        yield ""
        yield "| " + " | ".join((*labels, *columns)) + " |"
        yield "|" + "---|" * len(labels) + "---:|" * len(columns)
        for names, values in found.items():
            cells = [number(values[c]) if c in values else "" for c in columns]
            yield "| " + " | ".join((*names, *cells)) + " |"


def write(rows, path):
    text = path.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    path.write_text("\n".join([before + BEGIN, "", *lines(rows), "", END]) + after)
