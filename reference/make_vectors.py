"""Write crates/vectors/tests/fixtures/: embeddings as pyarrow, pandas and NumPy write them; and the description of
the columns by Arrow that the program puts into its Parquet files.

Checks that pyarrow, pandas and NumPy read the files that the program wrote (tests/fixtures/written) as what they are:

    pip install numpy pandas pyarrow
    python reference/make_vectors.py
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

CRATE = Path(__file__).parents[1] / "crates/vectors"
FIXTURES = CRATE / "tests/fixtures"
# Stands for the width, whose place the program knows.
WIDTH = 0x01020304


def schema(width):
    element = pa.field("element", pa.float32(), nullable=False)
    return pa.schema([
        pa.field("path", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("vector", pa.list_(element, width), nullable=False),
    ])


def write_arrow():
    described = schema(WIDTH).serialize().to_pybytes()
    assert described[120:124] == WIDTH.to_bytes(4, "little") and len(described) == 296
    (CRATE / "src/file/parquet/schema.arrow").write_bytes(described)


def write_others():
    """Five rows of three values: row i holds i, i + 0.5, -i."""
    rows = np.arange(5, dtype=np.float32)
    values = np.stack([rows, rows + 0.5, -rows], axis=1)
    paths = [f"{index}.png" for index in range(5)]
    labels = ["cat", None, "dog", "cat", None]
    columns = {"path": pa.array(paths), "label": pa.array(labels)}
    flat = pa.array(values.ravel())
    fixed = pa.table({**columns, "vector": pa.FixedSizeListArray.from_arrays(flat, 3)})
    plain = pa.table({**columns, "vector": pa.array(values.tolist(), pa.list_(pa.float64()))})
    folder = FIXTURES / "others"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(fixed, folder / "pyarrow.parquet")
    pq.write_table(plain, folder / "zstd_v2.parquet", compression="zstd", data_page_version="2.0")
    pq.write_table(plain, folder / "groups.parquet", compression="gzip", row_group_size=2, use_dictionary=False)
    numbers = plain.set_column(1, "label", pa.array([7, None, 8, 7, None]))
    pq.write_table(numbers, folder / "numbers.parquet")
    frame = pd.DataFrame({"path": paths, "label": labels, "vector": values.tolist()})
    frame.to_parquet(folder / "pandas.parquet")
    for name, kind in [("f16", "<f2"), ("f32", "<f4"), ("f64", "<f8")]:
        np.save(folder / f"{name}.npy", values.astype(kind))
    for version in [(2, 0), (3, 0)]:
        with open(folder / f"v{version[0]}.npy", "wb") as file:
            np.lib.format.write_array(file, values, version)
    frame = pd.DataFrame(values, columns=["v0", "v1", "v2"])
    frame.insert(0, "path", paths)
    frame.insert(1, "label", labels)
    frame.to_csv(folder / "pandas.csv", index=False)

    refused = FIXTURES / "refused"
    refused.mkdir(parents=True, exist_ok=True)
    np.save(refused / "fortran.npy", np.asfortranarray(values))
    np.save(refused / "big_endian.npy", values.astype(">f4"))
    np.save(refused / "whole_numbers.npy", values.astype("<i4"))
    np.save(refused / "objects.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    np.save(refused / "records.npy", np.zeros(2, dtype=[("a", "<f4"), ("b", "<f4")]))
    np.save(refused / "one_dimension.npy", values.ravel())
    np.save(refused / "not_finite.npy", np.array([[1, np.nan]], dtype=np.float32))
    for name, lists in [
        ("ragged", [[1.0, 2.0], [3.0]]),
        ("empty_list", [[1.0], []]),
        ("missing_list", [[1.0], None]),
        ("missing_number", [[1.0], [None]]),
        ("not_lists", [1.0, 2.0]),
    ]:
        pq.write_table(pa.table({"path": ["a", "b"], "vector": lists}), refused / f"{name}.parquet")
    pq.write_table(pa.table({"path": ["a", None], "vector": [[1.0], [2.0]]}), refused / "no_name.parquet")
    pq.write_table(pa.table({"name": ["a"], "vector": [[1.0]]}), refused / "no_path.parquet")
    constant = pa.table({"path": [str(i) for i in range(200)], "vector": [[0.0] * 2000] * 200})
    pq.write_table(constant, refused / "constant.parquet", compression="zstd")


def check_written():
    folder = FIXTURES / "written"
    values = (np.arange(15, dtype=np.float32) / 4 - 1).reshape(5, 3)
    paths = ["a/1.png", 'b, "2".png', "été.png", "two\nlines.png", "\\xff.png"]
    labels = ["cat", None, "dog, big", "cat", None]
    table = pq.read_table(folder / "out.parquet")
    table.validate(full=True)
    assert table.schema.equals(schema(3)), table.schema
    assert table["path"].to_pylist() == paths and table["label"].to_pylist() == labels
    assert table["vector"].to_pylist() == values.tolist()
    # Arrow's own description of the columns hides it from table.schema.metadata.
    origin = json.loads(pq.read_metadata(folder / "out.parquet").metadata[b"fcmae"])
    assert origin["width"] == 3 and origin["features"] == "pooled", origin
    assert (np.stack(pd.read_parquet(folder / "out.parquet")["vector"].to_list()) == values).all()
    matrix = np.load(folder / "matrix.npy")
    assert matrix.dtype == np.float32 and (matrix == values).all()
    for name in ["matrix.csv", "out.csv"]:
        frame = pd.read_csv(folder / name)
        assert frame["path"].to_list() == paths
        assert frame["label"].astype(object).where(frame["label"].notna(), None).to_list() == labels
    assert (frame[["v0", "v1", "v2"]].to_numpy(np.float32) == values).all()
    for name in ["matrix.json", "out.csv.json"]:
        assert json.loads((folder / name).read_text()) == origin


if __name__ == "__main__":
    write_arrow()
    write_others()
    check_written()
