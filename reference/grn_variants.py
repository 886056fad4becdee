"""The variants of GRN in the paper's ablation, on features [N, S, C]."""

import torch

EPS = 1e-6

AGGREGATIONS = {
    "l2": lambda x: x.square().sum(dim=1, keepdim=True).sqrt(),
    "l1": lambda x: x.abs().sum(dim=1, keepdim=True),
    "average": lambda x: x.mean(dim=1, keepdim=True),
}


def _standardize(g):
    # The population deviation over channels (divisor C); eps is added to the deviation.
    mean = g.mean(dim=-1, keepdim=True)
    deviation = (g - mean).square().mean(dim=-1, keepdim=True).sqrt()
    return (g - mean) / (deviation + EPS)


NORMALIZATIONS = {
    "divisive": lambda g: g / (g.mean(dim=-1, keepdim=True) + EPS),
    "standardize": _standardize,
    # The paper's 1/ΣG has no numerator: one response for all channels of an image.
    "inverse": lambda g: 1.0 / (g.sum(dim=-1, keepdim=True) + EPS),
    # Not the paper's: the divisive one but for a factor and for epsilon. Older runs were made with it.
    "sum": lambda g: g / (g.sum(dim=-1, keepdim=True) + EPS),
}


def grn(x, gamma, beta, aggregation, normalization, skip):
    """gamma · (x · N(G(x))) + beta, plus x with the skip."""
    scale = NORMALIZATIONS[normalization](AGGREGATIONS[aggregation](x))
    y = gamma * (x * scale) + beta
    return y + x if skip else y
