"""Linear warm-up, then half a cosine, as a function of the fractional epoch."""

import math


def learning_rate(epoch, base, minimum, warmup, epochs):
    """The rate at fractional `epoch`, e.g. 2.5 in the middle of the third epoch."""
    if epoch < warmup:
        return base * epoch / warmup
    progress = (epoch - warmup) / (epochs - warmup)
    return minimum + (base - minimum) * 0.5 * (1.0 + math.cos(math.pi * progress))
