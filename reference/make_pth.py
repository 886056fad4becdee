"""Makes the fixtures of crates/store/tests/store/pth.rs: files of torch.save, and twins in safetensors.

    python reference/make_pth.py

Writes into crates/store/tests/fixtures/:
  state_*.pth           one state dict in both forms of file and with the oldest and newest protocol
  state.safetensors     its values, contiguous and in float32
  checkpoint_*.pth      the state dict under "model", with what training programs put beside it
  averaged*.pth         weights and their moving average; averaged.safetensors is the average
  refused_*.pth         what PyTorch writes and the reader refuses

The older form names storages by their address, so those files differ from run to run.
"""

import argparse
import collections
import pathlib
import pickle
import warnings

import numpy as np
import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent.parent / "crates/store/tests/fixtures"
LIMIT_BYTES = 100_000  # of all together


def values(*shape):
    count = int(np.prod(shape))
    return (torch.arange(count, dtype=torch.float32) * 0.37 - 1.5).reshape(shape)


def state_dict():
    fused = values(6, 4)
    shared = values(5)
    state = collections.OrderedDict()
    state["stem.0.weight"] = values(4, 3, 2, 2)
    state["stem.0.bias"] = torch.tensor([0.0, -0.0, float("inf"), 1e-42])
    state["half"] = (values(3, 5) * 1000).half()
    state["bfloat"] = values(3, 5).bfloat16()
    state["double"] = values(7).double() / 3
    state["transposed"] = values(4, 3).t()
    state["permuted"] = values(2, 3, 4).permute(2, 0, 1)
    state["channels_last"] = values(2, 3, 2, 2).to(memory_format=torch.channels_last)
    state["every_second"] = values(9)[1::2]
    state["columns"] = fused[:, 1:3]
    state["rows"] = fused[2:5]
    state["tied"] = shared
    state["tied_too"] = shared
    state["parameter"] = torch.nn.Parameter(values(2, 2))
    state["scalar"] = torch.tensor(2.5)
    state["empty"] = torch.zeros(0, 3)
    state["one_long"] = values(1, 4, 1)
    return state


def checkpoint(state):
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(values(1, 3)).sum().backward()
    optimizer.step()
    schedule = collections.Counter({3: 1})
    return {
        "model": state,
        "args": argparse.Namespace(lr=1.5e-4, sizes=[1, 2], out=pathlib.PurePosixPath("a").name),
        "epoch": 3,
        "optimizer": optimizer.state_dict(),
        "milestones": schedule,
        "scaler": {"scale": 65536.0, "growth": None, "big": 1 << 70, "bytes": b"abc"},
        "best": np.float64(81.25),
        "history": np.arange(3.0),
        "sets": [{1, 2}, frozenset([3])],
        "shape": torch.Size([2, 3]),
        "device": torch.device("cpu"),
        "dtype": torch.float16,
        "rng": torch.arange(4, dtype=torch.uint8),
        "newer": torch.zeros(2, dtype=torch.uint16),
        "by_default": collections.defaultdict(list, a=[1]),
        "best_acc1": torch.tensor(81.25),
    }


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    written = []

    def save(name, value, legacy=False, protocol=2):
        path = OUT / name
        torch.save(
            value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy
        )
        written.append(path)

    def twin(name, state):
        plain = {k: v.detach().float().contiguous().clone() for k, v in state.items()}
        save_file(plain, OUT / name)
        written.append(OUT / name)

    newest = pickle.HIGHEST_PROTOCOL
    state = state_dict()
    twin("state.safetensors", state)
    save("state_zip.pth", state)
    save("state_zip_newest.pth", state, protocol=newest)
    save("state_legacy.pth", state, legacy=True)
    save("state_legacy_newest.pth", state, legacy=True, protocol=newest)
    whole = checkpoint(state)
    save("checkpoint_zip.pth", whole)
    save("checkpoint_zip_newest.pth", whole, protocol=newest)
    save("checkpoint_legacy.pth", whole, legacy=True)
    save("checkpoint_legacy_newest.pth", whole, legacy=True, protocol=newest)

    plain = {"w": values(3)}
    average = {"w": values(3) * 0.5}
    twin("averaged.safetensors", average)
    save("averaged.pth", {"state_dict": plain, "state_dict_ema": average})
    save("averaged_wrapped.pth", {"model": plain, "model_ema": {"decay": 0.9, "module": average}})
    save("averaged_none.pth", {"state_dict": average, "state_dict_ema": None})

    save("refused_integers.pth", {"w": values(2), "count": torch.tensor(3)})
    save("refused_module.pth", torch.nn.Linear(2, 2))
    save("refused_expanded.pth", {"w": torch.ones(1).expand(3, 4)})
    negated = torch.view_as_complex(values(3, 2)).conj().imag
    assert negated.is_neg()
    save("refused_negated.pth", {"w": negated})
    save("refused_unnamed.pth", [values(2)])
    save("refused_unknown_key.pth", {"teacher": plain, "epoch": 3})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(torch.nn.Linear(1, 1)).save(OUT / "refused_script.pt")
    written.append(OUT / "refused_script.pt")

    total = sum(path.stat().st_size for path in written)
    if total > LIMIT_BYTES:
        raise ValueError(f"the fixtures have {total} bytes, more than {LIMIT_BYTES}")
    print(f"{len(written)} files, {total} bytes")


if __name__ == "__main__":
    main()
