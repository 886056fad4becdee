"""PyTorch's worker on a card: compiled, bfloat16, everything set for speed.

    python opponents.py pretrain --size tiny --batch 256

It reads a line, does what it says and answers with a line of JSON, as benches/compare/worker.py has it:
`facts`; `rates`, the card's own copy and product; `prepare`, which compiles; or a number of steps. Without a
work, it knows the first two alone.
"""

import argparse
import json
import os
import platform
import sys
import time
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "reference"))
CLASSES = 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("work", nargs="?", choices=("pretrain", "finetune", "predict"))
    parser.add_argument("--size", default="atto")
    parser.add_argument("--image", type=int, default=224)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--mask-ratio", type=float, default=0.6)
    parser.add_argument("--layout", choices=("first", "last"), default="first", help="where channels are")
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    args = parser.parse_args()
    # Libraries may print to standard output, which is for answers alone.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    side = Side(args)
    for line in sys.stdin:
        line = line.strip()
        known = {"facts": side.facts, "rates": side.rates, "prepare": side.prepare}
        answer = known[line]() if line in known else side.steps(int(line))
        print(json.dumps(answer), file=answers, flush=True)


class Side:
    """PyTorch with one work."""

    def __init__(self, args):
        import torch

        self.args, self.torch, self.device = args, torch, torch.device(args.device)
        self.on_card = args.device == "cuda"
        torch.manual_seed(0)
        torch.backends.cudnn.benchmark = True
        # For what autocast leaves in float32.
        torch.set_float32_matmul_precision("high")
        # Most processors compute in bfloat16 a hundred times slower.
        self.precision = torch.bfloat16 if self.on_card else torch.float32
        self.step, self.network = None, None

    def facts(self) -> dict:
        """Versions and the card; whether there is one that PyTorch can use."""
        torch = self.torch
        names = ("torch", "triton", "timm", "nvidia-cudnn-cu13", "nvidia-cublas")
        versions = {"python": platform.python_version()}
        for name in names:
            try:
                versions[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                pass
        usable = torch.cuda.is_available()
        found = {"versions": versions, "usable": usable or not self.on_card, "cuda": torch.version.cuda}
        if usable:
            card = torch.cuda.get_device_properties(0)
            found["card"] = {
                **{"name": card.name, "memory_bytes": card.total_memory},
                **{"multiprocessors": card.multi_processor_count},
                "compute_capability": f"{card.major}.{card.minor}",
            }
            found["cudnn"] = torch.backends.cudnn.version()
        return found

    def rates(self) -> dict:
        """Bytes read and written by copies within the card's memory, and its products, of random numbers."""
        torch = self.torch
        count, side = (2**30, 8192) if self.on_card else (2**22, 512)
        source = torch.empty(count, dtype=torch.float32, device=self.device).normal_()
        target = torch.empty_like(source)
        seconds = self.timed(lambda: target.copy_(source), 15)[5:]
        copied = [2e-9 * source.nbytes / each for each in seconds]
        del source, target
        a, b = (torch.randn(side, side, device=self.device).to(self.precision) for _ in range(2))
        out = torch.empty_like(a)
        seconds = self.timed(lambda: torch.mm(a, b, out=out), 25)[5:]
        products = [2e-12 * side**3 / each for each in seconds]
        del a, b, out
        self.forget()
        return {"copy_gb_per_second": copied, "product_tflops": products, "side": side, "bytes": 4 * count}

    def prepare(self) -> dict:
        """Compiles: the first steps. What they took of the card's memory is given back."""
        since = time.perf_counter()
        self.step = {"pretrain": self.pretrain, "finetune": self.finetune, "predict": self.predict}[
            self.args.work
        ]()
        self.timed(self.step, 2)
        self.forget()
        return {"seconds": time.perf_counter() - since, "network": self.network}

    def steps(self, count: int) -> dict:
        since = time.perf_counter()
        answer = {"seconds": self.timed(self.step, count), "images": self.args.batch}
        answer["wall_seconds"] = time.perf_counter() - since
        if self.on_card:
            answer["peak_card_bytes"] = self.torch.cuda.max_memory_reserved()
        return answer

    def timed(self, step, count: int) -> list:
        """Seconds of each step. Those on a card are told apart by events: the processor runs ahead and never
        waits for the card between steps, as in a training that reads its loss rarely."""
        if not self.on_card:
            seconds = []
            for _ in range(count):
                since = time.perf_counter()
                step()
                seconds.append(time.perf_counter() - since)
            return seconds
        events = [self.torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
        self.torch.cuda.synchronize()
        events[0].record()
        for event in events[1:]:
            step()
            event.record()
        self.torch.cuda.synchronize()
        return [1e-3 * begun.elapsed_time(ended) for begun, ended in zip(events, events[1:])]

    def forget(self) -> None:
        if self.on_card:
            self.torch.cuda.empty_cache()

    # The works.

    def pretrain(self):
        """Masked-dense FCMAE, reference/masked_dense_fcmae.py."""
        from masked_dense_fcmae import SIZES, Config, Fcmae

        torch, args = self.torch, self.args
        config = Config(*SIZES[args.size], mask_ratio=args.mask_ratio)
        model = Fcmae(config)
        self.network = "reference/masked_dense_fcmae.py"
        small(torch, model)
        model, images = self.placed(model)
        update = self.updating(model, (0.9, 0.95))
        patches = (args.image // config.patch) ** 2
        loss_of = self.compiled(lambda images, visible: model.loss(images, visible)[0])

        def step():
            order = torch.rand(args.batch, patches, device=self.device).argsort(dim=1)
            visible = torch.zeros(args.batch, patches, device=self.device)
            visible.scatter_(1, order[:, : config.keep(patches)], 1.0)
            with self.mixed():
                loss = loss_of(images, visible)
            update(loss)

        return step

    def finetune(self):
        torch, args = self.torch, self.args
        model, images = self.placed(self.classifier().train())
        update = self.updating(model, (0.9, 0.999))
        labels = torch.randint(0, CLASSES, (args.batch,), device=self.device)
        forward = self.compiled(model)

        def step():
            with self.mixed():
                logits = forward(images)
                loss = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
            update(loss)

        return step

    def predict(self):
        torch = self.torch
        # Weights in bfloat16 too: nothing is converted in a step, which is faster than autocast.
        model, images = self.placed(self.classifier().eval().to(self.precision))
        images = images.to(self.precision)
        forward = self.compiled(model)

        def step():
            with torch.no_grad():
                forward(images)

        return step

    def classifier(self):
        """timm's network; without timm, the same out of the reference's blocks."""
        name = f"convnextv2_{self.args.size}"
        try:
            import timm
        except ImportError:
            self.network = "reference/masked_dense_fcmae.py's blocks (timm is missing)"
            return classifier(self.torch, self.args.size)
        self.network = f"timm's {name}"
        return timm.create_model(name, pretrained=False)

    def placed(self, model):
        """The model on the card in its memory layout, and images likewise."""
        torch, args = self.torch, self.args
        layout = torch.channels_last if args.layout == "last" else torch.contiguous_format
        images = torch.randn(args.batch, 3, args.image, args.image, device=self.device)
        return model.to(self.device, memory_format=layout), images.contiguous(memory_format=layout)

    def mixed(self):
        return self.torch.autocast(self.args.device, dtype=self.torch.bfloat16, enabled=self.on_card)

    def compiled(self, function):
        return function if self.args.eager else self.torch.compile(function, dynamic=False)

    def updating(self, model, betas):
        """One group of parameters: no layer decay, which only costs. The loss is not read."""
        optimizer = self.torch.optim.AdamW(
            model.parameters(), lr=1e-5, betas=betas, weight_decay=0.05, fused=True
        )

        def update(loss):
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

        return update


def small(torch, model) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.trunc_normal_(parameter, std=0.02)


def classifier(torch, size):
    """ConvNeXt V2 with a head."""
    from masked_dense_fcmae import SIZES, Config, Fcmae

    encoder = Fcmae(Config(*SIZES[size]))
    width = SIZES[size][1][-1]

    class Classifier(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.stages = encoder.stem, encoder.stages
            self.norm = torch.nn.LayerNorm(width, eps=1e-6)
            self.head = torch.nn.Linear(width, CLASSES)

        def forward(self, x):
            x = self.stem(x)
            for stage in self.stages:
                x = stage(x, None)
            return self.head(self.norm(x.mean((2, 3))))

    model = Classifier()
    small(torch, model)
    return model


if __name__ == "__main__":
    main()
