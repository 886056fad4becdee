"""Networks of timm and transformers with random weights, and what they give for images."""

import math

import timm
import torch
import transformers
from transformers import ConvNextV2Config, ConvNextV2ForImageClassification

SIZES = {
    "atto": ((2, 2, 6, 2), 40),
    "femto": ((2, 2, 6, 2), 48),
    "pico": ((2, 2, 6, 2), 64),
    "nano": ((2, 2, 8, 2), 80),
    "tiny": ((3, 3, 9, 3), 96),
    "base": ((3, 3, 27, 3), 128),
    "large": ((3, 3, 27, 3), 192),
    "huge": ((3, 3, 27, 3), 352),
}

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


def randomize(model, seed):
    """Every parameter at random, in sizes that keep features near one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            value = torch.randn(parameter.shape, generator=generator)
            if "grn" in name:
                value *= 0.3
            elif parameter.dim() > 1:
                value /= math.sqrt(parameter[0].numel())
            elif name.endswith("weight"):
                value = 1 + 0.1 * value
            else:
                value *= 0.1
            parameter.copy_(value)
    return model.eval()


def timm_network(size, seed, **arguments):
    return randomize(timm.create_model(f"convnextv2_{size}", **arguments), seed)


def transformers_network(size, seed, **more):
    depths, width = SIZES[size]
    config = ConvNextV2Config(
        depths=list(depths),
        hidden_sizes=[width * 2**stage for stage in range(4)],
        num_labels=1000,
        layer_norm_eps=1e-6,
        **more,
    )
    return randomize(ConvNextV2ForImageClassification(config), seed)


@torch.no_grad()
def timm_outputs(model, images):
    """The stages' maps [N, C, H, W], the embedding and the logits of images [N, 3, H, W]."""
    maps = model.forward_intermediates(images, intermediates_only=True)
    features = model.forward_features(images)
    found = {f"stage{stage}": value for stage, value in enumerate(maps[-4:], 1)}
    found["embedding"] = model.forward_head(features, pre_logits=True)
    found["logits"] = model.forward_head(features)
    return found


@torch.no_grad()
def transformers_outputs(model, images):
    base = next(model.children())
    output = base(images, output_hidden_states=True)
    found = {f"stage{stage}": output.hidden_states[stage] for stage in (1, 2, 3, 4)}
    found["embedding"] = output.pooler_output
    found["logits"] = model.classifier(output.pooler_output)
    return found
