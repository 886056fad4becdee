"""Copies a folder of class folders into OUT/train and OUT/test, the same way on every machine.

    python reference/split_folder.py DIR OUT [--test 0.1] [--seed 0]

A picture goes to the test side when the hash of its relative path and the seed is among the lowest
share of its class: adding a picture moves no other.
"""

import argparse
import hashlib
import shutil
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dir", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--test", type=float, default=0.1, help="share of each class for the test side")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    def order(path: Path) -> bytes:
        name = path.relative_to(args.dir).as_posix()
        return hashlib.blake2b(f"{args.seed}\0{name}".encode()).digest()

    for folder in sorted(p for p in args.dir.iterdir() if p.is_dir()):
        pictures = sorted((p for p in folder.rglob("*") if p.is_file()), key=order)
        held_out = round(len(pictures) * args.test)
        for number, picture in enumerate(pictures):
            side = "test" if number < held_out else "train"
            target = args.out / side / picture.relative_to(args.dir)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture, target)
        print(f"{folder.name}: {len(pictures) - held_out} train, {held_out} test")


if __name__ == "__main__":
    main()
