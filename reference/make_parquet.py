"""Write crates/data/tests/fixtures/parquet/: Parquet files as pyarrow and Hugging Face's datasets
write them, and what pyarrow reads from them.

    python reference/make_parquet.py
"""

import io
import json
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from blake3 import blake3
from PIL import Image

FIXTURES = Path(__file__).parents[1] / "crates/data/tests/fixtures/parquet"
CLASSES = ["zebra", "ant", "Öl"]
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def picture(number, size=12):
    """A small PNG, each another."""
    y, x = np.mgrid[:size, :size]
    values = np.stack([x * 20, y * 20, np.full_like(x, number * 16)], axis=-1)
    out = io.BytesIO()
    Image.fromarray(values.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def noise(seed, count):
    return np.random.default_rng(seed).integers(0, 256, count, dtype=np.uint8).tobytes()


def rows(count, large=True):
    """Names, contents and classes. Contents need not be pictures; some are larger than a block of
    Snappy's if wanted, some are the same, one is empty."""
    contents = [picture(number) for number in range(count)]
    contents[1] = b""
    contents[2] = contents[0]
    if large:
        contents[3] = noise(3, 1000) + b"\0" * 70_000 + noise(4, 1000)
        contents[4] = b"pattern " * 20_000
    names = [f"{CLASSES[number % 3]}/{number:03}.png" for number in range(count)]
    return names, contents, [number % 3 for number in range(count)]


def table(count, missing=(), large=True):
    names, contents, labels = rows(count, large)
    images = [
        None if number in missing else {"bytes": content, "path": name}
        for number, (name, content) in enumerate(zip(names, contents))
    ]
    return pa.table({"image": pa.array(images, STRUCT), "label": pa.array(labels, pa.int64())})


def hugging_face(arrow, features):
    """With the description that Hugging Face writes."""
    text = json.dumps({"info": {"features": features}})
    return arrow.replace_schema_metadata({"huggingface": text})


CLASS_LABEL = {"_type": "ClassLabel", "names": CLASSES}
DESCRIBED = {"image": {"_type": "Image"}, "label": CLASS_LABEL}


def write_all():
    described = hugging_face(table(11), DESCRIBED)
    options = {
        "snappy": {"compression": "snappy"},
        "snappy_plain": {"compression": "snappy", "use_dictionary": False},
        "snappy_small_pages": {
            "compression": "snappy",
            "use_dictionary": False,
            "data_page_size": 300,
            "write_batch_size": 2,
        },
        # The dictionary becomes too large in the middle, and plain pages follow.
        "mixed": {
            "compression": "snappy",
            "dictionary_pagesize_limit": 400,
            "write_batch_size": 2,
            "data_page_size": 400,
        },
        "none": {"compression": "none", "use_dictionary": ["label"]},
        "none_dictionary": {"compression": "none"},
        "version_2": {"compression": "snappy", "data_page_version": "2.0"},
        "version_2_plain": {
            "compression": "zstd",
            "data_page_version": "2.0",
            "use_dictionary": False,
        },
        "gzip": {"compression": "gzip"},
        "zstd": {"compression": "zstd", "use_dictionary": False, "write_batch_size": 3},
        "delta": {
            "compression": "snappy",
            "use_dictionary": False,
            "column_encoding": {
                "image.bytes": "DELTA_LENGTH_BYTE_ARRAY",
                "image.path": "DELTA_LENGTH_BYTE_ARRAY",
                "label": "DELTA_BINARY_PACKED",
            },
        },
        "groups": {"compression": "snappy", "row_group_size": 4, "write_page_index": True},
    }
    for name, keywords in options.items():
        small = keywords["compression"] == "none"
        written = hugging_face(table(11, large=False), DESCRIBED) if small else described
        pq.write_table(written, FIXTURES / f"{name}.parquet", **keywords)
    # What cannot be compressed, over several of Snappy's blocks.
    noisy = [{"bytes": noise(n, 40_000 * n), "path": f"{n}.png"} for n in (1, 2, 1)]
    noisy = pa.table({"image": pa.array(noisy, STRUCT), "label": pa.array([1, 2, 3])})
    pq.write_table(noisy, FIXTURES / "noise.parquet")
    # Rows without a picture, and labels of each kind.
    nulls = hugging_face(table(9, missing=(0, 5, 8)), DESCRIBED)
    pq.write_table(nulls, FIXTURES / "nulls.parquet", row_group_size=4)
    names, contents, labels = rows(6, large=False)
    text = pa.table(
        {
            "jpg": pa.array(contents, pa.binary()),
            "class": pa.array([CLASSES[label] for label in labels]),
            "caption": pa.array(names),
        }
    )
    pq.write_table(text, FIXTURES / "plain_bytes.parquet")
    required = pa.schema(
        [pa.field("image", STRUCT), pa.field("labels", pa.int32(), nullable=False)]
    )
    numbers = pa.table([table(6)["image"], pa.array([10, 9, 9, 10, 9, 10], pa.int32())], required)
    pq.write_table(numbers, FIXTURES / "numbers.parquet")
    # As datasets itself writes: its metadata, its encodings, an unlabelled row of -1.
    features = datasets.Features(
        {"img": datasets.Image(), "fine": datasets.ClassLabel(names=CLASSES)}
    )
    encoded = [{"bytes": content, "path": name} for name, content in zip(names, contents)]
    made = datasets.Dataset.from_dict({"img": encoded, "fine": [0, 1, 2, 0, -1, 2]}, features)
    made.to_parquet(FIXTURES / "datasets.parquet")


def write_refused():
    """Sound files that are refused, in a folder of their own."""
    names, contents, labels = rows(4, large=False)
    images = [{"bytes": content, "path": name} for name, content in zip(names, contents)]
    images, numbers = pa.array(images, STRUCT), pa.array(labels)
    without_bytes = pa.array([{"bytes": None, "path": name} for name in names], STRUCT)
    one = pa.table({"image": images, "label": numbers})
    two_classes = pa.table({"image": images, "coarse": numbers, "fine": numbers})
    folder = FIXTURES / "refused"
    folder.mkdir(exist_ok=True)
    files = {
        "two_labels": (pa.table({"image": images, "label": numbers, "class": numbers}), {}),
        "two_classes": (
            hugging_face(two_classes, {"coarse": CLASS_LABEL, "fine": CLASS_LABEL}),
            {},
        ),
        "no_labels": (pa.table({"jpg": pa.array(contents), "score": numbers}), {}),
        "two_pictures": (pa.table({"left": images, "right": images, "label": numbers}), {}),
        "no_picture": (pa.table({"text": names, "label": numbers}), {}),
        "text_as_picture": (
            hugging_face(pa.table({"scan": numbers, "label": numbers}), {"scan": {"_type": "Image"}}),
            {},
        ),
        "pictures_a_row": (
            pa.table({"image": pa.array([[content] for content in contents]), "label": numbers}),
            {},
        ),
        "float_label": (pa.table({"image": images, "label": pa.array([0.5] * 4)}), {}),
        "names_alone": (pa.table({"image": without_bytes, "label": numbers}), {}),
        "brotli": (one, {"compression": "brotli"}),
        "lz4": (one, {"compression": "lz4"}),
        "delta_bytes": (
            one,
            {
                "use_dictionary": False,
                "column_encoding": {
                    "image.bytes": "DELTA_BYTE_ARRAY",
                    "image.path": "PLAIN",
                    "label": "PLAIN",
                },
            },
        ),
    }
    for name, (arrow, keywords) in files.items():
        pq.write_table(arrow, folder / f"{name}.parquet", **keywords)


def read(path):
    """Name, label and content of each row, as pyarrow reads them."""
    arrow = pq.read_table(path)
    image = next(name for name in ("image", "img", "jpg") if name in arrow.column_names)
    label = next(n for n in ("label", "labels", "class", "fine") if n in arrow.column_names)
    found = []
    for row, (content, value) in enumerate(
        zip(arrow[image].to_pylist(), arrow[label].to_pylist())
    ):
        name = f"{path.stem}/{row:06}"
        if isinstance(content, dict):
            name, content = content["path"], content["bytes"]
        named = isinstance(value, int) and path.stem not in ("numbers", "noise")
        value = (CLASSES[value] if value >= 0 else None) if named else value
        if content is not None and value is not None:
            found.append(
                {
                    "name": name,
                    "row": f"{path.stem}/{row:06}",
                    "label": str(value),
                    "bytes": len(content),
                    "blake3": blake3(content).hexdigest(),
                }
            )
    if len({picture["name"] for picture in found}) < len(found):
        for picture in found:
            picture["name"] = picture["row"]
    return found


def write_labels():
    """Labels of other types, and under other names, of four pictures a.png to d.png, in a folder of their own."""
    _, contents, _ = rows(4, large=False)
    paths = [f"{letter}.png" for letter in "abcd"]
    images = [{"bytes": content, "path": path} for content, path in zip(contents, paths)]
    images = pa.array(images, STRUCT)
    folder = FIXTURES / "labels"
    folder.mkdir(exist_ok=True)
    numbers = pa.array([0, 1, 1, 0])
    flags = pa.table({"image": images, "label": pa.array([True, False, False, None])})
    reals = pa.array([0.0, 1.0, float("nan"), 1.0])
    files = {
        "bool": (flags, {}),
        "bool_runs": (flags, {"data_page_version": "2.0", "column_encoding": {"label": "RLE"}}),
        "float64": (pa.table({"image": images, "label": reals}), {}),
        "float32": (
            pa.table({"image": images, "label": reals.cast(pa.float32())}),
            {"use_dictionary": False},
        ),
        "cifar": (pa.table({"img": images, "fine_label": numbers, "coarse_label": pa.array([7] * 4)}), {}),
        "split": (pa.table({"image": images, "label": numbers, "split": ["train", "train", "val", "test"]}), {}),
        "subjects": (
            pa.table({"image": images, "label": numbers, "subject_id": ["s1", None, "s2", "s1"], "is_train": [True] * 4}),
            {},
        ),
        "paths_alone": (
            pa.table({"image": pa.array([{"path": path} for path in paths]), "label": numbers}),
            {},
        ),
        "text": (pa.table({"image": paths, "label": numbers}), {}),
    }
    for name, (table, options) in files.items():
        if "column_encoding" in options:
            options = {"use_dictionary": ["image.bytes"], **options}
        pq.write_table(table, folder / f"{name}.parquet", **options)


def main():
    FIXTURES.mkdir(parents=True, exist_ok=True)
    write_all()
    write_refused()
    write_labels()
    paths = sorted(FIXTURES.glob("*.parquet"))
    expected = {path.stem: read(path) for path in paths}
    text = json.dumps(expected, indent=1, ensure_ascii=False)
    (FIXTURES / "parquet.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
