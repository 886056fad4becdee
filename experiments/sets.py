"""Makes the sets of pictures that the experiments read: OUT/NAME/{train,validation,test}.tar.

    python3 experiments/sets.py SOURCES OUT

`validation` is for choosing settings, `test` for what is reported. The same sources give the same sets on
every machine. SOURCES is a folder with

  cifar10-train.tar      CIFAR-10's 50,000 training pictures, CLASS/NAME.jpg (A. Krizhevsky, 2009).
                         Of each class by name: the last 500 are the test, the 500 before them the
                         validation. `train-20000.tar` has the first 2,000 of each class.
  clothing160-train.tar  clothing-dataset-small, CLASS/NAME.jpg (A. Grigorev, CC0). By hash: a tenth of
                         each class is the test, as by reference/split_folder.py, the next tenth the
                         validation. `train-300.tar` has 300 of the others, by hash.

and a third set comes from PyPI by pip:

  elpv-dataset           2,624 electroluminescence pictures of solar cells (Deitsch et al., Solar Energy 185,
                         2019; Buerhop-Lutz et al., EU PVSEC 2018; CC BY-NC-SA 4.0: not for commercial use).
                         Two classes, functional (defect probability 0 or 1/3) and defective (2/3 or 1). By
                         hash: a fifth of each class is the test, a tenth the validation. Cells of one module
                         may be on both sides: which module a cell is from is not recorded.

A set whose source is missing is left out, and that is said. No picture is part of this repository.
"""

import csv
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import defaultdict
from pathlib import Path

ELPV = "elpv-dataset==1.0.0.post1"

# A picture: its class, its name within the class, its bytes.
Picture = tuple[str, str, bytes]


def from_tar(file: Path) -> list[Picture]:
    pictures = []
    with tarfile.open(file) as tar:
        for member in tar:
            if member.isfile():
                label, name = Path(member.name).parts[-2:]
                pictures.append((label, name, tar.extractfile(member).read()))
    return pictures


def from_elpv(wheel: Path) -> list[Picture]:
    pictures = []
    with zipfile.ZipFile(wheel) as archive:
        folder = "elpv_dataset/data"
        labels = io.TextIOWrapper(archive.open(f"{folder}/labels.csv"), encoding="utf-8")
        for path, probability, _cell in csv.reader(labels, delimiter=" ", skipinitialspace=True):
            label = "defective" if float(probability) > 0.5 else "functional"
            pictures.append((label, Path(path).name, archive.read(f"{folder}/{path}")))
    return pictures


def by_class(pictures: list[Picture], order) -> list[list[Picture]]:
    """The pictures of each class, in the order of a key."""
    classes = defaultdict(list)
    for picture in pictures:
        classes[picture[0]].append(picture)
    return [sorted(classes[label], key=order) for label in sorted(classes)]


def name_order(picture: Picture) -> str:
    return picture[1]


def hash_order(picture: Picture) -> bytes:
    """As in reference/split_folder.py with seed 0: adding a picture moves no other."""
    return hashlib.blake2b(f"0\0{picture[0]}/{picture[1]}".encode()).digest()


def split_cifar10(pictures: list[Picture]) -> dict[str, list[Picture]]:
    parts = defaultdict(list)
    for ordered in by_class(pictures, name_order):
        parts["train"] += ordered[:-1000]
        parts["train-20000"] += ordered[:2000]
        parts["validation"] += ordered[-1000:-500]
        parts["test"] += ordered[-500:]
    return parts


def split_by_hash(pictures: list[Picture], test: float, validation: float) -> dict[str, list[Picture]]:
    parts = defaultdict(list)
    for ordered in by_class(pictures, hash_order):
        tested = round(len(ordered) * test)
        validated = tested + round(len(ordered) * validation)
        parts["test"] += ordered[:tested]
        parts["validation"] += ordered[tested:validated]
        parts["train"] += ordered[validated:]
    return parts


def split_clothing(pictures: list[Picture]) -> dict[str, list[Picture]]:
    parts = split_by_hash(pictures, 0.1, 0.1)
    parts["train-300"] = sorted(parts["train"], key=hash_order)[:300]
    return parts


def write(out: Path, name: str, parts: dict[str, list[Picture]]) -> None:
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    for part, pictures in parts.items():
        target = folder / f"{part}.tar"
        # Under another name first: a set that is there is whole.
        unfinished = target.with_suffix(".unfinished")
        with tarfile.open(unfinished, "w") as tar:
            for label, file, content in sorted(pictures):
                member = tarfile.TarInfo(f"{label}/{file}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        os.replace(unfinished, target)
    counts = ", ".join(f"{part} {len(pictures)}" for part, pictures in parts.items())
    print(f"{name}: {counts}", flush=True)


def is_made(out: Path, name: str, parts: list[str]) -> bool:
    return all((out / name / f"{part}.tar").is_file() for part in parts)


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sources, out = Path(sys.argv[1]), Path(sys.argv[2])
    usual = ["train", "validation", "test"]

    for name, file, parts, split in [
        ("cifar10", "cifar10-train.tar", [*usual, "train-20000"], split_cifar10),
        ("clothing", "clothing160-train.tar", [*usual, "train-300"], split_clothing),
    ]:
        if is_made(out, name, parts):
            continue
        if (sources / file).is_file():
            write(out, name, split(from_tar(sources / file)))
        else:
            print(f"{name}: left out, there is no {sources / file}", file=sys.stderr)

    if not is_made(out, "solar", usual):
        with tempfile.TemporaryDirectory() as folder:
            pip = [sys.executable, "-m", "pip", "--quiet", "download", "--no-deps", "--dest", folder, ELPV]
            if subprocess.run(pip, check=False).returncode == 0:
                wheel = next(Path(folder).glob("*.whl"))
                write(out, "solar", split_by_hash(from_elpv(wheel), 0.2, 0.1))
            else:
                print(f"solar: left out, pip cannot get {ELPV}", file=sys.stderr)


if __name__ == "__main__":
    main()
