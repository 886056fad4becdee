"""Defects of solar cells: found without an example of any, and by a classifier that has seen a few.

    python3 experiments/anomalies.py FCMAE SETS OUT [RESULT.csv]

FCMAE is the program, SETS the folder that `experiments/sets.py` filled (`solar` is read), OUT a folder for runs and
scores: what lies there already is not computed again. RESULT.csv has a row for each of

  anomalies    `fcmae anomalies` with 100 functional pictures, drawn by the seed, and with all of the training part
  classifier   the same pre-trained network, fine-tuned with 50, 100 and 200 labels of both classes, drawn by the seed

and its AUROC on the test, counted here from the program's scores. All start from one pre-training without labels, so
that seeds are draws of pictures and labels, not of pre-trainings. The stage that is compared, and the classifier's
learning rate, are chosen on the validation part. It takes about half an hour on two idle cores.
"""

import csv
import random
import subprocess
import sys
import tarfile
from pathlib import Path

SEEDS = [0, 1, 2]
STAGES = ["3", "4"]
RATES = ["2e-3", "4e-3"]
NORMAL, DEFECT = "functional", "defective"
# Grey pictures: mean and deviation by `fcmae stats --channels 1`.
PICTURES = ["model.channels=1", "data.mean=[0.604]", "data.std=[0.159]"]
PRETRAIN = [*PICTURES, "data.crop_scale=[0.5,1.0]", "optim.epochs=50", "optim.warmup_epochs=5"]
FINETUNE = [*PICTURES, "data.crop_scale=[0.7,1.0]", "finetune.held_out=0", "finetune.evaluate_every=100",
            "optim.warmup_epochs=4"]
# About as many steps for each.
EPOCHS = {50: 80, 100: 60, 200: 40}


class Work:
    def __init__(self, program: str, sets: Path, out: Path):
        self.program, self.out = program, out
        self.train = sets / "solar" / "train.tar"
        out.mkdir(parents=True, exist_ok=True)
        for part in ["train", "validation", "test"]:
            if not (out / part).is_dir():
                with tarfile.open(sets / "solar" / f"{part}.tar") as tar:
                    tar.extractall(out / part, filter="data")

    def fcmae(self, *arguments) -> str:
        command = [self.program, *map(str, arguments)]
        ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if ran.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{ran.stderr}")
        return ran.stdout

    def trained(self, command: str, name: str, settings: list[str], *arguments) -> Path:
        run = self.out / name
        if not (run / "end.json").is_file():
            print(f"{command}  {name}", flush=True)
            given = [word for setting in settings for word in ["--set", setting]]
            self.fcmae(command, "--config", f"{command}-small", "--data", self.train, "--out", run, *arguments, *given)
        return run

    def table(self, name: str, *arguments) -> list[dict]:
        """What the program prints, kept."""
        file = self.out / f"{name}.csv"
        if not file.is_file():
            print(f"{arguments[0]}  {name}", flush=True)
            text = self.fcmae(*arguments)
            file.write_text(text)
        with file.open(newline="") as lines:
            return list(csv.DictReader(lines))

    def pretrained(self) -> Path:
        return self.trained("pretrain", "pretrain", PRETRAIN)

    def anomalies(self, normal: int | None, seed: int, stage: str, part: str) -> float:
        """The AUROC by distance from so many normal pictures, or from all."""
        if normal is None:
            given = ["--normal", self.train, "--normal-label", NORMAL]
        else:
            files = sorted((self.out / "train" / NORMAL).iterdir())
            drawn = sorted(random.Random(seed).sample(files, normal))
            listed = self.out / f"normal-{normal}-{seed}.txt"
            listed.write_text("".join(f"{file.resolve()}\n" for file in drawn))
            given = ["--normal", listed, "--normal-label", NORMAL]
        rows = self.table(f"anomalies-{normal or 'all'}-{seed}-{stage}-{part}", "anomalies", *given, "--data",
                          self.out / part, "--weights", self.pretrained(), "--stage", stage, "--seed", seed)
        return auroc([(float(row["score"]), row["label"] == DEFECT) for row in rows])

    def classifier(self, labels: int, seed: int, rate: str, part: str) -> float:
        """The AUROC by the probability of a defect."""
        name = f"classifier-{labels}-{seed}-{rate}"
        settings = [*FINETUNE, f"finetune.labels={labels}", f"seed={seed}", f"optim.base_lr={rate}",
                    f"optim.epochs={EPOCHS[labels]}"]
        run = self.trained("finetune", name, settings, "--from", self.pretrained())
        rows = self.table(f"{name}-{part}", "predict", self.out / part, "--weights", run, "--top", 2, "--format",
                          "csv")
        scored = [(float(row["probability"]), Path(row["image"]).parent.name == DEFECT)
                  for row in rows if row["class"] == DEFECT]
        return auroc(scored)


def auroc(scored: list[tuple[float, bool]]) -> float:
    """The share of pairs of a defective and a functional picture in which the first scores higher, ties half."""
    defects = [score for score, defective in scored if defective]
    others = [score for score, defective in scored if not defective]
    won = sum((a > b) + 0.5 * (a == b) for a in defects for b in others)
    return won / (len(defects) * len(others))


def main() -> None:
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    work = Work(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    result = Path(sys.argv[4]) if len(sys.argv) == 5 else Path(__file__).parent / "results" / "anomalies.csv"
    rows = []

    def tell(method: str, pictures: str, setting: str, seed: int, validation: float, test: float) -> None:
        rows.append([method, pictures, setting, seed, f"{validation:.4f}", f"{test:.4f}"])
        print(*rows[-1], flush=True)
        # Whatever is done is there, should the rest be ended.
        with result.open("w", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(["method", "pictures", "setting", "seed", "validation_auroc", "test_auroc"])
            writer.writerows(rows)

    stage = max(STAGES, key=lambda stage: work.anomalies(None, 0, stage, "validation"))
    # All their patches are compared with, so that a seed makes no difference.
    for normal, seeds in [(None, SEEDS[:1]), (100, SEEDS)]:
        for seed in seeds:
            setting = f"stage {stage}"
            validation = work.anomalies(normal, seed, stage, "validation")
            test = work.anomalies(normal, seed, stage, "test")
            tell("anomalies", f"{normal or 'all'} functional", setting, seed, validation, test)
    rate = max(RATES, key=lambda rate: work.classifier(100, 100, rate, "validation"))
    for seed in SEEDS:
        for labels in EPOCHS:
            validation = work.classifier(labels, seed, rate, "validation")
            test = work.classifier(labels, seed, rate, "test")
            tell("classifier", f"{labels} of both classes", f"base_lr {rate}", seed, validation, test)


if __name__ == "__main__":
    main()
