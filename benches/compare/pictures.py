"""Pictures that take as long to decode as photographs do: shading at all scales, edges, a little noise."""

from pathlib import Path

HEIGHT, WIDTH, QUALITY = 400, 533, 90


def draw(folder: Path, count: int) -> None:
    """Writes `count` JPEG files."""
    # Linking needs neither.
    import numpy as np
    from PIL import Image

    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for number in range(count):
        generator = np.random.default_rng(number)
        shade = np.zeros((HEIGHT, WIDTH))
        for wave in range(12):
            angle, phase = generator.uniform(0.0, 2.0 * np.pi, 2)
            frequency = 0.01 * 1.5**wave
            shade += 60.0 / (1 + wave) * np.sin(frequency * (np.cos(angle) * x + np.sin(angle) * y) + phase)
        shade += np.where(x + 0.3 * y < generator.uniform(0.3, 0.7) * WIDTH, -30.0, 30.0)
        noise = generator.uniform(-6.0, 6.0, (HEIGHT, WIDTH, 1))
        pixels = 128.0 + shade[..., None] * np.array([1.0, 0.8, 0.6]) + noise
        picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        picture.save(folder / f"{number:04}.jpg", quality=QUALITY)


def link(source: Path, folder: Path, count: int) -> None:
    """Links `count` pictures below `source`, evenly spaced."""
    kinds = {".jpg", ".jpeg"}
    found = sorted(path for path in source.rglob("*") if path.suffix.lower() in kinds and path.is_file())
    if not found:
        raise SystemExit(f"{source}: no JPEG files; give another --data")
    count = min(count, len(found))
    for number in range(count):
        path = found[number * len(found) // count]
        (folder / f"{number:04}.jpg").symlink_to(path.resolve())
