"""Pictures chosen by `fcmae choose` against pictures drawn at random: which labels teach a classifier more?

    python3 experiments/choose.py FCMAE SETS OUT NAME=WEIGHTS...

For each set, SETS/NAME/{train,test}.tar as experiments/sets.py makes them, `fcmae embed` computes vectors with
WEIGHTS, which were pre-trained on the set's training pictures without labels. Each seed draws four fifths of the
training pictures, so that each choice is another one, and of them as many labels as the budget: by `fcmae choose` in
both its ways, and at random. `fcmae probe` then fits both its classifiers to these labels and tests them on the test
pictures.

OUT gets a row for each set, budget, seed and way: the share of test pictures named right, by both classifiers, and how
many of the classes the choice holds.
"""

import csv
import io
import json
import random
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

BUDGETS = [25, 50, 100, 200, 400]
SEEDS = range(10)
WAYS = ["clusters", "spread", "random"]
FIELDS = ["set", "classes", "budget", "seed", "way", "labelled_classes", "neighbours", "logistic"]

Row = list[str]


def fcmae(*arguments: object) -> str:
    command = [sys.argv[1], *map(str, arguments)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if ran.returncode != 0:
        sys.exit(f"{shlex.join(command)}\nfailed with exit code {ran.returncode}:\n{ran.stderr.strip()}")
    return ran.stdout


def read(file: Path) -> list[Row]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines))


def write(file: Path, rows: list[Row]) -> None:
    with file.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows(rows)


def probed(folder: Path, header: Row, rows: list[Row], test: Path) -> tuple[float, float]:
    labelled = folder / "labelled.csv"
    write(labelled, [header, *rows])
    found = json.loads(fcmae("probe", "--data", labelled, "--test", test, "--json"))
    right = {method["method"]: method["top1"] for method in found["methods"]}
    return right["neighbours"], right["logistic"]


def of_set(folder: Path, name: str, weights: Path) -> list[dict]:
    sets = Path(sys.argv[2]) / name
    part = "train-20000" if (sets / "train-20000.tar").is_file() else "train"
    train, test = folder / "train.csv", folder / "test.csv"
    fcmae("embed", "--data", sets / f"{part}.tar", "--weights", weights, "--out", train, "--overwrite")
    fcmae("embed", "--data", sets / "test.tar", "--weights", weights, "--out", test, "--overwrite")
    header, *rows = read(train)
    path, label = header.index("path"), header.index("label")
    classes = len({row[label] for row in rows})
    found = []
    for seed in SEEDS:
        draw = random.Random(seed)
        pool = draw.sample(rows, len(rows) * 4 // 5)
        by_path = {row[path]: row for row in pool}
        pool_file = folder / "pool.csv"
        write(pool_file, [header, *pool])
        at_random = draw.sample(pool, max(BUDGETS))
        for budget in BUDGETS:
            for way in WAYS:
                labelled = at_random[:budget]
                if way != "random":
                    listed = fcmae("choose", "--data", pool_file, "--budget", budget, "--by", way, "--seed", seed)
                    _, *chosen = csv.reader(io.StringIO(listed))
                    labelled = [by_path[row[0]] for row in chosen]
                neighbours, logistic = probed(folder, header, labelled, test)
                held = len({row[label] for row in labelled})
                values = [name, classes, budget, seed, way, held, neighbours, logistic]
                found.append(dict(zip(FIELDS, values)))
        print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
    return found


def told(rows: list[dict]) -> None:
    """The means, and how far each way is from the random choice, paired by seed, with its standard error."""
    print("| set | labels | way | classes | neighbours | to random | logistic | to random |")
    print("|---|---:|---|---:|---:|---:|---:|---:|")
    for name in dict.fromkeys(row["set"] for row in rows):
        for budget in BUDGETS:
            of = {way: [row for row in rows if (row["set"], row["budget"], row["way"]) == (name, budget, way)]
                  for way in WAYS}
            for way in WAYS:
                held = statistics.mean(row["labelled_classes"] for row in of[way])
                cells = [name, str(budget), way, f"{held:.1f}"]
                for what in ("neighbours", "logistic"):
                    scores, at_random = ([100 * row[what] for row in of[way]] for way in (way, "random"))
                    cells.append(f"{statistics.mean(scores):.1f} %")
                    differences = [one - other for one, other in zip(scores, at_random)]
                    error = statistics.stdev(differences) / len(differences) ** 0.5
                    cells.append("" if way == "random" else f"{statistics.mean(differences):+.1f} ± {error:.1f}")
                print("| " + " | ".join(cells) + " |")


def main() -> None:
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for pair in sys.argv[4:]:
            name, weights = pair.split("=", 1)
            rows += of_set(Path(folder), name, Path(weights))
    with Path(sys.argv[3]).open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, FIELDS)
        writer.writeheader()
        writer.writerows(rows)
    told(rows)


if __name__ == "__main__":
    main()
