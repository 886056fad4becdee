"""Feature distance of a layer: the mean of (1 - cosine) / 2 over all pairs of channel maps."""

import numpy as np


def feature_distance(features):
    """One float64 value per image from features [N, S, C] (images, sites, channels).

    1/C² · ΣᵢΣⱼ (1 - cos(Xᵢ, Xⱼ)) / 2 over the C channel maps, each flattened over its S sites; the
    diagonal is included.
    """
    features = np.asarray(features, dtype=np.float64)
    distances = []
    for image in features:
        norms = np.sqrt((image**2).sum(axis=0))
        cosine = (image.T @ image) / np.outer(norms, norms)
        distances.append(((1.0 - cosine) / 2.0).mean())
    return np.array(distances)
