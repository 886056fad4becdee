"""Expected values for the tests of crates/report/src/paired.rs, by NumPy and SciPy.

    python reference/paired.py

A difference of two classifiers d[seed, picture] in -1, 0, 1: a two-way layout with one value in a cell, both
factors random. Where only one factor's mean square stands above the interaction's, the rest is that factor's
own one-sample t-test on its means, and with one seed scipy.stats.ttest_rel on the pictures.
"""

import numpy as np
from scipy import stats

CASES = {
    "BOTH": (
        ["1111111010111111", "1111001111011100", "1111111111111111"],
        ["1010000010000011", "0010001011011100", "1110010010000011"],
    ),
    "PICTURES": (["1111101011", "1111001111", "0111101110"], ["1010100010", "0010001011", "0110000010"]),
    "SEEDS": (["11111111", "11001100", "11111111"], ["00110011", "11000011", "11001100"]),
    "ONE_SEED": (["1111101011"], ["1010100010"]),
}


def mean_squares(d: np.ndarray) -> dict[str, tuple[float, float]]:
    """Mean square and degrees of freedom, from sums of squares of a full two-way table."""
    seeds, pictures = d.shape
    total = ((d - d.mean()) ** 2).sum()
    by_seed = pictures * d.mean(axis=1).var() * seeds
    by_picture = seeds * d.mean(axis=0).var() * pictures
    free = {"seeds": seeds - 1, "pictures": pictures - 1, "both": (seeds - 1) * (pictures - 1)}
    squares = {"seeds": by_seed, "pictures": by_picture, "both": total - by_seed - by_picture}
    return {name: (squares[name] / free[name], free[name]) for name in free}


for name, (a, b) in CASES.items():
    a, b = (np.array([[int(c) for c in row] for row in rows]) for rows in (a, b))
    d = (a - b).astype(float)
    seeds, pictures = d.shape
    if seeds == 1:
        test = stats.ttest_rel(a[0], b[0])
        print(name, repr(float(d.mean())), None, repr(float(stats.sem(d[0]))), test.df, repr(float(test.pvalue)))
        continue
    ms = mean_squares(d)
    kept = [factor for factor in ("seeds", "pictures") if ms[factor][0] > ms["both"][0]]
    if len(kept) == 1:
        means = d.mean(axis=1 if kept == ["seeds"] else 0)
        test = stats.ttest_1samp(means, 0)
        error, degrees, p = stats.sem(means), test.df, test.pvalue
    else:
        used = [*kept, "both"]
        square = sum(ms[factor][0] for factor in kept) - ms["both"][0] if kept else ms["both"][0]
        degrees = square**2 / sum(ms[factor][0] ** 2 / ms[factor][1] for factor in used)
        error = np.sqrt(square / d.size)
        p = 2 * stats.t.sf(abs(d.mean()) / error, degrees)
    std = d.mean(axis=1).std(ddof=1)
    print(name, kept, *(repr(float(x)) for x in (d.mean(), std, error, degrees, p)))
