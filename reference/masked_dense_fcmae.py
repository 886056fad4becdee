"""FCMAE with dense convolutions and a visibility map: slow, plain, and the measure of the sparse one.

Features are [N, C, H, W]. The visibility is [N, 1, H, W], 1 at sites of visible patches, and every
stage repeats it to its own resolution. What stands at masked sites is never read: the depthwise
convolution sees zeros there, GRN's norm leaves them out, and the decoder puts its mask token there.

The paper's ablation without sparse convolution (section 3.1) has the visibility act once, on the pixels:
hidden patches are zero in the normalized picture, and an ordinary encoder sees all sites.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

EPS = 1e-6

SIZES = {
    "atto": ((2, 2, 6, 2), (40, 80, 160, 320)),
    "femto": ((2, 2, 6, 2), (48, 96, 192, 384)),
    "pico": ((2, 2, 6, 2), (64, 128, 256, 512)),
    "nano": ((2, 2, 8, 2), (80, 160, 320, 640)),
    "tiny": ((3, 3, 9, 3), (96, 192, 384, 768)),
    "base": ((3, 3, 27, 3), (128, 256, 512, 1024)),
    "large": ((3, 3, 27, 3), (192, 384, 768, 1536)),
    "huge": ((3, 3, 27, 3), (352, 704, 1408, 2816)),
}


@dataclass(frozen=True)
class Config:
    """Everything that decides the network and its loss."""

    depths: tuple
    widths: tuple
    block: str = "v2"  # of the encoder: "v2" (GRN) or "v1" (layer scale); the decoder's is always V2
    encoder: str = "sparse"  # or "dense": hidden pixels are zero, and everything is computed
    channels: int = 3
    stem_stride: int = 4
    decoder_width: int = 512
    decoder_depth: int = 1
    mask_ratio: float = 0.6
    norm_pix_loss: bool = True

    @property
    def patch(self):
        """Side of a patch in pixels: the network's total stride."""
        return 8 * self.stem_stride

    def keep(self, patches):
        """Visible patches of an image with so many patches."""
        return math.floor(patches * (1.0 - self.mask_ratio))


class LayerNorm(nn.Module):
    """Layer norm over the channels of each site of [N, C, H, W]."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, x.shape[-1:], self.weight, self.bias, EPS)
        return x.permute(0, 3, 1, 2)


class Grn(nn.Module):
    """Global response normalization, its norm over the visible sites of each image by itself."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x, visibility):
        squares = x.square() if visibility is None else x.square() * visibility
        norm = squares.sum(dim=(2, 3), keepdim=True).sqrt()
        scale = norm / (norm.mean(dim=1, keepdim=True) + EPS)
        gamma, beta = self.weight.view(1, -1, 1, 1), self.bias.view(1, -1, 1, 1)
        return gamma * (x * scale) + beta + x


class Mlp(nn.Module):
    """fc1, exact GELU, GRN in a V2 block, fc2."""

    def __init__(self, width, block):
        super().__init__()
        self.fc1 = nn.Conv2d(width, 4 * width, 1)
        self.grn = Grn(4 * width) if block == "v2" else None
        self.fc2 = nn.Conv2d(4 * width, width, 1)

    def forward(self, x, visibility):
        x = F.gelu(self.fc1(x))
        if self.grn is not None:
            x = self.grn(x, visibility)
        return self.fc2(x)


class Block(nn.Module):
    """ConvNeXt block; `visibility` None means that all sites are there."""

    def __init__(self, width, block):
        super().__init__()
        self.conv_dw = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = LayerNorm(width)
        self.mlp = Mlp(width, block)
        self.gamma = nn.Parameter(1e-6 * torch.ones(width)) if block == "v1" else None

    def forward(self, x, visibility=None):
        if visibility is None:
            y = self.conv_dw(x)
        else:
            y = self.conv_dw(x * visibility) * visibility
        y = self.mlp(self.norm(y), visibility)
        if self.gamma is not None:
            y = y * self.gamma.view(1, -1, 1, 1)
        return x + y


def enlarge(visibility, times):
    """A visibility map with each site repeated `times` times in both directions."""
    return visibility.repeat_interleave(times, 2).repeat_interleave(times, 3)


class Stage(nn.Module):
    """Downsampling (none before the first stage) and blocks."""

    def __init__(self, width_before, width, depth, block):
        super().__init__()
        self.downsample = nn.Identity()
        if width_before is not None:
            self.downsample = nn.Sequential(
                LayerNorm(width_before), nn.Conv2d(width_before, width, 2, stride=2)
            )
        self.blocks = nn.ModuleList(Block(width, block) for _ in range(depth))

    def forward(self, x, visibility):
        x = self.downsample(x)
        if visibility is not None:
            visibility = enlarge(visibility, x.shape[-1] // visibility.shape[-1])
        for block in self.blocks:
            x = block(x, visibility)
        return x


class Decoder(nn.Module):
    """Projection, mask token, dense V2 blocks on the grid of patches, prediction of pixels."""

    def __init__(self, width_before, config):
        super().__init__()
        width = config.decoder_width
        self.proj = nn.Linear(width_before, width)
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.blocks = nn.ModuleList(Block(width, "v2") for _ in range(config.decoder_depth))
        self.pred = nn.Linear(width, config.patch**2 * config.channels)

    def forward(self, x, visibility):
        x = self.proj(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        x = x * visibility + self.mask_token.view(1, -1, 1, 1) * (1.0 - visibility)
        for block in self.blocks:
            x = block(x)
        return self.pred(x.permute(0, 2, 3, 1)).flatten(1, 2)


class Fcmae(nn.Module):
    """Encoder under timm's names without a prefix, decoder under `decoder.`."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        widths = config.widths
        stride = config.stem_stride
        self.stem = nn.Sequential(
            nn.Conv2d(config.channels, widths[0], stride, stride=stride), LayerNorm(widths[0])
        )
        befores = (None,) + tuple(widths[:-1])
        self.stages = nn.ModuleList(
            Stage(before, width, depth, config.block)
            for before, width, depth in zip(befores, widths, config.depths)
        )
        self.decoder = Decoder(widths[-1], config)

    def predict(self, images, visible):
        """Predictions [N, L, patch² · channels] from images [N, C, H, W] and visible [N, L] of 0/1."""
        patch = self.config.patch
        grid = images.shape[2] // patch, images.shape[3] // patch
        visibility = visible.to(images.dtype).view(-1, 1, *grid)
        seen = visibility
        if self.config.encoder == "dense":
            images, seen = images * enlarge(visibility, patch), None
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x, seen)
        return self.decoder(x, visibility)

    def targets(self, images):
        """Targets [N, L, patch² · channels], values of a patch in (row, column, channel) order."""
        patch = self.config.patch
        n, c, h, w = images.shape
        x = images.view(n, c, h // patch, patch, w // patch, patch)
        x = x.permute(0, 2, 4, 3, 5, 1).reshape(n, -1, patch * patch * c)
        if self.config.norm_pix_loss:
            mean = x.mean(dim=-1, keepdim=True)
            var = x.var(dim=-1, keepdim=True, correction=1)
            x = (x - mean) / (var + EPS).sqrt()
        return x

    def loss(self, images, visible):
        """(loss, predictions): squared error, mean within a patch, mean over all masked patches."""
        predictions = self.predict(images, visible)
        per_patch = (predictions - self.targets(images)).square().mean(dim=-1)
        masked = 1.0 - visible.to(images.dtype)
        return (per_patch * masked).sum() / masked.sum(), predictions
