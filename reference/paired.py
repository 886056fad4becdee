"""Expected values for the tests of crates/report/src/paired.rs, by NumPy and SciPy.

    python reference/paired.py
    python reference/paired.py --simulate    # how often the test errs where there is no difference

A difference of two classifiers d[seed, picture] in -1, 0, 1: a two-way layout with one value in a cell, both
factors random. Where only one factor's mean square stands above the interaction's, the rest is that factor's
own one-sample t-test on its means. With one seed the p-value is McNemar's exact one, by scipy.stats.binomtest.
"""

import sys

import numpy as np
from scipy import stats

CASES = {
    "BOTH": (
        ["1111111010111111", "1111001111011100", "1111111111111111"],
        ["1010000010000011", "0010001011011100", "1110010010000011"],
    ),
    "PICTURES": (["1111101011", "1111001111", "0111101110"], ["1010100010", "0010001011", "0110000010"]),
    "SEEDS": (["11111111", "11001100", "11111111"], ["00110011", "11000011", "11001100"]),
    "NEITHER": (["1001", "0110", "1010"], ["0000", "0000", "0000"]),
    "ONE_SEED": (["1111101011"], ["1010100010"]),
    "ONE_SEED_BOTH_WAYS": (["1111111111100000"], ["0000000001111110"]),
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


def test(d: np.ndarray) -> tuple[float, float, float]:
    """Standard error, degrees of freedom and p-value of the mean of several seeds' differences."""
    ms = mean_squares(d)
    kept = [factor for factor in ("seeds", "pictures") if ms[factor][0] > ms["both"][0]]
    if len(kept) == 1:
        means = d.mean(axis=1 if kept == ["seeds"] else 0)
        found = stats.ttest_1samp(means, 0)
        return stats.sem(means), found.df, found.pvalue
    used = [*kept, "both"]
    square = sum(ms[factor][0] for factor in kept) - ms["both"][0] if kept else ms["both"][0]
    degrees = square**2 / sum(ms[factor][0] ** 2 / ms[factor][1] for factor in used)
    error = np.sqrt(square / d.size)
    return error, degrees, 2 * stats.t.sf(abs(d.mean()) / error, degrees)


def simulate() -> None:
    """Pictures have a difficulty, each training a taste of its own; both classifiers are equally good."""
    random = np.random.default_rng(0)
    for seeds, pictures in [(2, 300), (3, 300), (3, 2000), (5, 380), (10, 380)]:
        for by_seed, by_picture in [(0, 0), (0, 0.7), (0.05, 0.3), (0.2, 0.3)]:
            p = []
            for _ in range(1000):
                difficulty = random.normal(0, 1, pictures)
                taste = random.normal(0, by_picture, pictures) / 2
                luck = random.normal(0, by_seed, (seeds, 1)) / 2
                a, b = random.normal(0, 0.5, (2, seeds, pictures))
                right = difficulty + taste + luck + a > 0
                others = difficulty - taste - luck + b > 0
                p.append(test(right.astype(float) - others)[2])
            below = [f"{100 * np.mean(np.array(p) < level):.1f} % below {level}" for level in (0.05, 0.005)]
            print(f"{seeds} seeds, {pictures} pictures, spread {by_seed} {by_picture}: {', '.join(below)}")


if "--simulate" in sys.argv:
    simulate()
    sys.exit()

for name, (a, b) in CASES.items():
    a, b = (np.array([[int(c) for c in row] for row in rows]) for rows in (a, b))
    d = (a - b).astype(float)
    if len(d) == 1:
        wins, losses = int((d > 0).sum()), int((d < 0).sum())
        values = None, stats.sem(d[0]), d.size - 1, stats.binomtest(wins, wins + losses).pvalue
    else:
        values = d.mean(axis=1).std(ddof=1), *test(d)
    print(name, float(d.mean()), *(value if value is None else float(value) for value in values))
