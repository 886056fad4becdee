"""Balanced accuracy of an experiment's results: the mean of the classes' shares of test pictures named right.

    python3 experiments/balanced.py experiments/results/few-labels-solar/results.jsonl SETS/solar/test.tar

A network that always names one of two classes has 50 %. Prints a line for each budget and variant: each seed's value,
and their mean.
"""

import json
import statistics
import sys
import tarfile
from collections import defaultdict


def named_right(text: str) -> list[bool]:
    """Reads `COUNT:HEX`: a bit for each test picture, the first in the highest bit."""
    count, digits = text.split(":")
    return [bit == "1" for bit in "".join(f"{int(digit, 16):04b}" for digit in digits)][: int(count)]


def main(results: str, test: str) -> None:
    with tarfile.open(test) as archive:
        labels = [member.name.split("/")[0] for member in archive if member.isfile()]
    scores = defaultdict(dict)
    with open(results) as lines:
        for line in map(json.loads, lines):
            if line["purpose"] != "result" or line["job"] != "finetune":
                continue
            right = defaultdict(list)
            for label, hit in zip(labels, named_right(line["test"]["right"]), strict=True):
                right[label].append(hit)
            value = statistics.mean(statistics.mean(hits) for hits in right.values())
            scores[line.get("budget", ""), line["variant"]][line["seed"]] = 100 * value
    for (budget, variant), seeds in scores.items():
        values = ", ".join(f"{seeds[seed]:.1f}" for seed in sorted(seeds))
        print(f"{budget}, {variant}: {values}; mean {statistics.mean(seeds.values()):.1f}")


main(*sys.argv[1:])
