"""What a Python program does to name what is on one picture: PyTorch, timm, weights from a file.

    python predict_once.py IMAGE WEIGHTS.safetensors SIZE THREADS

Prints the five most likely classes, the likeliest first.
"""

import sys

import timm
import torch
from PIL import Image
from safetensors.torch import load_file


def main():
    image, weights, size, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    # Memory for the weights and nothing drawn to fill it: they are read from the file.
    with torch.device("meta"):
        model = timm.create_model(f"convnextv2_{size}", pretrained=False)
    model.load_state_dict(load_file(weights), assign=True)
    model.eval()
    transform = timm.data.create_transform(
        input_size=(3, 224, 224),
        interpolation="bicubic",
        crop_pct=0.875,
        mean=timm.data.IMAGENET_DEFAULT_MEAN,
        std=timm.data.IMAGENET_DEFAULT_STD,
    )
    with Image.open(image) as picture, torch.inference_mode():
        logits = model(transform(picture.convert("RGB"))[None])
    print(*logits[0].topk(5).indices.tolist())


if __name__ == "__main__":
    main()
