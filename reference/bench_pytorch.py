"""Images per second of PyTorch on the CPU: the FCMAE training step and the fine-tuning step.

    python reference/bench_pytorch.py --size atto --image 224 --batch 16 --steps 10 --channels-last

Prints the median step of each and its images per second. Pre-training is the masked-dense form, which
computes every site; fine-tuning is timm's network. Both steps: forward, backward, AdamW.
"""

import argparse
import statistics
import time

import timm
import torch

from masked_dense_fcmae import SIZES, Config, Fcmae


def median_seconds(step, warmup, steps):
    for _ in range(warmup):
        step()
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times), min(times)


def pretrain_step(size, images):
    depths, widths = SIZES[size]
    config = Config(depths, widths)
    model = Fcmae(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.trunc_normal_(parameter, std=0.02)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05)
    batch, _, height, width = images.shape
    patches = (height // config.patch) * (width // config.patch)

    def step():
        order = torch.rand(batch, patches).argsort(dim=1)
        visible = torch.zeros(batch, patches).scatter_(1, order[:, : config.keep(patches)], 1.0)
        loss, _ = model.loss(images, visible)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return model, step


def finetune_step(size, images):
    model = timm.create_model(f"convnextv2_{size}", pretrained=False).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05)
    labels = torch.randint(0, 1000, (images.shape[0],))

    def step():
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return model, step


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--size", choices=SIZES, default="atto")
    parser.add_argument("--image", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--channels-last", action="store_true")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    images = torch.randn(args.batch, 3, args.image, args.image)
    if args.channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    layout = "channels last" if args.channels_last else "channels first"
    print(
        f"torch {torch.__version__}, {args.threads} threads, {args.size}, "
        f"{args.image}x{args.image}, batch {args.batch}, {layout}"
    )
    for label, make in (("fcmae masked-dense step", pretrain_step), ("fine-tuning step", finetune_step)):
        model, step = make(args.size, images)
        if args.channels_last:
            model.to(memory_format=torch.channels_last)
        median, best = median_seconds(step, args.warmup, args.steps)
        print(
            f"{label}: median {1000 * median:.0f} ms = {args.batch / median:.1f} images/s "
            f"(best {args.batch / best:.1f})"
        )


if __name__ == "__main__":
    main()
