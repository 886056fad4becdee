"""Write crates/data/tests/fixtures/jpeg/: small JPEG files and the pixels that Pillow reads from them,
and reads with `draft` at a half, a quarter and an eighth of the size, one after the other."""

from pathlib import Path

import numpy as np
from PIL import Image

OUT = Path(__file__).parent.parent / "crates/data/tests/fixtures/jpeg"
# Odd sides, so that blocks and halved chroma planes are cut off at the edges.
WIDTH, HEIGHT = 45, 37

KINDS = {
    "444": {"subsampling": 0},
    "422": {"subsampling": 1},
    "420": {"subsampling": 2},
    "420_progressive": {"subsampling": 2, "progressive": True},
    "420_restarts": {"subsampling": 2, "restart_marker_rows": 1},
    "grey": {},
}


def picture():
    """Edges and gradients in all colours: what is rounded differently shows."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    red = 255 * ((x // 5 + y // 7) % 2)
    green = (x * 255) // WIDTH
    blue = np.where((x - 20) ** 2 + (y - 18) ** 2 < 150, 240, (y * 200) // HEIGHT)
    return Image.fromarray(np.stack([red, green, blue], axis=2).astype(np.uint8))


def reduced(path):
    def by(divisor):
        image = Image.open(path)
        image.draft(None, (WIDTH // divisor, HEIGHT // divisor))
        if image.size != (-(-WIDTH // divisor), -(-HEIGHT // divisor)):
            raise AssertionError(f"{path}: {image.size}")
        return np.asarray(image).tobytes()

    return by


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for name, options in KINDS.items():
        image = picture().convert("L") if name == "grey" else picture()
        path = OUT / f"{name}.jpg"
        image.save(path, quality=80, **options)
        (OUT / f"{name}.raw").write_bytes(np.asarray(Image.open(path)).tobytes())
        (OUT / f"{name}.reduced").write_bytes(b"".join(map(reduced(path), (2, 4, 8))))


if __name__ == "__main__":
    main()
