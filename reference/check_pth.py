"""Lets PyTorch read what fcmae-store writes as .pth, and compares it with safetensors twins.

    python reference/check_pth.py

Runs the test that writes the files (cargo must be at hand), then holds every tensor bit for bit.
"""

import collections
import os
import pathlib
import subprocess
import tempfile
import zipfile

import torch
from safetensors.torch import load_file

ROOT = pathlib.Path(__file__).resolve().parent.parent
WRITE = ["cargo", "test", "--release", "--quiet", "-p", "fcmae-store", "--test", "pth", "--"]


def check(path, twin):
    assert zipfile.ZipFile(path).testzip() is None, "checksums"
    for options in [{}, {"mmap": True}, {"map_location": "meta"}]:
        content = torch.load(path, weights_only=True, **options)
        assert list(content) == ["model"], list(content)
        state = content["model"]
        assert type(state) is collections.OrderedDict and set(state) == set(twin)
        for name, tensor in state.items():
            expected = twin[name]
            assert tensor.dtype == torch.float32 and tensor.shape == expected.shape, name
            assert tensor.is_contiguous() and not tensor.requires_grad, name
            if tensor.device.type == "meta":
                continue
            assert torch.equal(tensor.view(torch.int32), expected.view(torch.int32)), name


def main():
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"FCMAE_PTH_CHECK": folder}
        command = [*WRITE, "--exact", "both_formats_hold_the_same_tensors"]
        subprocess.run(command, check=True, cwd=ROOT, env=environment)
        paths = sorted(pathlib.Path(folder).glob("*.pth"))
        assert len(paths) == 2, paths
        for path in paths:
            twin = load_file(path.with_suffix(".safetensors"))
            check(path, twin)
            print(f"{path.name}: {len(twin)} tensors equal, PyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
