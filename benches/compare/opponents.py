"""The other side's worker: PyTorch, ONNX Runtime, OpenVINO, or Pillow with torchvision.

    python opponents.py pretrain eager,last,fused --size atto --batch 32 --threads 2

See worker.py for what it is told. Each imports only what it needs, so that its memory is its own.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MATRIX_SIDE = 1024
# What fcmae's loader does by default: pre-training's share of the area, ImageNet's mean and deviation.
CROP_SCALE = (0.2, 1.0)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("work", choices=("pretrain", "finetune", "predict", "load", "export", "matrix"))
    parser.add_argument("variant", help="words separated by commas, as in compare.py's lists")
    parser.add_argument("--size", default="atto")
    parser.add_argument("--image", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--mask-ratio", type=float, default=0.6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--onnx", type=Path, help="the exported network")
    parser.add_argument("--data", type=Path, help="folder of pictures")
    args = parser.parse_args()
    args.variant = args.variant.split(",")
    # Libraries may print to standard output, which is for answers alone.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    if args.work == "export":
        export(args)
        return
    step, images = None, args.batch
    for line in sys.stdin:
        if line.strip() == "matrix":
            answer = {"matrix_gflops": matrix_gflops(args.threads)}
        else:
            if step is None:
                step, images = make(args)
            answer = {"seconds": [timed(step) for _ in range(int(line))], "images": images}
            answer["peak_memory_bytes"] = peak_memory()
        print(json.dumps(answer), file=answers, flush=True)


def make(args):
    """The step, and its images."""
    if args.work == "load":
        return loading(args)
    if args.work == "predict":
        engines = {"onnxruntime": onnxruntime_step, "openvino": openvino_step}
        return engines.get(args.variant[0], torch_predict_step)(args), args.batch
    return (pretrain_step if args.work == "pretrain" else finetune_step)(args), args.batch


def timed(step) -> float:
    since = time.perf_counter()
    step()
    return time.perf_counter() - since


def peak_memory() -> int | None:
    """VmHWM in bytes, on Linux."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    return None


def torch_with(threads: int):
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    return torch


def matrix_gflops(threads: int) -> float:
    """The best of several products, as fcmae's worker does it."""
    torch = torch_with(threads)
    a, b = torch.randn(MATRIX_SIDE, MATRIX_SIDE), torch.randn(MATRIX_SIDE, MATRIX_SIDE)
    out = torch.empty(MATRIX_SIDE, MATRIX_SIDE)
    seconds, since = [], time.perf_counter()
    while len(seconds) < 5 or time.perf_counter() - since < 0.1:
        seconds.append(timed(lambda: torch.mm(a, b, out=out)))
    return 2e-9 * MATRIX_SIDE**3 / min(seconds)


def prepared(args, torch, model):
    """The model in the variant's memory layout, and images likewise."""
    images = torch.randn(args.batch, 3, args.image, args.image)
    if "last" in args.variant:
        model = model.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    return model, images


def adamw(args, torch, model, betas):
    """One group of parameters: no layer decay, which only costs."""
    kind = {"fused": True} if "fused" in args.variant else {"foreach": True}
    return torch.optim.AdamW(model.parameters(), lr=1e-5, betas=betas, weight_decay=0.05, **kind)


def compiled(args, torch, function):
    return torch.compile(function, dynamic=False) if "compile" in args.variant else function


def update(optimizer, loss):
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    loss.item()


def pretrain_step(args):
    """Masked-dense FCMAE, reference/masked_dense_fcmae.py."""
    torch = torch_with(args.threads)
    sys.path.insert(0, str(ROOT / "reference"))
    from masked_dense_fcmae import SIZES, Config, Fcmae

    config = Config(*SIZES[args.size], mask_ratio=args.mask_ratio)
    model = Fcmae(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.trunc_normal_(parameter, std=0.02)
    model, images = prepared(args, torch, model)
    optimizer = adamw(args, torch, model, (0.9, 0.95))
    patches = (args.image // config.patch) ** 2
    loss_of = compiled(args, torch, lambda images, visible: model.loss(images, visible)[0])

    def step():
        order = torch.rand(args.batch, patches).argsort(dim=1)
        visible = torch.zeros(args.batch, patches).scatter_(1, order[:, : config.keep(patches)], 1.0)
        update(optimizer, loss_of(images, visible))

    return step


def finetune_step(args):
    torch = torch_with(args.threads)
    import timm

    model = timm.create_model(f"convnextv2_{args.size}", pretrained=False).train()
    model, images = prepared(args, torch, model)
    optimizer = adamw(args, torch, model, (0.9, 0.999))
    labels = torch.randint(0, 1000, (args.batch,))
    forward = compiled(args, torch, model)

    def step():
        update(optimizer, torch.nn.functional.cross_entropy(forward(images), labels, label_smoothing=0.1))

    return step


def torch_predict_step(args):
    torch = torch_with(args.threads)
    import timm

    model = timm.create_model(f"convnextv2_{args.size}", pretrained=False).eval()
    model, images = prepared(args, torch, model)
    if "compile" in args.variant:
        import torch._inductor.config

        # Weights become constants, laid out for the processor beforehand.
        torch._inductor.config.freezing = True
    forward = compiled(args, torch, model)
    # Freezing wants no_grad; eager is faster in inference_mode.
    without_gradient = torch.no_grad if "compile" in args.variant else torch.inference_mode

    def step():
        with without_gradient():
            forward(images)

    return step


def export(args):
    """Writes timm's network as ONNX, with the batch fixed."""
    torch = torch_with(args.threads)
    import timm

    model = timm.create_model(f"convnextv2_{args.size}", pretrained=False).eval()
    images = torch.randn(args.batch, 3, args.image, args.image)
    torch.onnx.export(model, (images,), args.onnx, input_names=["images"], dynamo=True, external_data=False)


def random_images(args):
    import numpy

    generator = numpy.random.default_rng(0)
    return generator.standard_normal((args.batch, 3, args.image, args.image), dtype=numpy.float32)


def onnxruntime_step(args):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = args.threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(args.onnx, options, providers=["CPUExecutionProvider"])
    images = random_images(args)
    return lambda: session.run(None, {"images": images})


def openvino_step(args):
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": args.threads}
    if "latency" in args.variant:
        settings["PERFORMANCE_HINT"] = "LATENCY"
    network = openvino.Core().compile_model(args.onnx, "CPU", settings)
    request = network.create_infer_request()
    images = random_images(args)
    return lambda: request.infer({"images": images}, share_inputs=True, share_outputs=True)


def loading(args):
    """One pass over the pictures. In processes, what was loaded stays there: nothing is handed over."""
    paths = sorted(args.data.iterdir())
    if "processes" in args.variant:
        import multiprocessing

        context = multiprocessing.get_context("spawn")
        pool = context.Pool(args.threads, initializer=prepare_loading, initargs=(args.image,))
    else:
        from multiprocessing.pool import ThreadPool

        prepare_loading(args.image)
        pool = ThreadPool(args.threads)

    def step():
        loaded = sum(pool.imap_unordered(load, paths, chunksize=1))
        assert loaded == len(paths)

    return step, len(paths)


transform = None


def prepare_loading(image: int):
    global transform
    torch_with(1)
    from torchvision import transforms

    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(
                image, scale=CROP_SCALE, interpolation=transforms.InterpolationMode.BICUBIC
            ),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )


def load(path) -> int:
    from PIL import Image

    with Image.open(path) as picture:
        transform(picture.convert("RGB"))
    return 1


if __name__ == "__main__":
    main()
