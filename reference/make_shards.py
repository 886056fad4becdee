"""Write crates/data/tests/fixtures/shards/: tar archives as Python's tarfile writes them, in its
three formats and by the layout of WebDataset, and what tarfile reads from them.

    python reference/make_shards.py
"""

import io
import json
import tarfile
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "crates/data/tests/fixtures/shards"
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
PICTURES = (".jpg", ".jpeg", ".png", ".webp")


def members(format_name):
    """Name and content of each member: no picture is decoded, so any bytes will do."""
    names = ["000001.jpg", "000002.png", "b/000003.webp", "./b/000004.jpeg"]
    # As deep a name as ustar can split, and beyond it names that only the others can hold.
    names.append("/".join(["d" * 30] * 5) + "/000005.jpg")
    if format_name != "ustar":
        names += ["/".join(["long" * 20] * 6) + "/000006.jpg", "straße/öl.jpg"]
        names.append("a line\nbreak/" + "y" * 120 + ".jpg")
    yield "000001.json", b"{}"
    for number, name in enumerate(names):
        yield name, f"{format_name} {number} ".encode() * (1 + 20 * number)
        label = [b"zebra", b"10\n", b" 9 ", "Öl".encode(), b"zebra"][number % 5]
        yield name.rsplit(".", 1)[0] + ".cls", label


def write(path, format_name):
    with tarfile.open(path, "w", format=FORMATS[format_name]) as tar:
        for name, content in members(format_name):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "000001.jpg"
        tar.addfile(link)


def read(path):
    """Pictures by tarfile's own reading: name, label, where the content lies, and its start."""
    with tarfile.open(path) as tar:
        files = {info.name: info for info in tar if info.isfile()}
        pictures = []
        for name, info in files.items():
            if name.endswith(PICTURES):
                label = tar.extractfile(files[name.rsplit(".", 1)[0] + ".cls"]).read().decode()
                content = tar.extractfile(info).read().decode()
                pictures.append(
                    {
                        "name": name.removeprefix("./"),
                        "label": label.strip(),
                        "bytes": len(content),
                        "first": content[:20],
                        "last": content[-20:],
                    }
                )
    return pictures


def main():
    FIXTURES.mkdir(parents=True, exist_ok=True)
    # Not the twenty blocks that tapes wanted: the files stay small.
    tarfile.RECORDSIZE = tarfile.BLOCKSIZE
    expected = {}
    for format_name in FORMATS:
        path = FIXTURES / f"{format_name}.tar"
        write(path, format_name)
        expected[format_name] = read(path)
    text = json.dumps(expected, indent=1, ensure_ascii=False)
    (FIXTURES / "shards.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
